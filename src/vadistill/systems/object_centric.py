"""Object-centric detectors: objects are found, cut out and scored; a frame's score is its highest.

No system: cafe, aed and ssmtl are built on it, each in its own package, and never meet.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float, Float32

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
from vadistill.objects.speeds import Speeds
from vadistill.program import Arrays, Program
from vadistill.progress import progress
from vadistill.runtime import Merged, Runtime, RuntimeName, open_runtime
from vadistill.scores import Calibration, FrameScore

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo, VideoSource

CHUNK = 256
"""Training objects that are scored at a time for the calibration."""

RANGES = 512
"""Training objects, about, on which the ranges of 8-bit convolutions are measured."""


@dataclass(frozen=True)
class ObjectCentricConfig(TrainedConfig):
    """Settings that every object-centric detector has; the defaults are for two CPU cores."""

    localiser: str = "auto"
    """Where objects come from: auto, background, motion, detector:NAME, boxes:FILE, or a+b;
    ``all:`` before it keeps slivers at the picture's edge, too."""
    frames: int | None = 640
    """Evenly spaced training frames whose objects are learned from; None takes all."""
    runtime: RuntimeName = "torch"
    """How objects are scored; auto: in fp32 by what is the fastest here."""
    batch_frames: int = 16
    """Frames of a file whose objects are scored together; live video takes one at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "frames", "batch_frames")


class ObjectCentric(Detector):
    """Finds objects, cuts them out and scores them; a frame's score is its highest object's.

    A subclass says what is cut out around each box (``cut``), which network runs (``program``,
    ``inputs``), and what its outputs mean (``object_values``, ``scaled``).
    """

    supervision = "one-class"
    config: ObjectCentricConfig
    cut: Cut
    """Around each box when scoring."""
    training_cut: Cut
    """The same, and what training needs besides."""
    runtime: Runtime
    low: float
    """The lowest value of a training object."""
    empty: float = 0.0
    """The score of a frame without objects."""

    def __init__(self, config: ObjectCentricConfig, cut: Cut, *, device: Device = "auto") -> None:
        self.config = config
        self.cut = self.training_cut = cut
        self.device = pick_device(device)
        self.localiser = objects.build_for_patches(config.localiser)
        self.lookahead = cut.after

    @property
    def latency(self) -> int:
        """Frames from a frame's arrival to its score; the default scores 16 frames at a time."""
        return (self.lookahead or 0) + self.config.batch_frames - 1

    # -- what a subclass says ------------------------------------------------------------------

    @abstractmethod
    def program(self, int8: bytes | Iterable[Arrays]) -> Program:
        """What runs: from ``inputs`` to a row of parts for each object."""

    @abstractmethod
    def inputs(self, patches: Patches, flow: FlowPatches) -> Arrays:
        """The program's inputs for objects of ``cut``."""

    def with_attributes(
        self, parts: Float32[np.ndarray, "n p"], boxes: Float32[np.ndarray, "n 4"], moves: Speeds
    ) -> Float32[np.ndarray, "n _"]:
        """What the program gave of each object, with what else ``object_values`` needs."""
        return parts

    def fit_parts(self, parts: Float32[np.ndarray, "n p"], store: PatchStore) -> None:
        """Learn from the store's objects' parts what ``object_values`` needs."""

    @abstractmethod
    def object_values(self, parts: Float32[np.ndarray, "n p"]) -> Float[np.ndarray, " n"]:
        """How abnormal each object is by its parts, in any unit; higher is more."""

    def object_traits(self, parts: Float32[np.ndarray, "n p"]) -> Float32[np.ndarray, "n k"]:
        """``FrameScore.traits`` of objects by their parts."""
        return np.zeros((len(parts), 0), np.float32)

    def scaled(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Objects' scores, in the same order as their values."""
        return values

    def calibrate(self, store: PatchStore, train: Dataset) -> None:
        """Open the runtime, and learn from training objects' scores what is normal."""
        rows = np.arange(len(store))
        sample = np.array_split(rows[:: max(1, len(rows) // RANGES)], 8)
        self.open_runtime(self._training_inputs(store, some) for some in sample if some.size)
        parts = []
        with progress("calibration", len(rows)) as advance:
            for some in np.array_split(rows, -(-len(rows) // CHUNK)):
                (own,) = self.runtime(*self._training_inputs(store, some))
                parts.append(self.with_attributes(own, store.boxes(some), store.moves(some)))
                advance(len(some))
        parts = np.concatenate(parts)
        self.fit_parts(parts, store)
        values = self.object_values(parts)
        self.low = float(values.min())
        self.fit_scale(values)
        self.calibration = Calibration.fit(*self.training_scores(values, store, train))

    def fit_scale(self, values: Float[np.ndarray, " n"]) -> None:
        """Learn from training objects' values what ``scaled`` needs beside ``low``."""

    def training_scores(
        self, values: Float[np.ndarray, " n"], store: PatchStore, train: Dataset
    ) -> tuple[list[float], list[int]]:
        """Scores of the training frames that were kept, and how many follow each other."""
        scores = store.frame_maxima(self.scaled(values).astype(np.float32), self.empty)
        return scores.tolist(), store.runs

    def open_runtime(self, int8: bytes | Iterable[Arrays] = ()) -> None:
        """Open the networks in the config's runtime; ``int8`` is a ``Program``'s."""
        program = replace(self.program(int8), waits=True)  # objects are found meanwhile
        self.runtime = open_runtime(program, self.config.runtime, self.device)

    def _training_inputs(self, store: PatchStore, rows: np.ndarray) -> Arrays:
        """Inputs for objects of the store, which has those of ``training_cut``."""
        offsets = [self.training_cut.offsets.index(offset) for offset in self.cut.offsets]
        flows = [self.training_cut.flows.index(pair) for pair in self.cut.flows]
        return self.inputs(store.patches(rows)[:, offsets], store.flow(rows)[:, flows])

    # -- scoring -------------------------------------------------------------------------------

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        yield from self.score_frames(source)

    def score_frames(self, source: VideoSource) -> Iterator[FrameScore]:
        """What ``stream`` gives, before there is a calibration, too."""
        yield from self.score_patches(source.info, frame_patches(source, self.localiser, self.cut))

    def score_patches(
        self, info: VideoInfo, frames: Iterable[FramePatches]
    ) -> Iterator[FrameScore]:
        """What ``teach`` gives for frames of a video whose patches of ``cut`` are there already."""
        rest = iter(frames)
        while some := list(islice(rest, self.config.batch_frames)):
            yield from self._score(some, info)

    def _score(self, frames: list[FramePatches], info: VideoInfo) -> Iterator[FrameScore]:
        patches = np.concatenate([frame.patches for frame in frames])
        flow = np.concatenate([frame.flow for frame in frames])
        boxes = np.concatenate([frame.boxes for frame in frames])
        (parts,) = self.runtime(*self.inputs(patches, flow))
        parts = self.with_attributes(parts, boxes, np.concatenate([f.moves for f in frames]))
        scores = self.scaled(self.object_values(parts)).astype(np.float32)
        ends = np.cumsum([len(frame.boxes) for frame in frames])[:-1]
        split = np.split(scores, ends), np.split(self.object_traits(parts), ends)
        for frame, own, traits in zip(frames, *split, strict=True):
            yield replace(self.frame_score(frame, own, info), traits=traits)

    def frame_score(
        self, frame: FramePatches, scores: Float32[np.ndarray, " n"], info: VideoInfo
    ) -> FrameScore:
        """A frame whose objects have these scores."""
        highest = float(scores.max()) if len(scores) else self.empty
        return FrameScore(frame.index, frame.time, highest, frame.boxes, scores)

    def attach_batching(self, merge: Merge) -> None:
        self.localiser = self.localiser.clone()
        self.runtime = Merged(self.runtime, merge)


@dataclass(frozen=True)
class PaintingConfig(ObjectCentricConfig):
    """Settings of object-centric detectors that paint maps."""

    SCORING: ClassVar = ObjectCentricConfig.SCORING | {"map_scale", "filter_frames", "filter_cells"}

    map_scale: int = 4
    """Video pixels along a side of an anomaly map's cell."""
    filter_frames: int = 1
    """Frames of the maps' temporal mean filter: odd, 1 for none; half of them are waited for."""
    filter_cells: int = 1
    """Cells along a side of the maps' spatial mean filter: odd, 1 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "map_scale", "filter_frames", "filter_cells")
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


class ObjectPainter(ObjectCentric):
    """Paints objects' scores, from 0 to 1, into their boxes: the frame's anomaly map.

    The map may pass a mean filter, whose maximum is then the frame's score.
    """

    config: PaintingConfig
    half: float
    """What the 99th percentile of training objects lies above ``low``."""

    def __init__(self, config: PaintingConfig, cut: Cut, *, device: Device = "auto") -> None:
        super().__init__(config, cut, device=device)
        self.lookahead = cut.after + config.filter_frames // 2

    def fit_scale(self, values: Float[np.ndarray, " n"]) -> None:
        self.half = max(float(np.quantile(values, 0.99)) - self.low, 1e-6)

    def scaled(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return scaled_score(values, self.low, self.half)

    def training_scores(
        self, values: Float[np.ndarray, " n"], store: PatchStore, train: Dataset
    ) -> tuple[list[float], list[int]]:
        if self.config.filters:  # the filter needs the frames between
            videos = [[f.score for f in self.score_frames(video.open())] for video in train]
            return np.concatenate(videos).tolist(), [*map(len, videos)]
        return super().training_scores(values, store, train)

    def score_frames(self, source: VideoSource) -> Iterator[FrameScore]:
        painted, config = super().score_frames(source), self.config
        if not config.filters:
            return painted
        return mean_filter(painted, frames=config.filter_frames, cells=config.filter_cells)

    def teach(self, source: VideoSource) -> Iterator[FrameScore]:
        """Painted maps before any filter."""
        self.require_fitted()
        yield from super().score_frames(source)

    def frame_score(
        self, frame: FramePatches, scores: Float32[np.ndarray, " n"], info: VideoInfo
    ) -> FrameScore:
        scale = self.config.map_scale
        painted = paint(frame.boxes, scores, info.height, info.width, scale=scale)
        return replace(super().frame_score(frame, scores, info), map=painted)
