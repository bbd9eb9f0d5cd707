"""What one worker does: it opens what all tasks need once, and does one task after another.

What can go wrong comes back as words.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from vadistill import __version__
from vadistill.datasets import Video
from vadistill.datasets.stores import at_hand, sweep
from vadistill.devices import Device
from vadistill.errors import VadistillError, in_a_line
from vadistill.evaluation.scoring import of_video


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What all workers of a run do alike."""

    device: Device
    folder: Path
    """Where the command runs: relative paths of videos are from there."""
    environment: Mapping[str, str]
    version: str = __version__


@dataclass(frozen=True, eq=False)
class Task:
    """A video, or a stretch of one."""

    video: Video
    file: Path
    """Its place in the folder of results: that of its table, or its own path again."""
    stretch: tuple[int, int] | None = None
    size: int = 0
    """Bytes of the video, as far as they are known."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Done:
    """What became of a task; an ``error`` is one line."""

    frames: int = 0
    seconds: float = 0.0
    where: str = ""
    """The node and the process."""
    error: str = ""
    warnings: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """What the list keeps of it, as plain JSON."""
        return {"frames": self.frames, "seconds": round(self.seconds, 2), "worker": self.where}


P = TypeVar("P", bound=Plan)


class Worker(ABC, Generic[P]):
    """One video at a time."""

    def __init__(self, plan: P) -> None:
        self.plan = plan

    @abstractmethod
    def open(self) -> None:
        """Open what all tasks need; raises VadistillError."""

    @abstractmethod
    def do(self, task: Task) -> Done:
        """Do a task, whose video is at hand; raises VadistillError."""

    def ready(self) -> str:
        """Open what all tasks need; what keeps it from being opened, in words."""
        plan = self.plan
        os.environ.update(plan.environment)
        try:
            if plan.version != __version__:
                return f"vadistill {__version__} on {socket.gethostname()}, not {plan.version}"
            os.chdir(plan.folder)
            sweep()
            self.open()
        except (VadistillError, OSError) as error:
            return in_a_line(error)
        return ""

    def work(self, task: Task) -> Done:
        """Do a task, or say why not."""
        began = time.monotonic()
        with _warnings() as lines:
            try:
                with at_hand(task.video) as video:
                    done = self.do(replace(task, video=video))
            except VadistillError as error:
                done = Done(error=str(of_video(task.video, error)))
            except Exception as error:  # of one video, which must not stop the others
                words = f"{type(error).__name__}: {in_a_line(error)}"
                done = Done(error=f"{task.video.name}: {words}")
        where = f"{socket.gethostname()}:{os.getpid()}"
        seconds = time.monotonic() - began
        return replace(done, seconds=seconds, where=where, warnings=lines)


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the package logs inside, for the driver to tell."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("vadistill"), Lines(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
