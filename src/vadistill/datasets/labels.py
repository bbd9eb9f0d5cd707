"""Label files (intervals, video labels, mask pictures) and how many frames a video really has."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from vadistill.datasets.sources import pictures
from vadistill.errors import DataError

LABEL_COLUMNS = "file,start,end or file,start_time,end_time or file,label or file,label,source"


_UNITS: tuple[tuple[Literal["frames", "seconds"], str, str], ...] = (
    ("frames", "start", "end"),
    ("seconds", "start_time", "end_time"),
)


class Interval(NamedTuple):
    """An abnormal stretch of one video, in the unit that its file declares."""

    line: int
    file: str
    start: float
    end: float


@dataclass(frozen=True)
class IntervalFile:
    """A CSV of abnormal intervals, in frames (0-based, end exclusive) or in seconds.

    ``files`` are all files that it mentions, also those with an empty interval (normal ones).
    """

    path: Path
    unit: Literal["frames", "seconds"]
    intervals: tuple[Interval, ...]
    files: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class VideoLabelFile:
    """A CSV of ``file,label``: (line, file, 1 for abnormal or 0 for normal)."""

    path: Path
    labels: tuple[tuple[int, str, int], ...]
    sources: tuple[str, ...] = ()
    """Where each file was cut from, if there is a column ``source``; empty for one alone."""


def read_label_file(path: Path) -> IntervalFile | VideoLabelFile | None:
    """The labels of a CSV, or None where its header is not that of a label file.

    The header is ``file,start,end[,kind]``, ``file,start_time,end_time[,kind]`` or
    ``file,label[,source]``; times are seconds, mm:ss or hh:mm:ss.  In a file called labels.csv the
    second column may name the anomaly instead (``file,fight,source``) if it holds nothing but 0
    and 1.  Raises DataError for a row that cannot be read, naming the line, and for a file called
    labels.csv whose header is another.
    """
    header, rows, first = _table(path)
    for unit, start, end in _UNITS:
        if {"file", start, end} <= set(header):
            columns = header.index("file"), header.index(start), header.index(end)
            return _interval_file(path, unit, rows, columns)
    named = path.name.lower() == "labels.csv" and header[:1] == ["file"] and "label" not in header
    if named and rows and all(len(row) > 1 and row[1] in ("0", "1") for _, row in rows):
        header[1] = "label"
    if {"file", "label"} <= set(header):
        columns = header.index("file"), header.index("label")
        labels = tuple(_video_label(path, *row, *columns) for row in rows)
        if "source" not in header:
            return VideoLabelFile(path, labels)
        source = header.index("source")
        sources = tuple(row[source] if len(row) > source else "" for _, row in rows)
        return VideoLabelFile(path, labels, sources)
    if path.name.lower() == "labels.csv":
        raise DataError(
            f"{path} begins with {first[:60]!r}",
            expected=f"a header {LABEL_COLUMNS}",
            fix="rename its columns, or rename the file if it is not for vadistill",
        )
    return None


def read_classes(path: Path) -> tuple[tuple[int, str, str], ...]:
    """The rows of a CSV ``file,class``: (line, file, kind of anomaly), one row for each of several.

    Raises DataError for another header, or a row that cannot be read, naming the line.
    """
    header, rows, first = _table(path)
    if not {"file", "class"} <= set(header):
        raise DataError(
            f"{path} begins with {first[:60]!r}",
            expected="a header file,class",
            fix="rename its columns",
        )
    columns = header.index("file"), header.index("class")
    cells = [(number, _cells(path, number, row, columns)) for number, row in rows]
    return tuple((number, file, kind) for number, (file, kind) in cells)


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """A CSV's header in lower case, its rows with their lines, and its first line as it is."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {path} ({str(error).splitlines()[0]})",
            expected="a CSV text file in UTF-8",
            fix="save it again as CSV (UTF-8)",
        ) from error
    lines = text.splitlines()
    first = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=first.count))
    header = [name.strip().lower() for name in next(reader, [])]
    rows = [
        (number, [cell.strip() for cell in row])
        for number, row in enumerate(reader, start=2)
        if any(cell.strip() for cell in row)
    ]
    return header, rows, first


def _interval_file(
    path: Path,
    unit: Literal["frames", "seconds"],
    rows: Sequence[tuple[int, list[str]]],
    columns: tuple[int, int, int],
) -> IntervalFile:
    intervals, files = [], []
    for number, row in rows:
        file, start, end = _cells(path, number, row, columns)
        files.append((number, file))
        if not start and not end:
            continue
        begin, stop = (_position(path, number, value, unit) for value in (start, end))
        if stop <= begin:
            raise DataError(
                f"{path} line {number}: interval {start} to {end}",
                expected="an end after its start",
                fix="mend that row (the end is exclusive)",
            )
        intervals.append(Interval(number, file, begin, stop))
    return IntervalFile(path, unit, tuple(intervals), tuple(files))


def _cells(path: Path, number: int, row: list[str], columns: Sequence[int]) -> list[str]:
    if len(row) <= max(columns) or not row[columns[0]]:
        raise DataError(
            f"{path} line {number} has {len(row)} columns",
            expected=f"a file name and the columns of the header ({LABEL_COLUMNS})",
            fix="mend that row",
        )
    return [row[column] for column in columns]


def _position(path: Path, number: int, text: str, unit: Literal["frames", "seconds"]) -> float:
    """A frame number, or seconds from ``12.5``, ``1:02.5`` or ``0:01:02``."""
    if unit == "frames" and re.fullmatch(r"\d+", text):
        return int(text)
    if unit == "seconds" and re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text):
        return sum(float(part) * 60**i for i, part in enumerate(reversed(text.split(":"))))
    raise DataError(
        f"{path} line {number}: {text!r} is no {'frame number' if unit == 'frames' else 'time'}",
        expected="a whole number from 0" if unit == "frames" else "seconds, mm:ss or hh:mm:ss",
        fix="mend that row"
        if unit == "seconds"
        else "mend that row, or call the columns start_time,end_time if they hold times",
    )


_VIDEO_LABELS = {"0": 0, "normal": 0, "1": 1, "abnormal": 1, "anomaly": 1, "anomalous": 1}


def _video_label(
    path: Path, number: int, row: list[str], file: int, label: int
) -> tuple[int, str, int]:
    name, value = _cells(path, number, row, (file, label))
    if value.lower() not in _VIDEO_LABELS:
        raise DataError(
            f"{path} line {number}: label {value!r}",
            expected="0 (normal) or 1 (abnormal)",
            fix="mend that row",
        )
    return number, name, _VIDEO_LABELS[value.lower()]


def labels_from_intervals(
    intervals: Iterable[tuple[float, float]], frames: int
) -> UInt8[np.ndarray, " {frames}"]:
    """Frame labels from 0-based, end-exclusive frame intervals, which must lie within ``frames``.

    Raises DataError, with both lengths, where they do not.
    """
    labels = np.zeros(frames, np.uint8)
    for start, end in intervals:
        if end > frames:
            raise DataError(
                f"labels reach {end:g} frames but the video has {frames}",
                expected="labels no longer than the video",
                fix="label this very video, or mend its intervals",
            )
        labels[int(start) : int(end)] = 1
    return labels


def labels_from_times(
    intervals: Iterable[tuple[float, float]], times: Float64[np.ndarray, " t"]
) -> UInt8[np.ndarray, " t"]:
    """Frame labels from intervals in seconds: a frame is abnormal if start ≤ its time < end.

    An end may lie up to a second past the last frame (times are often rounded up); raises
    DataError, with both lengths, where it lies further.
    """
    labels = np.zeros(len(times), np.uint8)
    length = float(times[-1]) if len(times) else 0.0
    for start, end in intervals:
        if end > math.ceil(length) + 1 or start > length:
            raise DataError(
                f"labels reach {end:g} s but the video is {length:.1f} s long",
                expected="labels no longer than the video",
                fix="label this very video, or mend its intervals",
            )
        labels[(times >= start) & (times < end)] = 1
    return labels


class PictureMasks:
    """A folder of mask pictures, one a frame in natural order: any pixel above 0 is abnormal.

    Calling it with a 0-based frame index gives that mask, read then and there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = pictures(folder)

    def __len__(self) -> int:
        return len(self.paths)

    def __call__(self, index: int) -> Bool[np.ndarray, "h w"]:
        """Raises DataError for a picture that cannot be read, IndexError past the last one."""
        return _read_mask(self.paths[index]).copy()

    def frame_labels(self) -> UInt8[np.ndarray, " t"]:
        """1 for each frame with an abnormal pixel; reads every picture."""
        return np.array([_read_mask(path).any() for path in self.paths], np.uint8)


@lru_cache(maxsize=1)
def _read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise DataError(
            f"cannot read the mask {path}",
            expected="a whole png, bmp, tif or jpg picture",
            fix="copy it again from the data set",
        )
    # JPEG rings around an edge: dark grey there is not a label.
    return picture > (127 if path.suffix.lower() in {".jpg", ".jpeg"} else 0)
