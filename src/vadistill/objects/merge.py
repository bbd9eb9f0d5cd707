"""Several boxes on one object, and several localisers on one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from vadistill.errors import ConfigError
from vadistill.objects.base import Boxes, Localiser

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet

NO_BOXES = np.zeros((0, 4), np.float32)


def clip_boxes(boxes: Any, width: int, height: int) -> Boxes:
    """Boxes cut to the picture; those with nothing (less than one pixel) inside it are dropped."""
    array = np.asarray(boxes, np.float32).reshape(-1, 4)
    limit = np.array([width, height, width, height], np.float32)
    array = np.clip(array, 0, limit)
    return array[(array[:, 2] - array[:, 0] >= 1) & (array[:, 3] - array[:, 1] >= 1)]


def merge(boxes: Boxes, inside: float = 0.6) -> Boxes:
    """Drop each box of which more than ``inside`` (of its area) lies inside one larger box.

    The rest comes back by ascending area.  Of equal areas the later one counts as the larger.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(areas, kind="stable")
    boxes, areas = boxes[order], areas[order]
    corner = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    sides = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - corner
    shared: Float32[np.ndarray, "n n"] = sides.clip(0).prod(2)
    larger = np.triu(np.ones(shared.shape, bool), 1)
    covered = larger & (shared > inside * areas[:, None])
    return boxes[~covered.any(1)]


@runtime_checkable
class AddsMissed(Protocol):
    """A localiser that can look outside boxes that others found."""

    def boxes_beyond(self, window: Triplet, known: Boxes) -> Boxes:
        """Boxes of foreground outside ``known``; replaces a call of ``boxes`` for this frame."""
        ...


@dataclass(frozen=True)
class UnionSettings:
    """Settings of ``Union``."""

    parts: tuple[Any, ...] = ()
    """Descriptions of the localisers, in order; ``objects.build`` makes them."""
    inside: float = 0.6
    """Share of a box inside a larger one above which it is dropped (0.65 for ShanghaiTech)."""

    def __post_init__(self) -> None:
        if not 0 < self.inside <= 1:
            raise ConfigError(
                f"inside {self.inside:g}", expected="a share in (0, 1]", fix="use 0.6"
            )


class Union(Localiser):
    """Localisers in order: each later one adds what the earlier ones missed, then ``merge``."""

    Settings = UnionSettings

    def __init__(self, parts: Sequence[Localiser], settings: UnionSettings | None = None) -> None:
        self.parts, self.settings = tuple(parts), settings or UnionSettings()

    def fit(self, train: Dataset) -> None:
        for part in self.parts:
            part.fit(train)

    def clone(self) -> Union:
        return Union([part.clone() for part in self.parts], self.settings)

    def start(self, info: VideoInfo) -> None:
        for part in self.parts:
            part.start(info)

    def boxes(self, window: Triplet) -> Boxes:
        found = NO_BOXES
        for part in self.parts:
            beyond = isinstance(part, AddsMissed) and len(found)
            more = part.boxes_beyond(window, found) if beyond else part.boxes(window)  # type: ignore
            found = np.concatenate([found, more])
        return merge(found, self.settings.inside)

    def describe(self) -> dict[str, Any]:
        parts = [part.describe() for part in self.parts]
        return {"name": "union", "parts": parts, "inside": self.settings.inside}

    def arrays(self) -> dict[str, np.ndarray]:
        learned = ((i, part.arrays()) for i, part in enumerate(self.parts))
        return {f"{i}.{key}": value for i, arrays in learned for key, value in arrays.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        for i, part in enumerate(self.parts):
            prefix = f"{i}."
            part.restore(
                {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            )
