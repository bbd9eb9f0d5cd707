"""Pseudo-abnormal training windows for the student (ours, not the paper's).

On normal video the teachers' maps say little more than where somebody is: a student that sees
nothing else is free to answer anything where something abnormal happens.  So it also sees what T1
is trained to call abnormal, with 1 in every teacher's map there.  In hurried windows, frames are
further apart and all that moves is too fast.  Others get an object that does not belong there: a
moving piece of another window, larger, stretched or recoloured.  So that the seams of what is laid
over a window do not tell, ordinary objects are copied between windows, too, with their motion.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

SIDES = (0.05, 0.3)
"""Shortest and longest height of a pasted object, in heights of the frame."""

SLOW, FAST = 0.008, 0.12
"""Ways between two frames of a window, in heights of the frame: from hardly faster than people walk
who are an eighth of it tall, since what rolls through a crowd is."""

RIM = 3
"""Pixels over which a copied object's surroundings fade into the window."""

SOFT = 0.15
"""Width of an object's soft rim, in its radii."""

Box = tuple[int, int, int, int]


def hurried_targets(
    targets: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"], hurried: Bool[np.ndarray, " n"]
) -> Float[Tensor, "n h w"]:
    """A teacher's maps with 1 wherever it has an object at all, in the hurried windows."""
    which = torch.from_numpy(hurried)[:, None, None]
    return torch.where(which, masks.to(targets.dtype), targets)


def copy_objects(
    windows: UInt8[np.ndarray, "n c h w"],
    targets: Sequence[Float[Tensor, "n y x"]],
    masks: Bool[Tensor, "n y x"],
    share: float,
    rng: np.random.Generator,
) -> None:
    """Copy an object of another window into about ``share`` of them, in place, with its targets.

    It keeps its place, since people are as large as their place lets them be, and moves as it did.
    An object is what is connected in ``masks``; ``targets`` are each teacher's maps.
    """
    if not share or len(windows) < 2:
        return
    donors, given = windows.copy(), [maps.clone() for maps in targets]
    scale = np.array(windows.shape[2:]) / masks.shape[1:]
    for row, window in enumerate(windows):
        if rng.random() >= share:
            continue
        other = (row + 1 + int(rng.integers(len(windows) - 1))) % len(windows)
        count, _, found, _ = cv2.connectedComponentsWithStats(masks[other].numpy().astype(np.uint8))
        if count < 2:
            continue
        left, top, wide, high, _ = found[1 + int(rng.integers(count - 1))].tolist()
        y1, x1 = np.floor(np.array([top, left]) * scale).astype(int)
        y2, x2 = np.ceil(np.array([top + high, left + wide]) * scale).astype(int)
        piece = donors[other, :, y1:y2, x1:x2]
        for place in range(0, len(window), 3):
            part = piece[place : place + 3].transpose(1, 2, 0)
            _blend(window[place : place + 3], part, _rectangle(part.shape[:2]), int(x1), int(y1))
        for maps, theirs in zip(targets, given, strict=True):
            cells = (slice(top, top + high), slice(left, left + wide))
            maps[row][cells] = theirs[other][cells]


def paste_objects(
    windows: UInt8[np.ndarray, "n c h w"],
    share: float,
    rng: np.random.Generator,
    height: int | None = None,
) -> list[Box | None]:
    """Paste an object into about ``share`` of the windows, in place; its box in each, or None.

    Boxes (x1, y1, x2, y2) are where the object is in the middle frame.  The object comes from where
    another window moves the most; c is 3 a frame.  ``height``: of the whole frame, where windows
    are parts of it.
    """
    whole = windows.shape[2] if height is None else height
    if not share:
        return [None] * len(windows)
    boxes: list[Box | None] = []
    donors = windows.copy()
    for row, window in enumerate(windows):
        if rng.random() >= share:
            boxes.append(None)
            continue
        donor = donors[(row + 1 + rng.integers(max(1, len(windows) - 1))) % len(windows)]
        boxes.append(_paste(window, donor, rng, whole))
    return boxes


def pasted_targets(
    targets: Float[Tensor, "n y x"], boxes: Sequence[Box | None], size: tuple[int, int]
) -> Float[Tensor, "n y x"]:
    """A teacher's maps with 1 in the boxes' cells; a cell belongs to a box that it overlaps.

    ``size`` is the frames' (height, width), in which the boxes are.
    """
    changed = targets.clone()
    scale_y, scale_x = targets.shape[1] / size[0], targets.shape[2] / size[1]
    for row, box in enumerate(boxes):
        if box is not None:
            x1, y1, x2, y2 = box
            rows = slice(int(y1 * scale_y), int(np.ceil(y2 * scale_y)))
            columns = slice(int(x1 * scale_x), int(np.ceil(x2 * scale_x)))
            changed[row, rows, columns] = 1.0
    return changed


def _paste(window: np.ndarray, donor: np.ndarray, rng: np.random.Generator, whole: int) -> Box:
    """One object into one window (c, h, w) of a frame that is ``whole`` pixels high."""
    frames = len(window) // 3
    height, width = window.shape[1:]
    tall = whole * float(np.exp(rng.uniform(*np.log(SIDES))))
    wide = min(tall * float(np.exp(rng.uniform(-1.0, 0.7))), width / 2)
    size = (max(4, round(wide)), max(4, round(tall)))
    piece = _piece(donor, size, rng)
    way = whole * float(np.exp(rng.uniform(np.log(SLOW), np.log(FAST))))
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


def _rectangle(size: tuple[int, int]) -> np.ndarray:
    """How much of a copied piece (h, w) is seen: 1 inside, down to a part of it at its edge."""
    sides = [np.minimum(np.arange(n), np.arange(n)[::-1]) for n in size]
    depth = np.minimum(sides[0][:, None], sides[1][None])
    return np.clip((depth + 1) / (RIM + 1), 0, 1).astype(np.float32)[..., None]


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
