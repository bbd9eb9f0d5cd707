"""Frame scores as tables: CSV, Parquet and JSON."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Float

from vadistill.errors import ConfigError, DataError, WeightsError
from vadistill.files import replacing, write_json
from vadistill.scores import Scores
from vadistill.tables import Row, is_number, number, read_table, whole_number

TABLE_FORMATS = (".csv", ".parquet", ".json")


def write_scores(path: Path, scores: Sequence[Scores]) -> None:
    """Write the frame scores of some videos as one table: .csv, .parquet or .json by the ending.

    Raises ConfigError for another ending, WeightsError when the file cannot be written.
    """
    check_format(path)
    parts = [s.columns() for s in scores]
    names = [n for n in (parts[0] if parts else {}) if all(n in p for p in parts)]
    table = {name: np.concatenate([p[name] for p in parts]) for name in names}
    if path.suffix == ".json":
        videos = [
            {
                "video": s.video,
                "fps": s.fps,
                "system": s.system,
                "smoothing": asdict(s.smoothing),
                **{k: v.tolist() for k, v in s.columns().items() if k != "video"},
            }
            for s in scores
        ]
        write_json(path, {"videos": videos})
    elif path.suffix == ".csv":
        import csv

        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    else:
        write_parquet(path, table)


class ScoreTable:
    """A table that grows by a video, and is whole at any time: ``with ScoreTable(path) as table``.

    What a killed run has scored stands in ``path``; where an older table is there, in
    NAME.partial.ENDING beside it, which takes its place at the block's end.  Raises ConfigError for
    an ending that cannot be; at its end, WeightsError when the file cannot be written.
    """

    SHARE = 0.2
    """Part of the time at most that a large table, which is written anew each time, may take."""
    SHORT = 0.25
    """Seconds of writing that are always spent."""

    def __init__(self, path: Path) -> None:
        check_format(path)
        self.path = path
        self.at = path.with_name(f"{path.stem}.partial{path.suffix}") if path.exists() else path
        """Where the rows are so far."""
        self._scores: list[Scores] = []
        self._unwritten = False
        self._took, self._ended = 0.0, time.monotonic()

    @property
    def whole(self) -> bool:
        """Whether all rows so far are written."""
        return not self._unwritten

    def __enter__(self) -> ScoreTable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            with contextlib.suppress(WeightsError):  # the block's own error is the one to tell
                self._write()
            return
        self._write()
        if self._scores and self.at != self.path:
            self.at.replace(self.path)

    def add(self, scores: Scores) -> None:
        """Add a video's rows; where the disk is full now, they are written with the next ones."""
        self._scores.append(scores)
        self._unwritten = True
        passed = time.monotonic() - self._ended
        if self._took <= self.SHORT or self._took <= self.SHARE * passed:
            with contextlib.suppress(WeightsError):
                self._write()

    def _write(self) -> None:
        if self._unwritten:
            began = time.monotonic()
            write_scores(self.at, self._scores)
            self._unwritten, self._ended = False, time.monotonic()
            self._took = self._ended - began


def check_format(path: Path) -> None:
    """Raise ConfigError for a file whose ending is not one of ``TABLE_FORMATS``."""
    if path.suffix not in TABLE_FORMATS:
        raise ConfigError(
            f"score file '{path.name}'",
            expected=f"an ending of {', '.join(TABLE_FORMATS)}",
            fix="rename it",
        )


def read_scores(path: Path) -> dict[str, Float[np.ndarray, " n"]]:
    """Raw scores by video, in frame order, from a .csv or .parquet that ``write_scores`` wrote.

    Raises DataError, naming the line or row, unless each frame from 0 has one finite score.
    """
    return _in_order(path, (_of_parquet if path.suffix.lower() == ".parquet" else _of_csv)(path))


def read_video_scores(path: Path) -> Float[np.ndarray, " n"]:
    """Raw scores of the one video that a .csv is called after, in frame order.

    Its column ``score``; beside it may stand ``frame``, without which rows are in order, and
    ``video``, which must be that video; others are not read.  A lone column may have any name, or
    none.  Raises DataError as ``read_scores`` does.
    """
    found = _in_order(path, _of_video(path))
    return next(iter(found.values()), np.zeros(0))


Rows = Iterator[tuple[str, str, int, float]]
"""File and line, video, frame and score."""


def _in_order(path: Path, rows: Rows) -> dict[str, Float[np.ndarray, " n"]]:
    found: dict[str, dict[int, float]] = {}
    for where, video, frame, value in rows:
        known = found.setdefault(video, {})
        twice = frame in known
        if twice or not math.isfinite(value):
            what = "is there twice" if twice else f"has the score {value}"
            raise _wrong(f"{where}: frame {frame} of {video} {what}")
        known[frame] = value
    for video, scores in found.items():
        if max(scores) >= len(scores):
            missing = next(frame for frame in range(len(scores)) if frame not in scores)
            what = f"{path} lacks frame {missing} of {video}, which has {len(scores)} others"
            first = min(scores)
            if max(scores) == first + len(scores) - 1:  # none is missing between them
                fix = "count frames from 0: less 1 each"
                if first > 1:
                    fix = f"score the first {first} frames, too; if a score is of a window that "
                    fix += f"ends there, count from 0 and give --level windows:{first + 1}"
                raise _wrong(f"{what}, {first} to {max(scores)}", fix)
            step = math.gcd(*scores)
            if step > 1 and max(scores) == step * (len(scores) - 1):
                fix = f"count scores, not frames: 0, 1, 2; their level may be snippets:{step}"
                raise _wrong(what, fix)
            raise _wrong(what, "score every frame")
    return {v: np.array([s[f] for f in range(len(s))], np.float64) for v, s in found.items()}


def _of_csv(path: Path) -> Rows:
    table = read_table(path)
    columns = table.columns(("video", "frame", "score"))
    for row in table.rows:
        where = f"{path} line {row.line}"
        video, frame, score = table.cells(row, columns, "video,frame,score")
        yield where, video, *_numbers(where, frame, score)


def _of_video(path: Path) -> Rows:
    table = read_table(path)
    table.check_videos()
    header, rows = table.header, table.rows
    names = ["frame", "score"] if "frame" in header else ["score"]
    if len(header) == 1 and header[0] not in ("file", "frame"):
        columns = [0]
        if is_number(header[0]):
            rows = [Row(table.line, header), *rows]
    else:
        columns = table.columns(names)
        if other := [name for name in header if name.startswith("frame") and name not in names]:
            raise _wrong(f"{path} begins with {table.first[:60]!r}", f"call {other[0]} frame")
    for index, row in enumerate(rows):
        where = f"{path} line {row.line}"
        if len(row.cells) <= max(columns) or any(row.cells[len(header) :]):
            raise _wrong(f"{where} has {len(row.cells)} columns, the header {len(header)}", _MEND)
        *frame, score = (row.cells[column] for column in columns)
        yield where, path.stem, *_numbers(where, frame[0] if frame else str(index), score)


def _numbers(where: str, frame: str, score: str) -> tuple[int, float]:
    if (index := whole_number(frame)) is None:
        raise _wrong(f"{where}: {frame[:60]!r} is no frame number")
    try:
        return index, number(score)
    except ValueError as error:
        raise _wrong(f"{where}: {error}", _MEND) from error


def _of_parquet(path: Path) -> Rows:
    try:
        table = read_parquet(path)
        videos, frames, scores = table["video"], table["frame"], table["score"]
    except (OSError, ValueError, KeyError) as error:
        raise _wrong(f"{path} is not a score table ({error})") from error
    if not (frames.dtype.kind in "iu" and scores.dtype.kind in "fiu"):
        raise _wrong(f"{path} holds frames of {frames.dtype} and scores of {scores.dtype}")
    for row, (video, frame, score) in enumerate(zip(videos, frames, scores, strict=True), 1):
        if not isinstance(video, str) or not video or frame < 0:
            raise _wrong(f"{path} row {row}: frame {frame} of the video {video!r}")
        yield f"{path} row {row}", video, int(frame), float(score)


_MEND = "write one number in each cell, with a decimal point, and separate columns by commas"


def _wrong(got: str, fix: str = "mend it, or write the table anew") -> DataError:
    return DataError(
        got,
        expected="columns video, frame, score, and one finite score for every frame from 0",
        fix=fix,
    )


def write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of one length, atomically; raises WeightsError when that fails."""
    import pyarrow
    from pyarrow import parquet

    # A file, since its own way to open one takes no name that is not UTF-8.
    with replacing(path) as temporary, temporary.open("wb") as file:
        parquet.write_table(pyarrow.table(dict(columns)), file)


def read_parquet(path: Path) -> dict[str, np.ndarray]:
    """All columns by name; raises OSError, ValueError."""
    import pyarrow
    from pyarrow import parquet

    try:
        with path.open("rb") as file:
            table = parquet.read_table(file)
        return {name: table[name].to_numpy() for name in table.column_names}
    except (pyarrow.ArrowException, LookupError, TypeError) as error:  # it has a dozen kinds
        raise ValueError(str(error)) from error
