"""What ``check`` has found in a data set, as a table and as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vadistill.progress import clock

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
    notes: tuple[str, ...] = ()
    """What is worth knowing and not wrong, one line each."""

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
        lines += self.notes
        shown = any(not video.features for video in self.videos)
        looked = "every frame decoded" if self.full else "the first frame of each video decoded"
        if self.columns == FEATURE_COLUMNS:
            looked = "every feature read"
            if shown:
                looked += f", of videos {'every' if self.full else 'the first'} frame decoded"
        if shown and not self.full:
            masks = " and masks" if any(video.masks for video in self.videos) else ""
            lines.append(f"not looked at: other frames{masks} than the first (--full does)")
        if self.sound:
            return [*lines, f"nothing wrong ({looked})"]
        return [*lines, f"{count(len(self.problems), 'problem')} ({looked}):", *self.problems]

    def _split_line(self, split: str) -> str:
        videos = [video for video in self.videos if video.split == split]
        if not videos:
            return f"{split}: no videos"
        frames = sum(video.frames or 0 for video in videos)
        unknown = sum(video.frames is None for video in videos)
        parts = [count(len(videos), "video"), count(frames, "frame")]
        if unknown:
            parts[-1] += f" (unknown for {count(unknown, 'video')})"
        elif all(video.fps for video in videos):
            parts.append(clock(sum((video.frames or 0) / (video.fps or 1) for video in videos)))
        rows = [video.snippets for video in videos if video.snippets is not None]
        if rows:
            parts += [count(sum(rows), "feature row")]
            parts += [several(video.features for video in videos if video.features)]
        parts += [several(video.size for video in videos if video.width)]
        parts += [several(f"{video.fps:g} fps" for video in videos if video.fps)]
        labelled = [video for video in videos if video.abnormal is not None]
        if labelled:
            abnormal = sum(video.abnormal or 0 for video in labelled)
            parts.append(
                f"{count(abnormal, 'abnormal frame')} in {count(len(labelled), 'labelled video')}"
            )
        elif any(video.video_label is not None for video in videos):
            parts.append(count(sum(video.video_label or 0 for video in videos), "abnormal video"))
        elif split == "test":
            parts.append("no labels")
        if any(video.masks for video in videos):
            parts.append(f"masks for {count(sum(video.masks for video in videos), 'video')}")
        return f"{split}: {', '.join(part for part in parts if part)}"


def count(number: int, what: str) -> str:
    """Such as ``1 video`` or ``1,200 frames``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def several(values: Iterable[str]) -> str:
    """Distinct values, the most common first: ``360x240`` or ``360x240 and 2 others``."""
    found = [value for value, _ in Counter(values).most_common()]
    others = len(found) - 1
    return f"{found[0]} and {others} other{'s' * (others > 1)}" if others > 0 else "".join(found)
