"""A report's tables: figures, operating points, kinds of anomaly, differences, other papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vadistill.datasets.base import Dataset, Video
from vadistill.evaluation.comparison import Difference, paired_differences
from vadistill.evaluation.evaluate import Results
from vadistill.evaluation.measuring import Evaluation, Figure, percent, published
from vadistill.evaluation.operating import OperatingPoint, OperatingPoints, operating_points
from vadistill.evaluation.protocol import REGION, Protocol
from vadistill.evaluation.runs import Run
from vadistill.progress import clock
from vadistill.report.page import ReportTable, folded, small, table
from vadistill.scores import Scores

RATES = (1, 10, 60)
"""False alarms per hour of normal footage that operators are shown, as far as a set can tell."""

TELLS = 1.0
"""Hours of normal footage from which on false alarms an hour are told."""

CALIBRATED = "calibrated, 1 false alarm a day"
"""Name of the operating point that a fitted detector uses live, chosen without labels: its alarms
are the events that ``score`` lists."""


def figures(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """One row a protocol; several systems stand side by side.

    Those of the first one's smoothing and of regions stand open, each other smoothing's are folded.
    """
    if not evaluations:
        return []
    found = {s: {f.protocol: f for f in e.figures} for s, e in evaluations.items()}
    names = list(dict.fromkeys(protocol for by_name in found.values() for protocol in by_name))
    header = ["protocol"]
    columns: list[list[str]] = []
    for system, by_name in found.items():
        shown = [by_name.get(name) for name in names]
        header.append(system)
        columns.append([_words(f) for f in shown])
        if any(f is not None and f.paper is not None for f in shown):
            header.append(f"{system}, paper" if len(found) > 1 else "paper")
            columns.append([percent(f.paper if f else None) for f in shown])
    first = next(iter(evaluations.values()))
    protocols = [Protocol.parse(name).on(first.dataset) for name in names]
    groups: dict[str, list[list[str]]] = {protocols[0].smoothing.name: []} if protocols else {}
    for i, protocol in enumerate(protocols):
        form = next(iter(groups)) if protocol.measure in REGION else protocol.smoothing.name
        row = [str(protocol), *(column[i] for column in columns), protocol.title]
        groups.setdefault(form, []).append(row)
    shown = [table([*header, "measure"], rows) for rows in groups.values()]
    others = zip(groups, shown, strict=True)
    notes = list(dict.fromkeys(note for e in evaluations.values() for note in e.notes))
    interval = f" (95 % interval: {first.resamples} bootstrap resamples of the videos)"
    notes.insert(0, "in per cent" + interval * bool(first.resamples))
    more = [folded(f"the same, {form}", rows) for form, rows in others][1:]
    return [*shown[:1], *more, *map(small, notes)]


def _words(figure: Figure | None) -> str:
    """Such as ``91.7 (81.9 – 97.2)``."""
    value = percent(None if figure is None else figure.value)
    if figure is None or figure.low is None:
        return value
    return f"{value} ({percent(figure.low)} – {percent(figure.high)})"


def tables_of(results: Results) -> list[ReportTable]:
    """What a report shows beside the figures of runs; empty without runs.

    Operating points, AUC by kind of anomaly, the paired differences of several runs, and what
    papers report on the data set.
    """
    runs = results.runs
    if not runs:
        return []
    found = {n: operate(run, results.dataset, results.scores[n]) for n, run in runs.items()}
    operating = {name: points for name, points in found.items() if points is not None}
    tables = [operating_table(operating), class_table(operating)] if operating else []
    if len(runs) > 1:
        first = next(iter(runs.values()))
        common = [p for p in first.protocols if all(p in run.protocols for run in runs.values())]
        named = [Protocol.parse(name) for name in common]
        tables.append(difference_table(paired_differences(list(runs.values()), named)))
    tables.append(published_table(results.dataset.name))
    return [table for table in tables if table is not None]


def operate(run: Run, dataset: Dataset, scores: Mapping[str, Scores]) -> OperatingPoints | None:
    """What an operator of this run's model would see, on raw scores, which alarms are raised from.

    None where a frame rate is unknown, labels are of whole videos, or one kind of frame is lacking.
    """
    if run.frames.of_videos:
        return None
    if set(run.fps) != set(run.frames.names) or len(set(run.frames.all_labels.tolist())) < 2:
        return None
    known = {name: each for name, each in scores.items() if each.calibration is not None}
    level = next((each.event_level() for each in known.values()), None)
    kinds = classes_of(dataset)
    normal = sum(
        np.count_nonzero(labels == 0) / run.fps[name] / 3600
        for name, labels in zip(run.frames.names, run.frames.labels, strict=True)
    )
    points = operating_points(
        run.frames,
        run.fps,
        rates=[rate for rate in RATES if rate * normal >= 1] or [0],
        thresholds={CALIBRATED: level.on} if level is not None else None,
        alarms={CALIBRATED: {name: each.events() for name, each in known.items()}},
        classes=kinds or None,
    )
    notes = () if level is None else (f"the calibrated level is {level.note}",)
    return replace(points, notes=(*points.notes, *notes))


def classes_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Kinds of anomaly by abnormal video; empty unless the data set knows them of all of these."""
    found = {video.name: kinds for video in dataset if (kinds := _kinds(video))}
    abnormal = [c.name for c in dataset if c.frame_labels is not None and c.frame_labels.any()]
    return found if set(abnormal) <= set(found) else {}


def _kinds(video: Video) -> tuple[str, ...]:
    return tuple(dict.fromkeys(track.kind for track in video.tracks if track.kind))


def operating_table(found: Mapping[str, OperatingPoints]) -> ReportTable:
    """One row a system and threshold."""
    rows = [
        [
            system,
            point.name,
            point.threshold,
            f"{point.found} of {point.events}",
            _false_alarms(point, points),
            _per_cent(point.precision),
            _seconds(point),
        ]
        for system, points in found.items()
        for point in points.points
    ]
    notes = dict.fromkeys(note for points in found.values() for note in points.notes)
    if any(points.normal_hours < TELLS for points in found.values()):
        notes["of less than an hour of normal footage false alarms are counted, not rated"] = None
    return ReportTable(
        "For operators",
        ["system", "threshold", "score", "events found", "false alarms", "precision", "delay"],
        rows,
        "Raw scores. Delay: median from an event's start to the first alarm in it, found events "
        f"only. {' '.join(f'{note[0].upper()}{note[1:]}.' for note in notes)}",
    )


def _false_alarms(point: OperatingPoint, points: OperatingPoints) -> str:
    """Such as ``2.1/h``, or of little footage ``3 in 4:05.0``."""
    if points.normal_hours < TELLS:
        return f"{point.false_alarms} in {clock(3600 * points.normal_hours)}"
    return f"{point.false_alarms_per_hour:.3g}/h"


def class_table(found: Mapping[str, OperatingPoints]) -> ReportTable | None:
    """AUC by kind of anomaly, one column a system; None where no kinds are known."""
    first = next(iter(found.values()), None)
    if first is None or not first.classes:
        return None
    by_system = {s: {c.name: c for c in points.classes} for s, points in found.items()}
    rows = [
        [c.name, c.videos, *(_per_cent(own[c.name].auc) for own in by_system.values())]
        for c in first.classes
    ]
    reasons = [f"{c.name}: {c.reason}" for c in first.classes if c.reason]
    words = "Micro AUC of each kind's videos with all normal videos, raw scores."
    return ReportTable(
        "By kind of anomaly", ["kind", "videos", *by_system], rows, " ".join([words, *reasons])
    )


def difference_table(differences: Sequence[Difference]) -> ReportTable:
    """Paired differences from the first run, in points of per cent."""
    rows = [[d.protocol, d.run, d.against, *d.words] for d in differences]
    return ReportTable(
        "Differences",
        ["protocol", "run", "against", "difference", "95 % interval", "higher in"],
        rows,
        "In points of per cent; above 0 is better, but for eer (equal error rate), of which lower "
        "is. Intervals pair the same bootstrap resamples of the videos; 'higher in' is the share "
        "of resamples in which the run has the higher figure.",
    )


def published_table(dataset: str) -> ReportTable | None:
    """What papers report on a data set, best first; None where nothing is known."""
    shown = [p for p in published(dataset) if p.title]
    if not shown:
        return None
    shown.sort(key=lambda p: -p.figures["micro"])
    rows = [[p.title, *(percent(p.figures.get(m)) for m in ("micro", *REGION))] for p in shown]
    return ReportTable(
        "Published figures",
        ["method", "micro AUC", "RBDC", "TBDC"],
        rows,
        "In per cent, as the papers report them: with smoothing of their own, and RBDC and TBDC "
        "with published tracks, so a guide and no ranking.",
    )


def _per_cent(value: float | None) -> str:
    return "–" if value is None else f"{percent(value)} %"


def _seconds(point: OperatingPoint) -> str:
    median = point.delay.median_seconds
    return "–" if median is None else f"{median:.1f} s"
