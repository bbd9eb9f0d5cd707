"""Recordings that are too old or too much, and those that nobody wants any more."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping
from pathlib import Path

from vadistill.serving.storage.room import used


def prune_recordings(
    folder: Path, hours: Mapping[str, float], now: float, *, others: bool = True
) -> int:
    """Remove files that ended more than a camera's ``hours`` before ``now``; how many.

    With ``others``, all files go of cameras that it does not name, with their folders.  Raises
    OSError for what cannot be removed, once all else is done.
    """
    removed, fault = 0, None
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if place.is_symlink() or not place.is_dir() or not (others or place.name in hours):
            continue
        try:
            removed += _prune(place, hours.get(place.name), now)
        except OSError as error:
            fault = error
    if fault is not None:
        raise fault
    return removed


def _prune(place: Path, hours: float | None, now: float) -> int:
    """Remove a camera's files that are older, or all of them; how many."""
    removed, fault = 0, None
    for path in sorted(place.iterdir()):
        if path.suffix != ".mkv" and (hours is not None or path.suffix != ".part"):
            continue
        try:
            if hours is None or path.stat().st_mtime < now - 3600 * hours:
                path.unlink(missing_ok=True)
                removed += 1
        except FileNotFoundError:
            pass
        except OSError as error:
            fault = error
    if fault is not None:
        raise fault
    if hours is None:
        with contextlib.suppress(OSError):  # others' files are in it
            place.rmdir()
    return removed


def trim_recordings(folder: Path, keep: int, *, cameras: Container[str] | None = None) -> int:
    """Remove the oldest files until ``keep`` bytes of recordings are left; how many.

    Of ``cameras`` alone, if they are given.  Files that are being written count, and stay.  Raises
    OSError for what cannot be removed, once all else is done.
    """
    excess = used(folder) - keep
    removed, fault = 0, None
    for path in sorted(folder.glob("*/*.mkv"), key=lambda path: path.name) if excess > 0 else ():
        if cameras is not None and path.parent.name not in cameras:
            continue
        try:
            size = path.lstat().st_size
            path.unlink()
            removed, excess = removed + 1, excess - size
        except FileNotFoundError:
            continue
        except OSError as error:
            fault = error
        if excess <= 0:
            break
    if fault is not None:
        raise fault
    return removed
