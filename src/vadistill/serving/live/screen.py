"""The picture of a camera that was scored last, for those who look at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from vadistill.drawing import Scale, draw_frame, to_jpeg
from vadistill.scores import FrameScore

RATE = 12.0
"""Pictures a second that a viewer is sent at most."""


@dataclass(frozen=True, eq=False)
class View:
    """A picture and its score, None where none is taken."""

    image: UInt8[np.ndarray, "h w 3"]
    score: FrameScore | None


class Screen:
    """Shows the picture that came last until ``ended``; ``scale`` gives the boxes' colours."""

    def __init__(self, scale: Callable[[], Scale], ended: threading.Event) -> None:
        self._scale, self._ended = scale, ended
        self._seen = threading.Condition()
        self._view: View | None = None

    @property
    def score(self) -> float | None:
        """The last score, if there is one."""
        view = self._view
        return None if view is None or view.score is None else float(view.score.score)

    @property
    def has_map(self) -> bool:
        """Whether the last score came with an anomaly map."""
        view = self._view
        return view is not None and view.score is not None and view.score.map is not None

    def show(self, image: UInt8[np.ndarray, "h w 3"], score: FrameScore | None) -> None:
        """Take the place of the picture before."""
        with self._seen:
            self._view = View(image, score)
            self._seen.notify_all()

    def wake(self) -> None:
        """Let those who wait for a picture see that there will be none."""
        with self._seen:
            self._seen.notify_all()

    def picture(self, *, map: bool = False, boxes: bool = True) -> bytes | None:
        """The picture as a JPEG, with its boxes, and its map where there is one."""
        view = self._view
        if view is None:
            return None
        return self._drawn(view if boxes else replace(view, score=None), map)

    def pictures(self, *, map: bool = False) -> Iterator[bytes]:
        """New pictures as they are scored, until the end; empty ones while none comes."""
        shown: View | None = None
        while not self._ended.is_set():
            with self._seen:
                if self._view is shown:
                    self._seen.wait(1)
                view = self._view
            if view is not None and view is not shown:
                shown = view
                yield self._drawn(view, map)
                time.sleep(1 / RATE)
            else:
                yield b""  # whoever has left is noticed

    def _drawn(self, view: View, map: bool) -> bytes:
        if view.score is None:
            return to_jpeg(view.image, 80)
        score = view.score if map else replace(view.score, map=None)
        return to_jpeg(draw_frame(view.image, score, self._scale()), 80)
