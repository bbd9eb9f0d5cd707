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
from vadistill.datasets.sources import pictures
from vadistill.errors import VadistillError
from vadistill.progress import progress
from vadistill.video import VideoSource

COLUMNS = ("split", "clip", "frames", "size", "fps", "abnormal", "masks")
"""Headings of ``CheckReport.rows`` for videos."""

FEATURE_COLUMNS = ("split", "clip", "clips", "features", "fps", "abnormal", "classes")
"""Headings of ``CheckReport.rows`` where some clip is features."""


@dataclass(frozen=True)
class ClipReport:
    """One clip as it was found; None is what is not known."""

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
    feature_clips: int | None = None
    """Rows of its features."""
    features: str = ""
    """Backbones and their widths, such as ``i3d 1024``."""

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}" if self.width else "?"

    def feature_row(self) -> tuple[str, ...]:
        """Its line of the table, as FEATURE_COLUMNS has it."""
        split, name, _, size, fps, abnormal, _ = self.row()
        clips = "?" if self.feature_clips is None else str(self.feature_clips)
        classes = ", ".join(self.classes) or "-"
        return split, name, clips, self.features or size, fps, abnormal, classes

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
    clips: tuple[ClipReport, ...]
    problems: tuple[str, ...]
    full: bool = False
    """Whether every frame and mask was decoded."""

    @property
    def sound(self) -> bool:
        return not self.problems

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of ``rows``."""
        return FEATURE_COLUMNS if any(clip.features for clip in self.clips) else COLUMNS

    def rows(self) -> list[tuple[str, ...]]:
        """One row a clip, with the headings ``columns``."""
        if self.columns == COLUMNS:
            return [clip.row() for clip in self.clips]
        return [clip.feature_row() for clip in self.clips]

    def lines(self) -> list[str]:
        """The summary: what it is, one line a split, then one line a problem."""
        lines = [f"{self.path}: {self.name}, read as {self.kind}, {self.supervision} supervision"]
        lines += [self._split_line(split) for split in ("train", "test")]
        looked = "every frame decoded" if self.full else "the first frame of each clip decoded"
        if self.columns == FEATURE_COLUMNS:
            looked = "every feature read"
            if any(not clip.features for clip in self.clips):
                looked += f", of videos {'every' if self.full else 'the first'} frame decoded"
        if self.sound:
            return [*lines, f"nothing wrong ({looked})"]
        return [*lines, f"{_count(len(self.problems), 'problem')} ({looked}):", *self.problems]

    def _split_line(self, split: str) -> str:
        clips = [clip for clip in self.clips if clip.split == split]
        if not clips:
            return f"{split}: no clips"
        frames = sum(clip.frames or 0 for clip in clips)
        unknown = sum(clip.frames is None for clip in clips)
        parts = [_count(len(clips), "clip"), _count(frames, "frame")]
        if unknown:
            parts[-1] += f" (unknown for {_count(unknown, 'clip')})"
        rows = [clip.feature_clips for clip in clips if clip.feature_clips is not None]
        if rows:
            parts += [_count(sum(rows), "feature row")]
            parts += [_several(clip.features for clip in clips if clip.features)]
        parts += [_several(clip.size for clip in clips if clip.width)]
        parts += [_several(f"{clip.fps:g} fps" for clip in clips if clip.fps)]
        labelled = [clip for clip in clips if clip.abnormal is not None]
        if labelled:
            abnormal = sum(clip.abnormal or 0 for clip in labelled)
            parts.append(
                f"{_count(abnormal, 'abnormal frame')} in {_count(len(labelled), 'labelled clip')}"
            )
        elif any(clip.video_label is not None for clip in clips):
            parts.append(_count(sum(clip.video_label or 0 for clip in clips), "abnormal clip"))
        elif split == "test":
            parts.append("no labels")
        if any(clip.masks for clip in clips):
            parts.append(f"masks for {_count(sum(clip.masks for clip in clips), 'clip')}")
        return f"{split}: {', '.join(part for part in parts if part)}"


def check(path: str | Path, kind: str = "auto", *, full: bool = False) -> CheckReport:
    """Look at a data set; ``full`` decodes every frame and mask, else the first frame of each clip.

    Features are read whole either way.  What is wrong is reported, not raised: clips that cannot be
    decoded, mixed frame sizes, features that are not finite, labels or masks that do not fit, and
    what weak supervision cannot learn from.
    Raises DataError only where there is no data set at all.
    """
    splits = open_dataset(path, kind, tolerant=True)
    problems = list(splits.problems)
    reports = []
    with progress("checking clips", len(splits.train) + len(splits.test)) as advance:
        for dataset in (splits.train, splits.test):
            for clip in dataset:
                reports.append(_check_clip(clip, dataset, problems, full=full))
                advance()
    if splits.train.supervision == "weak":
        lacking = splits.train.lacking_labels() if len(splits.train) else None
        problems += [lacking] if lacking else []
        problems += [
            f"{report.split} clip {report.name}: {_count(report.frames, 'frame')}, fewer than the"
            f" {SNIPPET} that one feature is made of"
            for report in reports
            if report.frames is not None and report.width and report.frames < SNIPPET
        ]
    sizes = Counter(report.size for report in reports if report.width)
    # One detector watches one camera; features for weak supervision come from any.
    if len(sizes) > 1 and splits.train.supervision == "one-class":
        each = ", ".join(
            f"{size} ({_count(count, 'clip')})" for size, count in sizes.most_common(4)
        )
        problems.append(f"clips of {len(sizes)} frame sizes: {each}")
    return CheckReport(
        Path(path),
        splits.kind,
        splits.train.name,
        splits.train.supervision,
        tuple(reports),
        tuple(dict.fromkeys(problems)),
        full,
    )


def _check_clip(clip: Video, dataset: Dataset, problems: list[str], *, full: bool) -> ClipReport:
    labels = clip.frame_labels
    known: dict[str, Any] = {
        "split": dataset.split,
        "name": clip.name,
        "abnormal": None if labels is None else int(labels.sum()),
        "video_label": clip.video_label,
        "masks": clip.mask is not None,
        "classes": clip.classes,
    }
    if isinstance(clip.source, FeatureSource):
        known["frames"] = clip.source.info.frames
        return _check_features(clip.source, known, problems)
    found = _picture_sizes(clip)
    try:
        source = clip.open()
        frames = _decode(source, found, full=full)
    except VadistillError as error:
        found.append(error.got)
        problems += [f"{dataset.split} clip {clip.name}: {problem}" for problem in found]
        return ClipReport(**known, frames=None if labels is None else len(labels))
    info = source.info
    exact = frames is not None
    if frames is None:
        frames = info.frames if labels is None else len(labels)
    if exact and labels is not None and len(labels) != frames:
        found.append(f"{len(labels)} labels for {frames} frames")
    found += _mask_problems(clip, info.width, info.height, full=full)
    problems += [f"{dataset.split} clip {clip.name}: {problem}" for problem in found]
    return ClipReport(**known, frames=frames, width=info.width, height=info.height, fps=info.fps)


def _check_features(
    source: FeatureSource, known: dict[str, Any], problems: list[str]
) -> ClipReport:
    """Reads every row of every backbone."""
    widths = []
    for backbone in sorted(source.arrays):
        try:
            widths.append(f"{backbone} {source.features(backbone).shape[1]}")
        except VadistillError as error:
            widths.append(f"{backbone} ?")
            problems.append(f"{known['split']} clip {known['name']}: {error.got}")
    return ClipReport(
        **known, fps=source.info.fps, feature_clips=source.clips, features=", ".join(widths)
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


def _picture_sizes(clip: Video) -> list[str]:
    """A frame folder's sizes, from the pictures' headers alone."""
    if not (isinstance(clip.source, Path) and clip.source.is_dir()):
        return []
    from PIL import Image, UnidentifiedImageError

    sizes: Counter[tuple[int, int]] = Counter()
    broken = []
    for path in pictures(clip.source):
        try:
            with Image.open(path) as picture:
                sizes[picture.size] += 1
        except (OSError, UnidentifiedImageError):
            broken.append(path.name)
    problems = [f"{len(broken)} unreadable pictures, such as {broken[0]}"] if broken else []
    if len(sizes) > 1:
        each = ", ".join(
            f"{w}x{h} ({_count(count, 'frame')})" for (w, h), count in sizes.most_common(3)
        )
        problems.append(f"pictures of {len(sizes)} sizes: {each}")
    return problems


def _mask_problems(clip: Video, width: int, height: int, *, full: bool) -> list[str]:
    if clip.mask is None:
        return []
    try:
        mask_height, mask_width = clip.mask(0).shape
        different = clip.mask_disagreements() if full else []
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
