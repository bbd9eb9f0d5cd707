"""Clocks that progress and verbs print, and work that has a limit."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from vadistill import progress as module
from vadistill.progress import TimeIsUp, clock, progress, show_progress, time_limit
from vadistill.report.timelines import clock as in_report


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0:00.0"),
        (59.94, "0:59.9"),
        (59.97, "1:00.0"),
        (61.25, "1:01.3"),
        (119.96, "2:00.0"),
        (3599.97, "1:00:00.0"),
        (3723.4, "1:02:03.4"),
    ],
)
def test_clocks_never_show_sixty_of_anything(seconds: float, words: str) -> None:
    assert clock(seconds) == words
    assert in_report(seconds).removeprefix("0") == words


def test_what_takes_too_long_ends_at_a_step_of_progress() -> None:
    done = 0
    with pytest.raises(TimeIsUp), time_limit(0.05), progress("work", None) as step:
        while True:
            time.sleep(0.01)
            done += 1
            step(note="one more")
    assert 1 <= done <= 20
    with progress("work", 1) as step:  # the limit was for what was done inside
        time.sleep(0.06)
        step()
    with time_limit(60), progress("work", 1) as step:
        step()


def test_a_log_has_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, log = [100.0], io.StringIO()
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    show_progress(Console(file=log, width=30))
    try:
        with progress("student", 1_000_000) as step:
            for epoch in range(4):
                now[0] += 25
                step(250_000, note=f"epoch {epoch} of\n[bold]all")
        with progress("looking", None) as step:
            now[0] += 3
            step()
    finally:
        show_progress(None)
    assert log.getvalue().splitlines() == [
        "student 750,000/1,000,000, epoch 2 of\\n[bold]all, 1:15.0",
        "student 1,000,000/1,000,000, epoch 3 of\\n[bold]all, 1:40.0",
        "looking 1, 0:03.0",
    ]
