"""Progress with time left for everything that takes long; silent unless the command line asks."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
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

_shown: Console | None = None


def show_progress(console: Console | None) -> None:
    """Draw progress bars on ``console`` from now on; None silences them (the default)."""
    global _shown
    _shown = console


@contextlib.contextmanager
def progress(label: str, total: float | int | None) -> Iterator[Callable[..., None]]:
    """A bar named ``label``; call what is yielded with steps done and, if useful, ``note='…'``."""
    if os.environ.get(VARIABLE) == "json":
        yield _JsonLines(label, total).step
        return
    if _shown is None:
        yield lambda advance=1, note=None: None
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
    with Progress(*columns, console=_shown, transient=_shown.is_terminal) as bar:
        task = bar.add_task(escape(printable(label)), total=total, note="")

        def step(advance: float | int = 1, note: str | None = None) -> None:
            fields: dict[str, Any] = {} if note is None else {"note": escape(printable(note))}
            bar.update(task, advance=advance, **fields)

        yield step


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
    """``1:02:03.4`` or ``2:03.4``."""
    hours, rest = divmod(round(max(0.0, seconds), 1), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours:.0f}:{minutes:02.0f}:{left:04.1f}" if hours else f"{minutes:.0f}:{left:04.1f}"
