"""The kinds of planted anomalies: what is done to an object of normal footage to make it abnormal.

Each kind takes one walk out of the cast and gives a plant, or None where that walk does not lend
itself.  A kind that has no place in a scene, such as standing still where people stand, gives none
at all.  ``unchanged`` is the control: an object planted as it was, which should *not* be found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from vadistill.evaluation.selftest.cast import Cast
from vadistill.evaluation.selftest.cutting import Cutout, Walk
from vadistill.simulated.walkway.sprites import FOREIGN, sprite

CONTROL = "unchanged"

LEAST = 1.0
"""Seconds that the abnormal part of a plant lasts at least."""

STOP = 2.5
"""Seconds of standing or lying."""

SHOWN = 3.0
"""Most seconds of what does nothing but go its way."""

BEFORE = 1.0
"""Seconds of normal life before and after a stand or a fall."""


@dataclass(frozen=True, eq=False)
class Plant:
    """An object to be painted into a video, one cutout a frame, and where it is abnormal."""

    kind: str
    cutouts: tuple[Cutout, ...]
    abnormal: Bool[np.ndarray, " t"]

    def __len__(self) -> int:
        return len(self.cutouts)


Kind = Callable[[Cast, Walk, np.random.Generator], Plant | None]


def _unchanged(cast: Cast, walk: Walk, rng: np.random.Generator) -> Plant | None:
    return _all_of(CONTROL, _part(walk).cutouts)


def _fast(factor: float, cast: Cast, walk: Walk, rng: np.random.Generator) -> Plant | None:
    """The walk played ``factor`` times as fast, going on in its direction where it is too short."""
    if walk not in cast.fast:
        return None
    count = min(max(_frames(walk, LEAST), int(len(walk) / factor)), _frames(walk, SHOWN))
    shown = [_later(walk, factor * i) for i in range(count)]
    while shown and not _shows(shown[-1], walk.size):
        shown.pop()
    if len(shown) < 0.7 * _frames(walk, LEAST):
        return None
    return _all_of(f"{factor:g} times as fast", tuple(shown))


def _against(cast: Cast, walk: Walk, rng: np.random.Generator) -> Plant | None:
    """The way taken backwards, by the mirrored object, where all go the other way."""
    across, down = np.abs(walk.velocity)
    if walk not in cast.moving or across < 2 * down or not cast.is_one_way(walk):
        return None
    shown = _part(walk).cutouts
    back = zip(shown, shown[::-1], strict=True)
    turned = [_mirrored(_tight(cutout)).moved(*place.foot) for cutout, place in back]
    return _all_of("against the usual direction", tuple(turned))


def _stops(cast: Cast, walk: Walk, rng: np.random.Generator) -> Plant | None:
    """The walk that comes to a stand for ``STOP`` seconds, then goes on."""
    if walk not in cast.moving or not cast.nobody_stands:
        return None
    middle, around = len(walk) // 2, _frames(walk, BEFORE)
    hold, settled = _frames(walk, STOP), _frames(walk, 0.5)
    before, after = walk.cutouts[max(0, middle - around) : middle], walk.cutouts[middle:]
    shown = (*before, *(walk.cutouts[middle],) * hold, *after[:around])
    abnormal = np.zeros(len(shown), bool)
    abnormal[len(before) + settled : len(before) + hold] = True
    return Plant("stops", shown, abnormal)


def _falls(cast: Cast, walk: Walk, rng: np.random.Generator) -> Plant | None:
    """The object turns over its foot within half a second and lies."""
    upright = walk.height > 1.3 * np.median([c.alpha.shape[1] for c in walk.cutouts])
    if not upright:
        return None
    middle = min(len(walk) // 3, _frames(walk, BEFORE))
    fall, lie = _frames(walk, 0.5), _frames(walk, STOP)
    side = 1 if rng.random() < 0.5 else -1
    last = _tight(walk.cutouts[middle])
    turns = [_turned(last, side * 90.0 * min(1.0, (i + 1) / fall)) for i in range(fall)]
    abnormal = np.zeros(middle + fall + lie, bool)
    abnormal[middle:] = True
    return Plant("falls", (*walk.cutouts[:middle], *turns, *(turns[-1],) * lie), abnormal)


def _foreign(cast: Cast, walk: Walk, rng: np.random.Generator) -> Plant | None:
    """A figure that does not belong to people, on a person's way and at its speed."""
    if walk not in cast.moving:
        return None
    walk = _part(walk)
    name = FOREIGN[int(rng.integers(len(FOREIGN)))]
    feet = _straight(walk)
    metres = np.hypot(*np.gradient(feet, axis=0).T).cumsum() * 1.7 / walk.height
    right = bool(walk.velocity[0] >= 0)
    scale = walk.height / 1.7
    drawn = sprite(name, rng, pixels_per_metre=scale, right=right, metres=metres.astype(np.float32))
    grey = _is_grey(walk)
    shown = [
        _of_sprite(picture, grey).moved(*foot)
        for picture, foot in zip(drawn, feet.tolist(), strict=True)
    ]
    return _all_of("foreign object", tuple(shown))


def _elsewhere(cast: Cast, walk: Walk, rng: np.random.Generator) -> Plant | None:
    """The same walk where nobody has been seen, as near as possible."""
    walk = _part(walk)
    width, height = walk.size
    feet = walk.feet
    tall = walk.height
    shifts = [
        (dx * tall / 2, dy * tall / 4)
        for dx in range(-12, 13)
        for dy in range(-4, 5)
        if (dx, dy) != (0, 0)
    ]
    shifts.sort(key=lambda s: float(np.hypot(s[0], 3 * s[1])))
    low, high = feet.min(0), feet.max(0)
    for dx, dy in shifts:
        inside = low[0] + dx > tall / 3 and high[0] + dx < width - tall / 3
        inside &= low[1] + dy > tall * 1.05 and high[1] + dy < height - 2
        if inside and cast.share_of_usual(feet + np.array([dx, dy])) <= 0.02:
            tight = map(_tight, walk.cutouts)
            moved = tuple(c.moved(c.foot[0] + dx, c.foot[1] + dy) for c in tight)
            if not cast.hides(moved):
                return _all_of("unusual place", moved)
    return None


KINDS: dict[str, Kind] = {
    CONTROL: _unchanged,
    "1.5 times as fast": partial(_fast, 1.5),
    "2 times as fast": partial(_fast, 2.0),
    "3 times as fast": partial(_fast, 3.0),
    "against the usual direction": _against,
    "stops": _stops,
    "falls": _falls,
    "foreign object": _foreign,
    "unusual place": _elsewhere,
}
"""By name, in the order in which they are reported."""


def plants_of(cast: Cast, kind: str, count: int, rng: np.random.Generator) -> list[Plant]:
    """At most ``count`` plants of a kind, of different walks, none under the mask."""
    made: list[Plant] = []
    order: Sequence[int] = rng.permutation(len(cast.walks)).tolist()
    for index in order:
        if len(made) == count:
            break
        plant = KINDS[kind](cast, cast.walks[index], rng)
        if plant is not None and plant.abnormal.any() and not cast.hides(plant.cutouts):
            made.append(plant)
    return made


def _all_of(kind: str, cutouts: tuple[Cutout, ...]) -> Plant:
    return Plant(kind, cutouts, np.ones(len(cutouts), bool))


def _part(walk: Walk) -> Walk:
    """The middle ``SHOWN`` seconds."""
    most = _frames(walk, SHOWN)
    first = max(0, (len(walk) - most) // 2)
    return replace(walk, first=walk.first + first, cutouts=walk.cutouts[first : first + most])


def _frames(walk: Walk, seconds: float) -> int:
    return max(1, round(seconds * walk.fps))


def _later(walk: Walk, frame: float) -> Cutout:
    """The walk at a frame, or as it would go on: its frames forth and back, at its mean speed."""
    index, count = round(frame), len(walk)
    if index < count:
        return walk.cutouts[index]
    over = index - (count - 1)
    back = over % (2 * (count - 1))
    shown = walk.cutouts[count - 1 - back if back < count else back - (count - 1)]
    x, y = _straight(walk)[-1] + over * walk.velocity
    return shown.moved(float(x), float(y))


def _straight(walk: Walk) -> Float[np.ndarray, "t 2"]:
    """The way without the trembling of silhouettes: a straight line through it."""
    times = np.arange(len(walk))
    return np.stack([np.polyval(np.polyfit(times, axis, 1), times) for axis in walk.feet.T], 1)


def _tight(cutout: Cutout) -> Cutout:
    """Without the seam of its old surroundings: for another place than where it was cut out."""
    return cutout._replace(alpha=np.clip(2 * cutout.alpha - 1, 0, 1))


def _shows(cutout: Cutout, size: tuple[int, int]) -> bool:
    """Whether at least half of a cutout is in the picture."""
    x, y = cutout.foot
    return 0 <= x < size[0] and len(cutout.alpha) / 2 < y <= size[1] + 4


def _mirrored(cutout: Cutout) -> Cutout:
    return cutout._replace(image=cutout.image[:, ::-1], alpha=cutout.alpha[:, ::-1])


def _turned(cutout: Cutout, degrees: float) -> Cutout:
    """Turned over its foot; what lies does so on the height of the foot."""
    height, width = cutout.alpha.shape
    side = 2 * int(np.ceil(np.hypot(height, width))) + 2
    centre = side / 2
    matrix = cv2.getRotationMatrix2D((width / 2, height), degrees, 1.0)
    matrix[:, 2] += (centre - width / 2, centre - height)
    image = cv2.warpAffine(cutout.image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    alpha: Float32[np.ndarray, "s s"] = cv2.warpAffine(cutout.alpha, matrix, (side, side))
    rows, columns = np.flatnonzero((alpha > 0.02).any(1)), np.flatnonzero((alpha > 0.02).any(0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    foot_x, foot_y = cutout.foot
    left = foot_x + float(columns[0]) - centre
    top = foot_y - (rows[-1] + 1 - rows[0])
    return Cutout(image[part], alpha[part], left, float(top))


def _is_grey(walk: Walk) -> bool:
    image = walk.cutouts[len(walk) // 2].image.astype(int)
    return float((image.max(2) - image.min(2)).mean()) < 4


def _of_sprite(picture: Float32[np.ndarray, "h w 4"], grey: bool) -> Cutout:
    alpha = np.clip(picture[..., 3], 0, 1)
    colours = picture[..., :3] / np.maximum(alpha, 1e-3)[..., None]
    if grey:
        colours = np.repeat(colours @ np.array([[0.30], [0.59], [0.11]], np.float32), 3, axis=2)
    image = np.clip(colours, 0, 255).astype(np.uint8)
    return Cutout(image, alpha.astype(np.float32), 0.0, 0.0)
