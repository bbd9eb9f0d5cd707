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

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.labels import (
    IntervalFile,
    PictureMasks,
    VideoLabelFile,
    labels_from_intervals,
    labels_from_times,
    read_label_file,
)
from vadistill.datasets.sampling import held_out_groups
from vadistill.datasets.sources import (
    entries,
    folders,
    frame_count,
    frame_times,
    is_video,
    named,
    pictures,
    video_files,
)
from vadistill.errors import DataError, VadistillError
from vadistill.progress import progress

TRAIN, TEST, MASKS = ("train", "training", "normal"), ("test", "testing"), "test_masks"


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
    labels = _Labels(problems)
    labels.collect(path, train, test)
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
    if weak and not test_folder and not test_videos:
        held_out = labels.held_out(train)
        test_videos = labels.plain({n: s for n, s in train.items() if n in held_out})
        train = {name: source for name, source in train.items() if name not in held_out}
    supervision = "weak" if weak else "one-class"
    for name, source in train.items():
        if weak and source not in labels.video:
            problems.append(f"training video {name} has no label although others have one")
        if source in labels.intervals and not weak:
            problems.append(f"training video {name} has abnormal intervals: move it to test/")
    title = path.stem if path.is_file() else path.absolute().name
    return Splits(
        Dataset(title, "train", tuple(labels.plain(train)), supervision, root=path),
        Dataset(title, "test", tuple(test_videos), supervision, root=path),
        "folder",
        tuple(problems),
    )


def _splits(path: Path) -> tuple[Path | None, Path | None]:
    return named(path, *TRAIN), named(path, *TEST)


def _sources(path: Path | None, depth: int = 1) -> dict[str, Path]:
    """Names and the video files or frame folders that they are."""
    if path is None:
        return {}
    if is_video(path):
        return {path.stem: path}
    here = video_files(path)
    if not here and pictures(path):
        return {path.absolute().name: path}
    stems = [video.stem for video in here]
    found = {v.stem if stems.count(v.stem) == 1 else v.name: v for v in here}
    for folder in folders(path):
        if folder.name.lower() == MASKS:
            continue
        if pictures(folder) and not video_files(folder):
            inside = {folder.name: folder}
        else:
            deeper = _sources(folder, depth - 1) if depth else {}
            inside = {f"{folder.name}_{name}": source for name, source in deeper.items()}
        for name, source in inside.items():
            while name in found:
                name += "_2"
            found[name] = source
    return found


@dataclass
class _Labels:
    """What label files and mask folders say about videos, by where one lies: names may repeat."""

    problems: list[str]
    intervals: dict[Path, list[tuple[float, float]]] = field(default_factory=dict)
    video: dict[Path, int] = field(default_factory=dict)
    origin: dict[Path, str] = field(default_factory=dict)
    """What a video with a video label was cut from, where that is told."""
    masks: dict[Path, PictureMasks] = field(default_factory=dict)
    mentioned: set[Path] = field(default_factory=set)
    """Videos that a file of intervals or a mask folder is about."""
    unit: str | None = None

    @property
    def known(self) -> bool:
        """Whether frame labels exist for the test split."""
        return self.unit is not None or bool(self.masks)

    def collect(self, root: Path, train: dict[str, Path], test: dict[str, Path]) -> None:
        """Read every label file, and match its rows with videos; what does not fit is a problem."""
        splits = _splits(root)
        first: Path | None = None
        for folder in filter(None, (root, *splits)):
            # Of two videos with one name, a file lying in train/ means the one there.
            order = (train, test) if folder == splits[0] else (test, train)
            names = [_names(videos, [folder, root]) for videos in order]
            for path in entries(folder):
                if path.suffix.lower() != ".csv" or not path.is_file():
                    continue
                try:
                    file = read_label_file(path)
                except DataError as error:
                    self.problems.append(f"{error.got}, expected {error.expected}")
                    continue
                if isinstance(file, VideoLabelFile):
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
        key = file.replace("\\", "/").removeprefix("./").rstrip("/")
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
            self.problems.append(f"test video {name}: {error.got}")
            return video
        return replace(video, frame_labels=labels, video_label=int(labels.any()))


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
