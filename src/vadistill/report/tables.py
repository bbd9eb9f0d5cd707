"""Tables for a report beside its figures: operating points, classes, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vadistill.datasets.base import Dataset, Video
from vadistill.evaluation.comparison import Difference
from vadistill.evaluation.operating import OperatingPoint, OperatingPoints, operating_points
from vadistill.evaluation.runs import Run
from vadistill.report.page import ReportTable
from vadistill.scores import Scores

RATES = (1, 10, 60)
"""False alarms per hour of normal footage that operators are shown, as far as a set can tell."""

CALIBRATED = "calibrated, 1 normal frame a day"
"""Name of the operating point that a fitted detector uses live, chosen without labels."""


def operate(run: Run, dataset: Dataset, scores: Mapping[str, Scores]) -> OperatingPoints | None:
    """What an operator of this run's model would see, on raw scores, which alarms are raised from.

    The calibrated level is the mean over the videos' (they differ where frame rates do).  None
    where a frame rate is unknown, labels are of whole videos, or one kind of frame is lacking.
    """
    if run.frames.of_videos:
        return None
    if set(run.fps) != set(run.frames.names) or len(set(run.frames.all_labels.tolist())) < 2:
        return None
    levels = [s.alarm_level() for s in scores.values() if s.calibration is not None]
    kinds = classes_of(dataset)
    normal = sum(
        np.count_nonzero(labels == 0) / run.fps[name] / 3600
        for name, labels in zip(run.frames.names, run.frames.labels, strict=True)
    )
    return operating_points(
        run.frames,
        run.fps,
        rates=[rate for rate in RATES if rate * normal >= 1] or [0],
        thresholds={CALIBRATED: sum(levels) / len(levels)} if levels else None,
        classes=kinds or None,
    )


def classes_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Kinds of anomaly by abnormal clip; empty unless the data set knows them of all of these."""
    found = {clip.name: kinds for clip in dataset if (kinds := _kinds(clip))}
    abnormal = [c.name for c in dataset if c.frame_labels is not None and c.frame_labels.any()]
    return found if set(abnormal) <= set(found) else {}


def _kinds(clip: Video) -> tuple[str, ...]:
    return tuple(dict.fromkeys(track.kind for track in clip.tracks if track.kind))


def operating_table(found: Mapping[str, OperatingPoints]) -> ReportTable:
    """One row a system and threshold."""
    rows = [
        [
            system,
            point.name,
            point.threshold,
            f"{point.found} of {point.events}",
            point.false_alarms_per_hour,
            _percent(point.precision),
            _seconds(point),
        ]
        for system, points in found.items()
        for point in points.points
    ]
    notes = dict.fromkeys(note for points in found.values() for note in points.notes)
    return ReportTable(
        "For operators",
        ["system", "threshold", "score", "events found", "false alarms/h", "precision", "delay"],
        rows,
        "Raw scores. Delay: median from an event's start to the first alarm in it, found events "
        f"only. {' '.join(f'{note[0].upper()}{note[1:]}.' for note in notes)}",
    )


def class_table(found: Mapping[str, OperatingPoints]) -> ReportTable | None:
    """AUC by kind of anomaly, one column a system; None where no kinds are known."""
    first = next(iter(found.values()), None)
    if first is None or not first.classes:
        return None
    by_system = {s: {c.name: c for c in points.classes} for s, points in found.items()}
    rows = [
        [c.name, c.videos, *(_percent(own[c.name].auc) for own in by_system.values())]
        for c in first.classes
    ]
    reasons = [f"{c.name}: {c.reason}" for c in first.classes if c.reason]
    words = "Micro AUC of each kind's videos with all normal videos, raw scores."
    return ReportTable(
        "By kind of anomaly", ["kind", "videos", *by_system], rows, " ".join([words, *reasons])
    )


def difference_table(differences: Sequence[Difference]) -> ReportTable:
    """Paired differences from the first run, in points of per cent."""
    rows = [
        [d.protocol, d.run, d.against, _points(d.value), _interval(d), _percent(d.above)]
        for d in differences
    ]
    return ReportTable(
        "Differences",
        ["protocol", "run", "against", "difference", "95 % interval", "higher in"],
        rows,
        "In points of per cent. Intervals pair the same bootstrap resamples of the videos; 'higher "
        "in' is the share of resamples in which the run has the higher figure.",
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _interval(found: Difference) -> str:
    if found.low is None or found.high is None:
        return "–"
    return f"{_points(found.low)} … {_points(found.high)}"


def _seconds(point: OperatingPoint) -> str:
    median = point.delay.median_seconds
    return "–" if median is None else f"{median:.1f} s"
