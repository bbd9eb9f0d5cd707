"""The part of a report that draws every video's scores over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from vadistill.datasets.base import Clip, Dataset
from vadistill.evaluation.charts import COLOURS, timeline
from vadistill.evaluation.moments import Moment
from vadistill.scores import Scores

TIMELINES = 120
"""Videos that get a timeline; of more, those with the highest scores."""

BySystem = Mapping[str, Mapping[str, Scores]]
"""Scores by clip name, by system."""


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def scored(dataset: Dataset, scores_by_system: BySystem) -> list[Clip]:
    return [c for c in dataset if any(c.name in scores for scores in scores_by_system.values())]


def scores_of(clip: Clip, scores_by_system: BySystem) -> Iterator[tuple[int, Scores]]:
    """Colour number and scores of every system that scored the clip."""
    for number, scores in enumerate(scores_by_system.values()):
        if clip.name in scores:
            yield number, scores[clip.name]


def key(systems: Sequence[str], *, bands: bool = False) -> str:
    parts = [
        f'<span><i style="background:var(--c{i % COLOURS})"></i>{escape(name)}</span>'
        for i, name in enumerate(systems)
    ]
    if bands:
        parts.append('<span><i class="band"></i>abnormal frames</span>')
    return f'<p class="key">{"".join(parts)}</p>'


def timelines(dataset: Dataset, scores_by_system: BySystem, moments: Sequence[Moment]) -> list[str]:
    ranges = []
    for scores in scores_by_system.values():
        values = np.concatenate([s.values for s in scores.values()] or [np.zeros(1)])
        ends = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        ranges.append((float(ends[0]), float(ends[1])))
    clips = scored(dataset, scores_by_system)

    def peak(clip: Clip) -> float:
        tops = [
            float(_stretched(given.values, ranges[number]).max(initial=0))
            for number, given in scores_of(clip, scores_by_system)
        ]
        return max(tops)

    shown = {c.name for c in sorted(clips, key=peak, reverse=True)[:TIMELINES]}
    smoothings = {s.smoothing.name for scores in scores_by_system.values() for s in scores.values()}
    note = (
        f"Scores: {', '.join(sorted(smoothings))}; each system on one scale over all videos, from "
        "its lowest score to its highest. Dashed lines are the moments pictured below."
    )
    if len(clips) > TIMELINES:
        note += f" Of {len(clips)} videos the {TIMELINES} with the highest scores are drawn."
    bands = any(clip.frame_labels is not None for clip in clips)
    parts = [key(list(scores_by_system), bands=bands), f"<p><small>{escape(note)}</small></p>"]
    for clip in clips:
        if clip.name in shown:
            marks = np.array([m.frame for m in moments if m.video == clip.name], int)
            curves = {
                number: _stretched(given.values, ranges[number])
                for number, given in scores_of(clip, scores_by_system)
            }
            first = next(scores_of(clip, scores_by_system))[1]
            drawn = timeline(curves, clip.frame_labels, marks)
            parts.append(f'<div class="video">{_caption(clip, first)}{drawn}{_axis(first)}</div>')
    return parts


def _stretched(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    low, high = ends
    return (values - low) / (high - low) if high > low else np.zeros(len(values))


def _caption(clip: Clip, scores: Scores) -> str:
    words = [count(len(scores), "frame")]
    if clip.frame_labels is not None:
        words.append(f"{int(np.count_nonzero(clip.frame_labels)):,} abnormal")
    rest = "".join(f"<span class=soft>{escape(w)}</span>" for w in words)
    return f"<p><b>{escape(clip.name)}</b>{rest}</p>"


def _axis(scores: Scores) -> str:
    times = scores.times
    if len(times) == 0:
        return ""
    marks = "".join(f"<span>{clock(float(t))}</span>" for t in np.quantile(times, [0, 0.5, 1]))
    return f'<p class="axis">{marks}</p>'


def clock(seconds: float) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    clock = f"{int(minutes):02d}:{rest:04.1f}"
    return f"{int(hours)}:{clock}" if hours else clock
