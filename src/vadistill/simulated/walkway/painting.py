"""Painting the empty walkway of a seed: paving, lawns, a wall, and everything that stands there."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vadistill.simulated.walkway.scene import (
    DETAIL,
    FAR_EDGE,
    MIDDLE,
    NEAR_EDGE,
    SUN,
    TILT,
    Camera,
    Occluder,
    Point,
    Scene,
    reduce,
    to_world,
)


def build_scene(width: int, height: int, seed: int) -> Scene:
    """Paint the place of ``seed``: paving, lawns, a hedge and wall, trees, lamps and a bench."""
    rng = np.random.default_rng([seed, 0])
    camera = Camera(width, height)
    large = Camera(width * DETAIL, height * DETAIL)
    ground = _paint_ground(large, rng)
    _paint_far_end(ground, large, rng)
    sprites = [(to_world(a, b), kind) for a, b, kind in _furniture(camera, rng)]
    painted = [(place, _paint_sprite(kind, large, place, rng)) for place, kind in sprites]
    shadow = np.zeros(ground.shape[:2], np.uint8)
    for place, kind in sprites:
        _shade_sprite(shadow, kind, large, place, rng)
    soft = cv2.GaussianBlur(shadow, (0, 0), 2.5 * DETAIL).astype(np.float32)[..., None] / 255
    picture = np.clip(ground * (1 - 0.42 * soft), 0, 255).astype(np.uint8)
    return Scene(camera, reduce(picture), tuple(_crop(p, s) for p, s in painted))


def _noise(rng: np.random.Generator, size: int, cell: int) -> np.ndarray:
    """A seamless square of smooth noise, mean 0 and deviation 1, with bumps of ``cell`` pixels."""
    grid = np.pad(rng.standard_normal((size // cell, size // cell)).astype(np.float32), 2, "wrap")
    full = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    tile = full[2 * cell : 2 * cell + size, 2 * cell : 2 * cell + size]
    return (tile - tile.mean()) / tile.std()


def _paint_ground(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    z = camera.focal * camera.HEIGHT / (rows - camera.horizon)
    x = (columns - camera.width / 2) * z / camera.focal
    along = x * math.cos(TILT) - (z - MIDDLE) * math.sin(TILT)
    across = x * math.sin(TILT) + (z - MIDDLE) * math.cos(TILT)
    pixel = z / camera.focal  # metres a pixel covers sideways; twice that and more in depth

    def sample(tile: np.ndarray, metres: float) -> np.ndarray:
        maps = (along / metres * tile.shape[1], across / metres * tile.shape[0])
        x_map, y_map = (np.mod(m, tile.shape[0]).astype(np.float32) for m in maps)
        return cv2.remap(tile, x_map, y_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    fine, middle, broad = (_noise(rng, 512, cell) for cell in (2, 8, 64))
    grain = rng.standard_normal(rows.shape).astype(np.float32)

    # Lawns: mown stripes, clumps and blades.
    stripes = np.tanh(3 * np.sin(2 * np.pi * (along + 0.35 * across) / 2.6))
    lawn = 0.05 * stripes + 0.06 * sample(middle, 9) + 0.07 * sample(broad, 30)
    lawn += 0.05 * sample(fine, 6) + 0.05 * grain
    dry = np.clip(0.25 + 0.25 * sample(broad, 23), 0, 1)[..., None]
    tint = rng.uniform(-6, 6, 3).astype(np.float32)
    fresh, parched = np.array([[74, 98, 48], [112, 112, 62]], np.float32)
    green = (1 - dry) * fresh + dry * parched + tint
    picture = green * (1 + lawn)[..., None]

    # The path and a branch of it: slabs of slightly different grey with dark joints.
    slab = 1.8
    cell_a, cell_b = np.floor(along / slab), np.floor(across / slab)
    pick = ((cell_a * 73 + cell_b * 151) % 257).astype(np.int64)
    tones = rng.normal(0, 0.022, 257).astype(np.float32)[pick]
    joints = np.zeros_like(z)
    for value, footprint in ((along, pixel), (across, pixel * 2.2)):
        distance = np.abs(np.mod(value + slab / 2, slab) - slab / 2)
        joints = np.maximum(joints, np.clip(1.2 - distance / (0.02 + footprint), 0, 1))
    paving = tones + 0.035 * sample(broad, 14) + 0.022 * sample(middle, 5) + 0.02 * grain
    stains = np.clip(sample(broad, 9.5) - 1.3, 0, 1) * 0.12
    stone = np.array([178, 172, 160], np.float32) * (1 + paving - stains - 0.16 * joints)[..., None]
    wobble = 0.05 * sample(middle, 11)
    branch = np.abs(along + 7.2 - 0.62 * (across - FAR_EDGE)) - 1.3
    inside = np.minimum(FAR_EDGE - across, across - NEAR_EDGE) + wobble
    inside = np.maximum(inside, np.where(across > 0, -branch, -9) + wobble)
    picture = np.where((inside > 0)[..., None], stone, picture)
    worn = np.exp(-np.square((inside + 0.18) / 0.16)) * (inside < 0)
    picture += worn[..., None] * 0.55 * (np.array([120, 104, 78], np.float32) - picture)
    kerb = np.clip(1.2 - np.abs(inside - 0.1) / (0.06 + pixel), 0, 1) * (inside > 0)
    picture *= 1 - 0.13 * kerb[..., None]
    for _ in range(70):  # fallen leaves and litter
        spot = int(rng.integers(camera.width)), int(rng.integers(camera.height))
        tone = rng.uniform(0.8, 1.2)
        colour = tone * np.array([118, 92, 52], np.float32)
        cv2.ellipse(picture, spot, (1, 1), 0, 0, 360, colour.tolist(), -1)
    return picture


def _blobs(
    canvas: np.ndarray,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    leaf: float,
    count: int,
    colour: tuple[int, int, int],
) -> None:
    """Foliage: many small discs, lit from the upper left."""
    angles, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    dx, dy = reach * np.cos(angles), reach * np.sin(angles)
    order = np.argsort(-dy * 0.4 - dx * 0.3 + rng.normal(0, 0.35, count))[::-1]
    for i in order:
        tone = 0.78 - 0.26 * dy[i] - 0.16 * dx[i] + rng.normal(0, 0.13)
        shade = [float(np.clip(c * tone, 8, 250)) for c in colour]
        x, y = float(dx[i]), float(dy[i])
        spot = round(centre[0] + radii[0] * x), round(centre[1] + radii[1] * y)
        size = max(1, round(leaf * rng.uniform(0.5, 1.3)))
        opaque = [255.0] if canvas.shape[2] == 4 else []
        cv2.circle(canvas, spot, size, (*shade, *opaque), -1, cv2.LINE_AA)


def _paint_far_end(picture: np.ndarray, camera: Camera, rng: np.random.Generator) -> None:
    """A wall behind a bed of shrubs along the top of the picture."""
    unit = camera.height / 240
    foot = 26 * unit
    wall = picture[: int(foot)]
    courses = np.array([146, 132, 118], np.float32) * (
        1 + 0.03 * rng.standard_normal((len(wall), 1, 1)) + 0.02 * rng.standard_normal(wall.shape)
    )
    wall[:] = courses.astype(np.float32)
    for left in np.arange(18 * unit, camera.width, 58 * unit):
        corner = (int(left + 30 * unit), int(11 * unit))
        cv2.rectangle(picture, (int(left), 0), corner, (72, 80, 88), -1)
        cv2.rectangle(picture, (int(left), 0), corner, (168, 160, 150), max(1, int(unit)))
    row = np.arange(0, camera.width, 9 * unit)
    for left in row:
        height = rng.uniform(7, 13) * unit
        shape = (rng.uniform(9, 15) * unit, height)
        tint = (88, 108, 62) if rng.random() < 0.7 else (104, 106, 58)
        _blobs(picture, rng, (left, foot + 6 * unit - height / 4), shape, 2.2 * unit, 90, tint)


def _furniture(camera: Camera, rng: np.random.Generator) -> list[tuple[float, float, str]]:
    """Where trees, lamps, the bench and the bin stand: along, across, kind."""
    wide = camera.half_view(MIDDLE) / 7.9

    def jitter(value: float, by: float = 0.6) -> float:
        return value * wide + float(rng.uniform(-by, by))

    return [
        (jitter(-2.2), 9.0, "tree"),
        (jitter(7.0), 8.2, "tree"),
        (jitter(2.4), 10.5, "shrub"),
        (jitter(4.2), FAR_EDGE + 0.5, "lamp"),
        (jitter(-4.0), NEAR_EDGE - 0.4, "lamp"),
        (jitter(6.2, 0.5), FAR_EDGE + 1.3, "young tree"),
        (jitter(0.6), FAR_EDGE + 0.55, "bench"),
        (jitter(2.2, 0.2), FAR_EDGE + 0.5, "bin"),
        (jitter(-6.3, 0.3), NEAR_EDGE - 1.4, "shrub"),
    ]


def _paint_sprite(kind: str, camera: Camera, place: Point, rng: np.random.Generator) -> np.ndarray:
    """One occluder on a transparent picture of full size; colours are multiplied by alpha."""
    canvas = np.zeros((camera.height, camera.width, 4), np.uint8)
    x, _, z = place
    metre = camera.scale(z)

    def at(dx: float, y: float, dz: float = 0.0) -> tuple[int, int]:
        column, row = camera.project(np.array([[x + dx, y, z + dz]]))[0]
        return round(column), round(row)

    def bar(p: tuple[int, int], q: tuple[int, int], metres: float, colour: tuple) -> None:
        width = max(1, round(metres * metre))
        cv2.line(canvas, p, q, (*colour, 255), width, cv2.LINE_AA)

    if kind in ("tree", "young tree"):
        young = kind == "young tree"
        trunk, crown = (0.10, 2.5) if young else (0.3, 3.0)
        bar(at(0, 0), at(0.05, crown), trunk, (84, 70, 56))
        bar(at(-trunk / 4, 0), at(0.05 - trunk / 4, crown), trunk / 3, (112, 96, 78))
        spread = (0.68, 0.6) if young else (2.5, 1.9)
        radii = (spread[0] * metre, spread[1] * metre)
        _blobs(canvas, rng, at(0, crown + spread[1] * 0.7), radii, 0.085 * metre,
               300 if young else 1800, (96, 122, 64))  # fmt: skip
    elif kind == "shrub":
        _blobs(
            canvas, rng, at(0, 0.4), (0.9 * metre, 0.5 * metre), 0.11 * metre, 160, (96, 118, 58)
        )
    elif kind == "lamp":
        bar(at(0, 0), at(0, 0.5), 0.2, (52, 54, 58))
        bar(at(0, 0.4), at(0, 4.2), 0.12, (58, 60, 64))
        bar(at(-0.03, 0.4), at(-0.03, 4.2), 0.04, (96, 98, 100))
        bar(at(-0.28, 4.22), at(0.28, 4.22), 0.16, (66, 68, 72))
        bar(at(-0.22, 4.14), at(0.22, 4.14), 0.05, (222, 218, 200))
    elif kind == "bench":
        for end in (-0.75, 0.75):
            bar(at(end, 0), at(end, 0.8, 0.2), 0.06, (60, 60, 62))
            bar(at(end, 0, -0.2), at(end, 0.45, -0.2), 0.06, (60, 60, 62))
        for y, depth in ((0.82, 0.22), (0.66, 0.2), (0.47, 0.1), (0.46, -0.05), (0.45, -0.2)):
            bar(at(-0.9, y, depth), at(0.9, y, depth), 0.1, (128, 92, 60))
    else:
        bar(at(0, 0.1), at(0, 0.85), 0.42, (70, 84, 74))
        bar(at(-0.09, 0.1), at(-0.09, 0.85), 0.1, (98, 112, 100))
        bar(at(-0.2, 0.92), at(0.2, 0.92), 0.1, (44, 50, 46))
    return canvas


def _shade_sprite(
    shadow: np.ndarray, kind: str, camera: Camera, place: Point, rng: np.random.Generator
) -> None:
    """Where an occluder keeps the sun from the ground."""
    x, _, z = place

    def at(y: float) -> tuple[int, int]:
        column, row = camera.project(np.array([[x + SUN[0] * y, 0.0, z + SUN[1] * y]]))[0]
        return round(column), round(row)

    metre = camera.scale(z)
    height = {"tree": 3.0, "young tree": 2.5, "lamp": 4.2}.get(kind, 0.7)
    width = {"tree": 0.3, "young tree": 0.11, "lamp": 0.1, "bench": 1.2, "shrub": 1.4}
    cv2.line(shadow, at(0), at(height), 255, max(1, round(width.get(kind, 0.4) * metre)))
    spread = {"tree": 2.3, "young tree": 0.65}.get(kind)
    if spread:
        column, row = at(height + spread * 0.7)
        for _ in range(120):
            dx, dy = rng.normal(0, 0.45 * spread * metre, 2)
            size = round(0.22 * spread * metre * rng.uniform(0.4, 1))
            cv2.circle(shadow, (round(column + dx), round(row + dy * 0.45)), size, 255, -1)


def _crop(place: Point, sprite: np.ndarray) -> Occluder:
    small = reduce(sprite)
    left, top, width, height = cv2.boundingRect((small[..., 3] > 0).astype(np.uint8))
    part = small[top : top + height, left : left + width]
    return Occluder(place[2], left, top, part[..., :3].copy(), part[..., 3:] / 255)
