"""fast_aed's Tables 2 to 8 and Fig. 8 on any data set with frame labels, beside the paper.

The supplement's ablations start from a truncated student (one input frame, one 4x4 map, one
teacher, no auto-encoder phase, no adversarial loss) and add one thing after the other; Table 7 is
the whole method.  Every row says where it belongs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vadistill.datasets import Splits
from vadistill.evaluation.measuring import published_rows
from vadistill.reproduce.options import Networks, Options
from vadistill.reproduce.records import Record
from vadistill.reproduce.rows import localised_rows, recipe_of, run_rows, usual_protocols
from vadistill.systems import aed, cafe, fast_aed, ssmtl
from vadistill.systems.fast_aed.model import FULL
from vadistill.systems.fast_aed.recipes import ALPHA

T1, T2 = "aed", "ssmtl"
OTHERS = {
    "taught-by-motion-too": (T1, T2, "motion"),
    "taught-by-four": (T1, T2, "cafe", "motion"),
    "taught-by-cafe-and-motion": ("cafe", "motion"),
    "taught-by-cafe": ("cafe",),
}
"""Who else may teach our default, without an adversary."""


def base_config(
    dataset: str, networks: Networks, *, quick: bool, recipe: str = "paper"
) -> fast_aed.Config:
    """The data set's recipe, of the paper's student, or the default with its resolutions.

    The latter learns from four times as many frames as by default, in as many steps; with the
    ``recipe`` default it is the default itself.
    """
    if (networks, recipe) == ("compact", "default"):
        return fast_aed.default()
    paper = fast_aed.RECIPES[recipe_of(dataset) + "-quick" * quick]()
    if networks == "paper":
        return paper
    few = {"frames": 2560, "epochs": 10, "autoencoder_epochs": 1}
    return replace(fast_aed.default(), resolutions=paper.resolutions, **few)


def variants(base: fast_aed.Config) -> dict[str, tuple[str, fast_aed.Config]]:
    """Every student by name, with the table or figure that it belongs to.

    Rows that only CvT blocks have are left out for ``lite``.
    """
    base = replace(base, alpha=ALPHA)
    rows: dict[str, tuple[str, fast_aed.Config]] = {}

    def add(name: str, source: str, *teachers: str, **changes: Any) -> None:
        rows[name] = source, replace(base, teachers=teachers, **changes)

    add("student", "Table 7", T1, T2)
    add("without-adversarial", "Tables 6 and 7", T1, T2, alpha=0.0)
    add("int8", "ours, the row above in 8 bits", T1, T2, alpha=0.0, runtime="onnx-int8")
    without = {"alpha": 0.0, "autoencoder_epochs": 0}
    add("without-autoencoder", "as Table 5, both teachers", T1, T2, **without)
    ours = fast_aed.default()
    if base.hurried or base.pasted:
        add("without-pseudo", "ours left out", T1, T2, alpha=0.0, hurried=0.0, pasted=0.0)
        for name in ("mirrored", "copied", "crops", "average", "object_height"):
            left_out = {name: fast_aed.PUBLISHED.get(name, 0.0)}
            add(f"without-{name.replace('_', '-')}", "ours left out", T1, T2, alpha=0.0, **left_out)
        add("unbalanced", "the paper's weight of losses", T1, T2, balanced=False)
        add("with-frame-map", "as the paper's score", T1, T2, alpha=0.0, frame_map=True)
    else:
        added = {name: getattr(ours, name) for name in ("hurried", "pasted", "mirrored")}
        add("with-pseudo", "ours", T1, T2, alpha=0.0, **added)
    add("t2", "Table 6", T2, alpha=0.0)
    add("joint-discriminator", "Table 6", T1, T2, joint_discriminator=True)
    add("two-branches", "Table 6", T1, T2, branches=True)
    add("ae", "Table 5")
    add("ae+kd", "Tables 5, 6 and 8, Fig. 8", T1, alpha=0.0)
    add("ae+kd+akd", "Table 5, Fig. 8", T1)
    add("ae+akd", "Table 5", T1, lambda_kd=0.0)
    first: dict[str, Any] = {"autoencoder_epochs": 0}
    add("kd+akd", "Table 5", T1, **first)
    add("akd", "Table 5", T1, lambda_kd=0.0, **first)
    plain = {**first, "alpha": 0.0}
    add("kd", "Tables 4 and 5", T1, **plain)
    for alpha in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        add(f"alpha-{alpha}", "Fig. 8", T1, alpha=alpha)
    add("frames-1", "Tables 3 and 4", T1, input_frames=1, **plain)
    add("frames-5", "Table 4", T1, input_frames=5, **plain)
    plain["input_frames"] = 1
    coarse, middle = base.resolutions[0], base.resolutions[1]
    add("truncated", "Tables 2 and 3", T1, resolutions=(middle,), **plain)
    for name, resolutions in (
        ("map-1", (1,)),
        ("map-16", (16,)),
        ("map-64", (64,)),
        ("map-full", (FULL,)),
        ("maps-1-4", (coarse, middle)),
    ):
        add(name, "Table 3", T1, resolutions=resolutions, **plain)
    plain["resolutions"] = (middle,)
    for blocks in (3, 4, 6, 7):
        add(f"blocks-{blocks}", "Table 2", T1, blocks=blocks, **plain)
    if base.architecture != "lite":
        for heads in (3, 4, 6, 7):
            add(f"heads-{heads}", "Table 2", T1, heads=heads, **plain)
        add("fully-connected", "Table 8", T1, dense="linear", alpha=0.0)
    return rows


def taught_by_others(base: fast_aed.Config) -> dict[str, tuple[str, fast_aed.Config]]:
    """Students of other teachers than the paper's by name, as ``variants``."""
    base = replace(base, alpha=0.0)
    return {name: ("ours", replace(base, teachers=teachers)) for name, teachers in OTHERS.items()}


def reproduce(splits: Splits, options: Options, command: str) -> list[Record]:
    """Fit and score both teachers and every student, beside ``motion``.

    With ``quick``, or for the ``compact`` student, the teachers have the ``-quick`` form of the
    data set's recipe, else its full form; with ``recipe`` default, their own defaults, beside
    ``cafe`` for students of others.  See ``vadistill.reproduce.reproduce``.
    """
    name = splits.train.name
    quick, own = options.quick, options.recipe
    bases = {n: base_config(name, n, quick=quick, recipe=own) for n in options.networks}
    tables = {n: variants(base) for n, base in bases.items()}
    quick = quick or "paper" not in options.networks
    recipe = own if own == "default" else recipe_of(name) + "-quick" * quick
    teachers: dict[str, Any] = {T1: aed.Aed.RECIPES[recipe](), T2: ssmtl.Ssmtl.RECIPES[recipe]()}
    if own == "default" and "compact" in tables:
        teachers["cafe"] = cafe.default()
        tables["compact"] |= taught_by_others(bases["compact"])
    smoothing = next(iter(bases.values())).smoothing
    published = published_rows("fast_aed", name, smoothing)
    rows = localised_rows("fast_aed", tables, options, published, teachers)
    protocols = options.protocols or (
        *usual_protocols(splits, smoothing, "macro-pad"),
        "micro/zeropadded21",
        "macro-pad/zeropadded21",
    )
    return run_rows(rows, splits, protocols, options, command)
