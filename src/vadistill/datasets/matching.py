"""Which videos of a folder its label files and mask folders are about, and what they say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vadistill.datasets.base import Video
from vadistill.datasets.labels import (
    LABEL_COLUMNS,
    IntervalFile,
    VideoLabelFile,
    labels_from_intervals,
    labels_from_times,
    read_label_file,
)
from vadistill.datasets.masks import PictureMasks
from vadistill.datasets.sampling import held_out_groups
from vadistill.datasets.sources import entries, folders, frame_count, frame_times, named
from vadistill.datasets.tables import Row, Table, read_table
from vadistill.errors import DataError, VadistillError

MASKS = "test_masks"
"""Folder of mask folders."""

ENDINGS = (".csv", ".tsv")
"""Of files that may be label files."""


@dataclass
class Labels:
    """What label files and mask folders say about videos, by where one lies: names may repeat."""

    problems: list[str]
    intervals: dict[Path, list[tuple[float, float]]] = field(default_factory=dict)
    video: dict[Path, int] = field(default_factory=dict)
    origin: dict[Path, str] = field(default_factory=dict)
    """What a video with a video label was cut from, where that is told."""
    masks: dict[Path, PictureMasks] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    """The label files that were read."""
    mentioned: set[Path] = field(default_factory=set)
    """Videos that a file of intervals or a mask folder is about."""
    unit: str | None = None

    @property
    def known(self) -> bool:
        """Whether frame labels exist for the test split."""
        return self.unit is not None or bool(self.masks)

    def collect(
        self,
        root: Path,
        train: dict[str, Path],
        test: dict[str, Path],
        splits: tuple[Path | None, Path | None],
    ) -> None:
        """Read every label file, and match its rows with videos; what does not fit is a problem.

        ``splits`` are the folders of both; a table that names a video but is no label file does not
        fit either, for that video would else be taken for normal.
        """
        first: Path | None = None
        for folder in filter(None, (root, *splits)):
            # Of two videos with one name, a file lying in train/ means the one there.
            order = (train, test) if folder == splits[0] else (test, train)
            names = [_names(videos, [folder, root]) for videos in order]
            for path in entries(folder):
                if path.suffix.lower() not in ENDINGS or not path.is_file():
                    continue
                try:
                    file = read_label_file(path)
                except DataError as error:
                    self.problems.append(f"{error.got}, expected {error.expected}")
                    continue
                if file is not None:
                    self.files.add(path)
                if file is None:
                    self._add_unread(read_table(path), names)
                elif isinstance(file, VideoLabelFile):
                    self._add_video_labels(file, names)
                elif isinstance(file, IntervalFile) and first is not None:
                    self.problems.append(f"intervals in both {first} and {path}: keep one")
                elif isinstance(file, IntervalFile):
                    first = path
                    self._add_intervals(file, names)
        masks = named(root, MASKS)
        names = [_names(videos, [root]) for videos in (test, train)]
        for folder in folders(masks) if masks else []:
            source = self._match(f"{MASKS}/{folder.name}", folder.name, names)
            if source is not None:
                self.masks[source] = PictureMasks(folder)
                self.mentioned.add(source)

    def _add_unread(self, table: Table, names: Sequence[dict[str, set[Path]]]) -> None:
        """A table that is no label file, nor of frames: a problem where it names a video."""
        if "frame" in table.header:
            return
        known = {name for each in names for name in each}
        for row in (Row(table.line, re.split("[,;\t]", table.first)), *table.rows):
            video = next((cell for cell in row.cells if _key(cell.strip(' "')) in known), None)
            if video is not None:
                self.problems.append(
                    f"{table.path.name} line {row.line} names the video {video.strip()}, but its"
                    f" first line is {table.first[:60]!r}, expected a header {LABEL_COLUMNS}"
                )
                return

    def _add_video_labels(
        self, file: VideoLabelFile, names: Sequence[dict[str, set[Path]]]
    ) -> None:
        origins = file.sources or ("",) * len(file.labels)
        for (line, video, label), origin in zip(file.labels, origins, strict=True):
            source = self._match(f"{file.path.name} line {line}", video, names)
            if source is not None and self.video.get(source, label) != label:
                where = f"{file.path.name} line {line}"
                self.problems.append(f"{where}: {video} has the other label above")
            elif source is not None:
                self.video[source] = label
                if file.sources:
                    self.origin[source] = origin or video

    def _add_intervals(self, file: IntervalFile, names: Sequence[dict[str, set[Path]]]) -> None:
        self.unit = file.unit
        matched = {
            video: self._match(f"{file.path.name} line {line}", video, names)
            for video, line in {video: line for line, video in reversed(file.files)}.items()
        }
        self.mentioned |= {source for source in matched.values() if source is not None}
        for interval in file.intervals:
            source = matched[interval.file]
            if source is not None:
                self.intervals.setdefault(source, []).append((interval.start, interval.end))

    def _match(self, where: str, file: str, names: Sequence[dict[str, set[Path]]]) -> Path | None:
        key = _key(file)
        for known in names:
            found = sorted(known.get(key, ()))
            if len(found) == 1:
                return found[0]
            if found:
                each = ", ".join(path.name for path in found)
                self.problems.append(f"{where}: {file} may be any of {each}")
                return None
        self.problems.append(f"{where}: no video called {file}")
        return None

    def held_out(self, train: dict[str, Path]) -> set[str]:
        """The videos for testing, by their sources; none where sources are not told."""
        told = {name: source for name, source in train.items() if source in self.origin}
        if not told:
            return set()
        origins = [self.origin[source] for source in told.values()]
        try:
            chosen = held_out_groups(origins, [self.video[source] for source in told.values()])
        except DataError as error:
            self.problems.append(f"{error.got}, expected {error.expected}")
            return set()
        return {name for name, source in told.items() if self.origin[source] in chosen}

    def plain(self, videos: dict[str, Path]) -> list[Video]:
        """Videos without frame labels."""
        return [
            Video(n, source, video_label=self.video.get(source)) for n, source in videos.items()
        ]

    def test_video(self, name: str, source: Path) -> Video:
        """A test video with frame labels: from intervals, else from masks, else all normal."""
        video = Video(name, source, mask=self.masks.get(source), video_label=self.video.get(source))
        intervals = self.intervals.get(source, [])
        try:
            frames = frame_count(source)
            masks = self.masks.get(source)
            if masks is not None and len(masks) != frames:
                self.problems.append(f"test video {name}: {len(masks)} masks for {frames} frames")
                return replace(video, mask=None)
            if intervals and self.unit == "seconds":
                if source.is_dir():
                    self.problems.append(
                        f"test video {name}: a frame folder has no times, give start,end in frames"
                    )
                    return video
                labels = labels_from_times(intervals, frame_times(source))
            elif self.unit is None and masks is not None:
                labels = masks.frame_labels()
            else:
                labels = labels_from_intervals(intervals, frames)
        except VadistillError as error:
            self.problems.append(f"test video {name}: {error.got}, expected {error.expected}")
            return video
        return replace(video, frame_labels=labels, video_label=int(labels.any()))


def _key(file: str) -> str:
    """What a label file calls a video, as ``_names`` spells it."""
    return file.replace("\\", "/").removeprefix("./").rstrip("/")


def _names(videos: dict[str, Path], roots: Iterable[Path]) -> dict[str, set[Path]]:
    """What label files may call a video: its name, its file name or its path from a folder."""
    names: dict[str, set[Path]] = defaultdict(set)
    for name, source in videos.items():
        called = {name, source.name, source.stem}
        for root in roots:
            if source.is_relative_to(root) and source != root:
                inside = source.relative_to(root)
                called |= {inside.as_posix(), inside.with_suffix("").as_posix()}
        for each in called:
            names[each].add(source)
    return names
