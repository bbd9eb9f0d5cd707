"""How the bytes that may be kept are shared by what takes them."""

from __future__ import annotations

import os
from pathlib import Path


def used(*folders: Path) -> int:
    """Bytes of all files in folders and theirs; one that has several names there counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                try:
                    stat = os.lstat(os.path.join(place, name))
                except OSError:  # gone meanwhile
                    continue
                sizes[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(sizes.values())


def for_uploads(keep: int) -> int:
    """Bytes that uploads and jobs may have of ``keep``: half of them."""
    return keep // 2


def for_recordings(keep: int, jobs: int, clips: int) -> int:
    """Bytes that recordings may have: all that jobs and clips leave, and half of the rest at least.

    So recordings go before clips, but clips do not push them all out.
    """
    rest = _rest(keep, jobs)
    return max(rest - clips, rest // 2)


def for_clips(keep: int, jobs: int, recordings: int) -> int:
    """Bytes that clips and pictures may have beside what is left of recordings."""
    rest = _rest(keep, jobs)
    return rest - min(recordings, (rest + 1) // 2)


def _rest(keep: int, jobs: int) -> int:
    """Bytes beside jobs, which go by themselves: no upload pushes out more than its half."""
    return keep - min(jobs, for_uploads(keep))
