"""How alike two objects are: by place and size, and by what a detector tells of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32

from vadistill.datasets.sampling import PIECE, length, pieces
from vadistill.progress import progress
from vadistill.scores import FrameScore

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource

OVERLAP = 0.5
"""Intersection over union of boxes at the same place and of the same size."""

ALIKE = 0.1
"""Share of objects at the same place and of the same size that are as near as ``radius``."""

HIGHEST = 0.1
"""Share of objects, those of the highest scores, that stand for what could ring."""

LEAST_PAIRS = 50

MOST = 300, 3_000
"""Objects of the highest scores, and of all, that are compared: so many at most, by chance."""

FRAMES = 600
"""Of normal footage that a radius is learned from, at most."""

READ = 10 * FRAMES
"""Frames that are decoded for it, at most: pieces lie in the beginning of a long video."""


def iou(a: Float32[np.ndarray, "n 4"], b: Float32[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Intersection over union of all pairs of boxes, in [0, 1]."""
    one, other = a[:, None].astype(np.float64), b[None].astype(np.float64)
    first, last = np.maximum(one, other)[..., :2], np.minimum(one, other)[..., 2:]
    shared = (last - first).clip(0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (one, other)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)


def apart(a: Float32[np.ndarray, "n k"], b: Float32[np.ndarray, "m k"]) -> Float[np.ndarray, "n m"]:
    """The largest difference of one trait, of all pairs; infinite where one alone is missing."""
    found = np.zeros((len(a), len(b)))
    for one, other in zip(a.T, b.T, strict=True):
        missing = np.isnan(one)[:, None], np.isnan(other)[None]
        differences = np.where(missing[0] | missing[1], np.inf, np.abs(one[:, None] - other[None]))
        found = np.maximum(found, np.where(missing[0] & missing[1], 0.0, differences))
    return found


def radius(footage: Sequence[Sequence[FrameScore]]) -> float | None:
    """How near two objects are in all traits that count as one thing that comes again.

    ``footage`` is normal, in pieces.  Of two things there, in different pieces, at the same place
    and of the same size, of which one is among the highest, a tenth are nearer.  None where fewer
    than ``LEAST_PAIRS`` are known, or no traits, or where a tenth do not differ at all: nothing
    that comes again would be as near.
    """
    told = [(part, frame) for part, own in enumerate(footage) for frame in own if len(frame.traits)]
    if not told:
        return None
    boxes, traits, scores = (
        np.concatenate([getattr(frame, name) for _, frame in told])
        for name in ("boxes", "traits", "box_scores")
    )
    parts = np.repeat([part for part, _ in told], [len(frame.boxes) for _, frame in told])
    rng = np.random.default_rng(0)
    highest = np.flatnonzero(scores >= np.quantile(scores, 1 - HIGHEST))
    high, every = (
        np.sort(rng.permutation(rows)[:most])
        for rows, most in zip((highest, np.arange(len(scores))), MOST, strict=True)
    )
    pairs = iou(boxes[high], boxes[every]) >= OVERLAP
    pairs &= parts[high][:, None] != parts[every]
    if pairs.sum() < LEAST_PAIRS:
        return None
    near = float(np.quantile(apart(traits[high], traits[every])[pairs], ALIKE, method="lower"))
    return near if 0 < near < np.inf else None


def learned_radius(
    stream: Callable[[VideoSource], Iterable[FrameScore]], train: Dataset
) -> float | None:
    """The radius of a detector that streams so, from pieces of its training footage.

    ``FRAMES`` at most, in pieces of about ``PIECE``, within which things move: one each of some
    videos, evenly spaced among all, or several of each where videos are few.
    """
    found: list[list[FrameScore]] = []
    left, each = FRAMES, max(1, math.ceil(FRAMES / PIECE / len(train)))
    with progress("likeness of objects", FRAMES) as advance:
        for number in evenly(len(train)):
            video = train.videos[number]
            within = min(length(video), READ // math.ceil(FRAMES / PIECE / each))
            wanted = min(left, within, each * PIECE)
            for piece in pieces(video.open(), within, wanted) if wanted else ():
                found.append([replace(frame, map=None) for frame in stream(piece)])
                advance(len(found[-1]))
            left -= wanted
            if not left:
                break
    return radius(found)


def evenly(count: int) -> list[int]:
    """The numbers below ``count`` in an order of which each beginning is about evenly spaced."""
    # Fractions of multiples of the golden ratio are.
    return sorted(range(count), key=lambda number: (number * 0.6180339887) % 1)
