"""DAKD's settings and named recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from vadistill.config import Recipe, TrainedConfig
from vadistill.errors import ConfigError, one_of
from vadistill.systems.dakd.attention import TERMS, Index, Term
from vadistill.systems.dakd.temporal import RIVALS

Scoring = Literal["dense", "segments", "live"]
Scorer = Literal["student", "teacher"]
Runtimes = Literal["auto", "torch", "torch-bf16", "onnx"]
"""Those of vadistill.runtime but 8 bits, which are for convolutions."""


@dataclass(frozen=True)
class Config(TrainedConfig):
    """Settings of DAKD; the defaults need no download and are sized for two CPU cores."""

    SCORING: ClassVar = TrainedConfig.SCORING | {"scorer", "scoring", "store"}

    teacher: tuple[str, ...] = ("compact", "flow")
    """The teacher's backbones: names as for 'vadistill extract', or of published features."""
    student: str = "compact"
    """The student's only backbone."""
    scorer: Scorer = "student"
    """Who scores: the distilled student, or the teacher itself (and no student is learnt)."""
    temporal: str = "tam"
    """The temporal module of both: tam, a rival of Table 1 (mtn, multihead, lstm, rnn,
    disentangled, gru, cnn), none, or baseline: Sultani et al.'s network without projections."""
    terms: tuple[Term, ...] = TERMS
    """Terms of the teacher's attention (Table 6); the student has all but the cross term."""
    index: Index = "paper"
    """Relative position of the position-to-content term: the paper's or DeBERTa's."""
    reach: int = 25
    """k, the largest relative distance in segments (Eq. 1, Fig. 5)."""
    skip: bool = True
    """Whether there is a way round the attention (ours): without one, scores hardly change in a
    video."""
    segments: int = 32
    """Segments that a training video is reduced to."""
    normalise: bool = False
    """Whether a segment's features are scaled to unit length."""
    crops: int = 1
    """Crops of a frame whose features are averaged: 1, 5 or 10."""
    epochs: int = 100
    """Of the teacher and of the student; one passes over the more frequent class once."""
    batch: int = 60
    """Videos a step, half normal and half abnormal."""
    learning_rate: float = 1e-3
    """Adagrad's, of projections, head and projector."""
    temporal_learning_rate: float = 1e-4
    """Adagrad's, of the temporal module."""
    weight_decay: float = 1e-3
    smoothness: float = 8e-5
    """Weight of the ranking loss's temporal smoothness."""
    sparsity: float = 8e-5
    """Weight of the ranking loss's sparsity."""
    half_width: int = 2
    """epsilon of the pseudo-labels' moving average, in segments; 0 leaves it out (Table 5)."""
    minmax: bool = True
    """Whether pseudo-labels are stretched to [0, 1] in each abnormal video (Table 5)."""
    lambda_bce: float = 1.0
    """Weight of prediction-level distillation; at 0 (Table 5) the student's head learns from video
    labels by the ranking loss instead, since nothing else would reach it."""
    alpha: float = 7.5
    """Weight of feature-level distillation (Eq. 6, Fig. 5); 0 leaves it out (Table 5)."""
    tau: float = 10.0
    """Temperature of the InfoNCE loss (Eq. 5, Fig. 5)."""
    delta: float = 0.9
    """Pseudo-label above which a segment is in the anomaly set (Fig. 5)."""
    scoring: Scoring = "dense"
    """How a video is scored: dense (each clip of 16 frames amid 32), segments (the paper's 32 a
    video, known at its end), or live (each clip as the last of 32, at once)."""
    runtime: Runtimes = "torch"
    """How features are scored: torch, torch-bf16 or onnx; auto: onnx on CPUs, torch on GPUs."""
    smoothing: str = "raw"
    store: str = ""
    """Folder of extracted features, as 'vadistill extract' fills it; empty: they are kept until the
    fit is done."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("temporal module", self.temporal, ("tam", *RIVALS, "baseline"))
        for term in self.terms:
            one_of("term", term, TERMS)
        self.at_least(1, "reach", "segments", "crops", "epochs")
        self.at_least(2, "batch")
        self.at_least(0, "learning_rate", "temporal_learning_rate", "weight_decay", "smoothness")
        self.at_least(0, "sparsity", "half_width", "lambda_bce", "alpha", "delta")
        self.at_least(1e-3, "tau")
        if self.delta > 1:
            raise ConfigError(f"delta {self.delta:g}", expected="1 or less", fix="correct --delta")
        if not self.teacher or not self.student:
            raise ConfigError(
                "no backbone",
                expected="one of the student's and one or more of the teacher's",
                fix="name them with --teacher and --student",
            )
        if len(set(self.teacher)) < len(self.teacher):
            raise ConfigError(
                f"backbones {', '.join(self.teacher)}", expected="each once", fix="name each once"
            )
        if self.temporal == "baseline" and self.scorer == "student":
            raise ConfigError(
                "temporal module 'baseline' with a student",
                expected="it with --scorer teacher: it has no features to distil",
                fix="pass --scorer teacher, or another temporal module",
            )
        if self.temporal == "multihead" and self.runtime in ("auto", "onnx"):
            raise ConfigError(
                f"runtime '{self.runtime}' with temporal module 'multihead'",
                expected="torch or torch-bf16: its graph would be for windows of one length",
                fix="pass --runtime torch",
            )


def default() -> Config:
    """Backbones that are at hand offline."""
    return Config()


def paper(student: str = "clip") -> Config:
    """The paper's: I3D, S3D and CLIP teach a student of one of them; 32 segments a video."""
    return Config(teacher=("i3d", "s3d", "clip"), student=student, scoring="segments")


def pets() -> Config:
    """Four synchronised views teach one; an epoch of so small a set is a single step."""
    views = ("view1", "view2", "view3", "view4")
    return Config(teacher=views, student="view1", scoring="segments")


BACKBONES = "weights or features of I3D, S3D and CLIP"

RECIPES: dict[str, Recipe[Config]] = {
    "default": Recipe(default, "own labelled videos, by backbones that are at hand offline"),
    "paper": Recipe(paper, "the paper's three backbones, CLIP the student", needs=BACKBONES),
    "paper-i3d": Recipe(lambda: paper("i3d"), "the same, I3D the student", needs=BACKBONES),
    "pets": Recipe(pets, "PETS 2009: four views teach one", needs="the published features"),
}
"""The default first."""
