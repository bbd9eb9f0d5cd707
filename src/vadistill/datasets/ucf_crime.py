"""UCF-Crime (Sultani et al., CVPR 2018): the official training list and temporal annotations.

Anomaly_Train.txt                    Abuse/Abuse001_x264.mp4 …  1610 videos, 800 of them in
                                     Training_Normal_Videos_Anomaly/
Temporal_Anomaly_Annotation.txt      Abuse028_x264.mp4  Abuse  165  240  -1  -1 …  290 videos with
                                     up to two intervals each, -1 -1 for none

``start end`` is read as the frames start, start + 1, …, end - 1, counted from 0, as the labels that
the weakly supervised literature measures on do.  The authors' MATLAB script counts from 1 and takes
in both ends, so it marks one frame more, the one before each start: 156 frames in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vadistill.datasets.intervals import Annotation, malformed, read_intervals, rows, unique

CLASSES = (
    *("Abuse", "Arrest", "Arson", "Assault", "Burglary", "Explosion", "Fighting"),
    *("RoadAccidents", "Robbery", "Shooting", "Shoplifting", "Stealing", "Vandalism"),
)
"""The kinds of anomaly, which are also the folders of their videos."""

NORMAL = "Normal"
"""The class of a normal video in the temporal annotations."""

NORMAL_FOLDERS = ("Training_Normal_Videos_Anomaly", "Testing_Normal_Videos_Anomaly")


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
