"""XD-Violence (Wu et al., ECCV 2020): video names that tell their classes, and annotations.txt.

v=S-7rRLrxnVQ__#1_label_B4-0-0 0 1517 1970 3038        500 abnormal test videos, any number of
                                                       intervals; normal ones are not listed
Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6        up to three classes, most important first
A.Beautiful.Mind.2001__#00-25-20_00-29-20_label_A      a normal video

``start end`` is the frames start, start + 1, …, end - 1, counted from 0, as in the authors' script.
Their labels leave out a video's last frame and what is then beyond the last whole clip of 16.
Fourteen of the published lines carry the ending .mp4, others none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vadistill.datasets.intervals import Annotation, malformed, read_intervals, rows, unique
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
