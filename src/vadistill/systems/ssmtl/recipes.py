"""T2's settings and named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from vadistill.config import Recipe
from vadistill.errors import ConfigError, one_of
from vadistill.systems.object_centric import PaintingConfig
from vadistill.systems.ssmtl.losses import TASKS
from vadistill.systems.ssmtl.model import ARCHITECTURES
from vadistill.training import SCHEDULES

Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Settings of T2; the defaults are sized for two CPU cores.

    An object takes 0.21 MB of disk while fitting: the 9,000 of 640 frames of Ped2 take 1.9 GB.
    """

    architecture: str = "strided-narrow"
    """Shared 3-D network: shallow-narrow, shallow-wide, deep-narrow, deep-wide, strided-narrow."""
    image_network: str = "compact"
    """What task 4 imitates: ``compact`` (shipped), ``imagenet`` or a file of ``pretrain``."""
    lambda_arrow: float = 1.0
    """Weight of the arrow of time's loss; a task of weight 0 is left out of the score, too."""
    lambda_irregularity: float = 1.0
    lambda_middle: float = 1.0
    lambda_distillation: float = 0.5
    noise: float = 5.0
    """Grey levels of the noise over every frame of every clip, and of its change of brightness
    (standard deviations), against the codec's own noise, which tells how far frames are apart."""
    epochs: int = 3
    batch: int = 32
    """Objects a step; each gives a clip to every task."""
    learning_rate: float = 1e-3
    """Adam's."""
    schedule: Schedule = "cosine"
    """How the learning rate goes: constant or down to zero along a cosine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("architecture", self.architecture, ARCHITECTURES)
        one_of("schedule", self.schedule, SCHEDULES)
        self.at_least(1, "epochs")
        self.at_least(0, *(f"lambda_{task}" for task in TASKS), "learning_rate", "noise")
        if not self.task_weights:
            raise ConfigError(
                "a weight of 0 for every task",
                expected="at least one above 0",
                fix="leave out one of --lambda-arrow, … --lambda-distillation",
            )

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Config:
        """Also those of earlier versions, which had no noise."""
        return super().from_saved({"noise": 0.0, **saved})

    @property
    def level(self) -> float:
        """``noise`` of pixels in [0, 1]."""
        return self.noise / 255

    @property
    def task_weights(self) -> dict[str, float]:
        """The weight of each task that takes part, in the order of scores."""
        weights = {task: float(getattr(self, f"lambda_{task}")) for task in TASKS}
        return {task: weight for task, weight in weights.items() if weight > 0}


def default() -> Config:
    """A sample of the frames, few epochs and the strided network, on any data."""
    return Config()


def ped2(*, quick: bool = False) -> Config:
    """Every frame of UCSD Ped2, meant for a GPU; ``quick`` is that for two CPU cores.

    Its objects take about 8 GB of disk.
    """
    return _filtered(quick)


def avenue(*, quick: bool = False) -> Config:
    """Every frame of CUHK Avenue, meant for a GPU; ``quick``: as many as Ped2 has.

    The objects of all frames take about 20 GB of disk.
    """
    return _filtered(quick)


def shanghaitech(*, quick: bool = False) -> Config:
    """20,000 frames of ShanghaiTech: the objects of all 270,000 would take over 300 GB of disk."""
    config = _filtered(quick)
    return config if quick else replace(config, frames=20_000)


def _filtered(quick: bool) -> Config:
    """With the paper's 3-D mean filter, for evaluation, where nobody waits for a score."""
    config = replace(Config(), filter_frames=9, filter_cells=3)
    if quick:
        return replace(config, frames=2560, epochs=2)
    return replace(config, frames=None, epochs=10, batch=64, architecture="shallow-narrow")


RECIPES: dict[str, Recipe[Config]] = {
    "default": Recipe(default, "own footage, and whatever fast_aed learns from"),
    "ped2": Recipe(ped2, "every frame of UCSD Ped2, for a GPU", needs="8 GB of disk"),
    "ped2-quick": Recipe(lambda: ped2(quick=True), "every frame of UCSD Ped2, few epochs", 20),
    "avenue": Recipe(avenue, "every frame of CUHK Avenue, for a GPU", needs="20 GB of disk"),
    "avenue-quick": Recipe(lambda: avenue(quick=True), "2,560 frames of CUHK Avenue, few epochs"),
    "shanghaitech": Recipe(shanghaitech, "20,000 frames of ShanghaiTech, for a GPU"),
    "shanghaitech-quick": Recipe(
        lambda: shanghaitech(quick=True), "2,560 frames of ShanghaiTech, few epochs"
    ),
}
"""The default first; Ped2's minutes were measured on one of the two cores."""
