"""Tables that people write (labels, boxes, scores): one reader for all, and for spreadsheets'.

Comma, semicolon or tab between columns, with or without a byte-order mark; before the header there
may be blank lines, comments (``#``) and a spreadsheet's ``sep=;``.
"""

from __future__ import annotations

import csv
import errno
import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from vadistill.errors import DataError

FILE_COLUMNS = ("file", "video", "filename", "file_name", "video_name")
"""What a column of videos may be called; ``Table.header`` has the first one for all."""


class Row(NamedTuple):
    """The cells of one line, stripped."""

    line: int
    """Counted from 1, blank and comment lines included."""
    cells: list[str]


class Table(NamedTuple):
    """A text table: columns by name, rows by line."""

    path: Path
    header: list[str]
    """Names of columns in lower case."""
    rows: list[Row]
    line: int
    """Of the header."""
    first: str
    """The header as it is written."""

    def columns(self, names: Sequence[str]) -> list[int]:
        """Where these columns are; raises DataError for a header without one, or with two of it.

        The column of videos may be named by any of ``FILE_COLUMNS``, as errors then do.
        """
        known = {name: FILE_COLUMNS[0] if name in FILE_COLUMNS else name for name in names}
        counts = {name: self.header.count(own) for name, own in known.items()}
        if wrong := [name for name, count in counts.items() if count != 1]:
            many = "no column" if not counts[wrong[0]] else "more than one column"
            file = next((name for name in names if name in FILE_COLUMNS), None)
            other = next(name for name in FILE_COLUMNS if name != file)
            fix = "rename its columns"
            if len(self.header) == 1 and " " in self.first:
                fix = "separate its columns by commas"
            elif any(map(is_number, self.header)):
                fix = "write it above the first row"
            raise DataError(
                f"{self.path} begins with {self.first[:60]!r}, {many} {', '.join(wrong)}",
                expected=f"a header {','.join(names)}"
                + (f" ({file} may be called {other})" if file else ""),
                fix=fix,
            )
        return [self.header.index(own) for own in known.values()]

    def check_videos(self) -> None:
        """Raise DataError for a row of another video than the one that the file is called after.

        For files of one video, which need no column of videos.
        """
        if FILE_COLUMNS[0] not in self.header:
            return
        (column,) = self.columns(FILE_COLUMNS[:1])
        for row in self.rows:
            cell = row.cells[column] if column < len(row.cells) else ""
            if not _is_called(cell, self.path.stem):
                raise DataError(
                    f"{self.path} line {row.line} is of the video {cell[:60]!r}",
                    expected=f"rows of {self.path.stem}, as the file is called",
                    fix="rename the file, or leave that column out if it tells no video",
                )

    def cells(self, row: Row, columns: Sequence[int], expected: str) -> list[str]:
        """The cells of some columns, of which the first is a video; raises DataError without.

        Also for cells beyond the header: a comma in a number or a name shifts all that follow.
        """
        beyond = any(row.cells[len(self.header) :])
        if beyond or len(row.cells) <= max(columns) or not row.cells[columns[0]]:
            quotes = ", or put in quotes what has separators in it" if beyond else ""
            raise DataError(
                f"{self.path} line {row.line} has {len(row.cells)} columns",
                expected=f"a file name and the columns of the header ({expected})",
                fix=f"mend that row{quotes}",
            )
        return [row.cells[column] for column in columns]


def read_table(path: Path) -> Table:
    """A table's header and rows; raises DataError, naming the line where there is one."""
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "a folder, pipe or device")
        # Lines as an editor counts them, and with their ends: a quoted cell may go on behind one.
        lines = list(io.StringIO(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(
            f"cannot read {path} ({reason})",
            expected="a CSV text file in UTF-8",
            fix="save it again as CSV (UTF-8)",
        ) from error
    delimiter, start = None, 0
    while start < len(lines) and _precedes_header(lines[start].rstrip("\n")):
        declared = _SEPARATOR.fullmatch(lines[start].rstrip("\n"))
        delimiter = declared[1] if declared else delimiter
        start += 1
    first = lines[start].rstrip("\n") if start < len(lines) else ""
    if delimiter is None or delimiter not in first:
        delimiter = max(",;\t", key=first.count)
    reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        rows = [Row(start + reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(
            f"{path} line {start + reader.line_num}: {error}",
            expected="a CSV text file whose quotes are closed",
            fix="mend that line",
        ) from error
    return Table(path, _renamed(header), [row for row in rows if any(row.cells)], start + 1, first)


_SEPARATOR = re.compile(r' *"?sep=(.)"?[,; \t]*', re.IGNORECASE)


def _precedes_header(line: str) -> bool:
    blank = not line.strip(" \t,;")
    return blank or line.lstrip(' "').startswith("#") or _SEPARATOR.fullmatch(line) is not None


def _renamed(header: list[str]) -> list[str]:
    """The header, with ``file`` for whatever else a column of videos is called."""
    name = next((name for name in FILE_COLUMNS if name in header), None)
    return ["file" if each == name else each for each in header]


def _is_called(cell: str, video: str) -> bool:
    """Whether a name or path, with an ending or without, is that of a video."""
    one, other = PurePath(cell.replace("\\", "/")), PurePath(video)
    return other.name in (one.name, one.stem) or one.name == other.stem


def whole_number(text: str) -> int | None:
    """A number of up to 15 digits such as ``60`` or ``60.0``, or None."""
    found = re.fullmatch(r"(\d{1,15})(\.0*)?", text)
    return int(found[1]) if found else None


def is_number(text: str) -> bool:
    """Whether ``number`` takes it."""
    try:
        number(text)
    except ValueError:
        return False
    return True


def number(text: str) -> float:
    """A number as people and programs write it, such as ``60``, ``-1.5`` or ``1e-3``, also nan.

    Raises ValueError, with the text.
    """
    try:
        if "_" not in text:  # Python takes 1_5 for 15
            return float(text)
    except ValueError:
        pass
    raise ValueError(f"{text[:60]!r} is no number")
