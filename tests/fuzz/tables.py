"""Text tables: labels, classes, boxes, tracks, detections, scores and the lists of data sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzz.judging import Reader
from fuzz.mutations import array_of, bytes_of
from vadistill.datasets import shanghaitech, ucf_crime, xd_violence
from vadistill.datasets.intervals import Annotation
from vadistill.datasets.labels import IntervalFile, VideoLabelFile, read_classes, read_label_file
from vadistill.evaluation.region_files import (
    read_detections,
    read_tracks,
    write_detections,
    write_tracks,
)
from vadistill.objects.boxes_file import read_boxes
from vadistill.score_tables import read_parquet, read_scores, write_parquet

FRAMES, SIZE = 40, (64, 48)


def plain(path: Path, header: bool = True) -> list[list[str]] | None:
    """The cells of a table's rows, read in the simplest way; None where that may be wrong.

    It is where quotes are in it, or a line tells the separator.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = text.split("\n")
    while lines and (not lines[0].strip(" \t,;") or lines[0].lstrip().startswith("#")):
        del lines[0]
    if '"' in text or any(line.strip().lower().startswith("sep=") for line in lines):
        return None
    if not lines:
        return []
    separator = max(",;\t", key=lines[0].count)
    rows = [[cell.strip() for cell in line.split(separator)] for line in lines]
    width = len(rows[0])
    kept = [row for row in rows[header:] if any(row)]
    for row in kept:
        assert not any(row[width:]), f"a cell beyond the header is passed over: {row}"
    return kept


def count(path: Path, found: int, header: bool = True) -> None:
    """As many rows were read as there are."""
    rows = plain(path, header)
    assert rows is None or len(rows) == found, f"{found} rows read of {len(rows or ())}"


def again(path: Path, lines: Iterable[Sequence[Any]], read: Callable[[Path], Any]) -> Any:
    """What is read of what was read, written anew."""

    def cell(value: Any) -> str:
        text = repr(value) if isinstance(value, float) else str(value)
        return '"' + text.replace('"', '""') + '"' if isinstance(value, str) else text

    other = path.with_name(f"again-{path.name}")
    other.write_text("\n".join(",".join(map(cell, line)) for line in lines) + "\n", newline="")
    return read(other)


def labels(path: Path) -> None:
    """Labels of either kind; of files that are not called labels.csv there may be none."""
    found = read_label_file(path)
    if found is None:
        header = path.read_text(encoding="utf-8-sig").split("\n")[0].lower()
        assert not {"file", "start", "end"} <= set(header.strip().split(",")), "labels passed over"
        return
    if isinstance(found, VideoLabelFile):
        count(path, len(found.labels))
        assert all(file and label in (0, 1) for _, file, label in found.labels)
        sources = found.sources or ("",) * len(found.labels)
        rows = [
            (file, label, source)
            for (_, file, label), source in zip(found.labels, sources, strict=True)
        ]
        same: Any = again(path, [("file", "label", "source"), *rows], read_label_file)
        assert [each[1:] for each in same.labels] == [each[1:] for each in found.labels]
        assert not found.sources or same.sources == found.sources
        return
    assert isinstance(found, IntervalFile)
    count(path, len(found.files))
    for interval in found.intervals:
        assert interval.file and 0 <= interval.start < interval.end < math.inf
        assert found.unit == "seconds" or interval.start == int(interval.start)
    units = ("start", "end") if found.unit == "frames" else ("start_time", "end_time")
    lines = {line: [file, "", ""] for line, file in found.files}
    for line, _, start, end in found.intervals:
        # No exponents, which times do not have.
        lines[line][1:] = [f"{start:.17f}", f"{end:.17f}"]
        if found.unit == "frames":
            lines[line][1:] = [str(int(start)), str(int(end))]
    same = again(path, [("file", *units), *lines.values()], read_label_file)
    assert [each[1:] for each in same.intervals] == [each[1:] for each in found.intervals]


def classes(path: Path) -> None:
    found = read_classes(path)
    count(path, len(found))
    assert all(file and kind for _, file, kind in found), "a class without a name"
    same = again(path, [("file", "class"), *(row[1:] for row in found)], read_classes)
    assert [row[1:] for row in same] == [row[1:] for row in found]


def boxes(path: Path) -> None:
    found = read_boxes(path)
    rows = [
        (video, frame, *map(float, box))
        for video, frames in found.items()
        for frame, every in frames.items()
        for box in every
    ]
    count(path, len(rows))
    assert all(math.isfinite(number) for row in rows for number in row[1:])
    same = again(path, [("file", "frame", "x1", "y1", "x2", "y2"), *rows], read_boxes)
    assert {v: list(f) for v, f in same.items()} == {v: list(f) for v, f in found.items()}


def _headed(path: Path, names: Sequence[str]) -> bool:
    rows = plain(path, header=False) or [[]]
    return set(names) <= {cell.lower() for cell in rows[0]}


def tracks(path: Path) -> None:
    found = read_tracks(path, FRAMES, SIZE)
    count(path, len(found), _headed(path, ("track", "x1")))
    assert ((found.frame >= 0) & (found.frame < FRAMES)).all() and np.isfinite(found.boxes).all()
    write_tracks(other := path.with_name("again.txt"), found)
    same = read_tracks(other, FRAMES, SIZE)
    np.testing.assert_array_equal(same.track, found.track)
    np.testing.assert_allclose(same.boxes, found.boxes)


def detections(path: Path) -> None:
    found = read_detections(path, FRAMES)
    count(path, len(found.frame), _headed(path, ("frame", "score")))
    assert np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()
    write_detections(other := path.with_name("again.txt"), found)
    np.testing.assert_array_equal(read_detections(other, FRAMES).scores, found.scores)


def scores(path: Path) -> None:
    found = read_scores(path)
    assert all(
        isinstance(video, str) and np.isfinite(values).all() for video, values in found.items()
    )
    total = sum(map(len, found.values()))
    if path.suffix == ".csv":
        count(path, total)
    else:
        assert total == len(read_parquet(path)["score"])
    if not total:
        return
    rows = [(v, f, float(s)) for v, values in found.items() for f, s in enumerate(values)]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    other = path.with_name("again.parquet")
    write_parquet(other, dict(zip(("video", "frame", "score"), columns, strict=True)))
    same = read_scores(other)
    assert list(same) == list(found)
    assert all(np.array_equal(same[video], found[video]) for video in found)


def parquet_tables() -> dict[str, bytes]:
    import pyarrow
    from pyarrow import parquet

    columns = {
        "video": ["a"] * 4 + ["b"] * 3,
        "frame": [0, 1, 2, 3, 0, 1, 2],
        "score": [0.1, 0.5, 2.0, -1.0, 0.0, 0.25, 1e-9],
    }
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink)
    return {"scores.parquet": sink.getvalue().to_pybytes()}


def changed_parquet(random: Random, data: bytes, other: bytes) -> bytes:
    """Other columns in a sound file, or a damaged file."""
    import pyarrow
    from pyarrow import parquet

    if random.random() < 0.5:
        return bytes_of(random, data, other)
    table = parquet.read_table(pyarrow.BufferReader(data))
    name = random.choice(table.column_names)
    column = np.array(table[name].to_numpy())
    odd = [None, "1", "x", True, 1.5, [1], b"a", {"x": 1}]
    try:
        values = pyarrow.array(
            array_of(random, column).reshape(-1)
            if random.random() < 0.5
            else [random.choice(odd)] * len(column)
        )
        index = table.column_names.index(name)
        if len(values) != len(table):
            table = table.slice(0, len(values))
            values = values.slice(0, len(table))
        table = table.set_column(index, random.choice((name, name, name, "x", "frame")), values)
    except (pyarrow.ArrowException, TypeError, ValueError):
        table = table.drop_columns([name])
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def lists(path: Path) -> None:
    """The published lists, each by its name: a record a line, and every number kept."""
    read: Callable[[Path], tuple[Annotation, ...]] = {
        ucf_crime.TRAIN_LIST: ucf_crime.read_train_list,
        ucf_crime.TEST_LIST: ucf_crime.read_annotations,
        xd_violence.LIST: xd_violence.read_annotations,
    }.get(path.name, shanghaitech.read_weak_split)
    found = read(path)
    text = path.read_text(encoding="utf-8-sig")
    lines = [line for line in text.split("\n") if line.strip()]
    assert len(found) == len(lines), f"{len(found)} records of {len(lines)} lines"
    for record, line in zip(found, lines, strict=True):
        assert record.name and record.name.split()[0] in line
        for start, end in record.intervals or ():
            assert 0 <= start < end and str(start) in line and str(end) in line
    if path.name in (ucf_crime.TEST_LIST, xd_violence.LIST):
        for record, line in zip(found, lines, strict=True):
            numbers = [word for word in line.split()[1:] if word.lstrip("-").isdecimal()]
            told = [n for n in map(int, numbers) if n != -1]
            kept = [n for pair in record.intervals or () for n in pair]
            assert kept == told, f"{kept} of {line!r}"


READERS = (
    Reader("labels", labels, slots=12, lines=True),
    Reader("classes", classes, slots=2, lines=True),
    Reader("boxes", boxes, slots=8, lines=True),
    Reader("tracks", tracks, slots=7, lines=True),
    Reader("detections", detections, slots=4, lines=True),
    Reader("scores", scores, slots=6, lines=True),
    Reader("score parquet", scores, slots=2, mutate=changed_parquet, made=parquet_tables),
    Reader("lists", lists, slots=6, lines=True),
)
