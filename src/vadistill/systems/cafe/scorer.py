"""From patches to A_kd, A_ca and A_lo: one network for training's end, PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Literal, Protocol, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from vadistill import runtime
from vadistill.devices import Precision, autocast
from vadistill.errors import ConfigError
from vadistill.objects.patches import FlowPatches, Patches
from vadistill.systems.cafe.losses import (
    Reduction,
    consistency_score,
    distillation_score,
    low_level_score,
)

Runtime = Literal["auto", "torch", "torch-bf16", "onnx", "onnx-int8"]
"""What runs the networks when scoring.

``torch``: plain PyTorch, fp32.  ``torch-bf16``: PyTorch with bf16 products, several times faster
where the processor has them (AMX, recent GPUs).  ``onnx``: ONNX Runtime on the CPU, fp32, fused.
``onnx-int8``: the same with 8-bit convolutions.  ``auto``: onnx on a CPU, torch on a GPU.
"""

PARTS = ("kd", "ca", "lo")


def to_unit(patches: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    """RGB bytes, channels last, as floats in [0, 1], channels first."""
    return patches.permute(0, 3, 1, 2).float() / 255


class PatchScorer(nn.Module):
    """Teacher, student and low-level branches: from events to their three anomaly scores."""

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        branches: nn.ModuleDict,
        *,
        layers: int,
        reduction: Reduction,
    ) -> None:
        super().__init__()
        self.teacher, self.student, self.branches = teacher, student, branches
        self.layers = layers
        self.reduction: Reduction = reduction

    def forward(
        self, patches: UInt8[Tensor, "n 3 32 32 3"], flow: Float[Tensor, "n 2 32 32"]
    ) -> Float[Tensor, "n 3"]:
        """A_kd, A_ca and A_lo (Eqs. 9 to 11) of each event; A_lo is 0 without branches."""
        before, event, after = (to_unit(patches[:, i]) for i in range(3))
        features = self.student(event, self.layers)
        kd = distillation_score(features, self.teacher(event, self.layers), self.reduction)
        ca = consistency_score(
            self.student(before, self.layers),
            features,
            self.student(after, self.layers),
            self.reduction,
        )
        lo = torch.zeros_like(kd)
        for name, branch in self.branches.items():
            target = flow if name == "motion" else event
            lo = lo + low_level_score(branch(features[-1]), target, self.reduction)
        return torch.stack([kd, ca, lo], dim=1)


class ScoringRuntime(Protocol):
    """Runs an PatchScorer."""

    def __call__(self, patches: Patches, flow: FlowPatches | None) -> Float[np.ndarray, "n 3"]: ...


NO_FLOW = (2, 32, 32)


def _flow_or_zeros(patches: Patches, flow: FlowPatches | None) -> Float32[np.ndarray, "n 2 32 32"]:
    """O(E), the first flow of each event; zeros where none was cut."""
    if flow is None or flow.shape[1] == 0:
        return np.zeros((len(patches), *NO_FLOW), np.float32)
    return flow[:, 0].astype(np.float32)


class TorchRuntime:
    """PyTorch on the scorer's device, in batches that keep memory small."""

    def __init__(
        self,
        scorer: PatchScorer,
        device: torch.device,
        precision: Precision = "fp32",
        batch: int = 256,
    ) -> None:
        scorer.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.scorer = scorer.eval()
        self.device, self.batch = device, batch
        self.precision: Precision = precision

    @torch.inference_mode()
    def __call__(self, patches: Patches, flow: FlowPatches | None) -> Float[np.ndarray, "n 3"]:
        motion = _flow_or_zeros(patches, flow)
        parts = [np.zeros((0, 3), np.float32)]
        for start in range(0, len(patches), self.batch):
            rows = slice(start, start + self.batch)
            with autocast(self.device, self.precision):
                scores = self.scorer(
                    torch.from_numpy(patches[rows]).to(self.device),
                    torch.from_numpy(motion[rows]).to(self.device),
                )
            parts.append(scores.cpu().numpy())
        return np.concatenate(parts)


class OnnxRuntime:
    """ONNX Runtime on the CPU: batch norm folded into the convolutions, operators fused."""

    def __init__(self, model: bytes, batch: int = 128) -> None:
        self.model, self.batch = model, batch
        self.session = runtime.session(model)
        self.inputs = {i.name for i in self.session.get_inputs()}

    def __call__(self, patches: Patches, flow: FlowPatches | None) -> Float[np.ndarray, "n 3"]:
        motion = _flow_or_zeros(patches, flow)
        parts = [np.zeros((0, 3), np.float32)]
        for start in range(0, len(patches), self.batch):
            rows = slice(start, start + self.batch)
            feeds = {"patches": patches[rows], "flow": motion[rows]}
            feeds = {k: v for k, v in feeds.items() if k in self.inputs}
            parts.append(self.session.run(None, feeds)[0])
        return np.concatenate(parts)


def to_onnx(scorer: PatchScorer) -> bytes:
    """The scorer as an ONNX graph with a free batch size."""
    examples = (torch.zeros(2, 3, 32, 32, 3, dtype=torch.uint8), torch.zeros(2, *NO_FLOW))
    return runtime.export(scorer.cpu(), examples, ("patches", "flow"), ("scores",))


def to_int8(model: bytes, patches: Patches, flow: FlowPatches | None) -> bytes:
    """An ONNX scorer with 8-bit convolutions, its ranges measured on training events."""
    motion = _flow_or_zeros(patches, flow)
    feeds = (
        {"patches": patches[start : start + 64], "flow": motion[start : start + 64]}
        for start in range(0, len(patches), 64)
    )
    return runtime.to_int8(model, feeds)


def pick_runtime(runtime: str, device: torch.device) -> Runtime:
    """The runtime that ``auto`` stands for on a device; raises ConfigError for an unknown name."""
    if runtime == "auto":
        return "torch" if device.type == "cuda" else "onnx"
    names = get_args(Runtime)
    if runtime not in names:
        raise ConfigError(
            f"runtime '{runtime}'", expected=f"one of {', '.join(names)}", fix="choose one of them"
        )
    return cast(Runtime, runtime)
