"""An archive of videos, scored on Ray: each once, whatever dies on the way.

longest first   ->  Crew: one video, or a stretch of one, a worker  ->  a table each, whole
done before: left out                                               ->  a line in the manifest
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vadistill.cluster.connecting import LOCAL, check_address, connected
from vadistill.cluster.crew import Crew, Lost
from vadistill.cluster.manifest import Manifest
from vadistill.cluster.stretches import ranges
from vadistill.cluster.worker import Done, Plan, Task, Worker, written
from vadistill.datasets import Video
from vadistill.datasets.footage import footage_hash
from vadistill.datasets.sources import pictures
from vadistill.detector import Detector
from vadistill.errors import ConfigError, VadistillError
from vadistill.evaluation.scoring import of_video
from vadistill.events import Event
from vadistill.files import content_hash
from vadistill.progress import progress
from vadistill.runtime import VARIABLE
from vadistill.scores import FrameScore, Smoothing

FORWARDED = ("VADISTILL_OFFLINE", "TORCH_HOME", VARIABLE)
"""Variables of the environment that workers have as the driver does."""


@dataclass
class Archive:
    """What a run over an archive came to."""

    scored: int = 0
    skipped: int = 0
    """Videos that an earlier run scored with this model and smoothing."""
    frames: int = 0
    """Frames scored by this run."""
    seconds: float = 0.0
    workers: int = 0
    deaths: int = 0
    """Workers that died; their videos were scored by others."""
    events: list[tuple[str, Event]] = field(default_factory=list)
    """Of the videos that this run scored."""
    errors: dict[str, str] = field(default_factory=dict)
    """One line for each video that has no scores, by its name."""
    warnings: list[str] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Frames per second, from the workers' start to the last table."""
        return self.frames / max(self.seconds, 1e-9)


def score_archive(
    model: Path,
    videos: Sequence[Video],
    out: Path,
    *,
    loaded: Detector,
    smoothing: Smoothing,
    address: str = LOCAL,
    workers: int | None = None,
    device: str = "cpu",
    false_alarms_per_day: float = 1.0,
) -> Archive:
    """Score videos by the model in a folder, on a Ray cluster; a table each below ``out``.

    Tables are Parquet, with the columns and rows of ``vadistill score --out``, named for the
    videos' paths; ``out``/_manifest.jsonl lists them.  ``loaded`` is the model, which says how
    long videos can be cut and in which runtime it is the fastest.  ``workers`` of one core each,
    by default one a core of the cluster; unless ``device`` is cpu they share its GPUs.  Rows do not
    depend on how many there are.  Raises ConfigError without a cluster, WeightsError where ``out``
    cannot be written.
    """
    check_address(address)
    files = tables_of(videos)
    model = model.absolute()
    kind = content_hash(model / "config.json", smoothing.name)
    facts = _environment(loaded), smoothing, false_alarms_per_day
    plan = Plan(model, device, Path.cwd(), *facts)
    archive = Archive()
    with Manifest(out) as manifest, progress("scoring", len(videos)) as advance:
        left: list[Task] = []
        keys: dict[str, str] = {}
        for video, file in zip(videos, files, strict=True):
            key = keys[video.name] = _key(kind, video)
            if key and manifest.has(out, file, key):
                archive.skipped += 1
            elif key and manifest.has_failed(file, key) and (error := _cannot_be_opened(video)):
                archive.errors[video.name] = error
            else:
                left.append(Task(video, out.absolute() / file))
        advance(len(videos) - len(left))
        run = _Run(archive, manifest, keys, plan, loaded, out.absolute())
        if left:
            with connected(address, workers) as archive.workers:
                began = time.monotonic()
                run.over(left, advance)
                archive.seconds = time.monotonic() - began
    return archive


def _key(kind: str, video: Video) -> str:
    """What a table is of: model, smoothing, name and the video's content; '' if it is unreadable.

    Then a worker will say what is wrong.
    """
    try:
        return content_hash(kind, video.name, footage_hash([video]))
    except (OSError, VadistillError):
        return ""


def _cannot_be_opened(video: Video) -> str:
    """Why not, '' if it can: what no worker has to be asked about again."""
    try:
        video.open()
    except VadistillError as error:
        return str(of_video(video, error))
    return ""


def tables_of(videos: Sequence[Video]) -> list[str]:
    """For each video the path of its table below the folder of all: its own, and .parquet.

    So it is the same whatever other videos there are.  Raises ConfigError for a video given twice.
    """
    found: dict[str, Video] = {}
    for video in videos:
        path = Path(os.path.normpath(str(video.source)))
        path = path.absolute() if ".." in path.parts else path
        file = f"{path.relative_to(path.anchor)}.parquet"
        if file in found:
            raise ConfigError(
                f"{found[file].source} and {video.source}, whose scores would both be {file}",
                expected="each video once",
                fix="leave one out",
            )
        found[file] = video
    return list(found)


def _environment(loaded: Detector) -> dict[str, str]:
    """Variables for all workers, with the runtime that won a race here.

    Else each worker would hold one of its own, and rows would depend on who wins.
    """
    found = {name: os.environ[name] for name in FORWARDED if name in os.environ}
    runtime = getattr(loaded, "runtime", None)
    if runtime is not None and getattr(runtime, "race", None) is not None:
        found.setdefault(VARIABLE, runtime.name)
    return found


class _Run:
    """The driver's part of a run: hand out, gather, and keep the list."""

    def __init__(
        self,
        archive: Archive,
        manifest: Manifest,
        keys: dict[str, str],
        plan: Plan,
        loaded: Detector,
        out: Path,
    ) -> None:
        self.archive, self.manifest, self.keys = archive, manifest, keys
        self.plan, self.loaded, self.out = plan, loaded, out
        self._parts: dict[str, dict[int, Done | None]] = {}
        """Of videos that are cut: what there is of each stretch, by its first frame."""

    def over(self, tasks: Sequence[Task], advance: Any) -> None:
        """Score all of them, the largest first, so that none is left to one worker at the end."""
        import ray  # pyright: ignore[reportMissingImports]

        gpus = 0.0
        if self.plan.device != "cpu":
            gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0) / self.archive.workers)
            gpus = 1.0 if self.plan.device == "cuda" and not gpus else math.floor(gpus * 1e4) / 1e4
        actor = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
        plan = ray.put(replace(self.plan, device="cuda" if gpus else "cpu"))
        crew = Crew[Task](lambda: actor.remote(plan), self.archive.workers)
        began = time.monotonic()
        for found in crew.results(deque(self._ordered(tasks))):
            ended = self._lost(found) if isinstance(found, Lost) else self._ended(*found)
            speed = self.archive.frames / max(time.monotonic() - began, 1e-9)
            task = found.task if isinstance(found, Lost) else found[0]
            advance(int(ended), note=f"{speed:.0f} frames/s, {task.video.name}")
            self.archive.deaths = crew.deaths

    def _ordered(self, tasks: Sequence[Task]) -> list[Task]:
        """Largest first; one larger than a worker's share of all is cut, where that may be."""
        sizes = {id(task): _size(task.video) for task in tasks}
        total = sum(sizes.values())
        found: list[Task] = []
        for task in sorted(tasks, key=lambda task: -sizes[id(task)]):
            share = self.archive.workers * sizes[id(task)] / max(total, 1)
            count = math.ceil(share) if share > 1 else 1
            cut = ranges(task.video, self.loaded, min(count, self.archive.workers))
            if cut:
                self._parts[task.video.name] = {first: None for first, _ in cut}
            found += [replace(task, stretch=each) for each in cut] or [task]
        return found

    def _ended(self, task: Task, done: Done) -> bool:
        """Take a result; whether its video is at its end."""
        for line in done.warnings:
            if line not in self.archive.warnings:
                self.archive.warnings.append(line)
        name = task.video.name
        if name in self.archive.errors:
            return False  # another stretch of it failed
        if done.error:
            return self._failed(task, done.error, key=self.keys[name])
        self.archive.frames += done.frames
        if task.stretch is not None:
            parts = self._parts[name]
            parts[task.stretch[0]] = done
            if None in parts.values():
                return False
            try:
                done = self._joined(task, [part for part in parts.values() if part is not None])
            except VadistillError as error:
                return self._failed(task, str(error))
            del self._parts[name]
        self.archive.scored += 1
        self.archive.events += [(name, event) for event in done.events]
        self._keep(task, key=self.keys[name], frames=done.frames, events=len(done.events),
                   seconds=round(done.seconds, 2), worker=done.where)  # fmt: skip
        return True

    def _joined(self, task: Task, parts: Sequence[Done]) -> Done:
        """The table of a video of which all stretches are there."""
        frames: list[FrameScore] = [frame for part in parts for frame in part.scores]
        done = written(task, self.loaded.collect(task.video.open().info, frames), self.plan)
        seconds = sum(part.seconds for part in parts)
        where = " ".join(dict.fromkeys(part.where for part in parts))
        return replace(done, seconds=seconds, where=where)

    def _lost(self, lost: Lost[Task]) -> bool:
        name = lost.task.video.name
        if name in self.archive.errors:
            return False
        return self._failed(lost.task, f"{name}: every worker that scored it died ({lost.reason})")

    def _failed(self, task: Task, error: str, **facts: str) -> bool:
        self.archive.errors[task.video.name] = error
        self._parts.pop(task.video.name, None)
        self._keep(task, error=error, **facts)
        return True

    def _keep(self, task: Task, **facts: Any) -> None:
        file = task.file.relative_to(self.out).as_posix()
        source = str(task.video.source)
        self.manifest.add({"video": task.video.name, "source": source, "file": file, **facts})


def _size(video: Video) -> int:
    """Bytes of a video, 0 where it cannot be read."""
    source = video.source
    try:
        if not isinstance(source, Path):
            return 0
        if source.is_dir():
            return sum(path.stat().st_size for path in pictures(source))
        return source.stat().st_size
    except (OSError, VadistillError):
        return 0
