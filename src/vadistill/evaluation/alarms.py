"""Events, and the alarms that every threshold raises, counted at all thresholds from one sort.

An event is a maximal run of abnormal frames of a video, an alarm one of frames that score at or
above a threshold.  They are matched by any overlap: an event is found when an alarm shares a frame
with it, and an alarm is false when it shares none with any event.  False alarms are counted per
hour of normal footage, the only place where they can be raised.

As a threshold falls, alarms grow together, and one that covers half the day touches an event and
is called true.  So the count may fall again: a threshold for a rate is searched from the highest
down, never past the first that breaks it, nor past the most numerous false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from vadistill.datasets.intervals import stretches
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation.alignment import Aligned


@dataclass(frozen=True, eq=False)
class Footage:
    """All videos on one axis, apart from each other; made by ``footage``."""

    scores: Float[np.ndarray, " n"]
    """Joined over the alarm gap; -inf between videos."""
    abnormal: Int[np.ndarray, " n"]
    """1 within events, joined over the event gap."""
    video: Int[np.ndarray, " n"]
    starts: Int[np.ndarray, " v"]
    """Where each video's first frame is on the axis."""
    fps: Float[np.ndarray, " v"]
    seconds: Float[np.ndarray, " v"]
    """Length of each video."""
    normal_seconds: Float[np.ndarray, " v"]
    """Of each video outside its events."""

    @cached_property
    def events(self) -> Int[np.ndarray, "e 2"]:
        """Start and end (exclusive) of each event on the axis."""
        return stretches(self.abnormal > 0)

    @property
    def normal_hours(self) -> float:
        return float(self.normal_seconds.sum()) / 3600

    @cached_property
    def thresholds(self) -> Float[np.ndarray, " k"]:
        """All distinct scores, falling."""
        return np.unique(self.scores)[:0:-1]

    @cached_property
    def peaks(self) -> Float[np.ndarray, " e"]:
        """Highest score within each event: it is found at thresholds up to this."""
        return np.maximum.reduceat(self.scores, self.events.ravel())[::2]

    @cached_property
    def alarms(self) -> Int[np.ndarray, " k"]:
        """Alarms at each of ``thresholds``: frames in alarm less pairs of neighbours in alarm."""
        pairs = np.minimum(self.scores[1:], self.scores[:-1])
        return self._reach(self.scores) - self._reach(pairs)

    @cached_property
    def false_alarms(self) -> Int[np.ndarray, " k"]:
        """False alarms at each of ``thresholds``: all less those that share a frame with an event.

        The latter are the runs within events, less the joints where a run goes on through all
        normal frames from one event to the next.
        """
        inside = self.abnormal > 0
        pairs = np.minimum(self.scores[1:], self.scores[:-1])[inside[1:] & inside[:-1]]
        between = np.column_stack([self.events[:-1, 1] - 1, self.events[1:, 0] + 1])
        joints = (
            np.minimum.reduceat(self.scores, between.ravel())[::2] if len(between) else pairs[:0]
        )
        runs = self._reach(self.scores[inside]) - self._reach(pairs)
        return self.alarms - (runs - self._reach(joints))

    def _reach(self, values: Float[np.ndarray, " m"]) -> Int[np.ndarray, " k"]:
        """How many of ``values`` are at or above each of ``thresholds``."""
        return len(values) - np.searchsorted(np.sort(values), self.thresholds, "left")

    def threshold_at_false_alarms(self, rate: float) -> float:
        """The lowest threshold at and above which there are at most ``rate`` false alarms an hour.

        On T hours of normal footage one false alarm is 1/T per hour: a smaller ``rate`` means none
        at all.  Where even the highest score breaks it, just above that: no alarm.  A rate that no
        threshold reaches gives the one with the most false alarms, below which they only grow
        together.  Raises ConfigError for a rate below 0.
        """
        if not (math.isfinite(rate) and rate >= 0):
            raise ConfigError(
                f"a rate of {rate} false alarms per hour", expected="0 or more", fix="correct it"
            )
        count = self.false_alarms
        broken = np.flatnonzero(count > rate * self.normal_hours + 1e-9)
        first = int(broken[0]) if len(broken) else int(np.flatnonzero(count == count.max())[-1]) + 1
        if first == 0:
            return float(np.nextafter(self.thresholds[0], np.inf))
        return float(self.thresholds[first - 1])

    def threshold_at_recall(self, recall: float) -> float:
        """The highest threshold that finds at least this share of events; raises ConfigError."""
        if not 0 < recall <= 1:
            raise ConfigError(
                f"an event recall of {recall}", expected="more than 0, at most 1", fix="correct it"
            )
        wanted = math.ceil(recall * len(self.peaks) - 1e-9)
        return float(np.sort(self.peaks)[-max(wanted, 1)])


def footage(
    data: Aligned,
    fps: float | Mapping[str, float],
    *,
    alarm_gap: int = 0,
    event_gap: int = 0,
) -> Footage:
    """Prepare labels and scores for ``operating_points``, or for other thresholds.

    Args:
        data: frame labels and scores; events and alarms never cross from video to video.
        fps: frames per second, of all videos or by name.
        alarm_gap: alarms with at most so many frames between them are one, which takes these
            frames in; a delay may so be up to as many frames too short.
        event_gap: the same of events, for annotations that let go of one for a frame or two.

    Raises ConfigError for a setting, DataError for an absent rate or a set without events or
    without normal frames.
    """
    from scipy.ndimage import grey_closing

    if min(alarm_gap, event_gap) < 0:
        raise ConfigError(
            f"gaps of {alarm_gap} and {event_gap} frames", expected="0 or more", fix="correct them"
        )
    rates = np.array([_rate(name, fps) for name in data.names])
    apart = max(alarm_gap, event_gap) + 1  # one frame more than what is joined
    lengths = np.array([len(labels) for labels in data.labels])
    video = np.repeat(np.arange(len(data)), lengths + apart)
    ends = np.cumsum(lengths + apart)
    place = np.concatenate(
        [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    )
    scores = np.full(len(video) + apart, -np.inf)
    abnormal = np.full(len(scores), 0)
    scores[place], abnormal[place] = data.all_scores, data.all_labels
    video = np.append(video, np.full(apart, len(data) - 1))
    # A closing fills just the gaps: it is the same as joining the alarms of every threshold.
    if alarm_gap:
        scores = grey_closing(scores, size=alarm_gap + 1, mode="constant", cval=-np.inf)
    if event_gap:
        abnormal = grey_closing(abnormal, size=event_gap + 1, mode="constant", cval=0)
    inside = np.bincount(video, abnormal, minlength=len(data))
    if not 0 < inside.sum() < lengths.sum():
        raise DataError(
            f"{len(data)} videos with {'ab' if inside.sum() else ''}normal frames only",
            expected="events and normal footage",
            fix="check the labels, or add videos of the other kind",
        )
    starts, normal = ends - lengths, (lengths - inside) / rates
    return Footage(scores, abnormal, video, starts, rates, lengths / rates, normal)


def _rate(name: str, fps: float | Mapping[str, float]) -> float:
    rate = fps.get(name) if isinstance(fps, Mapping) else fps
    if rate is None or not (math.isfinite(rate) and rate > 0):
        raise DataError(
            f"video {name} has " + ("no frame rate" if rate is None else f"{rate} frames/s"),
            expected="frames per second above 0 for every video",
            fix="pass fps=… as one number, or by video",
        )
    return float(rate)
