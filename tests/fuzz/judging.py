"""What a reader may do with an input, and how that is found out."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from fuzz.mutations import text_of
from vadistill.errors import VadistillError, printable

CORPUS = Path(__file__).with_name("corpus")
SECONDS = 20
"""Of the processor that reading an input may take."""
MEGABYTES = 500
"""By which reading an input may raise the most memory that was ever taken."""

Mutate = Callable[[Random, bytes, bytes], bytes]


def beside(folder: Path, name: str, data: bytes) -> Path:
    """A file by itself."""
    (folder / name).write_bytes(data)
    return folder / name


@dataclass(frozen=True)
class Reader:
    """One kind of input: valid ones, what they are changed into, and how one is read."""

    name: str
    read: Callable[[Path], None]
    """Reads the changed file; raises AssertionError where what was read makes no sense."""
    slots: int = 2
    """Its part of every hundred inputs, about."""
    mutate: Mutate = text_of
    place: Callable[[Path, str, bytes], Path] = beside
    """Puts a changed file, called NAME, into an empty folder with what belongs to it."""
    made: Callable[[], Mapping[str, bytes]] = field(default=dict)
    """Valid inputs by file name, beside those of the corpus."""
    lines: bool = False
    """Whether an error of a row tells its line."""
    named: Callable[[Path], tuple[str, ...]] = field(default=lambda path: (path.name,))
    """What an error may call the file."""

    @cached_property
    def valid(self) -> dict[str, bytes]:
        """By file name."""
        return {**self._corpus("valid"), **self.made()}

    @cached_property
    def refused(self) -> dict[str, bytes]:
        """What was once read wrong, by file name: it has to be refused."""
        return self._corpus("refused")

    def _corpus(self, kind: str) -> dict[str, bytes]:
        paths = sorted((CORPUS / self.name / kind).glob("*"))
        return {path.name: path.read_bytes() for path in paths}

    def make(self, random: Random, folder: Path) -> Path:
        """Write a changed input."""
        name = random.choice(list(self.valid))
        alike = [other for other in self.valid if Path(other).suffix == Path(name).suffix]
        data = self.mutate(random, self.valid[name], self.valid[random.choice(alike)])
        return self.place(folder, name, data)


class Verdict(NamedTuple):
    """What became of an input."""

    kind: Literal["read", "refused", "crash", "silent", "untold", "slow", "large"]
    text: str = ""

    @property
    def good(self) -> bool:
        return self.kind in ("read", "refused")


def judge(reader: Reader, path: Path) -> Verdict:
    """Read an input within limits of time and memory."""
    before = _most_memory()
    try:
        with time_limit(SECONDS):
            reader.read(path)
    except VadistillError as error:
        fault = _untold(reader, path, error)
        verdict = (
            Verdict("untold", f"{fault}: {error}") if fault else Verdict("refused", str(error))
        )
    except AssertionError as error:
        verdict = Verdict("silent", _said(error))
    except TimeoutError:
        verdict = Verdict("slow", f"more than {SECONDS} s")
    except Exception as error:  # whatever comes is what is looked for
        verdict = Verdict("crash", _said(error))
    else:
        verdict = Verdict("read")
    grown = (_most_memory() - before) / 1e3
    return Verdict("large", f"{grown:.0f} MB more") if grown > MEGABYTES else verdict


def _said(error: BaseException) -> str:
    """The kind of an error, what it says, and the last lines of the package and of the tests."""
    frames, at = [], error.__traceback__
    while at is not None:
        file = Path(at.tb_frame.f_code.co_filename)
        if "vadistill" in file.parts or "fuzz" in file.parts:
            frames.append(f"{file.name}:{at.tb_lineno}")
        at = at.tb_next
    return f"{type(error).__name__} {str(error)[:300]!r} at {' '.join(frames[-3:])}"


def _untold(reader: Reader, path: Path, error: VadistillError) -> str:
    """What the line of an error lacks."""
    text = str(error)
    if text != printable(text):
        return "not on one line"
    if not (error.got and error.expected and error.fix):
        return "lacks got, expected or fix"
    if len(text) > 1500:
        return f"{len(text)} characters"
    if not any(name in error.got for name in reader.named(path)):
        return f"does not name {path.name}"
    whole = r" line \d| begins with |cannot read .*\(| is empty| lacks frame "
    if reader.lines and not re.search(whole, error.got):
        return "names no line"
    return ""


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block once it takes more of the processor, or ten times as long."""

    def over(*_: object) -> None:
        raise TimeoutError

    before = [signal.signal(number, over) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    left, began = signal.setitimer(signal.ITIMER_REAL, 10 * seconds)[0], time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)
        if left:  # whoever limits the test has a timer of its own
            signal.setitimer(signal.ITIMER_REAL, max(0.01, left - (time.monotonic() - began)))
