"""One's own snippet features, weakly labelled: no video is needed.

train.csv            file,label      each training video, 0 normal or 1 abnormal
test.csv             file,label      each test video
intervals.csv        file,start,end  optional: abnormal frames of test videos, from 0, end
                                     exclusive; a video without a row is normal
classes.csv          file,class      optional: kinds of anomaly, a row for each of several
features/BACKBONE/VIDEO.npy          and the other forms that ``weak`` tells of; a row is 16 frames
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from vadistill.datasets.base import Splits
from vadistill.datasets.found import FEATURES, find_features, listed, video_name
from vadistill.datasets.intervals import Annotation, Intervals
from vadistill.datasets.labels import IntervalFile, VideoLabelFile, read_classes, read_label_file
from vadistill.datasets.sources import named
from vadistill.datasets.weak import WeakVideos
from vadistill.errors import DataError
from vadistill.files import read_json
from vadistill.video import DEFAULT_FPS

FORMAT, INDEX = "vadistill simulated features", "simulated.json"
"""Of features that ``simulated`` made: what lies beside them, and what it says."""

ANOMALY = "anomaly"
"""The class of an abnormal video where classes.csv tells none."""


def is_features(path: Path) -> bool:
    """Whether ``path`` has features/ and train.csv or test.csv."""
    lists = (path / "train.csv").is_file() or (path / "test.csv").is_file()
    return lists and named(path, FEATURES) is not None


def open_features(
    path: Path, *, name: str | None = None, kind: str = "features", fps: float | int = DEFAULT_FPS
) -> Splits:
    """Both splits; missing and unfitting features, labels and intervals are problems.

    ``name`` is the data set's, by default the folder's.  Raises DataError for a list that cannot
    be read, or if there are no features.
    """
    problems: list[str] = []
    train, test = (_labels(path / f"{split}.csv", problems) for split in ("train", "test"))
    names = {*train, *test}
    intervals = _intervals(path / "intervals.csv", train, test, problems)
    classes = _classes(path / "classes.csv", names, problems)

    def record(video: str, label: int) -> Annotation:
        known = intervals.get(video, ()) if intervals is not None and video in test else None
        return Annotation(video, classes.get(video, (ANOMALY,)) if label else (), known)

    videos = WeakVideos(
        name or path.absolute().name,
        path,
        float(fps),
        find_features(path, listed(names), problems),
        {},
        problems,
    )
    lists = ("train.csv", "test.csv", "intervals.csv", "classes.csv")
    return videos.splits(
        kind,
        videos.dataset("train", [record(*each) for each in train.items()]),
        videos.dataset("test", [record(*each) for each in test.items()]),
        lists=[path / name for name in (*lists, *([INDEX] if kind != "features" else []))],
    )


def _labels(path: Path, problems: list[str]) -> dict[str, int]:
    """Video labels in the order of the list; empty where there is none."""
    if not path.is_file():
        return {}
    file = read_label_file(path)
    if not isinstance(file, VideoLabelFile):
        raise DataError(
            f"{path} is no list of video labels",
            expected="a header file,label",
            fix="rename its columns",
        )
    labels: dict[str, int] = {}
    for line, video, label in file.labels:
        if video_name(video) in labels:
            problems.append(f"{path.name} line {line}: {video} a second time")
        labels[video_name(video)] = label
    return labels


def _intervals(
    path: Path, train: dict[str, int], test: dict[str, int], problems: list[str]
) -> dict[str, Intervals] | None:
    """Those of each test video that has any; None where there is no file."""
    if not path.is_file():
        return None
    file = read_label_file(path)
    if not isinstance(file, IntervalFile) or file.unit != "frames":
        raise DataError(
            f"{path} is no list of intervals in frames",
            expected="a header file,start,end: features have frames, 16 a snippet, and no times",
            fix="give its intervals in frames",
        )
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for interval in file.intervals:
        video = video_name(interval.file)
        if video in test:
            found[video].append((int(interval.start), int(interval.end)))
        elif video not in train:
            problems.append(f"{path.name} line {interval.line}: no video called {interval.file}")
        elif not train[video]:
            problems.append(
                f"{path.name} line {interval.line}: training video {interval.file} has the label 0"
                " and an abnormal interval"
            )
    for video, label in test.items():
        count = len(found.get(video, ()))
        if label != int(count > 0):
            problems.append(f"test video {video} has the label {label} and {count} intervals")
    return {video: tuple(sorted(each)) for video, each in found.items()}


def _classes(path: Path, names: set[str], problems: list[str]) -> dict[str, tuple[str, ...]]:
    if not path.is_file():
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line, file, kind in read_classes(path):
        video = video_name(file)
        if video not in names:
            problems.append(f"{path.name} line {line}: no video called {file}")
        found[video] = (*found.get(video, ()), kind)
    return found


def is_simulated_features(path: Path) -> bool:
    """Whether ``path`` is a folder that ``simulate_features`` finished."""
    return (path / INDEX).is_file()


def open_simulated_features(path: Path) -> Splits:
    """Both splits, called simulated_ucf; raises DataError."""
    read_index(path)
    return open_features(path, name="simulated_ucf", kind="simulated_features", fps=30.0)


def read_index(path: Path) -> dict[str, Any]:
    """The settings and facts of simulated features; raises DataError."""
    try:
        facts = read_json(path / INDEX)
        known = facts.get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        facts, known = {}, False
    if not known:
        raise DataError(
            f"{path / INDEX} cannot be used",
            expected=f"an index of '{FORMAT}'",
            fix="simulate the features into another folder",
        )
    return facts
