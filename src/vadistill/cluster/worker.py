"""What one worker does: it opens the model once, and scores one video, or stretch, after another.

It scores as the plain loop does, by ``score_videos``, and gives what can go wrong as words.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vadistill import __version__
from vadistill.cluster.stretches import part_of, within
from vadistill.datasets import Video
from vadistill.detector import Detector
from vadistill.errors import VadistillError, in_a_line
from vadistill.evaluation.scoring import doubts, of_video, score_videos
from vadistill.events import Event
from vadistill.score_tables import write_scores
from vadistill.scores import FrameScore, Scores, Smoothing
from vadistill.systems import load


@dataclass(frozen=True)
class Plan:
    """What all workers of a run do alike."""

    model: Path
    device: str
    folder: Path
    """Where the command runs: relative paths of videos are from there."""
    environment: Mapping[str, str]
    smoothing: Smoothing
    false_alarms_per_day: float
    version: str = __version__


@dataclass(frozen=True, eq=False)
class Task:
    """A video, or a stretch of one."""

    video: Video
    file: Path
    """The table of its scores."""
    stretch: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Done:
    """What became of a task: a table that is written, a stretch's ``scores``, or an ``error``."""

    frames: int = 0
    seconds: float = 0.0
    where: str = ""
    """The node and the process."""
    events: list[Event] = field(default_factory=list)
    scores: list[FrameScore] = field(default_factory=list)
    error: str = ""
    warnings: list[str] = field(default_factory=list)


class Worker:
    """One model, for one video at a time."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def ready(self) -> str:
        """Open the model; what keeps it from being opened, in words."""
        plan = self.plan
        os.environ.update(plan.environment)
        try:
            if plan.version != __version__:
                return f"vadistill {__version__} on {socket.gethostname()}, not {plan.version}"
            os.chdir(plan.folder)
            self.model: Detector = load(plan.model, device=plan.device)
        except (VadistillError, OSError) as error:
            return in_a_line(error)
        return ""

    def work(self, task: Task) -> Done:
        """Score a video and write its table, or score a stretch of it."""
        began = time.monotonic()
        with _warnings() as lines:
            try:
                done = self._scored(task)
            except VadistillError as error:
                done = Done(error=str(of_video(task.video, error)))
            except Exception as error:  # of one video, which must not stop the others
                words = f"{type(error).__name__}: {in_a_line(error)}"
                done = Done(error=f"{task.video.name}: {words}")
        where = f"{socket.gethostname()}:{os.getpid()}"
        seconds = time.monotonic() - began
        return replace(done, seconds=seconds, where=where, warnings=lines)

    def _scored(self, task: Task) -> Done:
        video, stretch = task.video, task.stretch
        if stretch is None or stretch[0] == 0:
            for line in doubts(video, self.model):
                logging.getLogger(__name__).warning("%s", line)
        if stretch is None:
            (scores,) = score_videos(self.model, [video], "scoring", maps=False).scores.values()
            return written(task, scores, self.plan)
        part = part_of(video, self.model, stretch)
        (scores,) = score_videos(self.model, [part], "scoring", maps=False).scores.values()
        bare = (FrameScore(f.index, f.time, f.score, reason=f.reason) for f in scores)
        found = within(list(bare), stretch)
        return Done(frames=len(found), scores=found)


def written(task: Task, raw: Scores, plan: Plan) -> Done:
    """Write a video's table, whole or not at all; raises WeightsError."""
    scores = raw.smooth(plan.smoothing)
    write_scores(task.file, [scores])
    events = scores.events(false_alarms_per_day=plan.false_alarms_per_day)
    return Done(frames=len(scores), events=events)


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
