"""Bootstrap intervals over videos: frames of one video are no independent samples, videos are.

A resample is a count of how often each video was drawn.  Whatever needs sorting is done once, so a
resample costs a product (AUC) or a cumulative sum (curves); both give exactly the figure of the
repeated frames.  A resample that holds one class only has no figure: NaN here, skipped and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vadistill.evaluation.alignment import Aligned

LEVEL = 0.95
"""Share of the resamples that lies within an interval."""

CELLS = 4_000_000
"""Frames times resamples that are worked on at a time, to bound memory."""


class Interval(NamedTuple):
    """A bootstrap interval; None where there was nothing to draw from."""

    low: float | None
    high: float | None
    skipped: int
    """Resamples without a figure, because all their frames were of one class."""


def draws(videos: int, resamples: int, seed: int) -> Int[np.ndarray, "r v"]:
    """How often each of ``videos`` was drawn, with replacement, in each resample."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(videos, np.full(videos, 1 / videos), size=resamples)


def interval(values: Float[np.ndarray, " r"]) -> Interval:
    """The central 95 % of the resamples that have a figure."""
    valid = values[np.isfinite(values)]
    skipped = len(values) - len(valid)
    if len(valid) == 0:
        return Interval(None, None, skipped)
    low, high = np.quantile(valid, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), skipped)


def pair_counts(data: Aligned) -> Float[np.ndarray, "v v"]:
    """Mann-Whitney counts: [i, j] is how often an abnormal frame of i outscores a normal one of j.

    A tie counts one half.  Their sum over all pairs, by the number of pairs, is micro AUC.
    """
    abnormal = np.concatenate([s[y == 1] for y, s in data])
    owner = np.repeat(np.arange(len(data)), [int(y.sum()) for y in data.labels])
    order = np.argsort(abnormal)  # sorted look-ups stay in the cache
    abnormal, owner = abnormal[order], owner[order]
    counts = np.zeros((len(data), len(data)))
    for j, (labels, scores) in enumerate(data):
        normal = np.sort(scores[labels == 0])
        below = np.searchsorted(normal, abnormal, "left")
        not_above = np.searchsorted(normal, abnormal, "right")
        counts[:, j] = np.bincount(owner, (below + not_above) / 2, minlength=len(data))
    return counts


def auc_resamples(data: Aligned, drawn: Int[np.ndarray, "r v"]) -> Float[np.ndarray, " r"]:
    """Micro AUC of every resample, from the pair counts."""
    in_order = ((drawn @ pair_counts(data)) * drawn).sum(1)
    abnormal = drawn @ np.array([int(y.sum()) for y in data.labels])
    normal = drawn @ np.array([int((y == 0).sum()) for y in data.labels])
    return _ratio(in_order, (abnormal * normal).astype(np.float64))


def mean_resamples(
    per_video: Float[np.ndarray, " v"], drawn: Int[np.ndarray, "r v"]
) -> Float[np.ndarray, " r"]:
    """Mean over the drawn videos that have a figure; NaN in ``per_video`` is one without."""
    defined = np.isfinite(per_video)
    total = drawn @ np.where(defined, per_video, 0.0)
    return _ratio(total, (drawn @ defined).astype(np.float64))


Counts = Float[np.ndarray, "r k"]
"""Cumulative frame counts of r resamples at k falling thresholds."""

Summary = Callable[[Counts, Counts], Float[np.ndarray, " r"]]
"""A figure of each resample's curve, from its true and false positives."""


def curve_resamples(
    data: Aligned, drawn: Int[np.ndarray, "r v"], summary: Summary
) -> Float[np.ndarray, " r"]:
    """``summary(tp, fp)`` of every resample's curve, with true and false positives by threshold."""
    scores, labels, video = data.all_scores, data.all_labels, data.video_of
    order = np.argsort(-scores, kind="stable")
    scores, labels, video = scores[order], labels[order], video[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # tied frames pass together
    step = max(1, CELLS // len(scores))
    parts = []
    for start in range(0, len(drawn), step):
        weights = drawn[start : start + step][:, video].astype(np.float64)
        true = np.cumsum(weights * labels, axis=1)[:, ends]
        false = np.cumsum(weights * (1 - labels.astype(np.int8)), axis=1)[:, ends]
        single = (true[:, -1] == 0) | (false[:, -1] == 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts.append(np.where(single, np.nan, summary(true, false)))
    return np.concatenate(parts)


def step_precision(true: Counts, false: Counts) -> Float[np.ndarray, " r"]:
    """Average precision: precision summed over steps of recall."""
    precision, recall = _precision_recall(true, false)
    return (np.diff(recall, axis=1) * precision[:, 1:]).sum(1)


def trapezoid_precision(true: Counts, false: Counts) -> Float[np.ndarray, " r"]:
    """Trapezoidal area under the precision-recall curve, which starts at recall 0, precision 1."""
    precision, recall = _precision_recall(true, false)
    return np.trapezoid(precision, recall, axis=1)


def equal_error(true: Counts, false: Counts) -> Float[np.ndarray, " r"]:
    """False positive rate where it equals the false negative rate."""
    zero = np.zeros((len(true), 1))
    fpr = np.hstack([zero, false / false[:, -1:]])
    tpr = np.hstack([zero, true / true[:, -1:]])
    return np.array([crossing(f, t) for f, t in zip(fpr, tpr, strict=True)])


def crossing(fpr: Float[np.ndarray, " k"], tpr: Float[np.ndarray, " k"]) -> float:
    """Where a ROC curve, linear between its points, meets fpr + tpr = 1."""
    return float(np.interp(1.0, fpr + tpr, fpr))


def _precision_recall(true: Counts, false: Counts) -> tuple[np.ndarray, np.ndarray]:
    one, both = np.ones((len(true), 1)), true + false
    # Thresholds that no drawn frame has reached yet repeat the starting point and add no area.
    precision = np.hstack([one, np.where(both > 0, true / both, 1.0)])
    return precision, np.hstack([0 * one, true / true[:, -1:]])


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
