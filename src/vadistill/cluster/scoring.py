"""Workers that score: as the plain loop does, by ``score_videos``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vadistill.cluster.stretches import part_of, within
from vadistill.cluster.worker import Done, Plan, Task, Worker
from vadistill.detector import Detector
from vadistill.evaluation.scoring import doubts, score_videos
from vadistill.events import Event
from vadistill.score_tables import write_scores
from vadistill.scores import FrameScore, Scores, Smoothing
from vadistill.systems import load


@dataclass(frozen=True, kw_only=True)
class ScorePlan(Plan):
    """By which model, and what is made of its scores."""

    model: Path
    smoothing: Smoothing
    false_alarms_per_day: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Scored(Done):
    """A table that is written, or a stretch's ``scores``."""

    events: list[Event] = field(default_factory=list)
    scores: list[FrameScore] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "events": len(self.events)}


class Scorer(Worker[ScorePlan]):
    """One model, for one video at a time."""

    def open(self) -> None:
        self.model: Detector = load(self.plan.model, device=self.plan.device)

    def do(self, task: Task) -> Scored:
        """Score a video and write its table, or score a stretch of it."""
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
        return Scored(frames=len(found), scores=found)


def written(task: Task, raw: Scores, plan: ScorePlan) -> Scored:
    """Write a video's table, whole or not at all; raises WeightsError."""
    scores = raw.smooth(plan.smoothing)
    write_scores(task.file, [scores])
    events = scores.events(false_alarms_per_day=plan.false_alarms_per_day)
    return Scored(frames=len(scores), events=events)
