"""Scores of any method, from its files: one a frame, a snippet, a segment or a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vadistill.datasets.base import Dataset, Video
from vadistill.errors import ConfigError, DataError, printable
from vadistill.evaluation.given_files import InOrder, named_as, read_given
from vadistill.evaluation.given_levels import FRAME, Level, fitting
from vadistill.evaluation.region_files import read_detection_folder
from vadistill.evaluation.region_matching import Detections
from vadistill.scores import FrameScore, Scores


@dataclass(frozen=True)
class Given:
    """The files of a method: frame scores, and its scored boxes if it has some."""

    path: str | Path
    level: Level | str = FRAME
    """Or its name, such as ``snippets:16``."""
    boxes: str | Path | None = None
    """A folder with one file a video of frame,x1,y1,x2,y2,score (x2 and y2 inclusive)."""

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        Level.parse(self.level)
        for path in (self.path, self.boxes or ""):
            if not isinstance(path, str | Path):
                raise ConfigError(
                    f"scores of type {type(path).__name__}",
                    expected="the path of a file or folder of scores",
                    fix="save them by video, as numpy.savez('scores.npz', **scores)",
                )

    @property
    def _level(self) -> Level:
        return Level.parse(self.level)

    def __str__(self) -> str:
        return f"{printable(Path(self.path).name)}, {self._level.words}"

    @property
    def paths(self) -> list[Path]:
        """What is read."""
        return [Path(path) for path in (self.path, self.boxes) if path is not None]

    def on(self, test: Dataset) -> tuple[dict[str, Scores], list[str]]:
        """Scores of every frame by the test set's videos, and what a reader must know of them.

        Raises DataError for a file that is not readable, videos without scores, lengths that do not
        agree, scores that are not finite.
        """
        path, notes = Path(self.path), []
        found, name = read_given(path), printable(path.name)
        lengths = {video.name: _frames(video, self._level) for video in test}
        if isinstance(found, InOrder):
            parts = self._parts(found, lengths)
            ends = [*lengths][:1] + [*lengths][1:][-1:]
            notes.append(f"{name}: scores are taken in the test set's order, {' to '.join(ends)}")
        else:
            parts, strangers = self._by_name(found, lengths, named_as(found, test))
            if strangers:
                few = ", ".join(strangers[:3]) + ", …" * (len(strangers) > 3)
                notes.append(f"{name}: not used, since the test set has no such video: {few}")
        self._check(parts, lengths)
        boxes: Mapping[str, Detections] = {}
        if self.boxes is not None:
            known = {name: frames or len(parts[name]) for name, frames in lengths.items()}
            boxes = read_detection_folder(Path(self.boxes), known)
        if self._level.kind != "frame":
            notes.append(f"{name}: {self._level.words}")
        made = {}
        for video in test:
            values, frames = parts[video.name], lengths[video.name]
            expanded = values if frames is None else values[self._level.frames(len(values), frames)]
            made[video.name] = _scores(video, expanded, boxes.get(video.name))
        return made, notes

    def _parts(self, found: InOrder, lengths: Mapping[str, int | None]) -> dict[str, np.ndarray]:
        """Of scores in the test set's order those of each video."""
        if len(found.parts) == len(lengths) > 1:
            return dict(zip(lengths, found.parts, strict=True))
        values = np.concatenate(found.parts)
        frames = [length for length in lengths.values() if length is not None]
        whole = len(frames) == len(lengths) and len(found.parts) == 1
        if whole and (counts := self._level.split(len(values), frames)):
            parts = np.split(values, np.cumsum(counts)[:-1])
            return dict(zip(lengths, parts, strict=True))
        few, uneven = divmod(sum(frames) - len(values), max(len(frames), 1))
        raise DataError(
            f"{self.path} has {len(values)} scores in {len(found.parts)} arrays, and the"
            f" {len(lengths)} test videos {sum(frames)} frames",
            expected=f"{self._level.words}, of all videos in the test set's order",
            fix=fitting(
                lambda level: level.split(len(values), frames) is not None,
                len(values) / max(len(frames), 1),
                "save the scores by the videos' names",
                windows=0 if uneven else few + 1,
            ),
        )

    def _by_name(
        self,
        found: Mapping[str, np.ndarray],
        lengths: Mapping[str, int | None],
        used: Mapping[str, str],
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        """The scores of each video, of which ``used`` are the names, and names of no video."""
        absent = [video for video in lengths if video not in used]
        if absent:
            fix = "score the videos"
            if found:
                fix = f"it has {', '.join([*found][:3])}{', …' * (len(found) > 3)}: "
                strange = set(found) - set(used.values())
                fix += "name them as the test set does" if strange else "score the others, too"
            raise DataError(
                f"{self.path} has no scores of video {absent[0]}"
                + f" and {len(absent) - 1} more" * (len(absent) > 1),
                expected=f"scores of all {len(lengths)} test videos, by their names",
                fix=fix,
            )
        parts = {video: found[name] for video, name in used.items()}
        return parts, sorted(set(found) - set(used.values()))

    def _check(self, parts: Mapping[str, np.ndarray], lengths: Mapping[str, int | None]) -> None:
        pairs = [(len(parts[v]), frames) for v, frames in lengths.items() if frames is not None]
        for video, frames in lengths.items():
            count = len(parts[video])
            if frames is not None and (not count or count not in self._level.counts(frames)):
                counts = dict.fromkeys(c for c in self._level.counts(frames) if c > 0)
                expected = " or ".join(map(str, counts)) or f"at least {self._level.size} frames"
                raise DataError(
                    f"{self.path}: video {video} has {count} scores and {frames} frames",
                    expected=f"{expected} ({self._level.words})",
                    fix=fitting(
                        lambda level: all(n and n in level.counts(t) for n, t in pairs),
                        pairs[0][0],
                        "score every frame, or check that these are its scores",
                        windows=pairs[0][1] - pairs[0][0] + 1,
                    ),
                )
            bad = np.flatnonzero(~np.isfinite(parts[video]))
            if len(bad):
                raise DataError(
                    f"{self.path}: video {video} has the score {parts[video][bad[0]]} at"
                    f" {self._level.kind.rstrip('s')} {bad[0]} ({len(bad)} such)",
                    expected="finite scores",
                    fix="score the video again",
                )


def _frames(video: Video, level: Level) -> int | None:
    """The length of a video; None where scores of frames alone tell it."""
    if video.frame_labels is not None:
        return len(video.frame_labels)
    if level.kind == "frame":
        return None
    if (frames := video.open().info.frames) is not None:
        return frames
    raise DataError(
        f"video {video.name} does not tell how many frames it has",
        expected="a length, or one score a frame",
        fix="give scores of frames",
    )


def _scores(video: Video, values: Float[np.ndarray, " t"], found: Detections | None) -> Scores:
    """Scores of frames, with boxes where there are some."""
    fps = float(video.fps or video.open().info.fps or 0)
    step = 1 / fps if fps > 0 else 0.0
    boxes = [{} for _ in values]
    if found is not None:
        for frame in np.unique(found.frame):
            here = found.frame == frame
            boxes[frame] = {
                "boxes": found.boxes[here].astype(np.float32),
                "box_scores": found.scores[here].astype(np.float32),
            }
    frames = [
        FrameScore(index, index * step, float(score), **own)
        for index, (score, own) in enumerate(zip(values, boxes, strict=True))
    ]
    return Scores(video.name, frames, fps)


Files = Given | str | Path
"""Scores of a method, or where they are, one a frame."""


def as_given(given: Files | Mapping[str, Files] | None) -> dict[str, Given]:
    """Scores of other methods by name, one alone by its file's; raises ConfigError."""
    if not isinstance(given, Mapping):
        one = given if isinstance(given, Given | None) else Given(given)
        return {} if one is None else {printable(Path(one.path).stem): one}
    return {n: each if isinstance(each, Given) else Given(each) for n, each in given.items()}


def given_scores(
    scores: Sequence[str], levels: Sequence[str] = (), boxes: Sequence[str] = ()
) -> dict[str, Given]:
    """What ``--scores``, ``--level`` and ``--boxes`` stand for, by the methods' names.

    A word of ``scores`` is NAME=PATH, or a path whose stem is the name; one level is for all of
    them, or each has its own; a word of ``boxes`` is NAME=FOLDER.  Raises ConfigError.
    """
    named = [_named(word) for word in scores]
    where = dict(_named(word) for word in boxes)
    names = [name for name, _ in named]
    several = next((name for name in names if names.count(name) > 1), None)
    if several is not None or (stranger := next((n for n in where if n not in names), None)):
        raise ConfigError(
            f"two --scores named {several}" if several else f"--boxes of '{stranger}'",
            expected="a name for each" if several else f"one of --scores ({', '.join(names)})",
            fix="name them, as --scores NAME=PATH --boxes NAME=FOLDER",
        )
    if len(levels) > 1 and len(levels) != len(named):
        raise ConfigError(
            f"{len(levels)} levels for {len(named)} --scores",
            expected="one level, or one for each",
            fix="name one level for all",
        )
    each = list(levels) * (len(named) if len(levels) == 1 else 1) or ["frame"] * len(named)
    return {
        name: Given(path, Level.parse(level), where.get(name))
        for (name, path), level in zip(named, each, strict=True)
    }


def _named(word: str) -> tuple[str, Path]:
    name, equals, path = word.partition("=")
    if not (equals and name and path):
        name, path = Path(word).stem, word
    return printable(name), Path(path)
