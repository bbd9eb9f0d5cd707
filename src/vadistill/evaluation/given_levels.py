"""What one score is of, a frame, snippet, segment or window, and the frames it is given to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from vadistill.errors import ConfigError

LIKELY = (16, 8, 32, 64, 24, 10, *range(2, 129))
"""Sizes of snippets that are tried for scores whose level was not said, the usual ones first."""


@dataclass(frozen=True)
class Level:
    """What one score is of, and so which frames it is given to; ``size`` is N.

    ``frame``: a frame.  ``snippets:N``: N frames, one snippet after the other, for each of which
    its score stands; what is left behind the last whole one may have a score of its own, else it
    has the last one's.  ``segments:N``: one of N equal parts of the video; frame i of T belongs to
    part ``i * N // T``.  ``windows:N``: N frames, a window for each frame from the N-th on, which
    is its last; the N - 1 frames before have the first window's score.
    """

    kind: str = "frame"
    size: int = 1

    @classmethod
    def parse(cls, name: str | Level) -> Level:
        """Such as ``frame`` or ``snippets:16``; raises ConfigError."""
        if isinstance(name, Level):
            return name
        found = re.fullmatch(r"(snippets|segments|windows):([1-9]\d{0,5})", str(name))
        if name == "frame" or found:
            return cls(found[1], int(found[2])) if found else cls()
        raise ConfigError(
            f"level '{name}'",
            expected="frame, snippets:N, segments:N or windows:N, such as snippets:16",
            fix="say what one score is of",
        )

    def __str__(self) -> str:
        return self.kind if self.kind == "frame" else f"{self.kind}:{self.size}"

    @property
    def words(self) -> str:
        """How scores are given to frames."""
        return {
            "frame": "one score a frame",
            "snippets": f"one score a snippet of {self.size} frames, given to each of them; frames "
            "behind the last whole snippet have its score where they have none of their own",
            "segments": f"one score for each of a video's {self.size} equal parts, given to every "
            "frame of it",
            "windows": f"one score a window of {self.size} frames, given to its last frame; frames "
            "before that have the first window's",
        }[self.kind]

    def counts(self, frames: int) -> tuple[int, ...]:
        """The numbers of scores that a video of so many frames may have."""
        if self.kind == "snippets":
            return (-(-frames // self.size), max(frames // self.size, 1))
        if self.kind == "segments":
            return (self.size,)
        return (frames - self.size + 1,)

    def split(self, total: int, frames: Sequence[int]) -> tuple[int, ...] | None:
        """How many of ``total`` scores each of some videos has, or None where they do not fit."""
        ways = zip(*map(self.counts, frames), strict=True)
        return next((w for w in ways if sum(w) == total and min(w) > 0), None)

    def frames(self, count: int, frames: int) -> Int[np.ndarray, " t"]:
        """Which of ``count`` scores each frame has."""
        at = np.arange(frames)
        if self.kind == "snippets":
            return np.minimum(at // self.size, count - 1)
        if self.kind == "segments":
            return at * self.size // frames
        return np.maximum(at - self.size + 1, 0)


FRAME = Level()


def fitting(
    fits: Callable[[Level], bool], segments: float, otherwise: str, windows: int = 0
) -> str:
    """The level that fits the scores of all videos, or what else may be done.

    Of one array both segments and windows may fit: the fewer are the likelier.
    """
    rarer = [Level("segments", int(segments))] if segments == int(segments) and segments > 1 else []
    rarer += [Level("windows", windows)] if 1 < windows <= LIKELY[-1] else []
    rarer.sort(key=lambda level: level.size)
    tried = (FRAME, *(Level("snippets", size) for size in LIKELY), *rarer)
    found = next(filter(fits, tried), None)
    if found is None:
        return otherwise
    if found.kind == "windows":
        lacking = "last frame" if windows == 2 else f"last {windows - 1} frames"
        return (
            f"--level {found} would fit if these are scores of windows; else each video's"
            f" {lacking} may lack a score"
        )
    return f"--level {found} would fit"
