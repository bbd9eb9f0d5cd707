"""All readers, and which of them an input of a number is for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fuzz import documents, features, models, pictures, tables
from fuzz.judging import Reader, Verdict, judge

MODULES = (tables, features, models, pictures, documents)
READERS: dict[str, Reader] = {reader.name: reader for m in MODULES for reader in m.READERS}

SCHEDULE = tuple(
    reader
    for _, _, reader in sorted(
        (turn / reader.slots, place, reader)
        for place, reader in enumerate(READERS.values())
        for turn in range(reader.slots)
    )
)
"""Who reads input 0, 1, …: each reader in every stretch as often as its slots tell."""


def try_input(seed: int, number: int, folder: Path) -> tuple[Reader, Path, Verdict]:
    """Make an input in an empty folder and read it."""
    reader = SCHEDULE[number % len(SCHEDULE)]
    path = reader.make(Random(f"{seed} {number}"), folder)
    return reader, path, judge(reader, path)


@contextmanager
def fresh(base: Path | None = None) -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    with TemporaryDirectory(dir=base) as folder:
        yield Path(folder)
