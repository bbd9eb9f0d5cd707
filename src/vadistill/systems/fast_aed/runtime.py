"""Running a student: in PyTorch, or in ONNX Runtime with batch norm folded and operators fused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Num, UInt8
from torch import Tensor, nn

from vadistill import onnx_graphs
from vadistill.systems.fast_aed.decoder import Decoder
from vadistill.systems.fast_aed.model import (
    Student,
    at_place,
    frame_score,
    localisation,
    standardise,
)


class Scored(NamedTuple):
    """What a student says of n frames."""

    scores: Float32[np.ndarray, " n"]
    finest: Float32[np.ndarray, "n h w"]
    """The map of the highest resolution."""


@runtime_checkable
class StudentRuntime(Protocol):
    """Stems once a frame, then the trunk on those of each window."""

    def stems(self, images: UInt8[np.ndarray, "n h w 3"]) -> np.ndarray:
        """What depends on one frame alone, a row a frame: see ``Student.stem``."""
        ...

    def trunk(self, stems: Num[np.ndarray, "n t *stem"]) -> Scored:
        """Scores of windows from the stems of their frames, each for its place."""
        ...


class Stem(nn.Module):
    """RGB bytes as they come from a decoder to a frame's stem."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: UInt8[Tensor, "n h w 3"]) -> Tensor:
        return self.student.stem(images.permute(0, 3, 1, 2))


class Trunk(nn.Module):
    """The stems of a window's frames to its score and finest map."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, stems: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.student.trunk(list(stems.unbind(1)))
        return frame_score(maps), localisation(maps)


def score_windows(runtime: StudentRuntime, windows: UInt8[np.ndarray, "n c h w"]) -> Scored:
    """Scores of whole windows, c = 3 a frame: the stems of every frame, then the trunk."""
    return runtime.trunk(window_stems(runtime, windows))


def window_stems(runtime: StudentRuntime, windows: UInt8[np.ndarray, "n c h w"]) -> np.ndarray:
    """The stems of each window's frames (n, t, ...), each for its place."""
    stems = runtime.stems(images_of(windows))
    stems = stems.reshape(len(windows), -1, *stems.shape[1:])
    return np.stack([at_place(stems[:, k], k) for k in range(stems.shape[1])], axis=1)


def images_of(windows: UInt8[np.ndarray, "n c h w"]) -> UInt8[np.ndarray, "m h w 3"]:
    """Every frame of some windows in turn, as decoders give them."""
    height, width = windows.shape[2:]
    images = windows.reshape(-1, 3, height, width).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images)


class TorchRuntime:
    """PyTorch on the student's device."""

    def __init__(self, student: Student, device: torch.device) -> None:
        student.eval().to(device)
        self._stem, self._trunk, self._device = Stem(student), Trunk(student), device

    @torch.inference_mode()
    def stems(self, images: UInt8[np.ndarray, "n h w 3"]) -> np.ndarray:
        return self._stem(torch.from_numpy(images).to(self._device)).float().cpu().numpy()

    @torch.inference_mode()
    def trunk(self, stems: Float32[np.ndarray, "n t *stem"]) -> Scored:
        scores, maps = self._trunk(torch.from_numpy(stems).to(self._device))
        return Scored(scores.float().cpu().numpy(), maps.float().cpu().numpy())


class ReconstructionRuntime:
    """Table 5's auto-encoder without distillation, in PyTorch.

    The map is the middle frame's squared error of Eq. 2, the score its mean.
    """

    def __init__(self, student: Student, decoder: Decoder, device: torch.device) -> None:
        self._student, self._decoder = student.eval().to(device), decoder.eval().to(device)
        self._device = device

    def stems(self, images: UInt8[np.ndarray, "n h w 3"]) -> np.ndarray:
        return images.transpose(0, 3, 1, 2)[:, None]

    @torch.inference_mode()
    def trunk(self, stems: UInt8[np.ndarray, "n t 3 h w"]) -> Scored:
        frames = torch.from_numpy(stems).to(self._device)
        rebuilt = self._decoder(self._student.features(frames.flatten(1, 2)))
        middle = standardise(frames[:, frames.shape[1] // 2].float())
        errors = (rebuilt - middle).square().mean(1)
        return Scored(errors.mean((1, 2)).cpu().numpy(), errors.cpu().numpy())


class MergedRuntime:
    """A runtime whose calls are made together with other threads'."""

    def __init__(self, stems: Callable[..., np.ndarray], trunk: Callable[..., tuple]) -> None:
        self._stems, self._trunk = stems, trunk

    def stems(self, images: UInt8[np.ndarray, "n h w 3"]) -> np.ndarray:
        return self._stems(images)

    def trunk(self, stems: Num[np.ndarray, "n t *stem"]) -> Scored:
        return Scored(*self._trunk(stems))


class Graphs(NamedTuple):
    """A student as two ONNX graphs."""

    stem: bytes
    trunk: bytes


def to_onnx(student: Student) -> Graphs:
    """The student as ONNX graphs with a free batch size; sizes of frames are fixed."""
    student.eval().cpu()
    images = torch.zeros(2, *student.size, 3, dtype=torch.uint8)
    with torch.inference_mode():
        stems = Stem(student)(images)
    windows = torch.zeros(2, student.architecture.frames, *stems.shape[2:])
    return Graphs(
        onnx_graphs.export(Stem(student), [images], ["images"], ["stems"]),
        onnx_graphs.export(Trunk(student), [windows], ["stems"], ["scores", "maps"]),
    )


def to_int8(graphs: Graphs, windows: Sequence[UInt8[np.ndarray, "n c h w"]]) -> Graphs:
    """The graphs with 8-bit convolutions, their ranges measured on batches of windows."""
    runtime = OnnxRuntime(graphs)
    return Graphs(
        onnx_graphs.to_int8(graphs.stem, [{"images": images_of(batch)} for batch in windows]),
        onnx_graphs.to_int8(
            graphs.trunk, [{"stems": window_stems(runtime, batch)} for batch in windows]
        ),
    )


class OnnxRuntime:
    """ONNX Runtime on the CPU."""

    def __init__(self, graphs: Graphs) -> None:
        self._stem, self._trunk = map(onnx_graphs.session, graphs)

    def stems(self, images: UInt8[np.ndarray, "n h w 3"]) -> np.ndarray:
        return np.asarray(self._stem.run(None, {"images": images})[0])

    def trunk(self, stems: Float32[np.ndarray, "n t *stem"]) -> Scored:
        scores, maps = self._trunk.run(None, {"stems": stems})
        return Scored(np.asarray(scores), np.asarray(maps))
