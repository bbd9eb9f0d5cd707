"""Files of scores: by the videos' names, or all videos in order.  Nothing pickled is read.

A .csv or .parquet has rows of video, frame, score; a folder one .npy, .txt, .csv or .mat a video,
or .parquet tables, also in folders of its own, as ``vadistill score --ray`` writes them; a .npz an
array a video, and so a .mat with several variables.  A .npy, or a .mat with one variable,
holds all videos in the test set's order: one after the other, or a row (in a cell an array) a
video.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from vadistill.datasets import arrays, matlab
from vadistill.datasets.base import Video
from vadistill.errors import DataError, in_a_line, printable
from vadistill.score_tables import read_scores
from vadistill.tables import number, read_table

Vector = Float[np.ndarray, " n"]

Found = TypeVar("Found")

FILES = ".csv, .parquet, .npz, .npy or .mat, or a folder with one file a video"


@dataclass(frozen=True)
class InOrder:
    """Scores of all videos in the test set's order: an array a video, or one of all together."""

    parts: list[Vector]


def read_given(path: Path) -> dict[str, Vector] | InOrder:
    """Scores by video, or those of all videos in order, in fp64; raises DataError."""
    if path.is_dir():
        return _of_folder(path)
    readers: dict[str, Callable[[Path], dict[str, Vector] | InOrder]] = {
        ".csv": read_scores,
        ".parquet": read_scores,
        ".npy": lambda path: _rows(path, _array(path)),
        ".npz": _of_npz,
        ".mat": _of_mat,
    }
    if not path.is_file() or path.suffix.lower() not in readers:
        raise DataError(
            f"{path} is no file of scores" if path.exists() else f"no file or folder {path}",
            expected=FILES,
            fix="convert it" if path.exists() else "check the path",
        )
    return _sound(path, readers[path.suffix.lower()])


def names_of_files(videos: Iterable[Video]) -> dict[str, str]:
    """What the files of videos are called, without endings, where that tells one from all others.

    It is what scores have that were made of files, not of a data set.
    """
    found = list(videos)
    stems = {v.name: printable(v.source.stem) for v in found if isinstance(v.source, Path)}
    counts = Counter([*stems.values(), *(v.name for v in found)])
    return {name: stem for name, stem in stems.items() if counts[stem] == 1}


def _sound(path: Path, read: Callable[[Path], Found]) -> Found:
    """What ``read`` finds in a file; every fault of the file is one line."""
    try:
        return read(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, OverflowError) as error:
        pickled = "bject" in str(error) and "allow_pickle" in str(error)
        raise DataError(
            f"{path} holds Python objects" if pickled else f"{path} ({in_a_line(error)})",
            expected="arrays of numbers",
            fix="save an array a video, as numpy.savez('scores.npz', **{name: scores})",
        ) from error


def _array(path: Path, member: str | None = None) -> np.ndarray:
    """Numbers of a .npy, .npz or .mat."""
    form = arrays.format_of(path)
    form.header(path, member)  # which tells a file that is shorter than it says
    return np.asarray(form.read(path, member))


def _vector(path: Path, array: np.ndarray) -> Vector:
    """Scores of one video, which may stand in a row or a column; raises DataError."""
    long = [size for size in array.shape if size != 1]
    if array.dtype.kind not in "fiu" or array.ndim == 0 or len(long) > 1:
        raise DataError(
            f"{path} holds {array.dtype} of shape {list(array.shape)}",
            expected="one number a frame or snippet",
            fix="save one score for each",
        )
    return array.reshape(-1).astype(np.float64)


def _rows(path: Path, array: np.ndarray) -> InOrder:
    if array.ndim == 2 and min(array.shape) > 1:
        return InOrder([_vector(path, row) for row in array])
    return InOrder([_vector(path, array)])


def _of_npz(path: Path) -> dict[str, Vector]:
    with zipfile.ZipFile(path) as archive:
        names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    return {printable(name): _vector(path, _array(path, name)) for name in names}


def _of_mat(path: Path) -> dict[str, Vector] | InOrder:
    names = list(matlab.tables(path))
    found = {name: matlab.variable(path, name) for name in names}
    if len(found) == 1:
        (only,) = found.values()
        if isinstance(only, list):
            return InOrder([_vector(path, array) for array in only])
        return _rows(path, only)
    plain = {name: array for name, array in found.items() if not isinstance(array, list)}
    return {name: _vector(path, array) for name, array in plain.items()}


def _of_folder(folder: Path) -> dict[str, Vector]:
    readers: dict[str, Callable[[Path], Vector]] = {
        ".npy": lambda path: _vector(path, _array(path)),
        ".mat": lambda path: _vector(path, _array(path)),
        ".txt": lambda path: _vector(path, np.loadtxt(path, np.float64, ndmin=1, encoding="utf-8")),
        ".csv": _column,
    }
    found: dict[str, Vector] = {}
    for path in sorted(folder.rglob("*.parquet")):
        for name, scores in _sound(path, read_scores).items():
            if name in found:
                raise _twice(path, name)
            found[name] = scores
    if found:
        return found
    for path in sorted(folder.iterdir()):
        read = readers.get(path.suffix.lower())
        if read is None or path.name.startswith("."):
            continue
        name = printable(path.stem)
        if name in found:
            raise _twice(path, name)
        found[name] = _sound(path, read)
    if not found:
        raise DataError(
            f"{folder} has no file of scores",
            expected=f"one file a video ({', '.join(readers)}), called as the video, or .parquet",
            fix="check the folder",
        )
    return found


def _twice(path: Path, name: str) -> DataError:
    return DataError(
        f"{path} is of a video '{name}' that has another file",
        expected="one file a video",
        fix="remove one",
    )


def _column(path: Path) -> Vector:
    """The column ``score`` of a table, or the only one, with or without a header."""
    table = read_table(path)
    cells = [row.cells for row in table.rows]
    if "score" in table.header:
        (at,) = table.columns(("score",))
    elif len(table.header) == 1:
        at = 0
        try:
            number(table.header[0])
            cells = [table.header, *cells]
        except ValueError:
            pass
    else:
        raise DataError(
            f"{path} begins with {table.first[:60]!r}",
            expected="a column score, or a single one",
            fix="name the column of scores",
        )
    return np.array([number(row[at] if at < len(row) else "") for row in cells], np.float64)
