"""Frame-level figures, each a named protocol; scikit-learn computes ROC and precision-recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from vadistill.datasets.base import Dataset
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import bootstrap as resampling
from vadistill.evaluation.alignment import Aligned, PerVideo, align, align_dataset, min_max
from vadistill.evaluation.protocol import Protocol
from vadistill.progress import progress

MacroMode = Literal["skip", "pad", "one"]


class MacroAuc(NamedTuple):
    """Mean AUC over videos."""

    value: float
    skipped: int
    """Videos of one class that were left out."""


def micro_auc(labels: PerVideo, scores: PerVideo) -> float:
    """ROC AUC over the frames of all videos, in [0, 1]; raises DataError."""
    return _micro_auc(align(labels, scores))


def macro_auc(labels: PerVideo, scores: PerVideo, mode: MacroMode = "skip") -> MacroAuc:
    """Mean over videos of each one's ROC AUC, in [0, 1], and how many videos were left out.

    ``mode`` says what a video of one class is: ``skip`` leaves it out; ``one`` counts it as 1;
    ``pad`` stretches every video's scores to [0, 1] and adds a normal frame of score 0 and an
    abnormal one of score 1 to each, as several published scripts do, so that all have two classes.
    Raises DataError, also when ``skip`` leaves no video.
    """
    return _mean(video_aucs(align(labels, scores), mode))


def average_precision(labels: PerVideo, scores: PerVideo) -> float:
    """Average precision over all frames: precision summed over recall's steps; raises DataError."""
    return _average_precision(align(labels, scores))


def pr_auc(labels: PerVideo, scores: PerVideo) -> float:
    """Trapezoidal area under the precision-recall curve of all frames, which the XD-Violence
    literature reports as AP; raises DataError."""
    return _pr_auc(align(labels, scores))


def eer(labels: PerVideo, scores: PerVideo) -> float:
    """Equal error rate over all frames, in [0, 1], lower is better; raises DataError."""
    return _eer(align(labels, scores))


def video_aucs(data: Aligned, mode: MacroMode = "skip") -> Float[np.ndarray, " v"]:
    """ROC AUC of every video in ``mode``; NaN for a video of one class that ``skip`` leaves out."""
    from sklearn.metrics import roc_auc_score

    if mode not in ("skip", "pad", "one"):
        raise ConfigError(f"macro mode '{mode}'", expected="skip, pad or one", fix="correct it")
    found = []
    for labels, scores in data:
        if mode == "pad":
            labels, scores = np.append(labels, [0, 1]), np.append(min_max(scores), [0.0, 1.0])
        if len(np.unique(labels)) == 2:
            found.append(float(roc_auc_score(labels, scores)))
        else:
            found.append(1.0 if mode == "one" else np.nan)
    return np.array(found)


@dataclass(frozen=True)
class Figure:
    """One measured figure with its 95 % bootstrap interval over videos."""

    protocol: str
    """Name of the protocol, such as ``micro/average10``."""
    metric: str
    """``auc``, ``ap``, ``pr_auc`` or ``eer``."""
    value: float
    """In [0, 1]."""
    low: float | None
    high: float | None
    """None without resamples, or with a single video to draw from."""
    videos_skipped: int = 0
    """Videos of one class that ``macro-skip`` left out."""
    resamples_skipped: int = 0
    """Resamples left out because they held one class only."""
    paper: float | None = None
    """The published figure to stand beside, in [0, 1]."""


@dataclass(frozen=True)
class Evaluation:
    """All figures of one system on one test set."""

    dataset: str
    figures: tuple[Figure, ...]
    videos: int
    frames: int
    abnormal_frames: int
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()
    """What a reader must know to compare the figures, one line each."""

    def __getitem__(self, protocol: str | Protocol) -> Figure:
        """The figure of a protocol; raises KeyError."""
        name = Protocol.parse(protocol).name
        for figure in self.figures:
            if figure.protocol == name:
                return figure
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with every field."""
        return asdict(self)


def evaluate(
    dataset: Dataset,
    scores: Mapping[str, Any],
    protocols: Sequence[Protocol | str] = ("micro/raw",),
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    paper: Mapping[str, float] | None = None,
) -> Evaluation:
    """Measure the raw scores of every clip of a labelled test set.

    Args:
        scores: by clip name, a Scores or an array with one raw score a frame.
        protocols: what to measure; smoothing is applied here, from raw scores.
        bootstrap: resamples of the videos behind each 95 % interval; 0 for none.
        seed: of the resamples; all protocols see the same ones.
        paper: published figures in [0, 1] by protocol name.

    Raises DataError for absent labels or scores, unequal lengths (naming the video and both),
    scores that are not finite, a set of one class; ConfigError for an unknown protocol.
    """
    named = list(dict.fromkeys(map(Protocol.parse, protocols)))
    published = {Protocol.parse(name).name: value for name, value in (paper or {}).items()}
    if bootstrap < 0 or not named:
        raise ConfigError(
            f"{bootstrap} resamples and {len(named)} protocols",
            expected="0 or more resamples and at least one protocol",
            fix="correct them",
        )
    data = align_dataset(dataset, scores)
    drawn = None
    if bootstrap and len(data) > 1:
        drawn = resampling.draws(len(data), bootstrap, seed)
    figures, forms = [], {}
    with progress("figures", len(named)) as advance:
        for protocol in named:
            form = (protocol.smoothing, protocol.minmax)
            if form not in forms:
                forms[form] = data.map(protocol.apply)
            figures.append(_figure(protocol, forms[form], drawn, published.get(protocol.name)))
            advance(note=protocol.name)
    notes = list(dict.fromkeys(note for protocol in named for note in protocol.caveats))
    for figure in figures:
        if figure.videos_skipped:
            notes.append(
                f"{figure.protocol} leaves out {figure.videos_skipped} of {len(data)} videos, "
                "whose frames are of one class"
            )
        if figure.resamples_skipped:
            notes.append(
                f"{figure.protocol}: {figure.resamples_skipped} of {bootstrap} resamples held one "
                "class only and were left out"
            )
    if bootstrap and drawn is None:
        notes.append("no intervals: they are drawn over videos, and there is one")
    strangers = set(scores) - set(data.names)
    if strangers:
        notes.append(f"scores of {len(strangers)} videos that the test set lacks were not used")
    return Evaluation(
        dataset=dataset.name,
        figures=tuple(figures),
        videos=len(data),
        frames=len(data.all_labels),
        abnormal_frames=int(data.all_labels.sum()),
        resamples=bootstrap if drawn is not None else 0,
        seed=seed,
        notes=tuple(notes),
    )


def _figure(
    protocol: Protocol, data: Aligned, drawn: np.ndarray | None, paper: float | None
) -> Figure:
    skipped, values = 0, None
    if protocol.measure.startswith("macro"):
        mode: Any = protocol.measure.removeprefix("macro-")
        per_video = video_aucs(data, mode)
        value, skipped = _mean(per_video)
        if drawn is not None:
            values = resampling.mean_resamples(per_video, drawn)
    else:
        value = MEASURED[protocol.measure](data)
        if drawn is not None and protocol.measure == "micro":
            values = resampling.auc_resamples(data, drawn)
        elif drawn is not None:
            values = resampling.curve_resamples(data, drawn, SUMMARIES[protocol.measure])
    low, high, left_out = (None, None, 0) if values is None else resampling.interval(values)
    return Figure(protocol.name, protocol.metric, float(value), low, high, skipped, left_out, paper)


def _mean(per_video: Float[np.ndarray, " v"]) -> MacroAuc:
    defined = np.isfinite(per_video)
    if not defined.any():
        raise DataError(
            f"all {len(per_video)} videos have frames of one class only",
            expected="a video with normal and abnormal frames for macro AUC",
            fix="measure macro-pad or micro instead",
        )
    return MacroAuc(float(per_video[defined].mean()), int((~defined).sum()))


def _micro_auc(data: Aligned) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(data.all_labels, data.all_scores))


def _average_precision(data: Aligned) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(data.all_labels, data.all_scores))


def _pr_auc(data: Aligned) -> float:
    from sklearn.metrics import auc, precision_recall_curve

    precision, recall, _ = precision_recall_curve(data.all_labels, data.all_scores)
    return float(auc(recall, precision))


def _eer(data: Aligned) -> float:
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(data.all_labels, data.all_scores)
    return resampling.crossing(fpr, tpr)


MEASURED = {"micro": _micro_auc, "ap": _average_precision, "pr_auc": _pr_auc, "eer": _eer}

SUMMARIES = {
    "ap": resampling.step_precision,
    "pr_auc": resampling.trapezoid_precision,
    "eer": resampling.equal_error,
}
