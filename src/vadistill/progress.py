"""Progress with time left for everything that takes long; silent unless the command line asks."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vadistill.errors import printable

VARIABLE = "VADISTILL_PROGRESS"
"""Environment variable: ``json`` makes bars JSON lines on stderr, for a program that started us."""

LINE_EVERY = 0.2
"""Seconds between two such lines of a bar."""

LOGGED_EVERY = 60.0
"""Seconds between two lines of a bar where there is no terminal."""

_shown: Console | None = None

_until: ContextVar[float] = ContextVar("_until", default=math.inf)
"""When a ``time_limit`` ends, by the monotonic clock."""


def show_progress(console: Console | None) -> None:
    """Draw progress bars on ``console`` from now on; None silences them (the default)."""
    global _shown
    _shown = console


class TimeIsUp(Exception):
    """What was done within a ``time_limit`` has taken longer."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End what is done inside with TimeIsUp at its first step of progress after ``seconds``."""
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


@contextlib.contextmanager
def progress(label: str, total: float | int | None) -> Iterator[Callable[..., None]]:
    """A bar named ``label``; call what is yielded with steps done and, if useful, ``note='…'``."""
    with _bar(label, total) as step:

        def in_time(advance: float | int = 1, note: str | None = None) -> None:
            step(advance, note)
            if time.monotonic() > _until.get():
                raise TimeIsUp

        yield in_time


@contextlib.contextmanager
def _bar(label: str, total: float | int | None) -> Iterator[Callable[..., None]]:
    if os.environ.get(VARIABLE) == "json":
        yield _JsonLines(label, total).step
        return
    if _shown is None:
        yield lambda advance=1, note=None: None
        return
    if not _shown.is_terminal:
        lines = _LogLines(label, total, _shown)
        yield lines.step
        lines.write()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=_shown, transient=True) as bar:
        task = bar.add_task(escape(printable(label)), total=total, note="")

        def step(advance: float | int = 1, note: str | None = None) -> None:
            fields: dict[str, Any] = {} if note is None else {"note": escape(printable(note))}
            bar.update(task, advance=advance, **fields)

        yield step


class _LogLines:
    """A bar in a log: a line a minute, such as ``student 2/12, epoch 3, 1:00.0``, and a last."""

    def __init__(self, label: str, total: float | int | None, console: Console) -> None:
        self.label, self.total, self.done, self.note = label, total, 0.0, ""
        self.console = console
        self.began = self.written = time.monotonic()

    def step(self, advance: float | int = 1, note: str | None = None) -> None:
        self.done += advance
        self.note = self.note if note is None else note
        if time.monotonic() - self.written >= LOGGED_EVERY:
            self.write()

    def write(self) -> None:
        self.written = time.monotonic()
        whole = "" if self.total is None else f"/{self.total:,.0f}"
        parts = [
            f"{self.label} {self.done:,.0f}{whole}",
            self.note,
            clock(self.written - self.began),
        ]
        words = printable(", ".join(filter(None, parts)))
        self.console.print(words, markup=False, highlight=False, soft_wrap=True)


class _JsonLines:
    """A bar as lines ``{"label": …, "done": …, "total": …}``; ``total`` may be null."""

    def __init__(self, label: str, total: float | int | None) -> None:
        self.label, self.total, self.done = label, total, 0.0
        self.write()

    def step(self, advance: float | int = 1, note: str | None = None) -> None:
        self.done += advance
        complete = self.total is not None and self.done >= self.total > self.done - advance
        if complete or time.monotonic() - self.written >= LINE_EVERY:
            self.write()

    def write(self) -> None:
        self.written = time.monotonic()
        line = {"label": self.label, "done": self.done, "total": self.total}
        print(json.dumps(line), file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """``1:02:03.4`` or ``2:03.4``; halves of a tenth go up, as in a report's script."""
    tenths = int(10 * max(0.0, seconds) + 0.5)
    hours, minutes, left = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{left:04.1f}" if hours else f"{minutes}:{left:04.1f}"
