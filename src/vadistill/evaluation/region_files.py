"""Track and detection files in the published layout: one text file a video.

Tracks: ``track,frame,x1,y1,x2,y2``; detections: ``frame,x1,y1,x2,y2,score``; without a header in
that order, with one in any, as ``tables`` reads them.  Frames are counted from 0, boxes are in
inclusive pixels: (10, 10, 29, 29) is 20 pixels wide.
Everywhere else in the package x2 and y2 are exclusive; they are converted here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vadistill.datasets.tracks import Check, Fault, Tracks, far_outside, first_fault, normalised
from vadistill.errors import DataError, printable
from vadistill.evaluation.region_matching import Detections
from vadistill.files import replacing
from vadistill.tables import Row, number, read_table

TRACK_COLUMNS = ("track", "frame", "x1", "y1", "x2", "y2")
DETECTION_COLUMNS = ("frame", "x1", "y1", "x2", "y2", "score")

ENDINGS = (".txt", ".csv")
"""Files of a folder that are read; others are passed over."""


def read_tracks(
    path: Path, frames: int | None = None, size: tuple[int, int] | None = None
) -> Tracks:
    """The tracks of one video of ``frames`` frames (None: not known, not checked).

    ``size`` is the video's width and height, which boxes must not lie far outside of, nor be parts
    of (0 to 1).  Raises DataError, naming the file and the line.
    """
    values, lines = _read(path, TRACK_COLUMNS)
    whole = _whole(path, values, lines, TRACK_COLUMNS[:2])
    tracks = Tracks(whole[:, 0], whole[:, 1], _exclusive(values[:, 2:]))
    _check(path, values[:, 2:], lines, tracks, frames)
    if size is not None and (fault := _misfit(values[:, 2:], tracks, size)):
        raise fault.error(f"{path} line {lines[fault.row]}")
    return tracks


def read_detections(path: Path, frames: int | None = None) -> Detections:
    """The detections of one video of ``frames`` frames (None: not known, not checked).

    Raises DataError, naming the file and the line.
    """
    values, lines = _read(path, DETECTION_COLUMNS)
    whole = _whole(path, values, lines, DETECTION_COLUMNS[:1])
    detections = Detections(whole[:, 0], _exclusive(values[:, 1:5]), values[:, 5])
    _check(path, values[:, 1:5], lines, detections, frames)
    return detections


def write_tracks(path: Path, tracks: Tracks) -> None:
    """Write tracks with a header, atomically.

    A box narrower than a pixel is written as one pixel: inclusive ends cannot say less.  Raises
    DataError for what could not be read again, WeightsError when the file cannot be written.
    """
    columns = [tracks.track, tracks.frame, *_inclusive(tracks.boxes)]
    _write(path, TRACK_COLUMNS, columns, tracks.fault(None))


def write_detections(path: Path, detections: Detections) -> None:
    """Write detections with a header, as ``write_tracks`` does."""
    columns = [detections.frame, *_inclusive(detections.boxes), detections.scores]
    _write(path, DETECTION_COLUMNS, columns, detections.fault(None))


def read_track_folder(
    folder: Path, frames: Mapping[str, int], sizes: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Tracks]:
    """Tracks by video name from a folder of files called after the videos.

    ``frames`` are the lengths of all test videos; one without a file has no tracks.  ``sizes`` are
    their widths and heights.  Raises DataError for a file of another name, and as ``read_tracks``.
    """
    files = _files(folder, frames)
    return {n: read_tracks(p, frames[n], (sizes or {}).get(n)) for n, p in files.items()}


def read_detection_folder(folder: Path, frames: Mapping[str, int]) -> dict[str, Detections]:
    """Detections by video name, of those that have a file, as ``read_track_folder``."""
    return {n: read_detections(p, frames[n]) for n, p in _files(folder, frames).items()}


def write_track_folder(folder: Path, tracks: Mapping[str, Tracks]) -> None:
    """Write one ``NAME.txt`` a video, each atomically."""
    for name, table in tracks.items():
        write_tracks(folder / f"{name}{ENDINGS[0]}", table)


def write_detection_folder(folder: Path, detections: Mapping[str, Detections]) -> None:
    """Write one ``NAME.txt`` a video, each atomically."""
    for name, table in detections.items():
        write_detections(folder / f"{name}{ENDINGS[0]}", table)


def _exclusive(inclusive: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    return inclusive + np.array([0.0, 0.0, 1.0, 1.0])


def _inclusive(exclusive: Float[np.ndarray, "n 4"]) -> list[Float[np.ndarray, " n"]]:
    """The four columns of a file."""
    boxes = exclusive.astype(np.float64)
    return [*boxes[:, :2].T, *np.maximum(boxes[:, 2:] - 1, boxes[:, :2]).T]


def _read(
    path: Path, columns: tuple[str, ...]
) -> tuple[Float[np.ndarray, "n c"], Int[np.ndarray, " n"]]:
    """All numbers of a file, in the order of ``columns``, and the line that each row stands on."""
    table = read_table(path)
    rows, places = table.rows, list(range(len(columns)))
    if set(columns) <= set(table.header):
        places = table.columns(columns)
        table.check_videos()
    elif any(table.header):
        rows = [Row(table.line, table.header), *rows]
    values = np.zeros((len(rows), len(columns)))
    for at, row in enumerate(rows):
        try:
            if len(row.cells) != len(table.header) or len(row.cells) < len(columns):
                raise ValueError
            values[at] = [number(row.cells[place]) for place in places]
        except ValueError:
            raise _malformed(path, row.line, ",".join(row.cells), columns) from None
    return values, np.array([row.line for row in rows], np.int64)


def _malformed(path: Path, line: int, row: str, columns: tuple[str, ...]) -> DataError:
    return DataError(
        f"{path} line {line} is {row[:60]!r}",
        expected=f"{len(columns)} numbers {','.join(columns)}",
        fix="correct that line",
    )


def _whole(
    path: Path,
    values: Float[np.ndarray, "n c"],
    lines: Int[np.ndarray, " n"],
    names: tuple[str, ...],
) -> Int[np.ndarray, "n k"]:
    """The first columns as whole numbers."""
    numbers = values[:, : len(names)]
    bad = ~np.isfinite(numbers) | (numbers != np.round(numbers)) | (np.abs(numbers) > 2**53)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{path} line {lines[row]}: {names[column]} {numbers[row, column]:g}",
            expected="a whole number",
            fix="correct that line",
        )
    return numbers.astype(np.int64)


def _check(
    path: Path,
    inclusive: Float[np.ndarray, "n 4"],
    lines: Int[np.ndarray, " n"],
    table: Tracks | Detections,
    frames: int | None,
) -> None:
    backwards = Check(
        np.asarray((inclusive[:, 2:] < inclusive[:, :2]).any(1)),
        lambda row: f"a box from {_point(inclusive[row, :2])} to {_point(inclusive[row, 2:])}",
        "x1 ≤ x2 and y1 ≤ y2, both inclusive",
        "correct that line: its columns may be x, y, width, height",
    )
    found = [fault for fault in (first_fault([backwards]), table.fault(frames)) if fault]
    if found:
        fault = min(found, key=lambda f: f.row)
        raise fault.error(f"{path} line {lines[fault.row]}")


def _misfit(
    inclusive: Float[np.ndarray, "n 4"], tracks: Tracks, size: tuple[int, int]
) -> Fault | None:
    """The first box that is not in pixels of a picture of that size."""
    expected = f"x1,y1,x2,y2 in a picture of {size[0]}x{size[1]} pixels"
    fix = "write boxes in pixels of this video's size"
    parts = np.full(len(tracks), normalised(inclusive))
    outside = far_outside(tracks.boxes, size)
    return first_fault(
        [
            Check(parts, lambda row: "all boxes lie within 0 to 1", expected, fix),
            Check(
                outside,
                lambda row: (
                    f"a box from {_point(inclusive[row, :2])} to {_point(inclusive[row, 2:])}"
                ),
                expected,
                fix,
            ),
        ]
    )


def _point(values: np.ndarray) -> str:
    return f"({values[0]:g}, {values[1]:g})"


def _write(
    path: Path, names: tuple[str, ...], columns: list[np.ndarray], fault: Fault | None
) -> None:
    if fault is not None:
        raise fault.error(f"row {fault.row + 1} of what {path} is to hold")
    # The shortest text that reads back as the same number, so that no score becomes a tie.
    cells = [[str(int(v)) if v == int(v) else repr(v) for v in c.tolist()] for c in columns]
    rows = (",".join(row) for row in zip(*cells, strict=True))
    with replacing(path) as temporary:
        temporary.write_text("\n".join([",".join(names), *rows]) + "\n", encoding="utf-8")


def _files(folder: Path, frames: Mapping[str, int]) -> dict[str, Path]:
    """The file of each video that has one."""
    if not folder.is_dir():
        raise DataError(
            f"no folder {folder}",
            expected="a folder with one .txt or .csv file a video",
            fix="check the path",
        )
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
            continue
        name = printable(path.relative_to(folder).as_posix()[: -len(path.suffix)])
        if name not in frames or name in files:
            raise DataError(
                f"{path} is of a video '{name}'"
                + (" that has another file" if name in files else ", which the test set lacks"),
                expected=f"one file for each of its videos ({', '.join([*frames][:6])}, …)",
                fix="rename or remove it",
            )
        files[name] = path
    return files
