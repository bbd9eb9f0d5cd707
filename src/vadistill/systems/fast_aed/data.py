"""What the student sees: windows of frames at its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, UInt8

from vadistill.datasets.sampling import ClipArrays, Sample, clip_names
from vadistill.files import replacing
from vadistill.video import Frame

if TYPE_CHECKING:
    from vadistill.datasets import Dataset

Size = tuple[int, int]
"""Height and width in pixels."""


def fit_size(width: int, height: int, widest: int) -> Size:
    """The size that the student sees of a video: at most ``widest`` wide, of even sides."""
    scale = min(1.0, widest / width)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


def enlarged(size: Size, times: float | int) -> Size:
    """A size so many times as large, of even sides."""
    return round(size[0] * times / 2) * 2, round(size[1] * times / 2) * 2


def resized(image: UInt8[np.ndarray, "_ _ 3"], size: Size) -> UInt8[np.ndarray, "h w 3"]:
    """A frame at the student's size; shrinking averages areas."""
    import cv2

    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] * image.shape[1] > size[0] * size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=how), np.uint8)


def planes(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "3 h w"]:
    """The colours of a frame, one after the other."""
    import cv2

    return np.stack(cv2.split(image))


def windows_at(windows: UInt8[np.ndarray, "n c _ _"], size: Size) -> UInt8[np.ndarray, "n c h w"]:
    """Windows whose frames have a size."""
    if windows.shape[2:] == size:
        return windows
    made = np.empty((*windows.shape[:2], *size), np.uint8)
    for window, into in zip(windows, made, strict=True):
        for place in range(0, len(window), 3):
            frame = np.ascontiguousarray(window[place : place + 3].transpose(1, 2, 0))
            into[place : place + 3] = planes(resized(frame, size))
    return made


HURRIES = (2, 3)
"""How much faster everything moves in hurried windows; 3 is T1's gap for pseudo-abnormal motion."""


class WindowStore:
    """The windows of some training frames, in order, memory-mapped."""

    def __init__(self, folder: Path, clips: Sequence[str]) -> None:
        stems = [folder / clip for clip in clips]
        places = [np.load(f"{stem}.places.npy") for stem in stems]
        frames = [int(p.max()) + 1 if p.size else 0 for p in places]
        starts = np.cumsum([0, *frames])
        self._frames = ClipArrays(stems, frames)
        moved = [p + start for p, start in zip(places, starts[:-1], strict=True)]
        self._places: Int[np.ndarray, "n paces t"] = np.concatenate(moved)
        self.counts = [len(p) for p in places]
        """Windows of each clip."""

    def __len__(self) -> int:
        return len(self._places)

    def windows(
        self, rows: Int[np.ndarray, " n"], paces: Int[np.ndarray, " n"] | None = None
    ) -> UInt8[np.ndarray, "n c h w"]:
        """Windows as the student takes them: RGB of every frame in turn, c = 3 a frame.

        Of pace i, above 0, are those whose frames are ``HURRIES[i - 1]`` times as far apart.
        """
        places = self._places[rows, 0 if paces is None else paces]
        frames = self._frames.gather("frames", places.ravel())
        stacked = frames.reshape(*places.shape, *frames.shape[1:])
        return np.ascontiguousarray(stacked.transpose(0, 1, 4, 2, 3)).reshape(
            len(rows), -1, *frames.shape[1:3]
        )


class WindowFiles:
    """Writes the frames that the kept windows of each video need, as they are and hurried.

    A neighbour beyond a video's end is the window's own frame, as in scoring.
    """

    def __init__(
        self, train: Dataset, folder: Path, *, sample: Sample, offsets: Sequence[int], size: Size
    ) -> None:
        self.folder, self.sample, self.size = folder, sample, size
        self.names = clip_names(train)
        self.reached = [pace * o for pace in (1, *HURRIES) for o in offsets]
        self._shape = (1 + len(HURRIES), len(offsets))
        folder.mkdir(parents=True, exist_ok=True)

    def _file(self, number: int, kind: str) -> Path:
        return self.folder / f"{self.names[number]}.{kind}.npy"

    def is_complete(self, number: int) -> bool:
        """Whether video ``number`` need not be done again."""
        return self._file(number, "places").exists()

    @contextmanager
    def recording(self, number: int) -> Iterator[Callable[[Frame], None]]:
        """Take every frame of video ``number``, in order; write its windows at the end.

        How many frames there are is counted, as in a teacher's maps: containers may tell another
        number.
        """
        place: dict[int, int] = {}
        total = 0
        keeps = partial(self.sample.keeps, number)
        with replacing(self._file(number, "frames")) as temporary, temporary.open("wb") as file:

            def head() -> None:
                # NumPy leaves room in the head for the first side to grow.
                described = {"descr": "|u1", "fortran_order": False}
                shape = (len(place), *self.size, 3)
                np.lib.format.write_array_header_1_0(file, {**described, "shape": shape})

            def take(frame: Frame) -> None:
                nonlocal total
                total = frame.index + 1
                windows = (frame.index - o for o in self.reached)
                if keeps(frame.index) or any(t >= 0 and keeps(t) for t in windows):
                    place[frame.index] = len(place)
                    file.write(np.ascontiguousarray(resized(frame.image, self.size)).data)

            head()
            yield take
            file.seek(0)
            head()
        kept = [t for t in range(total) if keeps(t)]
        needed = [[t + o if 0 <= t + o < total else t for o in self.reached] for t in kept]
        places = np.array([[place[i] for i in row] for row in needed], np.int64)
        with replacing(self._file(number, "places")) as temporary:  # last: it is complete
            np.save(temporary, places.reshape(len(kept), *self._shape))

    def open(self) -> WindowStore:
        """All windows, once every video is complete."""
        return WindowStore(self.folder, self.names)
