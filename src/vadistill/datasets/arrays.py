"""Arrays of numbers in files: what their headers tell, and the rows.

Arrays of objects are refused: reading them would run what is pickled in them.  Of PyTorch's files
tensors alone are read, by its loader that runs nothing (``weights_only``).
"""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vadistill.datasets.matlab import Tables, tables, variable
from vadistill.errors import DataError, lacking

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


def _tensor(path: Path, member: str | None) -> np.ndarray:
    """A tensor that was saved by itself or in a dict; its numbers stay on the disk where they can.

    Raises ValueError for a file of other things, or a tensor that is larger than the file.
    """
    import torch

    try:
        with warnings.catch_warnings(action="ignore"):
            held = torch.load(path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:  # whose words advise to run whatever is in the file
        raise ValueError("it holds other things than tensors") from error
    named = held if isinstance(held, dict) else {"tensor": held}
    found = {str(k): v for k, v in named.items() if isinstance(v, torch.Tensor) and v.dim() > 1}
    tensor = found[_chosen(path, list(found), member)].detach()
    if tensor.numel() * tensor.element_size() > path.stat().st_size:
        raise ValueError(f"its bytes do not hold {tensor.dtype} of shape {list(tensor.shape)}")
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _of_pt(path: Path, member: str | None) -> Header:
    found = _tensor(path, member)
    return found.shape, found.dtype


DEFLATED = 1032
"""Bytes that one of the usual compression can stand for at most."""


@contextlib.contextmanager
def _hdf5(path: Path, member: str | None) -> Iterator[Any]:
    """The array of an HDF5 file, open; raises ConfigError without the extra.

    Links are not followed, and arrays whose numbers lie in other files are refused, as are such
    that are larger than what is stored could be.
    """
    try:
        import h5py
    except ImportError as error:
        raise lacking(f"{path} needs h5py", "hdf5") from error
    with h5py.File(path, "r") as file:
        found: dict[str, Any] = {}
        file.visititems(
            lambda name, each: found.update({name: each} if hasattr(each, "dtype") else {})
        )
        found = {name: each for name, each in found.items() if each.ndim > 1}
        name = _chosen(path, list(found), member)
        array = found[name]
        if array.is_virtual or array.external:
            raise ValueError(f"the numbers of {name} are in other files")
        stored = array.id.get_storage_size()
        if array.nbytes > DEFLATED * stored:
            raise ValueError(
                f"{stored} bytes do not hold {array.dtype} of shape {list(array.shape)}"
            )
        yield array


def _of_h5(path: Path, member: str | None) -> Header:
    with _hdf5(path, member) as array:
        return array.shape, array.dtype


def _read_h5(path: Path, member: str | None) -> np.ndarray:
    with _hdf5(path, member) as array:
        return array[()]


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
    ".pt": Format(_of_pt, _tensor),
    ".pth": Format(_of_pt, _tensor),
    ".h5": Format(_of_h5, _read_h5),
    ".hdf5": Format(_of_h5, _read_h5),
}
"""By the ending of the file, in lower case."""


def format_of(path: Path) -> Format:
    """That of a file, by its ending; raises DataError for another one."""
    if path.suffix.lower() in FORMATS:
        return FORMATS[path.suffix.lower()]
    raise DataError(
        f"{path} is no feature file", expected=f"one of {', '.join(FORMATS)}", fix="convert it"
    )
