"""CAFE's settings and named recipes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vadistill.devices import Precision
from vadistill.runtime import RuntimeName
from vadistill.systems.cafe.losses import Reduction

LowLevel = Literal["none", "flow", "image", "both"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Config:
    """Settings of CAFE; the defaults are the compact pair for two CPU cores."""

    teacher: str = "compact"
    """``compact`` (shipped), ``imagenet`` (torchvision's ResNet-34), or a file of ``pretrain``."""
    student: str = "narrow9"
    """Student architecture: narrow9 for the compact teacher, resnet9 or resnet17 for ResNet-34."""
    layers: int = 4
    """C: the last layer groups whose features are imitated, 1 to 6 (Fig. 5)."""
    localiser: str = "background"
    """Where foreground boxes come from: background, motion, detector:NAME, boxes:FILE, or a+b;
    ``all:`` before it keeps slivers at the picture's edge, too."""
    low_level: LowLevel = "none"
    """Low-level branches: flow (LL-O), image (LL-E), both, or none (Table 1)."""
    flow: str = "dis"
    """Optical flow for LL-O: dis, raft_small, raft_large."""
    reduction: Reduction = "mean"
    """Squared errors of a layer are averaged or, literally as in Eq. 2, summed."""
    lambda_kd: float = 1.0
    lambda_ca: float = 0.1
    lambda_lo: float = 1.0
    omega_kd: float = 1.0
    omega_ca: float = 0.5
    omega_lo: float = 0.1
    epochs: int = 12
    consistency_after: int = 7
    """Epochs before L_ca enters (Sec. 3.5)."""
    batch: int = 256
    learning_rate: float = 3e-3
    """Adam's; 1e-3 in the paper."""
    schedule: Schedule = "cosine"
    """How the learning rate goes: constant (the paper's) or down to zero along a cosine."""
    frames: int | None = 640
    """Evenly spaced training frames whose events are learned from; None takes all."""
    smoothing: str = "average10"
    """The protocol's smoothing; applied by whoever evaluates, never by ``stream``."""
    runtime: RuntimeName = "auto"
    """How events are scored: torch, torch-bf16, onnx, onnx-int8; auto: onnx on CPUs, else torch."""
    batch_frames: int = 16
    """Frames of a file whose events are scored together; live video takes one at a time."""
    seed: int = 0
    precision: Precision = "auto"
    """Arithmetic of training; scoring has ``runtime``."""


def compact() -> Config:
    """The default: quarter-width networks, fitted in minutes on two CPU cores.

    Its score weights are those that the paper publishes for Avenue, on every data set.
    """
    return Config()


def demo() -> Config:
    """``compact`` for small data sets: every frame, and more epochs of them."""
    return replace(Config(), frames=None, epochs=20, consistency_after=12)


def ped2(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for UCSD Ped2.

    ``quick`` samples a quarter of the frames and trains 10 epochs along a cosine.
    """
    return _paper((0.5, 1.0, 0.1), "average10", quick)


def avenue(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for CUHK Avenue."""
    return _paper((1.0, 0.5, 0.1), "average20", quick)


def shanghaitech(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for ShanghaiTech."""
    return _paper((0.5, 1.0, 0.5), "average20", quick)


def _paper(omega: tuple[float, float, float], smoothing: str, quick: bool) -> Config:
    config = Config(
        teacher="resnet34.safetensors",
        student="resnet9",
        omega_kd=omega[0],
        omega_ca=omega[1],
        omega_lo=omega[2],
        epochs=50,
        consistency_after=30,
        learning_rate=1e-3,
        schedule="constant",
        frames=None,
        smoothing=smoothing,
    )
    if not quick:
        return config
    return replace(config, frames=640, epochs=10, consistency_after=6, schedule="cosine")
