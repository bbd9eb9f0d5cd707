"""What tests of features share: moving pictures, opened backbones, and one without a network."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from vadistill.backbones import open_backbone
from vadistill.backbones.base import Backbone
from vadistill.datasets.snippets import SNIPPET


@functools.cache
def opened(name: str) -> Backbone:
    return open_backbone(name, device="cpu")


def pixels(frames: int, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A blurred noise that moves to the right, 2 pixels a frame."""
    wide = width + 2 * frames
    coarse = (-(-height // 4), -(-wide // 4), 3)
    scene = np.random.default_rng(seed).integers(0, 256, coarse, np.uint8)
    scene = cv2.resize(scene, (wide, height))
    starts = 2 * np.arange(frames, 0, -1)
    return np.stack([scene[:, start : start + width] for start in starts])


class Means(Backbone):
    """A stand-in that averages each frame and remembers the batches it was given."""

    dim = SNIPPET

    def __init__(self, name: str = "means", fingerprint: str = "0" * 16) -> None:
        self.name, self.fingerprint = name, fingerprint
        self.batches: list[int] = []

    def prepare(self, frames: np.ndarray) -> np.ndarray:
        return frames.mean((1, 2, 3), dtype=np.float32)

    def __call__(self, prepared: np.ndarray) -> np.ndarray:
        self.batches.append(len(prepared))
        return prepared
