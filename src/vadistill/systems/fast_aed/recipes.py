"""fast_aed's settings and named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from vadistill.config import Recipe, TrainedConfig
from vadistill.errors import ConfigError
from vadistill.runtime import RuntimeName
from vadistill.systems.fast_aed.attention import Dense
from vadistill.systems.fast_aed.model import ARCHITECTURES, Architecture

Named = Literal["reference", "paper", "lite"]

ALPHA = 0.1
"""The paper's weight of the adversarial loss."""

LEARNING_RATE = 1e-4
"""The paper's, for the student and the discriminators alike."""


PUBLISHED: Mapping[str, Any] = {
    "object_height": 0,
    "crops": False,
    "average": 0.0,
    "copied": 0.0,
    "frame_map": True,
    "balanced": False,
}
"""The paper's student, and that of earlier versions, in the settings that we added to it."""


@dataclass(frozen=True)
class Config(TrainedConfig):
    """Settings of fast_aed; the defaults are ``lite``, sized for two CPU cores."""

    SCORING: ClassVar = TrainedConfig.SCORING | {"frame_map"}

    teachers: tuple[str, ...] = ("cafe", "motion")
    """Who teaches: systems of this package by name, which are fitted first (``aed:ped2`` with that
    recipe), or folders of fitted ones; nobody: the auto-encoder's error is the score (Table 5).
    The paper's are ``aed`` and ``ssmtl``: on boxes of our own they take longer to fit, and their
    students are no better."""
    architecture: Named = "lite"
    """The student: ``reference`` (the public configuration), ``paper`` (stride 2 in every layer) or
    ``lite`` (ours, for CPUs)."""
    resolutions: tuple[int, ...] = (1, 4, 16)
    """Sides of the maps that the heads give (Table 3), 0 for the frame's size; the paper has
    1, 30, 60 on Ped2."""
    blocks: int | None = None
    """m, transformer blocks (Table 2); None: the architecture's."""
    heads: int | None = None
    """s, attention heads (Table 2)."""
    dense: Dense = "pointwise"
    """Pointwise convolutions or fully connected layers (Table 8)."""
    input_frames: int = 3
    """Frames of a window, 1, 3 or 5, three apart (Table 4)."""
    branches: bool = False
    """A set of heads for each teacher instead of one for all (Table 6)."""
    width: int = 640
    """Widest picture that the student sees, in pixels; wider video is made smaller."""
    object_height: int = 56
    """Pixels that half of the training objects are taller than where the student sees them; smaller
    video is enlarged for it, up to ``width``.  0: never."""
    localiser: str = "auto"
    """Where the object-centric teachers find objects: see CAFE's."""
    frames: int | None = 640
    """Evenly spaced training frames that the student learns from; None takes all."""
    autoencoder_epochs: int = 2
    """Epochs of the auto-encoder phase (Eq. 2); 0 leaves it out (Table 5)."""
    autoencoder_rate: float | None = None
    """Its learning rate, constant; None: that of distillation."""
    epochs: int = 40
    """Epochs of distillation (Eq. 7)."""
    crops: bool = True
    """Train on parts of half the height and width at places drawn anew, where the maps have even
    sides."""
    average: float = 0.995
    """Of the student's weights' moving average, which scores, kept at each step; 0: the last
    weights score."""
    batch: int = 16
    learning_rate: float = 3e-3
    """Adam's; 1e-4 in the paper."""
    discriminator_rate: float = 1e-3
    """The discriminators' learning rate; 1e-4 in the paper, at which few steps teach them little.
    """
    weight_decay: float = 1e-5
    decay_every: int = 0
    """Epochs after which the learning rate is halved, 10 for the paper's; 0: it falls to zero along
    a cosine."""
    lambda_kd: float = 1.0
    """Weight of plain distillation (Eq. 4); 0 leaves it out (Table 5)."""
    alpha: float = 0.0
    """Weight of the adversarial loss (Eq. 7, Fig. 8), 0.1 in the paper; 0 leaves it out."""
    balanced: bool = True
    """Whether alpha is a part of plain distillation's pull at the maps, by the gradients' norms; in
    the paper it is a weight of losses."""
    hurried: float = 0.33
    """Share of training windows in which everything is too fast (pseudo-abnormal); 0 in the paper.
    """
    pasted: float = 0.33
    """Share of training windows into which a pseudo-abnormal object is pasted; 0 in the paper."""
    copied: float = 0.25
    """Share of training windows into which an object of another window is copied with its motion
    and its target; 0 in the paper."""
    mirrored: float = 0.5
    """Share of training windows that are mirrored, left to right, with their maps; 0 in the paper.
    """
    joint_discriminator: bool = False
    """One discriminator for all teachers instead of one for each (Table 6)."""
    frame_map: bool = False
    """Whether a frame's score counts the 1x1 map, too, as in the paper."""
    box_level: float = 0.5
    """Boxes are where the map exceeds this quantile of the highest cells of training frames."""
    runtime: RuntimeName = "auto"
    """How frames are scored; auto: in fp32 by what is the fastest here; onnx-int8, openvino-int8:
    with 8-bit convolutions."""
    batch_frames: int = 8
    """Frames of a file that are scored together; live video takes one at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "frames", "width", "batch_frames")
        self.at_least(0, "autoencoder_epochs", "epochs", "decay_every", "learning_rate")
        self.at_least(0, "object_height", "autoencoder_rate")
        self.at_least(0, "discriminator_rate", "weight_decay", "lambda_kd", "alpha")
        for name in ("hurried", "pasted", "copied", "mirrored", "average", "box_level"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} {getattr(self, name)}", expected="0 to 1", fix="correct it"
                )
        if not self.teachers and self.autoencoder_epochs < 1:
            raise ConfigError(
                "no teachers and no auto-encoder phase",
                expected="one of the two",
                fix="name teachers, or set autoencoder_epochs to 1 or more",
            )
        if self.branches and self.joint_discriminator:
            raise ConfigError(
                "a branch for each teacher and one discriminator for all",
                expected="one of the two, since that discriminator judges one set of maps",
                fix="leave out branches or joint_discriminator",
            )
        assert self.network  # whose settings are checked as it is made

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Config:
        """Also those of earlier versions, whose students are the paper's in what we added."""
        return super().from_saved({**PUBLISHED, **saved})

    @property
    def models(self) -> tuple[Path, ...]:
        return tuple(Path(name) for name in self.teachers if Path(name).is_dir())

    @property
    def network(self) -> Architecture:
        """The student's architecture with the settings that vary it; raises ConfigError."""
        base = ARCHITECTURES[self.architecture]
        return replace(
            base,
            resolutions=self.resolutions,
            blocks=base.blocks if self.blocks is None else self.blocks,
            heads=base.heads if self.heads is None else self.heads,
            dense=self.dense,
            frames=self.input_frames,
            branches=max(1, len(self.teachers)) if self.branches else 1,
        )


def default() -> Config:
    """``lite``, a student for two CPU cores, taught by ``cafe`` and ``motion``."""
    return Config()


def ped2(*, quick: bool = False) -> Config:
    """The paper's student, schedule and resolutions for UCSD Ped2 at its native size.

    ``quick`` samples a quarter of the frames for fewer epochs at a higher learning rate.
    """
    return _paper((1, 30, 60), "ped2", quick)


def avenue(*, quick: bool = False) -> Config:
    """The paper's student and schedule for CUHK Avenue at 640 pixels."""
    return _paper((1, 4, 16), "avenue", quick)


def shanghaitech(*, quick: bool = False) -> Config:
    """The paper's student and schedule for ShanghaiTech at 640 pixels."""
    return _paper((1, 4, 16), "shanghaitech", quick)


def _paper(resolutions: tuple[int, ...], recipe: str, quick: bool) -> Config:
    config = Config(
        teachers=(f"aed:{recipe}", f"ssmtl:{recipe}"),
        architecture="reference",
        resolutions=resolutions,
        frames=None,
        autoencoder_epochs=35,
        autoencoder_rate=1e-3,
        epochs=35,
        batch=64,
        learning_rate=LEARNING_RATE,
        decay_every=10,
        discriminator_rate=LEARNING_RATE,
        alpha=ALPHA,
        hurried=0.0,
        pasted=0.0,
        mirrored=0.0,
        **PUBLISHED,
    )
    if not quick:
        return config
    return replace(
        config,
        teachers=(f"aed:{recipe}-quick", f"ssmtl:{recipe}-quick"),
        frames=640,
        autoencoder_epochs=2,
        autoencoder_rate=None,
        epochs=10,
        batch=16,
        learning_rate=5e-4,
        decay_every=4,
    )


RECIPES: dict[str, Recipe[Config]] = {
    "default": Recipe(default, "own footage: a student for CPUs"),
    "ped2": Recipe(ped2, "the paper's student on UCSD Ped2, for a GPU", needs="8 GB of disk"),
    "ped2-quick": Recipe(
        lambda: ped2(quick=True), "the paper's student on 640 frames of UCSD Ped2", 67
    ),
    "avenue": Recipe(avenue, "the paper's student on Avenue, for a GPU", needs="20 GB of disk"),
    "avenue-quick": Recipe(
        lambda: avenue(quick=True), "the paper's student on 640 frames of CUHK Avenue"
    ),
    "shanghaitech": Recipe(shanghaitech, "the paper's student on ShanghaiTech, for a GPU"),
    "shanghaitech-quick": Recipe(
        lambda: shanghaitech(quick=True), "the paper's student on 640 frames of ShanghaiTech"
    ),
}
"""The default first.  Ped2's minutes, of one of the two cores, are 42 of teachers and 25 of it."""
