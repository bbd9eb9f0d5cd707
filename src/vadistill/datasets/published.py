"""Snippet features in files as data sets publish them: .npy, .npz, .txt and .mat.

shape             read as
[n, d]            a row a snippet, or a row a segment (Sultani's 32 x d text files)
[n, crops, d]     crops of each snippet, which are averaged; their axis is the middle one

Arrays of objects are refused: reading them would run what is pickled in them.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32

from vadistill.datasets.matlab import Tables, tables, variable
from vadistill.errors import DataError

CROPS = 30
"""More crops than this are taken for snippets: the axes are in another order."""

Found = TypeVar("Found")

EXPECTED = "numbers in the shape [snippets, width] or [snippets, crops, width]"


class FeatureShape(NamedTuple):
    """What a file holds: ``crops`` is 1 where it has no such axis."""

    snippets: int
    crops: int
    width: int


@dataclass(frozen=True)
class FeatureFile:
    """The features of one video from one backbone, in a file or in one ``member`` of an archive.

    The member of an .npz or .mat may be left out where only one fits.
    """

    path: Path
    member: str | None = None

    @property
    def files(self) -> tuple[FeatureFile, ...]:
        """Itself, as of ``FeatureCrops``."""
        return (self,)

    @property
    def identity(self) -> str:
        """Name, size, time of change and member."""
        facts = self.path.stat()
        return f"{self.path.name} {facts.st_size} {facts.st_mtime_ns} {self.member or ''}".strip()

    def shape(self) -> FeatureShape:
        """From the header alone, but for text, whose lines are counted.

        Raises DataError: unreadable, cut off, empty, no numbers, or of other dimensions.
        """
        return self._shape(*self._attempt(_format(self.path).header))

    def read(self) -> Float32[np.ndarray, "n d"]:
        """One row a snippet, crops averaged; raises DataError as ``shape`` does."""
        rows = self._attempt(_format(self.path).read)
        self._shape(rows.shape, rows.dtype)
        if rows.ndim == 3:
            return rows.mean(1, dtype=np.float32)
        with np.errstate(over="ignore"):  # infinite numbers are told of by who reads them
            return np.array(rows, np.float32)

    def _attempt(self, reader: Callable[[Path, str | None], Found]) -> Found:
        try:
            return reader(self.path, self.member)
        except DataError:
            raise
        # numpy, zipfile and scipy raise a dozen kinds of errors for damaged files.
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DataError(
                f"cannot read {self.path} ({reason.splitlines()[0]})",
                expected=f"a whole {self.path.suffix} file of {EXPECTED}",
                fix="download or extract it again",
            ) from error

    def _shape(self, shape: tuple[int, ...], dtype: np.dtype) -> FeatureShape:
        """Raises DataError for what cannot be features."""
        wrong = (
            "objects" if dtype.hasobject
            else f"{dtype} values" if dtype.kind not in "fiu"
            else f"{len(shape)} dimension{'s' * (len(shape) != 1)}" if len(shape) not in (2, 3)
            else "no rows" if 0 in shape
            else f"{shape[1]} crops a snippet" if len(shape) == 3 and shape[1] > CROPS
            else None
        )  # fmt: skip
        if wrong:
            at = f" ({self.member})" if self.member else ""
            raise DataError(
                f"{self.path}{at} holds an array of {wrong} (shape {list(shape)})",
                expected=f"{EXPECTED}, at most {CROPS} crops",
                fix="transpose it if its axes are in another order, or extract the features again",
            )
        return FeatureShape(shape[0], 1 if len(shape) == 2 else shape[1], shape[-1])


@dataclass(frozen=True)
class FeatureCrops:
    """The features of one video in a file a crop (``NAME__0.npy`` …), which are averaged."""

    files: tuple[FeatureFile, ...]

    @property
    def identity(self) -> str:
        """Those of all files."""
        return " ".join(file.identity for file in self.files)

    def shape(self) -> FeatureShape:
        """Raises DataError where the files differ in snippets or width."""
        first, *others = [file.shape() for file in self.files]
        for file, shape in zip(self.files[1:], others, strict=True):
            if (shape.snippets, shape.width) != (first.snippets, first.width):
                raise DataError(
                    f"{file.path} holds {shape.snippets} snippets of width {shape.width}",
                    expected=f"{first.snippets} of width {first.width}, as"
                    f" {self.files[0].path.name}",
                    fix="download or extract its crops again",
                )
        return FeatureShape(first.snippets, first.crops * len(self.files), first.width)

    def read(self) -> Float32[np.ndarray, "n d"]:
        """The mean of all files; raises DataError as ``shape`` does."""
        self.shape()
        return np.stack([file.read() for file in self.files]).mean(0, dtype=np.float32)


def wrong_widths(
    files: Iterable[tuple[str, int]], *, backbone: str, width: int | None = None
) -> list[str]:
    """A line for each file, given with its width, that has another than ``width``.

    Without ``width`` the commonest is expected.  Beyond three files one line counts the rest.
    """
    found = list(files)
    if not found:
        return []
    expected = width or Counter(each for _, each in found).most_common(1)[0][0]
    wrong = [(name, each) for name, each in found if each != expected]
    lines = [
        f"features of '{backbone}' in {name} have the width {each}, expected {expected}"
        for name, each in wrong[:3]
    ]
    if len(wrong) > 3:
        lines.append(f"{len(wrong) - 3} more files of '{backbone}' have another width")
    return lines


def wrong_crops(files: Iterable[tuple[str, FeatureShape]], *, backbone: str) -> list[str]:
    """A line where files, given with their shapes, seem to be [crops, snippets, width].

    Videos differ in their snippets and not in their crops, which are at most ten but rarely.
    """
    found = [(name, shape) for name, shape in files if shape.crops > 1]
    crops, snippets = ({shape[axis] for _, shape in found} for axis in (1, 0))
    if len(crops) > 1 or (len(found) > 1 and snippets <= {5, 10} and max(crops, default=0) > 10):
        name, shape = found[0]
        return [
            f"features of '{backbone}' have {min(crops)} to {max(crops)} crops a snippet, as {name}"
            f" of shape {list(shape)}, expected [snippets, crops, width] and as many crops in all:"
            " transpose them if crops come first"
        ]
    return []


# -- formats: the shape and type of an array without its rows, and the array ----------------------

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


class _Format(NamedTuple):
    header: Callable[[Path, str | None], Header]
    read: Callable[[Path, str | None], np.ndarray]


FORMATS = {
    ".npy": _Format(_of_npy, _read_npy),
    ".npz": _Format(_of_npz, _read_npz),
    ".txt": _Format(_of_txt, _read_txt),
    ".mat": _Format(_of_mat, _read_mat),
}
"""By the ending of the file, in lower case."""


def _format(path: Path) -> _Format:
    if path.suffix.lower() in FORMATS:
        return FORMATS[path.suffix.lower()]
    raise DataError(
        f"{path} is no feature file", expected=f"one of {', '.join(FORMATS)}", fix="convert it"
    )
