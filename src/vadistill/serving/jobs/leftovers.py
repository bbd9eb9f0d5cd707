"""What finished jobs no longer need, and when it goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from vadistill.serving.jobs.job import FOOTAGE, MODEL, UPLOAD, Job


def clear(folder: Path) -> None:
    """Delete a finished job's copies of videos and of its model; raises OSError for an upload."""
    for name in (FOOTAGE, MODEL):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in folder.glob(f"{UPLOAD}*"):
        path.unlink(missing_ok=True)


def prune_jobs(folder: Path, jobs: Iterable[Job]) -> None:
    """Clear the finished jobs that could not be when they ended; raises OSError."""
    for job in jobs:
        if job.finished:
            clear(folder / job.id)
