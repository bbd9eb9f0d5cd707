"""Snippet features in files as data sets publish them: .npy, .npz, .txt, .mat, .pt and .h5.

shape             read as
[n, d]            a row a snippet, or a row a segment (Sultani's 32 x d text files)
[n, crops, d]     crops of each snippet; ``FeatureFile.crops_first`` where the axes are exchanged
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32

from vadistill.datasets.arrays import format_of
from vadistill.datasets.snippets import APART, aligned
from vadistill.errors import DataError, VadistillError

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

    The member of what holds several may be left out where only one fits.
    """

    path: Path
    member: str | None = None
    crops_first: bool = False
    """Whether an array of three axes is [crops, snippets, width]."""

    @property
    def files(self) -> tuple[FeatureFile, ...]:
        """Itself, as of ``FeatureCrops``."""
        return (self,)

    @property
    def identity(self) -> str:
        """Name, size, time of change, member and order of axes."""
        facts = self.path.stat()
        told = f"{self.path.name} {facts.st_size} {facts.st_mtime_ns} {self.member or ''}".strip()
        return told + " crops first" * self.crops_first

    def transposed(self) -> FeatureFile:
        """With its crops first."""
        return replace(self, crops_first=True)

    def axes(self) -> tuple[int, ...]:
        """The two or three of the array, from the header alone, but of text, whose lines count.

        Raises DataError: unreadable, cut off, empty, no numbers, or of other dimensions.
        """
        shape, dtype = self._attempt(format_of(self.path).header)
        self._check(shape, dtype)
        return shape

    def shape(self) -> FeatureShape:
        """What the axes are; raises DataError as ``axes`` does, and for more than 30 crops."""
        return self._shape(self.axes())

    def read(self) -> Float32[np.ndarray, "n *crops d"]:
        """One row a snippet, or several, one a crop; raises DataError as ``shape`` does."""
        rows = self._attempt(format_of(self.path).read)
        self._check(rows.shape, rows.dtype)
        self._shape(rows.shape)
        if rows.ndim == 3 and self.crops_first:
            rows = rows.swapaxes(0, 1)
        with np.errstate(over="ignore"):  # infinite numbers are told of by who reads them
            return np.array(rows, np.float32)

    def _attempt(self, reader: Callable[[Path, str | None], Found]) -> Found:
        try:
            return reader(self.path, self.member)
        except VadistillError:
            raise
        # numpy, zipfile, scipy, torch and h5py raise a dozen kinds of errors for damaged files.
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DataError(
                f"cannot read {self.path} ({reason.splitlines()[0]})",
                expected=f"a whole {self.path.suffix} file of {EXPECTED}",
                fix="download or extract it again",
            ) from error

    def _check(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Raises DataError for what cannot be features."""
        wrong = (
            "objects" if dtype.hasobject
            else f"{dtype} values" if dtype.kind not in "fiu"
            else f"{len(shape)} dimension{'s' * (len(shape) != 1)}" if len(shape) not in (2, 3)
            else "no rows" if 0 in shape
            else None
        )  # fmt: skip
        if wrong:
            raise self._unfit(wrong, shape)

    def _shape(self, axes: tuple[int, ...]) -> FeatureShape:
        if len(axes) == 2:
            return FeatureShape(axes[0], 1, axes[1])
        snippets, crops, width = (axes[1], axes[0], axes[2]) if self.crops_first else axes
        if crops > CROPS:
            raise self._unfit(f"{crops} crops a snippet", axes)
        return FeatureShape(snippets, crops, width)

    def _unfit(self, wrong: str, shape: tuple[int, ...]) -> DataError:
        at = f" ({self.member})" if self.member else ""
        return DataError(
            f"{self.path}{at} holds an array of {wrong} (shape {list(shape)})",
            expected=f"{EXPECTED}, at most {CROPS} crops",
            fix="transpose it if its axes are in another order, or extract the features again",
        )


@dataclass(frozen=True)
class FeatureCrops:
    """The features of one video in a file a crop (``NAME__0.npy`` …)."""

    files: tuple[FeatureFile, ...]

    @property
    def identity(self) -> str:
        """Those of all files."""
        return " ".join(file.identity for file in self.files)

    def transposed(self) -> FeatureCrops:
        """Each file with its crops first."""
        return FeatureCrops(tuple(file.transposed() for file in self.files))

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

    def read(self) -> Float32[np.ndarray, "n crops d"]:
        """Those of all files; raises DataError as ``shape`` does."""
        shape = self.shape()
        rows = [file.read().reshape(shape.snippets, -1, shape.width) for file in self.files]
        return np.concatenate(rows, 1)


@dataclass(frozen=True)
class FeatureStreams:
    """One backbone's features of colour and of flow, side by side; each has its own files."""

    parts: tuple[FeatureFile | FeatureCrops, ...]

    @property
    def files(self) -> tuple[FeatureFile, ...]:
        """All of them."""
        return tuple(file for part in self.parts for file in part.files)

    @property
    def identity(self) -> str:
        """Those of all files."""
        return " ".join(file.identity for file in self.files)

    def transposed(self) -> FeatureStreams:
        """Each file with its crops first."""
        return FeatureStreams(tuple(part.transposed() for part in self.parts))

    def shape(self) -> FeatureShape:
        """Raises DataError for other crops, or numbers of snippets that are too far apart.

        The fewest snippets count: a flow of n frames has n - 1 fields, and so a snippet less.
        """
        shapes = [part.shape() for part in self.parts]
        snippets = [shape.snippets for shape in shapes]
        first, other = self.parts[0].files[0].path, self.parts[-1].files[0].path
        if max(snippets) - min(snippets) > APART or len({shape.crops for shape in shapes}) > 1:
            told = [f"{shape.snippets} snippets of {shape.crops} crops" for shape in shapes]
            raise DataError(
                f"{other} holds {told[-1]}",
                expected=f"{told[0]} as {first}, or {APART} snippets fewer or more",
                fix="download or extract them again",
            )
        return FeatureShape(min(snippets), shapes[0].crops, sum(shape.width for shape in shapes))

    def read(self) -> Float32[np.ndarray, "n crops d"]:
        """Those of all parts; raises DataError as ``shape`` does."""
        snippets, crops, _ = self.shape()
        parts = [aligned(part.read(), snippets) for part in self.parts]
        return np.concatenate([part.reshape(snippets, crops, -1) for part in parts], 2)


Features = FeatureFile | FeatureCrops | FeatureStreams
"""Of one video from one backbone."""
