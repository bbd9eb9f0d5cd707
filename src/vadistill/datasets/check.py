"""What ``vadistill data check`` tells: what was recognised, how much of it, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vadistill.datasets import open_dataset
from vadistill.datasets.base import Dataset, Video
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.datasets.sources import misnumbered, missing_numbers, pictures
from vadistill.errors import VadistillError
from vadistill.progress import progress
from vadistill.video import VideoSource

COLUMNS = ("split", "video", "frames", "size", "fps", "abnormal", "masks")
"""Headings of ``CheckReport.rows`` for videos."""

FEATURE_COLUMNS = ("split", "video", "snippets", "features", "fps", "abnormal", "classes")
"""Headings of ``CheckReport.rows`` where some video is features."""


@dataclass(frozen=True)
class VideoReport:
    """One video as it was found; None is what is not known."""

    split: str
    name: str
    frames: int | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    abnormal: int | None = None
    """Number of frames labelled abnormal."""
    video_label: int | None = None
    masks: bool = False
    classes: tuple[str, ...] = ()
    snippets: int | None = None
    """Rows of its features."""
    features: str = ""
    """Backbones and their widths, such as ``i3d 1024``."""

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}" if self.width else "?"

    def feature_row(self) -> tuple[str, ...]:
        """Its line of the table, as FEATURE_COLUMNS has it."""
        split, name, _, size, fps, abnormal, _ = self.row()
        snippets = "?" if self.snippets is None else str(self.snippets)
        classes = ", ".join(self.classes) or "-"
        return split, name, snippets, self.features or size, fps, abnormal, classes

    def row(self) -> tuple[str, ...]:
        """Its line of the table, as COLUMNS has it."""
        label = {None: "-", 0: "no", 1: "yes"}[self.video_label]
        return (
            self.split,
            self.name,
            "?" if self.frames is None else str(self.frames),
            self.size,
            "?" if self.fps is None else f"{self.fps:g}",
            label if self.abnormal is None else str(self.abnormal),
            "yes" if self.masks else "-",
        )


@dataclass(frozen=True)
class CheckReport:
    """A data set as it was found.  ``problems`` are one line each; without any it is sound."""

    path: Path
    kind: str
    name: str
    supervision: str
    videos: tuple[VideoReport, ...]
    problems: tuple[str, ...]
    full: bool = False
    """Whether every frame and mask was decoded."""
    unused: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        return not self.problems

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of ``rows``."""
        return FEATURE_COLUMNS if any(video.features for video in self.videos) else COLUMNS

    def rows(self) -> list[tuple[str, ...]]:
        """One row a video, with the headings ``columns``."""
        if self.columns == COLUMNS:
            return [video.row() for video in self.videos]
        return [video.feature_row() for video in self.videos]

    def lines(self) -> list[str]:
        """The summary: what it is, one line a split, then one line a problem."""
        lines = [f"{self.path}: {self.name}, read as {self.kind}, {self.supervision} supervision"]
        lines += [self._split_line(split) for split in ("train", "test")]
        lines += [f"not used: {', '.join(self.unused)}"] if self.unused else []
        looked = "every frame decoded" if self.full else "the first frame of each video decoded"
        if self.columns == FEATURE_COLUMNS:
            looked = "every feature read"
            if any(not video.features for video in self.videos):
                looked += f", of videos {'every' if self.full else 'the first'} frame decoded"
        if self.sound:
            return [*lines, f"nothing wrong ({looked})"]
        return [*lines, f"{_count(len(self.problems), 'problem')} ({looked}):", *self.problems]

    def _split_line(self, split: str) -> str:
        videos = [video for video in self.videos if video.split == split]
        if not videos:
            return f"{split}: no videos"
        frames = sum(video.frames or 0 for video in videos)
        unknown = sum(video.frames is None for video in videos)
        parts = [_count(len(videos), "video"), _count(frames, "frame")]
        if unknown:
            parts[-1] += f" (unknown for {_count(unknown, 'video')})"
        rows = [video.snippets for video in videos if video.snippets is not None]
        if rows:
            parts += [_count(sum(rows), "feature row")]
            parts += [_several(video.features for video in videos if video.features)]
        parts += [_several(video.size for video in videos if video.width)]
        parts += [_several(f"{video.fps:g} fps" for video in videos if video.fps)]
        labelled = [video for video in videos if video.abnormal is not None]
        if labelled:
            abnormal = sum(video.abnormal or 0 for video in labelled)
            parts.append(
                f"{_count(abnormal, 'abnormal frame')} in {_count(len(labelled), 'labelled video')}"
            )
        elif any(video.video_label is not None for video in videos):
            parts.append(_count(sum(video.video_label or 0 for video in videos), "abnormal video"))
        elif split == "test":
            parts.append("no labels")
        if any(video.masks for video in videos):
            parts.append(f"masks for {_count(sum(video.masks for video in videos), 'video')}")
        return f"{split}: {', '.join(part for part in parts if part)}"


def check(path: str | Path, kind: str = "auto", *, full: bool = False) -> CheckReport:
    """Look at a data set; ``full`` decodes every frame and mask, else each video's first.

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
            f"{report.split} video {report.name}: {_count(report.frames, 'frame')}, fewer than the"
            f" {SNIPPET} that one feature is made of"
            for report in reports
            if report.frames is not None and report.width and report.frames < SNIPPET
        ]
    sizes = Counter(report.size for report in reports if report.width)
    # One detector watches one camera; features for weak supervision come from any.
    if len(sizes) > 1 and splits.train.supervision == "one-class":
        each = ", ".join(
            f"{size} ({_count(count, 'video')})" for size, count in sizes.most_common(4)
        )
        problems.append(f"videos of {len(sizes)} frame sizes: {each}")
    return CheckReport(
        Path(path),
        splits.kind,
        splits.train.name,
        splits.train.supervision,
        tuple(reports),
        tuple(dict.fromkeys(problems)),
        full,
        splits.unused,
    )


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
    if exact and labels is not None and len(labels) != frames:
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
        return None
    count = sum(1 for _ in iterator)
    if source.corrupt_frames:
        found.append(f"{source.corrupt_frames} damaged frames")
    return count


def _picture_problems(video: Video) -> list[str]:
    """What is wrong with a frame folder, from names and the pictures' headers alone."""
    if not (isinstance(video.source, Path) and video.source.is_dir()):
        return []
    from PIL import Image, UnidentifiedImageError

    sizes: Counter[tuple[int, int]] = Counter()
    broken = []
    paths = pictures(video.source)
    for path in paths:
        try:
            with Image.open(path) as picture:
                sizes[picture.size] += 1
        except (OSError, UnidentifiedImageError):
            broken.append(path.name)
    problems = [f"{len(broken)} unreadable pictures, such as {broken[0]}"] if broken else []
    problems += misnumbered(paths) or missing_numbers(paths)
    if len(sizes) > 1:
        each = ", ".join(
            f"{w}x{h} ({_count(count, 'frame')})" for (w, h), count in sizes.most_common(3)
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


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _several(values: Iterable[str]) -> str:
    """Distinct values, the most common first: ``360x240`` or ``360x240 and 2 others``."""
    found = [value for value, _ in Counter(values).most_common()]
    others = len(found) - 1
    return f"{found[0]} and {others} other{'s' * (others > 1)}" if others > 0 else "".join(found)
