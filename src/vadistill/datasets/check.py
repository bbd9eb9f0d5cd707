"""What ``vadistill data check`` tells: what was recognised, how much of it, and what is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from vadistill.datasets import Splits, open_dataset
from vadistill.datasets.base import Dataset, Video
from vadistill.datasets.check_report import CheckReport, VideoReport, count
from vadistill.datasets.holdout import ADVISED, TOO_SHORT, hold_out, seconds
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.datasets.sources import dim, misnumbered, missing_numbers, pictures
from vadistill.errors import VadistillError
from vadistill.progress import clock, progress
from vadistill.video import FileSource, VideoSource
from vadistill.video.base import DEFAULT_FPS
from vadistill.video.pictures import ORIENTATION


def check(path: str | Path, kind: str = "auto", *, full: bool = False) -> CheckReport:
    """Look at a data set; ``full`` decodes every frame and mask, else each video's first.

    Of a file that is shorter than its container says every frame is decoded, to tell what is there.
    Features are read whole either way.  What is wrong is reported, not raised: videos that cannot
    be decoded, mixed frame sizes, features that are not finite, labels or masks that do not fit,
    and what weak supervision cannot learn from.
    Raises DataError only where there is no data set at all.
    """
    splits = open_dataset(path, kind, tolerant=True)
    problems = list(splits.problems)
    reports = []
    with progress("checking videos", len(splits.train) + len(splits.test)) as advance:
        for dataset in (splits.train, splits.test):
            for video in dataset:
                reports.append(_check_video(video, dataset, problems, full=full))
                advance()
    if splits.train.supervision == "weak":
        lacking = splits.train.lacking_labels() if len(splits.train) else None
        problems += [lacking] if lacking else []
        problems += [
            f"{report.split} video {report.name}: {count(report.frames, 'frame')}, fewer than the"
            f" {SNIPPET} that one feature is made of"
            for report in reports
            if report.frames is not None and report.width and report.frames < SNIPPET
        ]
    sizes = Counter(report.size for report in reports if report.width)
    # One detector watches one camera; features for weak supervision come from any.
    if len(sizes) > 1 and splits.train.supervision == "one-class":
        each = ", ".join(
            f"{size} ({count(number, 'video')})" for size, number in sizes.most_common(4)
        )
        problems.append(f"videos of {len(sizes)} frame sizes: {each}")
    notes = [*splits.notes, *_notes_of_sources(splits), _note_of_length(splits)]
    return CheckReport(
        Path(path),
        splits.kind,
        splits.train.name,
        splits.train.supervision,
        tuple(reports),
        tuple(dict.fromkeys(problems)),
        full,
        splits.unused,
        tuple(filter(None, notes)),
    )


def _notes_of_sources(splits: Splits) -> list[str]:
    """Lines on what lies there twice, and on rates that nothing tells."""
    notes, known = [], {}
    assumed = 0
    for split in (splits.train, splits.test):
        for video in split:
            if not isinstance(video.source, Path):
                continue
            assumed += video.fps is None and video.source.is_dir()
            own = f"{split.split} video {video.name}"
            first = known.setdefault(video.source.resolve(), own)
            if first != own:
                notes.append(f"{own} is {first} once more, by a link")
    if assumed:
        notes.append(
            f"{count(assumed, 'folder')} of pictures, which tell no rate: {DEFAULT_FPS:g} frames/s"
            " assumed (in a video file it stands)"
        )
    return notes


def _note_of_length(splits: Splits) -> str:
    """A line on normal footage that is less than is advised; by the rule by which ``fit`` goes."""
    labelled = any(video.frame_labels is not None for video in splits.test)
    if splits.train.supervision == "weak" or labelled or not len(splits.train):
        return ""
    try:
        whole, (_, held) = seconds(splits.train.videos), hold_out(splits.train)
    except VadistillError:  # of a video that cannot be decoded, which is a problem
        return ""
    if whole >= ADVISED:
        return ""
    note = f"short: {clock(whole)} of normal video, where an hour of usual traffic is advised"
    return note if len(held) else f"{note}; {TOO_SHORT}"


def _check_video(video: Video, dataset: Dataset, problems: list[str], *, full: bool) -> VideoReport:
    labels = video.frame_labels
    known: dict[str, Any] = {
        "split": dataset.split,
        "name": video.name,
        "abnormal": None if labels is None else int(labels.sum()),
        "video_label": video.video_label,
        "masks": video.mask is not None,
        "classes": video.classes,
    }
    if isinstance(video.source, FeatureSource):
        known["frames"] = video.source.info.frames
        return _check_features(video.source, known, problems)
    found = _picture_problems(video)
    try:
        source = video.open()
        frames = _decode(source, found, full=full)
    except VadistillError as error:
        found.append(error.got)
        problems += [f"{dataset.split} video {video.name}: {problem}" for problem in found]
        return VideoReport(**known, frames=None if labels is None else len(labels))
    info = source.info
    exact = frames is not None
    if frames is None:
        frames = info.frames if labels is None else len(labels)
    lost = source.corrupt_frames
    if exact and labels is not None and len(labels) - (frames or 0) not in (0, lost):
        found.append(f"{len(labels)} labels for {frames} frames")
    found += _mask_problems(video, info.width, info.height, full=full)
    problems += [f"{dataset.split} video {video.name}: {problem}" for problem in found]
    return VideoReport(**known, frames=frames, width=info.width, height=info.height, fps=info.fps)


def _check_features(
    source: FeatureSource, known: dict[str, Any], problems: list[str]
) -> VideoReport:
    """Reads every row of every backbone."""
    widths = []
    for backbone in sorted(source.arrays):
        try:
            widths.append(f"{backbone} {source.features(backbone).shape[1]}")
        except VadistillError as error:
            widths.append(f"{backbone} ?")
            problems.append(f"{known['split']} video {known['name']}: {error.got}")
    return VideoReport(
        **known, fps=source.info.fps, snippets=source.snippets, features=", ".join(widths)
    )


def _decode(source: VideoSource, found: list[str], *, full: bool) -> int | None:
    """The number of frames if all were decoded; raises VideoError where decoding ends."""
    iterator = iter(source)
    if not full:
        next(iterator, None)
        if isinstance(source, FileSource) and source.is_short():
            source.count()
        return None
    count = sum(1 for _ in iterator)
    if source.corrupt_frames:
        found.append(f"{source.corrupt_frames} damaged frames")
    return count


def _picture_problems(video: Video) -> list[str]:
    """What is wrong with a frame folder, from names and the pictures' headers alone."""
    if not (isinstance(video.source, Path) and video.source.is_dir()):
        return []
    from PIL import Image

    sizes: Counter[tuple[int, int]] = Counter()
    broken = []
    paths = pictures(video.source)
    for path in paths:
        try:
            if not path.is_file():
                raise OSError("a folder, pipe or device")
            with Image.open(path) as picture:
                width, height = picture.size
                # As they are decoded; of a TIFF, Pillow has turned the size already.
                turned = picture.getexif().get(ORIENTATION) in range(5, 9)
                turned &= picture.format != "TIFF"
                sizes[(height, width) if turned else (width, height)] += 1
        except Exception:  # whatever damaged headers bring up
            broken.append(path.name)
    problems = [f"{len(broken)} unreadable pictures, such as {broken[0]}"] if broken else []
    problems += misnumbered(paths) or missing_numbers(paths)
    problems += dim(paths)
    if len(sizes) > 1:
        each = ", ".join(
            f"{w}x{h} ({count(number, 'frame')})" for (w, h), number in sizes.most_common(3)
        )
        problems.append(f"pictures of {len(sizes)} sizes: {each}")
    return problems


def _mask_problems(video: Video, width: int, height: int, *, full: bool) -> list[str]:
    if video.mask is None:
        return []
    try:
        mask_height, mask_width = video.mask(0).shape
        different = video.mask_disagreements() if full else []
    except VadistillError as error:
        return [error.got]
    problems = []
    if (mask_width, mask_height) != (width, height):
        problems.append(f"masks are {mask_width}x{mask_height}, frames {width}x{height}")
    if different:
        problems.append(
            f"masks and frame labels disagree on {len(different)} frames, first on {different[0]}"
        )
    return problems
