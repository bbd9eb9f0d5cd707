"""Region-level figures: RBDC and TBDC (Ramachandra & Jones, WACV 2020).

Curves run over falling scores: false positives a test frame against the share of ground-truth
boxes (RBDC) or tracks (TBDC) found; ``region_matching`` says what these are.  The figures are the
areas under them up to 1 false positive a frame, extended flat where that is not reached.

Equal scores: what is found comes before the false positives of the same score, which the worked
case of the protocol presumes.  That flatters scores of few distinct values, so ``RegionCurves``
also has the areas with the false positives first (``rbdc_floor``).  Neither knows an input order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vadistill.datasets.tracks import Tracks
from vadistill.errors import DataError
from vadistill.evaluation.bootstrap import CELLS
from vadistill.evaluation.region_matching import (
    ALPHA,
    BETA,
    Detections,
    Matches,
    detections_of,
    match,
)

__all__ = [
    "ALPHA",
    "BETA",
    "Detections",
    "Matches",
    "RegionCurves",
    "RegionResamples",
    "detections_of",
    "match",
    "match_videos",
    "rbdc",
    "region_curves",
    "region_resamples",
    "tbdc",
]


def rbdc(
    tracks: Mapping[str, Tracks], detections: Mapping[str, Detections], frames: Mapping[str, int]
) -> float:
    """Region-based detection criterion, in [0, 1], by video name; raises as ``match_videos``."""
    return region_curves(match_videos(tracks, detections, frames)).rbdc


def tbdc(
    tracks: Mapping[str, Tracks], detections: Mapping[str, Detections], frames: Mapping[str, int]
) -> float:
    """Track-based detection criterion, in [0, 1], by video name; raises as ``match_videos``."""
    return region_curves(match_videos(tracks, detections, frames)).tbdc


def match_videos(
    tracks: Mapping[str, Tracks],
    detections: Mapping[str, Detections],
    frames: Mapping[str, int],
    *,
    beta: float | int = BETA,
    alpha: float | int = ALPHA,
) -> dict[str, Matches]:
    """Compare detections with tracks, video by video, in the order of ``frames``.

    Args:
        tracks: by video; one without abnormal objects may be left out.
        detections: by video, of every video, empty where there are none.
        frames: how many frames each test video has, normal ones too.

    Raises DataError for a video in one table and not in the others, and as ``match``.
    """
    for what, table in (("tracks", tracks), ("detections", detections)):
        strangers = [name for name in table if name not in frames]
        if strangers:
            raise DataError(
                f"{what} of a video {strangers[0]} that the test set lacks"
                + f" ({len(strangers)} such videos)" * (len(strangers) > 1),
                expected=f"its videos: {_listed(list(frames))}",
                fix="rename or remove them",
            )
    absent = [name for name in frames if name not in detections]
    if absent:
        raise DataError(
            f"no detections of video {absent[0]}"
            + f" and {len(absent) - 1} more" * (len(absent) > 1),
            expected=f"detections of all {len(frames)} videos",
            fix="add them, an empty file for a video without any",
        )
    none = Tracks.of(())
    return {
        name: match(
            tracks.get(name, none), detections[name], count, video=name, beta=beta, alpha=alpha
        )
        for name, count in frames.items()
    }


@dataclass(frozen=True, eq=False)
class RegionCurves:
    """Both curves, with a point before and after every step, and the areas under them."""

    fpr: Float[np.ndarray, " k"]
    """False positives by test frames, from 0 to 1."""
    region_rate: Float[np.ndarray, " k"]
    """Share of ground-truth boxes found."""
    track_rate: Float[np.ndarray, " k"]
    """Share of tracks found."""
    rbdc: float
    tbdc: float
    rbdc_floor: float
    """RBDC if false positives came before boxes of equal score; well below ``rbdc`` where scores
    have too few distinct values to rank by."""
    tbdc_floor: float
    videos: int
    frames: int
    boxes: int
    tracks: int
    """Counts of what was measured on."""


def region_curves(matches: Mapping[str, Matches]) -> RegionCurves:
    """RBDC and TBDC of a test set, by video name; raises DataError where it has no track."""
    videos = list(matches.values())
    boxes = np.concatenate([np.zeros(0), *(v.boxes for v in videos)])
    tracks = np.concatenate([np.zeros(0), *(v.tracks for v in videos)])
    frames = sum(v.frames for v in videos)
    if len(boxes) == 0:
        raise DataError(
            f"a test set of {len(videos)} videos without a single track",
            expected="ground-truth boxes of at least one abnormal object",
            fix="check the track files or masks, or measure whole frames only",
        )
    steps = np.unique(np.concatenate([boxes, tracks]))[::-1]
    steps = steps[np.isfinite(steps)]
    false = np.sort(np.concatenate([v.false for v in videos]))
    fpr = _above(false, steps) / frames
    steps, fpr = steps[fpr <= 1], fpr[fpr <= 1]
    region, track = (_at_least(np.sort(found), steps) / len(found) for found in (boxes, tracks))
    # Found boxes raise a curve, false positives move it on: between its points it is flat.
    curve_fpr = np.concatenate([[0.0], np.repeat(fpr, 2), [1.0]])
    region, track = (np.repeat(np.append(0.0, rate), 2) for rate in (region, track))
    return RegionCurves(
        fpr=curve_fpr,
        region_rate=region,
        track_rate=track,
        rbdc=float(np.trapezoid(region, curve_fpr)),
        tbdc=float(np.trapezoid(track, curve_fpr)),
        rbdc_floor=float(_areas(boxes, _at_least(false, boxes) / frames).mean()),
        tbdc_floor=float(_areas(tracks, _at_least(false, tracks) / frames).mean()),
        videos=len(videos),
        frames=frames,
        boxes=len(boxes),
        tracks=len(tracks),
    )


def _above(ascending: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return len(ascending) - np.searchsorted(ascending, scores, "right")


def _at_least(ascending: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return len(ascending) - np.searchsorted(ascending, scores, "left")


def _areas(scores: Float[np.ndarray, " n"], fpr: Float[np.ndarray, "*r n"]) -> np.ndarray:
    """What each box or track adds to the area: 1 - FPR where it is found, 0 where it never is.

    A curve is flat between its steps, so this is the trapezoidal area, step by step.
    """
    return np.where(np.isfinite(scores), np.clip(1 - fpr, 0, 1), 0.0)


class RegionResamples(NamedTuple):
    """Figures of each resample; NaN for one without a ground-truth box."""

    rbdc: Float[np.ndarray, " r"]
    tbdc: Float[np.ndarray, " r"]


def region_resamples(
    matches: Mapping[str, Matches], drawn: Int[np.ndarray, "r v"]
) -> RegionResamples:
    """RBDC and TBDC of every resample of the videos: exactly those of the repeated videos.

    ``drawn`` says how often each video of ``matches``, in their order, was drawn
    (``bootstrap.draws``).  False positives above each box are counted once for every video, so a
    resample costs a product.
    """
    videos = list(matches.values())
    counts = drawn.astype(np.float64)
    return RegionResamples(
        _resampled(videos, [v.boxes for v in videos], counts),
        _resampled(videos, [v.tracks for v in videos], counts),
    )


def _resampled(
    videos: Sequence[Matches], found: Sequence[np.ndarray], counts: Float[np.ndarray, "r v"]
) -> Float[np.ndarray, " r"]:
    scores, owner = np.concatenate(found), np.repeat(np.arange(len(found)), list(map(len, found)))
    order = np.argsort(scores)  # sorted look-ups stay in the cache
    scores, owner = scores[order], owner[order]
    frames = counts @ np.array([v.frames for v in videos], np.float64)
    total = counts @ np.array(list(map(len, found)), np.float64)
    area = np.zeros(len(counts))
    step = max(1, CELLS // max(counts.shape))
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        above = np.stack([_above(v.false, scores[part]) for v in videos]).astype(np.float64)
        fpr = counts @ above / frames[:, None]
        area += (_areas(scores[part], fpr) * counts[:, owner[part]]).sum(1)
    return np.divide(area, total, out=np.full(len(area), np.nan), where=total > 0)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
