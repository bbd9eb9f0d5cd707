"""What the student is to give: the teachers' maps of its frames, on one scale for all teachers.

Half of the normal objects are no more abnormal than the other half, so the lower half's scores say
nothing: they are all ``LEVEL``, which tells the student that somebody is there.  Above it, a target
says how far an object is beyond that half, in units of what 99 % of normal objects stay below.  On
this scale teachers may be added up, whatever their own scores are, and the sum of their losses is
least at the mean of their maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from vadistill.datasets.sampling import ClipArrays, Sample, clip_names
from vadistill.detector import Detector
from vadistill.files import replacing
from vadistill.objects.maps import paint
from vadistill.objects.patches import PatchStore
from vadistill.progress import progress
from vadistill.scores import FrameScore
from vadistill.systems.fast_aed.losses import pool_targets
from vadistill.systems.object_centric import ObjectCentric, scaled_score

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo

LEVEL = 0.05
"""The target of an ordinary object; where nobody is, it is 0."""

Painted = tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]
"""A frame's target map, and 1 where there is an object."""


@dataclass(frozen=True)
class Scale:
    """From a teacher's scores of objects to targets, in the same order, in [``LEVEL``, 1)."""

    low: float
    """The median of normal objects: their target, and that of all below, is ``LEVEL``."""
    half: float
    """What the 99 % quantile of normal objects lies above ``low``: its target is about a half."""

    @classmethod
    def of(cls, scores: Float[np.ndarray, " n"]) -> Scale:
        """The scale of a teacher whose scores of the training objects these are."""
        low, high = np.quantile(scores, (0.5, 0.99)).tolist() if len(scores) else (0.0, 1.0)
        return cls(low, max(high - low, 1e-6))

    def __call__(self, scores: Float[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        above = scaled_score(scores.astype(np.float64), self.low, self.half)
        return (LEVEL + (1 - LEVEL) * above).astype(np.float32)


def teacher_map(frame: FrameScore, scale: Scale, height: int, width: int) -> Painted:
    """y of Eq. 3: where and how abnormal a teacher finds a frame of a video of this size.

    Its boxes are painted with their targets.  A map of a detector that looks for no objects is
    taken as it is (``own_map``), and objects are where it is above its mean.
    """
    if frame.map is not None:
        values = np.asarray(frame.map, np.float32)
        return values, (values > values.mean()).astype(np.float32)
    ones = np.ones(len(frame.boxes), np.float32)
    painted = paint(frame.boxes, scale(frame.box_scores), height, width)
    return painted, paint(frame.boxes, ones, height, width)


class MapStore:
    """One teacher's maps of the kept training frames at one resolution."""

    def __init__(self, stems: Sequence[Path]) -> None:
        counts = [len(np.load(_file(stem, "map"), mmap_mode="r")) for stem in stems]
        self._arrays = ClipArrays(stems, counts)
        heights = [np.load(_file(stem, "heights")) for stem in stems]
        self.heights: Float32[np.ndarray, " m"] = np.concatenate(heights)
        """Of all objects, in heights of the frame; none where the teacher looks for none."""

    def __len__(self) -> int:
        return len(self._arrays)

    def maps(self, rows: Int[np.ndarray, " n"]) -> Float[Tensor, "n h w"]:
        """y of some frames, in the order of ``rows``."""
        return torch.from_numpy(self._arrays.gather("map", rows).astype(np.float32))

    def masks(self, rows: Int[np.ndarray, " n"]) -> Bool[Tensor, "n h w"]:
        """Where the frames have objects."""
        return torch.from_numpy(self._arrays.gather("mask", rows)) > 0


def is_complete(stem: Path) -> bool:
    """Whether a video's maps are there."""
    return _file(stem, "map").exists()


def learn_maps(
    teacher: Detector,
    train: Dataset,
    folder: Path,
    *,
    sample: Sample,
    size: tuple[int, int],
    patches: PatchStore | None = None,
) -> MapStore:
    """Write a teacher's maps of the kept frames, max-pooled to ``size`` (height, width), as fp16.

    They are made from stored ``patches`` where there are, else every frame is decoded and scored,
    since teachers need the sequence.  Objects' scores are kept by video, and those that are there
    are not made again; their scale is that of all videos together.
    """
    folder.mkdir(parents=True, exist_ok=True)
    teacher.require_fitted()
    stems = [folder / name for name in clip_names(train)]
    if not all(map(is_complete, stems)):
        infos: list[VideoInfo] = []
        with progress(f"maps of {teacher.name}", len(stems)) as advance:
            for number, (clip, stem) in enumerate(zip(train, stems, strict=True)):
                source = clip.open()
                infos.append(source.info)
                if not _file(stem, "shapes").exists():
                    keeps = partial(sample.keeps, number)
                    if patches is None:
                        frames = teacher.teach(source)
                    else:
                        assert isinstance(teacher, ObjectCentric)
                        stored = patches.frames(number, teacher.cut, keeps)
                        frames = teacher.score_patches(source.info, stored)
                    own_map = not isinstance(teacher, ObjectCentric)
                    kept = (frame for frame in frames if keeps(frame.index))
                    _write_frames(stem, kept, source.info, own_map=own_map)
                advance(note=clip.name)
        scale = Scale.of(np.concatenate([np.load(_file(stem, "scores")) for stem in stems]))
        for stem, info in zip(stems, infos, strict=True):
            _write_maps(stem, scale, info, size)
    return MapStore(stems)


def _file(stem: Path, kind: str) -> Path:
    return stem.with_name(f"{stem.name}.{kind}.npy")


def _save(stem: Path, kind: str, array: np.ndarray) -> None:
    with replacing(_file(stem, kind)) as temporary:
        np.save(temporary, array)


def _write_frames(
    stem: Path, frames: Iterable[FrameScore], info: VideoInfo, *, own_map: bool
) -> None:
    """What a teacher says of a video's kept frames: boxes, their scores, or maps of its own."""
    boxes, scores, maps, shapes = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)], [], []
    for frame in frames:
        given = frame.map if own_map else None
        shapes.append((0, *given.shape) if given is not None else (len(frame.boxes), 0, 0))
        if given is not None:
            maps.append(np.asarray(given, np.float16).ravel())
        else:
            boxes.append(frame.boxes)
            scores.append(frame.box_scores)
    every = np.concatenate(boxes)
    _save(stem, "boxes", every)
    _save(stem, "heights", (every[:, 3] - every[:, 1]) / np.float32(info.height))
    _save(stem, "scores", np.concatenate(scores))
    _save(stem, "cells", np.concatenate([np.zeros(0, np.float16), *maps]))
    _save(stem, "shapes", np.array(shapes, np.int64).reshape(-1, 3))  # last: it is complete


def _write_maps(stem: Path, scale: Scale, info: VideoInfo, size: tuple[int, int]) -> None:
    boxes, scores, cells, shapes = (
        np.load(_file(stem, kind)) for kind in ("boxes", "scores", "cells", "shapes")
    )
    maps, masks, first = [], [], 0
    for count, rows, columns in shapes.tolist():
        values = cells[: rows * columns].reshape(rows, columns).astype(np.float32)
        cells = cells[rows * columns :]
        own = slice(first, first + count)
        frame = FrameScore(0, 0.0, 0.0, boxes[own], scores[own], values if rows else None)
        first += count
        painted, mask = teacher_map(frame, scale, info.height, info.width)
        maps.append(pooled_map(painted, size))
        masks.append(pooled_map(mask, size))
    _save(stem, "mask", np.array(masks, np.uint8).reshape(-1, *size))
    _save(stem, "map", np.array(maps, np.float16).reshape(-1, *size))  # last: it is complete


def pooled_map(
    values: Float32[np.ndarray, "_ _"], size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """A map max-pooled to (height, width); one that is coarser is enlarged first."""
    import cv2

    height, width = max(values.shape[0], size[0]), max(values.shape[1], size[1])
    if (height, width) != values.shape:
        values = np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR))
    return pool_targets(torch.from_numpy(values)[None], [size])[0][0].numpy()
