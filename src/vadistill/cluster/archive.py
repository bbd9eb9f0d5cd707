"""An archive of videos, scored on Ray: a table each, whole, with the rows of the plain loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vadistill.cluster.connecting import LOCAL, check_address
from vadistill.cluster.run import Archive, Run, environment, places_of
from vadistill.cluster.scoring import Scored, ScorePlan, Scorer, written
from vadistill.cluster.stretches import ranges
from vadistill.cluster.worker import Task
from vadistill.datasets import Video
from vadistill.detector import Detector
from vadistill.devices import Device
from vadistill.events import Event
from vadistill.files import content_hash
from vadistill.runtime import VARIABLE
from vadistill.scores import FrameScore, Smoothing
from vadistill.video import Polygon

ENDING = ".parquet"
"""Of a table, behind its video's path."""


@dataclass
class ScoredArchive(Archive):
    """What scoring an archive came to."""

    events: list[tuple[str, Event]] = field(default_factory=list)
    """Of the videos that this run scored, with their names."""


def score_archive(
    model: Path,
    videos: Sequence[Video],
    out: Path,
    *,
    loaded: Detector,
    smoothing: Smoothing,
    address: str = LOCAL,
    workers: int | None = None,
    device: Device = "cpu",
    false_alarms_per_day: float = 1.0,
) -> ScoredArchive:
    """Score videos by the model in a folder, on a Ray cluster; a table each below ``out``.

    Tables are Parquet, with the columns and rows of ``vadistill score --out``, named for the
    videos' paths; ``out``/_manifest.jsonl lists them.  A video may be an address of ``STORES``,
    which a worker fetches, scores and deletes.  ``loaded`` is the model, which says how
    long videos can be cut and in which runtime it is the fastest.  ``workers`` of one core each,
    by default one a core of the cluster; unless ``device`` is cpu they share its GPUs.  Rows do not
    depend on how many there are.  Raises ConfigError without a cluster and where ``out`` holds
    tables by another model or mask, WeightsError where it cannot be written.
    """
    check_address(address)
    places = places_of(videos, ENDING)
    model = model.absolute()
    plan = ScorePlan(
        device=device,
        folder=Path.cwd(),
        environment=_environment(loaded),
        model=model,
        smoothing=smoothing,
        false_alarms_per_day=false_alarms_per_day,
    )
    run = _Scoring(out, plan, loaded, videos[0].hidden if videos else ())
    run.over(videos, places, address, workers)
    return run.archive


def _environment(loaded: Detector) -> dict[str, str]:
    """Variables for all workers, with the runtime that won a race here.

    Else each worker would hold one of its own, and rows would depend on who wins.
    """
    found = environment()
    runtime = getattr(loaded, "runtime", None)
    if runtime is not None and getattr(runtime, "race", None) is not None:
        found.setdefault(VARIABLE, runtime.name)
    return found


class _Scoring(Run[ScoredArchive, Scored]):
    """A run that scores, where videos may be cut into stretches."""

    label = "scoring"

    def __init__(
        self, out: Path, plan: ScorePlan, loaded: Detector, hidden: Sequence[Polygon]
    ) -> None:
        config = plan.model / "config.json"
        kind, origin = content_hash(config, plan.smoothing.name), content_hash(config, str(hidden))
        super().__init__(ScoredArchive(), out, plan, Scorer, kind, origin)
        self._score_plan, self._loaded = plan, loaded
        self._parts: dict[Path, dict[int, Scored | None]] = {}
        """Of videos that are cut: what there is of each stretch, by its first frame."""

    def ordered(self, tasks: Sequence[Task]) -> list[Task]:
        """Largest first; one larger than a worker's share of all is cut, where that may be."""
        total = sum(task.size for task in tasks)
        found: list[Task] = []
        for task in super().ordered(tasks):
            share = self.archive.workers * task.size / max(total, 1)
            count = math.ceil(share) if share > 1 else 1
            cut = ranges(task.video, self._loaded, min(count, self.archive.workers))
            if cut:
                self._parts[task.file] = {first: None for first, _ in cut}
            found += [replace(task, stretch=each) for each in cut] or [task]
        return found

    def take(self, task: Task, done: Scored) -> Scored | None:
        """The table of a video, once all its stretches are there."""
        if task.stretch is not None:
            parts = self._parts[task.file]
            parts[task.stretch[0]] = done
            found = [part for part in parts.values() if part is not None]
            if len(found) < len(parts):
                return None
            done = self._joined(task, found)
            del self._parts[task.file]
        self.archive.events += [(task.video.name, event) for event in done.events]
        return done

    def drop(self, task: Task) -> None:
        self._parts.pop(task.file, None)

    def _joined(self, task: Task, parts: Sequence[Scored]) -> Scored:
        """The table of a video of which all stretches are there."""
        frames: list[FrameScore] = [frame for part in parts for frame in part.scores]
        raw = self._loaded.collect(task.video.open().info, frames)
        done = written(task, raw, self._score_plan)
        seconds = sum(part.seconds for part in parts)
        where = " ".join(dict.fromkeys(part.where for part in parts))
        return replace(done, seconds=seconds, where=where)
