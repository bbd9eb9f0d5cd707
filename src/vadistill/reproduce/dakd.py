"""DAKD's Tables 1, 5 and 6 and Figs. 4, 5 and 6 on any weakly labelled data set, beside the paper.

Rows are named ``WHAT`` or ``WHAT BACKBONE``.  ``teacher`` is the fusion of all backbones, a
``student`` has one; ``single`` is the same network as a student, taught by video labels alone, and
``mil`` Sultani et al.'s, both without any distillation; a ``self-taught`` student's teachers have
its own backbone alone.  Where the paper changes one thing of the whole method, its figure is the
student's: CLIP's in all rows that do not name one.  For Table 1 it says that the modules are given
all three backbones' features, and its last row has the CLIP student's figure; we read both its
teacher and its student as having the module, and show the student's.  Figs. 4, 5 and 6 are drawn
there, not tabulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from vadistill.datasets import Splits
from vadistill.errors import ConfigError
from vadistill.evaluation.frame_level import class_aucs
from vadistill.evaluation.measuring import published_rows
from vadistill.evaluation.runs import load_run
from vadistill.reproduce.options import Options
from vadistill.reproduce.records import Record, write_records
from vadistill.reproduce.rows import Row, asked, run_rows
from vadistill.systems import dakd
from vadistill.systems.dakd.attention import TERMS
from vadistill.systems.dakd.data import PREFERRED, at_hand, published
from vadistill.systems.dakd.recipes import AUTO, LABEL_LOSSES
from vadistill.systems.dakd.temporal import RIVALS

TAUS = (0.1, 0.5, 1.0, 5.0, 15.0)
ALPHAS = (1.0, 2.5, 5.0, 10.0)
REACHES = (5, 10, 15, 20, 32)
DELTAS = (0.5, 0.6, 0.7, 0.8, 0.95)
"""Fig. 5's grids, without the published setting, which is the student's own row."""


def backbones_of(splits: Splits) -> tuple[str, ...]:
    """Those whose features all videos have, the paper's in its order first; () for videos."""
    return published([*splits.train, *splits.test])


def base_config(
    splits: Splits,
    backbones: Sequence[str],
    *,
    recipe: str = "paper",
    quick: bool = False,
    epochs: int | None = None,
) -> dakd.Config:
    """A recipe's settings on the data set's backbones; ``quick`` has a tenth of the epochs.

    ``epochs``, where given, are those of teacher and student.  The tables' student is CLIP's, with
    weights of any name (``clip:FILE``), or that of the first backbone.
    """
    found = tuple(backbones) or at_hand([*splits.train, *splits.test])
    student = next((name for name in found if kind_of(name) == "clip"), found[0])
    config = replace(dakd.RECIPES[recipe](), teacher=found, student=student)
    if epochs is None:
        epochs = config.epochs // 10 if quick else config.epochs
    return replace(config, epochs=epochs)


def kind_of(backbone: str) -> str:
    """A backbone without its weights: ``clip`` of ``clip:FILE``."""
    return backbone.partition(":")[0]


def variants(base: dakd.Config) -> dict[str, tuple[str, dakd.Config]]:
    """Every row by name, with the table or figure that it belongs to.

    What the base leaves out (the feature level, min-max) has a row with it.  Only ``student`` rows
    compare teachers and student on left-out videos, where the base does, and have its committee:
    all others distil, from one teacher (``self-taught`` from a committee, as what it is beside).
    """
    plain = replace(base, folds=0, committee=1)
    alone = replace(plain, scorer="teacher")
    featured = replace(plain, alpha=base.alpha or 1.0)
    attending = replace(plain, temporal="tam")
    modules = [name for name in (*RIVALS, "tam") if name != base.temporal]
    rows: dict[str, tuple[str, dakd.Config]] = {}
    for name in base.teacher:
        rows[f"mil {name}"] = (
            "Table 5, baseline",
            replace(alone, teacher=(name,), temporal="baseline"),
        )
    for name in base.teacher:
        rows[f"single {name}"] = "Fig. 4", replace(alone, teacher=(name,))
    rows["teacher"] = "Table 2, Fig. 4", alone
    for name in base.teacher:
        rows[f"student {name}"] = "Table 2", replace(base, student=name)
    if base.folds and len(base.teacher) > 1:
        rows["student auto"] = "ours: its backbone chosen", replace(base, student=AUTO)
    for size in range(2, len(base.teacher)):
        for some in combinations(base.teacher, size):
            rows[f"teacher {'+'.join(some)}"] = "Fig. 4", replace(alone, teacher=some)
    for name in modules:
        table = "Table 5, without TAM" if name == "none" else "Table 1"
        rows[f"{name}-teacher"] = table, replace(alone, temporal=name)
        rows[name] = table, replace(plain, temporal=name)
    if base.alpha:
        rows["without-nce"] = "Table 5", replace(plain, alpha=0.0)
    else:
        rows["with-nce"] = "Table 5", featured
    rows["without-bce"] = "Table 5", replace(featured, lambda_bce=0.0)
    name = "without-minmax" if base.minmax else "with-minmax"
    rows[name] = "Table 5", replace(plain, minmax=not base.minmax)
    rows["without-average"] = "Table 5", replace(plain, half_width=0)
    for term in TERMS:
        rows[f"only-{term}"] = "Table 6", replace(attending, terms=(term,))
    rows["without-skip"] = "ours left out", replace(plain, skip=False)
    if base.committee > 1:
        rows["of-one-teacher"] = "ours left out", plain
        for name in base.teacher:
            own = replace(base, folds=0, teacher=(name,), student=name)
            rows[f"self-taught {name}"] = "no other backbone", own
    for setting in ("standardise", "guarded"):
        if getattr(base, setting):
            without = replace(alone, **{setting: False})
            rows[f"without-{setting}-teacher"] = "ours left out", without
    for loss in LABEL_LOSSES:
        if loss != base.label_loss:
            rows[f"{loss}-teacher"] = "video labels' loss", replace(alone, label_loss=loss)
    for tau in TAUS:
        if tau != base.tau:
            rows[f"tau-{tau:g}"] = "Fig. 5", replace(featured, tau=tau)
    for alpha in ALPHAS:
        if alpha != featured.alpha:
            rows[f"alpha-{alpha:g}"] = "Fig. 5", replace(plain, alpha=alpha)
    for reach in REACHES:
        rows[f"k-{reach}"] = "Fig. 5", replace(attending, reach=reach)
    for delta in DELTAS:
        rest = delta if base.delta_normal == base.delta else min(delta, base.delta_normal)
        rows[f"delta-{delta:g}"] = "Fig. 5", replace(featured, delta=delta, delta_normal=rest)
    return rows


def reproduce(splits: Splits, options: Options, command: str) -> list[Record]:
    """Fit and score every row; see ``vadistill.reproduce.reproduce``.

    ``backbones`` (default: those whose features the data set has) are the teacher's; each of them
    has a student of its own, and the tables' student is CLIP's, or that of the first.  Where the
    data set tells the kinds of anomaly, the student's AUC of each is recorded too (Fig. 6).
    """
    base = base_config(
        splits,
        options.backbones,
        recipe=options.recipe,
        quick=options.quick,
        epochs=options.epochs,
    )
    table = variants(base)
    names = asked(list(table), options.only)
    marks = published_rows("dakd", splits.train.name, "raw")
    protocol = next((protocol for mark in marks.values() for protocol in mark), "micro/raw")
    if {kind_of(name) for name in base.teacher} != set(PREFERRED) or options.recipe != "paper":
        marks = {}  # the paper's rows are of its own backbones and settings
    rows = [
        Row(
            "dakd",
            variant,
            source,
            replace(config, seed=seed),
            seed,
            marks.get(variant, {}),
        )
        for variant, (source, config) in table.items()
        if variant in names
        for seed in options.seeds
    ]
    usual = ("micro/raw", "ap/raw", "macro-skip/raw") if mixed(splits) else ("micro/raw", "ap/raw")
    measured = dict.fromkeys([protocol, *(options.protocols or usual)])
    records = run_rows(rows, splits, tuple(measured), options, command)
    more = [r for row in rows for r in alarm_records(row, splits, options, records)]
    students = [row for row in rows if row.label == f"student {base.student}"]
    more += [r for row in students for r in class_records(row, splits, options, records)]
    write_records(options.out / "results.json", more)
    return [*records, *more]


def mixed(splits: Splits) -> bool:
    """Whether some test video has both classes, so that there is an AUC inside of it."""
    known = [v.frame_labels for v in splits.test if v.frame_labels is not None]
    return any(0 < labels.sum() < len(labels) for labels in known)


def alarm_records(
    row: Row, splits: Splits, options: Options, records: Sequence[Record]
) -> list[Record]:
    """The field's false alarm rate: share of normal videos' frames that score above 0.5."""
    mine = [r for r in records if r.variant == row.label and r.seeds == (row.seed,)]
    run = load_run(row.folder(options.data, options.out))
    normal = [scores for labels, scores in run.frames if not labels.any()]
    if not mine or not normal:
        return []
    rate = replace(
        mine[0],
        metric="false_alarms",
        protocol="above 0.5/raw",
        value=float((np.concatenate(normal) > 0.5).mean()),
        low=None,
        high=None,
        paper=None,
        note=f"{row.source}; frames of {len(normal)} normal videos",
    )
    return [rate]


def class_records(
    row: Row, splits: Splits, options: Options, records: Sequence[Record]
) -> list[Record]:
    """Fig. 6: the row's micro AUC of each kind of anomaly against all normal videos.

    Empty where the data set does not tell several kinds.  Raises ConfigError for a row without a
    record.
    """
    classes = {video.name: video.classes for video in splits.test if video.classes}
    if len({kind for kinds in classes.values() for kind in kinds}) < 2:
        return []
    mine = [r for r in records if r.variant == row.label and r.seeds == (row.seed,)]
    if not mine:
        raise ConfigError(f"no record of {row.label}", expected="a finished row", fix="run it")
    run = load_run(row.folder(options.data, options.out))
    return [
        replace(
            mine[0],
            variant=f"{row.label}, {each.name} videos",
            metric="auc",
            protocol="micro/raw",
            value=each.auc,
            low=None,
            high=None,
            paper=None,
            note=f"Fig. 6; {each.videos} videos of the class and all normal ones",
        )
        for each in class_aucs(run.frames, classes)
        if each.auc is not None
    ]
