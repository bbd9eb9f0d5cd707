"""ShanghaiTech Campus (Luo et al., ICCV 2017) in the official layout.

training/videos/01_001.avi …           or extracted: training/frames/01_001/000.jpg …
testing/frames/01_0014/000.jpg …
testing/test_frame_mask/01_0014.npy    1 for each abnormal frame
testing/test_pixel_mask/01_0014.npy    masks (t, h, w)

And the lists of the weakly supervised split (Zhong et al., CVPR 2019), which spreads the abnormal
videos over both halves: ``01_0014,1`` in weak_SH_Train_new.txt (238 videos), ``01_001,0,764`` in
weak_SH_Test_NEW.txt (199), with the frames of a normal video, or -1 for an abnormal one, whose mask
tells.  With both lists in the root the path is read as this split (``shanghaitech_weak``), from

test_frame_mask/ or test_frame_mask.npz, also in testing/
training/… and testing/… as above, or features/BACKBONE/…/01_0014.npy, as ``weak`` tells
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.found import find_features, listed, tell
from vadistill.datasets.intervals import Annotation, intervals_of, malformed, rows, unique
from vadistill.datasets.sources import entries, folders, named, pictures, unused, video_files
from vadistill.datasets.sources import listed as not_used
from vadistill.datasets.weak import WeakVideos
from vadistill.errors import DataError, in_a_line

FPS = 24.0
"""The rate of the published videos, for the extracted frames, which do not tell it."""


def is_shanghaitech(path: Path) -> bool:
    """Whether ``path`` has videos in training/videos, training/frames or testing/frames."""
    return bool(_training(path) or _testing(path))


def open_shanghaitech(path: Path) -> Splits:
    """Frame labels come from test_frame_mask, or where absent from any pixel of test_pixel_mask.

    Raises DataError if there are no videos.
    """
    train, test = _training(path), _testing(path)
    if not train and not test:
        raise DataError(
            f"no videos in {path}",
            expected="training/videos or training/frames, and testing/frames, of ShanghaiTech",
            fix="unpack them there",
        )
    problems: list[str] = []
    for split, videos in (("training", train), ("testing", test)):
        folder = named(path, split)
        if folder and not videos:
            problems.append(f"{folder.name} holds no videos")
    frame_masks, pixel_masks = (_arrays(path, f"test_{kind}_mask") for kind in ("frame", "pixel"))
    names = {video.name for video in test}
    problems += [
        f"{file.parent.name}/{file.name} has no video testing/frames/{name}"
        for name, file in (*frame_masks.items(), *pixel_masks.items())
        if name not in names
    ]
    videos = tuple(_test_video(video, frame_masks, pixel_masks, problems) for video in test)
    sources = {Path(str(video.source)) for video in (*train, *test)}
    left = unused(path, {*sources, *frame_masks.values(), *pixel_masks.values()})
    return Splits(
        Dataset("shanghaitech", "train", tuple(train), root=path),
        Dataset("shanghaitech", "test", videos, root=path),
        "shanghaitech",
        tuple(problems),
        not_used(path, left),
    )


WEAK_LISTS = ("weak_SH_Train_new.txt", "weak_SH_Test_NEW.txt")


def is_shanghaitech_weak(path: Path) -> bool:
    """Whether ``path`` has both lists of the weakly supervised split."""
    return all((path / file).is_file() for file in WEAK_LISTS)


def open_shanghaitech_weak(path: Path) -> Splits:
    """Videos and features that are missing or do not fit, and missing masks, are problems.

    Raises DataError for a list or mask that cannot be read, or if there is none of the videos.
    """
    problems: list[str] = []
    places = [path / "testing" / "test_frame_mask", path / "test_frame_mask"]
    places = [each for place in places for each in (place, place.with_suffix(".npz"))]
    there = next((place for place in places if place.exists()), None)
    masks = read_frame_masks(there) if there else {}
    train, test = (read_weak_split(path / file, masks) for file in WEAK_LISTS)
    unknown = [record.name for record in test if record.intervals is None]
    tell(problems, unknown, "test", len(test), "without a mask in test_frame_mask")
    names = [record.name for record in (*train, *test)]
    material = {
        video.name: Path(str(video.source)) for video in (*_training(path), *_testing(path))
    }
    features = find_features(path, listed(names), problems)
    videos = WeakVideos("shanghaitech_weak", path, FPS, features, material, problems)
    splits = videos.dataset("train", train), videos.dataset("test", test)
    videos.require_snippets(splits[1])
    lists = [path / file for file in WEAK_LISTS]
    if there:
        lists += [f for f in entries(there) if f.suffix == ".npy"] if there.is_dir() else [there]
    return videos.splits("shanghaitech_weak", *splits, lists=lists)


def read_frame_masks(path: Path) -> dict[str, UInt8[np.ndarray, " _"]]:
    """Frame labels by video: a test_frame_mask folder of .npy, or an .npz with an array a video.

    Raises DataError, also for a mask that holds anything but 0 and 1.
    """
    if path.is_dir():
        masks = {file.stem: _load(file, 1) for file in entries(path) if file.suffix == ".npy"}
    else:
        try:
            with np.load(path, allow_pickle=False) as archive:
                masks = {name: archive[name] for name in archive.files}
        # numpy and zipfile raise a dozen kinds of errors for damaged files.
        except Exception as error:
            raise DataError(
                f"cannot read {path} ({in_a_line(error)})",
                expected="a folder of .npy files or an .npz archive of frame masks",
                fix="check the path, or download it again",
            ) from error
    if not masks:
        raise DataError(f"no masks in {path}", expected="an array a video", fix="check the path")
    for name, mask in masks.items():
        if mask.ndim != 1 or mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
            raise DataError(
                f"the mask {name} in {path} is no list of 0 and 1 (shape {mask.shape})",
                expected="1 for each abnormal frame, 0 for each normal one",
                fix="download it again",
            )
    return {name: mask.astype(np.uint8) for name, mask in masks.items()}


def read_weak_split(
    path: Path, masks: Mapping[str, UInt8[np.ndarray, " _"]] | None = None
) -> tuple[Annotation, ...]:
    """The videos of one list of the weakly supervised split; their only class is ``anomaly``.

    With ``masks`` (of ``read_frame_masks``) the abnormal ones carry their intervals and length.
    Raises DataError naming the line, also where list and mask disagree.
    """
    return unique(_weak_split(path, masks or {}))


def _weak_split(
    path: Path, masks: Mapping[str, UInt8[np.ndarray, " _"]]
) -> Iterator[tuple[str, Annotation]]:
    for where, cells in rows(path, ","):
        name, label, frames = (*cells, "-1") if len(cells) == 2 else (*cells, "", "")[:3]
        if len(cells) > 3 or label not in ("0", "1") or not re.fullmatch("-?[0-9]{1,15}", frames):
            raise malformed(
                where, repr(",".join(cells)), "VIDEO,LABEL or VIDEO,LABEL,FRAMES with label 0 or 1"
            )
        mask = masks.get(name)
        if mask is not None and int(mask.any()) != int(label):
            raise malformed(
                where,
                f"{name} has the label {label} and {int(mask.sum())} abnormal frames in its mask",
                "a list and masks that agree",
            )
        length = int(frames) if int(frames) > 0 else None if mask is None else len(mask)
        if mask is not None and length != len(mask):
            raise malformed(where, f"{length} frames of {name}", f"{len(mask)}, as its mask has")
        intervals = () if label == "0" else None if mask is None else intervals_of(mask)
        yield where, Annotation(name, ("anomaly",) * int(label), intervals, length)


def _inside(root: Path, *names: str) -> Path | None:
    folder: Path | None = root
    for name in names:
        folder = named(folder, name) if folder else None
    return folder


def _training(root: Path) -> list[Video]:
    folder = _inside(root, "training", "videos")
    found = video_files(folder) if folder else []
    if found:
        return [Video(video.stem, video) for video in found]
    return _frame_folders(_inside(root, "training", "frames"))


def _testing(root: Path) -> list[Video]:
    return _frame_folders(_inside(root, "testing", "frames"))


def _frame_folders(parent: Path | None) -> list[Video]:
    return [Video(f.name, f, fps=FPS) for f in (folders(parent) if parent else [])]


def _arrays(root: Path, name: str) -> dict[str, Path]:
    folder = _inside(root, "testing", name)
    found = entries(folder) if folder else []
    return {path.stem: path for path in found if path.suffix == ".npy"}


def _test_video(
    video: Video, frame_masks: dict[str, Path], pixel_masks: dict[str, Path], problems: list[str]
) -> Video:
    name, folder = video.name, Path(str(video.source))
    frames = len(pictures(folder))
    labels = mask = None
    if not frames:
        problems.append(f"test video {name} holds no pictures")
    try:
        if name in pixel_masks:
            masks = _load(pixel_masks[name], 3)
            if len(masks) == frames:
                mask = partial(_mask, pixel_masks[name])
            else:
                problems.append(f"test video {name}: {len(masks)} pixel masks for {frames} frames")
        if name in frame_masks:
            labels = (_load(frame_masks[name], 1) > 0).astype(np.uint8)
            if len(labels) != frames:
                problems.append(f"test video {name}: {len(labels)} labels for {frames} frames")
                labels = None
        elif mask is not None:
            labels = np.array([mask(index).any() for index in range(frames)], np.uint8)
        elif frame_masks or pixel_masks:
            problems.append(f"test video {name} has no labels: no {name}.npy in test_frame_mask")
    except DataError as error:
        problems.append(f"test video {name}: {error.got}, expected {error.expected}")
    label = None if labels is None else int(labels.any())
    return Video(name, folder, labels, mask, label, fps=FPS)


def _mask(file: Path, index: int) -> Bool[np.ndarray, "h w"]:
    return np.asarray(_load(file, 3)[index] > 0)


def _load(file: Path, dimensions: int) -> np.ndarray:
    """A .npy mapped into memory, so that only what is looked at is read; raises DataError."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise DataError(
            f"cannot read {file} ({in_a_line(error)})",
            expected="a whole .npy array",
            fix="download it again",
        ) from error
    if array.ndim != dimensions or array.dtype.kind not in "biuf":
        shape = "(frames,)" if dimensions == 1 else "(frames, height, width)"
        raise DataError(
            f"{file} is {array.dtype} of shape {array.shape}",
            expected=f"numbers of shape {shape}",
            fix="download it again",
        )
    return array
