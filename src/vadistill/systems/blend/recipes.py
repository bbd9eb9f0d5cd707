"""The settings of ``blend``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vadistill.config import Recipe, SystemConfig
from vadistill.errors import ConfigError
from vadistill.systems.object_centric import ObjectCentricConfig

Combine = Literal["mean", "maximum"]


@dataclass(frozen=True)
class Config(SystemConfig):
    """Settings of the blend."""

    SCORING: ClassVar = SystemConfig.SCORING | {"combine", "overlap"}

    of: tuple[str, ...] = ("motion", "cafe")
    """The members: systems by name, which are fitted (``cafe:ped2`` with that recipe), or folders
    of fitted models, which are copied in."""
    combine: Combine = "mean"
    """A frame's score of its members' scaled ones: their mean, or the maximum."""
    localiser: str = ObjectCentricConfig.localiser
    """Where members that are fitted find objects: see CAFE's."""
    frames: int = 1000
    """Training frames, about, that all members score for their scales and the calibration."""
    overlap: float = 0.5
    """IoU, 0 to 1, from which boxes of two members are of one object."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "frames")
        if len(self.of) < 2:
            raise ConfigError(
                f"a blend of {', '.join(self.of) or 'nothing'}",
                expected="two members at least",
                fix="name them, such as --of motion cafe",
            )
        if not 0 < self.overlap <= 1:
            raise ConfigError(
                f"overlap {self.overlap}", expected="above 0, 1 at most", fix="correct --overlap"
            )

    @property
    def models(self) -> tuple[Path, ...]:
        return tuple(Path(name) for name in self.of if Path(name).is_dir())


def default() -> Config:
    """``motion`` and ``cafe`` in their defaults."""
    return Config()


RECIPES: dict[str, Recipe[Config]] = {"default": Recipe(default, "own footage: motion and cafe")}
