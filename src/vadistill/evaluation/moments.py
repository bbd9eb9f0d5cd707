"""The frames that tell most about a system, as pictures: catches, false alarms, misses."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vadistill.datasets.base import Clip, Dataset
from vadistill.errors import VideoError
from vadistill.evaluation.drawing import Scale, draw_frame, mask_at
from vadistill.progress import progress
from vadistill.scores import Scores

Kind = Literal["catch", "false alarm", "miss", "top"]

KINDS: dict[Kind, str] = {
    "catch": "Best catches: abnormal frames with the highest scores",
    "false alarm": "Worst false alarms: normal frames with the highest scores",
    "miss": "Worst misses: abnormal frames with the lowest scores",
    "top": "Top moments: the highest scores",
}

APART = 2.0
"""Seconds that two moments of one video are apart at least."""

WIDTH = 560
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
    """The value as given, after its smoothing."""
    calibrated: float | None
    """Share of normal training frames that score lower than ``score``."""
    picture: str = ""
    """data: URL of a JPEG, empty when the frame could not be decoded."""


def choose(system: str, dataset: Dataset, scores: Mapping[str, Scores], count: int) -> list[Moment]:
    """Up to ``count`` moments of each kind; without any labels ``2 * count`` top moments."""
    scored = [clip for clip in dataset if clip.name in scores]
    labelled = [clip for clip in scored if clip.frame_labels is not None]
    if not labelled:
        return _pick(system, "top", scored, scores, None, 2 * count)
    found = []
    labelled_kinds: tuple[tuple[Kind, int], ...] = (("catch", 1), ("false alarm", 0), ("miss", 1))
    for kind, label in labelled_kinds:
        found += _pick(system, kind, labelled, scores, label, count)
    return found


def _pick(
    system: str,
    kind: Kind,
    clips: Sequence[Clip],
    scores: Mapping[str, Scores],
    label: int | None,
    count: int,
) -> list[Moment]:
    """The most extreme frames of ``label``, no two of a video within APART seconds."""
    sign = 1 if kind == "miss" else -1
    candidates: list[tuple[float, str, int, float]] = []
    for clip in clips:
        given = scores[clip.name]
        values, times = sign * given.values, given.times
        if label is not None and clip.frame_labels is not None:
            values = np.where(clip.frame_labels == label, values, np.inf)
        for _ in range(count):
            if not len(values) or not np.isfinite(values.min()):
                break
            best = int(values.argmin())
            candidates.append((float(values[best]), clip.name, best, float(times[best])))
            values = np.where(np.abs(times - times[best]) < APART, np.inf, values)
    made = []
    for value, video, frame, time in sorted(candidates)[:count]:
        given = scores[video]
        share = None if given.calibration is None else float(given.calibrated[frame])
        made.append(Moment(system, kind, video, frame, time, sign * value, share))
    return made


def with_pictures(
    moments: Sequence[Moment],
    dataset: Dataset,
    scores_by_system: Mapping[str, Mapping[str, Scores]],
) -> list[Moment]:
    """The same moments with pictures; each video is decoded once, up to its last moment."""
    scales = {
        system: Scale.of(np.concatenate([s.raw for s in scores.values()] or [np.zeros(1)]))
        for system, scores in scores_by_system.items()
    }
    wanted: dict[str, set[int]] = {}
    for moment in moments:
        wanted.setdefault(moment.video, set()).add(moment.frame)
    pictures: dict[tuple[str, str, int], str] = {}
    with progress("pictures", len(wanted)) as advance:
        for video, frames in wanted.items():
            clip = dataset[video]
            for index, image in _decode(clip, frames):
                for system in {m.system for m in moments if (m.video, m.frame) == (video, index)}:
                    frame = scores_by_system[system][video].frames[index]
                    mask = mask_at(clip.mask, index)
                    drawn = draw_frame(image, frame, scales[system], mask=mask)
                    pictures[system, video, index] = _jpeg(drawn)
            advance(note=video)
    return [replace(m, picture=pictures.get((m.system, m.video, m.frame), "")) for m in moments]


def _decode(clip: Clip, frames: set[int]) -> list[tuple[int, np.ndarray]]:
    found = []
    try:
        for frame in clip.open():
            if frame.index in frames:
                found.append((frame.index, frame.image))
            if len(found) == len(frames):
                break
    except VideoError:
        pass  # the scores were paid for: a report without a picture is better than none
    return found


def _jpeg(rgb: np.ndarray) -> str:
    import cv2

    height, width = rgb.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(1, round(height * WIDTH / width)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
