"""The contract of foreground localisers, and arithmetic of boxes."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float32

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet

Boxes = Float32[np.ndarray, "_ 4"]
"""x1, y1, x2, y2 in pixels of the video, x2 and y2 exclusive, inside the picture, never empty."""


@dataclass(frozen=True)
class NoSettings:
    """Of a localiser without settings."""


L = TypeVar("L", bound="Localiser")


class Localiser(ABC):
    """Finds the foreground objects of each frame.

    Use: ``fit`` once on training video (most do nothing), ``start`` at each video's beginning,
    then ``boxes`` for every frame in order.  What ``fit`` learned is in ``arrays``.
    """

    name: ClassVar[str]
    """What ``objects.build`` makes it by."""

    Settings: ClassVar[type[Any]] = NoSettings
    """Dataclass of its settings; an instance is what the constructor takes."""

    ARGUMENT: ClassVar[str] = ""
    """The setting that the text after ``name:`` gives; '' takes none."""

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings or self.Settings()

    @classmethod
    def suggested(cls, argument: str) -> dict[str, Any]:
        """Settings of text with this argument, but for those that it gives."""
        return {}

    @classmethod
    def joined_by(cls, argument: str) -> list[str]:
        """Texts of what adds to text with this argument that stands alone."""
        return []

    def fit(self, train: Dataset) -> None:
        """Learn from normal video, such as the empty scene's picture."""
        return

    def start(self, info: VideoInfo) -> None:
        """Forget the last video and begin another."""
        return

    @abstractmethod
    def boxes(self, window: Triplet) -> Boxes:
        """Boxes of the window's current frame."""

    def clone(self: L) -> L:
        """One that has learned the same, for another video at the same time."""
        return copy.copy(self)

    def describe(self) -> dict[str, Any]:
        """Plain JSON from which ``objects.build`` makes this localiser again."""
        return {"name": self.name, **asdict(self.settings)}

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``fit`` learned, for saving."""
        return {}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """The inverse of ``arrays``."""
        return


NO_BOXES = np.zeros((0, 4), np.float32)


def clip_boxes(boxes: Any, width: int, height: int) -> Boxes:
    """Boxes cut to the picture; those with nothing (less than one pixel) inside it are dropped."""
    array = np.asarray(boxes, np.float32).reshape(-1, 4)
    limit = np.array([width, height, width, height], np.float32)
    array = np.clip(array, 0, limit)
    return array[(array[:, 2] - array[:, 0] >= 1) & (array[:, 3] - array[:, 1] >= 1)]


def covered(boxes: Boxes, known: Boxes) -> Float32[np.ndarray, " n"]:
    """The share of each box inside ``known`` ones; where these overlap, it counts for each."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return _shared(boxes, known).sum(1) / areas


def _shared(boxes: Boxes, others: Boxes) -> Float32[np.ndarray, "n m"]:
    """The area that each box has in common with each of the others."""
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - corner
    return sides.clip(0).prod(2)


def merge(boxes: Boxes, inside: float = 0.6) -> Boxes:
    """Drop each box of which more than ``inside`` (of its area) lies inside one larger box.

    The rest comes back by ascending area.  Of equal areas the later one counts as the larger.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(areas, kind="stable")
    boxes, areas = boxes[order], areas[order]
    shared = _shared(boxes, boxes)
    larger = np.triu(np.ones(shared.shape, bool), 1)
    covered = larger & (shared > inside * areas[:, None])
    return boxes[~covered.any(1)]
