"""Running a student: in PyTorch, or in ONNX Runtime with batch norm folded and operators fused."""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from vadistill.systems.fast_aed.model import Student, frame_score, localisation


class Scored(NamedTuple):
    """What a student says of n frames."""

    scores: Float32[np.ndarray, " n"]
    finest: Float32[np.ndarray, "n h w"]
    """The map of the highest resolution."""


@runtime_checkable
class StudentRuntime(Protocol):
    """Stems once a frame, then the trunk on those of each window."""

    def stems(self, images: UInt8[np.ndarray, "n h w 3"]) -> np.ndarray:
        """What depends on one frame alone, a row a frame."""
        ...

    def trunk(self, stems: Float32[np.ndarray, "n t *stem"]) -> Scored:
        """Scores of windows from the stems of their frames."""
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
    n, channels, height, width = windows.shape
    images = windows.reshape(n, channels // 3, 3, height, width).transpose(0, 1, 3, 4, 2)
    stems = runtime.stems(np.ascontiguousarray(images).reshape(-1, height, width, 3))
    return runtime.trunk(stems.reshape(n, channels // 3, *stems.shape[1:]))


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


class OnnxRuntime:
    """ONNX Runtime on the CPU."""

    def __init__(self, student: Student, device: torch.device) -> None:
        student.eval().cpu()
        height, width = student.size
        images = torch.zeros(2, height, width, 3, dtype=torch.uint8)
        with torch.inference_mode():
            stems = Stem(student)(images)
        frames = student.architecture.frames
        windows = torch.zeros(2, frames, *stems.shape[1:])
        self._stem = _session(Stem(student), images, "images", ["stems"])
        self._trunk = _session(Trunk(student), windows, "stems", ["scores", "maps"])

    def stems(self, images: UInt8[np.ndarray, "n h w 3"]) -> np.ndarray:
        return np.asarray(self._stem.run(None, {"images": images})[0])

    def trunk(self, stems: Float32[np.ndarray, "n t *stem"]) -> Scored:
        scores, maps = self._trunk.run(None, {"stems": stems})
        return Scored(np.asarray(scores), np.asarray(maps))


def _session(module: nn.Module, example: Tensor, given: str, results: list[str]):  # pyright: ignore[reportMissingParameterType]
    import onnxruntime

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Sizes are fixed on purpose: a student is made for one size of frames.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # pyright: ignore[reportPrivateImportUsage]
        torch.onnx.export(
            module.eval(),
            (example,),
            buffer,  # pyright: ignore[reportArgumentType]
            input_names=[given],
            output_names=results,
            dynamic_axes={name: {0: "n"} for name in (given, *results)},
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=["CPUExecutionProvider"]
    )
