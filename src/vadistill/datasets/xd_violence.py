"""XD-Violence (Wu et al., ECCV 2020): video names that tell their classes, and annotations.txt.

v=S-7rRLrxnVQ__#1_label_B4-0-0 0 1517 1970 3038        500 abnormal test videos, any number of
                                                       intervals; normal ones are not listed
Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6        up to three classes, most important first
A.Beautiful.Mind.2001__#00-25-20_00-29-20_label_A      a normal video

``start end`` is the frames start, start + 1, …, end - 1, counted from 0, as in the authors' script.
Their labels leave out a video's last frame and what is then beyond the last whole snippet of 16.
Fourteen of the published lines carry the ending .mp4, others none.

annotations.txt                      the list, in the root
videos/ or test_videos/              test videos: those below a folder called videos or test…
1-1004/ … 3320-3954/ or train/       training videos: all others
features/BACKBONE/train/VIDEO.npy    features, as ``weak`` tells; the published ones are a file a
features/BACKBONE/test/VIDEO.npy     crop, VIDEO__0.npy to VIDEO__4.npy

No list names the normal test videos, so only the folders tell the splits apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vadistill.datasets.base import Splits
from vadistill.datasets.found import find_features, find_videos, tell
from vadistill.datasets.intervals import Annotation, malformed, read_intervals, rows, unique
from vadistill.datasets.weak import WeakVideos
from vadistill.errors import DataError

CODES = {
    "B1": "fighting",
    "B2": "shooting",
    "B4": "riot",
    "B5": "abuse",
    "B6": "car accident",
    "G": "explosion",
}
"""Classes by the codes in the videos' names; A is normal and 0 none."""

LIST = "annotations.txt"

FPS = 24.0
"""The videos' rate; features do not tell it."""

_NAME = re.compile(r".+_label_[A-Z0-9]+(?:-[A-Z0-9]+)*")


def is_xd_violence(path: Path) -> bool:
    """Whether ``path`` has an annotations.txt whose lines begin with such names."""
    try:
        with (path / LIST).open(encoding="utf-8-sig") as file:
            return _NAME.match(next(file, "")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def open_xd_violence(path: Path) -> Splits:
    """Both splits, as far as there are videos or features of them.

    Missing annotated videos, annotated ones among the training videos, names that tell no class
    and unfitting features are problems.  Raises DataError for a list that cannot be read, or if
    there is no video.
    """
    problems: list[str] = []
    annotated = {record.name: record for record in read_annotations(path / LIST)}
    features = find_features(path, _any_name, problems)
    videos = find_videos(path, _any_name)
    found = {*videos, *(name for of_backbone in features.values() for name in of_backbone)}
    in_test = _names(path, test=True)
    astray = sorted((found - in_test) & annotated.keys())
    what = f"in {LIST} but in no folder called test… or videos"
    tell(problems, astray, "", len(annotated), what)
    test, train = dict(annotated), []
    for name in sorted(found):
        try:
            if name in annotated:
                continue
            if name in in_test:
                test[name] = normal_video(name)
            else:
                classes = classes_of(name)
                train.append(Annotation(name, classes, None if classes else ()))
        except DataError as error:
            problems.append(f"{error.got}, expected {error.expected}")
    both = sorted(_names(path, test=False) & in_test)
    tell(problems, both, "", len(found), "in both splits")
    reader = WeakVideos("xd_violence", path, FPS, features, videos, problems)
    splits = reader.dataset("train", train), reader.dataset("test", list(test.values()))
    reader.require_snippets(splits[1])
    return reader.splits("xd_violence", *splits, lists=[path / LIST])


def _any_name(path: PurePosixPath) -> str | None:
    match = _NAME.match(path.name)
    return match[0] if match else None


def _names(root: Path, *, test: bool) -> set[str]:
    """The videos and features that lie in one split's folders."""

    def name_of(path: PurePosixPath) -> str | None:
        parts = [part.lower() for part in path.parts[:-1]]
        tested = any("test" in part for part in parts)
        tested |= "videos" in parts and not any("train" in part for part in parts)
        return _any_name(path) if tested == test else None

    features = find_features(root, name_of, [])
    return {*find_videos(root, name_of), *(name for each in features.values() for name in each)}


def classes_of(name: str) -> tuple[str, ...]:
    """The classes that a video's name tells, () for a normal one; raises DataError."""
    _, marker, label = name.rpartition("_label_")
    codes = [code for code in label.split("-") if code != "0"]
    if marker and codes == ["A"]:
        return ()
    if not marker or not codes or any(code not in CODES for code in codes):
        raise DataError(
            f"video name {name!r}",
            expected=f"an end such as _label_A or _label_B1-B2-0, of the codes {', '.join(CODES)}",
            fix="keep the names that the data set publishes",
        )
    return tuple(CODES[code] for code in codes)


def normal_video(name: str) -> Annotation:
    """The record of a normal video (``…_label_A``), which annotations.txt does not list.

    Raises DataError for the name of an abnormal one.
    """
    if classes := classes_of(name):
        raise DataError(
            f"video {name} is of {', '.join(classes)}, and has no annotation",
            expected="a line in annotations.txt for each abnormal test video",
            fix="download annotations.txt again",
        )
    return Annotation(name, (), ())


def read_annotations(path: Path) -> tuple[Annotation, ...]:
    """The abnormal test videos of annotations.txt; raises DataError naming the line."""
    return unique(_annotations(path))


def _annotations(path: Path) -> Iterator[tuple[str, Annotation]]:
    for where, cells in rows(path):
        name = cells[0].removesuffix(".mp4")
        intervals = read_intervals(where, cells[1:])
        try:
            classes = classes_of(name)
        except DataError as error:
            raise malformed(where, error.got, error.expected) from error
        if not classes or not intervals:
            raise malformed(
                where,
                f"{len(intervals)} intervals in a video labelled {'abnormal' if classes else 'A'}",
                "an abnormal video and at least one interval",
            )
        yield where, Annotation(name, classes, intervals)
