"""CAFE's settings and named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from vadistill.backbones.teachers import ARCHITECTURES
from vadistill.config import Recipe
from vadistill.errors import one_of
from vadistill.flow import FLOWS
from vadistill.runtime import RuntimeName
from vadistill.systems.cafe.losses import Reduction
from vadistill.systems.object_centric import ObjectCentricConfig
from vadistill.training import SCHEDULES

PUBLISHED: dict[str, Any] = {
    "omega_speed": 0.0,
    "omega_shape": 0.0,
    "course": False,
    "errors": "plain",
    "square": False,
}
"""Patches and Eq. 12 as they stand in the paper: without what we add."""

LowLevel = Literal["none", "flow", "image", "both"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Config(ObjectCentricConfig):
    """Settings of CAFE; the defaults are the compact pair for two CPU cores."""

    SCORING: ClassVar = ObjectCentricConfig.SCORING | {
        "omega_kd",
        "omega_ca",
        "omega_lo",
        "omega_speed",
        "omega_shape",
        "course",
        "errors",
    }

    teacher: str = "compact"
    """``compact`` (shipped), ``imagenet`` (torchvision's ResNet-34), or a file of ``pretrain``."""
    student: str = "narrow9"
    """Student architecture: narrow9 or narrow17 for the compact teacher, resnet9 or resnet17 for
    ResNet-34."""
    layers: int = 4
    """C: the last layer groups whose features are imitated, 1 to 6 (Fig. 5)."""
    low_level: LowLevel = "none"
    """Low-level branches: flow (LL-O), image (LL-E), both, or none (Table 1)."""
    square: bool = True
    """Whether patches keep their shape: squares around boxes, with what surrounds them; as
    published, boxes are stretched to squares."""
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
    omega_speed: float = 1.0
    """Weight of how an object moves: its speed by the statistics of ``motion``, or its course,
    whichever is more unusual; 0, as published: none."""
    course: bool = True
    """Whether its course counts: how unlike those of normal footage the way is that it goes."""
    omega_shape: float = 1.0
    """Weight of its width over its height, for its place; 0, as published: none."""
    errors: Literal["log", "plain"] = "log"
    """What of A_kd, A_ca and A_lo Eq. 12 standardises: their logarithms, or, as published, them."""
    epochs: int = 12
    consistency_after: int = 7
    """Epochs before L_ca enters (Sec. 3.5)."""
    batch: int = 256
    learning_rate: float = 3e-3
    """Adam's; 1e-3 in the paper."""
    schedule: Schedule = "cosine"
    """How the learning rate goes: constant (the paper's) or down to zero along a cosine."""
    smoothing: str = "average10"
    runtime: RuntimeName = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("student", self.student, ARCHITECTURES)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("optical flow", self.flow, FLOWS)
        self.at_least(1, "layers", "epochs")
        self.at_least(2, "batch")
        self.at_least(0, "lambda_kd", "lambda_ca", "lambda_lo", "learning_rate")
        self.at_least(0, "omega_speed", "omega_shape")

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Config:
        """Also those of earlier versions, which had no attribute terms and stretched boxes."""
        return super().from_saved({**PUBLISHED, **saved})


def default() -> Config:
    """Quarter-width networks with the score weights that the paper publishes for Avenue."""
    return Config()


def demo() -> Config:
    """``default`` for small data sets: every frame, and more epochs of them."""
    return replace(Config(), frames=None, epochs=20, consistency_after=12)


def ped2() -> Config:
    """``default`` with the paper's smoothing for UCSD Ped1 and Ped2."""
    return Config(smoothing="average10")


def avenue() -> Config:
    """``default`` with the paper's smoothing for CUHK Avenue."""
    return Config(smoothing="average20")


def shanghaitech() -> Config:
    """``default`` with the paper's smoothing for ShanghaiTech."""
    return Config(smoothing="average20")


def paper_ped2(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for UCSD Ped2.

    ``quick`` samples a quarter of the frames and trains 10 epochs along a cosine.
    """
    return _paper((0.5, 1.0, 0.1), ped2(), quick)


def paper_avenue(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for CUHK Avenue."""
    return _paper((1.0, 0.5, 0.1), avenue(), quick)


def paper_shanghaitech(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for ShanghaiTech."""
    return _paper((0.5, 1.0, 0.5), shanghaitech(), quick)


def _paper(omega: tuple[float, float, float], base: Config, quick: bool) -> Config:
    config = replace(
        base,
        teacher="resnet34.safetensors",
        student="resnet9",
        omega_kd=omega[0],
        omega_ca=omega[1],
        omega_lo=omega[2],
        **PUBLISHED,
        epochs=50,
        consistency_after=30,
        learning_rate=1e-3,
        schedule="constant",
        frames=None,
    )
    if not quick:
        return config
    return replace(config, frames=640, epochs=10, consistency_after=6, schedule="cosine")


TEACHER = "a ResNet-34 of 'vadistill pretrain'"

RECIPES: dict[str, Recipe[Config]] = {
    "default": Recipe(default, "own footage", 3),
    "demo": Recipe(demo, "a small data set: every frame, and more epochs"),
    "ped2": Recipe(ped2, "UCSD Ped1 and Ped2: the default with the paper's smoothing", 3),
    "avenue": Recipe(avenue, "CUHK Avenue: the default with the paper's smoothing"),
    "shanghaitech": Recipe(shanghaitech, "ShanghaiTech: the default with the paper's smoothing"),
    "paper-ped2": Recipe(paper_ped2, "the paper's networks on Ped2, on a GPU", needs=TEACHER),
    "paper-ped2-quick": Recipe(
        lambda: paper_ped2(quick=True), "these on a quarter of the frames", 20, TEACHER
    ),
    "paper-avenue": Recipe(paper_avenue, "the paper's networks on Avenue on a GPU", needs=TEACHER),
    "paper-avenue-quick": Recipe(
        lambda: paper_avenue(quick=True), "these on 640 frames", needs=TEACHER
    ),
    "paper-shanghaitech": Recipe(
        paper_shanghaitech, "the paper's networks on ShanghaiTech, on a GPU", needs=TEACHER
    ),
    "paper-shanghaitech-quick": Recipe(
        lambda: paper_shanghaitech(quick=True), "these on 640 frames", needs=TEACHER
    ),
}
"""The default first; minutes are those of Ped2."""
