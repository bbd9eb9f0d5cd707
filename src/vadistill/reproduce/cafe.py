"""CAFE's Tables 1 and 2, Fig. 4 and Fig. 5 on any data set with frame labels, beside the paper."""

from __future__ import annotations

from dataclasses import replace

from vadistill.backbones.teachers import ResNet, UpsampledImageNet
from vadistill.datasets import Splits
from vadistill.devices import pick_device
from vadistill.evaluation.measuring import published_rows
from vadistill.reproduce.options import Networks, Options
from vadistill.reproduce.records import Record
from vadistill.reproduce.rows import localised_rows, recipe_of, run_rows, usual_protocols
from vadistill.runtime import pick_runtime
from vadistill.systems import cafe


def variants(base: cafe.Config) -> dict[str, tuple[str, cafe.Config]]:
    """Every row by name, with the table or figure that it belongs to."""
    rival = {"resnet9": "resnet17", "narrow9": "narrow17"}[base.student]
    rows: dict[str, tuple[str, cafe.Config]] = {
        "cafe": ("Table 1", base),
        "ll-o": ("Table 1", replace(base, low_level="flow")),
        "ll-e": ("Table 1", replace(base, low_level="image")),
        "ll-o+ll-e": ("Table 1", replace(base, low_level="both")),
        "without-consistency": ("Fig. 4", replace(base, lambda_ca=0.0, omega_ca=0.0)),
        "student-17": ("Table 2", replace(base, student=rival)),
    }
    groups = UpsampledImageNet.GROUPS if base.teacher == "imagenet" else ResNet.GROUPS
    for n in range(1, groups + 1):
        rows[f"layers-{n}"] = ("Fig. 5", replace(base, layers=n))
    only = replace(base, low_level="flow", lambda_kd=0.0, lambda_ca=0.0, omega_kd=0.0, omega_ca=0.0)
    rows["ll-o-only"] = ("Sec. 4.3.3", replace(only, omega_lo=1.0))
    added = cafe.PUBLISHED.keys() - {"square"}  # what is added to Eq. 12, of the same patches
    ours = {name: getattr(cafe.Config, name) for name in added}
    rows["attributes"] = ("ours", replace(base, **ours))
    return rows


def base_config(dataset: str, networks: Networks, *, quick: bool, teacher: str) -> cafe.Config:
    """The data set's recipe, or that with the paper's networks; patches and Eq. 12 as published."""
    recipe = recipe_of(dataset)
    if networks == "compact":
        return replace(cafe.RECIPES[recipe](), **cafe.PUBLISHED)
    paper = cafe.RECIPES[f"paper-{recipe}{'-quick' * quick}"]()
    return replace(paper, teacher=teacher)


def reproduce(splits: Splits, options: Options, command: str) -> list[Record]:
    """Fit and score every variant, beside ``motion``; see ``vadistill.reproduce.reproduce``."""
    name = splits.train.name
    bases = {
        networks: base_config(name, networks, quick=options.quick, teacher=options.teacher)
        for networks in options.networks
    }
    runtime = pick_runtime("auto", pick_device(options.device))
    tables = {n: variants(replace(base, runtime=runtime)) for n, base in bases.items()}
    smoothing = next(iter(bases.values())).smoothing
    rows = localised_rows("cafe", tables, options, published_rows("cafe", name, smoothing))
    protocols = options.protocols or usual_protocols(splits, smoothing, "macro-skip")
    return run_rows(rows, splits, protocols, options, command)
