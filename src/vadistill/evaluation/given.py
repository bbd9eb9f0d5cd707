"""Scores of any method, from its files: one a frame, a snippet, a segment or a window."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vadistill.datasets.base import Dataset, Video
from vadistill.errors import ConfigError, DataError, printable
from vadistill.evaluation.given_files import InOrder, named_as, read_given
from vadistill.evaluation.region_files import read_detection_folder
from vadistill.evaluation.region_matching import Detections
from vadistill.scores import FrameScore, Scores

LIKELY = (16, 8, 32, 64, 24, 10, *range(2, 129))
"""Sizes of snippets that are tried for scores whose level was not said, the usual ones first."""


@dataclass(frozen=True)
class Level:
    """What one score is of, and so which frames it is given to; ``size`` is N.

    ``frame``: a frame.  ``snippets:N``: N frames, one snippet after the other, for each of which
    its score stands; what is left behind the last whole one may have a score of its own, else it
    has the last one's.  ``segments:N``: one of N equal parts of the video; frame i of T belongs to
    part ``i * N // T``.  ``windows:N``: N frames, a window for each frame from the N-th on, which
    is its last; the N - 1 frames before have the first window's score.
    """

    kind: str = "frame"
    size: int = 1

    @classmethod
    def parse(cls, name: str) -> Level:
        """Such as ``frame`` or ``snippets:16``; raises ConfigError."""
        found = re.fullmatch(r"(snippets|segments|windows):([1-9]\d{0,5})", name)
        if name == "frame" or found:
            return cls(found[1], int(found[2])) if found else cls()
        raise ConfigError(
            f"level '{name}'",
            expected="frame, snippets:N, segments:N or windows:N, such as snippets:16",
            fix="say what one score is of",
        )

    def __str__(self) -> str:
        return self.kind if self.kind == "frame" else f"{self.kind}:{self.size}"

    @property
    def words(self) -> str:
        """How scores are given to frames."""
        return {
            "frame": "one score a frame",
            "snippets": f"one score a snippet of {self.size} frames, given to each of them; frames "
            "behind the last whole snippet have its score where they have none of their own",
            "segments": f"one score for each of a video's {self.size} equal parts, given to every "
            "frame of it",
            "windows": f"one score a window of {self.size} frames, given to its last frame; frames "
            "before that have the first window's",
        }[self.kind]

    def counts(self, frames: int) -> tuple[int, ...]:
        """The numbers of scores that a video of so many frames may have."""
        if self.kind == "snippets":
            return (-(-frames // self.size), max(frames // self.size, 1))
        if self.kind == "segments":
            return (self.size,)
        return (frames - self.size + 1,)

    def split(self, total: int, frames: Sequence[int]) -> tuple[int, ...] | None:
        """How many of ``total`` scores each of some videos has, or None where they do not fit."""
        ways = zip(*map(self.counts, frames), strict=True)
        return next((w for w in ways if sum(w) == total and min(w) > 0), None)

    def frames(self, count: int, frames: int) -> Int[np.ndarray, " t"]:
        """Which of ``count`` scores each frame has."""
        at = np.arange(frames)
        if self.kind == "snippets":
            return np.minimum(at // self.size, count - 1)
        if self.kind == "segments":
            return at * self.size // frames
        return np.maximum(at - self.size + 1, 0)


@dataclass(frozen=True)
class Given:
    """The files of a method: frame scores, and its scored boxes if it has some."""

    path: str | Path
    level: Level = Level()
    boxes: str | Path | None = None
    """A folder with one file a video of frame,x1,y1,x2,y2,score (x2 and y2 inclusive)."""

    def __str__(self) -> str:
        return f"{printable(Path(self.path).name)}, {self.level.words}"

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
        lengths = {video.name: _frames(video, self.level) for video in test}
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
        if self.level.kind != "frame":
            notes.append(f"{name}: {self.level.words}")
        made = {}
        for video in test:
            values, frames = parts[video.name], lengths[video.name]
            expanded = values if frames is None else values[self.level.frames(len(values), frames)]
            made[video.name] = _scores(video, expanded, boxes.get(video.name))
        return made, notes

    def _parts(self, found: InOrder, lengths: Mapping[str, int | None]) -> dict[str, np.ndarray]:
        """Of scores in the test set's order those of each video."""
        if len(found.parts) == len(lengths) > 1:
            return dict(zip(lengths, found.parts, strict=True))
        values = np.concatenate(found.parts)
        frames = [length for length in lengths.values() if length is not None]
        whole = len(frames) == len(lengths) and len(found.parts) == 1
        if whole and (counts := self.level.split(len(values), frames)):
            parts = np.split(values, np.cumsum(counts)[:-1])
            return dict(zip(lengths, parts, strict=True))
        raise DataError(
            f"{self.path} has {len(values)} scores in {len(found.parts)} arrays, and the"
            f" {len(lengths)} test videos {sum(frames)} frames",
            expected=f"{self.level.words}, of all videos in the test set's order",
            fix=_fix(
                lambda level: level.split(len(values), frames) is not None,
                len(values) / max(len(frames), 1),
                "save the scores by the videos' names",
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
            if frames is not None and (not count or count not in self.level.counts(frames)):
                counts = dict.fromkeys(c for c in self.level.counts(frames) if c > 0)
                expected = " or ".join(map(str, counts)) or f"at least {self.level.size} frames"
                raise DataError(
                    f"{self.path}: video {video} has {count} scores and {frames} frames",
                    expected=f"{expected} ({self.level.words})",
                    fix=_fix(
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
                    f" {self.level.kind.rstrip('s')} {bad[0]} ({len(bad)} such)",
                    expected="finite scores",
                    fix="score the video again",
                )


def _fix(fits: Callable[[Level], bool], segments: float, otherwise: str, windows: int = 0) -> str:
    """The level that fits the scores of all videos, or what else may be done."""
    tried = [Level(), *(Level("snippets", size) for size in LIKELY)]
    if segments == int(segments) and segments > 1:
        tried.append(Level("segments", int(segments)))
    if 1 < windows <= LIKELY[-1]:
        tried.append(Level("windows", windows))
    found = next(filter(fits, tried), None)
    if found is None:
        return otherwise
    if found.kind == "windows":
        lacking = "last frame" if windows == 2 else f"last {windows - 1} frames"
        return (
            f"--level {found} would fit if these are scores of windows; else each video's"
            f" {lacking} may lack a score"
        )
    return f"--level {found} would fit"


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
