"""Temporal annotations of the weakly supervised sets: one record a video, and its frame labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vadistill.datasets.labels import labels_from_intervals
from vadistill.datasets.snippets import SNIPPET
from vadistill.errors import DataError

Intervals = tuple[tuple[int, int], ...]
"""Abnormal stretches of one video: 0-based frames, end exclusive, in order and apart."""


@dataclass(frozen=True)
class Annotation:
    """What a data set's lists say of one video."""

    name: str
    """The video's, without folder and ending; unique within a split."""
    classes: tuple[str, ...]
    """Kinds of anomaly in it, as the data set calls them; empty for a normal video."""
    intervals: Intervals | None
    """Empty for a normal video; None where an abnormal one has a video label only (training)."""
    frames: int | None = None
    """Length of the video, where a list or mask states it."""

    @property
    def label(self) -> int:
        """1 for a video with an anomaly, 0 for a normal one: weak supervision."""
        return int(bool(self.classes))


def frame_labels(
    intervals: Iterable[tuple[int, int]], frames: int, *, spare: int = SNIPPET
) -> UInt8[np.ndarray, " {frames}"]:
    """1 for each abnormal frame of a video, or of its features, of ``frames`` frames.

    The published annotations are of whole videos and a little generous: an interval may reach up to
    ``spare`` frames past the end, which are cut off.  One that reaches further belongs to another
    video and raises DataError with both lengths.
    """
    cut = [(start, min(end, frames) if end <= frames + spare else end) for start, end in intervals]
    return labels_from_intervals(cut, frames)


def stretches(frames: Bool[np.ndarray, " t"]) -> Int[np.ndarray, "n 2"]:
    """Start and end (exclusive) of every maximal run of frames that are true."""
    edges = np.flatnonzero(np.diff(frames, prepend=False, append=False))
    return edges.reshape(-1, 2)


def intervals_of(labels: UInt8[np.ndarray, " t"]) -> Intervals:
    """The inverse of ``frame_labels``: maximal stretches of frames above 0."""
    return tuple((start, end) for start, end in stretches(labels > 0).tolist())


def rows(path: Path, separator: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """``FILE line N`` and the columns of every line that is not empty.

    Raises DataError for a file that cannot be read or holds nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DataError(
            f"cannot read {path} ({reason})",
            expected="the text file that the data set publishes",
            fix="check the path, or download it again",
        ) from error
    if not any(line.strip() for line in lines):
        raise DataError(
            f"{path} is empty", expected="a line for every video", fix="download it again"
        )
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{path} line {number}", [cell.strip() for cell in line.split(separator)]


def malformed(where: str, got: str, expected: str) -> DataError:
    """The one line for a row that cannot be read."""
    return DataError(f"{where}: {got}", expected=expected, fix="mend that row or download it again")


def read_intervals(where: str, cells: Sequence[str]) -> Intervals:
    """Frame numbers in pairs of start and end, -1 -1 for none; raises DataError.

    The pairs must be in order, apart, and end after they start.
    """
    numbers = []
    for cell in cells:
        if not re.fullmatch("-?[0-9]{1,15}", cell):
            raise malformed(where, f"{cell[:60]!r} is no frame number", "whole numbers")
        numbers.append(int(cell))
    if len(numbers) % 2:
        raise malformed(where, f"{len(numbers)} frame numbers", "pairs of a start and an end")
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    found = tuple(pair for pair in pairs if pair != (-1, -1))
    last = 0
    for start, end in found:
        if not last <= start < end:
            raise malformed(
                where,
                f"interval {start} to {end}" + f" after one that ends at {last}" * (last > 0),
                "intervals in order, each from 0 or later to an end after its start",
            )
        last = end
    return found


def unique(records: Iterable[tuple[str, Annotation]]) -> tuple[Annotation, ...]:
    """The records of one list, each given with its line; raises DataError for a second of one."""
    known: dict[str, Annotation] = {}
    for where, record in records:
        if not record.name:
            raise malformed(where, "no name of a video", "a name first")
        if record.name in known:
            raise malformed(where, f"{record.name} a second time", "each video once")
        known[record.name] = record
    return tuple(known.values())
