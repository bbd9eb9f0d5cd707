"""``motion``: the baseline without weights that every learned system must beat.

specs: foreground boxes from a background model; an object's score is a high percentile of its
optical flow's speed, a frame's the maximum of its objects'.  Fitting learns the empty scene and
calibrates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vadistill import objects
from vadistill.config import Recipe, SystemConfig
from vadistill.detector import Detector, Merge
from vadistill.errors import ConfigError, one_of
from vadistill.flow import FLOWS, build_flow
from vadistill.objects.learning import fit_localiser
from vadistill.progress import progress
from vadistill.scores import Calibration, FrameScore
from vadistill.windows import triplets

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.devices import Device
    from vadistill.video import VideoSource


@dataclass(frozen=True)
class Config(SystemConfig):
    """Settings of the baseline."""

    localiser: str = "background"
    """Any localiser of ``vadistill.objects``, such as ``background`` or ``boxes:FILE``; ``all:``
    before it keeps slivers at the picture's edge, too."""
    flow: str = "dis"
    percentile: float = 95.0
    """Percentile of the flow speed within a box, 0 to 100."""
    frames: int = 300
    """Training frames that the calibration scores: the first ones of every clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("optical flow", self.flow, FLOWS)
        self.at_least(1, "frames")
        if not 0 <= self.percentile <= 100:
            raise ConfigError(
                f"percentile {self.percentile}", expected="0 to 100", fix="correct --percentile"
            )


RECIPES: dict[str, Recipe[Config]] = {"default": Recipe(Config, "any footage, to compare with")}


class Motion(Detector):
    """Speed of the fastest moving object of each frame, in pixels a frame."""

    name = "motion"
    supervision = "one-class"
    lookahead = 1
    RECIPES: ClassVar = RECIPES

    def __init__(self, config: Config | None = None, *, device: Device = "cpu") -> None:
        self.config = config or Config()
        self.localiser = objects.build_for_patches(self.config.localiser)
        self.flow = build_flow(self.config.flow)

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        fit_localiser(self.localiser, train, work)
        scores: list[float] = []
        per_clip = max(1, -(-self.config.frames // len(train)))
        with progress("calibration", len(train)) as advance:
            for clip in train:
                scores += [s.score for s in islice(self._stream(clip.open()), per_clip)]
                advance()
        self.calibration = Calibration.fit(scores)

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        yield from self._stream(source)

    def _stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.localiser.start(source.info)
        speed: np.ndarray | None = None
        for window in triplets(source):
            boxes = self.localiser.boxes(window)
            if not window.is_last or speed is None:
                flow = self.flow(window.current.image, window.next.image)
                speed = np.hypot(flow[..., 0], flow[..., 1])
            values = np.array(
                [self._box_score(speed, *map(int, box)) for box in boxes.round()], np.float32
            )
            yield FrameScore(
                index=window.current.index,
                time=window.current.time,
                score=float(values.max(initial=0.0)),
                boxes=boxes,
                box_scores=values,
            )

    def _box_score(self, speed: np.ndarray, x1: int, y1: int, x2: int, y2: int) -> float:
        part = speed[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        if part.size == 0:
            return 0.0
        rank = min(int(part.size * self.config.percentile / 100), part.size - 1)
        return float(np.partition(part, rank, axis=None)[rank])

    def attach_batching(self, merge: Merge) -> None:
        self.localiser = self.localiser.clone()
        self.flow = build_flow(self.config.flow)  # it has buffers that threads must not share
