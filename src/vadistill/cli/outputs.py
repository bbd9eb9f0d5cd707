"""What a verb is about to write, checked before it works: no input is lost, nothing comes late."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from vadistill.errors import ConfigError
from vadistill.files import unwritable

Named = tuple[str, Path]
"""An option, and the path that it stands for."""


def check_outputs(
    inputs: Iterable[Path], *, files: Sequence[Named] = (), folders: Sequence[Named] = ()
) -> None:
    """Raise for an output that is an input, that another output is, or that cannot be written.

    Paths are compared as what they lead to, through links and different spellings.  A file that
    lies in an input folder is an input, too, unless it is a page: those are never read.  Folders
    are made where they are missing when something is written, not here.
    Raises ConfigError, WeightsError.
    """
    sources = list(inputs)
    for option, path in [*files, *folders]:
        lost = next((source for source in sources if is_same(path, source)), None)
        if lost is None and path.is_file() and path.suffix != ".html":
            lost = next((found for source in sources for found in held_by(path, source)), None)
        if lost is not None:
            raise ConfigError(
                f"{option} {path}, which is an input ({lost})",
                expected="an output that is none",
                fix="choose another name or folder",
            )
    for (first, path), (second, other) in combinations([*files, *folders], 2):
        if is_same(path, other):
            raise ConfigError(
                f"{first} {path} and {second} {other}, which are the same",
                expected="an output of its own for each",
                fix="choose other names, or rename the inputs that they are named for",
            )
    for option, path in files:
        if path.is_dir():
            raise ConfigError(
                f"{option} {path}, which is a folder", expected="a file", fix="name a file in it"
            )
        check_writable(path)
    for option, path in folders:
        if path.exists() and not path.is_dir():
            raise ConfigError(
                f"{option} {path}, which is a file", expected="a folder", fix="choose another name"
            )
        check_writable(path / "x")


def check_ending(option: str, path: Path, allowed: Sequence[str]) -> None:
    """Raise ConfigError for a file whose ending says nothing that can be written."""
    if path.suffix not in allowed:
        raise ConfigError(
            f"{option} '{path.name}'",
            expected=f"an ending of {', '.join(allowed)}",
            fix="rename it",
        )


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to the same place, which need not exist."""
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    try:
        return path.samefile(other)
    except OSError:
        return False


def held_by(path: Path, folder: Path) -> Iterator[Path]:
    """The files of an input folder that are the existing file ``path``."""
    for parent, _, names in os.walk(folder):
        yield from (each for each in (Path(parent, n) for n in names) if is_same(path, each))


def check_writable(path: Path) -> None:
    """Raise WeightsError unless a file could be written at ``path``, or in folders made for it."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        # As ``files.replacing`` names it: a name that is too long for that is told here.
        handle, name = tempfile.mkstemp(
            dir=folder, prefix=f".{path.stem}.", suffix=path.suffix if path.suffix else None
        )
    except OSError as error:
        raise unwritable(path, error) from error
    os.close(handle)
    Path(name).unlink()
