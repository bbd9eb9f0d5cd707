"""What a step of training sees: windows, some pseudo-abnormal, parts of them, and their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vadistill.systems.fast_aed.data import HURRIES, WindowStore, windows_at
from vadistill.systems.fast_aed.halves import half_of
from vadistill.systems.fast_aed.losses import pool_targets
from vadistill.systems.fast_aed.model import Maps, Student
from vadistill.systems.fast_aed.pseudo import (
    copy_objects,
    hurried_targets,
    paste_objects,
    pasted_targets,
)
from vadistill.systems.fast_aed.recipes import Config
from vadistill.systems.fast_aed.targets import MapStore

AUTOENCODER = 1
"""Sets the draws of the auto-encoder phase apart from those of distillation."""


@dataclass(frozen=True, eq=False)
class Batches:
    """Makes the batches of both phases; all draws depend on (``config.seed``, step) alone."""

    store: WindowStore
    teachers: Sequence[MapStore]
    config: Config
    student: Student
    """What learns: the whole student, or ``half_of`` it."""
    half: bool

    @classmethod
    def of(
        cls, student: Student, store: WindowStore, teachers: Sequence[MapStore], config: Config
    ) -> Batches:
        """For a whole student, which learns from parts where it can and is asked to."""
        half = half_of(student) if config.crops and teachers else None
        return cls(store, teachers, config, half or student, half is not None)

    def windows(self, rows: Int[np.ndarray, " n"], step: int) -> UInt8[np.ndarray, "n c h w"]:
        """Windows alone, as they are, for the auto-encoder."""
        rng = np.random.default_rng([self.config.seed, step, AUTOENCODER])
        pixels, _ = self._parts(self.store.windows(rows), [], rng)
        return windows_at(pixels, self.student.size)

    def taught(
        self, rows: Int[np.ndarray, " n"], step: int
    ) -> tuple[UInt8[np.ndarray, "n c h w"], list[Maps]]:
        """Windows, some of them pseudo-abnormal or mirrored, and every teacher's maps of them."""
        config, rng = self.config, np.random.default_rng([self.config.seed, step])
        hurried = rng.random(len(rows)) < config.hurried
        paces = np.where(hurried, rng.integers(1, 1 + len(HURRIES), len(rows)), 0)
        pixels = self.store.windows(rows, paces)
        height = pixels.shape[2]
        masks = [teacher.masks(rows) for teacher in self.teachers]
        finest = [
            hurried_targets(teacher.maps(rows), mask, hurried)
            for teacher, mask in zip(self.teachers, masks, strict=True)
        ]
        copy_objects(pixels, finest, masks[0], config.copied, rng)
        pixels, finest = self._parts(pixels, finest, rng)
        boxes = paste_objects(pixels, config.pasted, rng, height)
        size = (pixels.shape[2], pixels.shape[3])
        sizes = self.student.architecture.sizes
        maps = [pool_targets(pasted_targets(m, boxes, size), sizes) for m in finest]
        pixels = windows_at(pixels, self.student.size)
        return mirror(pixels, maps, rng.random(len(rows)) < config.mirrored)

    def _parts(
        self,
        pixels: UInt8[np.ndarray, "n c h w"],
        maps: Sequence[Float[Tensor, "n y x"]],
        rng: np.random.Generator,
    ) -> tuple[UInt8[np.ndarray, "n c _ _"], list[Float[Tensor, "n _ _"]]]:
        """Half of each window along either side, cut at the edges of the maps' cells."""
        if not self.half:
            return pixels, list(maps)
        sides = np.array(pixels.shape[2:])
        halves = sides // 2
        cells = np.array(maps[0].shape[1:]) // 2 if maps else halves
        corners = rng.integers(0, cells + 1, (len(pixels), 2))
        at = np.minimum(np.round(corners * sides / (2 * cells)).astype(int), sides - halves)
        parts = [
            window[:, y : y + halves[0], x : x + halves[1]]
            for window, (y, x) in zip(pixels, at.tolist(), strict=True)
        ]
        cut = [
            torch.stack(
                [
                    m[y : y + cells[0], x : x + cells[1]]
                    for m, (y, x) in zip(own, corners.tolist(), strict=True)
                ]
            )
            for own in maps
        ]
        return np.stack(parts), cut


def mirror(
    windows: UInt8[np.ndarray, "n c h w"], targets: Sequence[Maps], which: Bool[np.ndarray, " n"]
) -> tuple[UInt8[np.ndarray, "n c h w"], list[Maps]]:
    """Some of the windows, and every teacher's maps of them, with left and right exchanged."""
    windows = np.where(which[:, None, None, None], windows[..., ::-1], windows)
    mirrored = torch.from_numpy(which)[:, None, None]
    return windows, [[torch.where(mirrored, m.flip(-1), m) for m in maps] for maps in targets]
