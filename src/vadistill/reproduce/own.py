"""What a user gets by default on any data set with frame labels: no paper's rows, our own.

A part of the normal footage is put aside as ``fit auto`` does, and nothing learns from it: there
the self-test says which of the rows ``auto`` keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vadistill.datasets import Splits
from vadistill.evaluation.auto import HOW
from vadistill.evaluation.comparison import paired_differences
from vadistill.evaluation.operating import operating_points
from vadistill.evaluation.protocol import Protocol
from vadistill.evaluation.runs import Run, is_located
from vadistill.reproduce.chosen import Candidates, auto_records
from vadistill.reproduce.options import Options
from vadistill.reproduce.records import Record
from vadistill.reproduce.rows import Row, asked, files_by_name, keep, run_rows
from vadistill.systems import blend, cafe, motion

VARIANTS = ("cafe", *(f"blend {how}" for how in HOW), "auto")
"""Beside ``motion``, which is always there."""

SMOOTHING = "gaussian3"


def candidates(localiser: str, seed: int) -> Candidates:
    """``motion``, ``cafe`` and the blends of both, on a localiser's boxes."""
    boxes = files_by_name(localiser)
    motion_config = motion.Config(localiser=localiser)
    free = Row("motion", f"motion, {boxes}", "baseline", motion_config, held_out=True)
    config = replace(cafe.RECIPES["default"](), localiser=localiser, seed=seed)
    learned = Row("cafe", f"cafe, {boxes}", "default", config, seed, held_out=True)
    blends = {
        f"blend ({how})": Row(
            "blend",
            f"blend {how}, {boxes}",
            "of motion and cafe",
            replace(blend.RECIPES["default"](), combine=how),
            seed,
            teachers=(free, learned),
            taught_by="of",
            held_out=True,
        )
        for how in HOW
    }
    return {"motion": free, "cafe": learned, **blends}


def rows_of(options: Options) -> list[Row]:
    """The rows that are asked for and those that they are made of, each once."""
    names = asked(VARIANTS, options.only, ("motion",))
    rows: dict[tuple[str, int], Row] = {}
    for localiser in options.localisers:
        for seed in options.seeds:
            free, *others = candidates(localiser, seed).values()
            wanted = [row for row in others if {row.label.partition(",")[0], "auto"} & names]
            parts = [part for row in wanted for part in row.teachers]
            rows |= {(row.label, row.seed): row for row in (free, *parts, *wanted)}
    return list(rows.values())


def reproduce(splits: Splits, options: Options, command: str) -> list[Record]:
    """Fit and score each with its defaults; see ``vadistill.reproduce.reproduce``.

    Beside the figures of ``protocols`` stand, for each row, how far they lie above ``motion``'s on
    the same boxes, the events found at one false alarm an hour, and the minutes of its fit.
    """
    protocols = options.protocols or (
        f"micro/{SMOOTHING}", f"macro-skip/{SMOOTHING}", "micro/raw"
    )  # fmt: skip
    if not options.protocols and all(map(is_located, splits.test)):
        protocols += ("rbdc/raw", "tbdc/raw")
    free: dict[str, Run] = {}
    minutes: dict[tuple[str, int], float] = {}

    def beside(row: Row, run: Run, record: Record) -> list[Record]:
        """What else is told of a row; ``record`` is one of its figures."""
        parts = [minutes[part.label, part.seed] for part in row.teachers]
        took = minutes[row.label, row.seed] = record.seconds / 60 + sum(parts)
        plain = replace(record, low=None, high=None, paper=None, note=row.source)
        boxes = row.label.partition(", ")[2]
        base = free.setdefault(boxes, run)  # motion comes first
        return [
            replace(plain, metric="fit_minutes", protocol="", value=took),
            *([event_recall(run, plain)] if set(run.frames.names) <= run.fps.keys() else ()),
            *(above(run, base, protocols, plain) if base is not run else ()),
        ]

    records = run_rows(rows_of(options), splits, protocols, options, command, beside)
    if "auto" in asked(VARIANTS, options.only, ("motion",)):
        groups = [candidates(name, seed) for name in options.localisers for seed in options.seeds]
        records += auto_records(groups, records, splits, options)
    keep(records, options.out)
    return records


def event_recall(run: Run, record: Record, rate: float = 1.0) -> Record:
    """The share of events found at ``rate`` false alarms an hour; ``record`` is one of the run."""
    smoothed = run.frames.map(Protocol.parse(f"micro/{SMOOTHING}").apply)
    (point,) = operating_points(smoothed, run.fps, rates=(rate,), recalls=()).points
    low, high = point.intervals["recall"]
    note = "the level is chosen on test"
    if not point.resolved:
        note += ", where a single false alarm is more than that: none is allowed"
    return replace(
        record,
        metric="event_recall",
        protocol=f"{rate:g}-false-alarm-an-hour/{SMOOTHING}",
        value=point.recall,
        low=low,
        high=high,
        note=f"{record.note}; {note}",
    )


def above(run: Run, base: Run, protocols: Sequence[str], record: Record) -> list[Record]:
    """How far the run's figures lie above the base's, by the paired bootstrap over videos."""
    named = [Protocol.parse(name) for name in protocols]
    return [
        replace(
            record,
            metric="above_motion",
            protocol=gap.protocol,
            value=gap.value,
            low=gap.low,
            high=gap.high,
        )
        for gap in paired_differences([base, run], named)
    ]
