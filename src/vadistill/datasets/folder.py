"""A user's own footage: no labels needed, several ways to give them.

    a folder of videos or frame folders          all of it normal, for training
    train/ (or normal/) and test/                each with videos or frame folders
    any .csv in there, ``file,start,end``        abnormal intervals of test videos, in frames from
                                                 0, end exclusive; or ``file,start_time,end_time``
    test_masks/<video name>/                     one mask picture per frame
    labels.csv, ``file,label[,source]``          video labels, 0 or 1: weak supervision

Weak labels with a ``source``, what a video was cut from, and no test/: three sources in ten are the
test split, drawn the same way each time, so that no source lies in both.  A labels.csv may call its
second column otherwise, such as ``file,fight,source``, if that holds 0 and 1 alone.

Once there are labels for the test split, a test video without any is all normal.  Without test/,
the videos that an interval file names are the test split.  Videos may lie one folder deeper; then
that folder's name is a part of theirs (gate/monday.mp4 is called gate_monday).
"""

from __future__ import annotations

import re
from pathlib import Path

from vadistill.datasets.base import Dataset, Splits
from vadistill.datasets.matching import MASKS, Labels
from vadistill.datasets.sources import (
    dim,
    folders,
    is_frame_folder,
    is_video,
    listed,
    misnumbered,
    missing_numbers,
    named,
    pictures,
    unused,
    video_files,
)
from vadistill.errors import DataError
from vadistill.progress import progress

TRAIN, TEST = ("train", "training", "normal"), ("test", "testing")


def is_folder(path: Path) -> bool:
    """Whether ``path``, one of its splits or a folder in these holds a video or frames."""
    return any(_sources(folder) for folder in (path, *_splits(path)) if folder)


def open_folder(path: Path) -> Splits:
    """A folder of one's own, or a single video file; raises DataError if there are no videos."""
    train_folder, test_folder = _splits(path)
    flat = not (train_folder or test_folder)
    train = _sources(path if flat else train_folder)
    test = _sources(test_folder)
    if not train and not test:
        raise DataError(
            f"no video in {path}",
            expected="video files, or folders of pictures, in it or in its train/ and test/",
            fix="check the path",
        )
    problems = [
        f"{folder.name}/ holds neither videos nor frame folders"
        for folder, videos in ((train_folder, train), (test_folder, test))
        if folder and not videos
    ]
    labels = Labels(problems)
    labels.collect(path, train, test, (train_folder, test_folder))
    if flat:
        test = {name: source for name, source in train.items() if source in labels.mentioned}
        train = {name: train[name] for name in train if name not in test}
    if labels.known:
        with progress("matching labels", len(test)) as advance:
            test_videos = []
            for name, source in test.items():
                test_videos.append(labels.test_video(name, source))
                advance()
    else:
        test_videos = labels.plain(test)
    weak = any(source in labels.video for source in train.values())
    notes = []
    if weak and not test_folder and not test_videos:
        notes = ["no test/: about three sources in ten were drawn for testing, always the same"]
        held_out = labels.held_out(train)
        test_videos = labels.plain({n: s for n, s in train.items() if n in held_out})
        train = {name: source for name, source in train.items() if name not in held_out}
    supervision = "weak" if weak else "one-class"
    for split, videos in (("training", train), ("test", {v.name: v.source for v in test_videos})):
        for name, source in videos.items():
            if not (isinstance(source, Path) and source.is_dir()):
                continue
            faults = misnumbered(pictures(source))
            # Intervals may count by the files' numbers, which gaps tell from positions.
            if not faults and labels.intervals.get(source):
                faults = missing_numbers(pictures(source))
            faults += dim(pictures(source))
            problems += [f"{split} video {name}: {fault}" for fault in faults]
    for name, source in train.items():
        if weak and source not in labels.video:
            problems.append(f"training video {name} has no label although others have one")
        if source in labels.intervals and not weak:
            problems.append(f"training video {name} has abnormal intervals: move it to test/")
        if source in labels.masks and not weak:
            problems.append(f"training video {name} has masks: move it to test/")
        if _mask_like(path, source):
            problems.append(
                f"training video {name} is called as masks are, expected masks in {MASKS}/VIDEO/"
            )
    sources = {*train.values(), *(v.source for v in test_videos if isinstance(v.source, Path))}
    masks = [masks.folder for masks in labels.masks.values()]
    left = unused(path, {*sources, *labels.files, *masks})
    labels.require_no_others(left, sources)
    title = path.stem if path.is_file() else path.absolute().name
    return Splits(
        Dataset(title, "train", tuple(labels.plain(train)), supervision, root=path),
        Dataset(title, "test", tuple(test_videos), supervision, root=path),
        "folder",
        tuple(problems),
        listed(path, left),
        tuple(notes),
    )


def _mask_like(path: Path, source: Path) -> bool:
    """Whether a frame folder, or one that it lies in, is called as folders of masks are."""
    return source.is_dir() and any(map(_MASKS.fullmatch, source.relative_to(path).parts))


_MASKS = re.compile(r"(.*[ _-])?(gt|masks?|ground[ _-]?truth|annotations?)", re.IGNORECASE)


def _splits(path: Path) -> tuple[Path | None, Path | None]:
    return named(path, *TRAIN), named(path, *TEST)


def _sources(path: Path | None, depth: int = 1) -> dict[str, Path]:
    """Names and the video files or frame folders that they are."""
    if path is None:
        return {}
    if is_video(path):
        return {path.stem: path}
    here = video_files(path)
    if is_frame_folder(path):
        return {path.absolute().name: path}
    stems = [video.stem for video in here]
    found = {v.stem if stems.count(v.stem) == 1 else v.name: v for v in here}
    for folder in folders(path):
        if folder.name.lower() == MASKS:
            continue
        if is_frame_folder(folder):
            inside = {folder.name: folder}
        else:
            deeper = _sources(folder, depth - 1) if depth else {}
            inside = {f"{folder.name}_{name}": source for name, source in deeper.items()}
        for name, source in inside.items():
            while name in found:
                name += "_2"
            found[name] = source
    return found
