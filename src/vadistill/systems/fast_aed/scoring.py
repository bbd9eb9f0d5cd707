"""What a student says of windows, as programs for any runtime."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vadistill.program import Arrays, Program
from vadistill.systems.fast_aed.blocks import Decoder, standardise
from vadistill.systems.fast_aed.model import (
    Student,
    for_bytes,
    frame_score,
    localisation,
)

Scored = tuple[Float[Tensor, " n"], Float[Tensor, "n _ _"]]
"""Frame scores, and the maps of the highest resolution."""


class WindowScorer(nn.Module):
    """Windows of bytes to frame scores and finest maps."""

    def __init__(self, student: Student, frame_map: bool) -> None:
        super().__init__()
        self.student, self.frame_map = student, frame_map

    def forward(self, windows: Num[Tensor, "n c h w"]) -> Scored:
        maps = self.student(windows)
        return frame_score(maps, self.frame_map), localisation(maps)


class ReconstructionScorer(nn.Module):
    """Table 5's auto-encoder without distillation.

    The map is the middle frame's squared error of Eq. 2, the score its mean.
    """

    def __init__(self, student: Student, decoder: Decoder) -> None:
        super().__init__()
        self.student, self.decoder = student, decoder

    def forward(self, windows: Num[Tensor, "n c h w"]) -> Scored:
        middle = 3 * (windows.shape[1] // 6)
        rebuilt = self.decoder(self.student.features(windows))
        errors = rebuilt - standardise(windows[:, middle : middle + 3].float())
        errors = errors.square().mean(1)
        return errors.mean((1, 2)), errors


def as_program(
    student: Student,
    runtime: str,
    decoder: Decoder | None = None,
    int8: bytes | Iterable[Arrays] = (),
    frame_map: bool = True,
) -> Program:
    """A student, or with a ``decoder`` its auto-encoder, for a runtime.

    ``frame_map``: whether the 1x1 map counts in a frame's score.
    """
    channels = 3 * student.architecture.frames
    windows = torch.zeros(2, channels, *student.size, dtype=torch.uint8)
    if decoder is not None:
        scorer = ReconstructionScorer(student, decoder)
    elif not runtime.startswith("torch"):
        scorer = WindowScorer(for_bytes(student), frame_map)  # which the others fuse
    else:
        scorer = WindowScorer(student, frame_map)
    return Program(scorer, {"windows": windows}, ("scores", "maps"), int8=int8, rows=4)
