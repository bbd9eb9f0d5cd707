"""Training windows of the student: frames at its size, kept on disk, each frame once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, UInt8

from vadistill.datasets.sampling import ClipArrays, Sample, clip_names
from vadistill.files import replacing
from vadistill.progress import progress

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Video

Size = tuple[int, int]
"""Height and width in pixels."""


def fit_size(width: int, height: int, widest: int) -> Size:
    """The size that the student sees of a video: at most ``widest`` wide, of even sides."""
    scale = min(1.0, widest / width)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


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


def learn_windows(
    train: Dataset, folder: Path, *, sample: Sample, offsets: Sequence[int], size: Size
) -> WindowStore:
    """Write the frames that the kept windows need, as they are and hurried.

    A clip that is complete is not done again.  A neighbour beyond a video's end is the window's own
    frame, as in scoring.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = clip_names(train)
    with progress("frames", len(names)) as advance:
        for number, (clip, name) in enumerate(zip(train, names, strict=True)):
            if not (folder / f"{name}.places.npy").exists():
                # Decoded, as a teacher's maps are: containers may tell another number.
                total = sum(1 for _ in clip.open())
                kept = [i for i in range(total) if sample.keeps(number, i)]
                _write_clip(clip, folder / name, kept, total, offsets, size)
            advance(note=clip.name)
    return WindowStore(folder, names)


def _write_clip(
    clip: Video, stem: Path, kept: Sequence[int], total: int, offsets: Sequence[int], size: Size
) -> None:
    reached = [pace * o for pace in (1, *HURRIES) for o in offsets]
    needed = [[t + o if 0 <= t + o < total else t for o in reached] for t in kept]
    place = {index: row for row, index in enumerate(sorted({i for row in needed for i in row}))}
    shape = (len(place), *size, 3)
    with replacing(stem.with_name(f"{stem.name}.frames.npy")) as temporary:
        frames = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        for frame in clip.open():
            if (row := place.get(frame.index)) is not None:
                frames[row] = resized(frame.image, size)
        frames.flush()
    places = np.array([[place[i] for i in row] for row in needed], np.int64)
    with replacing(stem.with_name(f"{stem.name}.places.npy")) as temporary:  # last: it is complete
        np.save(temporary, places.reshape(len(kept), 1 + len(HURRIES), len(offsets)))
