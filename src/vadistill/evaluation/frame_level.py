"""Frame-level figures, each a named protocol; scikit-learn computes ROC and precision-recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import bootstrap as resampling
from vadistill.evaluation.alignment import Aligned, PerVideo, align, min_max
from vadistill.evaluation.bootstrap import Summary
from vadistill.evaluation.protocol import Measure

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


def _video_auc(data: Aligned) -> float:
    videos = data.by_video()
    if len(np.unique(videos.all_labels)) < 2:
        raise DataError(
            f"all {len(videos)} videos are of one class",
            expected="normal and abnormal videos for the measure video",
            fix="measure micro instead",
        )
    return _micro_auc(videos)


class FrameMeasure(NamedTuple):
    """A figure of frame scores and its value in each resample of the videos."""

    value: Callable[[Aligned], float]
    resamples: Callable[[Aligned, Int[np.ndarray, "r v"]], Float[np.ndarray, " r"]]


def _macro(mode: MacroMode) -> FrameMeasure:
    return FrameMeasure(
        lambda data: _mean(video_aucs(data, mode)).value,
        lambda data, drawn: resampling.mean_resamples(video_aucs(data, mode), drawn),
    )


def _curve(value: Callable[[Aligned], float], summary: Summary) -> FrameMeasure:
    return FrameMeasure(value, lambda data, drawn: resampling.curve_resamples(data, drawn, summary))


FRAME_MEASURES: dict[Measure, FrameMeasure] = {
    "micro": FrameMeasure(_micro_auc, resampling.auc_resamples),
    "macro-skip": _macro("skip"),
    "macro-pad": _macro("pad"),
    "macro-one": _macro("one"),
    "ap": _curve(_average_precision, resampling.step_precision),
    "pr_auc": _curve(_pr_auc, resampling.trapezoid_precision),
    "eer": _curve(_eer, resampling.equal_error),
    "video": FrameMeasure(
        _video_auc,
        lambda data, drawn: resampling.auc_resamples(data.by_video(), drawn),
    ),
}


# -- by kind of anomaly ----------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassAuc:
    """Micro AUC of the frames of one class's videos and of all normal videos."""

    name: str
    videos: int
    """Videos of the class that have an abnormal frame."""
    auc: float | None
    """In [0, 1]; None where it is undefined."""
    reason: str = ""
    """Why it is undefined."""


def class_aucs(
    data: Aligned, classes: Mapping[str, str | Sequence[str]], *, normal: str = "normal"
) -> tuple[ClassAuc, ...]:
    """Micro AUC of each class's videos with all normal videos, by name of the class.

    ``classes`` gives each video's class or classes (it counts in each); a normal video has no
    abnormal frame, or the class ``normal`` in any case.  A class without a figure is returned with
    the reason.  Raises DataError for an abnormal video that has no class or is called normal.
    """
    normals, members = [], {}
    for number, name in enumerate(data.names):
        given = classes.get(name, ())
        kinds = {given} if isinstance(given, str) else set(given)
        kinds = {kind for kind in kinds if kind.lower() != normal.lower()}
        for kind in kinds:
            members.setdefault(kind, [])
        if not data.labels[number].any():
            normals.append(number)
        elif not kinds:
            raise DataError(
                f"video {name} has abnormal frames and "
                + ("no class" if name not in classes else f"the class {given!r}"),
                expected="the kind of its anomaly",
                fix="give its class, or correct its labels",
            )
        else:
            for kind in kinds:
                members[kind].append(number)
    return tuple(_class_auc(data, kind, members[kind], normals) for kind in sorted(members))


def _class_auc(data: Aligned, kind: str, own: list[int], normals: list[int]) -> ClassAuc:
    if not own:
        return ClassAuc(kind, 0, None, "none of its videos has an abnormal frame")
    members = own + normals
    labels, scores = [data.labels[i] for i in members], [data.scores[i] for i in members]
    if all(part.all() for part in labels):
        return ClassAuc(kind, len(own), None, "no normal frame in its videos and no normal video")
    return ClassAuc(kind, len(own), micro_auc(labels, scores))
