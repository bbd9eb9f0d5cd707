"""Progress with time left for everything that takes long; silent unless the command line asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_shown: Console | None = None


def show_progress(console: Console | None) -> None:
    """Draw progress bars on ``console`` from now on; None silences them (the default)."""
    global _shown
    _shown = console


@contextlib.contextmanager
def progress(label: str, total: float | int | None) -> Iterator[Callable[..., None]]:
    """A bar named ``label``; call what is yielded with steps done and, if useful, ``note='…'``."""
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
        task = bar.add_task(label, total=total, note="")

        def step(advance: float | int = 1, note: str | None = None) -> None:
            fields: dict[str, Any] = {} if note is None else {"note": note}
            bar.update(task, advance=advance, **fields)

        yield step
