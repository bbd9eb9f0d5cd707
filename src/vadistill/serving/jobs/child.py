"""A job's process: started at low priority, followed line by line, ended with all it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vadistill.progress import VARIABLE

NICENESS = 10
"""What is added to the niceness of a process, so that live scoring goes first."""

OOM_SCORE = 500
"""Added to a process's badness when memory runs out (Linux): it goes, not the server."""

LONGEST = 1 << 16
"""Bytes of a line that are read at once."""


class Step(NamedTuple):
    """What a process is at."""

    label: str
    share: float | None
    """Of this step, in [0, 1]; None: not known."""


class Pace:
    """How long steps go on at the pace that they have had."""

    def __init__(self) -> None:
        self._label, self._begun, self._first = "", 0.0, 0.0

    def left(self, step: Step) -> float | None:
        """Seconds that it goes on; None while that cannot be told."""
        now, share = time.monotonic(), step.share or 0.0
        if step.label != self._label or share < self._first:
            self._label, self._begun, self._first = step.label, now, share
        spent, done = now - self._begun, share - self._first
        return spent * (1 - share) / done if done > 0.02 and spent > 2 else None


class Child:
    """``python -m MODULE ARGUMENTS…`` in a session of its own.  Raises OSError."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, VARIABLE: "json"},
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.last_line = ""
        with contextlib.suppress(OSError):
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, self.pid, own + NICENESS)
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/oom_score_adj").write_text(str(OOM_SCORE))

    def steps(self) -> Iterator[Step]:
        """Progress as it is told, until the process closes its stderr."""
        assert self._process.stderr is not None
        for raw in iter(lambda: self._process.stderr.readline(LONGEST), b""):  # pyright: ignore[reportOptionalMemberAccess]
            text = raw.decode(errors="replace").strip()
            step = _step(text)
            if step is not None:
                yield step
            elif text:
                self.last_line = text.split("\r")[-1]

    def wait(self) -> str | None:
        """Wait for the end; why it failed in one line, None if it did not."""
        code = self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if code == 0:
            return None
        said = " ".join(self.last_line.removeprefix("vadistill: error: ").split())[:500]
        if code > 0:
            return said or f"its process ended with status {code}"
        killed = -code == signal.SIGKILL
        why = ", perhaps for want of memory" if killed else ""
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        return f"its process was ended by {name}{why}" + (f"; it last said: {said}" if said else "")

    def kill(self) -> None:
        """End it and what it started, at once."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def kill_left(pid: int, mark: str) -> bool:
    """End a process group that an earlier server left behind; whether it was there.

    ``mark``, a part of its command line, tells it from a process that has the number now.
    """
    with contextlib.suppress(OSError):
        if mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.killpg(pid, signal.SIGKILL)
            return True
    return False


def _step(text: str) -> Step | None:
    """The progress that a line tells; see ``vadistill.progress``."""
    if not text.startswith('{"label"'):
        return None
    try:
        told = json.loads(text)
        done, total = told["done"], told["total"]
        share = None if not total else min(1.0, max(0.0, done / total))
        return Step(str(told["label"]), share)
    except (ValueError, TypeError, KeyError):
        return None
