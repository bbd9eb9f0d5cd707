"""The four proxy tasks: what clips are made of an object, and what the fourth one imitates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.backbones.teachers import open_teacher
from vadistill.distill import FrozenTeacher

SPAN = 3
"""Frames of a clip on either side of the middle one."""

REGULAR = tuple(range(-SPAN, SPAN + 1))
"""Offsets of a clip of consecutive frames."""

GAPS = (1, 2, 3, 4)
"""Frames that may lie between neighbours of an irregular clip."""

REACHED = (1, 2, 3, 4, 6, 7, 8, 10)
"""Offsets that are cut on either side for irregular clips.

All twelve that gaps can reach would take 0.31 MB an object in place of 0.21.  These eight leave 32
of the 64 ways to take three frames on a side, and each gap occurs about as often in them.
"""

STORED = tuple(sorted({-o for o in REACHED} | {0} | set(REACHED)))
"""Offsets that are cut for training; the regular ones are among them."""

PATHS = tuple(
    path
    for gaps in product(GAPS, repeat=SPAN)
    if set(path := tuple(int(o) for o in np.cumsum(gaps))) <= set(REACHED)
)
"""Ways to take three frames on one side by allowed gaps among those that are cut."""

IRREGULAR = np.array(
    [
        (*(-o for o in reversed(before)), 0, *after)
        for before, after in product(PATHS, PATHS)
        if (*before, *after) != 2 * PATHS[0]
    ]
)
"""Every irregular clip by its offsets: 32 ways on either side but for the regular clip itself."""


class Clips(NamedTuple):
    """What the tasks see of n objects, RGB bytes of shape (n, frames, side, side, 3)."""

    forward: UInt8[np.ndarray, "n 7 s s 3"]
    """Consecutive frames in their order; the regular clips, too."""
    backward: UInt8[np.ndarray, "n 7 s s 3"]
    irregular: UInt8[np.ndarray, "n 7 s s 3"]
    """Random gaps of 1 to 4 frames on both sides of the same middle frame."""
    around: UInt8[np.ndarray, "n 6 s s 3"]
    """The regular clip without its middle frame."""
    middle: UInt8[np.ndarray, "n 1 s s 3"]


def irregular_offsets(count: int, generator: torch.Generator) -> Int[np.ndarray, "count 7"]:
    """Offsets of ``count`` irregular clips, drawn evenly from ``IRREGULAR``."""
    drawn = torch.randint(len(IRREGULAR), (count,), generator=generator)
    return IRREGULAR[drawn.numpy()]


def compose(patches: UInt8[np.ndarray, "n 17 s s 3"], generator: torch.Generator) -> Clips:
    """The tasks' clips of events that were cut at ``STORED``."""
    regular = patches[:, np.searchsorted(STORED, REGULAR)]
    places = np.searchsorted(STORED, irregular_offsets(len(patches), generator))
    return Clips(
        forward=regular,
        backward=regular[:, ::-1].copy(),
        irregular=patches[np.arange(len(patches))[:, None], places],
        around=np.delete(regular, SPAN, axis=1),
        middle=regular[:, SPAN : SPAN + 1],
    )


TAPE = 1 << 20
"""Numbers of the noise that veils are cut from."""


@dataclass(frozen=True, eq=False)
class Veils:
    """What lies over every frame of every clip: noise, and a change of its brightness.

    The codec's own noise differs more the further frames are apart, which could tell regular clips
    from irregular ones.  Under much stronger noise that is the same in all clips, they differ
    by how things move.
    """

    tape: Float[Tensor, " m"]
    """Standard normal; a frame's noise is a stretch of it."""
    level: float
    """Standard deviation of the noise and of the brightness, of pixels in [0, 1]."""

    @classmethod
    def of(cls, level: float, seed: int, device: torch.device) -> Veils:
        """A tape of this seed."""
        tape = torch.randn(TAPE, generator=torch.Generator().manual_seed(seed))
        return cls(tape.to(device), level)

    def __call__(
        self, count: int, frames: int, side: int, generator: torch.Generator
    ) -> Float[Tensor, "count 3 frames side side"]:
        """Veils of ``count`` clips, to be added to their pixels in [0, 1]."""
        length = 3 * side * side
        starts = torch.randint(TAPE - length, (count, frames), generator=generator)
        brightness = torch.randn(count, frames, 1, 1, 1, generator=generator)
        noise = self.tape.unfold(0, length, 1)[starts.to(self.tape.device)]
        veils = noise.view(count, frames, 3, side, side) + brightness.to(self.tape.device)
        return self.level * veils.transpose(1, 2)


class ImageEmbedder(nn.Module):
    """A frozen image network's last features, averaged over the picture."""

    INPUT = 32

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = FrozenTeacher(network)

    @property
    def outputs(self) -> int:
        """Width of its features."""
        return self.network.network.architecture.channels[-1]  # pyright: ignore

    def forward(self, patches: UInt8[Tensor, "n s s 3"]) -> Float[Tensor, "n d"]:
        """Outputs for patches of any size, shrunk to the 32x32 pixels that the network expects."""
        pictures = patches.permute(0, 3, 1, 2).float() / 255
        (top,) = self.network(F.adaptive_avg_pool2d(pictures, self.INPUT), last=1)
        return top.mean((2, 3))


def open_embedder(name: str) -> tuple[ImageEmbedder, dict[str, str]]:
    """What task 4 imitates, with its ``name``, ``source`` and ``sha``.

    Raises ConfigError for an unknown name, WeightsError.
    """
    network, facts = open_teacher(name)
    return ImageEmbedder(network), facts
