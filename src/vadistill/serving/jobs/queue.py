"""Long work that the console starts, fitting a model and scoring an upload, as processes.

One job runs at a time and at low priority, so that live scoring goes first; others wait in order.
Everything of a job lies in a folder of its own.  A model takes its place only once it is whole.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from vadistill.errors import ConfigError, one_of
from vadistill.serving.jobs.child import Child, Pace, kill_left
from vadistill.serving.jobs.fit_footage import Masks, fit_task
from vadistill.serving.jobs.job import (
    PICTURE,
    SCORES,
    UPLOAD,
    Job,
    ScoreFile,
    State,
    Task,
    new_folder,
    read_jobs,
    take_over,
    usable,
    write_job,
)
from vadistill.serving.jobs.leftovers import clear
from vadistill.systems import DETECTORS

__all__ = ["Job", "Jobs"]

log = logging.getLogger("vadistill.serving")

WAITING, KEPT = 20, 30
"""Jobs that may wait, and finished ones that are kept: the oldest make room."""

STOPPED = "the server stopped before the job was finished"


class Jobs:
    """The queue of jobs under ``folder``/jobs, and the process that runs the first of them.

    ``changed`` is called with a copy of a job whenever its state or progress changes, from another
    thread.  Jobs that an earlier server left unfinished are listed as failed.  Raises StorageError
    when the folder cannot be used.
    """

    def __init__(self, folder: Path, *, changed: Callable[[Job], None] | None = None) -> None:
        self.folder = Path(folder).absolute() / "jobs"
        self._changed = changed
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, Task] = {}
        self._waiting: deque[str] = deque()
        self._files: dict[str, ScoreFile] = {}
        self._news = threading.Condition()
        self._running: str | None = None
        self._child: Child | None = None
        self._cancelled = self._closed = False
        with usable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._read_left()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def fit(
        self,
        *,
        name: str,
        system: str,
        videos: Sequence[Path],
        out: Path,
        masks: Masks = (),
        camera: str | None = None,
    ) -> Job:
        """Queue the fit of a new model to ``videos``, files or folders, which goes to ``out``.

        What ``masks`` cover is not learned from.  One folder alone may be any data set.  Video
        files stay readable for the job even if they are deleted meanwhile.  ``camera``: who gets
        the model.  Raises ConfigError for an unknown system or when ``out`` is taken, DataError
        for missing videos.
        """
        one_of("system", system, ("auto", *DETECTORS))
        out = Path(out).absolute()
        job = replace(self._new("fit", name), camera=camera)
        with new_folder(self.folder / job.id) as folder:
            task = fit_task(folder, name=name, system=system, videos=videos, out=out, masks=masks)
            self._queue(job, task)
        return replace(job)

    def score(self, *, video: Path, title: str, model: Path) -> Job:
        """Queue the scoring of an uploaded file, which the job takes over and deletes in the end.

        Raises ConfigError when too many jobs wait.
        """
        job = self._new("score", title)
        with new_folder(self.folder / job.id) as folder:
            upload, model = folder / f"{UPLOAD}{video.suffix}", Path(model).absolute()
            command = ["vadistill.serving.jobs.score_upload", *map(str, (model, upload, folder))]
            self._check_room()
            shutil.move(video, upload)
            self._queue(job, Task(command, {str(upload): title, str(model): model.name}))
        return replace(job)

    def get(self, id: str) -> Job | None:
        """A copy of the job as it is now."""
        with self._news:
            return replace(self._jobs[id]) if id in self._jobs else None

    def all(self) -> list[Job]:
        """Copies of all jobs, the newest first."""
        with self._news:
            return [replace(job) for job in reversed(self._jobs.values())]

    def cancel(self, id: str) -> bool:
        """End a job that waits or runs; whether there was such a job.  Its process is gone then."""
        with self._news:
            job = self._jobs.get(id)
            if job is None or job.finished:
                return False
            if self._running == id:
                self._cancelled = True
                if self._child is not None:
                    self._child.kill()
                self._news.wait_for(lambda: self._running != id, timeout=10)
                return True
            self._waiting = deque(each for each in self._waiting if each != id)
            self._finish(job, "cancelled")
        self._tell(job)
        return True

    def remove(self, id: str) -> bool:
        """Forget a finished job and delete its files; whether there was such a job."""
        with self._news:
            job = self._jobs.get(id)
            if job is None or not job.finished:
                return False
            del self._jobs[id]
            self._files.pop(id, None)
            shutil.rmtree(self.folder / id, ignore_errors=True)
        return True

    def scores(self, id: str, after: int = 0) -> dict[str, Any] | None:
        """``times`` (seconds) and ``scores`` of an upload from frame ``after`` on, as far as known.

        At most 20,000; ``next`` is what to pass as ``after`` next time.  None for an unknown job.
        """
        with self._news:
            if id not in self._jobs:
                return None
            file = self._files.setdefault(id, ScoreFile(self.folder / id / SCORES))
        return file.read(after)

    def picture(self, id: str) -> bytes | None:
        """JPEG of the frame that was scored last, with its boxes."""
        if self.get(id) is None:
            return None
        with contextlib.suppress(OSError):
            return (self.folder / id / PICTURE).read_bytes()

    def close(self) -> None:
        """Kill what runs; it and all that wait are failed."""
        with self._news:
            self._closed = True
            if self._child is not None:
                self._child.kill()
            self._news.notify_all()
        self._thread.join(timeout=10)
        with self._news:
            for job in self._jobs.values():
                if not job.finished:
                    self._finish(job, "failed", STOPPED)

    # -- the queue -----------------------------------------------------------------------------

    def _new(self, kind: Literal["fit", "score"], title: str) -> Job:
        return Job(secrets.token_urlsafe(9), kind, title, created=time.time())

    def _check_room(self) -> None:
        if self._closed or len(self._waiting) >= WAITING:
            raise ConfigError(
                "the server is stopping" if self._closed else f"{WAITING} jobs wait already",
                expected=f"fewer than {WAITING}",
                fix="try again later" if self._closed else "wait for one to end, or cancel one",
            )

    def _queue(self, job: Job, task: Task) -> None:
        with self._news:
            self._check_room()
            taken = [self._tasks[i].out for i, j in self._jobs.items() if not j.finished]
            if task.out is not None and (task.out in taken or task.out.exists()):
                raise ConfigError(
                    f"a model or file at {task.out}", expected="a free place", fix="rename it"
                )
            self._jobs[job.id], self._tasks[job.id] = job, task
            write_job(self.folder / job.id, job)
            old = [j.id for j in self._jobs.values() if j.finished]
            for each in old[: max(0, len(old) - KEPT)]:
                self.remove(each)
        self._tell(job)  # before anybody hears that it runs
        with self._news:
            self._waiting += () if job.finished else (job.id,)
            self._news.notify_all()

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                job = self._jobs[self._waiting.popleft()]
                self._running, self._cancelled = job.id, False
            try:
                error = self._run(job)
            except Exception as fault:  # one job's failure must not end those behind it
                log.exception("job %s (%s) broke", job.id, job.kind)
                error = " ".join(str(fault).split()) or type(fault).__name__
            with self._news:
                if self._child is not None:
                    self._child.kill()
                self._child = None
                self._conclude(job, error)
                self._running = None
                self._news.notify_all()
            self._tell(job)

    def _run(self, job: Job) -> str | None:
        """Run a job's process to its end; why it failed, None if it did not."""
        task, folder, pace = self._tasks[job.id], self.folder / job.id, Pace()
        with self._news:
            if self._cancelled or self._closed:
                return STOPPED
            self._child = child = Child(task.command)
            job.state, job.started, job.step = "running", time.time(), "starting"
            write_job(folder, job, child.pid)
        self._tell(job)
        for step in child.steps():
            with self._news:
                job.step, job.progress = step
                job.left = pace.left(step)
            self._tell(job)
        error = child.wait()
        for path, shown in task.shown.items():
            error = error and error.replace(path, shown)
        return error

    def _conclude(self, job: Job, error: str | None) -> None:
        """Take over what a process has made; a cancelled fit's model never takes its place."""
        task, folder = self._tasks[job.id], self.folder / job.id
        try:
            job.result = take_over(folder, task, whole=not error and not self._cancelled)
        except OSError as fault:
            error = f"cannot write {fault.filename2 or fault.filename} ({fault.strerror})"
        if self._cancelled:
            self._finish(job, "cancelled")
        elif error:
            self._finish(job, "failed", STOPPED if self._closed else error)
        else:
            self._finish(job, "done")

    def _finish(self, job: Job, state: State, error: str | None = None) -> None:
        """Make ``state`` a job's last one, and free what it no longer needs."""
        job.state, job.ended, job.step, job.left = state, time.time(), "", None
        job.error = error if state == "failed" else None
        job.progress = 1.0 if state == "done" else job.progress
        self._tasks.pop(job.id, None)
        with contextlib.suppress(OSError):  # the next pruning tries again
            clear(self.folder / job.id)
        write_job(self.folder / job.id, job)
        if error and state == "failed":
            log.warning("job %s (%s) failed: %s", job.id, job.kind, error)

    def _tell(self, job: Job) -> None:
        if self._changed is None or self._closed:
            return
        with self._news:
            now = replace(job)
        try:
            self._changed(now)
        except Exception:
            log.exception("telling of job %s", job.id)

    def _read_left(self) -> None:
        """The jobs of an earlier server; what it left unfinished is failed, and ends."""
        for job, pid in read_jobs(self.folder):
            self._jobs[job.id] = job
            if not job.finished:
                if pid is not None:
                    kill_left(pid, str(self.folder / job.id))
                self._finish(job, "failed", STOPPED)
