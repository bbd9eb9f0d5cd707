"""DAKD's settings and named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from vadistill.config import Recipe, TrainedConfig
from vadistill.errors import ConfigError, one_of
from vadistill.systems.dakd.attention import TERMS, Index, Term
from vadistill.systems.dakd.temporal import RIVALS

Scoring = Literal["dense", "segments", "live"]
Scorer = Literal["student", "teacher"]
LabelLoss = Literal["topk", "ranking", "magnitude"]
AUTO = "auto"
"""Backbones that are chosen by what is at hand, or on videos left out."""

LABEL_LOSSES: tuple[LabelLoss, ...] = get_args(LabelLoss)
Runtimes = Literal["auto", "torch", "torch-bf16", "onnx", "openvino"]
"""Those of vadistill.runtime but 8 bits, which are for convolutions."""


EARLIER: dict[str, Any] = {
    "width": 1024,
    "standardise": False,
    "label_loss": "ranking",
    "guarded": False,
    "folds": 0,
    "committee": 1,
}
"""Of models that were fitted before these settings were."""


@dataclass(frozen=True)
class Config(TrainedConfig):
    """Settings of DAKD; the defaults need no download, but take a detector's where it can be had,
    and are sized for two CPU cores."""

    SCORING: ClassVar = TrainedConfig.SCORING | {"scorer", "scoring", "store"}
    FOLDERS: ClassVar = frozenset({"teacher", "student"})

    teacher: tuple[str, ...] = (AUTO,)
    """The teacher's backbones: names as for 'vadistill extract', or of published features; auto:
    all features that there are, or of videos compact, flow and, where this machine has it or can
    fetch it, detector:yolox_nano."""
    student: str = AUTO
    """The student's only backbone; auto: of the teacher's the one that is the best by itself on
    videos left out, the first where none is (``folds``)."""
    scorer: Scorer = "student"
    """Who scores: the distilled student, or the teacher itself (and no student is learnt)."""
    temporal: str = "disentangled"
    """The temporal module of both: tam (the paper's), a rival of Table 1 (mtn, multihead, lstm,
    rnn, disentangled, which has all backbones side by side, gru, cnn), none, or baseline: Sultani
    et al.'s network without projections."""
    width: int = 128
    """Of the aggregated features H; projections and the head's hidden layer have half of it."""
    standardise: bool = True
    """Whether networks see features less the training segments' mean, over their deviation."""
    label_loss: LabelLoss = "topk"
    """How video labels teach: topk (cross-entropy of the highest segments), ranking (the paper's,
    Sultani et al.'s) or magnitude (RTFM's)."""
    terms: tuple[Term, ...] = TERMS
    """Terms of the attention (Table 6); the student has none across backbones."""
    index: Index = "paper"
    """Relative position of the position-to-content term: the paper's or DeBERTa's."""
    reach: int = 25
    """k, the largest relative distance in segments (Eq. 1, Fig. 5)."""
    skip: bool = True
    """Whether there is a way round the attention (ours): without one, scores hardly change in a
    video."""
    guarded: bool = True
    """Whether attention can only lower a segment's score: what it says of the others would else
    make the normal segments of an abnormal video the most abnormal ones, for some seeds."""
    segments: int = 32
    """Segments that a training video is reduced to."""
    normalise: bool = False
    """Whether a segment's features are scaled to unit length."""
    crops: int = 1
    """Crops of a frame whose features are averaged: 1, 5 or 10."""
    epochs: int = 20
    """Of the teacher and of the student; one passes over the more frequent class once."""
    folds: int = 3
    """Parts of the training videos that are left out in turn, to see whether the teachers are
    better than as many with the student's backbone alone (else those teach it), and to calibrate
    on; 0: none.  Unless 0, of fewer than eight videos of either class nothing is distilled."""
    committee: int = 5
    """Teachers, each from another beginning, whose mean scores a student learns: what one of them
    knows by chance it does not inherit.  Where the teacher scores itself, there is one."""
    batch: int = 60
    """Videos a step, half normal and half abnormal."""
    learning_rate: float = 5e-3
    """Adagrad's, of projections, head and projector."""
    temporal_learning_rate: float = 5e-4
    """Adagrad's, of the temporal module."""
    weight_decay: float = 1e-3
    smoothness: float = 8e-5
    """Weight of the ranking loss's temporal smoothness."""
    sparsity: float = 8e-5
    """Weight of the ranking loss's sparsity."""
    half_width: int = 2
    """epsilon of the pseudo-labels' moving average, in segments; 0 leaves it out (Table 5)."""
    minmax: bool = False
    """Whether pseudo-labels are stretched to [0, 1] in each abnormal video (Table 5)."""
    least_range: float = 0.1
    """Teacher's scores of a video that differ by no more are not stretched: they are noise."""
    lambda_bce: float = 1.0
    """Weight of prediction-level distillation; at 0 (Table 5) the student's head learns from video
    labels by the ranking loss instead, since nothing else would reach it."""
    alpha: float = 0.0
    """Weight of feature-level distillation (Eq. 6, Fig. 5); 0 leaves it out (Table 5)."""
    tau: float = 0.5
    """Temperature of the InfoNCE loss (Eq. 5, Fig. 5)."""
    delta: float = 0.9
    """Pseudo-label above which a segment is in the anomaly set (Fig. 5)."""
    delta_normal: float = 0.0
    """Pseudo-label up to which a segment is in the normal set; those between the two are in
    neither.  0: those of normal videos, whose labels are certain."""
    scoring: Scoring = "dense"
    """How a video is scored: dense (each clip of 16 frames amid 32), segments (the paper's 32 a
    video, known at its end), or live (each clip as the last of 32, at once)."""
    runtime: Runtimes = "torch"
    """How features are scored; auto: in fp32 by what is the fastest here."""
    smoothing: str = "raw"
    store: str = ""
    """Folder of extracted features, as 'vadistill extract' fills it; empty: they are kept until the
    fit is done."""

    @property
    def backbones(self) -> tuple[str, ...]:
        """All that are named."""
        every = (*self.teacher, self.student) if self.scorer == "student" else self.teacher
        return tuple(dict.fromkeys(name for name in every if name != AUTO))

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Config:
        """Also those of earlier versions, which knew the paper's networks and losses alone."""
        return super().from_saved({**EARLIER, **saved})

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("temporal module", self.temporal, ("tam", *RIVALS, "baseline"))
        for term in self.terms:
            one_of("term", term, TERMS)
        self.at_least(1, "reach", "segments", "crops", "epochs", "committee")
        self.at_least(2, "batch")
        self.at_least(0, "learning_rate", "temporal_learning_rate", "weight_decay", "smoothness")
        self.at_least(0, "sparsity", "half_width", "lambda_bce", "alpha", "delta", "least_range")
        self.at_least(0, "delta_normal", "folds")
        self.at_least(1e-3, "tau")
        if self.width < 16 or self.width % 16:
            raise ConfigError(
                f"width {self.width}", expected="a multiple of 16", fix="correct --width"
            )
        if self.folds == 1:
            raise ConfigError("1 fold", expected="2 or more, or 0 for none", fix="correct --folds")
        if self.delta > 1:
            raise ConfigError(f"delta {self.delta:g}", expected="1 or less", fix="correct --delta")
        if self.delta_normal > self.delta:
            raise ConfigError(
                f"delta_normal {self.delta_normal:g}",
                expected=f"delta, {self.delta:g}, or less: no segment is in both sets",
                fix="correct --delta-normal",
            )
        if not self.teacher or not self.student:
            raise ConfigError(
                "no backbone",
                expected="one of the student's and one or more of the teacher's",
                fix="name them with --teacher and --student",
            )
        if AUTO in self.teacher and len(self.teacher) > 1:
            raise ConfigError(
                f"backbones {', '.join(self.teacher)}",
                expected="auto alone, or names",
                fix="name all of them, such as compact flow detector:yolox_nano",
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
        if self.temporal == "multihead" and self.runtime in ("auto", "onnx", "openvino"):
            raise ConfigError(
                f"runtime '{self.runtime}' with temporal module 'multihead'",
                expected="torch or torch-bf16: its graph would be for windows of one length",
                fix="pass --runtime torch",
            )


def default() -> Config:
    """Backbones that are at hand."""
    return Config()


def paper(student: str = "clip") -> Config:
    """The paper's: I3D, S3D and CLIP teach a student of one of them; 32 segments a video.

    Its labels are the equations' too: all videos are stretched, and what is not in the anomaly set
    is in the normal one.
    """
    return Config(
        teacher=("i3d", "s3d", "clip"),
        student=student,
        temporal="tam",
        width=1024,
        standardise=False,
        label_loss="ranking",
        guarded=False,
        epochs=100,
        folds=0,
        committee=1,
        learning_rate=1e-3,
        temporal_learning_rate=1e-4,
        minmax=True,
        least_range=0.0,
        alpha=7.5,
        tau=10.0,
        delta_normal=0.9,
        scoring="segments",
    )


def pets() -> Config:
    """Four synchronised views teach one; an epoch of so small a set is a single step."""
    views = ("view1", "view2", "view3", "view4")
    return replace(paper(), teacher=views, student="view1")


BACKBONES = "weights or features of I3D, S3D and CLIP"

RECIPES: dict[str, Recipe[Config]] = {
    "default": Recipe(default, "own labelled videos, by backbones that are at hand"),
    "paper": Recipe(paper, "the paper's three backbones, CLIP the student", needs=BACKBONES),
    "paper-i3d": Recipe(lambda: paper("i3d"), "the same, I3D the student", needs=BACKBONES),
    "pets": Recipe(pets, "PETS 2009: four views teach one", needs="the published features"),
}
"""The default first."""
