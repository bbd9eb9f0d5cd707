"""Video in and out: files, frame folders, cameras and arrays as frames, and an MP4 writer.

Imports the modules of the bottom row alone: errors, files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vadistill.errors import VideoError
from vadistill.video.addresses import ADDRESS, is_live, redacted
from vadistill.video.base import (
    DEFAULT_FPS,
    PICTURES,
    Frame,
    VideoInfo,
    VideoSource,
    check_fps,
)
from vadistill.video.files import FileSource
from vadistill.video.live import LiveSource
from vadistill.video.pictures import ArraySource, FolderSource, natural_key
from vadistill.video.writer import VideoWriter

__all__ = [
    "DEFAULT_FPS",
    "PICTURES",
    "ArraySource",
    "FileSource",
    "FolderSource",
    "Frame",
    "LiveSource",
    "VideoInfo",
    "VideoSource",
    "VideoWriter",
    "count_frames",
    "is_live",
    "natural_key",
    "open_video",
    "redacted",
]


def open_video(
    source: str | Path | np.ndarray | Sequence[np.ndarray],
    *,
    name: str | None = None,
    fps: float | int | None = None,
) -> VideoSource:
    """A video file, a folder of pictures, a live stream, or pixels in memory as a stream of frames.

    ``source``: a path, an address (rtsp, rtsps, http, https), 'webcam:0', '/dev/video0', or uint8
    pixels (t, h, w, 3) RGB or (t, h, w) grey, also as a sequence of frames.  ``name`` replaces the
    stem.  ``fps`` (default 25) is for files and pixels that do not tell it; a file's own rate
    stands.  Raises VideoError, and ConfigError for an impossible ``fps``.
    """
    if fps is not None:
        check_fps(fps)
    if not isinstance(source, str | Path):
        return ArraySource(source, name=name, fps=fps)
    # A Path has lost one of an address's two strokes.
    address = ADDRESS.sub(r"\1://", str(source), count=1)
    if ADDRESS.match(address) or is_live(address):
        return LiveSource(address, name=name)
    try:
        Path(source).stat()
        kind = FolderSource if source != "" and Path(source).is_dir() else FileSource
    except (OSError, ValueError) as error:
        raise VideoError(
            f"cannot find '{redacted(str(source))}' ({getattr(error, 'strerror', None) or error})",
            expected="a video file or a folder of pictures",
            fix="check the path",
        ) from None  # It would show a password.
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
