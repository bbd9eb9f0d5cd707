"""The driver's part of a run over an archive: each video once, whatever dies on the way.

largest first   ->  Crew: one video, or a stretch of one, a worker  ->  results, each whole
done before: left out                                               ->  a line in the manifest
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from abc import ABC
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from vadistill.addresses import redacted
from vadistill.cluster.connecting import connected
from vadistill.cluster.crew import Crew, Lost
from vadistill.cluster.manifest import Manifest
from vadistill.cluster.worker import Done, Plan, Task, Worker
from vadistill.datasets import Video
from vadistill.datasets.footage import footage_hash
from vadistill.datasets.places import is_stored, place_of
from vadistill.datasets.sources import pictures
from vadistill.datasets.stores import told
from vadistill.errors import ConfigError, VadistillError
from vadistill.evaluation.scoring import of_video
from vadistill.files import content_hash
from vadistill.progress import progress
from vadistill.runtime import VARIABLE

FORWARDED = ("VADISTILL_OFFLINE", "TORCH_HOME", VARIABLE)
"""Variables of the environment that workers have as the driver does."""


@dataclass
class Archive:
    """What a run over an archive came to."""

    done: int = 0
    """Videos of which this run made results."""
    skipped: int = 0
    """Videos that an earlier run had done alike."""
    frames: int = 0
    """Frames that went through this run."""
    seconds: float = 0.0
    workers: int = 0
    deaths: int = 0
    """Workers that died; their videos were done by others."""
    errors: dict[str, str] = field(default_factory=dict)
    """One line for each video without results, by its path in the list, in the videos' order."""
    warnings: list[str] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Frames per second, from the workers' start to the last result."""
        return self.frames / max(self.seconds, 1e-9)


def environment() -> dict[str, str]:
    """Variables for all workers."""
    return {name: os.environ[name] for name in FORWARDED if name in os.environ}


def places_of(videos: Sequence[Video], ending: str = "") -> list[str]:
    """For each video a path below the folder of all results: its own, and ``ending``.

    So it is the same whatever other videos there are.  Raises ConfigError for a video given twice.
    """
    found: dict[str, Video] = {}
    for video in videos:
        file = f"{_place(Path(str(video.source)))}{ending}"
        if file in found:
            raise ConfigError(
                f"{found[file].source} and {video.source}, whose results would both be {file}",
                expected="each video once",
                fix="leave one out",
            )
        found[file] = video
    return list(found)


def _place(source: Path) -> Path | str:
    if is_stored(source):
        return place_of(source)
    path = Path(os.path.normpath(source))
    path = path.absolute() if ".." in path.parts else path
    return path.relative_to(path.anchor)


A = TypeVar("A", bound=Archive)
D = TypeVar("D", bound=Done)


class Run(ABC, Generic[A, D]):
    """Hand out videos to workers, gather what becomes of them, and keep the list.

    ``kind`` is what results depend on beside their video: of another kind they are made again, but
    those of another ``origin``, which none gives again, are never replaced.
    """

    label = "videos"

    def __init__(
        self,
        archive: A,
        out: Path,
        plan: Plan,
        worker: type[Worker[Any]],
        kind: str,
        origin: str = "",
    ) -> None:
        self.archive, self.out, self.plan, self.kind = archive, out.absolute(), plan, kind
        self._worker, self._origin = worker, origin
        self._keys: dict[str, str] = {}

    def over(
        self, videos: Sequence[Video], places: Sequence[str], address: str, workers: int | None
    ) -> None:
        """Do all videos that are not done; ``places`` are those of ``places_of``.

        Raises ConfigError without a cluster and for results of another origin that would be lost,
        WeightsError where ``out`` cannot be written.
        """
        archive = self.archive
        with (
            Manifest(self.out) as self._manifest,
            contextlib.ExitStack() as last,
            progress(self.label, len(videos)) as advance,
        ):
            last.callback(self.end)
            left: list[Task] = []
            for video, place in zip(videos, places, strict=True):
                size, key = _told(self.kind, video)
                self._keys[place] = key
                if key and (line := self._manifest.done(place, key)):
                    archive.skipped += 1
                    self.skip(line)
                elif key and self._manifest.has_failed(place, key) and (error := _fault(video)):
                    archive.errors[place] = error
                else:
                    self._check_replaced(place)
                    # Labels stay here: their masks may be functions.
                    bare = replace(video, frame_labels=None, mask=None, tracks=())
                    left.append(Task(bare, self.out / place, size=size))
            advance(len(videos) - len(left))
            if left:
                with connected(address, workers) as archive.workers:
                    began = time.monotonic()
                    self._hand_out(left, advance)
                    archive.seconds = time.monotonic() - began
        archive.errors = {each: archive.errors[each] for each in places if each in archive.errors}

    def skip(self, line: Mapping[str, Any]) -> None:
        """Hear of a video that is done, by its line in the list."""

    def end(self) -> None:
        """Write what is left, however the run ends, while the folder is still this run's alone."""

    def ordered(self, tasks: Sequence[Task]) -> list[Task]:
        """Tasks as they are handed out: the largest first, so that none is left over for long."""
        return sorted(tasks, key=lambda task: -task.size)

    def take(self, task: Task, done: D) -> D | None:
        """Take a result; what there is of its video, None while parts are missing.

        Raises VadistillError for what costs that video.
        """
        return done

    def drop(self, task: Task) -> None:
        """Hear of a video that failed."""

    def _hand_out(self, tasks: Sequence[Task], advance: Callable[..., None]) -> None:
        import ray  # pyright: ignore[reportMissingImports]

        gpus = 0.0
        if self.plan.device != "cpu":
            gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0) / self.archive.workers)
            gpus = 1.0 if self.plan.device == "cuda" and not gpus else math.floor(gpus * 1e4) / 1e4
        actor = ray.remote(num_cpus=1, num_gpus=gpus)(self._worker)
        plan = ray.put(replace(self.plan, device="cuda" if gpus else "cpu"))
        crew = Crew[Task](lambda: actor.remote(plan), self.archive.workers)
        began = time.monotonic()
        for found in crew.results(deque(self.ordered(tasks))):
            ended = self._lost(found) if isinstance(found, Lost) else self._ended(*found)
            speed = self.archive.frames / max(time.monotonic() - began, 1e-9)
            task = found.task if isinstance(found, Lost) else found[0]
            advance(int(ended), note=f"{speed:.0f} frames/s, {task.video.name}")
            self.archive.deaths = crew.deaths

    def _ended(self, task: Task, done: Any) -> bool:
        """Take a result; whether its video is at its end."""
        for line in done.warnings:
            if line not in self.archive.warnings:
                self.archive.warnings.append(line)
        place = self._place(task)
        if place in self.archive.errors:
            return False  # another stretch of it failed
        if done.error:
            return self._failed(task, done.error, key=self._keys[place])
        self.archive.frames += done.frames
        try:
            whole = self.take(task, done)
        except VadistillError as error:
            return self._failed(task, str(error))
        if whole is None:
            return False
        self.archive.done += 1
        self._keep(task, key=self._keys[place], **whole.facts())
        return True

    def _lost(self, lost: Lost[Task]) -> bool:
        if self._place(lost.task) in self.archive.errors:
            return False
        name = lost.task.video.name
        return self._failed(lost.task, f"{name}: every worker that had it died ({lost.reason})")

    def _failed(self, task: Task, error: str, **facts: str) -> bool:
        self.archive.errors[self._place(task)] = error
        self.drop(task)
        self._keep(task, error=error, **facts)
        return True

    def _keep(self, task: Task, **facts: Any) -> None:
        video = task.video
        source = str(video.source)
        source = redacted(source) if is_stored(source) else source
        line = {"video": video.name, "source": source, "file": self._place(task)}
        origin = {"origin": self._origin} if self._origin else {}
        self._manifest.add({**line, **origin, **facts})

    def _check_replaced(self, place: str) -> None:
        known = self._manifest.lines.get(place)
        if not (self._origin and known and (self.out / place).exists()):
            return
        if known.get("origin") != self._origin:
            earlier = "" if "origin" in known else ", or by an earlier version"
            raise ConfigError(
                f"{self.out}, which holds {place} by another model or mask{earlier}",
                expected="a new folder, or the same model again",
                fix="choose another folder, or delete that one",
            )

    def _place(self, task: Task) -> str:
        return task.file.relative_to(self.out).as_posix()


def _told(kind: str, video: Video) -> tuple[int, str]:
    """Bytes of a video, and what a result is of: its kind, name and the video's content.

    0 and '' for one that cannot be read: then a worker will say what is wrong.
    """
    try:
        stored = is_stored(video.source)
        size, content = told(video) if stored else (_size(video), footage_hash([video]))
    except (OSError, VadistillError):
        return 0, ""
    return size, content_hash(kind, video.name, content) if content else ""


def _fault(video: Video) -> str:
    """Why a video cannot be opened, '' if it can: no worker has to be asked about that again."""
    try:
        if not is_stored(video.source):
            video.open()
    except VadistillError as error:
        return str(of_video(video, error))
    return ""


def _size(video: Video) -> int:
    source = video.source
    if not isinstance(source, Path):
        return 0
    return sum(path.stat().st_size for path in (pictures(source) if source.is_dir() else [source]))
