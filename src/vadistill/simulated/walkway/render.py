"""From actors to pictures: painting order, shadows, light and sensor, and who is seen where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from vadistill.simulated.walkway.actors import Actor
from vadistill.simulated.walkway.events import cast
from vadistill.simulated.walkway.figures import Face, Limb, Part, Shape, dim
from vadistill.simulated.walkway.scene import DETAIL, SUN, Camera, Scene, WalkwayConfig, reduce

MIN_VISIBLE = 20
"""Pixels of an actor that must show for it to count as seen (boxes, tracks, labels, masks)."""

_FRACTION = 4  # bits behind the point of OpenCV's fixed-point coordinates
_UNIT = 1 << _FRACTION
# A cheap camera's colours: paler than what was painted, and blacks that are not quite black.
_SENSOR = np.hstack(
    [0.80 * np.eye(3) + 0.17 * np.tile([0.30, 0.59, 0.11], (3, 1)), [[7.0], [8.0], [9.0]]]
).astype(np.float32)


class Flat(NamedTuple):
    """A figure's shapes and where they are in the picture."""

    shapes: list[Shape]
    slices: list[slice]
    """Each shape's part of the points."""
    points: Float64[np.ndarray, "n 2"]
    """Column and row."""
    fallen: Float64[np.ndarray, "n 2"]
    """The same for the points' shadows on the ground."""
    scales: Float64[np.ndarray, " s"]
    """Pixels per metre at each shape."""

    def shows(self, camera: Camera) -> bool:
        """Whether the figure or its shadow can reach into the picture."""
        both = np.concatenate([self.points, self.fallen])
        size = np.array([camera.width, camera.height])
        margin = 12 * camera.height / 240
        return bool((both.max(0) > -margin).all() and (both.min(0) < size + margin).all())


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


def video_frames(
    config: WalkwayConfig, scene: Scene, split: str, number: int
) -> Iterator[Rendered]:
    """Frames of video ``number`` (0-based) of ``split``; equal arguments give equal pixels."""
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
    owner: Int32[np.ndarray, "h w"],
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
) -> tuple[Float32[np.ndarray, "h w 3"], Int32[np.ndarray, "h w"], dict[int, int]]:
    """The scene with everyone in it under full sun, whose each pixel is, and each one's size.

    Pixels are 0 (nobody's) or i + 1 (actor i's); sizes are in pixels, whether they show or not.
    """
    camera = scene.camera
    shadow = np.zeros((camera.height, camera.width), np.uint8)
    sizes: dict[int, int] = {}
    layers: list[tuple[float, int, Flat | None]] = []
    for i, actor in enumerate(actors):
        depth = actor.depth(frame)
        if not 4 < depth < 60:
            continue
        parts = actor.parts(frame)
        flat = _flatten(camera, parts) if parts else None
        if flat is not None and flat.shows(camera):
            layers.append((depth, i + 1, flat))
            _shade(shadow, flat)
    soft = cv2.GaussianBlur(shadow, (0, 0), 1.1 * camera.height / 240)
    canvas = scene.background * (1 - (0.36 / 255) * soft[..., None].astype(np.float32))
    owner = np.zeros(shadow.shape, np.int32)
    fixed = [(o.z, -1 - k, None) for k, o in enumerate(scene.occluders)]
    for _, number, flat in sorted([*layers, *fixed], key=lambda layer: -layer[0]):
        if flat is None:
            occluder = scene.occluders[-1 - number]
            _lay(canvas, owner, occluder.left, occluder.top, occluder.rgb, occluder.alpha, 0)
        else:
            left, top, sprite = _paint(flat)
            alpha = sprite[..., 3:] / 255
            sizes[number - 1] = int(np.count_nonzero(alpha >= 0.5))
            _lay(canvas, owner, left, top, sprite[..., :3], alpha, number)
    return canvas, owner, sizes


def draw(camera: Camera, parts: Sequence[Part]) -> tuple[int, int, Float32[np.ndarray, "h w 4"]]:
    """A figure by itself: its left and top in the picture, and colours multiplied by alpha.

    All four channels go from 0 to 255.
    """
    return _paint(_flatten(camera, parts))


def _flatten(camera: Camera, parts: Sequence[Part]) -> Flat:
    shapes = [shape for part in parts for shape in part.shapes]
    corners = [s[:2] if isinstance(s, Limb) else s.corners for s in shapes]
    points = np.array([point for each in corners for point in each])
    ends = np.cumsum([len(each) for each in corners])
    x, y, z = points.T
    fallen = np.stack([x + SUN[0] * y, np.zeros_like(y), z + SUN[1] * y], 1)
    return Flat(
        shapes,
        [slice(int(end) - len(each), int(end)) for each, end in zip(corners, ends, strict=True)],
        camera.project(points),
        camera.project(fallen),
        (camera.focal / z)[ends - 1],
    )


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


def _paint(flat: Flat) -> tuple[int, int, Float32[np.ndarray, "h w 4"]]:
    """Paint a figure at ``DETAIL`` times its size on a patch just large enough; reduce it.

    Returns the patch's left and top in the picture and its pixels, multiplied by alpha.
    """
    widths = np.array([s.radius if isinstance(s, Limb) else 0.05 for s in flat.shapes])
    border = float((widths * flat.scales).max()) + 1
    left, top = np.floor(flat.points.min(0) - border).astype(int).tolist()
    right, bottom = np.ceil(flat.points.max(0) + border).astype(int).tolist()
    patch = np.zeros(((bottom - top) * DETAIL, (right - left) * DETAIL, 4), np.uint8)
    points = _fixed((flat.points - (left, top)) * DETAIL)
    for shape, own, scale in zip(flat.shapes, flat.slices, flat.scales.tolist(), strict=True):
        colour = (*shape.colour, 255)
        if isinstance(shape, Limb):
            radius = shape.radius * scale * DETAIL
            _rod(patch, points[own], radius, colour)
            if radius > 2.8:  # round: lit from the upper left
                aside = np.rint(np.array([-0.34, -0.22]) * radius * _UNIT).astype(np.int32)
                _rod(patch, points[own] + aside, 0.5 * radius, (*dim(shape.colour, 1.16), 255))
        elif isinstance(shape, Face):
            cv2.fillConvexPoly(patch, points[own], colour, cv2.LINE_AA, _FRACTION)
        else:
            width = max(1, round(shape.width * scale * DETAIL))
            cv2.polylines(patch, [points[own]], True, colour, width, cv2.LINE_AA, _FRACTION)
    return left, top, reduce(patch)


def _fixed(points: Float64[np.ndarray, "n 2"]) -> Int32[np.ndarray, "n 2"]:
    """For OpenCV, whose pixel centres are whole numbers."""
    return np.rint((points - 0.5) * _UNIT).astype(np.int32)


def _rod(
    patch: np.ndarray, ends: Int32[np.ndarray, "2 2"], radius: float, colour: tuple[int, ...]
) -> None:
    start, end = ends.tolist()
    if start == end:
        size = max(_UNIT // 2, round(radius * _UNIT))
        cv2.circle(patch, start, size, colour, -1, cv2.LINE_AA, _FRACTION)
    else:
        cv2.line(patch, start, end, colour, max(1, round(2 * radius)), cv2.LINE_AA, _FRACTION)


def _shade(shadow: np.ndarray, flat: Flat) -> None:
    """Draw the figure as the sun throws it on the ground."""
    points = _fixed(flat.fallen)
    for shape, own, scale in zip(flat.shapes, flat.slices, flat.scales.tolist(), strict=True):
        if isinstance(shape, Limb):
            width = max(1, round(1.7 * shape.radius * scale))
            start, end = points[own].tolist()
            cv2.line(shadow, start, end, 255, width, cv2.LINE_AA, _FRACTION)
        elif isinstance(shape, Face):
            cv2.fillConvexPoly(shadow, points[own], 255, cv2.LINE_AA, _FRACTION)
        else:
            cv2.polylines(shadow, [points[own]], True, 255, 1, cv2.LINE_AA, _FRACTION)


class Light:
    """The day's light over the scene, and the camera's lens and sensor."""

    def __init__(self, config: WalkwayConfig, rng: np.random.Generator) -> None:
        self.width, self.height, self.fps = config.width, config.height, config.fps
        self.rng = rng
        self.level = rng.uniform(0.98, 1.12)
        self.drift = rng.uniform(0.01, 0.035), rng.uniform(9, 25), rng.uniform(0, 2 * np.pi)
        # A passing cloud, in about half of the videos: a soft bank that moves over the place.
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
