"""Video in and out: files, frame folders and arrays as one stream of frames, and an MP4 writer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vadistill.errors import VideoError
from vadistill.video.base import (
    DEFAULT_FPS,
    PICTURES,
    Frame,
    VideoInfo,
    VideoSource,
    check_fps,
)
from vadistill.video.files import FileSource
from vadistill.video.pictures import ArraySource, FolderSource, natural_key
from vadistill.video.writer import VideoWriter

__all__ = [
    "DEFAULT_FPS",
    "PICTURES",
    "ArraySource",
    "FileSource",
    "FolderSource",
    "Frame",
    "VideoInfo",
    "VideoSource",
    "VideoWriter",
    "count_frames",
    "natural_key",
    "open_video",
]


def open_video(
    source: str | Path | np.ndarray | Sequence[np.ndarray],
    *,
    name: str | None = None,
    fps: float | int | None = None,
) -> VideoSource:
    """A video file, a folder of pictures, or pixels in memory as a stream of frames.

    ``source``: a path, or uint8 pixels (t, h, w, 3) RGB or (t, h, w) grey, also as a sequence of
    frames.  ``name`` replaces the stem.  ``fps`` (default 25) is for sources that do not tell it;
    a file's own rate stands.  Raises VideoError, and ConfigError for an impossible ``fps``.
    """
    if fps is not None:
        check_fps(fps)
    if not isinstance(source, str | Path):
        return ArraySource(source, name=name, fps=fps)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/{1,2}[^/]", str(source)):
        raise VideoError(
            f"'{source}' is a network address",
            expected="a file or a folder of pictures",
            fix="record it to a file first: live streams are not read in this version",
        )
    try:
        Path(source).stat()
        kind = FolderSource if source != "" and Path(source).is_dir() else FileSource
    except (OSError, ValueError) as error:
        raise VideoError(
            f"cannot find '{source}' ({getattr(error, 'strerror', None) or error})",
            expected="a video file or a folder of pictures",
            fix="check the path",
        ) from error
    return kind(Path(source), name=name, fps=fps)


def count_frames(source: VideoSource) -> int:
    """The number of frames of ``source``, without converting them.

    A file's packets are counted where container and codec keep one picture in each (a damaged
    picture inside then counts too); any other file is decoded.  Raises VideoError, also for a file
    that is cut short.
    """
    if isinstance(source, FileSource):
        return source.count()
    return len(source) if isinstance(source, FolderSource | ArraySource) else sum(1 for _ in source)
