"""Pseudo-abnormal objects: what normal objects are told from, made on the fly without labels.

The paper takes pictures of other things (flowers, textures, anime faces, other classes) and optical
flow between frames further apart (``motion``).  Here appearance comes from procedural textures and
pictures, foreign content pasted onto objects, objects with scrambled parts and, where a folder is
named, its pictures.  All draws come from the generator that is passed, on the CPU.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn import functional as F

from vadistill.errors import ConfigError, DataError, VideoError
from vadistill.systems.aed.figures import figures
from vadistill.video import PICTURES, decode_picture, read_picture

Grey = Float[Tensor, "n 1 s s"]
"""Grey pictures in [-1, 1]."""

TILES = 4
"""Tiles along a side of a scrambled object."""

OCTAVES = (2, 4, 8, 16, 32)
"""Cells along a side of the grids of noise that textures are made of."""


def textures(count: int, size: int, generator: Generator) -> Grey:
    """Clouds of noise, stripes, checks and their mixtures, of any contrast and brightness."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *(shape or (1, 1, 1)), generator=generator)

    clouds = torch.zeros(count, 1, size, size)
    for cells in OCTAVES:
        noise = draw(-1, 1, 1, cells, cells)
        clouds += draw(0, 1) ** 3 * F.interpolate(noise, (size, size), mode="bicubic")
    axis = torch.linspace(-0.5, 0.5, size)
    y, x = axis.view(1, 1, size, 1), axis.view(1, 1, 1, size)
    waves = []
    for _ in range(2):
        angle, cycles, phase = draw(0, math.pi), draw(1, 10), draw(0, 2 * math.pi)
        along = x * torch.cos(angle) + y * torch.sin(angle)
        waves.append(torch.tanh(draw(1, 8) * torch.sin(2 * math.pi * cycles * along + phase)))
    kind = torch.randint(4, (count,), generator=generator)
    mixed = torch.stack([clouds, waves[0], waves[0] * waves[1], clouds + waves[0]])
    pattern = mixed[kind, torch.arange(count)]
    pattern = pattern / pattern.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-6)
    return (draw(-0.5, 0.5) + draw(0.2, 1) * pattern).clamp(-1, 1)


def scrambled(objects: Grey, generator: Generator) -> Grey:
    """Objects cut into 4x4 tiles, none of which stays where it was."""
    count, _, size, _ = objects.shape
    side = size // TILES
    tiles = F.unfold(objects, side, stride=side)
    order = torch.rand(count, TILES * TILES, generator=generator).argsort(1)
    # A random cycle through all tiles: each takes the place of the next.
    source = torch.empty_like(order).scatter_(1, order, order.roll(1, 1))
    moved = tiles.gather(2, source.unsqueeze(1).expand_as(tiles))
    return F.fold(moved, (size, size), side, stride=side)


def pasted(objects: Grey, content: Grey, generator: Generator) -> Grey:
    """Objects with foreign content in an ellipse of any place, shape and angle, soft at its rim."""
    count, _, size, _ = objects.shape
    axis = torch.linspace(0, 1, size)
    cx, cy = (0.25 + 0.5 * torch.rand(2, count, 1, 1, 1, generator=generator)).unbind()
    rx, ry = (0.15 + 0.3 * torch.rand(2, count, 1, 1, 1, generator=generator)).unbind()
    angle = math.pi * torch.rand(count, 1, 1, 1, generator=generator)
    x, y = axis.view(1, 1, 1, size) - cx, axis.view(1, 1, size, 1) - cy
    u = (x * torch.cos(angle) + y * torch.sin(angle)) / rx
    v = (y * torch.cos(angle) - x * torch.sin(angle)) / ry
    inside = torch.sigmoid(12 * (1 - torch.sqrt(u * u + v * v)))
    return objects + inside * (content - objects)


@dataclass(frozen=True, eq=False)
class PseudoAppearance:
    """Pseudo-abnormal pictures of several kinds in equal parts, drawn at random.

    ``pictures`` are foreign ones, that are used whole (as one more kind) and pasted.
    """

    kinds: tuple[str, ...]
    pictures: UInt8[np.ndarray, "m s s"] | None = None

    @classmethod
    def parse(cls, text: str, pictures: UInt8[np.ndarray, "m s s"] | None) -> PseudoAppearance:
        """From kinds joined by ``+``, such as ``textures+pasted``; raises ConfigError."""
        kinds = tuple(part.strip() for part in text.split("+"))
        for kind in kinds:
            if kind not in KINDS:
                raise ConfigError(
                    f"pseudo-abnormal kind '{kind}'",
                    expected=f"some of {', '.join(KINDS)}, joined by '+'",
                    fix="correct --pseudo",
                )
        return cls(kinds, pictures)

    def __call__(self, objects: Grey, generator: Generator) -> Grey:
        """As many pseudo-abnormal pictures as there are ``objects``, some of them made of these."""
        makers = [KINDS[kind] for kind in self.kinds]
        if self.pictures is not None:
            makers.append(_photos)
        made = torch.empty_like(objects)
        which = torch.randint(len(makers), (len(objects),), generator=generator)
        for i, make in enumerate(makers):
            rows = (which == i).nonzero().squeeze(1)
            if len(rows):
                made[rows] = make(self, objects[rows], generator)
        return made

    def photos(self, count: int, generator: Generator) -> Grey:
        """Some of the foreign pictures."""
        assert self.pictures is not None
        chosen = torch.randint(len(self.pictures), (count,), generator=generator).numpy()
        return torch.from_numpy(self.pictures[chosen]).float().unsqueeze(1) / 127.5 - 1

    def content(self, count: int, size: int, generator: Generator) -> Grey:
        """What is pasted: textures and, half of it, pictures where there are any."""
        made = textures(count, size, generator)
        if self.pictures is None:
            return made
        half = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
        return torch.where(half, self.photos(count, generator), made)


def _textures(source: PseudoAppearance, objects: Tensor, generator: Generator) -> Tensor:
    return textures(len(objects), objects.shape[-1], generator)


def _pasted(source: PseudoAppearance, objects: Tensor, generator: Generator) -> Tensor:
    content = source.content(len(objects), objects.shape[-1], generator)
    return pasted(objects, content, generator)


def _scrambled(source: PseudoAppearance, objects: Tensor, generator: Generator) -> Tensor:
    return scrambled(objects, generator)


def _photos(source: PseudoAppearance, objects: Tensor, generator: Generator) -> Tensor:
    return source.photos(len(objects), generator)


KINDS: dict[str, Callable[[PseudoAppearance, Tensor, Generator], Tensor]] = {
    "textures": _textures,
    "pasted": _pasted,
    "scrambled": _scrambled,
}
"""Kinds of pseudo-abnormal appearance that need nothing but the training objects."""


def foreign_pictures(
    folder: str, made: int, size: int, *, seed: int
) -> UInt8[np.ndarray, "m s s"] | None:
    """Pictures of a folder ('' for none) and so many ``figures``; None where there are neither."""
    found = [open_pictures(Path(folder), size, seed=seed)] if folder else []
    found += [figures(made, size, seed)] if made else []
    return np.concatenate(found) if found else None


def open_pictures(
    path: Path, size: int, *, limit: int = 4096, seed: int = 0
) -> UInt8[np.ndarray, "m s s"]:
    """Up to ``limit`` grey pictures of a folder and those below it, drawn at random; DataError.

    A folder with ``train.npz`` (JPEG files joined in ``jpeg``, where each begins in ``offset``) is
    read from that.
    """
    import cv2

    files = _picture_files(path)
    order = np.random.default_rng(seed).permutation(len(files))
    pictures, unread = [], []
    for i in order:
        if len(pictures) == limit:
            break
        file = files[i]
        try:
            read = read_picture if isinstance(file, Path) else decode_picture
            picture = read(file, cv2.IMREAD_GRAYSCALE)  # pyright: ignore[reportArgumentType]
        except (VideoError, ValueError) as error:
            unread.append(str(error))
        else:
            shrinks = min(picture.shape) > size
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            pictures.append(cv2.resize(picture, (size, size), interpolation=how))
    if len(pictures) < 2:
        raise DataError(
            f"{len(pictures)} readable pictures at {path}",
            expected="a folder of jpg or png files of things that are not in the video",
            fix="correct --pictures, or leave it out to train on textures",
        )
    if unread:
        logging.getLogger(__name__).warning("%d pictures left out: %s", len(unread), unread[0])
    return np.stack(pictures).astype(np.uint8)


def _picture_files(path: Path) -> list[np.ndarray] | list[Path]:
    """Encoded pictures of ``train.npz``, or the paths of picture files."""
    packed = path / "train.npz"
    if not packed.is_file():
        return sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES)
    try:
        with np.load(packed, allow_pickle=False) as data:
            # An offset of the end may stand behind those of the files.
            parts = np.split(data["jpeg"], data["offset"][1:])
    except (KeyError, ValueError, OSError, BadZipFile):
        return []
    return parts
