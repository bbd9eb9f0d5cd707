"""UCF-Crime (Sultani et al., CVPR 2018): the official lists, and videos or published features.

Anomaly_Train.txt                    Abuse/Abuse001_x264.mp4 …  1610 videos, 800 of them in
                                     Training_Normal_Videos_Anomaly/
Temporal_Anomaly_Annotation.txt      Abuse028_x264.mp4  Abuse  165  240  -1  -1 …  290 videos with
                                     up to two intervals each, -1 -1 for none
…/Abuse/Abuse001_x264.mp4            the videos, in any folders below
features/BACKBONE/…/Abuse001_x264.npy    or their features, as ``weak`` tells

``start end`` is read as the frames start, start + 1, …, end - 1, counted from 0, as the labels that
the weakly supervised literature measures on do.  The authors' MATLAB script counts from 1 and takes
in both ends, so it marks one frame more, the one before each start: 156 frames in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vadistill.datasets.base import Splits
from vadistill.datasets.found import find_features, find_videos, listed
from vadistill.datasets.intervals import Annotation, malformed, read_intervals, rows, unique
from vadistill.datasets.weak import WeakVideos

CLASSES = (
    *("Abuse", "Arrest", "Arson", "Assault", "Burglary", "Explosion", "Fighting"),
    *("RoadAccidents", "Robbery", "Shooting", "Shoplifting", "Stealing", "Vandalism"),
)
"""The kinds of anomaly, which are also the folders of their videos."""

NORMAL = "Normal"
"""The class of a normal video in the temporal annotations."""

NORMAL_FOLDERS = ("Training_Normal_Videos_Anomaly", "Testing_Normal_Videos_Anomaly")

TRAIN_LIST, TEST_LIST = "Anomaly_Train.txt", "Temporal_Anomaly_Annotation.txt"

FPS = 30.0
"""The videos' rate; features do not tell it."""


def is_ucf_crime(path: Path) -> bool:
    """Whether ``path`` has one of the two lists."""
    return any((path / file).is_file() for file in (TRAIN_LIST, TEST_LIST))


def open_ucf_crime(path: Path) -> Splits:
    """Each split whose list is there; missing and unfitting videos or features are problems.

    Raises DataError for a list that cannot be read, or if there is none of its videos.
    """
    train = read_train_list(path / TRAIN_LIST) if (path / TRAIN_LIST).is_file() else ()
    test = read_annotations(path / TEST_LIST) if (path / TEST_LIST).is_file() else ()
    name_of = listed(record.name for record in (*train, *test))
    problems: list[str] = []
    features = find_features(path, name_of, problems)
    videos = WeakVideos("ucf_crime", path, FPS, features, find_videos(path, name_of), problems)
    splits = videos.dataset("train", train), videos.dataset("test", test)
    videos.require_snippets(splits[1])
    lists = [path / TRAIN_LIST, path / TEST_LIST]
    return videos.splits("ucf_crime", *splits, lists=lists)


def read_annotations(path: Path) -> tuple[Annotation, ...]:
    """The test videos of Temporal_Anomaly_Annotation.txt; raises DataError naming the line."""
    return unique(_annotations(path))


def read_train_list(path: Path) -> tuple[Annotation, ...]:
    """The training videos of Anomaly_Train.txt, with their folders' video labels.

    An abnormal video's intervals are not known (None).  Raises DataError naming the line.
    """
    return unique(_train_list(path))


def _annotations(path: Path) -> Iterator[tuple[str, Annotation]]:
    for where, cells in rows(path):
        if len(cells) != 6:
            raise malformed(
                where, f"{len(cells)} columns", "6: video, class, start, end, start, end"
            )
        video, kind = cells[:2]
        intervals = read_intervals(where, cells[2:])
        if kind not in (NORMAL, *CLASSES):
            raise malformed(where, f"class {kind!r}", f"{NORMAL} or one of {', '.join(CLASSES)}")
        if (kind == NORMAL) == bool(intervals):
            raise malformed(
                where,
                f"{len(intervals)} intervals of class {kind}",
                "one or two of an anomaly, none in a normal video",
            )
        classes = () if kind == NORMAL else (kind,)
        yield where, Annotation(PurePosixPath(video).stem, classes, intervals)


def _train_list(path: Path) -> Iterator[tuple[str, Annotation]]:
    for where, cells in rows(path):
        video = PurePosixPath(" ".join(cells))
        folder = video.parent.name
        if folder not in (*NORMAL_FOLDERS, *CLASSES):
            raise malformed(
                where,
                f"{str(video)!r} is in no known folder",
                f"FOLDER/VIDEO.mp4 with a folder {NORMAL_FOLDERS[0]}, {', '.join(CLASSES)}",
            )
        normal = folder in NORMAL_FOLDERS
        yield (
            where,
            Annotation(video.stem, () if normal else (folder,), () if normal else None),
        )
