"""The contract of foreground localisers."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Float32

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet

Boxes = Float32[np.ndarray, "_ 4"]
"""x1, y1, x2, y2 in pixels of the video, x2 and y2 exclusive, inside the picture, never empty."""


L = TypeVar("L", bound="Localiser")


class Localiser(ABC):
    """Finds the foreground objects of each frame.

    Use: ``fit`` once on training video (most do nothing), ``start`` at each video's beginning,
    then ``boxes`` for every frame in order.  What ``fit`` learned is in ``arrays``.
    """

    def fit(self, train: Dataset) -> None:
        """Learn from normal video, such as the empty scene's picture."""
        return

    @abstractmethod
    def start(self, info: VideoInfo) -> None:
        """Forget the last video and begin another."""

    @abstractmethod
    def boxes(self, window: Triplet) -> Boxes:
        """Boxes of the window's current frame."""

    def clone(self: L) -> L:
        """One that has learned the same, for another video at the same time."""
        return copy.copy(self)

    def describe(self) -> dict[str, Any]:
        """Plain JSON from which ``objects.build`` makes this localiser again."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``fit`` learned, for saving."""
        return {}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """The inverse of ``arrays``."""
        return
