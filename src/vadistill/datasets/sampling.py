"""Which clips are held out, which frames are kept, and arrays of them on disk, one file a clip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Int

from vadistill.datasets.base import Dataset, Video
from vadistill.datasets.snippets import FeatureSource
from vadistill.errors import DataError
from vadistill.files import content_hash, write_json
from vadistill.video import Frame, VideoSource, count_frames

PIECE = 100
"""Frames of a piece of a long video, about."""


def held_out_groups(
    groups: Sequence[str], labels: Sequence[int], *, share: float = 0.3, seed: int = 0
) -> set[str]:
    """About ``share`` of the groups of clips, for testing: both labels lie in and outside of them.

    Of 200 seeded draws, the one whose clips of either label come nearest to ``share``.  Raises
    DataError where no draw parts both labels.
    """
    names, of_clip = np.unique(np.array(groups), return_inverse=True)
    label = np.array(labels)
    totals = np.array([(label == value).sum() for value in (0, 1)])
    count = min(max(1, round(share * len(names))), len(names) - 1)
    rng = np.random.default_rng(seed)
    best, chosen = np.inf, None
    for _ in range(200):
        draw = rng.permutation(len(names))[:count]
        inside = label[np.isin(of_clip, draw)]
        counts = np.array([(inside == value).sum() for value in (0, 1)])
        if count and (counts > 0).all() and (counts < totals).all():
            miss = float(np.abs(counts / totals - share).sum())
            if miss < best:
                best, chosen = miss, draw
    if chosen is None:
        raise DataError(
            f"the {len(names)} sources of {len(label)} labelled clips cannot be split",
            expected="normal and abnormal clips of at least two sources each",
            fix="label more sources, or lay the clips out in train/ and test/",
        )
    return set(names[chosen].tolist())


@dataclass(frozen=True)
class Sample:
    """Evenly spaced frames of a whole data set: the same share of every clip."""

    starts: tuple[int, ...]
    """Number in the whole set of each clip's first frame; zeros where all frames are kept."""
    share: float

    @classmethod
    def of(cls, train: Dataset, frames: int | None, work: Path | None = None) -> Sample:
        """``frames`` of the whole set, or all (None); lengths are remembered in ``work``."""
        if frames is None:
            return cls((0,) * len(train), 1.0)
        lengths = known_lengths(train, work)
        starts = tuple(int(start) for start in np.cumsum([0, *lengths[:-1]]))
        return cls(starts, min(1.0, frames / max(1, sum(lengths))))

    @property
    def keeps_all(self) -> bool:
        """Whether it has every frame."""
        return self.share >= 1

    def keeps(self, clip: int, index: int) -> bool:
        """Whether frame ``index`` of clip number ``clip`` is kept."""
        number = self.starts[clip] + index
        return int((number + 1) * self.share) != int(number * self.share)


def length(clip: Video) -> int:
    """Frames of a clip, counted where its container does not tell; raises VideoError."""
    source = clip.open()
    return source.info.frames or count_frames(source)


def frames_of(sources: Iterable[VideoSource], most: int) -> int | None:
    """Frames in all, at most ``most`` of each; None where a container does not tell."""
    lengths = [source.info.frames for source in sources]
    known = [min(most, length) for length in lengths if length is not None]
    return sum(known) if len(known) == len(lengths) else None


def known_lengths(train: Dataset, work: Path | None) -> list[int]:
    """``length`` of every clip, asked once where there is a folder to remember it in."""
    path = work and work / f"lengths-{data_key(train)}.json"
    if path and path.exists():
        return json.loads(path.read_text())
    lengths = [length(clip) for clip in train]
    if path:
        write_json(path, lengths)
    return lengths


def pieces(source: VideoSource, length: int, frames: int) -> Iterator[VideoSource]:
    """About ``frames`` of a video's ``length``, in evenly spaced pieces of ``PIECE`` each.

    Each is a video of its own, which starts at 0.  It is read once, and before the next one is
    asked for: all come from a single pass.
    """
    count = max(1, round(frames / PIECE))
    size = min(length, max(1, round(frames / count)))
    rest = iter(source)
    for number in range(count):
        first = round(number * length / count + (length / count - size) / 2)
        yield Piece(source, rest, first, size)


class Piece(VideoSource):
    """The next frames of a pass over a video, from frame ``first`` on."""

    def __init__(self, source: VideoSource, rest: Iterator[Frame], first: int, frames: int) -> None:
        before = source.info.first or 0
        self.info = replace(source.info, frames=frames, first=before + first)
        self._rest, self._first = rest, first

    def __iter__(self) -> Iterator[Frame]:
        frames = self.info.frames or 0
        begin: float | None = None
        for frame in self._rest:
            if frame.index >= self._first:
                begin = frame.time if begin is None else begin
                yield Frame(frame.index - self._first, frame.time - begin, frame.image)
            if frame.index + 1 >= self._first + frames:
                break


def clip_names(train: Dataset) -> list[str]:
    """A name for each clip's files: short, in order, and the same in the next run."""
    return [f"{i:04d}-{content_hash(clip.name)}" for i, clip in enumerate(train)]


_PIXELS: WeakKeyDictionary[Video, str] = WeakKeyDictionary()
"""Hashes of clips whose pixels are in memory, which take longer than those of files' names."""


def identity(clip: Video) -> str:
    """What tells one clip's content from another's without decoding it."""
    part = "" if clip.stretch is None else f" frames {clip.stretch}"
    part += f" hidden {clip.hidden}" if clip.hidden else ""
    return _identity(clip) + part


def _identity(clip: Video) -> str:
    if isinstance(clip.source, np.ndarray):
        if clip not in _PIXELS:
            pixels = clip.source
            _PIXELS[clip] = f"{pixels.shape} {pixels.dtype} {content_hash(pixels.tobytes())}"
        return f"{clip.name} {_PIXELS[clip]}"
    if isinstance(clip.source, FeatureSource):
        return f"{clip.name} {clip.source.identity}"
    if isinstance(clip.source, VideoSource):
        raise DataError(
            f"clip {clip.name} is a stream", expected="a file, frames or pixels", fix="record it"
        )
    files = sorted(clip.source.iterdir()) if clip.source.is_dir() else [clip.source]
    stats = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return f"{clip.name} {stats}"


def data_key(train: Dataset) -> str:
    """A hash that changes with the data set's content."""
    return content_hash(train.name, *map(identity, train))


class ClipArrays:
    """Arrays of all clips as if they were one, memory-mapped from ``STEM.KIND.npy`` a clip."""

    def __init__(self, stems: Sequence[Path], lengths: Sequence[int]) -> None:
        self._stems = list(stems)
        self._offsets = np.cumsum([0, *lengths])
        # Each open map holds a file descriptor, of which a process may have about a thousand.
        self._map = lru_cache(maxsize=128)(lambda path: np.load(path, mmap_mode="r"))

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def gather(self, kind: str, rows: Int[np.ndarray, " n"]) -> np.ndarray:
        """Some rows, in the order of ``rows``."""
        if not len(rows):
            return np.array(self._map(f"{self._stems[0]}.{kind}.npy")[:0])
        found = np.searchsorted(self._offsets, rows, side="right") - 1
        parts, order = [], []
        for clip in np.unique(found):
            chosen = np.flatnonzero(found == clip)
            array = self._map(f"{self._stems[clip]}.{kind}.npy")
            parts.append(array[rows[chosen] - self._offsets[clip]])
            order.append(chosen)
        out = np.concatenate(parts)
        out[np.concatenate(order)] = out.copy()
        return out
