"""A job: what it is, and the files in its folder."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vadistill.errors import StorageError, VadistillError
from vadistill.files import write_json

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
    """Of a fit ``model`` and ``system``; of a scored video ``frames``, ``fps``, ``level`` and its
    ``note``, ``events``."""
    camera: str | None = None
    """Which one gets the model of a fit; None: none does."""
    left: float | None = None
    """Seconds that ``step`` goes on at the pace so far; None: not known."""

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


def take_over(made: Path, task: Task, *, whole: bool) -> dict[str, Any] | None:
    """What a job came to in ``made``; a fit's model goes to its place, if it is ``whole``.

    Raises OSError.
    """
    if task.out is not None and whole:
        publish(made / MODEL, task.out)
        return task.result
    path = made / RESULT
    return json.loads(path.read_text()) if path.is_file() else None
