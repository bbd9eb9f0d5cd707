"""T1's settings and named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vadistill.config import Recipe
from vadistill.errors import ConfigError, one_of
from vadistill.flow import FLOWS
from vadistill.systems.aed.pseudo import PseudoAppearance
from vadistill.systems.object_centric import PaintingConfig


@dataclass(frozen=True)
class Config(PaintingConfig):
    """Settings of T1; the defaults are sized for two CPU cores."""

    FOLDERS: ClassVar = frozenset({"pictures"})

    flow: str = "dis"
    """Optical flow of the motion views: dis, raft_small, raft_large."""
    flow_span: float = 6.0
    """Root mean squares of normal flow at which the motion views begin to saturate."""
    reach: int = 3
    """Frames to the one before and to the one after between which the motion views' flow is."""
    gap: int = 5
    """Frames between which flow is pseudo-abnormal motion where it is fast enough, above reach;
    that over up to twice as many is, too."""
    pseudo: str = "textures+pasted+scrambled"
    """Kinds of pseudo-abnormal appearance, joined by '+'."""
    pictures: str = ""
    """Folder of pictures of other things for more pseudo-abnormal appearance; '' for none."""
    figures: int = 1024
    """Procedural pictures of other things, which join those; 0 for none."""
    adversarial: float = 0.1
    """Strength of the reversed gradient with which the encoder of appearance ascends the
    adversarial loss; it grows to this over 40 % of the training."""
    adversarial_motion: float = 0.0
    """The same of both encoders of motion: with it, they lose what tells normal motion."""
    adversarial_after: int = 2
    """Epochs in which adversarial decoders learn alone before that gradient acts."""
    epochs: int = 8
    """Of the auto-encoders."""
    classifier_epochs: int = 4
    """Of the classifiers, which come after."""
    batch: int = 64
    """Normal objects a step; as many pseudo-abnormal ones join them."""
    learning_rate: float = 1e-3
    """Adam's at first; it goes down to zero along a cosine in each phase."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("optical flow", self.flow, FLOWS)
        PseudoAppearance.parse(self.pseudo, None)
        self.at_least(1, "reach")
        self.at_least(self.reach + 1, "gap")  # at reach, motion is normal
        self.at_least(0, "figures", "adversarial", "adversarial_after", "learning_rate")
        self.at_least(0, "adversarial_motion")
        self.at_least(1, "epochs", "classifier_epochs")
        if not self.flow_span > 0:
            raise ConfigError(
                f"flow_span {self.flow_span}", expected="above 0", fix="correct --flow-span"
            )

    @property
    def gaps(self) -> tuple[int, ...]:
        """All gaps of pseudo-abnormal motion: 5, 6, 8 and 10 frames for 5."""
        return tuple(dict.fromkeys(round(self.gap * times) for times in (1, 1.2, 1.6, 2)))

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Config:
        """Also those of earlier versions, whose flow was to neighbouring frames."""
        earlier = {"reach": 1, "figures": 0, "adversarial_motion": saved.get("adversarial", 0.1)}
        return super().from_saved({**earlier, **saved})


def default() -> Config:
    """A sample of the frames and few epochs, on any data."""
    return Config()


def ped2(*, quick: bool = False) -> Config:
    """Every frame of UCSD Ped2, meant for a GPU; ``quick`` is that for two CPU cores."""
    return _filtered(quick)


def avenue(*, quick: bool = False) -> Config:
    """Every frame of CUHK Avenue, meant for a GPU; ``quick``: as many as Ped2 has."""
    return _filtered(quick)


def shanghaitech(*, quick: bool = False) -> Config:
    """20,000 frames of ShanghaiTech: the objects of all 270,000 would take over 80 GB of disk."""
    config = _filtered(quick)
    return config if quick else replace(config, frames=20_000)


def _filtered(quick: bool) -> Config:
    """With the paper's 3-D mean filter, for evaluation, where nobody waits for a score."""
    config = replace(Config(), filter_frames=9, filter_cells=3)
    if quick:
        few = {"epochs": 4, "adversarial_after": 1, "classifier_epochs": 2}
        return replace(config, frames=2560, **few)
    return replace(config, frames=None, epochs=16, adversarial_after=4, classifier_epochs=8)


RECIPES: dict[str, Recipe[Config]] = {
    "default": Recipe(default, "own footage, and whatever fast_aed learns from"),
    "ped2": Recipe(ped2, "every frame of UCSD Ped2, for a GPU"),
    "ped2-quick": Recipe(lambda: ped2(quick=True), "every frame of UCSD Ped2, few epochs", 22),
    "avenue": Recipe(avenue, "every frame of CUHK Avenue, for a GPU"),
    "avenue-quick": Recipe(lambda: avenue(quick=True), "2,560 frames of CUHK Avenue, few epochs"),
    "shanghaitech": Recipe(shanghaitech, "20,000 frames of ShanghaiTech, for a GPU"),
    "shanghaitech-quick": Recipe(
        lambda: shanghaitech(quick=True), "2,560 frames of ShanghaiTech, few epochs"
    ),
}
"""The default first; Ped2's minutes were measured on one of the two cores."""
