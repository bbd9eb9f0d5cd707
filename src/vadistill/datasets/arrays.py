"""Arrays of numbers in files, .npy, .npz, .txt and .mat: what their headers tell, and the rows.

Arrays of objects are refused: reading them would run what is pickled in them.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vadistill.datasets.matlab import Tables, tables, variable
from vadistill.errors import DataError

HEADER = 4096
"""Bytes of a .npy that its header does not exceed."""

Header = tuple[tuple[int, ...], np.dtype]


def _npy_header(begin: bytes, size: int) -> Header:
    """From the first bytes of a file of ``size`` bytes."""
    file = io.BytesIO(begin)
    version = np.lib.format.read_magic(file)
    old = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if not dtype.hasobject and file.tell() + dtype.itemsize * math.prod(shape) != size:
        raise ValueError(f"{size} bytes do not hold {dtype} of shape {list(shape)}")
    return shape, dtype


def _of_npy(path: Path, member: str | None) -> Header:
    with path.open("rb") as file:
        return _npy_header(file.read(HEADER), path.stat().st_size)


def _read_npy(path: Path, member: str | None) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _of_npz(path: Path, member: str | None) -> Header:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        info = archive.getinfo(_chosen(path, names, member) + ".npy")
        with archive.open(info) as file:
            return _npy_header(file.read(HEADER), info.file_size)


def _read_npz(path: Path, member: str | None) -> np.ndarray:
    _of_npz(path, member)  # whose header tells how much would be allocated
    with np.load(path, allow_pickle=False) as archive:
        return archive[_chosen(path, archive.files, member)]


def _of_txt(path: Path, member: str | None) -> Header:
    with path.open(encoding="utf-8") as file:
        lines = (line for line in file if line.strip())
        width = len(next(lines, "").split())
        return (1 + sum(1 for _ in lines) if width else 0, width), np.dtype(np.float32)


def _read_txt(path: Path, member: str | None) -> np.ndarray:
    if 0 in _of_txt(path, member)[0]:
        return np.zeros((0, 0), np.float32)
    return np.loadtxt(path, np.float32, comments=None, ndmin=2, encoding="utf-8")


def _of_mat(path: Path, member: str | None) -> Header:
    found = _mat_tables(path)
    shape, kind = found[_chosen(path, list(found), member)]
    return shape, np.dtype({"double": "float64", "single": "float32"}.get(kind, kind))


def _read_mat(path: Path, member: str | None) -> np.ndarray:
    name = _chosen(path, list(_mat_tables(path)), member)
    found = variable(path, name)
    if isinstance(found, list):
        raise ValueError(f"{name} is a cell")
    return found


def _mat_tables(path: Path) -> Tables:
    """Those variables that may hold features: MATLAB's all have dimensions."""
    return {
        name: (shape, kind)
        for name, (shape, kind) in tables(path).items()
        if (kind in ("double", "single") or kind.startswith(("int", "uint"))) and shape != (1, 1)
    }


def _chosen(path: Path, names: Sequence[str], member: str | None) -> str:
    """``member`` if it is there, else the only one; raises DataError."""
    if member in names or (member is None and len(names) == 1):
        return member or names[0]
    held = ", ".join(names[:8]) + ", …" * (len(names) > 8) or "none"
    raise DataError(
        f"{path} has {f'no array {member!r}' if member else f'{len(names)} arrays of numbers'}"
        f" ({held})",
        expected="the array of features, or a single one",
        fix="name one of these, or save the features alone",
    )


class Format(NamedTuple):
    """How shape and type are read without the rows, and how the array is."""

    header: Callable[[Path, str | None], Header]
    read: Callable[[Path, str | None], np.ndarray]


FORMATS = {
    ".npy": Format(_of_npy, _read_npy),
    ".npz": Format(_of_npz, _read_npz),
    ".txt": Format(_of_txt, _read_txt),
    ".mat": Format(_of_mat, _read_mat),
}
"""By the ending of the file, in lower case."""


def format_of(path: Path) -> Format:
    """That of a file, by its ending; raises DataError for another one."""
    if path.suffix.lower() in FORMATS:
        return FORMATS[path.suffix.lower()]
    raise DataError(
        f"{path} is no feature file", expected=f"one of {', '.join(FORMATS)}", fix="convert it"
    )
