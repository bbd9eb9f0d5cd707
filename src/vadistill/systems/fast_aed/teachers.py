"""Who teaches the student: fitted from one pass over the video, and their maps of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from vadistill import objects
from vadistill.datasets.sampling import ClipArrays, Sample, clip_names
from vadistill.detector import Detector
from vadistill.errors import ConfigError
from vadistill.files import content_hash, replacing
from vadistill.objects.learning import (
    Wanted,
    fit_localiser,
    is_fitted_there,
    learn_in_one_pass,
    localiser_key,
)
from vadistill.objects.maps import paint
from vadistill.objects.patches import PatchStore
from vadistill.progress import progress
from vadistill.scores import Calibration, FrameScore
from vadistill.systems import fitted_or_new
from vadistill.systems.fast_aed.data import WindowFiles
from vadistill.systems.fast_aed.losses import pool_targets
from vadistill.systems.object_centric import ObjectCentric

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.devices import Device

OWN = "fast_aed"


def open_teacher(
    name: str, train: Dataset, work: Path, *, localiser: str, device: Device
) -> tuple[Detector, Path]:
    """A teacher by name, and its folder: fitted if it is there, else it is to be fitted to there.

    ``name`` is ``SYSTEM``, ``SYSTEM:RECIPE``, or the folder of a fitted detector
    (``fitted_or_new``).  Raises ConfigError, WeightsError.
    """
    if name.partition(":")[0] == OWN and not Path(name).is_dir():
        raise ConfigError(
            f"teacher '{name}'", expected="a system that is no student of others", fix="use aed"
        )
    return fitted_or_new(name, train, work, what="teacher", localiser=localiser, device=device)


def fingerprint(folder: Path) -> str:
    """That of a fitted teacher's config.json, which holds that of its weights."""
    return content_hash(folder / "config.json")


def learn_shared_patches(
    teachers: Sequence[tuple[Detector, Path | None]],
    train: Dataset,
    work: Path,
    *,
    frames: int | None,
    windows: WindowFiles,
) -> list[PatchStore | None]:
    """Write windows, and the patches that teachers learn from or teach by, in one pass.

    Given are the teachers, each with the folder of its maps once it is fitted, and how many frames
    the student keeps.  Returned is for each the store that its maps can be made from: None for one
    that is no ObjectCentric, has another localiser than the first, or has its maps complete.
    """
    centric = [t for t, _ in teachers if isinstance(t, ObjectCentric)]
    localiser = objects.build(centric[0].localiser.describe()) if centric else None
    key = localiser_key(localiser, train) if localiser else ""
    sample = Sample.of(train, frames, work)
    wanted: dict[Wanted, None] = {}
    taught_by: list[Wanted | None] = []
    for teacher, maps in teachers:
        taught_by.append(None)
        if not localiser or not isinstance(teacher, ObjectCentric):
            continue
        if localiser_key(teacher.localiser, train) != key:
            continue
        fitted = teacher.calibration is not None
        if maps and all(_first_map(maps / name).exists() for name in clip_names(train)):
            continue
        if fitted:
            fit_localiser(localiser, train, work)
            if not is_fitted_there(teacher.localiser, train, work):
                continue
        learned = Wanted(teacher.training_cut, teacher.config.frames)
        of_learned = Sample.of(train, learned.frames, work)
        covers = of_learned.keeps_all or of_learned == sample
        if covers and (not fitted or learned.folder(work, key).exists()):
            taught_by[-1] = learned
        else:
            taught_by[-1] = Wanted(teacher.cut, frames)
        wanted |= dict.fromkeys([taught_by[-1]] if fitted else [learned, taught_by[-1]])
    made = learn_in_one_pass(
        train, work, localiser=localiser, wanted=list(wanted), beside=[windows]
    )
    stores = dict(zip(wanted, made, strict=True))
    return [want and stores[want] for want in taught_by]


def teacher_map(
    frame: FrameScore, calibration: Calibration, height: int, width: int
) -> Float32[np.ndarray, "h w"]:
    """y of Eq. 3: where and how abnormal a teacher finds a frame, about in [0, 1].

    A map is taken as it is.  A detector that has boxes alone gets them painted, with scores that
    run from 0 at the lowest to 1 at the highest frame score of its normal training footage.
    """
    if frame.map is not None:
        return np.asarray(frame.map, np.float32)
    low, high = float(calibration.quantiles[0]), float(calibration.quantiles[-1])
    scores = np.clip((frame.box_scores - low) / max(high - low, 1e-12), 0, None)
    return paint(frame.boxes, scores.astype(np.float32), height, width)


class MapStore:
    """One teacher's pooled maps of the kept training frames, one array a resolution."""

    def __init__(self, stems: Sequence[Path], counts: Sequence[int], resolutions: int) -> None:
        self._arrays, self._resolutions = ClipArrays(stems, counts), resolutions

    def __len__(self) -> int:
        return len(self._arrays)

    def maps(self, rows: Int[np.ndarray, " n"]) -> list[Float[Tensor, "n _ _"]]:
        """y^k of some frames, in the order of ``rows``, finest and coarsest as the student's."""
        return [
            torch.from_numpy(self._arrays.gather(f"map{k}", rows).astype(np.float32))
            for k in range(self._resolutions)
        ]


def _first_map(stem: Path) -> Path:
    """The file that marks a video's maps as complete."""
    return stem.with_name(f"{stem.name}.map0.npy")


def learn_maps(
    teacher: Detector,
    train: Dataset,
    folder: Path,
    *,
    sample: Sample,
    sizes: Sequence[tuple[int, int]],
    patches: PatchStore | None = None,
) -> MapStore:
    """Write a teacher's maps of the kept frames, max-pooled to ``sizes`` (height, width), as fp16.

    They are made from stored ``patches`` where there are, else every frame is decoded and scored,
    since teachers need the sequence.  A video that is complete is not done again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    calibration = teacher.require_fitted()
    stems = [folder / name for name in clip_names(train)]
    counts: list[int] = []
    with progress(f"maps of {teacher.name}", len(stems)) as advance:
        for number, (clip, stem) in enumerate(zip(train, stems, strict=True)):
            done = _first_map(stem)
            if not done.exists():
                source = clip.open()
                height, width = source.info.height, source.info.width
                parts: list[list[np.ndarray]] = [[] for _ in sizes]
                keeps = partial(sample.keeps, number)
                if patches is None:
                    frames = teacher.teach(source)
                else:
                    assert isinstance(teacher, ObjectCentric)
                    stored = patches.frames(number, teacher.cut, keeps)
                    frames = teacher.score_patches(source.info, stored)
                for frame in frames:
                    if keeps(frame.index):
                        painted = teacher_map(frame, calibration, height, width)
                        for part, pooled in zip(parts, pooled_map(painted, sizes), strict=True):
                            part.append(pooled)
                for k in reversed(range(len(sizes))):  # the first map is written last
                    array = np.array(parts[k], np.float16).reshape(-1, *sizes[k])
                    with replacing(stem.with_name(f"{stem.name}.map{k}.npy")) as temporary:
                        np.save(temporary, array)
            counts.append(len(np.load(done, mmap_mode="r")))
            advance(note=clip.name)
    return MapStore(stems, counts, len(sizes))


def pooled_map(
    values: Float32[np.ndarray, "h w"], sizes: Sequence[tuple[int, int]]
) -> list[Float32[np.ndarray, "_ _"]]:
    """A map at each resolution; one that is coarser than a resolution is enlarged first."""
    import cv2

    height = max(values.shape[0], *(rows for rows, _ in sizes))
    width = max(values.shape[1], *(columns for _, columns in sizes))
    if (height, width) != values.shape:
        values = np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR))
    return [m[0].numpy() for m in pool_targets(torch.from_numpy(values)[None], sizes)]
