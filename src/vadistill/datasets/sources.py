"""Videos and frame folders on disk: finding them, and how many frames they really have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vadistill.errors import DataError
from vadistill.video import PICTURES, FileSource, count_frames, natural_key, open_video

VIDEOS = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
"""Endings by which a video file is recognised among others, in any case."""


def entries(folder: Path) -> list[Path]:
    """What a folder holds, in natural order and without hidden files; empty if it is no folder.

    Raises DataError where it may not be read.
    """
    if not folder.is_dir():
        return []
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"cannot list {folder} ({error.strerror})",
            expected="a folder that may be read",
            fix="change its permissions, or copy it elsewhere",
        ) from error
    return sorted(found, key=lambda path: natural_key(path.name))


def folders(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.is_dir()]


def pictures(folder: Path) -> list[Path]:
    """The pictures of a frame folder, exactly those that ``open_video`` shows and in its order."""
    return [path for path in entries(folder) if path.name.lower().endswith(PICTURES)]


def video_files(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if is_video(path)]


def is_video(path: Path) -> bool:
    return path.name.lower().endswith(VIDEOS) and path.is_file()


def named(folder: Path, *names: str) -> Path | None:
    """The sub-folder that has one of these lower-case names, in any case; the first name wins."""
    by_name = {path.name.lower(): path for path in reversed(folders(folder))}
    return next((by_name[name] for name in names if name in by_name), None)


def frame_count(source: Path) -> int:
    """Frames that ``open_video(source)`` yields; a file is only decoded where nothing else tells.

    Raises VideoError.
    """
    if source.is_dir():
        return len(pictures(source))
    return count_frames(open_video(source))


def frame_times(source: Path) -> Float64[np.ndarray, " t"]:
    """Seconds of each frame; a file's own, so a variable rate is followed.

    Raises VideoError.
    """
    video = open_video(source)
    if isinstance(video, FileSource):
        return video.times()
    return np.array([frame.time for frame in video], np.float64)
