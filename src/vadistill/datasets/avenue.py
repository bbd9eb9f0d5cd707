"""CUHK Avenue (Lu et al., ICCV 2013) in the official layout.

training_videos/01.avi …  testing_videos/01.avi …
ground_truth_demo/testing_label_mask/1_label.mat …    volLabel: a cell of one mask per frame
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.matlab import variable
from vadistill.datasets.sources import frame_count, listed, named, unused, video_files
from vadistill.errors import DataError, VadistillError
from vadistill.progress import progress
from vadistill.video import open_video


def is_avenue(path: Path) -> bool:
    """Whether ``path`` has training_videos/ or testing_videos/."""
    return any(named(path, name) for name in ("training_videos", "testing_videos"))


def open_avenue(path: Path) -> Splits:
    """Frame labels are 1 where any pixel of the mask is; raises DataError without videos."""
    training, testing = (named(path, f"{split}_videos") for split in ("training", "testing"))
    train = [Video(video.stem, video) for video in video_files(training)] if training else []
    test = {video.stem: video for video in video_files(testing)} if testing else {}
    if not train and not test:
        raise DataError(
            f"no videos in training_videos or testing_videos of {path}",
            expected="the .avi files of Avenue",
            fix="unpack its videos there",
        )
    problems = [f"{f.name} holds no video" for f in (training, testing) if f and not video_files(f)]
    truth = _label_files(path)
    numbers = {_number(name) for name in test}
    problems += [
        f"labels {file.name} have no video in testing_videos"
        for number, file in truth.items()
        if number not in numbers
    ]
    videos = []
    with progress("reading masks", len(test)) as advance:
        for name, video in test.items():
            videos.append(_test_video(name, video, truth, problems))
            advance()
    _masks.cache_clear()
    used = {*(Path(str(video.source)) for video in train), *test.values(), *truth.values()}
    return Splits(
        Dataset("avenue", "train", tuple(train), root=path),
        Dataset("avenue", "test", tuple(videos), root=path),
        "avenue",
        tuple(problems),
        listed(path, unused(path, used)),
    )


def _number(name: str) -> int | None:
    digits = re.match(r"\d+", name)
    return int(digits[0]) if digits else None


def _label_files(root: Path) -> dict[int, Path]:
    """The .mat files by video number, from folders named for labels: 8_label.mat is of 08.avi."""
    found: dict[int, Path] = {}
    for path in sorted(root.rglob("*.mat")):
        folder = "/".join(path.relative_to(root).parts[:-1]).lower()
        number = _number(path.name)
        if number is not None and ("label" in folder or "ground_truth" in folder):
            found.setdefault(number, path)
    return dict(sorted(found.items()))


def _test_video(name: str, video: Path, truth: dict[int, Path], problems: list[str]) -> Video:
    file = truth.get(_number(name) or 0)
    if file is None:
        if truth:
            problems.append(f"test video {name} has no labels: no {_number(name)}_label.mat")
        return Video(name, video)
    try:
        labels = np.array([mask.any() for mask in _masks(file)], np.uint8)
        # A header may count repeated frames: only a count of what is there can accuse the labels.
        if len(labels) != open_video(video).info.frames and len(labels) != (
            frames := frame_count(video)
        ):
            problems.append(f"test video {name}: {len(labels)} masks for {frames} frames")
            return Video(name, video)
    except VadistillError as error:
        problems.append(f"test video {name}: {error.got}, expected {error.expected}")
        return Video(name, video)
    return Video(name, video, labels, partial(_mask, file), int(labels.any()))


def _mask(file: Path, index: int) -> Bool[np.ndarray, "h w"]:
    return _masks(file)[index] > 0


@lru_cache(maxsize=1)
def _masks(file: Path) -> list[np.ndarray]:
    """All masks of a video, some 330 MB for the longest; raises DataError."""
    try:
        masks = variable(file, "volLabel")
    except KeyError as error:
        raise DataError(
            f"{file} has no volLabel", expected="a cell volLabel of masks", fix="download it again"
        ) from error
    except ValueError as error:
        raise DataError(
            f"cannot read {file} ({error})", expected="a whole MATLAB file", fix="download it again"
        ) from error
    if not isinstance(masks, list) or not masks or any(mask.ndim != 2 for mask in masks):
        raise DataError(
            f"volLabel of {file} is no cell of masks",
            expected="a cell of one mask (h, w) per frame",
            fix="download it again",
        )
    return masks
