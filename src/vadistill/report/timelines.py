"""What a report draws of every video's scores: curves and timelines, thinned without losing peaks.

Numbers reach the page's script as packed text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from vadistill import progress
from vadistill.datasets.base import Dataset, Video
from vadistill.errors import DataError
from vadistill.evaluation.alignment import Aligned
from vadistill.report.page import small
from vadistill.scores import Scores

COLOURS = 6
"""Systems that get a colour of their own; CSS variables --c0 … hold them."""

POINTS = 60_000
"""Points of all timelines of a page together."""

COLUMNS = (100, 1000)
"""Fewest and most columns of a timeline; each keeps its lowest and its highest score."""

BANDS = 400
"""Most bands of one timeline; with more runs of labels, those of neighbouring columns are one."""

TIMELINES = 120
"""Videos that get a timeline, if no more of them have moments; of more, the highest scores'."""

BySystem = Mapping[str, Mapping[str, Scores]]
"""Scores by video name, by system."""


def level_of(scores: Scores, rate: float) -> float | None:
    """The raw score at which events open at ``rate`` false alarms a day; None: not known."""
    try:
        return scores.event_level(rate).on
    except DataError:
        return None


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def scored(dataset: Dataset, scores_by_system: BySystem) -> list[Video]:
    return [c for c in dataset if any(c.name in scores for scores in scores_by_system.values())]


def scores_of(video: Video, scores_by_system: BySystem) -> Iterator[tuple[int, Scores]]:
    """Colour number and scores of every system that scored the video."""
    for number, scores in enumerate(scores_by_system.values()):
        if video.name in scores:
            yield number, scores[video.name]


def drawn_videos(dataset: Dataset, scores_by_system: BySystem, pictured: set[str]) -> list[Video]:
    """The videos that get a timeline: those of ``pictured``, then those with the highest scores."""
    ranges = spans(scores_by_system)

    def peak(video: Video) -> float:
        tops = [0.0]
        for number, given in scores_of(video, scores_by_system):
            low, high = ranges[number]
            tops.append(float(given.values.max(initial=low) - low) / ((high - low) or 1.0))
        return max(tops)

    videos = scored(dataset, scores_by_system)
    ranked = sorted(videos, key=lambda video: (video.name not in pictured, -peak(video)))
    names = {video.name for video in ranked[: max(TIMELINES, len(pictured))]}
    return [video for video in videos if video.name in names]


def spans(scores_by_system: BySystem) -> list[tuple[float, float]]:
    """Lowest and highest score of each system over all its videos."""
    found = []
    for scores in scores_by_system.values():
        values = np.concatenate([s.values for s in scores.values()] or [np.zeros(1)])
        found.append((float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))))
    return [(a, b) if a <= b else (0.0, 1.0) for a, b in found]


def key(systems: Sequence[str], *, band: bool = False, level: bool = False) -> str:
    """Colours of the systems; each is a button that hides its lines, where there are several."""
    parts = []
    for number, name in enumerate(systems):
        colour = f'<i style="background:var(--c{number % COLOURS})"></i>{escape(name)}'
        if len(systems) > 1:
            parts.append(f'<button aria-pressed="true" data-system="{number}">{colour}</button>')
        else:
            parts.append(f"<span>{colour}</span>")
    if band:
        parts.append('<span><i class="band"></i>abnormal frames</span>')
    if level:
        parts.append('<span><i class="level"></i>level of events</span>')
    return f'<p class="key">{"".join(parts)}</p>'


def timelines(videos: Sequence[Video], scores_by_system: BySystem, total: int) -> list[str]:
    """A place for each video's chart, which the page's script fills in when it comes into view."""
    smoothings = {s.smoothing.name for scores in scores_by_system.values() for s in scores.values()}
    note = f"Scores: {', '.join(sorted(smoothings))}. "
    if len(scores_by_system) > 1:
        note += "Each system on one scale over all videos, from its lowest score to its highest. "
    note += "Click or tap a timeline to see that frame; dotted lines are pictured above."
    if total > len(videos):
        note += f" Of {total} videos the {len(videos)} with the highest scores are drawn."
    band = any(video.frame_labels is not None for video in videos)
    level = any(level_of(s, 1.0) is not None for v in scores_by_system.values() for s in v.values())
    if level and smoothings != {"raw"}:
        note += " Raw scores pass the level; the curves are smoothed, and may stay below."
    parts = [key(list(scores_by_system), band=band, level=level), small(note)]
    for number, video in enumerate(videos):
        first = next(scores_of(video, scores_by_system))[1]
        parts.append(
            f'<div class="video" id="clip{number}">{_caption(video, first, number)}'
            f'<div class="line" data-clip="{number}"></div></div>'
        )
    return parts


def lines(
    videos: Sequence[Video],
    scores_by_system: BySystem,
    marks: Mapping[str, set[int]],
    rate: float = 1.0,
) -> list[dict[str, Any]]:
    """Numbers of the videos' charts, in order: times in seconds, frames, and values a system.

    A system's ``level`` is that of its events at ``rate`` false alarms a day, None if not known.
    """
    drawn = sum(len(list(scores_of(video, scores_by_system))) for video in videos)
    columns = columns_for(drawn)
    found = []
    for video in videos:
        series, times = [], np.zeros(0)
        for number, given in scores_of(video, scores_by_system):
            values, times = given.values, given.times
            kept = thinned(values, columns)
            series.append(
                {
                    "system": number,
                    "level": level_of(given, rate),
                    "frame": packed(kept, "i4"),
                    "time": packed(times[kept], "f4"),
                    "value": packed(values[kept], "f4"),
                }
            )
        # A band covers its last frame too, up to the next frame's time.
        ends = np.append(times[1:], 2 * times[-1:] - times[-2:-1] if len(times) > 1 else times)
        runs = bands(video.frame_labels) if video.frame_labels is not None else []
        found.append(
            {
                "name": video.name,
                "frames": len(times),
                "length": float(ends.max(initial=0)),
                "series": series,
                "bands": [[float(times[a]), float(ends[b])] for a, b in runs],
                "marks": [float(times[f]) for f in sorted(marks.get(video.name, ()))],
            }
        )
    return found


def _caption(video: Video, scores: Scores, number: int) -> str:
    words = [count(len(scores), "frame")]
    if len(scores):
        words.append(clock(scores.end))
    if video.frame_labels is not None:
        words.append(f"{int(np.count_nonzero(video.frame_labels)):,} abnormal")
    rest = "".join(f"<span class=soft>{escape(w)}</span>" for w in words)
    button = f'<button data-open="{number}">show frames</button>'
    return f"<p><b>{escape(video.name)}</b>{rest}{button}</p>"


def clock(seconds: float) -> str:
    """``mm:ss.t``, with hours where there are any."""
    return progress.clock(seconds).zfill(len("00:00.0"))


# -- numbers ---------------------------------------------------------------------------------------


def packed(values: np.ndarray, kind: str) -> str:
    """Numbers as base64 text of little-endian ``kind``: f4, i4, i2, u2 or u1."""
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(f"<{kind}")).tobytes()).decode()


def roc_and_pr(data_by_system: Mapping[str, Aligned]) -> dict[str, list[dict[str, Any]]]:
    """ROC and precision-recall curves: x, y and the score from which on frames count as alarms."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    found: dict[str, list[dict[str, Any]]] = {"roc": [], "pr": []}
    for data in data_by_system.values():
        labels, scores = data.all_labels, data.all_scores
        x, y, above = roc_curve(labels, scores)
        found["roc"].append(_curve(x, y, above))
        y, x, above = precision_recall_curve(labels, scores)
        found["pr"].append(_curve(x, y, np.append(above, np.inf)))
    return found


def _curve(x: np.ndarray, y: np.ndarray, above: np.ndarray) -> dict[str, Any]:
    """At most about a thousand points of a curve: the last in each cell of a fine grid."""
    cell = np.stack([np.round(x * 500), np.round(y * 500)])
    keep = np.append(np.any(np.diff(cell, axis=1), axis=0), True)
    keep[0] = True
    named = {"x": x[keep], "y": y[keep], "above": above[keep]}
    return {name: packed(values, "f4") for name, values in named.items()}


def columns_for(curves: int) -> int:
    """Columns of each of ``curves`` timelines, so that a page does not grow with its videos."""
    return int(np.clip(POINTS // (2 * max(1, curves)), *COLUMNS))


def thinned(values: Float[np.ndarray, " n"], columns: int) -> Int[np.ndarray, " m"]:
    """Indices of at most ``2 * columns`` values, in order: each column's lowest and highest."""
    count = len(values)
    if count <= 2 * columns:
        return np.arange(count)
    column = np.arange(count) * columns // count
    order = np.lexsort((values, column))  # by column, then from low to high
    ends = np.flatnonzero(np.diff(column[order], append=columns))
    starts = np.concatenate([[0], ends[:-1] + 1])
    kept = np.concatenate([order[starts], order[ends], [0, count - 1]])
    return np.unique(kept)


def bands(labels: UInt8[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """First and last frame of every run of abnormal frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (labels > 0).astype(np.int8), [0]])))
    runs = np.stack([edges[::2], edges[1::2] - 1], axis=1)
    if len(runs) > BANDS:
        gap = len(labels) // BANDS
        apart = np.flatnonzero(runs[1:, 0] - runs[:-1, 1] > gap)
        first = runs[np.concatenate([[0], apart + 1]), 0]
        last = runs[np.concatenate([apart, [len(runs) - 1]]), 1]
        runs = np.stack([first, last], axis=1)
    return [(int(a), int(b)) for a, b in runs]
