"""Localisers made of others: several in order, and one without slivers at the picture's edge.

Of somebody who is about to leave the picture only a strip shows, a few pixels wide.  Stretched to
a square it looks like nothing that was learned, and optical flow is unreliable there: on UCSD Ped2
such strips had the highest scores of normal frames, whatever the system.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from vadistill.datasets.sampling import frames_of
from vadistill.errors import ConfigError
from vadistill.objects.base import NO_BOXES, Boxes, Localiser, merge
from vadistill.progress import progress
from vadistill.soundness import require_array
from vadistill.windows import Triplet, windows

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet


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

    name = "union"
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
        return {"name": self.name, "parts": parts, "inside": self.settings.inside}

    def arrays(self) -> dict[str, np.ndarray]:
        learned = ((i, part.arrays()) for i, part in enumerate(self.parts))
        return {f"{i}.{key}": value for i, arrays in learned for key, value in arrays.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        for i, part in enumerate(self.parts):
            prefix = f"{i}."
            part.restore(
                {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            )


EDGE = 1.0
"""Pixels from the picture's edge within which a box is cut by it."""

FRAMES = 600
"""Training frames that show what whole objects look like: the first ones of every video."""


@dataclass(frozen=True)
class WholeSettings:
    """Settings of ``Whole``."""

    share: float = 0.75
    """Share of a typical object that must show at the picture's edge, in [0, 1]; 0 keeps all."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share {self.share:g}", expected="0 to 1", fix="use 0.75")


class Whole(Localiser):
    """A localiser's boxes but for those at the picture's edge that are too thin to be whole.

    What is typical is the median over training boxes inside the picture.  At the left or right edge
    a box is dropped if both its width and its width by height are less than ``share`` of what is
    typical, at the top or bottom likewise by its height.  So somebody far away, small but whole,
    passes, and so does a car of which half shows.  Without a training box inside the picture all
    pass.
    """

    name = "whole"
    Settings = WholeSettings

    def __init__(self, inner: Localiser, settings: WholeSettings | None = None) -> None:
        self.inner, self.settings = inner, settings or WholeSettings()
        self._typical = np.full(3, np.nan)
        """Typical width and height in pixels and width by height; NaN where none is known."""

    def fit(self, train: Dataset) -> None:
        self.inner.fit(train)
        seen = [np.zeros((0, 3))]
        sources, per_video = [video.open() for video in train], -(-FRAMES // max(1, len(train)))
        with progress("sizes of objects", frames_of(sources, per_video)) as advance:
            for source in sources:
                self.inner.start(source.info)
                for window in islice(windows(source, before=1, after=1), per_video):
                    triplet = Triplet.of(window)
                    boxes = self.inner.boxes(triplet)
                    sides, ends = touching(boxes, *triplet.current.image.shape[:2])
                    seen.append(shapes(boxes[~(sides | ends)]))
                    advance()
        known = np.concatenate(seen)
        self._typical = np.median(known, axis=0) if len(known) else np.full(3, np.nan)

    def clone(self) -> Whole:
        made = copy.copy(self)
        made.inner = self.inner.clone()
        return made

    def start(self, info: VideoInfo) -> None:
        self.inner.start(info)

    def boxes(self, window: Triplet) -> Boxes:
        boxes = self.inner.boxes(window)
        sides, ends = touching(boxes, *window.current.image.shape[:2])
        share = self.settings.share
        with np.errstate(invalid="ignore"):  # NaN compares as False
            width, height, ratio = (shapes(boxes) / self._typical).T
        thin = sides & (width < share) & (ratio < share)
        flat = ends & (height < share) & (1 / ratio < share)
        return boxes[~(thin | flat)]

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "inner": self.inner.describe()}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"typical": self._typical, **self.inner.arrays()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self._typical = require_array(arrays["typical"], "typical", "f", 3)
        if not ((self._typical > 0).all() or np.isnan(self._typical).all()):
            raise ValueError(f"a typical object of {self._typical.tolist()}")
        self.inner.restore({k: v for k, v in arrays.items() if k != "typical"})


def touching(
    boxes: Boxes, height: int, width: int
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Which boxes reach the left or right edge of the picture, and which the top or bottom."""
    x1, y1, x2, y2 = boxes.T
    return (x1 <= EDGE) | (x2 >= width - EDGE), (y1 <= EDGE) | (y2 >= height - EDGE)


def shapes(boxes: Boxes) -> Float[np.ndarray, "n 3"]:
    """Width, height and width by height of each box."""
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    return np.column_stack([sides, sides[:, 0] / sides[:, 1]])
