"""Pseudo-abnormal training windows for the student (ours, not the paper's).

On normal video the teachers' maps say little more than where somebody is: a student that sees
nothing else is free to answer anything where something abnormal happens.  So it also sees what T1
is trained to call abnormal, with 1 in every teacher's map there.  In hurried windows, frames are
further apart and all that moves is too fast.  Others get an object that does not belong there: a
moving piece of another window, larger, stretched or recoloured.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from vadistill.systems.fast_aed.model import Maps

SIDES = (0.05, 0.3)
"""Shortest and longest height of a pasted object, in heights of the frame."""

SLOW, FAST = 0.02, 0.12
"""Ways between two frames of a window, in heights of the frame."""

SOFT = 0.15
"""Width of an object's soft rim, in its radii."""

Box = tuple[int, int, int, int]


def hurried_targets(
    targets: Maps, masks: Sequence[Bool[Tensor, "n _ _"]], hurried: Bool[np.ndarray, " n"]
) -> Maps:
    """A teacher's maps with 1 wherever it has an object at all, in the hurried windows."""
    which = torch.from_numpy(hurried)[:, None, None]
    return [torch.where(which, mask.to(m.dtype), m) for m, mask in zip(targets, masks, strict=True)]


def paste_objects(
    windows: UInt8[np.ndarray, "n c h w"], share: float, rng: np.random.Generator
) -> list[Box | None]:
    """Paste an object into about ``share`` of the windows, in place; its box in each, or None.

    Boxes (x1, y1, x2, y2) are where the object is in the middle frame.  The object comes from where
    another window moves the most; c is 3 a frame.
    """
    if not share:
        return [None] * len(windows)
    boxes: list[Box | None] = []
    donors = windows.copy()
    for row, window in enumerate(windows):
        if rng.random() >= share:
            boxes.append(None)
            continue
        donor = donors[(row + 1 + rng.integers(max(1, len(windows) - 1))) % len(windows)]
        boxes.append(_paste(window, donor, rng))
    return boxes


def pasted_targets(targets: Maps, boxes: Sequence[Box | None], size: tuple[int, int]) -> Maps:
    """A teacher's maps with 1 in the boxes' cells; a cell belongs to a box that it overlaps.

    ``size`` is the frames' (height, width), in which the boxes are.
    """
    changed = [m.clone() for m in targets]
    for m in changed:
        scale_y, scale_x = m.shape[1] / size[0], m.shape[2] / size[1]
        for row, box in enumerate(boxes):
            if box is not None:
                x1, y1, x2, y2 = box
                rows = slice(int(y1 * scale_y), int(np.ceil(y2 * scale_y)))
                columns = slice(int(x1 * scale_x), int(np.ceil(x2 * scale_x)))
                m[row, rows, columns] = 1.0
    return changed


def _paste(window: np.ndarray, donor: np.ndarray, rng: np.random.Generator) -> Box:
    """One object into one window (c, h, w)."""
    frames = len(window) // 3
    height, width = window.shape[1:]
    tall = height * float(np.exp(rng.uniform(*np.log(SIDES))))
    wide = min(tall * float(np.exp(rng.uniform(-1.0, 0.7))), width / 2)
    size = (max(4, round(wide)), max(4, round(tall)))
    piece = _piece(donor, size, rng)
    way = height * float(np.exp(rng.uniform(np.log(SLOW), np.log(FAST))))
    angle = rng.choice([0, np.pi]) + rng.normal(0, 0.4)  # most things move sideways
    step = way * np.array([np.cos(angle), np.sin(angle)])
    centre = rng.uniform([0, 0], [width, height])
    mask = _ellipse(size)
    box = (0, 0, 0, 0)
    for place in range(frames):
        x, y = np.round(centre + (place - frames // 2) * step).astype(int) - np.array(size) // 2
        seen = _blend(window[3 * place : 3 * place + 3], piece, mask, int(x), int(y))
        if place == frames // 2:
            box = seen
    return box


def _piece(donor: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A piece of the donor's middle frame around where it moves, (h, w, 3), at ``size`` (w, h)."""
    middle = 3 * (len(donor) // 6)
    height, width = donor.shape[1:]
    moved = np.abs(donor[0].astype(np.int16) - donor[-3]).astype(np.float32)
    moved = cv2.blur(moved, (9, 9)) ** 2 + 1e-3
    place = int(rng.choice(moved.size, p=(moved / moved.sum(dtype=np.float64)).ravel()))
    y, x = divmod(place, width)
    zoom = float(np.exp(rng.uniform(-0.7, 0.7)))  # how much of the donor the piece shows
    half_h = max(2, round(size[1] * zoom / 2))
    half_w = max(2, round(size[0] * zoom / 2))
    top, bottom = max(0, y - half_h), min(height, y + half_h)
    left, right = max(0, x - half_w), min(width, x + half_w)
    cut = donor[middle : middle + 3, top:bottom, left:right].transpose(1, 2, 0)
    piece = cv2.resize(np.ascontiguousarray(cut), size, interpolation=cv2.INTER_LINEAR)
    piece = piece.astype(np.float32)
    if rng.random() < 0.5:
        gain = float(np.exp(rng.uniform(-0.7, 0.7))) * rng.choice([1, 1, 1, -1])
        colour = min(15.0, float(np.ptp(piece, axis=2).mean()))  # grey video stays grey
        tint = rng.uniform(-40, 40) + rng.uniform(-1, 1, 3) * colour
        piece = np.clip((piece - piece.mean()) * gain + piece.mean() + tint, 0, 255)
    return piece


def _ellipse(size: tuple[int, int]) -> np.ndarray:
    """How much of a piece of ``size`` (w, h) covers what is behind it: 1 inside, 0 at corners."""
    x = np.linspace(-1, 1, size[0])[None]
    y = np.linspace(-1, 1, size[1])[:, None]
    radius = (np.abs(x) ** 3 + np.abs(y) ** 3) ** (1 / 3)
    return np.clip((1 - radius) / SOFT, 0, 1).astype(np.float32)[..., None]


def _blend(frame: np.ndarray, piece: np.ndarray, mask: np.ndarray, x: int, y: int) -> Box:
    """Lay a piece over a frame (3, h, w) at its upper left corner; the box that is seen."""
    height, width = frame.shape[1:]
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(width, x + piece.shape[1]), min(height, y + piece.shape[0])
    if x2 <= x1 or y2 <= y1:
        return 0, 0, 0, 0
    inside = (slice(y1 - y, y2 - y), slice(x1 - x, x2 - x))
    behind = frame[:, y1:y2, x1:x2].transpose(1, 2, 0)
    laid = mask[inside] * piece[inside] + (1 - mask[inside]) * behind
    frame[:, y1:y2, x1:x2] = np.round(laid).astype(np.uint8).transpose(2, 0, 1)
    return x1, y1, x2, y2
