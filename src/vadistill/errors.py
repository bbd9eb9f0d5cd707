"""Errors that a user can cause and mend.

Every message is one line that says what was got, what was expected, and what to do.
The command line prints that line and exits with status 2; nothing else does.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from vadistill.addresses import without_addresses

__all__ = [
    "ConfigError",
    "DataError",
    "NotFittedError",
    "StorageError",
    "VadistillError",
    "VideoError",
    "WeightsError",
    "lacking",
    "one_of",
    "printable",
]


LONGEST = 1000


class VadistillError(Exception):
    """Base of all errors below: ``got``, ``expected`` and ``fix``, joined into one line.

    An address that got into ``got``, as a path that is none, stands there as it may be shown, and
    of what is longer than ``LONGEST`` characters both ends; what cannot be printed is an escape.
    """

    def __init__(self, got: str, *, expected: str, fix: str) -> None:
        got = without_addresses(got)
        if len(got) > LONGEST:
            got = f"{got[: LONGEST // 2]} … {got[-LONGEST // 2 :]}"
        self.got, self.expected, self.fix = got, expected, fix
        super().__init__(printable(" ".join(f"{got}: expected {expected}; {fix}".split())))


class VideoError(VadistillError):
    """A video, frame folder or stream cannot be opened, decoded or written."""


class DataError(VadistillError):
    """A data set, label file or score table is missing, misaligned or malformed."""


class ConfigError(VadistillError):
    """A setting, name or combination of settings is not valid."""


class WeightsError(VadistillError):
    """A checkpoint or weight file is missing, foreign, damaged or cannot be written."""


class NotFittedError(VadistillError):
    """A detector was asked to score or save before it was fitted or loaded."""


class StorageError(VadistillError):
    """The store of events or a file that belongs to it is damaged, foreign or cannot be written."""


def lacking(got: str, extra: str) -> ConfigError:
    """The error of a library that is not installed, with the command that installs its extra."""
    return ConfigError(got, expected=f"the extra '{extra}'", fix=installing(extra))


def installing(extra: str) -> str:
    """The pip command that brings an extra, whether vadistill runs from its source or a wheel."""
    source = Path(__file__).resolve().parents[2]
    if (source / "pyproject.toml").is_file():
        return f"pip install -e {shlex.quote(f'{source}[{extra}]')}"
    asked = re.compile(rf"(.*?) *; *extra == ['\"]{extra}['\"]")
    found = map(asked.fullmatch, metadata.requires("vadistill") or ())
    return f"pip install {shlex.join(match[1] for match in found if match)}"


def in_a_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def one_of(
    what: str,
    value: str,
    known: Iterable[str],
    *,
    expected: str = "",
    fix: str = "choose one of them",
) -> str:
    """``value`` if it is among ``known``; else raises ConfigError that names the nearest one.

    ``expected`` stands for names that are too many to list.

    >>> one_of("flow", "dos", ("dis", "raft"))
    Traceback (most recent call last):
        ...
    vadistill.errors.ConfigError: flow 'dos': expected one of dis, raft; did you mean 'dis'?
    """
    names = list(known)
    if value in names:
        return value
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    raise ConfigError(
        f"{what} '{value}'",
        expected=expected or f"one of {', '.join(names)}",
        fix=f"did you mean '{near[0]}'?" if near else fix,
    )


def printable(text: str) -> str:
    """``text`` on one line: control characters, and bytes that are no UTF-8, as escapes.

    >>> print(printable("a" + chr(27) + "[2J" + chr(10) + chr(0xDCFF)))
    a\\x1b[2J\\n\\xff
    """

    def shown(char: str) -> str:
        if char.isprintable():
            return char
        if "\udc80" <= char <= "\udcff":  # how Python has such bytes of a path
            return f"\\x{ord(char) - 0xDC00:02x}"
        return char.encode("unicode_escape", "surrogatepass").decode()

    return "".join(map(shown, text))
