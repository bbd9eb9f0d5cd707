"""Running a student: in PyTorch, or in ONNX Runtime with batch norm folded and operators fused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Num, UInt8
from torch import Tensor, nn

from vadistill import runtime
from vadistill.systems.fast_aed.blocks import Decoder, standardise
from vadistill.systems.fast_aed.model import (
    Student,
    for_bytes,
    frame_score,
    localisation,
)

Windows = UInt8[np.ndarray, "n c h w"]
"""RGB planes of the frames of n windows, c = 3 a frame."""


class Scored(NamedTuple):
    """What a student says of n windows."""

    scores: Float32[np.ndarray, " n"]
    finest: Float32[np.ndarray, "n h w"]
    """The map of the highest resolution."""


@runtime_checkable
class StudentRuntime(Protocol):
    """Scores windows."""

    def __call__(self, windows: Windows) -> Scored: ...


class WindowScorer(nn.Module):
    """Windows to frame scores and finest maps."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, windows: Num[Tensor, "n c h w"]) -> tuple[Tensor, Tensor]:
        maps = self.student(windows)
        return frame_score(maps), localisation(maps)


class TorchRuntime:
    """PyTorch on the student's device."""

    def __init__(self, student: Student, device: torch.device) -> None:
        self._scorer, self._device = WindowScorer(student.eval().to(device)), device

    @torch.inference_mode()
    def __call__(self, windows: Windows) -> Scored:
        scores, maps = self._scorer(torch.from_numpy(windows).to(self._device))
        return Scored(scores.float().cpu().numpy(), maps.float().cpu().numpy())


class ReconstructionRuntime:
    """Table 5's auto-encoder without distillation, in PyTorch.

    The map is the middle frame's squared error of Eq. 2, the score its mean.
    """

    def __init__(self, student: Student, decoder: Decoder, device: torch.device) -> None:
        self._student, self._decoder = student.eval().to(device), decoder.eval().to(device)
        self._device = device

    @torch.inference_mode()
    def __call__(self, windows: Windows) -> Scored:
        given = torch.from_numpy(windows).to(self._device)
        middle = 3 * (given.shape[1] // 6)
        rebuilt = self._decoder(self._student.features(given))
        errors = rebuilt - standardise(given[:, middle : middle + 3].float())
        errors = errors.square().mean(1)
        return Scored(errors.mean((1, 2)).cpu().numpy(), errors.cpu().numpy())


def to_onnx(student: Student) -> bytes:
    """The student as an ONNX graph with a free batch size; the size of frames is fixed."""
    channels = 3 * student.architecture.frames
    windows = torch.zeros(2, channels, *student.size, dtype=torch.uint8)
    scorer = WindowScorer(for_bytes(student.eval().cpu()))
    return runtime.export(scorer, [windows], ["windows"], ["scores", "maps"])


def to_int8(graph: bytes, batches: Sequence[Windows]) -> bytes:
    """The graph with 8-bit convolutions, their ranges measured on batches of windows."""
    return runtime.to_int8(graph, [{"windows": batch} for batch in batches])


class OnnxRuntime:
    """ONNX Runtime on the CPU."""

    def __init__(self, graph: bytes) -> None:
        self._session = runtime.session(graph)

    def __call__(self, windows: Windows) -> Scored:
        scores, maps = self._session.run(None, {"windows": windows})
        return Scored(np.asarray(scores), np.asarray(maps))
