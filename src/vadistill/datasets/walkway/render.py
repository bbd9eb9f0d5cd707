"""From actors to pictures: painting order, shadows, light and sensor, and who is seen where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from vadistill.datasets.walkway.actors import Actor
from vadistill.datasets.walkway.config import WalkwayConfig
from vadistill.datasets.walkway.events import cast
from vadistill.datasets.walkway.figures import Face, Limb, Part, dim
from vadistill.datasets.walkway.scene import DETAIL, SUN, Camera, Point, Scene, reduce

MIN_VISIBLE = 20
"""Pixels of an actor that must show for it to count as seen (boxes, tracks, labels, masks)."""

_FRACTION = 4  # bits behind the point of OpenCV's fixed-point coordinates
_UNIT = 1 << _FRACTION
# A cheap camera's colours: paler than what was painted, and blacks that are not quite black.
_SENSOR = np.hstack(
    [0.80 * np.eye(3) + 0.17 * np.tile([0.30, 0.59, 0.11], (3, 1)), [[7.0], [8.0], [9.0]]]
).astype(np.float32)


@dataclass(frozen=True)
class Sighting:
    """An actor that shows in a frame: its number in the cast, its kind and its extent."""

    actor: int
    kind: str
    box: tuple[int, int, int, int]
    """x1, y1, x2, y2 of its visible pixels, x2 and y2 exclusive."""
    share: float
    """Visible pixels among all that it has, also behind others and outside the picture."""
    abnormal: bool


@dataclass(frozen=True, eq=False)
class Rendered:
    """One frame with its exact truth."""

    image: UInt8[np.ndarray, "h w 3"]
    seen: tuple[Sighting, ...]
    mask: Bool[np.ndarray, "h w"]
    """Visible pixels of abnormal actors."""

    @property
    def abnormal(self) -> bool:
        return any(s.abnormal for s in self.seen)


def clip_frames(config: WalkwayConfig, scene: Scene, split: str, number: int) -> Iterator[Rendered]:
    """Frames of clip ``number`` (0-based) of ``split``; equal arguments give equal pixels."""
    rng = np.random.default_rng([config.seed, 1 + (split == "test"), number])
    early, late = config.events(number) if split == "test" else (None, None)
    actors = cast(config, rng, early, late)
    light = Light(config, rng)
    for frame in range(config.frames):
        canvas, owner, sizes = compose(scene, actors, frame)
        seen, mask = _sightings(actors, owner, sizes, frame)
        yield Rendered(light(canvas, frame), seen, mask)


def _sightings(
    actors: Sequence[Actor],
    owner: UInt8[np.ndarray, "h w"],
    sizes: Mapping[int, int],
    frame: int,
) -> tuple[tuple[Sighting, ...], Bool[np.ndarray, "h w"]]:
    seen, mask = [], np.zeros(owner.shape, bool)
    counts = np.bincount(owner.ravel(), minlength=len(actors) + 1)
    for i, actor in enumerate(actors):
        if counts[i + 1] < MIN_VISIBLE:
            continue
        own = owner == i + 1
        x, y, w, h = cv2.boundingRect(own.view(np.uint8))
        abnormal = actor.is_abnormal(frame)
        share = int(counts[i + 1]) / sizes[i]
        seen.append(Sighting(i, actor.kind, (x, y, x + w, y + h), share, abnormal))
        if abnormal:
            mask |= own
    return tuple(seen), mask


def compose(
    scene: Scene, actors: Sequence[Actor], frame: int
) -> tuple[Float32[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"], dict[int, int]]:
    """The scene with everyone in it under full sun, whose each pixel is, and each one's size.

    Pixels are 0 (nobody's) or i + 1 (actor i's); sizes are in pixels, whether they show or not.
    """
    camera = scene.camera
    shadow = np.zeros((camera.height, camera.width), np.uint8)
    sizes: dict[int, int] = {}
    layers: list[tuple[float, int, list[Part]]] = []
    for i, actor in enumerate(actors):
        depth = actor.depth(frame)
        if not 4 < depth < 60:
            continue
        parts = actor.parts(frame)
        if parts and _may_show(camera, parts):
            layers.append((depth, i + 1, parts))
            _shade(shadow, camera, parts)
    soft = cv2.GaussianBlur(shadow, (0, 0), 1.1 * camera.height / 240)
    canvas = scene.background * (1 - (0.36 / 255) * soft[..., None].astype(np.float32))
    owner = np.zeros(shadow.shape, np.uint8)
    fixed = [(o.z, -1 - k, []) for k, o in enumerate(scene.occluders)]
    for _, number, parts in sorted([*layers, *fixed], key=lambda layer: -layer[0]):
        if number < 0:
            occluder = scene.occluders[-1 - number]
            _lay(canvas, owner, occluder.left, occluder.top, occluder.rgb, occluder.alpha, 0)
        else:
            left, top, sprite = _paint(camera, parts)
            alpha = sprite[..., 3:] / 255
            sizes[number - 1] = int(np.count_nonzero(alpha >= 0.5))
            _lay(canvas, owner, left, top, sprite[..., :3], alpha, number)
    return canvas, owner, sizes


def _may_show(camera: Camera, parts: Sequence[Part]) -> bool:
    """Whether a figure or its shadow can reach into the picture, by its first point."""
    shape = parts[0].shapes[0]
    point = shape.start if isinstance(shape, Limb) else shape.corners[0]
    column, row = camera.project(point)
    reach = 4 * camera.scale(point[2])
    return -reach < column < camera.width + reach and -reach < row < camera.height + reach


def _lay(
    canvas: np.ndarray, owner: np.ndarray, left: int, top: int,
    rgb: np.ndarray, alpha: np.ndarray, number: int,
) -> None:  # fmt: skip
    """Put a sprite (colours multiplied by alpha) over the picture, where they overlap."""
    height, width = owner.shape
    y1, x1 = max(top, 0), max(left, 0)
    y2, x2 = min(top + rgb.shape[0], height), min(left + rgb.shape[1], width)
    if y1 >= y2 or x1 >= x2:
        return
    part = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    under = canvas[y1:y2, x1:x2]
    under *= 1 - alpha[part]
    under += rgb[part]
    owner[y1:y2, x1:x2][alpha[part][..., 0] >= 0.5] = number


def _paint(camera: Camera, parts: Sequence[Part]) -> tuple[int, int, Float32[np.ndarray, "h w 4"]]:
    """Paint a figure at ``DETAIL`` times its size on a patch just large enough; reduce it.

    Returns the patch's left and top in the picture and its pixels, multiplied by alpha.
    """
    drawn = []
    low_x = low_y = math.inf
    high_x = high_y = -math.inf
    for part in parts:
        for shape in part.shapes:
            points = shape[:2] if isinstance(shape, Limb) else shape.corners
            flat = [camera.project(p) for p in points]
            scale = camera.scale(points[0][2])
            width = scale * (shape.radius if isinstance(shape, Limb) else 0.05)
            for x, y in flat:
                low_x, high_x = min(low_x, x - width), max(high_x, x + width)
                low_y, high_y = min(low_y, y - width), max(high_y, y + width)
            drawn.append((shape, flat, scale))
    left, top = math.floor(low_x) - 1, math.floor(low_y) - 1
    size = math.ceil(high_y) + 2 - top, math.ceil(high_x) + 2 - left
    patch = np.zeros((size[0] * DETAIL, size[1] * DETAIL, 4), np.uint8)

    def fixed(point: tuple[float, float], dx: float = 0, dy: float = 0) -> tuple[int, int]:
        # Pixel centres are whole numbers for OpenCV; half a large pixel keeps the reduction true.
        return (
            round(((point[0] + dx - left) * DETAIL - 0.5) * _UNIT),
            round(((point[1] + dy - top) * DETAIL - 0.5) * _UNIT),
        )

    for shape, flat, scale in drawn:
        colour = (*shape.colour, 255)
        if isinstance(shape, Limb):
            radius = shape.radius * scale
            _rod(patch, fixed(flat[0]), fixed(flat[1]), radius * DETAIL, colour)
            if radius > 1.4:  # round: lit from the upper left
                aside = -0.34 * radius, -0.22 * radius
                lit = (*dim(shape.colour, 1.16), 255)
                start, end = (fixed(p, *aside) for p in flat)
                _rod(patch, start, end, 0.5 * radius * DETAIL, lit)
        else:
            corners = np.array([fixed(p) for p in flat], np.int32)
            if isinstance(shape, Face):
                cv2.fillConvexPoly(patch, corners, colour, cv2.LINE_AA, _FRACTION)
            else:
                width = max(1, round(shape.width * scale * DETAIL))
                cv2.polylines(patch, [corners], True, colour, width, cv2.LINE_AA, _FRACTION)
    return left, top, reduce(patch)


def _rod(
    patch: np.ndarray, start: tuple[int, int], end: tuple[int, int],
    radius: float, colour: tuple[int, ...],
) -> None:  # fmt: skip
    if start == end:
        cv2.circle(patch, start, max(_UNIT // 2, round(radius * _UNIT)), colour, -1,
                   cv2.LINE_AA, _FRACTION)  # fmt: skip
    else:
        cv2.line(patch, start, end, colour, max(1, round(2 * radius)), cv2.LINE_AA, _FRACTION)


def _shade(shadow: np.ndarray, camera: Camera, parts: Sequence[Part]) -> None:
    """Draw the figure as the sun throws it on the ground."""

    def fallen(point: Point) -> tuple[int, int]:
        x, y, z = point
        column, row = camera.project((x + SUN[0] * y, 0.0, z + SUN[1] * y))
        return round((column - 0.5) * _UNIT), round((row - 0.5) * _UNIT)

    for part in parts:
        for shape in part.shapes:
            if isinstance(shape, Limb):
                width = max(1, round(1.7 * shape.radius * camera.scale(shape.start[2])))
                cv2.line(shadow, fallen(shape.start), fallen(shape.end), 255, width,
                         cv2.LINE_AA, _FRACTION)  # fmt: skip
                continue
            corners = np.array([fallen(p) for p in shape.corners], np.int32)
            if isinstance(shape, Face):
                cv2.fillConvexPoly(shadow, corners, 255, cv2.LINE_AA, _FRACTION)
            else:
                cv2.polylines(shadow, [corners], True, 255, 1, cv2.LINE_AA, _FRACTION)


class Light:
    """The day's light over the scene, and the camera's lens and sensor."""

    def __init__(self, config: WalkwayConfig, rng: np.random.Generator) -> None:
        self.width, self.height, self.fps = config.width, config.height, config.fps
        self.rng = rng
        self.level = rng.uniform(0.98, 1.12)
        self.drift = rng.uniform(0.01, 0.035), rng.uniform(9, 25), rng.uniform(0, 2 * np.pi)
        # A passing cloud, in about half of the clips: a soft bank that moves over the place.
        self.cloud = rng.uniform(0.12, 0.26) if rng.random() < 0.5 else 0.0
        length = config.frames / config.fps
        self.passes = rng.uniform(0, length), rng.choice([-1, 1]) * rng.uniform(0.12, 0.3)
        self.broad = rng.uniform(0.7, 1.6)
        tile = rng.standard_normal((self.height + 61, self.width + 67, 1)).astype(np.float32)
        colour = rng.standard_normal((*tile.shape[:2], 3)).astype(np.float32)
        self.noise = 1.5 * tile + 1.1 * colour
        columns = np.linspace(-1, 1, self.width, dtype=np.float32)[None]
        rows = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None]
        self.vignette = (1.02 - 0.09 * (columns**2 + rows**2) / 2)[..., None]
        self.place = 0.5 * columns + 0.25 * rows

    def __call__(
        self, canvas: Float32[np.ndarray, "h w 3"], frame: int
    ) -> UInt8[np.ndarray, "h w 3"]:
        """What the camera gives for the composed scene at a frame."""
        time = frame / self.fps
        swing, period, phase = self.drift
        gain = self.vignette * float(
            self.level * (1 + swing * math.sin(2 * math.pi * time / period + phase))
        )
        if self.cloud:
            middle, speed = self.passes
            distance = (self.place - speed * (time - middle)) / self.broad
            gain = gain * (1 - self.cloud * np.exp(-3 * distance**2))[..., None]
        picture = cv2.GaussianBlur(canvas, (3, 3), 0.45)
        picture = cv2.transform(picture, _SENSOR)
        picture *= gain
        y, x = int(self.rng.integers(61)), int(self.rng.integers(67))
        picture += self.noise[y : y + self.height, x : x + self.width]
        return np.clip(picture, 0, 255).astype(np.uint8)
