"""What the student learns from: windows of frames at its size, and the teachers' maps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from vadistill.datasets.sampling import ClipArrays, Sample, clip_names, data_key
from vadistill.detector import Detector, read_config
from vadistill.errors import ConfigError, WeightsError
from vadistill.files import content_hash, replacing
from vadistill.objects.maps import paint
from vadistill.progress import progress
from vadistill.scores import Calibration, FrameScore
from vadistill.systems import detector_class, load
from vadistill.systems.fast_aed.losses import pool_targets

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Video
    from vadistill.devices import Device

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


OWN = "fast_aed"


def fitted_teacher(
    name: str, train: Dataset, work: Path, *, localiser: str, device: Device
) -> tuple[Detector, str]:
    """A teacher by name, fitted to ``train`` unless it is there already, with its fingerprint.

    The fingerprint is that of its config.json, which holds that of its weights.  ``name`` is
    ``SYSTEM``, ``SYSTEM:RECIPE``, or the folder of a fitted detector.  Raises ConfigError,
    WeightsError.
    """
    if Path(name).is_dir():
        return load(Path(name), device=device), content_hash(Path(name) / "config.json")
    system, _, recipe = name.partition(":")
    if system == OWN:
        raise ConfigError(
            f"teacher '{name}'", expected="a system that is no student of others", fix="use aed"
        )
    kind = detector_class(system)
    recipes = kind.RECIPES
    if recipe and recipe not in recipes:
        raise ConfigError(
            f"teacher '{name}'", expected=f"a recipe of {', '.join(recipes)}", fix="correct it"
        )
    config = recipes[recipe or next(iter(recipes))]()
    if hasattr(config, "localiser"):
        config = replace(config, localiser=localiser)
    folder = work / f"teacher-{system}-{content_hash(data_key(train), repr(config))}"
    try:
        read_config(folder)
        teacher = load(folder, device=device)
    except WeightsError:
        teacher = kind(config, device=device).fit(train, out=folder, work=folder / "work")
    return teacher, content_hash(folder / "config.json")


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


def learn_maps(
    teacher: Detector,
    train: Dataset,
    folder: Path,
    *,
    sample: Sample,
    sizes: Sequence[tuple[int, int]],
) -> MapStore:
    """Write a teacher's maps of the kept frames, max-pooled to ``sizes`` (height, width), as fp16.

    Every frame is scored, since teachers need the sequence.  A clip that is complete is not done
    again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    calibration = teacher.require_fitted()
    stems = [folder / name for name in clip_names(train)]
    counts: list[int] = []
    with progress(f"maps of {teacher.name}", len(stems)) as advance:
        for number, (clip, stem) in enumerate(zip(train, stems, strict=True)):
            done = stem.with_name(f"{stem.name}.map0.npy")
            if not done.exists():
                source = clip.open()
                height, width = source.info.height, source.info.width
                parts: list[list[np.ndarray]] = [[] for _ in sizes]
                for frame in teacher.teach(source):
                    if sample.keeps(number, frame.index):
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
