"""Video in and out: files, frame folders, cameras and arrays as frames, and an MP4 writer.

Imports the modules of the bottom row alone: addresses, errors, files, limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vadistill.addresses import Address, is_live, redacted
from vadistill.errors import VideoError
from vadistill.video.base import (
    DEFAULT_FPS,
    PICTURES,
    Frame,
    Stretch,
    VideoInfo,
    VideoSource,
    check_fps,
)
from vadistill.video.files import FileSource
from vadistill.video.live import LiveSource
from vadistill.video.pictures import (
    ArraySource,
    FolderSource,
    decode_picture,
    natural_key,
    read_picture,
)
from vadistill.video.polygons import Covered, Polygon, covered, inside, painted, read_masks
from vadistill.video.writer import VideoWriter

__all__ = [
    "DEFAULT_FPS",
    "PICTURES",
    "Address",
    "ArraySource",
    "Covered",
    "FileSource",
    "FolderSource",
    "Frame",
    "LiveSource",
    "Polygon",
    "Stretch",
    "VideoInfo",
    "VideoSource",
    "VideoWriter",
    "count_frames",
    "covered",
    "decode_picture",
    "inside",
    "is_live",
    "natural_key",
    "open_video",
    "painted",
    "read_masks",
    "read_picture",
    "redacted",
]


def open_video(
    source: str | Path | Address | np.ndarray | Sequence[np.ndarray],
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
    if not isinstance(source, str | Path | Address):
        return ArraySource(source, name=name, fps=fps)
    address = source if isinstance(source, Address) else Address(str(source))
    if address.scheme or address.is_live:
        return LiveSource(address, name=name)
    text = address.reveal()
    try:
        Path(text).stat()
        kind = FolderSource if text != "" and Path(text).is_dir() else FileSource
    except (OSError, ValueError) as error:
        raise VideoError(
            f"cannot find '{address}' ({getattr(error, 'strerror', None) or error})",
            expected="a video file or a folder of pictures",
            fix="check the path",
        ) from None  # It would show a password.
    return kind(Path(text), name=name, fps=fps)


def count_frames(source: VideoSource) -> int:
    """The number of frames of ``source``, without converting them.

    A file's packets are counted where container and codec keep one picture in each; any other file
    is decoded.  Damaged pictures count too, where they are noticed.  Raises VideoError, also for a
    file that is cut short.
    """
    if isinstance(source, Covered):
        return count_frames(source.source)
    if isinstance(source, FileSource):
        return source.count()
    return len(source) if isinstance(source, FolderSource | ArraySource) else sum(1 for _ in source)
