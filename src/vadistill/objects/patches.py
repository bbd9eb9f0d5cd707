"""Patches: foreground objects cut out of a frame and its neighbours, with optical flow.

CAFE's Sec. 3.1 calls them video events; the object-centric teachers of fast_aed learn from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float16, Float32, Int, UInt8

from vadistill.datasets.sampling import ClipArrays, Sample, clip_names, data_key
from vadistill.errors import DataError
from vadistill.files import content_hash, replacing
from vadistill.flow import build_flow
from vadistill.objects.base import Localiser
from vadistill.progress import progress
from vadistill.video import VideoSource
from vadistill.windows import Triplet, Window, windows

if TYPE_CHECKING:
    from vadistill.datasets import Dataset

Patches = UInt8[np.ndarray, "n t s s 3"]
"""n patches on t frames as RGB bytes: the same box on each."""

FlowPatches = Float16[np.ndarray, "n f 2 s s"]
"""f flow fields of n patches in pixels a frame (x, y), cropped by the box and resized."""


@dataclass(frozen=True)
class Cut:
    """What is cut out around each box of frame t."""

    size: int
    """Side of a patch in pixels; boxes are stretched to squares."""
    offsets: tuple[int, ...] = (0,)
    """Frames that are cut, from t."""
    flows: tuple[tuple[int, int], ...] = ()
    """Pairs of frames, from t, between which flow is cut: from the first to the second."""
    flow: str = "dis"
    """How flow is computed: see ``vadistill.flow``."""

    @property
    def before(self) -> int:
        """Frames before t that are needed, at a video's end too."""
        return max([-o for o in self.offsets] + [1] + self._spans)

    @property
    def after(self) -> int:
        """Frames after t that are needed; localisers look one ahead."""
        return max([*self.offsets, 1, *self._spans])

    @property
    def _spans(self) -> list[int]:
        return [max(abs(a), abs(b), abs(b - a)) for a, b in self.flows]


@dataclass(frozen=True, eq=False)
class FramePatches:
    """All patches of one frame."""

    index: int
    time: float
    boxes: Float32[np.ndarray, "n 4"]
    patches: Patches
    flow: FlowPatches


def crop(image: np.ndarray, boxes: Float32[np.ndarray, "n 4"], size: int) -> list[np.ndarray]:
    """Each box of an image, widened to whole pixels and resized to ``size`` x ``size``.

    Shrinking averages areas and enlarging is bilinear, so that small people do not alias.
    """
    import cv2

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


def frame_patches(source: VideoSource, localiser: Localiser, cut: Cut) -> Iterator[FramePatches]:
    """The patches of every frame of a video, in order, ``cut.after`` frames behind the decoder.

    Beyond a video's ends its last frame there repeats, and a flow is that of the nearest pair.
    """
    localiser.start(source.info)
    compute = build_flow(cut.flow) if cut.flows else None
    known: dict[tuple[int, int], np.ndarray] = {}
    for window in windows(source, before=cut.before, after=cut.after):
        boxes = localiser.boxes(Triplet.of(window))
        fields = []
        for pair in cut.flows:
            a, b = window.pair(*pair)
            if (a.index, b.index) not in known and compute is not None:
                known[a.index, b.index] = compute(a.image, b.image)
                if len(known) > 2 * len(cut.flows):  # neighbours may share a pair at an end
                    known.pop(next(iter(known)))
            fields.append(known[a.index, b.index])
        yield _cut_out(window, boxes, cut, fields)


def _cut_out(
    window: Window, boxes: Float32[np.ndarray, "n 4"], cut: Cut, fields: Sequence[np.ndarray]
) -> FramePatches:
    side, count = cut.size, len(boxes)
    patches = np.zeros((count, len(cut.offsets), side, side, 3), np.uint8)
    for position, offset in enumerate(cut.offsets):
        for row, image in enumerate(crop(window.at(offset).image, boxes, side)):
            patches[row, position] = image
    flow = np.zeros((count, len(cut.flows), 2, side, side), np.float16)
    for position, field in enumerate(fields):
        for row, image in enumerate(crop(field, boxes, side)):
            flow[row, position] = image.transpose(2, 0, 1)
    return FramePatches(window.current.index, window.current.time, boxes, patches, flow)


class PatchStore:
    """Events of some training frames, memory-mapped from a folder with one file set a clip."""

    def __init__(self, folder: Path, clips: Sequence[str], key: str) -> None:
        self.key = key
        """Names the data, the boxes and the frames that the patches are of."""
        counts = [np.load(folder / f"{c}.counts.npy") for c in clips]
        self.counts: Int[np.ndarray, " frames"] = np.concatenate([np.zeros(0, np.int64), *counts])
        """Number of patches of each kept frame, in order; frames without any count too."""
        self._arrays = ClipArrays([folder / c for c in clips], [int(c.sum()) for c in counts])

    def __len__(self) -> int:
        return len(self._arrays)

    def patches(self, rows: Int[np.ndarray, " n"]) -> Patches:
        """Some patches, in the order of ``rows``."""
        return self._arrays.gather("patches", rows)

    def flow(self, rows: Int[np.ndarray, " n"]) -> FlowPatches:
        """Flow of some patches, in the order of ``rows``."""
        return self._arrays.gather("flow", rows)

    def frame_maxima(
        self, scores: Float32[np.ndarray, " n"], empty: float
    ) -> Float32[np.ndarray, " frames"]:
        """The highest score of each kept frame's patches; ``empty`` for a frame without any."""
        maxima = np.full(len(self.counts), empty, np.float32)
        np.maximum.at(maxima, np.repeat(np.arange(len(self.counts)), self.counts), scores)
        return maxima


def learn_patches(
    train: Dataset, work: Path, *, localiser: Localiser, cut: Cut, frames: int | None
) -> PatchStore:
    """Fit the localiser, write the patches of evenly spaced training frames to ``work``, map them.

    ``frames`` are kept (None: all), the same share of each clip.  Every frame is localised, since
    background models need the sequence.  A clip that is complete is not done again, whichever
    system left it there.  Raises DataError when the localiser finds nothing at all.
    """
    described = localiser.describe()
    located = content_hash(data_key(train), repr(described), *_files_named(described))
    with progress("empty scene", None):
        localiser.fit(train)
    folder = work / f"patches-{content_hash(located, str(frames), repr(cut))}"
    folder.mkdir(parents=True, exist_ok=True)
    names, sample = clip_names(train), Sample.of(train, frames)
    with progress("patches", len(names)) as advance:
        for number, (clip, name) in enumerate(zip(train, names, strict=True)):
            if not (folder / f"{name}.counts.npy").exists():
                keeps = partial(sample.keeps, number)
                _extract_clip(clip.open(), folder / name, localiser, cut, keeps)
            advance(note=clip.name)
    store = PatchStore(folder, names, content_hash(located, str(frames)))
    if len(store) < 2:
        raise DataError(
            f"the localiser found {len(store)} moving objects in {train.name}",
            expected="normal video with people or things that move",
            fix="train on more video, or choose another --localiser",
        )
    return store


def _extract_clip(
    source: VideoSource,
    stem: Path,
    localiser: Localiser,
    cut: Cut,
    keeps: Callable[[int], bool],
) -> None:
    """Write the patches of every frame whose index is kept."""
    side = cut.size
    patches = [np.zeros((0, len(cut.offsets), side, side, 3), np.uint8)]
    motion = [np.zeros((0, len(cut.flows), 2, side, side), np.float16)]
    counts: list[int] = []
    for found in frame_patches(source, localiser, cut):
        if keeps(found.index):
            patches.append(found.patches)
            counts.append(len(found.boxes))
            motion.append(found.flow)
    arrays = {
        "patches": np.concatenate(patches),
        "flow": np.concatenate(motion),
        "counts": np.array(counts, np.int64),  # last: it marks the clip as complete
    }
    for kind, array in arrays.items():
        with replacing(stem.with_name(f"{stem.name}.{kind}.npy")) as temporary:
            np.save(temporary, array)


def _files_named(described: object) -> list[str]:
    """Hashes of the files that a localiser's description names, such as boxes and networks."""
    if isinstance(described, dict):
        return [h for value in described.values() for h in _files_named(value)]
    if isinstance(described, list | tuple):
        return [h for value in described for h in _files_named(value)]
    parts = described.split(",") if isinstance(described, str) else []
    return [content_hash(Path(part)) for part in parts if part and Path(part).is_file()]
