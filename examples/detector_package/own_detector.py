"""A detector of another package, in one file: how much a frame's mean brightness changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vadistill.config import SystemConfig
from vadistill.datasets import Dataset
from vadistill.detector import Detector
from vadistill.scores import Calibration, FrameScore
from vadistill.video import VideoSource


@dataclass(frozen=True)
class Config(SystemConfig):
    gain: float = 1.0


class Brightness(Detector):
    name = "brightness"
    RECIPES: ClassVar = {"default": Config}

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        changes = [s.score for video in train for s in self.changes(video.open())]
        self.calibration = Calibration.fit(changes)

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        yield from self.changes(source)

    def changes(self, source: VideoSource) -> Iterator[FrameScore]:
        before = None
        for frame in source:
            mean = self.config.gain * float(frame.image.mean())
            yield FrameScore(frame.index, frame.time, abs(mean - (before or mean)))
            before = mean
