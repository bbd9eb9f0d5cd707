"""Which videos of a folder its label files and mask folders are about, and what they say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

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
from vadistill.errors import DataError, VadistillError
from vadistill.tables import Row, Table, read_table

MASKS = "test_masks"
"""Folder of mask folders."""

ENDINGS = (".csv", ".tsv")
"""Of files that may be label files."""


TEXTS = (".txt", ".json", ".jsonl", ".xml", ".yaml", ".yml")
"""Of files that may hold labels, and are not read."""

LARGE = 2**22
"""Bytes from which on such a file is not looked into."""


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
    looked: set[Path] = field(default_factory=set)
    """These, and those that cannot be read or turned out to be no label files."""
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
                self.looked.add(path)
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
        """A table that is no label file: a problem where it names a video."""
        row = _naming(table, {name for each in names for name in each})
        if row is not None:
            self.problems.append(
                f"{table.path.name} line {row[0]} names the video {row[1]}, but its first line is"
                f" {table.first[:60]!r}, expected a header {LABEL_COLUMNS}"
            )

    def require_no_others(self, paths: Iterable[Path], sources: Iterable[Path]) -> None:
        """A file that is not read but labels a video is a problem, as in ``collect``.

        It lies in a deeper folder, has another ending, or is called as the video and tells what of
        it is abnormal.
        """
        videos = {str(source): source for source in sources}
        names = [_names(videos, ())]
        known, stems = set(names[0]), {source.stem for source in videos.values()}
        for path in paths:
            ending = path.suffix.lower()
            if not path.is_file():
                continue
            if ending in ENDINGS:
                try:
                    table = read_table(path)
                except DataError:
                    continue  # told already, or of no video that is read
                if path not in self.looked and (row := _naming(table, known)) is not None:
                    self._add_other(path, *row)
                elif path.stem in stems and {"start", "start_time", "label"} & set(table.header):
                    self._add_other(path, table.line, path.stem)
            elif ending in TEXTS and path.stat().st_size < LARGE:
                found = labelled(path.read_text(encoding="utf-8", errors="replace"), ending, known)
                if found is not None:
                    self._add_other(path, *found)

    def _add_other(self, path: Path, line: int, video: str) -> None:
        self.problems.append(
            f"{path.name} line {line} labels the video {video}, but is not read, expected"
            f" {' or '.join(ENDINGS)} beside the videos, with a header {LABEL_COLUMNS}"
        )

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


def _naming(table: Table, known: Container[str]) -> tuple[int, str] | None:
    """The line of a table that names a video, and the video; none of a table of frames' values."""
    if "frame" in table.header and not {"label", "abnormal", "anomaly"} & set(table.header):
        return None
    for row in (Row(table.line, re.split("[,;\t]", table.first)), *table.rows):
        # Another line may have another separator than the header.
        for cell in re.split("[,;\t]", ",".join(row.cells)):
            if _key(cell.strip(' "')) in known:
                return row.line, cell.strip()
    return None


def labelled(text: str, ending: str, known: Container[str]) -> tuple[int, str] | None:
    """The line of a text, and the video, that it labels in a form that is not read; else None.

    In a .txt a line begins with a video and goes on with a label or two numbers; elsewhere a
    video's file stands beside words such as start and label, or a list follows its name.
    """
    if ending != ".txt":
        words = re.split(r"[^\w.\\/ -]+", text)
        files = (word for word in words if PurePath(word).suffix and _key(word) in known)
        lists = (name for name in re.findall(r'"([^"]+)"\s*:\s*\[', text) if _key(name) in known)
        video = next(files, None) if any(map(_WORDS.fullmatch, words)) else None
        video = video or next(lists, None)
        return None if video is None else (text[: text.index(video)].count("\n") + 1, video)
    for number, line in enumerate(text.splitlines(), start=1):
        name, *cells = re.split(r"[,;:\s]+", line.strip()) if line.strip() else [""]
        numbers = [cell for cell in cells if re.fullmatch(r"\d[\d:.]*", cell)]
        says = len(numbers) > 1 or any(map(_LABELS.fullmatch, cells))
        if says and not name.isdecimal() and _key(name) in known:
            return number, name
    return None


_WORDS = re.compile(
    r"labels?|start\w*|end\w*|begin\w*|abnormal|anomal\w+|intervals?", re.IGNORECASE
)
_LABELS = re.compile(r"[01]|normal|abnormal|anomal\w+", re.IGNORECASE)


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
