"""Small H.264 films in memory, for a page that shows single frames of them."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8

WIDEST = 360
"""Films are at most this many pixels wide."""

GROUP = 12
"""Frames from one key frame to the next: what a browser decodes at most to show one frame."""

QUALITY = 24
"""x264's constant rate factor, where the bytes allow it."""


def film_size(width: int, height: int) -> tuple[int, int]:
    """Even width and height of the film of a video."""
    factor = min(1.0, WIDEST / width)
    even = (max(2, 2 * round(side * factor / 2)) for side in (width, height))
    wide, tall = even
    return wide, tall


class Film:
    """Frame j is shown from j / rate seconds on: no edit list, no frames out of order.

    ``size`` bytes are kept for ``frames`` frames by a rate limit (VBV), which only noise that is
    coarser at x264's lowest quality can break.
    """

    def __init__(self, width: int, height: int, rate: Fraction, frames: int, size: int) -> None:
        import av

        self.width, self.height, self.rate, self.frames = width, height, rate, 0
        self._bytes = io.BytesIO()
        self._container = av.open(self._bytes, "w", format="mp4")
        # A buffer of one group may be spent at once, so it counts as frames of its own.
        limit = max(1000, int(8 * size / (frames + GROUP) * float(rate)))
        options = {
            "crf": str(QUALITY),
            "preset": "fast",
            "bf": "0",
            "g": str(GROUP),
            "maxrate": str(limit),
            "bufsize": str(max(1000, int(limit * GROUP / float(rate)))),
        }
        self._stream = self._container.add_stream("libx264", rate, options)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        # One thread: the same frames give the same bytes.
        self._stream.codec_context.thread_count = 1
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1

    def write(self, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
        """Append one picture of any size."""
        import av
        import cv2

        size = (self.width, self.height)
        if rgb.shape[1::-1] != size:
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb)).reformat(
            format="yuv420p", dst_colorspace="itu709", dst_color_range="MPEG", threads=1
        )
        picture.pts, picture.time_base = self.frames, 1 / self.rate
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def close(self) -> bytes:
        """The whole MP4."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._bytes.getvalue()
