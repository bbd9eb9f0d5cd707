"""Frame folders and arrays in memory as video."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import VideoError
from vadistill.video.base import DEFAULT_FPS, PICTURES, Frame, VideoInfo, VideoSource
from vadistill.video.bounds import unfit

ORIENTATION = 0x0112
"""The EXIF tag of which 5 to 8 lay a picture on its side."""


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
        height, width, _ = read_picture(path / self._names[0]).shape
        name = name or path.absolute().name
        self.info = VideoInfo(name, width, height, float(fps or DEFAULT_FPS), len(self), path)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Frame]:
        for index, name in enumerate(self._names):
            image = read_picture(self.path / name)
            if image.shape != (self.info.height, self.info.width, 3):
                raise VideoError(
                    f"{self.path / name} is {image.shape[1]}x{image.shape[0]} pixels",
                    expected=f"{self.info.width}x{self.info.height} like {self._names[0]}",
                    fix="keep one video's frames in a folder, all of one size",
                )
            yield Frame(index, index / self.info.fps, image)


def read_picture(path: Path, flags: int | None = None) -> np.ndarray:
    """A picture file as ``decode_picture`` gives it; raises VideoError that says what is wrong.

    Names need not be UTF-8, which OpenCV's own reader of files does not survive.
    """
    try:
        if not path.is_file():
            raise ValueError("no file" if not path.exists() else "a folder, pipe or device")
        return decode_picture(np.fromfile(path, np.uint8), flags)
    except (OSError, ValueError) as error:
        raise VideoError(
            f"{path} cannot be read as a picture ({getattr(error, 'strerror', None) or error})",
            expected="a whole picture",
            fix="replace the file",
        ) from error


def decode_picture(data: UInt8[np.ndarray, " n"], flags: int | None = None) -> np.ndarray:
    """An encoded picture, by default as RGB (h, w, 3); ``flags`` are those of ``cv2.imdecode``.

    It is upright, as its EXIF orientation tells, whatever the flags.

    Raises ValueError for what is no whole picture, or has more pixels than are decoded.
    """
    import cv2

    reason = unfit(data)
    if not reason:
        with contextlib.suppress(cv2.error):
            image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB if flags is None else flags)
            if image is not None and flags == cv2.IMREAD_UNCHANGED:
                return turned(image, orientation(data))
            if image is not None:
                return image
    raise ValueError(reason or "damaged")


def orientation(data: UInt8[np.ndarray, " n"]) -> int:
    """EXIF's, 1 to 8, of an encoded PNG or JPEG; 1 of others, which their decoders turn."""
    from PIL import Image

    with contextlib.suppress(Exception), Image.open(io.BytesIO(bytes(data))) as picture:
        told = picture.getexif().get(ORIENTATION, 1)
        if picture.format in ("PNG", "JPEG") and told in range(1, 9):
            return told
    return 1


def turned(image: np.ndarray, told: int) -> np.ndarray:
    """A picture upright that lies as EXIF's orientation tells, 1 to 8."""
    image = image.swapaxes(0, 1) if told >= 5 else image
    rows, columns = (-1 if told in which else 1 for which in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return np.ascontiguousarray(image[::rows, ::columns])


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
