"""Frame folders and arrays in memory as video."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import VideoError
from vadistill.video.base import DEFAULT_FPS, PICTURES, Frame, VideoInfo, VideoSource


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """A sort key that reads runs of digits as numbers: ``frame2`` comes before ``frame10``."""
    parts = re.split(r"(\d+)", name)
    return tuple(int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)), name


class FolderSource(VideoSource):
    """The pictures of a folder, in natural order, as one video; raises VideoError.

    Grey, palette and 16-bit pictures become 8-bit RGB (the high byte of 16).  Hidden files and
    files of other kinds are passed over.  All pictures must have the size of the first.
    """

    def __init__(
        self, path: Path, *, name: str | None = None, fps: float | int | None = None
    ) -> None:
        found = [e.name for e in path.iterdir() if e.name.lower().endswith(PICTURES)]
        self._names = sorted((n for n in found if not n.startswith(".")), key=natural_key)
        if not self._names:
            raise VideoError(
                f"no pictures in {path}",
                expected=f"files ending in {', '.join(PICTURES)}",
                fix="give the folder that holds the frames themselves, or a video file",
            )
        self.path = path
        height, width, _ = _read_picture(path / self._names[0]).shape
        name = name or path.absolute().name
        self.info = VideoInfo(name, width, height, float(fps or DEFAULT_FPS), len(self), path)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Frame]:
        for index, name in enumerate(self._names):
            image = _read_picture(self.path / name)
            if image.shape != (self.info.height, self.info.width, 3):
                raise VideoError(
                    f"{self.path / name} is {image.shape[1]}x{image.shape[0]} pixels",
                    expected=f"{self.info.width}x{self.info.height} like {self._names[0]}",
                    fix="keep one video's frames in a folder, all of one size",
                )
            yield Frame(index, index / self.info.fps, image)


def _read_picture(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    import cv2

    with contextlib.suppress(OSError, cv2.error):
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is not None:
            return image
    raise VideoError(
        f"{path} cannot be read as a picture", expected="a whole picture", fix="replace the file"
    )


class ArraySource(VideoSource):
    """Frames in memory: uint8, (t, h, w, 3) RGB or (t, h, w) grey, or a sequence of frames.

    Frames are copies: what is done to them leaves the given pixels alone.  Raises VideoError.
    """

    def __init__(
        self,
        frames: np.ndarray | Sequence[np.ndarray],
        *,
        name: str | None = None,
        fps: float | int | None = None,
    ) -> None:
        if not isinstance(frames, np.ndarray | Sequence) or len(frames) == 0:
            raise VideoError(
                f"{type(frames).__name__} input without frames",
                expected="a path, a uint8 array (t, h, w, 3) or a sequence of frames",
                fix="pass at least one frame",
            )
        shape = np.shape(frames[0])
        for index, frame in enumerate(map(np.asarray, frames)):
            shaped = frame.shape == shape and frame.size and shape[2:] in ((), (3,))
            if frame.dtype != np.uint8 or not shaped or len(shape) < 2 or shape[1:] == (3,):
                raise VideoError(
                    f"frame {index} is {frame.dtype} of shape {frame.shape}",
                    expected="uint8 (h, w, 3) RGB or (h, w) grey from 0 to 255, all of one shape",
                    fix="pass an array (t, h, w, 3), scaled and converted with .astype(np.uint8)",
                )
        self._frames = frames
        height, width = shape[:2]
        self.info = VideoInfo(
            name or "array", width, height, float(fps or DEFAULT_FPS), len(frames)
        )

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        shape = (self.info.height, self.info.width, 3)
        for index, frame in enumerate(map(np.asarray, self._frames)):
            pixels = frame if frame.ndim == 3 else frame[..., None]
            yield Frame(index, index / self.info.fps, np.broadcast_to(pixels, shape).copy())
