"""What a report opens with: the events of its videos, or which of the labelled ones were found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np

from vadistill.datasets.base import Dataset, Video
from vadistill.events import FRAMES, SECONDS
from vadistill.report.page import folded, small, table
from vadistill.report.timelines import BySystem, bands, clock, count, level_of
from vadistill.scores import Scores

TOLD = 100
"""Most rows of a list, the highest events."""

SHOWN = 12
"""Rows that stand open; more are folded."""


@dataclass(frozen=True)
class Stretch:
    """An event (``vadistill.events``) of a video."""

    video: str
    start: float
    end: float
    """Seconds."""
    frame: int
    """Its highest."""
    peak: float
    """Raw score of that frame."""
    level: float
    reason: str = ""
    name: str = ""

    @property
    def above(self) -> str:
        """How far its peak is above the level."""
        if self.level > 0:
            times = f"{self.peak / self.level:.2g}"
            return "hardly above the level" if times == "1" else f"{times} times the level"
        return f"{self.peak - self.level:.3g} above the level"

    @property
    def words(self) -> str:
        """What it is and why, as far as that is known."""
        return ", ".join(filter(None, (self.name, self.reason)))


def stretches(scores: Scores, rate: float) -> list[Stretch]:
    """The events of a video, none where there is no level."""
    level = level_of(scores, rate)
    if level is None:
        return []
    name = scores.video
    return [
        Stretch(name, e.start, e.end, e.top, e.peak, level, e.reason, e.name)
        for e in scores.events(false_alarms_per_day=rate)
    ]


def levels(scores_by_system: BySystem, rate: float) -> str:
    """A line that says above what the systems' events are; empty where no level is known."""
    parts = []
    for system, scores in scores_by_system.items():
        known = [level for s in scores.values() if (level := level_of(s, rate)) is not None]
        if known:
            low, high = f"{min(known):.3g}", f"{max(known):.3g}"
            notes = dict.fromkeys(s.event_level(rate).note for s in scores.values())
            span = low if low == high else f"{low} to {high}"
            parts.append(f"{system} {span}, {', '.join(notes)}")
    if not parts:
        return ""
    rules = f"Events open once {FRAMES} frames in a row are at the level, and close once all of "
    rules += f"{SECONDS:g} s are below a lower one."
    return f"Level: {'; '.join(parts)} (raw scores). {rules}"


def listed(scores_by_system: BySystem, rate: float) -> list[str]:
    """All events of unlabelled videos, by time; the highest ones where there are very many."""
    several, parts = len(scores_by_system) > 1, []
    for system, scores in scores_by_system.items():
        if all(level_of(s, rate) is None for s in scores.values()):
            continue
        found = [each for s in scores.values() for each in stretches(s, rate)]
        videos = len({each.video for each in found})
        words = f"{count(len(found), 'event')} in {videos} of {count(len(scores), 'video')}."
        if not found:
            highest = max((float(s.raw.max(initial=-np.inf)) for s in scores.values()), default=0.0)
            words = f"No event: the highest raw score is {highest:.3g}."
        parts.append(f"<p>{escape(f'{system}: ' * several + words)}</p>")
        if len(found) > TOLD:
            parts.append(small(f"Listed are the {TOLD} highest."))
            kept = sorted(found, key=lambda each: each.level - each.peak)[:TOLD]
            found = [each for each in found if each in kept]
        if found:
            rows = [
                [e.video, f"{clock(e.start)} – {clock(e.end)}", e.peak, e.above, e.words]
                for e in found
            ]
            header = ["video", "from – to", "highest score", "that is", "why"]
            parts.append(shut(table(header, rows), len(rows), "events"))
    return parts and [*parts, small(levels(scores_by_system, rate))]


def found_and_missed(dataset: Dataset, scores_by_system: BySystem, rate: float) -> list[str]:
    """Each labelled event, and which systems raised an alarm in it; empty where none is known."""
    known = {
        system: scores
        for system, scores in scores_by_system.items()
        if any(level_of(s, rate) is not None for s in scores.values())
    }
    events = [
        (video, first, last)
        for video in dataset
        if video.frame_labels is not None and any(video.name in s for s in known.values())
        for first, last in bands(video.frame_labels)
    ]
    if not known or not events:
        return []
    rows = []
    for video, first, last in events:
        own = next(scores[video.name] for scores in known.values() if video.name in scores)
        end = own.end if last + 1 == len(own) else own.times[last + 1]
        span = f"{clock(own.times[first])} – {clock(end)}"
        told = [_told(scores.get(video.name), first, last, rate) for scores in known.values()]
        rows.append([video.name, span, _kinds(video, first, last), *told])
    header = ["video", "from – to", "what", *known]
    if not any(row[2] for row in rows):
        header, rows = [h for h in header if h != "what"], [[*r[:2], *r[3:]] for r in rows]
    parts = []
    for place, (system, scores) in enumerate(known.items()):
        hits = sum(row[place - len(known)].startswith("found") for row in rows)
        false, normal = _false_alarms(dataset, scores, rate)
        words = f"{system} found {hits} of {count(len(rows), 'event')}"
        parts.append(
            f"<p>{escape(words)}, with {count(false, 'false alarm')} in {clock(normal)} of normal"
            " video.</p>"
        )
    return [*parts, shut(table(header, rows), len(rows), "events"), small(levels(known, rate))]


def _told(scores: Scores | None, first: int, last: int, rate: float) -> str:
    level = None if scores is None else level_of(scores, rate)
    if scores is None or level is None:
        return "–"
    events = scores.events(false_alarms_per_day=rate)
    begun = (max(e.first, first) for e in events if e.first <= last and e.last >= first)
    found = next(begun, None)
    if found is None:
        return "missed"
    return f"found after {scores.times[found] - scores.times[first]:.1f} s"


def _kinds(video: Video, first: int, last: int) -> str:
    inside = (
        track.kind
        for track in video.tracks
        if ((track.frames >= first) & (track.frames <= last)).any()
    )
    return ", ".join(dict.fromkeys(filter(None, inside)))


def _false_alarms(dataset: Dataset, scores: Mapping[str, Scores], rate: float) -> tuple[int, float]:
    """Alarms without an abnormal frame, as for operators, and the seconds of normal video."""
    false, seconds = 0, 0.0
    for video in dataset:
        if video.frame_labels is None or video.name not in scores:
            continue
        own, labels = scores[video.name], video.frame_labels
        seconds += float(np.count_nonzero(labels == 0)) / max(own.fps, 1e-6)
        if level_of(own, rate) is not None:
            alarms = own.events(false_alarms_per_day=rate)
            false += sum(not labels[each.first : each.last + 1].any() for each in alarms)
    return false, seconds


def shut(content: str, rows: int, what: str) -> str:
    """A list of many rows, folded."""
    return content if rows <= SHOWN else folded(f"all {rows} {what}", content)
