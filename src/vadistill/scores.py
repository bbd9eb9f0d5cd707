"""Scores of a video: one finite number a frame, with boxes where a detector has them.

Raw scores are what a detector says.  Smoothing and calibration are separate, named steps, so that
every figure can state which were applied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32

from vadistill.errors import ConfigError, DataError
from vadistill.events import FRAMES, SECONDS, Event, Tracker
from vadistill.levels import Calibration, Level, above, training_level

NO_BOXES = np.zeros((0, 4), np.float32)
NO_TRAITS = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class FrameScore:
    """The anomaly score of one frame, higher is more anomalous."""

    index: int
    """0-based frame number."""
    time: float
    """Seconds from the start of the video."""
    score: float
    boxes: Float32[np.ndarray, "n 4"] = field(default_factory=lambda: NO_BOXES)
    """x1, y1, x2, y2 in pixels of the video; x2 and y2 are exclusive."""
    box_scores: Float32[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, np.float32))
    map: Float32[np.ndarray, "h w"] | None = None
    """Anomaly map over the whole frame at any resolution, or None."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What the score is made of, by name, where a detector tells: those of its highest object."""
    reason: str = ""
    """What is unusual, in words; '' where nothing is, or a detector does not tell."""
    name: str = ""
    """The kind of event, where prompts tell which."""
    traits: Float32[np.ndarray, "m k"] = field(default_factory=lambda: NO_TRAITS)
    """What each box's score is made of, one row a box, in columns of the detector's own: 0 is the
    middle of normal footage and 1 about what a hundredth of it pass.  NaN where a member of a blend
    has no box there.  No columns where a detector tells none."""

    def __post_init__(self) -> None:
        """Raise DataError unless all scores are finite: no level can be compared with others.

        Nor where traits are known of some boxes alone: which ones, nobody could tell.
        """
        if not (math.isfinite(self.score) and np.isfinite(self.box_scores).all()):
            raise DataError(
                f"frame {self.index} has a score that is no finite number",
                expected="finite scores",
                fix="the model may be damaged: load a sound copy, or fit it anew",
            )
        if len(self.traits) not in (0, len(self.boxes)):
            raise DataError(
                f"frame {self.index} has {len(self.boxes)} boxes and traits of {len(self.traits)}",
                expected="one row of traits a box, or none",
                fix="correct the detector",
            )


BELLS = ("gaussian", "zeropadded")
WIDEST = 100_000
"""Frames of the widest smoothing: an hour."""


@dataclass(frozen=True)
class Smoothing:
    """How frame scores are smoothed over time; part of a protocol's name.

    ``average``: moving average of ``width`` frames, centred, edges replicated: it looks ``width //
    2`` frames ahead.  ``gaussian``: centred Gaussian of standard deviation ``width``.
    ``zeropadded``: the same, zeros beyond the ends.  ``causal``: mean of the last ``width`` frames.
    """

    kind: Literal["none", "average", "gaussian", "zeropadded", "causal"] = "none"
    width: float | int = 0

    @property
    def name(self) -> str:
        """Such as ``raw``, ``average10``, ``gaussian3``, ``causal10``."""
        return "raw" if self.kind == "none" else f"{self.kind}{self.width:g}"

    @classmethod
    def parse(cls, name: str) -> Smoothing:
        """The inverse of ``name``; raises ConfigError."""
        if name in ("raw", "none"):
            return cls()
        for kind in ("average", "gaussian", "zeropadded", "causal"):
            number = name.removeprefix(kind)
            if number != name:
                try:
                    width = float(number)
                except ValueError:
                    break
                if 0 < width <= WIDEST and (kind in BELLS or width == int(width)):
                    return cls(kind, width)
        raise ConfigError(
            f"smoothing '{name}'",
            expected="raw, averageN, gaussianS, zeropaddedS or causalN, such as average10",
            fix="correct the name",
        )

    def apply(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Smooth the scores of one video."""
        values = np.asarray(values, np.float64)
        if self.kind == "none" or len(values) == 0:
            return values
        if self.kind in BELLS:
            radius = int(np.ceil(4 * self.width))
            offsets = np.arange(-radius, radius + 1)
            kernel = np.exp(-0.5 * (offsets / self.width) ** 2)
            before = after = radius
        else:
            width = int(self.width)
            kernel = np.ones(width)
            after = 0 if self.kind == "causal" else width // 2
            before = width - 1 - after
        edge = "constant" if self.kind == "zeropadded" else "edge"
        padded = np.pad(values, (before, after), edge)
        return np.convolve(padded, kernel[::-1] / kernel.sum(), mode="valid")


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """All frame scores of one video, in order; index i is frame i."""

    video: str
    frames: Sequence[FrameScore]
    fps: float | int
    system: str = ""
    smoothing: Smoothing = field(default_factory=Smoothing)
    calibration: Calibration | None = None
    level: float | None = None
    """What raw scores of events are above, of a detector that has no calibration."""
    _smoothed: Float[np.ndarray, " n"] | None = None

    def __repr__(self) -> str:
        return f"<Scores of {self.video}: {len(self)} frames, {self.smoothing.name}>"

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[FrameScore]:
        return iter(self.frames)

    @property
    def raw(self) -> Float[np.ndarray, " n"]:
        """Unsmoothed scores."""
        return np.array([f.score for f in self.frames], np.float64)

    @property
    def values(self) -> Float[np.ndarray, " n"]:
        """Scores after the smoothing that this object states."""
        return self.raw if self._smoothed is None else self._smoothed

    @property
    def times(self) -> Float[np.ndarray, " n"]:
        """Seconds from the start of the video."""
        return np.array([f.time for f in self.frames], np.float64)

    @property
    def end(self) -> float:
        """Seconds at which the last frame ends; 0 without a frame."""
        return float(self.times[-1]) + (1 / self.fps if self.fps > 0 else 0.0) if len(self) else 0.0

    @property
    def calibrated(self) -> Float[np.ndarray, " n"]:
        """Share of normal training frames below each raw score, in [0, 1]; raises DataError."""
        if self.calibration is None:
            raise DataError(
                f"scores of {self.video} carry no calibration",
                expected="scores from a fitted detector",
                fix="score the video again",
            )
        return self.calibration(self.raw)

    def smooth(self, smoothing: Smoothing | str) -> Scores:
        """These scores smoothed from raw by ``smoothing``, such as ``average10``."""
        named = Smoothing.parse(smoothing) if isinstance(smoothing, str) else smoothing
        return replace(self, smoothing=named, _smoothed=named.apply(self.raw))

    def event_level(
        self,
        false_alarms_per_day: float | int = 1.0,
        *,
        threshold: float | None = None,
        seconds: float = SECONDS,
        frames: int = FRAMES,
    ) -> Level:
        """The raw scores at which events open and close, for so many false alarms a day.

        They come from normal training footage: a level is at most just above what that has stayed
        at or above for ``FRAMES`` in a row, or above its highest score where that is not known.  A
        ``threshold`` opens events instead.  Of a detector without calibration they are just above
        its ``level``, where it has one.  Raises DataError without any of these.
        """
        if self.calibration is not None:
            level = training_level(self.calibration, false_alarms_per_day, seconds, frames)
        elif self.level is not None or threshold is not None:
            on = above(self.level) if self.level is not None else math.inf
            level = Level(on, on, "fixed")
        else:
            raise DataError(
                f"scores of {self.video} carry no calibration",
                expected="a threshold or calibrated scores",
                fix="pass threshold=…",
            )
        if threshold is None:
            return level
        return Level(threshold, min(threshold, level.off), "fixed")

    def events(
        self,
        *,
        threshold: float | None = None,
        false_alarms_per_day: float | int = 1.0,
        frames: int = FRAMES,
        seconds: float = SECONDS,
    ) -> list[Event]:
        """The events that a camera with this video would have, of raw scores.

        One opens when ``frames`` in a row score at least the level's ``on`` (see ``event_level``),
        begins with the first of these, closes when all frames of ``seconds`` are below its
        ``off``, and ends with the last that is not.
        """
        level = self.event_level(
            false_alarms_per_day, threshold=threshold, seconds=seconds, frames=frames
        )
        tracker, raw = Tracker(level, frames=frames, seconds=seconds), self.raw
        step = 1 / self.fps if self.fps > 0 else 0.0
        found = tracker.all(
            (place, frame.time, float(frame.score)) for place, frame in enumerate(self.frames)
        )
        return [
            Event(
                start=each.start,
                end=each.last + step,
                peak=each.peak,
                first=each.first,
                last=each.final,
                reason=self._told("reason", raw, each.first, each.final + 1),
                name=self._told("name", raw, each.first, each.final + 1),
                top=each.top,
            )
            for each in found
        ]

    def _told(self, what: str, values: Float[np.ndarray, " n"], first: int, end: int) -> str:
        """The reason or name of the highest of these frames that has one."""
        order = sorted(range(first, end), key=lambda index: -values[index])
        return next((told for i in order if (told := getattr(self.frames[i], what))), "")

    # -- files ---------------------------------------------------------------------------------

    def columns(self) -> dict[str, np.ndarray]:
        """Per-frame columns: video, frame, time, score, smoothed and, if known, calibrated."""
        table: dict[str, np.ndarray] = {
            "video": np.array([self.video] * len(self)),
            "frame": np.array([f.index for f in self.frames], np.int64),
            "time": self.times,
            "score": self.raw,
            "smoothed": self.values,
        }
        if self.calibration is not None:
            table["calibrated"] = self.calibrated
        return table

    def box_columns(self) -> dict[str, np.ndarray]:
        """Per-box columns: frame, x1, y1, x2, y2, score."""
        counts = [len(f.boxes) for f in self.frames]
        boxes = np.concatenate([NO_BOXES, *(f.boxes for f in self.frames)])
        scores = np.concatenate([np.zeros(0), *(f.box_scores for f in self.frames)])
        table: dict[str, Any] = {
            "frame": np.repeat(np.array([f.index for f in self.frames], np.int64), counts)
        }
        table |= {name: boxes[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))}
        return table | {"score": scores}
