"""Video events (Sec. 3.1): foreground patches with their context patches and optical flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float16, Float32, Int, UInt8

from vadistill.datasets import Dataset
from vadistill.errors import DataError
from vadistill.files import content_hash, replacing
from vadistill.flow import Flow
from vadistill.objects import Localiser
from vadistill.progress import progress
from vadistill.systems.cafe.model import PATCH
from vadistill.video import VideoSource, count_frames
from vadistill.windows import triplets

Patches = UInt8[np.ndarray, "n 3 32 32 3"]
"""C_-1, E and C_+1 of n events as RGB bytes: the same box on three consecutive frames."""

FlowPatches = Float16[np.ndarray, "n 2 32 32"]
"""O(E): flow from frame t to t + 1 in pixels a frame (x, y), cropped by the box and resized."""


@dataclass(frozen=True, eq=False)
class FrameEvents:
    """All events of one frame."""

    index: int
    time: float
    boxes: Float32[np.ndarray, "n 4"]
    patches: Patches
    flow: FlowPatches | None


def crop(
    image: np.ndarray, boxes: Float32[np.ndarray, "n 4"], size: int = PATCH
) -> list[np.ndarray]:
    """Each box of an image, widened to whole pixels and resized to ``size`` x ``size``.

    Shrinking averages areas and enlarging is bilinear, so that small people do not alias.
    """
    height, width = image.shape[:2]
    patches = []
    for x1, y1, x2, y2 in boxes:
        left, top = max(int(x1), 0), max(int(y1), 0)
        right, bottom = min(int(np.ceil(x2)), width), min(int(np.ceil(y2)), height)
        part = image[top:bottom, left:right]
        shrinks = part.shape[0] * part.shape[1] > size * size
        patches.append(
            cv2.resize(
                part, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
        )
    return patches


def frame_events(
    source: VideoSource, localiser: Localiser, flow: Flow | None
) -> Iterator[FrameEvents]:
    """The events of every frame of a video, in order, one frame behind the decoder.

    At a video's ends the edge frame repeats as context; the last frame's flow is the previous
    pair's.
    """
    localiser.start(source.info)
    last_flow: np.ndarray | None = None
    for window in triplets(source):
        boxes = localiser.boxes(window)
        cropped = [crop(frame.image, boxes) for frame in window]
        patches = np.zeros((len(boxes), 3, PATCH, PATCH, 3), np.uint8)
        for position, images in enumerate(cropped):
            for row, image in enumerate(images):
                patches[row, position] = image
        motion = None
        if flow is not None:
            if not window.is_last or last_flow is None:
                last_flow = flow(window.current.image, window.next.image)
            motion = np.zeros((len(boxes), 2, PATCH, PATCH), np.float16)
            for row, image in enumerate(crop(last_flow, boxes)):
                motion[row] = image.transpose(2, 0, 1)
        yield FrameEvents(window.current.index, window.current.time, boxes, patches, motion)


class EventStore:
    """Events of some training frames, memory-mapped from a folder with one file set a clip."""

    def __init__(self, folder: Path, clips: Sequence[str]) -> None:
        self._stems = [folder / clip for clip in clips]
        self._has_flow = all(Path(f"{stem}.flow.npy").exists() for stem in self._stems)
        # Each open map holds a file descriptor, of which a process may have about a thousand.
        self._map = lru_cache(maxsize=128)(lambda path: np.load(path, mmap_mode="r"))
        counts = [np.load(folder / f"{c}.counts.npy") for c in clips]
        self.counts: Int[np.ndarray, " frames"] = np.concatenate([np.zeros(0, np.int64), *counts])
        """Number of events of each kept frame, in order; frames without events count too."""
        self._offsets = np.cumsum([0, *(int(c.sum()) for c in counts)])

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def patches(self, rows: Int[np.ndarray, " n"]) -> Patches:
        """Patches of some events, in the order of ``rows``."""
        return self._gather("patches", rows)

    def flow(self, rows: Int[np.ndarray, " n"]) -> FlowPatches | None:
        """Flow of some events, in the order of ``rows``; None if the store was made without."""
        return self._gather("flow", rows) if self._has_flow else None

    def frame_maxima(
        self, scores: Float32[np.ndarray, " n"], empty: float
    ) -> Float32[np.ndarray, " frames"]:
        """The highest event score of each kept frame; ``empty`` for a frame without events."""
        maxima = np.full(len(self.counts), empty, np.float32)
        np.maximum.at(maxima, np.repeat(np.arange(len(self.counts)), self.counts), scores)
        return maxima

    def _gather(self, kind: str, rows: np.ndarray) -> np.ndarray:
        found = np.searchsorted(self._offsets, rows, side="right") - 1
        parts, order = [], []
        for clip in np.unique(found):
            chosen = np.flatnonzero(found == clip)
            events = self._map(f"{self._stems[clip]}.{kind}.npy")
            parts.append(events[rows[chosen] - self._offsets[clip]])
            order.append(chosen)
        out = np.concatenate(parts)
        out[np.concatenate(order)] = out.copy()
        return out


def extract_events(
    train: Dataset,
    folder: Path,
    *,
    localiser: Localiser,
    flow: Flow | None,
    frames: int | None,
) -> EventStore:
    """Write the events of ``frames`` evenly spaced training frames (None: all) and map them.

    Every frame is localised, since background models need the sequence; the kept share is the
    same in each clip.  A clip that is complete is not done again.  Raises DataError when the
    localiser finds nothing at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i:04d}-{content_hash(clip.name)}" for i, clip in enumerate(train)]
    first, share = [0] * len(names), 1.0
    if frames is not None:
        lengths = [_length(clip.open()) for clip in train]
        first, share = [0, *np.cumsum(lengths)[:-1].tolist()], min(1.0, frames / sum(lengths))
    with progress("video events", len(names)) as advance:
        for clip, name, start in zip(train, names, first, strict=True):
            if not (folder / f"{name}.counts.npy").exists():
                _extract_clip(clip.open(), folder / name, localiser, flow, start, share)
            advance(note=clip.name)
    store = EventStore(folder, names)
    if len(store) < 2:
        raise DataError(
            f"the localiser found {len(store)} moving objects in {train.name}",
            expected="normal video with people or things that move",
            fix="train on more video, or choose another --localiser",
        )
    return store


def _length(source: VideoSource) -> int:
    return source.info.frames or count_frames(source)


def _extract_clip(
    source: VideoSource,
    stem: Path,
    localiser: Localiser,
    flow: Flow | None,
    start: int,
    share: float,
) -> None:
    """Write the events of every frame whose number in the whole set, from ``start``, is kept."""
    patches: list[np.ndarray] = [np.zeros((0, 3, PATCH, PATCH, 3), np.uint8)]
    motion: list[np.ndarray] = [np.zeros((0, 2, PATCH, PATCH), np.float16)]
    counts: list[int] = []
    for events in frame_events(source, localiser, flow):
        number = start + events.index
        if int((number + 1) * share) == int(number * share):
            continue
        patches.append(events.patches)
        counts.append(len(events.boxes))
        if events.flow is not None:
            motion.append(events.flow)
    arrays = {"patches": np.concatenate(patches)}
    if flow is not None:
        arrays["flow"] = np.concatenate(motion)
    arrays["counts"] = np.array(counts, np.int64)  # last: it marks the clip as complete
    for kind, array in arrays.items():
        with replacing(stem.with_name(f"{stem.name}.{kind}.npy")) as temporary:
            np.save(temporary, array)
