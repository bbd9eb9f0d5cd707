"""The frames that tell most about a system, as pictures: false alarms, misses, catches."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

import numpy as np

from vadistill.datasets.base import Dataset, Video
from vadistill.drawing import Scale, draw_frame, mask_at, share_of_normal
from vadistill.report.events import Stretch, stretches
from vadistill.report.page import small
from vadistill.report.timelines import BySystem, clock
from vadistill.scores import Scores
from vadistill.video import Frame

Kind = Literal["catch", "miss", "false alarm", "event", "top"]

KINDS: dict[Kind, str] = {
    "catch": "Best catches: abnormal frames with the highest scores",
    "miss": "Worst misses: abnormal frames with the lowest scores",
    "false alarm": "Worst false alarms: normal frames with the highest scores",
    "event": "Events, at their highest frames",
    "top": "Top moments: the highest scores, none of them an event",
}

COUNT = 10
"""Pictures of each kind and system, but for catches."""

CATCHES = 4
"""Pictures of frames that were caught: fewer, since there is less to learn from them."""

TOP = 4
"""Pictures of unlabelled video in which there is no event."""

APART = 2.0
"""Seconds that two moments of one video are apart at least."""

WIDTH = 480
"""Widest picture in pixels."""


@dataclass(frozen=True)
class Moment:
    """One frame worth looking at."""

    system: str
    kind: Kind
    video: str
    frame: int
    time: float
    """Seconds."""
    score: float
    """The value as given, after its smoothing; an event's is raw."""
    calibrated: float | None
    """Share of normal training frames that score lower than its raw score."""
    reason: str = ""
    """What the detector says is unusual, or ''."""
    name: str = ""
    """The kind of event, or ''."""
    event: Stretch | None = None
    """That it is the highest frame of."""
    picture: str = ""
    """data: URL of a JPEG, empty when the frame could not be decoded."""


def pick(
    system: str,
    dataset: Dataset,
    scores: Mapping[str, Scores],
    count: int = COUNT,
    rate: float = 1.0,
) -> list[Moment]:
    """Up to ``count`` false alarms and misses, and CATCHES catches.

    Without labels the highest events at ``rate`` false alarms a day, else TOP moments.
    """
    scored = [video for video in dataset if video.name in scores]
    labelled = [video for video in scored if video.frame_labels is not None]
    if not labelled:
        found = [each for video in scored for each in stretches(scores[video.name], rate)]
        if found:
            highest = sorted(found, key=lambda each: each.level - each.peak)[:count]
            return [_of_event(system, e, scores[e.video]) for e in found if e in highest]
        return _pick(system, "top", scored, scores, None, min(count, TOP))
    found = []
    kinds: tuple[tuple[Kind, int, int], ...] = (
        ("false alarm", 0, count),
        ("miss", 1, count),
        ("catch", 1, min(count, CATCHES)),
    )
    for kind, label, most in kinds:
        found += _pick(system, kind, labelled, scores, label, most)
    return found


def _of_event(system: str, event: Stretch, scores: Scores) -> Moment:
    share = None if scores.calibration is None else float(scores.calibrated[event.frame])
    time, words = float(scores.times[event.frame]), (event.reason, event.name)
    place = (event.video, event.frame, time)
    return Moment(system, "event", *place, event.peak, share, *words, event)


def _pick(
    system: str,
    kind: Kind,
    videos: Sequence[Video],
    scores: Mapping[str, Scores],
    label: int | None,
    count: int,
) -> list[Moment]:
    """The most extreme frames of ``label``, no two of a video within APART seconds."""
    sign = 1 if kind == "miss" else -1
    candidates: list[tuple[float, str, int, float]] = []
    for video in videos:
        given = scores[video.name]
        values, times = sign * given.values, given.times
        if label is not None and video.frame_labels is not None:
            values = np.where(video.frame_labels == label, values, np.inf)
        for _ in range(count):
            if not len(values) or not np.isfinite(values.min()):
                break
            best = int(values.argmin())
            candidates.append((float(values[best]), video.name, best, float(times[best])))
            values = np.where(np.abs(times - times[best]) < APART, np.inf, values)
    made = []
    for value, name, frame, time in sorted(candidates)[:count]:
        given = scores[name]
        known = None if given.calibration is None else float(given.calibrated[frame])
        own = given.frames[frame]
        moment = Moment(system, kind, name, frame, time, sign * value, known, own.reason, own.name)
        made.append(moment)
    return made


def frames_of(moments: Sequence[Moment]) -> dict[str, set[int]]:
    """The frames of each video that are moments."""
    found: dict[str, set[int]] = {}
    for moment in moments:
        found.setdefault(moment.video, set()).add(moment.frame)
    return found


class Pictures:
    """Draws moments while their videos are decoded; ``see`` takes the frames as they come."""

    def __init__(
        self, moments: Sequence[Moment], scores_by_system: BySystem, scales: Mapping[str, Scale]
    ) -> None:
        self.moments, self.scores, self.scales = moments, scores_by_system, scales
        self._drawn: dict[tuple[str, str, int], str] = {}

    def see(self, video: Video, frame: Frame) -> None:
        """Draw the frame for every system that has a moment there."""
        name, index = video.name, frame.index
        for system in {m.system for m in self.moments if (m.video, m.frame) == (name, index)}:
            known = self.scores[system][name].frames[index]
            mask = mask_at(video.mask, index)
            drawn = draw_frame(frame.image, known, self.scales[system], mask=mask)
            self._drawn[system, name, index] = jpeg(drawn)

    def finished(self) -> list[Moment]:
        """The moments with their pictures."""
        return [
            replace(m, picture=self._drawn.get((m.system, m.video, m.frame), ""))
            for m in self.moments
        ]


def gallery(
    moments: Sequence[Moment], systems: Sequence[str], videos: Sequence[Video]
) -> list[str]:
    """HTML of the pictures, by system and kind; one that is clicked opens the player there."""
    if not moments:
        return []
    numbers = {video.name: number for number, video in enumerate(videos)}
    words = (
        "Boxes, of systems that have them, run from blue (calm) over yellow to red; the highest "
        "carries its score."
    )
    if any(video.mask is not None for video in videos):
        words += " What is truly abnormal is outlined in pink."
    if any(m.event is None for m in moments):
        words += f" Moments are {APART:g} s apart at least."
    parts = [small(words)]
    for system in systems:
        for kind, title in KINDS.items():
            shown = [m for m in moments if (m.system, m.kind) == (system, kind)]
            if shown:
                heading = title
                if len(systems) > 1:
                    heading = f"{system}: {title[0].lower()}{title[1:]}"
                place = systems.index(system)
                drawn = "\n".join(_figure(m, numbers[m.video], place) for m in shown)
                parts.append(f'<h3>{escape(heading)}</h3><div class="moments">{drawn}</div>')
    return parts


def _figure(moment: Moment, video: int, system: int) -> str:
    words = f"{moment.video}, {clock(moment.time)} (frame {moment.frame}), score {moment.score:.3g}"
    if (event := moment.event) is not None:
        span = f"{clock(event.start)} – {clock(event.end)}"
        words = f"{moment.video}, {span}, highest score {moment.score:.3g}, {event.above}"
    if moment.calibrated is not None:
        words += f", above {share_of_normal(moment.calibrated)} training frames"
    if told := ", ".join(filter(None, (moment.name, moment.reason))):
        words += f": {told}"
    alt = escape(f"{moment.kind} in {moment.video} at frame {moment.frame}")
    shown = '<div class="lost">the video could not be read again</div>'
    if moment.picture:
        shown = (
            f'<button data-open="{video}" data-frame="{moment.frame}" data-system="{system}">'
            f'<img alt="{alt}" src="{escape(moment.picture)}"></button>'
        )
    return f"<figure>{shown}<figcaption>{escape(words)}</figcaption></figure>"


def jpeg(rgb: np.ndarray) -> str:
    """A picture (h, w, 3) as a data: URL, at most ``WIDTH`` wide."""
    import cv2

    height, width = rgb.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(1, round(height * WIDTH / width)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 78])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
