"""A student for parts of frames, with the weights of the one for whole frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from vadistill.systems.fast_aed.attention import stage_sizes
from vadistill.systems.fast_aed.model import Student


def finest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The size of the map with the most cells."""
    return max(sizes, key=math.prod)


def half_of(student: Student) -> Student | None:
    """The same network, weights shared, for parts of half a frame's height and width.

    Its maps have the cells of such a part, the 1x1 map the one that it has; None where a map's
    sides are odd, or such parts are too small for the network.
    """
    a, (height, width) = student.architecture, student.size
    grids = [size for size in a.sizes if size != (1, 1)]
    if not grids or any(side % 2 for size in grids for side in size):
        return None
    halved = tuple(s if s == (1, 1) else (s[0] // 2, s[1] // 2) for s in a.sizes)
    size = height // 2, width // 2
    if min(stage_sizes(a.stages, size)[-1]) < 2:
        return None
    with torch.random.fork_rng([]):
        half = Student(replace(a, resolutions=halved), size)
    half.encoder, half.standardise = student.encoder, student.standardise
    for branch, own in zip(half.branches, student.branches, strict=True):
        for head, theirs in zip(branch, own, strict=True):  # pyright: ignore[reportArgumentType]
            for name, module in theirs.named_children():
                setattr(head, name, module)
    return half
