"""From scores to events: levels for a wanted number of false alarms a day, and who tracks them.

Normal scores rarely last as long as the wanted time between alarms, so the level lies beyond most
of them.  It comes from the tail: peaks over a threshold follow a generalised Pareto distribution
(Pickands 1975; for streams Siffer et al., KDD 2017); its quantile at the wanted rate is the level.
A peak is the highest score that lasts as many frames as open an event, so that what is counted are
alarms, not frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from vadistill.errors import DataError
from vadistill.scores import Calibration

DAY = 86_400.0

TAIL = 0.98
"""Quantile of lasting scores above which peaks belong to the tail."""

CLOSING = 0.9
"""Share of normal stretches, as long as close an event, that lie wholly below its closing level."""

LEAST_PEAKS = 10
"""With fewer peaks the tail is exponential, of their mean excess."""

LEAST_SECONDS = 60.0
"""Footage that a camera's level is learned from."""

SHAPES = (-0.5, 0.3)
"""Bounds of the Pareto shape: short footage pretends heavier tails than there are."""

Source = Literal["training", "camera", "fixed"]


@dataclass(frozen=True)
class Level:
    """Raw scores at which events open and close."""

    on: float
    off: float
    """At most ``on``."""
    source: Source
    """The model's training frames, the camera's own normal footage, or the settings."""
    footage_hours: float = 0.0
    """Normal footage behind it, 0 where that is not known."""
    false_alarms_per_day: float = 1.0
    """What it was made for."""
    extrapolated: bool = False
    """Whether the footage is too short to have seen so rare an alarm."""

    @property
    def note(self) -> str:
        """What to know of it, in a sentence."""
        if self.source == "fixed":
            return "set by hand"
        if self.source == "training":
            return "from training frames: calibrate on this camera when it has seen normal hours"
        hours = f"{self.footage_hours:.2g} hours of this camera"
        return f"from {hours}, beyond its highest scores" if self.extrapolated else f"from {hours}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "note": self.note}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Level:
        """The inverse of ``as_json``."""
        return cls(**{k: v for k, v in value.items() if k != "note"})


def training_level(
    calibration: Calibration, false_alarms_per_day: float, fps: float, seconds: float = 2.0
) -> Level:
    """From a model's quantiles of training frames: at most its highest training score.

    Quantiles do not say how frames follow each other: each counts as an alarm, and the frames of
    the ``seconds`` that close an event as independent.
    """
    share = 1 - false_alarms_per_day / (DAY * max(fps, 1e-6))
    on = above(float(np.quantile(calibration.quantiles, np.clip(share, 0, 1))))
    below = CLOSING ** (1 / max(1.0, fps * seconds))
    off = min(on, above(float(np.quantile(calibration.quantiles, below))))
    return Level(on, off, "training", false_alarms_per_day=false_alarms_per_day)


def above(score: float) -> float:
    """The next number: many frames may have the very same score, such as those without objects."""
    return float(np.nextafter(score, np.inf))


def lasting(values: Float[np.ndarray, " n"], frames: int) -> Float[np.ndarray, " m"]:
    """What each run of ``frames`` scores stays at or above; m = n - frames + 1."""
    if len(values) < frames:
        return values[:0]
    return np.lib.stride_tricks.sliding_window_view(values, frames).min(1)


def peaks_over(
    times: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], level: float, gap: float
) -> Float[np.ndarray, " p"]:
    """The highest value of each stretch above ``level``; stretches closer than ``gap`` seconds are
    one."""
    above = np.flatnonzero(values > level)
    if len(above) == 0:
        return values[:0]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(times[above]) > gap) + 1])
    return np.maximum.reduceat(values[above], starts)


def pareto_quantile(excesses: Float[np.ndarray, " p"], share: float) -> float:
    """The excess that ``share`` of peaks pass, 0 < share, of a generalised Pareto tail.

    A share of 1 or more gives 0.
    """
    if len(excesses) == 0 or share >= 1:
        return 0.0
    mean = float(excesses.mean())
    shape, scale = 0.0, max(mean, 1e-12)
    spread = float(excesses.var())
    if len(excesses) >= LEAST_PEAKS and spread > 0:
        # By moments (Hosking and Wallis 1987): steadier than likelihood on few peaks.
        ratio = mean * mean / spread
        shape = float(np.clip(0.5 * (1 - ratio), *SHAPES))
        scale = mean * (1 - shape)
    if abs(shape) < 1e-6:
        return scale * math.log(1 / share)
    return scale / shape * (share**-shape - 1)


def camera_level(
    chunks: Sequence[tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]],
    *,
    false_alarms_per_day: float,
    frames: int,
    seconds: float,
) -> Level:
    """From times (seconds) and scores of normal footage in unbroken pieces.

    ``frames`` open an event and ``seconds`` close it, as for ``Tracker``.  Raises DataError for
    less than a minute of footage.
    """
    pieces = [(t, lasting(v, frames)) for t, v in chunks if len(v) >= frames]
    length = sum(float(t[-1] - t[0]) for t, _ in chunks if len(t) > 1)
    if length < LEAST_SECONDS or not pieces:
        raise DataError(
            f"{length:.0f} seconds of normal footage",
            expected=f"at least {LEAST_SECONDS:.0f}",
            fix="let the camera run for some hours of normal footage, then calibrate",
        )
    lasted = np.concatenate([v for _, v in pieces])
    low = float(np.quantile(lasted, TAIL))
    peaks = np.concatenate([peaks_over(t[: len(v)], v, low, seconds) for t, v in pieces])
    days = length / DAY
    wanted = false_alarms_per_day * days
    if len(peaks) == 0:  # scores that never vary
        on = above(float(lasted.max()))
    else:
        on = low + pareto_quantile(peaks - low, wanted / len(peaks))
    # Of footage this long, not more than the wanted alarms may have been above the level.
    allowed = int(wanted)
    seen = np.sort(peaks)[::-1]
    if allowed < len(seen):
        on = max(on, above(float(seen[allowed])))
    step = float(np.median(np.concatenate([np.diff(t) for t, _ in pieces])))
    rest = max(1, round(seconds / max(step, 1e-6)))
    highest = np.concatenate([-lasting(-v, min(rest, len(v))) for _, v in chunks if len(v)])
    off = min(on, above(float(np.quantile(highest, CLOSING))))
    return Level(on, off, "camera", length / 3600, false_alarms_per_day, extrapolated=wanted < 1)


def without(
    times: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    intervals: Sequence[tuple[float, float]],
    *,
    gap: float = 5.0,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Unbroken pieces of a score curve outside intervals; a pause of ``gap`` seconds breaks one."""
    keep = np.ones(len(times), bool)
    for start, end in intervals:
        keep &= (times < start) | (times > end)
    index = np.flatnonzero(keep)
    if len(index) == 0:
        return []
    breaks = np.flatnonzero((np.diff(index) > 1) | (np.diff(times[index]) > gap)) + 1
    return [(times[part], values[part]) for part in np.split(index, breaks)]


@dataclass(frozen=True)
class Stretch:
    """An event so far; times are unix seconds of frames' arrival."""

    start: float
    """Of the first frame of the run that opened it."""
    last: float
    """Of the last frame at or above the closing level."""
    peak: float
    frames: int
    """Frames at or above the closing level."""


@dataclass(frozen=True)
class Change:
    """What a frame did to the event."""

    kind: Literal["opened", "higher", "going", "closed"]
    """``higher``: the frame has the event's new peak."""
    event: Stretch


class Tracker:
    """Hysteresis: ``frames`` in a row at or above ``level.on`` open an event.

    It closes when all frames of ``seconds`` are below ``level.off``, or when the stream is lost.
    """

    def __init__(self, level: Level, *, frames: int = 3, seconds: float = 2.0) -> None:
        self.level, self.frames, self.seconds = level, max(1, frames), seconds
        self.event: Stretch | None = None
        self._run: Stretch | None = None

    @property
    def busy(self) -> bool:
        """Whether an event is open, or the last frame may be the first of one."""
        return self.event is not None or self._run is not None

    def push(self, time: float, score: float, *, may_open: bool = True) -> Change | None:
        """The next frame's score, ``time`` in seconds; an event opens only where it may."""
        if self.event is None:
            return self._rise(time, score if may_open else -math.inf)
        event = self.event
        if score >= self.level.off:
            higher = score > event.peak
            peak = max(score, event.peak)
            self.event = replace(event, last=time, peak=peak, frames=event.frames + 1)
            return Change("higher" if higher else "going", self.event)
        if abs(time - event.last) >= self.seconds:  # a clock that was set back breaks it, too
            return self.close()
        return Change("going", event)

    def close(self) -> Change | None:
        """End the event there is, such as when the stream is lost."""
        event, self.event, self._run = self.event, None, None
        return None if event is None else Change("closed", event)

    def _rise(self, time: float, score: float) -> Change | None:
        if score < self.level.on:
            self._run = None
            return None
        run = self._run or Stretch(time, time, score, 0)
        self._run = replace(run, last=time, peak=max(run.peak, score), frames=run.frames + 1)
        if self._run.frames < self.frames:
            return None
        self.event, self._run = self._run, None
        return Change("opened", self.event)
