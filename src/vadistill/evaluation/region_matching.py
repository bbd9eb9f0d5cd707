"""Which scored boxes hit which ground-truth boxes: the comparison behind RBDC and TBDC.

A detection matches every ground-truth box of its frame with an IoU of at least ``BETA``; one that
matches none is a false positive.  A ground-truth box counts as found from the score of its best
match on, which makes any other detection that hits it neither true nor false positive, and a track
counts as found once a share ``ALPHA`` of its boxes is.  So all that a figure needs of a video are
three lists of scores, none of which depends on the order of the detections.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vadistill.datasets.tracks import Check, Fault, Tracks, box_checks, first_fault
from vadistill.errors import ConfigError
from vadistill.scores import Scores

BETA = 0.1
"""Least IoU at which a detection matches a ground-truth box."""

ALPHA = 0.1
"""Least share of a track's boxes that have to be found for the track to be."""

PAIRS = 1_000_000
"""Pairs of boxes that are compared at a time, to bound memory."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The scored boxes of one video, in any order."""

    frame: Int[np.ndarray, " n"]
    """0-based."""
    boxes: Float[np.ndarray, "n 4"]
    """x1, y1, x2, y2 in pixels of the video; x2 and y2 are exclusive."""
    scores: Float[np.ndarray, " n"]
    """Finite; higher is more anomalous, and comparable between videos."""

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def join(cls, parts: Iterable[Detections]) -> Detections:
        """All of one video's detections that came in several parts."""
        found = list(parts)
        return cls(
            np.concatenate([np.zeros(0, np.int64), *(p.frame for p in found)]),
            np.concatenate([np.zeros((0, 4)), *(p.boxes for p in found)]),
            np.concatenate([np.zeros(0), *(p.scores for p in found)]),
        )

    def fault(self, frames: int | None) -> Fault | None:
        """What is wrong first, in a video of ``frames`` frames, or None."""
        finite = Check(
            ~np.isfinite(self.scores),
            lambda row: f"a box with the score {self.scores[row]:g} in frame {self.frame[row]}",
            "a finite score",
            "score the video again",
        )
        return first_fault([*box_checks(self.frame, self.boxes, frames), finite])


def detections_of(scores: Scores) -> Detections:
    """The boxes of a scored video with their own, raw scores.

    The smoothing of ``scores`` does not count: it is of frame scores, and boxes have none.
    """
    table = scores.box_columns()
    boxes = np.stack([table[name] for name in ("x1", "y1", "x2", "y2")], axis=1)
    return Detections(table["frame"], boxes, table["score"].astype(np.float64))


def iou(a: Float[np.ndarray, "n 4"], b: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """Intersection over union of each pair of boxes, in [0, 1].

    With exclusive x2 and y2 a width is x2 - x1: the same pixels as the x2 - x1 + 1 of inclusive
    ones, which files hold (``region_files`` converts).
    """
    shared = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    intersection = shared.clip(0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return intersection / (areas - intersection)


@dataclass(frozen=True, eq=False)
class Matches:
    """What the curves need of one video."""

    frames: int
    false: Float[np.ndarray, " f"]
    """Scores of its false positives, ascending."""
    boxes: Float[np.ndarray, " g"]
    """From which score on each ground-truth box is found; -inf: never."""
    tracks: Float[np.ndarray, " t"]
    """The same of each track."""


def match(
    tracks: Tracks,
    detections: Detections,
    frames: int,
    *,
    video: str = "",
    beta: float = BETA,
    alpha: float = ALPHA,
) -> Matches:
    """Compare the detections of one video of ``frames`` frames with its tracks.

    Raises DataError, naming ``video``, for boxes that are malformed or outside the video and for a
    track with two boxes in a frame; ConfigError unless ``beta`` and ``alpha`` lie in (0, 1].
    """
    if not (0 < beta <= 1 and 0 < alpha <= 1):
        raise ConfigError(
            f"beta {beta:g} and alpha {alpha:g}", expected="shares in (0, 1]", fix="use 0.1"
        )
    for what, table in (("track box", tracks), ("detection", detections)):
        fault = table.fault(frames)
        if fault is not None:
            raise fault.error(f"video {video}, {what} {fault.row + 1} of {len(table)}")
    hit, best = _best_matches(tracks, detections, beta)
    return Matches(
        frames, np.sort(detections.scores[~hit]), best, _tracks_found(tracks, best, alpha)
    )


def _best_matches(
    tracks: Tracks, detections: Detections, beta: float
) -> tuple[Bool[np.ndarray, " d"], Float[np.ndarray, " g"]]:
    """Whether each detection matches any ground-truth box, and each of these's best score."""
    order = np.argsort(tracks.frame, kind="stable")
    frame = tracks.frame[order]
    first = np.searchsorted(frame, detections.frame, "left")
    count = np.searchsorted(frame, detections.frame, "right") - first
    hit = np.zeros(len(detections), bool)
    best = np.full(len(tracks), -np.inf)
    some = np.flatnonzero(count)  # detections in frames that have ground truth
    ends = np.cumsum(count[some])
    cuts = np.searchsorted(ends, np.arange(0, ends[-1] if len(ends) else 0, PAIRS))
    for chunk in np.split(some, cuts[1:]):
        detection = np.repeat(chunk, count[chunk])
        starts = np.cumsum(count[chunk]) - count[chunk]
        within = np.arange(len(detection)) - np.repeat(starts, count[chunk])
        truth = order[first[detection] + within]
        # A quotient, rounded correctly: one box of ten times the other's area is at 0.1 exactly.
        matched = iou(detections.boxes[detection], tracks.boxes[truth]) >= beta
        hit[detection[matched]] = True
        np.maximum.at(best, truth[matched], detections.scores[detection[matched]])
    return hit, best


def _tracks_found(
    tracks: Tracks, best: Float[np.ndarray, " g"], alpha: float
) -> Float[np.ndarray, " t"]:
    """The score from which on a share ``alpha`` of each track's boxes is found."""
    _, track, sizes = np.unique(tracks.track, return_inverse=True, return_counts=True)
    needed = np.ceil(np.round(alpha * sizes, 9)).astype(np.int64)  # 0.07 * 100 is above 7
    falling = best[np.lexsort((-best, track))]
    return falling[np.cumsum(sizes) - sizes + needed - 1]
