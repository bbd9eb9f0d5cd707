"""What an operator needs to know: false alarms per hour, events found, and how late.

Events, alarms and how they match are those of ``alarms``.  A threshold chosen here is best on test,
since the choice sees the labels.  The honest figures of a system that runs live are those at a
given threshold, fixed beforehand: for raw scores the level that ``Scores.events`` takes from the
calibration on normal training footage, and then the alarms are the events that it gives, which
open and close as a camera's do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vadistill.datasets.intervals import stretches
from vadistill.errors import ConfigError
from vadistill.evaluation import bootstrap as resampling
from vadistill.evaluation.alarms import Footage, footage
from vadistill.evaluation.alignment import Aligned
from vadistill.evaluation.frame_level import ClassAuc, class_aucs
from vadistill.events import Event

RULE = "an alarm and an event match when they share a frame"

Range = tuple[float | None, float | None]
"""Ends of a 95 % bootstrap interval over videos; None without resamples."""


@dataclass(frozen=True)
class Delay:
    """From an event's first frame to the first frame of an alarm in it, over found events only."""

    median_frames: float | None
    mean_frames: float | None
    median_seconds: float | None
    """Each event's by the rate of its video; None where no event was found."""
    mean_seconds: float | None
    at_once: int
    """Found events whose alarm was on already in the frame before they began (delay 0)."""


@dataclass(frozen=True)
class OperatingPoint:
    """What happens at one threshold."""

    name: str
    """For people, such as ``false alarms ≤ 1/h``."""
    chosen_by: Literal["false_alarms_per_hour", "event_recall", "given"]
    wanted: float | None
    """The stated rate per hour of normal footage, or event recall in (0, 1]; None if given."""
    best_on_test: bool
    """Whether the threshold was chosen with the labels that it is measured on."""
    resolved: bool
    """False where the stated rate is above 0 and below one false alarm in all the footage."""
    threshold: float
    """In the unit of the scores; alarms are at or above it."""
    alarms: int
    false_alarms: int
    false_alarms_per_hour: float
    """Per hour of normal footage."""
    normal_share: float
    """Share in [0, 1] of normal frames that are in an alarm, false or not."""
    events: int
    found: int
    missed: int
    """Events without any alarm; no delay is made up for them."""
    recall: float
    """found / events, in [0, 1]."""
    precision: float | None
    """Share in [0, 1] of alarms that are not false; None without alarms."""
    f1: float
    """Harmonic mean of event recall and alarm precision, in [0, 1]; 0 without alarms."""
    delay: Delay
    intervals: Mapping[str, Range]
    """Of recall, precision, f1 and false_alarms_per_hour, at this threshold held fixed."""


@dataclass(frozen=True)
class OperatingPoints:
    """Everything for a table of a report."""

    points: tuple[OperatingPoint, ...]
    classes: tuple[ClassAuc, ...]
    videos: int
    events: int
    hours: float
    """All footage."""
    normal_hours: float
    """Footage outside events."""
    resolution: float
    """False alarms per hour that a single one on this set is."""
    alarm_gap: int
    event_gap: int
    """Frames over which alarms, and events, were joined."""
    notes: tuple[str, ...]
    """What a reader must know, one line each."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with every field."""
        return asdict(self)


def operating_point(
    flat: Footage,
    threshold: float,
    name: str = "",
    chosen_by: Literal["false_alarms_per_hour", "event_recall", "given"] = "given",
    wanted: float | None = None,
    drawn: Int[np.ndarray, "r v"] | None = None,
    above: Bool[np.ndarray, " n"] | None = None,
) -> OperatingPoint:
    """Everything at ``threshold``; ``drawn`` are the resamples of ``bootstrap.draws``.

    ``above``: the frames that are in an alarm; by default those that score at least ``threshold``.
    Raises ConfigError for a threshold that is no finite number.
    """
    if not math.isfinite(threshold):
        raise ConfigError(f"threshold {threshold}", expected="a finite number", fix="correct it")
    above = flat.scores >= threshold if above is None else above
    alarms, starts = stretches(above), flat.events[:, 0]
    abnormal_before = np.concatenate([[0], np.cumsum(flat.abnormal)])
    true = abnormal_before[alarms[:, 1]] > abnormal_before[alarms[:, 0]]
    in_alarm = np.append(np.flatnonzero(above), len(above))
    late = in_alarm[np.searchsorted(in_alarm, starts)] - starts
    found = np.logical_or.reduceat(above, flat.events.ravel())[::2]

    def by_video(positions: Int[np.ndarray, " m"]) -> Int[np.ndarray, " v"]:
        return np.bincount(flat.video[positions], minlength=len(flat.fps))

    counts = np.stack(
        [
            by_video(starts[found]),
            by_video(starts),
            by_video(alarms[true, 0]),
            by_video(alarms[:, 0]),
            flat.normal_seconds / 3600,
        ]
    )
    shares = _shares(counts.sum(1, keepdims=True))
    value = {key: float(one[0]) for key, one in shares.items()}
    spread = None if drawn is None else _shares((drawn @ counts.T).T)
    seconds = late[found] / flat.fps[flat.video[starts[found]]]
    normal = (flat.abnormal == 0) & np.isfinite(flat.scores)
    return OperatingPoint(
        name=name or f"threshold {threshold:.4g}",
        chosen_by=chosen_by,
        wanted=wanted,
        best_on_test=chosen_by != "given",
        resolved=chosen_by != "false_alarms_per_hour"
        or not 0 < (wanted or 0) * flat.normal_hours < 1,
        threshold=float(threshold),
        alarms=len(alarms),
        false_alarms=int((~true).sum()),
        false_alarms_per_hour=value["false_alarms_per_hour"],
        normal_share=float(above[normal].mean()),
        events=len(starts),
        found=int(found.sum()),
        missed=int((~found).sum()),
        recall=value["recall"],
        precision=value["precision"] if len(alarms) else None,
        f1=value["f1"],
        delay=Delay(
            *_middle(late[found]),
            *_middle(seconds),
            at_once=int((above[starts - 1] & above[starts]).sum()),
        ),
        intervals={
            key: (None, None) if spread is None else resampling.interval(spread[key])[:2]
            for key in shares
        },
    )


def _marked(
    data: Aligned, flat: Footage, events: Mapping[str, Sequence[Event]] | None
) -> Bool[np.ndarray, " n"] | None:
    """The frames of the axis that are in one of the events, by video; None of none given."""
    if events is None:
        return None
    marked = np.zeros(len(flat.scores), bool)
    for name, begin in zip(data.names, flat.starts.tolist(), strict=True):
        for event in events.get(name, ()):
            marked[begin + event.first : begin + event.last + 1] = True
    return marked


def _shares(counts: Float[np.ndarray, "5 r"]) -> dict[str, Float[np.ndarray, " r"]]:
    """Figures of r sets from events found, events, true alarms, alarms and normal hours."""
    found, events, true, alarms, hours = counts
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = found / events, true / alarms
        f1 = np.where(found > 0, 2 * precision * recall / (precision + recall), 0.0)
        return {
            "recall": recall,
            "precision": precision,
            "f1": np.where(events > 0, f1, np.nan),
            "false_alarms_per_hour": (alarms - true) / hours,
        }


def _middle(values: np.ndarray) -> tuple[float | None, float | None]:
    """Median and mean; None of nothing."""
    return (float(np.median(values)), float(values.mean())) if len(values) else (None, None)


def operating_points(
    data: Aligned,
    fps: float | Mapping[str, float],
    *,
    rates: Sequence[float] = (0.1, 1.0, 10.0),
    recalls: Sequence[float] = (0.5, 0.8, 0.9),
    thresholds: Mapping[str, float] | None = None,
    alarms: Mapping[str, Mapping[str, Sequence[Event]]] | None = None,
    classes: Mapping[str, str | Sequence[str]] | None = None,
    alarm_gap: int = 0,
    event_gap: int = 0,
    resamples: int = 1000,
    seed: int = 0,
) -> OperatingPoints:
    """Figures at stated false alarms per hour, event recalls and given thresholds.

    Args:
        rates: false alarms per hour of normal footage; see ``threshold_at_false_alarms``.
        recalls: shares of events found, in (0, 1]; see ``threshold_at_recall``.
        thresholds: by name, fixed without these labels, such as a fitted detector's calibrated one.
        alarms: at one of these, by its name, the events of each video that are its alarms.
        classes: each video's class or classes, for AUC by class.
        resamples: of the videos, behind each 95 % interval; 0 for none.

    The other arguments and the errors are those of ``footage`` and ``class_aucs``.
    """
    if resamples < 0:
        raise ConfigError(f"{resamples} resamples", expected="0 or more", fix="correct it")
    flat = footage(data, fps, alarm_gap=alarm_gap, event_gap=event_gap)
    drawn = resampling.draws(len(data), resamples, seed) if resamples and len(data) > 1 else None
    points = [
        operating_point(
            flat, level, name, drawn=drawn, above=_marked(data, flat, (alarms or {}).get(name))
        )
        for name, level in (thresholds or {}).items()
    ]
    for rate in rates:
        level = flat.threshold_at_false_alarms(rate)
        name = f"false alarms ≤ {rate:g}/h"
        points.append(operating_point(flat, level, name, "false_alarms_per_hour", rate, drawn))
    for recall in recalls:
        level = flat.threshold_at_recall(recall)
        points.append(
            operating_point(
                flat, level, f"event recall ≥ {recall:g}", "event_recall", recall, drawn
            )
        )
    resolution = 1 / flat.normal_hours
    notes = [f"{RULE}; false alarms are per hour of normal footage ({flat.normal_hours:.3g} h)"]
    coarse = [f"{point.wanted:g}" for point in points if not point.resolved]
    if coarse:
        notes.append(
            f"one false alarm on this set is {resolution:.3g} per hour: it is too short to tell "
            f"{', '.join(coarse)} per hour from none at all, and no false alarm was allowed there"
        )
    notes += [
        f"{point.name}: {point.normal_share:.0%} of all normal frames are in an alarm, and false "
        "alarms are few only because they have grown together"
        for point in points
        if point.normal_share > 0.5
    ]
    if any(point.best_on_test for point in points):
        notes.append("thresholds by rate or recall are best on test: chosen with its labels")
    return OperatingPoints(
        points=tuple(points),
        classes=class_aucs(data, classes) if classes is not None else (),
        videos=len(data),
        events=len(flat.events),
        hours=float(flat.seconds.sum()) / 3600,
        normal_hours=flat.normal_hours,
        resolution=resolution,
        alarm_gap=alarm_gap,
        event_gap=event_gap,
        notes=tuple(notes),
    )
