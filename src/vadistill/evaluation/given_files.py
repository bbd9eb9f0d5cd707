"""Files of scores: by the videos' names, or all videos in order.  Nothing pickled is read.

A .csv or .parquet has rows of video, frame, score; a folder one .npy, .txt, .csv or .mat a video (a
.csv with a column score, and frame and video if it has them, which are checked), or .parquet
tables, also in folders of its own, as ``vadistill score --ray`` writes them; a .npz an array a
video, and so a .mat with several variables.  A .npy, or a .mat with one variable, holds all videos
in the test set's order: one after the other, or a row (in a cell an array) a video.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from vadistill.datasets import arrays, matlab
from vadistill.datasets.base import Video
from vadistill.errors import DataError, in_a_line, printable
from vadistill.score_tables import read_scores, read_video_scores

Vector = Float[np.ndarray, " n"]

Found = TypeVar("Found")

FILES = ".csv, .parquet, .npz, .npy or .mat, or a folder with one file a video"


@dataclass(frozen=True)
class InOrder:
    """Scores of all videos in the test set's order: an array a video, or one of all together."""

    parts: list[Vector]


def read_given(path: Path) -> dict[str, Vector] | InOrder:
    """Scores by video, or those of all videos in order, in fp64; raises DataError."""
    if (path / "config.json").is_file():
        raise DataError(f"{path} is a model", expected=FILES, fix="name it before --data")
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


def named_as(names: Iterable[str], videos: Iterable[Video]) -> dict[str, str]:
    """Which of the scores' names is each video's; a video that has none is left out.

    It is the video's own name; else the path of its file, or the end of it, with its ending or
    without, as scores have that were made of files and not of a data set; else a path of any file
    that is called as the video.  Of several that would do it is the longest; where two are as long,
    or one would do for two videos, it is none.
    """
    keys = {name: PurePath(name.replace("\\", "/")) for name in names}
    videos = list(videos)
    found = {video.name: video.name for video in videos if video.name in keys}
    by_file = {v.name: _of_file(v.source, keys) for v in videos if isinstance(v.source, Path)}
    by_name = {v.name: [n for n, key in keys.items() if key.stem == v.name] for v in videos}
    for told in (by_file, by_name):
        taken = set(found.values())
        free = {v: [n for n in names if n not in taken] for v, names in told.items()}
        sure = {v: names[0] for v, names in free.items() if v not in found and len(names) == 1}
        counts = Counter(sure.values())
        found |= {video: name for video, name in sure.items() if counts[name] == 1}
    return found


def _of_file(file: Path, keys: Mapping[str, PurePath]) -> list[str]:
    """The longest of the names that are a path's end, or that it is the end of."""
    found: dict[str, int] = {}
    whole = PurePath(printable(str(file)))
    for path in (whole, whole.with_suffix("")):
        own = [part for part in path.parts[::-1] if part != path.anchor]
        for name, key in keys.items():
            if key.name == path.name:
                theirs = [part for part in key.parts[::-1] if part != key.anchor]
                shared = min(len(own), len(theirs))
                if own[:shared] == theirs[:shared]:
                    found[name] = shared
    return [name for name, shared in found.items() if shared == max(found.values())]


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
        ".csv": read_video_scores,
    }
    found: dict[str, Vector] = {}
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in readers and _is_own(p)]
    tables = [path for path in sorted(folder.rglob("*.parquet")) if _is_own(path)]
    if files and tables:
        raise DataError(
            f"{folder} has {files[0].name} and {tables[0].relative_to(folder)}",
            expected="one file a video, or .parquet tables",
            fix="move the others elsewhere",
        )
    for path in tables:
        for name, scores in _sound(path, read_scores).items():
            if name in found:
                raise _twice(path, name)
            found[name] = scores
    for path in files:
        read = readers[path.suffix.lower()]
        name = printable(path.stem)
        if name in found:
            raise _twice(path, name)
        found[name] = _sound(path, read)
    if not files and not tables:
        raise DataError(
            f"{folder} has no file of scores",
            expected=f"one file a video ({', '.join(readers)}), called as the video, or .parquet",
            fix="check the folder",
        )
    return found


def _is_own(path: Path) -> bool:
    """Whether a file is meant to be read: names of what is being written begin with a dot."""
    return not path.name.startswith((".", "_"))


def _twice(path: Path, name: str) -> DataError:
    return DataError(
        f"{path} is of a video '{name}' that has another file",
        expected="one file a video",
        fix="remove one",
    )
