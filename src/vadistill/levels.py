"""Levels of events: the raw scores at which they open and close, from normal footage.

A level is made for a wanted number of false alarms a day: of a model's training frames, whose
quantiles its ``Calibration`` holds, or of a camera's own footage.

Normal scores rarely last as long as the wanted time between alarms, so the level lies beyond most
of them.  It comes from the tail: peaks over a threshold follow a generalised Pareto distribution
(Pickands 1975; for streams Siffer et al., KDD 2017); its quantile at the wanted rate is the level.
A peak is the highest score that lasts as many frames as open an event, so that what is counted are
alarms, not frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from vadistill.errors import DataError

DAY = 86_400.0

FRAMES = 3
"""In a row that open an event."""

TAIL = 0.98
"""Quantile of lasting scores above which peaks belong to the tail."""

CLOSING = 0.9
"""Share of normal stretches, as long as close an event, that lie wholly below its closing level."""

LEAST_PEAKS = 10
"""With fewer peaks the tail is exponential, of their mean excess."""

LEAST_SECONDS = 60.0
"""Footage that a camera's level is learned from."""

FPS = 25.0
"""Frames a second of training footage whose rate is not known."""

SHAPES = (-0.5, 0.3)
"""Bounds of the Pareto shape: short footage pretends heavier tails than there are."""

Source = Literal["training", "camera", "fixed"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Quantiles of the frame scores of normal training video: turns a raw score into a share."""

    quantiles: Float[np.ndarray, " q"]
    lasting: Float[np.ndarray, " q"] | None = None
    """The same of the scores that ``FRAMES`` in a row stay at or above, which is what opens an
    event; None where training has not seen frames in a row, or a model is older than this."""
    frames: int = 0
    """That the quantiles are of, as far as is known: of the training footage, where a model is
    older than this; 0 where that is not known either."""
    seconds: float = 0.0
    """The time that these take, 0 where that is not known."""

    @classmethod
    def fit(
        cls, values: Iterable[float], runs: Sequence[int] = (), size: int = 1001, each: int = 1
    ) -> Calibration:
        """Keep ``size`` evenly spaced quantiles of normal scores; raises DataError if none.

        ``runs`` are numbers of frames that follow each other in a video, in the order of
        ``values``, all of which they make up; none where frames between these are missing.  A
        score is of so many frames ``each``.
        """
        scores = np.asarray(list(values), np.float64)
        if len(scores) == 0:
            raise DataError(
                "no frames to calibrate on",
                expected="at least one normal frame",
                fix="fit on more video",
            )
        grid = np.linspace(0, 1, size)
        assert not len(runs) or sum(runs) == len(scores)
        lasted = [lasting(own, FRAMES) for own in np.split(scores, np.cumsum(runs)[:-1])]
        known = len(runs) > 0 and any(map(len, lasted))
        return cls(
            np.quantile(scores, grid),
            np.quantile(np.concatenate(lasted), grid) if known else None,
            each * len(scores),
        )

    def of(self, footage: Mapping[str, Any] | None) -> Calibration:
        """The same quantiles, with the time that their frames take of ``footage``, if it is known.

        ``footage`` is as ``datasets.footage`` describes it; not all of its frames may have been
        looked at.  Raises DataError for a description that cannot be one.
        """
        known = footage or {}
        frames, seconds = known.get("frames", 0), known.get("seconds", 0.0)
        if not all(isinstance(x, int | float) and 0 <= x < math.inf for x in (frames, seconds)):
            raise DataError(
                f"footage of {frames!r:.30} frames and {seconds!r:.30} seconds",
                expected="numbers from 0",
                fix="fit the model again",
            )
        seen = min(self.frames or frames, frames)
        return replace(self, frames=int(seen), seconds=seconds * seen / max(frames, 1))

    def check(self) -> Calibration:
        """Itself; raises ValueError for what ``fit`` cannot have made, such as one out of order."""
        for values in (self.quantiles, *([] if self.lasting is None else [self.lasting])):
            shape = values.shape
            if len(shape) != 1 or shape[0] < 2 or (np.diff(values) < 0).any():
                raise ValueError(f"calibration of shape {list(shape)}, or not in ascending order")
        return self

    def arrays(self) -> dict[str, Float[np.ndarray, " q"]]:
        """What a saved model keeps of it, by name."""
        frames = np.array([self.frames], np.float64) if self.frames else None
        kept = {"calibration": self.quantiles, "lasting": self.lasting, "calibrated": frames}
        return {name: values.copy() for name, values in kept.items() if values is not None}

    @classmethod
    def from_arrays(cls, kept: Mapping[str, Float[np.ndarray, "..."]]) -> Calibration:
        """The inverse of ``arrays``; raises KeyError, and ValueError as ``check``."""
        frames = kept.get("calibrated", np.zeros(1))
        if frames.shape != (1,) or not 0 <= frames[0] < 2**53:
            raise ValueError(f"calibration of {frames} frames")
        return cls(kept["calibration"], kept.get("lasting"), int(frames[0])).check()

    def __call__(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Share of normal training frames that score lower, in [0, 1]."""
        grid = np.linspace(0, 1, len(self.quantiles))
        below = np.interp(values, self.quantiles, grid)
        return np.where(np.asarray(values) <= self.quantiles[0], 0.0, below)


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
        """Where it comes from, and whether that footage can tell so rare an alarm."""
        if self.source == "fixed":
            return "set by hand"
        what = "training footage" if self.source == "training" else "this camera"
        if not self.footage_hours:
            return f"from {what}"
        rate = f"{self.false_alarms_per_day:g} false alarm{'s' * (self.false_alarms_per_day != 1)}"
        short = f", too short to tell {rate} a day" if self.extrapolated else ""
        return f"from {_length(self.footage_hours)} of {what}{short}"

    def as_json(self) -> dict[str, Any]:
        hint = ": calibrate on this camera when it has seen normal hours"
        return {**asdict(self), "note": self.note + hint * (self.source == "training")}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Level:
        """The inverse of ``as_json``."""
        return cls(**{k: v for k, v in value.items() if k != "note"})


def training_level(
    calibration: Calibration,
    false_alarms_per_day: float,
    seconds: float = 2.0,
    frames: int = FRAMES,
) -> Level:
    """From a model's quantiles: at most just above what training frames have stayed at or above.

    That is the highest score of ``FRAMES`` in a row, where training has seen such and as many or
    more ``frames`` open an event, else that of a single frame.  Quantiles do not say how these
    follow each other: each counts as an alarm, at the rate of the training footage, and the frames
    of the ``seconds`` that close an event as independent.
    """
    known = calibration.frames > 0 and calibration.seconds > 0
    fps = calibration.frames / calibration.seconds if known else FPS
    share = 1 - false_alarms_per_day / (DAY * fps)
    lasted = calibration.lasting if frames >= FRAMES else None
    opening = calibration.quantiles if lasted is None else lasted
    on = above(float(np.quantile(opening, np.clip(share, 0, 1))))
    below = CLOSING ** (1 / max(1.0, fps * seconds))
    off = min(on, above(float(np.quantile(calibration.quantiles, below))))
    short = known and false_alarms_per_day * calibration.seconds < DAY
    return Level(on, off, "training", calibration.seconds / 3600, false_alarms_per_day, short)


def _length(hours: float) -> str:
    """Such as ``50 seconds``, ``4.2 minutes`` or ``1.5 hours``."""
    number, unit = (60 * hours, "minute") if hours < 1 else (hours, "hour")
    if number < 1:
        number, unit = 3600 * hours, "second"
    text = f"{number:.2g}" if number < 100 else f"{number:.0f}"
    return f"{text} {unit}{'s' * (text != '1')}"


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

    ``frames`` open an event and ``seconds`` close it, as for ``events.Tracker``.  Raises DataError
    for less than a minute of footage.
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
