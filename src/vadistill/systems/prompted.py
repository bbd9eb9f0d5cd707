"""CLIP asked by prompts: a baseline that learns nothing (``vadistill score --prompts``).

A snippet of 16 frames is as anomalous as CLIP finds it unlike the normal prompts: 1 less their
share of the softmax over all prompts.  Its kind is the event whose share is the largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float32

from vadistill.backbones.extraction import stream_features
from vadistill.config import Recipe, SystemConfig
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.detector import Detector
from vadistill.errors import ConfigError
from vadistill.scores import FrameScore

if TYPE_CHECKING:
    from vadistill.backbones.prompts import Prompts
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource


@dataclass(frozen=True)
class Config(SystemConfig):
    """There is nothing to set beside the prompts."""

    smoothing: str = "raw"


class Prompted(Detector):
    """How unlike CLIP's normal prompts each snippet of a video is; not fitted, not saved."""

    name = "prompts"
    RECIPES: ClassVar[Mapping[str, Recipe[Config]]] = {"default": Recipe(Config, "any footage")}
    lookahead = SNIPPET - 1
    LEVEL = 0.5
    """Events are above it: no prompt of the normal kind is likelier than all others together."""

    def __init__(self, prompts: Prompts) -> None:
        self.config, self.prompts = Config(), prompts
        self.level = self.LEVEL

    def facts(self) -> dict[str, Any]:
        return {"prompts": self.prompts.fingerprint}

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        raise ConfigError(
            "a fit of prompts, which learn nothing",
            expected="a system that does",
            fix="score with --prompts, without a fit",
        )

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        if isinstance(source, FeatureSource):
            shares = self.prompts.shares(source.features(self.prompts.backbone.name))
            frames = source.info.frames or 0
            for index in range(frames):
                row = shares[min(index // SNIPPET, len(shares) - 1)]
                yield self._score(index, index / source.info.fps, row)
            return
        shares = np.zeros((1, len(self.prompts.kinds)), np.float32)
        for frames, rows in stream_features(source, [self.prompts.backbone]):
            if rows is not None:  # else what is behind the last whole snippet
                shares = self.prompts.shares(rows[0][None])
            for index, time in frames:
                yield self._score(index, time, shares[0])

    def _score(self, index: int, time: float, shares: Float32[np.ndarray, " k"]) -> FrameScore:
        events = dict(zip(self.prompts.kinds[1:], map(float, shares[1:]), strict=True))
        name = max(events, key=lambda kind: events[kind])
        return FrameScore(index, time, 1 - float(shares[0]), parts=events, name=name)
