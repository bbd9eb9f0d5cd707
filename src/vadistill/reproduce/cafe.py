"""CAFE's Tables 1 and 2, Fig. 4 and Fig. 5 on any data set with frame labels, beside the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from vadistill.backbones.teachers import ResNet, UpsampledImageNet
from vadistill.devices import pick_device
from vadistill.evaluation.measuring import published_rows
from vadistill.reproduce.records import Record
from vadistill.reproduce.rows import (
    Row,
    asked,
    files_by_name,
    labelled,
    run_rows,
    usual_protocols,
)
from vadistill.runtime import pick_runtime
from vadistill.systems import cafe, motion

Networks = Literal["compact", "paper"]


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
    return rows


RECIPES = {"avenue": "avenue", "shanghaitech": "shanghaitech"}
"""Names of recipes by data set; others take Ped2's."""


def base_config(dataset: str, networks: Networks, *, quick: bool, teacher: str) -> cafe.Config:
    """The data set's recipe, or the one with the paper's networks."""
    recipe = RECIPES.get(dataset, "ped2")
    if networks == "compact":
        return cafe.RECIPES[recipe]()
    paper = cafe.RECIPES[f"paper-{recipe}{'-quick' * quick}"]()
    return replace(paper, teacher=teacher)


def reproduce(
    data: Path,
    *,
    quick: bool,
    out: Path,
    networks: Sequence[Networks] = ("compact",),
    teacher: str = "resnet34.safetensors",
    localisers: Sequence[str] = ("background",),
    seeds: Sequence[int] = (0,),
    only: Sequence[str] = (),
    protocols: Sequence[str] = (),
    runtime: str = "auto",
    command: str = "",
    device: str = "auto",
) -> list[Record]:
    """Fit and score every variant (or those named in ``only``), and write records and a table.

    ``motion`` is always among the rows.  How rows are kept: see ``reproducing.run_rows``.  Raises
    DataError, ConfigError.
    """
    splits = labelled(data)
    name = splits.train.name
    bases = {n: base_config(name, n, quick=quick, teacher=teacher) for n in networks}
    runtime = pick_runtime(runtime, pick_device(device))
    tables = {n: variants(replace(base, runtime=runtime)) for n, base in bases.items()}
    names = asked([row for table in tables.values() for row in table], only, ("motion",))
    smoothing = next(iter(bases.values())).smoothing
    protocols = protocols or usual_protocols(splits, smoothing, "macro-skip")
    published = published_rows("cafe", name, smoothing)
    rows: list[Row] = []
    for localiser in localisers:
        boxes = files_by_name(localiser)
        baseline = motion.Config(localiser=localiser)
        rows.append(Row("motion", f"motion, {boxes}", "baseline", baseline))
        rows += [
            Row(
                "cafe",
                f"{network} {variant}, {boxes}",
                source,
                replace(config, localiser=localiser, seed=seed),
                seed,
                published.get(variant, {}),
            )
            for network, table in tables.items()
            for variant, (source, config) in table.items()
            if variant in names
            for seed in seeds
        ]
    return run_rows(rows, data, splits, protocols, out=out, command=command, device=device)
