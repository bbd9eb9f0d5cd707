"""The part of a report that shows every video's scores over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from vadistill.datasets.base import Dataset, Video
from vadistill.report.charts import COLOURS, bands, columns_for, packed, thinned
from vadistill.report.page import small
from vadistill.scores import Scores

TIMELINES = 120
"""Videos that get a timeline, if no more of them have moments; of more, the highest scores'."""

BySystem = Mapping[str, Mapping[str, Scores]]
"""Scores by clip name, by system."""


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def scored(dataset: Dataset, scores_by_system: BySystem) -> list[Video]:
    return [c for c in dataset if any(c.name in scores for scores in scores_by_system.values())]


def scores_of(clip: Video, scores_by_system: BySystem) -> Iterator[tuple[int, Scores]]:
    """Colour number and scores of every system that scored the clip."""
    for number, scores in enumerate(scores_by_system.values()):
        if clip.name in scores:
            yield number, scores[clip.name]


def chosen(dataset: Dataset, scores_by_system: BySystem, pictured: set[str]) -> list[Video]:
    """The clips that get a timeline: those of ``pictured``, then those with the highest scores."""
    ranges = spans(scores_by_system)

    def peak(clip: Video) -> float:
        tops = [0.0]
        for number, given in scores_of(clip, scores_by_system):
            low, high = ranges[number]
            tops.append(float(given.values.max(initial=low) - low) / ((high - low) or 1.0))
        return max(tops)

    clips = scored(dataset, scores_by_system)
    ranked = sorted(clips, key=lambda clip: (clip.name not in pictured, -peak(clip)))
    names = {clip.name for clip in ranked[: max(TIMELINES, len(pictured))]}
    return [clip for clip in clips if clip.name in names]


def spans(scores_by_system: BySystem) -> list[tuple[float, float]]:
    """Lowest and highest score of each system over all its videos."""
    found = []
    for scores in scores_by_system.values():
        values = np.concatenate([s.values for s in scores.values()] or [np.zeros(1)])
        found.append((float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))))
    return [(a, b) if a <= b else (0.0, 1.0) for a, b in found]


def key(systems: Sequence[str], *, band: bool = False) -> str:
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
    return f'<p class="key">{"".join(parts)}</p>'


def timelines(clips: Sequence[Video], scores_by_system: BySystem, total: int) -> list[str]:
    """A place for each clip's chart, which the page's script fills in when it comes into view."""
    smoothings = {s.smoothing.name for scores in scores_by_system.values() for s in scores.values()}
    note = f"Scores: {', '.join(sorted(smoothings))}. "
    if len(scores_by_system) > 1:
        note += "Each system on one scale over all videos, from its lowest score to its highest. "
    note += "Click or tap a timeline to see that frame; dotted lines are moments pictured below."
    if total > len(clips):
        note += f" Of {total} videos the {len(clips)} with the highest scores are drawn."
    band = any(clip.frame_labels is not None for clip in clips)
    parts = [key(list(scores_by_system), band=band), small(note)]
    for number, clip in enumerate(clips):
        first = next(scores_of(clip, scores_by_system))[1]
        parts.append(
            f'<div class="video" id="clip{number}">{_caption(clip, first, number)}'
            f'<div class="line" data-clip="{number}"></div></div>'
        )
    return parts


def lines(
    clips: Sequence[Video], scores_by_system: BySystem, marks: Mapping[str, set[int]]
) -> list[dict[str, Any]]:
    """Numbers of the clips' charts, in order: times in seconds, frames, and values a system."""
    drawn = sum(len(list(scores_of(clip, scores_by_system))) for clip in clips)
    columns = columns_for(drawn)
    found = []
    for clip in clips:
        series, times = [], np.zeros(0)
        for number, given in scores_of(clip, scores_by_system):
            values, times = given.values, given.times
            kept = thinned(values, columns)
            series.append(
                {
                    "system": number,
                    "frame": packed(kept, "i4"),
                    "time": packed(times[kept], "f4"),
                    "value": packed(values[kept], "f4"),
                }
            )
        # A band covers its last frame too, up to the next frame's time.
        ends = np.append(times[1:], 2 * times[-1:] - times[-2:-1] if len(times) > 1 else times)
        runs = bands(clip.frame_labels) if clip.frame_labels is not None else []
        found.append(
            {
                "name": clip.name,
                "frames": len(times),
                "length": float(ends.max(initial=0)),
                "series": series,
                "bands": [[float(times[a]), float(ends[b])] for a, b in runs],
                "marks": [float(times[f]) for f in sorted(marks.get(clip.name, ()))],
            }
        )
    return found


def _caption(clip: Video, scores: Scores, number: int) -> str:
    words = [count(len(scores), "frame")]
    if len(scores):
        words.append(clock(float(scores.times[-1])))
    if clip.frame_labels is not None:
        words.append(f"{int(np.count_nonzero(clip.frame_labels)):,} abnormal")
    rest = "".join(f"<span class=soft>{escape(w)}</span>" for w in words)
    button = f'<button data-open="{number}">show frames</button>'
    return f"<p><b>{escape(clip.name)}</b>{rest}{button}</p>"


def clock(seconds: float) -> str:
    """``mm:ss.t``, with hours where there are any."""
    hours, rest = divmod(round(seconds, 1), 3600)
    minutes, rest = divmod(rest, 60)
    short = f"{int(minutes):02d}:{rest:04.1f}"
    return f"{int(hours)}:{short}" if hours else short
