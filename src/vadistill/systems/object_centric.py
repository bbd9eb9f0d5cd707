"""What object-centric detectors share: events in, scored boxes and a painted anomaly map out.

No system: fast_aed's teachers are built on it, each in its own package, and never meet.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float

from vadistill import objects
from vadistill.config import TrainedConfig
from vadistill.detector import Detector, Merge
from vadistill.devices import Device, pick_device
from vadistill.errors import ConfigError
from vadistill.objects.maps import mean_filter, paint
from vadistill.objects.patches import (
    Cut,
    FlowPatches,
    FramePatches,
    Patches,
    PatchStore,
    frame_patches,
)
from vadistill.progress import progress
from vadistill.scores import Calibration, FrameScore

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource

CHUNK = 256
"""Training objects that are scored at a time for the calibration."""


@dataclass(frozen=True)
class ObjectCentricConfig(TrainedConfig):
    """Settings that every object-centric detector has; the defaults are for two CPU cores."""

    SCORING: ClassVar = TrainedConfig.SCORING | {"map_scale", "filter_frames", "filter_cells"}

    localiser: str = "background"
    """Where objects come from: background, motion, detector:NAME, boxes:FILE, or a+b; ``all:``
    before it keeps slivers at the picture's edge, too."""
    frames: int | None = 640
    """Evenly spaced training frames whose objects are learned from; None takes all."""
    map_scale: int = 4
    """Video pixels along a side of an anomaly map's cell."""
    filter_frames: int = 1
    """Frames of the maps' temporal mean filter: odd, 1 for none; half of them are waited for."""
    filter_cells: int = 1
    """Cells along a side of the maps' spatial mean filter: odd, 1 for none."""
    batch_frames: int = 16
    """Frames of a file whose objects are scored together; live video takes one at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "frames", "map_scale", "filter_frames", "filter_cells", "batch_frames")
        for name in ("filter_frames", "filter_cells"):
            if getattr(self, name) % 2 == 0:
                raise ConfigError(
                    f"{name} {getattr(self, name)}",
                    expected="an odd number, 1 for no mean filter",
                    fix="choose the next one",
                )

    @property
    def filters(self) -> bool:
        """Whether maps pass a mean filter."""
        return self.filter_frames > 1 or self.filter_cells > 1


def scaled_score(
    values: Float[np.ndarray, " n"], low: float, half: float
) -> Float[np.ndarray, " n"]:
    """Object scores in [0, 1), in the same order: x / (x + half) with x = max(0, value - low).

    ``low``, the lowest of training objects, scores 0 (so does anything below), and ``low + half``,
    their 99th percentile, 0.5.  What is more abnormal than all training video is not cut off, as a
    minimum and maximum would do.
    """
    above = np.maximum(values - low, 0.0)
    return above / (above + half)


class ObjectCentric(Detector):
    """Scores objects; a frame's map has their scores painted into their boxes.

    A frame's score is its map's maximum, 0 without objects.  A subclass says what is cut out around
    each box (``cut``) and what its networks make of it (``object_values``).
    """

    supervision = "one-class"
    config: ObjectCentricConfig
    cut: Cut
    low: float
    half: float

    def __init__(self, config: ObjectCentricConfig, cut: Cut, *, device: Device = "auto") -> None:
        self.config, self.cut = config, cut
        self.device = pick_device(device)
        self.localiser = objects.build_for_patches(config.localiser)
        self._values: Callable[..., np.ndarray] = self.object_values
        self.lookahead = cut.after + config.filter_frames // 2

    @abstractmethod
    def object_values(self, patches: Patches, flow: FlowPatches) -> Float[np.ndarray, " n"]:
        """How abnormal each event of ``cut`` is, in any unit; higher is more."""

    @property
    def latency(self) -> int:
        """Frames from a frame's arrival to its score; the default scores 16 frames at a time."""
        return (self.lookahead or 0) + self.config.batch_frames - 1

    def calibrate(self, values: Float[np.ndarray, " n"], store: PatchStore, train: Dataset) -> None:
        """The statistics of ``scaled_score`` from training objects, and the calibration."""
        self.low = float(values.min())
        self.half = max(float(np.quantile(values, 0.99)) - self.low, 1e-6)
        if self.config.filters:  # the filter needs the frames between
            maxima = [frame.score for clip in train for frame in self._frames(clip.open())]
        else:
            maxima = store.frame_maxima(self._scaled(values), 0.0)
        self.calibration = Calibration.fit(float(m) for m in maxima)

    def _scaled(self, values: Float[np.ndarray, " n"]) -> np.ndarray:
        return scaled_score(values, self.low, self.half).astype(np.float32)

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        yield from self._frames(source)

    def teach(self, source: VideoSource) -> Iterator[FrameScore]:
        """Painted maps before any filter."""
        self.require_fitted()
        yield from self._painted(source)

    def attach_batching(self, merge: Merge) -> None:
        self.localiser = self.localiser.clone()
        self._values = merge(self._values)  # the first detector's, so that all ask one

    def _frames(self, source: VideoSource) -> Iterator[FrameScore]:
        config = self.config
        scored = self._painted(source)
        if config.filters:
            scored = mean_filter(scored, frames=config.filter_frames, cells=config.filter_cells)
        yield from scored

    def _painted(self, source: VideoSource) -> Iterator[FrameScore]:
        size = (source.info.height, source.info.width)
        waiting: list[FramePatches] = []
        for events in frame_patches(source, self.localiser, self.cut):
            waiting.append(events)
            if len(waiting) == self.config.batch_frames:
                yield from self._score_frames(waiting, *size)
                waiting = []
        if waiting:
            yield from self._score_frames(waiting, *size)

    def _score_frames(
        self, frames: list[FramePatches], height: int, width: int
    ) -> Iterator[FrameScore]:
        patches = np.concatenate([f.patches for f in frames])
        flow = np.concatenate([f.flow for f in frames])
        scores = self._scaled(self._values(patches, flow))
        ends = np.cumsum([len(f.boxes) for f in frames])
        for frame, own in zip(frames, np.split(scores, ends[:-1]), strict=True):
            painted = paint(frame.boxes, own, height, width, scale=self.config.map_scale)
            yield FrameScore(
                index=frame.index,
                time=frame.time,
                score=float(painted.max()),
                boxes=frame.boxes,
                box_scores=own,
                map=painted,
            )


def in_chunks(store: PatchStore) -> Iterator[np.ndarray]:
    """Row numbers of all training events, some at a time, with a progress bar."""
    with progress("calibration", len(store)) as advance:
        for rows in np.array_split(np.arange(len(store)), -(-len(store) // CHUNK)):
            yield rows
            advance(len(rows))
