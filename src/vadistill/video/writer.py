"""Writing MP4s that browsers play."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import ConfigError, VideoError, WeightsError
from vadistill.files import replacing
from vadistill.video.base import check_fps

TICK = Fraction(1, 90_000)
"""Unit of the times of pictures that come with their own."""

ENCODING = {"crf": "20", "preset": "fast", "x264-params": "mbtree=0"}
"""Of libx264, whose macroblock tree gives other files for the same pictures, one thread or many."""


class VideoWriter:
    """Writes an H.264 MP4 that browsers play: ``with VideoWriter(path, w, h, fps) as writer``.

    Odd sizes are padded to even by repeating the edge.  The same pictures make the same file, with
    the same libx264 on the same processor.  The file takes its place only when the
    block ends well; otherwise nothing is left behind and an older file stays.

    Raises ConfigError for a name that does not end in .mp4 and a size or rate that cannot be;
    VideoError for a frame of another size, no frames at all, or a disk that cannot be written.
    """

    def __init__(
        self, path: str | Path, width: int, height: int, fps: float | int | Fraction
    ) -> None:
        check_fps(fps)
        if Path(path).suffix.lower() != ".mp4" or min(width, height) < 1:
            raise ConfigError(
                f"a video of {width}x{height} pixels as '{Path(path).name}'",
                expected="a name ending in .mp4 and a size of 1x1 or more",
                fix="correct it",
            )
        self.path, self.width, self.height, self.frames = Path(path), width, height, 0
        self._last = -1
        self.fps = fps if isinstance(fps, Fraction) else Fraction(fps).limit_denominator(1001)

    def __enter__(self) -> VideoWriter:
        self._block = self._opened()
        self._block.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # The block's own error is not handed on: it must not be taken for one of writing.
        end = None if error is None else GeneratorExit()
        self._block.__exit__(end and GeneratorExit, end, None)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        import av

        faststart = {"movflags": "faststart"}
        with (
            self._explained(),
            replacing(self.path) as file,
            av.open(f"file:{file}", "w", format="mp4", options=faststart) as container,
        ):
            stream = container.add_stream("libx264", self.fps, ENCODING)
            stream.width = self.width + self.width % 2
            stream.height = self.height + self.height % 2
            stream.pix_fmt = "yuv420p"
            # BT.709 in limited range, by name: players guess from the size where a file is silent.
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = 1
            context.color_range = 1
            self._context, self._tick = context, 1 / self.fps
            self._encode = lambda picture: container.mux(stream.encode(picture))
            yield
            if self.frames == 0:
                raise VideoError(
                    f"no frames for {self.path}", expected="at least one", fix="write some"
                )
            self._encode(None)

    def write(self, rgb: UInt8[np.ndarray, "h w 3"], time: float | None = None) -> None:
        """Append one RGB picture, shown from ``time`` in seconds on; raises VideoError.

        All pictures have a time or none has; without, they follow each other at ``fps``.
        """
        import av

        if rgb.shape != (self.height, self.width, 3) or rgb.dtype != np.uint8:
            raise VideoError(
                f"frame {self.frames} for {self.path.name} is {rgb.dtype} {rgb.shape}",
                expected=f"uint8 {(self.height, self.width, 3)}",
                fix="resize the frame or open the writer with its size",
            )
        padded = np.pad(rgb, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(padded).reformat(
            format="yuv420p", dst_colorspace="itu709", dst_color_range="MPEG", threads=1
        )
        stamp = self.frames
        if time is not None:
            if self.frames == 0:
                self._context.time_base = self._tick = TICK
            stamp = max(round(time / self._tick), self._last + 1)
        self._last = stamp
        picture.pts, picture.time_base = stamp, self._tick
        with self._explained():
            self._encode(picture)
        self.frames += 1

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from av.error import FFmpegError

        try:
            yield
        except (FFmpegError, OSError, WeightsError) as error:
            raise VideoError(
                f"cannot write {self.path} ({getattr(error, 'strerror', None) or error})",
                expected="a writable folder with enough free space",
                fix="free some space or choose another path; an older file there is unchanged",
            ) from error
