"""The backbone without weights: where a snippet moves, how fast and in which directions."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.backbones.base import Backbone, View
from vadistill.backbones.weights import fingerprint
from vadistill.errors import ConfigError
from vadistill.flow import build_flow

if TYPE_CHECKING:
    from vadistill.devices import Device

GAP = 3
"""Frames from one sampled frame to the next: slow motion is lost between neighbours."""

FRAMES = tuple(range(0, 16, GAP))
SIZE = (96, 128)
"""Height and width that whole frames are squeezed to."""

GRID = 4
"""Cells a side."""

DIRECTIONS = 8
STATISTICS = 4 + DIRECTIONS


class FlowStatistics(Backbone):
    """DIS flow between sampled frames, summed up in each cell of a 4x4 grid over the frame.

    A cell's 12 numbers, in pixels of a 96x128 picture a frame: mean, maximum and standard deviation
    of the flow's magnitude, averaged over the snippet's five pairs of frames; the standard
    deviation of the mean over these pairs; and the mean magnitude by direction, eight of them, the
    first around "to the right" and on towards "down".
    """

    dim = GRID * GRID * STATISTICS

    def __init__(self, name: str) -> None:
        self.name = name
        self.view = View.whole(FRAMES, SIZE)
        self.flow = build_flow("dis")
        settings = {"architecture": "flow", "size": SIZE, "frames": FRAMES, "grid": GRID}
        self.fingerprint = fingerprint({**settings, "directions": DIRECTIONS})

    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> UInt8[np.ndarray, "f y x 3"]:
        """The sampled frames, small."""
        return self.view(frames)[0]

    def __call__(self, prepared: UInt8[np.ndarray, "n f y x 3"]) -> Float32[np.ndarray, "n d"]:
        """Statistics of each snippet's flow, cell by cell."""
        return np.stack([self._statistics(snippet) for snippet in prepared])

    def _statistics(self, snippet: UInt8[np.ndarray, "f y x 3"]) -> Float32[np.ndarray, " d"]:
        flow = np.stack([self.flow(a, b) for a, b in pairwise(snippet)]) / np.float32(GAP)
        rows, columns = SIZE[0] // GRID, SIZE[1] // GRID
        # Pairs, rows and columns of cells, pixels of a cell, and the two axes of motion.
        cells = flow.reshape(len(flow), GRID, rows, GRID, columns, 2).swapaxes(2, 3)
        cells = cells.reshape(len(flow), GRID, GRID, rows * columns, 2)
        magnitude = np.hypot(cells[..., 0], cells[..., 1])
        angle = np.arctan2(cells[..., 1], cells[..., 0])
        direction = np.round(angle * (DIRECTIONS / (2 * np.pi))).astype(np.int64) % DIRECTIONS
        mean = magnitude.mean(3)
        summed = [mean.mean(0), magnitude.max(3).mean(0), magnitude.std(3).mean(0), mean.std(0)]
        summed += [
            np.where(direction == d, magnitude, np.float32(0)).mean((0, 3))
            for d in range(DIRECTIONS)
        ]
        return np.stack(summed, -1).astype(np.float32).ravel()


def open_flow(name: str, rest: str | None, *, device: Device, crops: int) -> FlowStatistics:
    """Flow statistics of whole frames, on the CPU; raises ConfigError for a weight file."""
    if rest is not None:
        raise ConfigError(f"backbone '{name}'", expected="flow", fix="it has no weights")
    return FlowStatistics(name)
