"""A job: what it is, the files in its folder, and its process.

The process is started at low priority, followed line by line, and ended with all it started.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vadistill.errors import StorageError, VadistillError
from vadistill.files import write_json
from vadistill.progress import VARIABLE

log = logging.getLogger("vadistill.serving")

State = Literal["queued", "running", "done", "failed", "cancelled"]

FORMAT = 1
"""Version of the files in a job's folder."""

SCORES, PICTURE, RESULT = "scores.jsonl", "latest.jpg", "result.json"
"""What ``score_upload`` writes into a job's folder."""

UPLOAD, FOOTAGE, MASK, MODEL, FACTS = "upload", "footage", "mask.json", "model", "job.json"
"""What else lies there: the video that is scored; a fit's videos and mask, and its model until it
is whole; the job itself."""

PAGE, MOST = 1000, 20_000
"""Lines of a score file between two places in it that are remembered, and most lines at a time."""


@dataclass
class Job:
    """A job as it is now; times are unix seconds."""

    id: str
    kind: Literal["fit", "score"]
    title: str
    state: State = "queued"
    progress: float | None = None
    """Share of ``step`` that is done, in [0, 1]; None: not known."""
    step: str = ""
    """What it is at, such as ``calibration``; a job has several, and each begins at 0."""
    error: str | None = None
    """One line."""
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    result: dict[str, Any] | None = None
    """Of a fit ``model`` and ``system``; of a scored video ``frames``, ``fps``, ``level``,
    ``events``."""

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Task:
    """How a job is run."""

    command: list[str]
    shown: dict[str, str] = field(default_factory=dict)
    """Paths of the server, and what errors show instead."""
    out: Path | None = None
    """Where the model of a fit goes."""
    result: dict[str, Any] = field(default_factory=dict)


class ScoreFile:
    """Lines ``{"t": seconds, "s": score}`` that grow while a video is scored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places = [0]
        self._lock = threading.Lock()

    def read(self, after: int) -> dict[str, Any]:
        """``times`` and ``scores`` of at most 20,000 lines from ``after`` on; ``next`` is the line
        behind them."""
        times, scores = [], []
        with self._lock:
            line = min(max(0, after) // PAGE, len(self._places) - 1) * PAGE
            with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
                file.seek(self._places[line // PAGE])
                while len(times) < MOST:
                    text = file.readline()
                    if not text.endswith(b"\n"):  # it is being written
                        break
                    line += 1
                    if line > after:
                        point = json.loads(text)
                        times.append(point["t"])
                        scores.append(point["s"])
                    if line == len(self._places) * PAGE:
                        self._places.append(file.tell())
        return {"times": times, "scores": scores, "next": line}


def write_job(folder: Path, job: Job, pid: int | None = None) -> None:
    """Keep what is known of a job, and of its process while it runs; a full disk is logged."""
    try:
        write_json(folder / FACTS, {"format": FORMAT, "pid": pid, "job": job.as_json()})
    except (VadistillError, OSError) as error:  # it goes on, and is not known after a restart
        log.warning("job %s is not recorded: %s", job.id, error)


def read_jobs(folder: Path) -> list[tuple[Job, int | None]]:
    """The jobs in ``folder``, oldest first, and the process of each that was running.

    A folder without a job that can be read, left by a crash or a full disk, is deleted.
    """
    found: list[tuple[Job, int | None]] = []
    for each in folder.iterdir():
        try:
            facts = json.loads((each / FACTS).read_text())
            found.append((Job(**facts["job"]), facts["pid"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("deleting what is left of job %s (%s)", each.name, error)
            shutil.rmtree(each, ignore_errors=True)
    return sorted(found, key=lambda item: item[0].created)


def publish(made: Path, out: Path) -> None:
    """Move a whole model to its place."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(out)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = out.with_name(f".{out.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(made, part)
        part.rename(out)


@contextlib.contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Raise StorageError where the system cannot use ``folder``."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot use {folder} ({error.strerror or error})",
            expected="a folder that can be written, with free space",
            fix="free some space, or choose another storage folder",
        ) from error


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder for a job; it is gone again if the job cannot be queued.  Raises StorageError."""
    try:
        with usable(folder):
            folder.mkdir()
            yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


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
            os.setpriority(os.PRIO_PROCESS, self.pid, NICENESS)
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
