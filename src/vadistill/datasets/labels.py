"""Label files: abnormal intervals, video labels and classes, and the frame labels they make."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from vadistill.errors import DataError
from vadistill.tables import Row, Table, read_table, whole_number

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
    table = read_table(path)
    header, rows = table.header, table.rows
    for unit, start, end in _UNITS:
        if {"file", start, end} <= set(header):
            return _interval_file(table, unit, table.columns(("file", start, end)))
    named = path.name.lower() == "labels.csv" and header[:1] == ["file"] and "label" not in header
    if named and rows and all(len(row) > 1 and row[1] in ("0", "1") for _, row in rows):
        header[1] = "label"
    if {"file", "label"} <= set(header):
        columns = table.columns(("file", "label"))
        labels = tuple(_video_label(table, row, columns) for row in rows)
        if "source" not in header:
            return VideoLabelFile(path, labels)
        source = header.index("source")
        sources = tuple(row[source] if len(row) > source else "" for _, row in rows)
        return VideoLabelFile(path, labels, sources)
    if path.name.lower() == "labels.csv":
        raise DataError(
            f"{path} begins with {table.first[:60]!r}",
            expected=f"a header {LABEL_COLUMNS}",
            fix="rename its columns, or rename the file if it is not for vadistill",
        )
    return None


def read_classes(path: Path) -> tuple[tuple[int, str, str], ...]:
    """The rows of a CSV ``file,class``: (line, file, kind of anomaly), one row for each of several.

    Raises DataError for another header, or a row that cannot be read, naming the line.
    """
    table = read_table(path)
    columns = table.columns(("file", "class"))
    found = []
    for row in table.rows:
        file, kind = table.cells(row, columns, "file,class")
        if not kind:
            raise DataError(
                f"{path} line {row.line}: no class of {file}",
                expected="a kind of anomaly",
                fix="mend that row, or leave it out",
            )
        found.append((row.line, file, kind))
    return tuple(found)


def _interval_file(
    table: Table, unit: Literal["frames", "seconds"], columns: Sequence[int]
) -> IntervalFile:
    path, header = table.path, table.header
    label = header.index("label") if "label" in header else None
    intervals, files = [], []
    for row in table.rows:
        file, start, end = table.cells(row, columns, LABEL_COLUMNS)
        files.append((row.line, file))
        if not start and not end:
            continue
        begin, stop = (_position(path, row.line, value, unit) for value in (start, end))
        if stop <= begin:
            raise DataError(
                f"{path} line {row.line}: interval {start} to {end}",
                expected="an end after its start",
                fix="mend that row (the end is exclusive)",
            )
        said = "" if label is None else row.cells[label : label + 1]
        if said and _VIDEO_LABELS.get(said[0].lower(), 1) == 0:
            raise DataError(
                f"{path} line {row.line}: an interval with the label {said[0]!r}",
                expected="abnormal intervals only",
                fix="leave its start and end empty",
            )
        intervals.append(Interval(row.line, file, begin, stop))
    return IntervalFile(path, unit, tuple(intervals), tuple(files))


def _position(path: Path, line: int, text: str, unit: Literal["frames", "seconds"]) -> float:
    """A frame number, or seconds from ``12.5``, ``1:02.5`` or ``0:01:02``."""
    if unit == "frames" and (number := whole_number(text)) is not None:
        return number
    if unit == "seconds" and re.fullmatch(r"(\d{1,15}:){0,2}\d{1,15}(\.\d*)?", text):
        return sum(float(part) * 60**i for i, part in enumerate(reversed(text.split(":"))))
    raise DataError(
        f"{path} line {line}: {text[:60]!r} is no {'frame number' if unit == 'frames' else 'time'}",
        expected="a whole number from 0" if unit == "frames" else "seconds, mm:ss or hh:mm:ss",
        fix="mend that row"
        if unit == "seconds"
        else "mend that row, or call the columns start_time,end_time if they hold times",
    )


_VIDEO_LABELS = {
    **dict.fromkeys(("0", "0.0", "normal"), 0),
    **dict.fromkeys(("1", "1.0", "abnormal", "anomaly", "anomalous"), 1),
}


def _video_label(table: Table, row: Row, columns: Sequence[int]) -> tuple[int, str, int]:
    name, value = table.cells(row, columns, LABEL_COLUMNS)
    if value.lower() not in _VIDEO_LABELS:
        raise DataError(
            f"{table.path} line {row.line}: label {value[:60]!r}",
            expected="0 (normal) or 1 (abnormal)",
            fix="mend that row",
        )
    return row.line, name, _VIDEO_LABELS[value.lower()]


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
