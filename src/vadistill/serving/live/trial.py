"""A first look at a source, before it is watched."""

from __future__ import annotations

import base64
from typing import Any

from vadistill.drawing import to_jpeg
from vadistill.errors import VideoError
from vadistill.video import LiveSource, is_live, open_video, redacted

TIMEOUT = 8.0
"""Seconds that a camera may take to answer."""


def try_source(address: str) -> dict[str, Any]:
    """``width``, ``height``, ``fps`` and a ``picture`` (a data: address) of a source.

    Raises VideoError where it cannot be reached or shows nothing.
    """
    source = LiveSource(address, timeout=TIMEOUT) if is_live(address) else open_video(address)
    try:
        first = next(iter(source), None)
    finally:
        if isinstance(source, LiveSource):
            source.close()
    if first is None:
        raise VideoError(
            f"{redacted(address)} ended without a picture", expected="video", fix="check the camera"
        )
    picture = base64.b64encode(to_jpeg(first.image)).decode()
    info = source.info
    return {
        "width": info.width,
        "height": info.height,
        "fps": info.fps,
        "picture": f"data:image/jpeg;base64,{picture}",
    }
