"""UCSD pedestrians (Mahadevan et al., CVPR 2010): Ped1 and Ped2 in the official layout.

UCSDped2/Train/Train001/001.tif …      frames (tif, or re-encoded as jpg, png, bmp)
UCSDped2/Test/Test001/001.tif …
UCSDped2/Test/Test001_gt/001.bmp …     pixel masks, also named frame001.bmp; Ped1: ten videos only
UCSDped2/Test/UCSDped2.m               abnormal frames of each video, 1-based and inclusive
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.labels import labels_from_intervals
from vadistill.datasets.masks import PictureMasks
from vadistill.datasets.sources import entries, folders, listed, pictures, unused
from vadistill.errors import DataError

FPS = 10.0
"""The recordings' rate; the files do not tell it."""

_RANGE = re.compile(r"(\d+)(?:\s*:\s*(\d+))?")


def is_ucsd(path: Path) -> bool:
    """Whether ``path``, or a folder in it, has Train/TrainNNN or Test/TestNNN."""
    return bool(_roots(path))


def open_ucsd(path: Path) -> Splits:
    """Reads ``path`` or the one UCSD folder in it; raises DataError for none or several."""
    roots = _roots(path)
    if len(roots) != 1:
        found = ", ".join(root.name for root in roots) or "none"
        raise DataError(
            f"{len(roots)} UCSD data sets in {path} ({found})",
            expected="one, with Train/Train001 or Test/Test001",
            fix=f"give one of them, such as {roots[0]}" if roots else "check the path",
        )
    (root,) = roots
    problems: list[str] = []
    train, test = _numbered(root, "Train"), _numbered(root, "Test")
    truth = _ground_truth(root / "Test")
    name = f"ucsd_{_ped(root, truth)}"
    problems += _gaps("Train", list(train), max(train, default=0))
    problems += _gaps("Test", list(test), max([*test, 0 if truth is None else len(truth[1])]))
    if truth is not None and len(truth[1]) < max(test, default=0):
        problems.append(
            f"{truth[0].name} has {len(truth[1])} entries for test videos up to Test"
            f"{max(test):03d}: the others are unlabelled"
        )
    videos = [_test_video(number, folder, truth, problems) for number, folder in test.items()]
    problems += _masks_alone(root / "Test", {folder.name for folder in test.values()})
    training = tuple(_video(folder, problems) for folder in train.values())
    used = {*train.values(), *test.values(), *(_mask_folder(folder) for folder in test.values())}
    used |= {truth[0]} if truth is not None else set()
    return Splits(
        Dataset(name, "train", training, root=root),
        Dataset(name, "test", tuple(videos), root=root),
        "ucsd",
        tuple(problems),
        listed(path, unused(path, used)),
    )


def _roots(path: Path) -> list[Path]:
    return [
        folder
        for folder in (path, *folders(path))
        if _numbered(folder, "Train") or _numbered(folder, "Test")
    ]


def _numbered(root: Path, split: str) -> dict[int, Path]:
    """Video folders by their number: TrainNNN or TestNNN."""
    # Exactly the official names: a user's own train/train1 is no UCSD video.
    matches = ((re.fullmatch(rf"{split}(\d{{3}})", f.name), f) for f in folders(root / split))
    return {int(match[1]): folder for match, folder in matches if match}


def _ped(root: Path, truth: tuple[Path, list[list[tuple[int, int]]]] | None) -> str:
    for name in (truth[0].stem if truth else "", root.absolute().name):
        match = re.search(r"ped_?([12])", name, re.I)
        if match:
            return f"ped{match[1]}"
    return "ped"


def _gaps(split: str, numbers: list[int], last: int) -> list[str]:
    missing = [f"{split}{n:03d}" for n in range(1, last + 1) if n not in numbers]
    if not missing or not numbers:
        return []
    listed = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
    return [f"{listed} missing: {len(numbers)} videos of {last} are there"]


def _ground_truth(folder: Path) -> tuple[Path, list[list[tuple[int, int]]]] | None:
    """The .m file and, for each video in order, its 0-based, end-exclusive abnormal intervals."""
    scripts = [path for path in entries(folder) if path.suffix.lower() == ".m"]
    scripts = [path for path in scripts if "ped" in path.name.lower()] or scripts
    if not scripts:
        return None
    code = re.sub(r"%.*", "", scripts[0].read_text(encoding="latin-1"))
    videos = re.findall(r"gt_frame\s*=\s*\[?([\d\s:,;]*)\]?", code)
    return scripts[0], [
        [(int(first[:15]) - 1, int((last or first)[:15])) for first, last in _RANGE.findall(video)]
        for video in videos
    ]


def _video(folder: Path, problems: list[str]) -> Video:
    if not pictures(folder):
        problems.append(f"{folder.name} holds no pictures")
    return Video(folder.name, folder, fps=FPS)


def _test_video(
    number: int,
    folder: Path,
    truth: tuple[Path, list[list[tuple[int, int]]]] | None,
    problems: list[str],
) -> Video:
    video = _video(folder, problems)
    frames = len(pictures(folder))
    labels = masks = None
    mask_folder = _mask_folder(folder)
    if mask_folder.is_dir():
        masks = PictureMasks(mask_folder)
        if len(masks) != frames:
            problems.append(f"{folder.name}: {len(masks)} masks for {frames} frames")
            masks = None
    if truth is not None and number <= len(truth[1]):
        try:
            labels = labels_from_intervals(truth[1][number - 1], frames)
        except DataError as error:
            problems.append(f"{folder.name}: {error.got}")
    elif truth is None and masks is not None:
        labels = masks.frame_labels()
    label = None if labels is None else int(labels.any())
    return replace(video, frame_labels=labels, mask=masks, video_label=label)


def _mask_folder(video: Path) -> Path:
    return video.with_name(f"{video.name}_gt")


def _masks_alone(folder: Path, videos: set[str]) -> list[str]:
    return [
        f"{path.name} has no video {path.name[:-3]}"
        for path in folders(folder)
        if path.name.endswith("_gt") and path.name[:-3] not in videos
    ]
