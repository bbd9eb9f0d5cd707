"""Labels and scores of the same videos, frame by frame: equal lengths and finite, or an error.

Nothing is cut, padded or interpolated to make lengths agree: a shift of a few frames changes a
figure silently, so whoever computes the scores has to say how frames without a window are filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from vadistill.datasets.base import Dataset
from vadistill.errors import DataError
from vadistill.scores import Scores

PerVideo = Mapping[str, Any] | Sequence[Any]
"""One array a video, by name or in order."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """Frame labels and scores of some videos; every pair has the same length."""

    names: tuple[str, ...]
    labels: tuple[UInt8[np.ndarray, " _"], ...]
    """1 for an abnormal frame, 0 for a normal one."""
    scores: tuple[Float[np.ndarray, " _"], ...]
    """Finite; higher is more anomalous."""
    of_videos: bool = False
    """Whether labels are of whole videos, repeated for every frame: they do not say when."""

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[UInt8[np.ndarray, " _"], Float[np.ndarray, " _"]]]:
        return iter(zip(self.labels, self.scores, strict=True))

    @property
    def all_labels(self) -> UInt8[np.ndarray, " n"]:
        """Labels of all frames, video after video."""
        return np.concatenate(self.labels)

    @property
    def all_scores(self) -> Float[np.ndarray, " n"]:
        """Scores of all frames, video after video."""
        return np.concatenate(self.scores)

    @property
    def video_of(self) -> Int[np.ndarray, " n"]:
        """Number of the video that each frame belongs to."""
        return np.repeat(np.arange(len(self)), [len(s) for s in self.scores])

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> Aligned:
        """The same labels with every video's scores passed through ``change``."""
        return replace(self, scores=tuple(change(s) for s in self.scores))

    def by_video(self) -> Aligned:
        """Each video that has frames as one: abnormal if any is, and their highest score."""
        labels = tuple(y.max(keepdims=True) if len(y) else y for y in self.labels)
        scores = tuple(s.max(keepdims=True) if len(s) else s for s in self.scores)
        return replace(self, labels=labels, scores=scores)


def min_max(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """``(values - min) / (max - min)``, in [0, 1]; all zeros where the scores never change."""
    if len(values) == 0:
        return values
    shifted = values - values.min()
    top = shifted.max()
    return shifted / top if top > 0 else shifted


def align(labels: PerVideo, scores: PerVideo) -> Aligned:
    """Pair labels and scores of the same videos; raises DataError for whatever does not fit."""
    named_labels, named_scores = _named(labels), _named(scores)
    if not named_labels:
        raise DataError("no video", expected="at least one labelled test video", fix="add some")
    absent = [name for name in named_labels if name not in named_scores]
    if absent:
        raise DataError(
            f"no scores of video {absent[0]}" + f" and {len(absent) - 1} more" * (len(absent) > 1),
            expected=f"scores of all {len(named_labels)} videos",
            fix="score the missing videos, or check that the names agree",
        )
    pairs = [_checked(n, v, named_scores[n]) for n, v in named_labels.items()]
    aligned = Aligned(tuple(named_labels), tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
    present = np.unique(aligned.all_labels)
    if len(present) < 2:
        what = "no frame" if len(present) == 0 else ("normal", "abnormal")[int(present[0])]
        raise DataError(
            f"a test set of {len(aligned)} videos with {what} frames only".replace(
                "no frame frames only", "no frame"
            ),
            expected="normal and abnormal frames",
            fix="check the labels, or add videos of the other class",
        )
    return aligned


def align_dataset(dataset: Dataset, scores: Mapping[str, Any]) -> Aligned:
    """Labels of a test set beside raw scores by video name; raises DataError.

    A value of ``scores`` is a Scores, of which the raw scores count, or an array.
    """
    values = raw_scores(scores)
    if not has_video_labels_only(dataset):
        return align({video.name: video.frame_labels for video in dataset}, values)
    labels = {
        video.name: np.full(len(values.get(video.name, ())), video.video_label, np.uint8)
        for video in dataset
    }
    return replace(align(labels, values), of_videos=True)


def has_video_labels_only(dataset: Dataset) -> bool:
    """Whether a test set's labels are of whole videos; raises DataError where it has neither."""
    unlabelled = [video.name for video in dataset if video.frame_labels is None]
    if len(unlabelled) == len(dataset) and all(c.video_label is not None for c in dataset):
        return len(dataset) > 0
    if unlabelled:
        which = "any video" if len(unlabelled) == len(dataset) else f"video {unlabelled[0]}"
        raise DataError(
            f"data set {dataset.name} has no frame labels of {which}",
            expected="frame labels of every test video, or a label of every video",
            fix="add labels (see 'vadistill data check'), or score without evaluating",
        )
    return False


def raw_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Unsmoothed values by video, whether they are Scores or arrays."""
    return {name: s.raw if isinstance(s, Scores) else s for name, s in scores.items()}


def check_lengths(video: str, scores: int, labels: int) -> None:
    """Raise DataError, naming the video and both lengths, unless they are equal."""
    if scores != labels:
        raise DataError(
            f"video {video} has {scores} scores and {labels} frame labels",
            expected="as many scores as labels",
            fix="check that the labels belong to this video and that every frame was scored",
        )


def _named(values: PerVideo) -> dict[str, Any]:
    if isinstance(values, Mapping):
        return dict(values)
    return {str(number): value for number, value in enumerate(values)}


def _checked(video: str, labels: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    found, values = np.asarray(labels), np.asarray(scores, np.float64)
    if found.ndim != 1 or values.ndim != 1:
        raise DataError(
            f"video {video} has labels of shape {found.shape} and scores of shape {values.shape}",
            expected="one number a frame",
            fix="pass one-dimensional arrays",
        )
    check_lengths(video, len(values), len(found))
    if not np.isin(found, (0, 1)).all():
        wrong = found[~np.isin(found, (0, 1))][0]
        raise DataError(
            f"video {video} has a frame label {wrong}",
            expected="0 (normal) or 1 (abnormal)",
            fix="correct the labels",
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"video {video} has the score {values[bad[0]]} at frame {bad[0]}"
            f" ({len(bad)} such frames)",
            expected="a finite score for every frame",
            fix="score the video again",
        )
    return found.astype(np.uint8), values
