"""What weakly supervised sets share: videos or published features found by name.

features/BACKBONE/…/VIDEO.npy        one file a video, .npy, .npz, .txt or .mat, in any folders;
                                     VIDEO_i3d.npy, VIDEO_c3d.npy, VIDEO_rgb.npy, VIDEO_feat.npy and
                                     VIDEO.mp4.npy are of VIDEO too, with or without UCF's _x264
features/BACKBONE/…/VIDEO__0.npy …   one file a crop, which are averaged
…/VIDEO.mp4                          the videos themselves, anywhere else below

A video's source is its features where there are any, else its file.  A feature row is a snippet of
16 frames, and without the video's own length that of its labels is 16 times the rows.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.intervals import Annotation, frame_labels
from vadistill.datasets.published import (
    FORMATS,
    FeatureCrops,
    FeatureFile,
    FeatureShape,
    wrong_crops,
    wrong_widths,
)
from vadistill.datasets.snippets import SEGMENTS, SNIPPET, FeatureSource
from vadistill.datasets.sources import VIDEOS, folders, frame_count, is_video, named, unused
from vadistill.datasets.sources import listed as not_used
from vadistill.errors import DataError, VadistillError
from vadistill.progress import progress

FEATURES = "features"
"""The folder of published features."""

NameOf = Callable[[PurePosixPath], str | None]
"""Which video a file, given by its path from the root, is of; None for other files."""

_CROP = re.compile(r"__\d+$")
_SUFFIX = re.compile(r"_(?:i3d|s3d|c3d|clip|rgb|c|feats?|features?)$", re.IGNORECASE)


def video_name(file: str) -> str:
    """``Abuse/Abuse001.mp4`` or ``Abuse001.npy`` to ``Abuse001``; other dots belong to names."""
    name = PurePosixPath(file.replace("\\", "/")).name
    ending = PurePosixPath(name).suffix.lower()
    return name[: -len(ending)] if ending and ending in (*VIDEOS, *FORMATS) else name


def listed(names: Iterable[str]) -> NameOf:
    """Finds the files of listed videos, by the spellings that published features have."""
    known = {name: name for name in names}
    for name in list(known):
        known.setdefault(name.removesuffix("_x264"), name)

    def name_of(path: PurePosixPath) -> str | None:
        name = video_name(path.name)
        # What the list itself calls a video comes first: a name of its own may end like a crop.
        for ending in (None, _CROP, _SUFFIX):
            name = ending.sub("", name) if ending else name
            for spelling in (name, video_name(name)):
                if spelling in known:
                    return known[spelling]
        return None

    return name_of


def find_videos(root: Path, name_of: NameOf) -> dict[str, Path]:
    """Video files anywhere below ``root`` but in features/, by name; the first of several."""
    found: dict[str, Path] = {}
    for folder in (root, *(each for each in folders(root) if each.name.lower() != FEATURES)):
        files = folder.iterdir() if folder == root else folder.rglob("*")
        for path in sorted(filter(is_video, files)):
            name = name_of(PurePosixPath(path.relative_to(root)))
            if name is not None:
                found.setdefault(name, path)
    return found


def find_features(
    root: Path, name_of: NameOf, problems: list[str]
) -> dict[str, dict[str, FeatureFile | FeatureCrops]]:
    """By backbone and video, what lies in features/; backbones without a file are left out.

    Two files of one video that are not crops, and videos with fewer crops than others, are
    problems.
    """
    top = named(root, FEATURES)
    found: dict[str, dict[str, FeatureFile | FeatureCrops]] = {}
    for folder in folders(top) if top else []:
        files: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in FORMATS and not path.name.startswith("."):
                name = name_of(PurePosixPath(path.relative_to(root)))
                if name is not None:
                    files[name].append(path)
        crops: dict[str, int] = {}
        for name, paths in files.items():
            numbered = [p for p in paths if p.stem != name and _CROP.search(p.stem)]
            whole = [path for path in paths if path not in numbered]
            if len(whole) > 1 or (whole and numbered):
                several = (*whole, *numbered)
                problems.append(
                    f"features of '{folder.name}' for {name} are both in {several[0].name} and in"
                    f" {several[1].name} ({several[1].parent.relative_to(root)}), expected one"
                )
            if numbered and not whole:
                crops[name] = len(numbered)
            of_backbone = found.setdefault(folder.name, {})
            if whole:
                of_backbone[name] = FeatureFile(whole[0])
            else:
                of_backbone[name] = FeatureCrops(tuple(map(FeatureFile, numbered)))
        usual = max(crops.values(), default=0)
        fewer = [name for name, count in crops.items() if count < usual]
        tell(problems, fewer, "", len(files), f"without all {usual} crops of '{folder.name}'")
    return found


def tell(problems: list[str], names: Sequence[str], split: str, total: int, what: str) -> None:
    """A line for each of up to three videos, or one for all; ``what`` follows "is" or "are"."""
    if len(names) <= 3:
        problems += [f"{split} video {name} is {what}".strip() for name in names]
    else:
        videos = f"{split} videos".strip()
        problems.append(f"{len(names)} of {total} {videos} are {what}, such as {names[0]}")


@dataclass
class WeakVideos:
    """The material of one data set: features and videos by name, and what was wrong with them."""

    name: str
    """Of the data set."""
    root: Path
    fps: float
    """Of videos that only features are of."""
    features: dict[str, dict[str, FeatureFile | FeatureCrops]]
    videos: dict[str, Path]
    """Video files or frame folders, and only of videos that are listed."""
    problems: list[str] = field(default_factory=list)
    _unfit: list[str] = field(default_factory=list)
    _widths: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    _shapes: dict[str, list[tuple[str, FeatureShape]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def dataset(self, split: Literal["train", "test"], records: Sequence[Annotation]) -> Dataset:
        """The videos of ``records``, in order, with frame labels for the test split.

        Videos that are missing, or whose features or labels do not fit, are problems.
        """
        missing: list[str] = []
        self._unfit.clear()
        partial: dict[str, list[str]] = {backbone: [] for backbone in self.features}
        videos = []
        with progress(f"reading {split} videos", len(records)) as advance:
            for record in records:
                videos += self._video(split, record, missing, partial)
                advance()
        self.problems += self._unfit[:3]
        if len(self._unfit) > 3:
            self.problems.append(f"{len(self._unfit) - 3} more {split} videos have such faults")
        what = "neither there as a video nor in features/"
        tell(self.problems, missing, split, len(records), what)
        for backbone, names in partial.items():
            what = f"without features of '{backbone}', which others have"
            tell(self.problems, names, split, len(records), what)
        return Dataset(self.name, split, tuple(videos), "weak", self.root)

    def require_snippets(self, test: Dataset) -> None:
        """Features of segments, which do not tell how long a video is, are one problem."""
        lengths = {v.source.snippets for v in test if isinstance(v.source, FeatureSource)}
        if len(test) > 3 and lengths == {SEGMENTS}:
            self.problems.insert(
                0,
                f"the features of all {len(test)} test videos have {SEGMENTS} rows, which are"
                " segments and tell no frame from another, expected a row for every 16 frames",
            )

    def splits(
        self, kind: str, train: Dataset, test: Dataset, *, lists: Iterable[Path] = ()
    ) -> Splits:
        """Both, after looking at widths and for videos in both; raises DataError for none.

        ``lists`` are the files that were read beside features and videos.
        """
        if not len(train) and not len(test):
            raise DataError(
                f"none of the videos of {kind} in {self.root}",
                expected=f"video files, or {FEATURES}/BACKBONE/VIDEO.npy, named as in its lists",
                fix="unpack them there",
            )
        for backbone, widths in self._widths.items():
            self.problems += wrong_widths(widths, backbone=backbone)
            self.problems += wrong_crops(self._shapes[backbone], backbone=backbone)
        both = sorted({video.name for video in train} & {video.name for video in test})
        lists = list(lists)
        told = " and ".join(p.name for p in lists if re.search("train|test", p.name, re.IGNORECASE))
        tell(self.problems, both, "", len(test), f"in both splits{told and f' ({told})'}")
        files = [f for of in self.features.values() for each in of.values() for f in each.files]
        videos = [v.source for v in (*train, *test) if isinstance(v.source, Path)]
        left = unused(self.root, [*lists, *videos, *(file.path for file in files)])
        problems = tuple(dict.fromkeys(self.problems))
        return Splits(train, test, kind, problems, not_used(self.root, left))

    def _video(
        self, split: str, record: Annotation, missing: list[str], partial: dict[str, list[str]]
    ) -> list[Video]:
        """One video, or none where it that is missing or unreadable."""
        files = {b: of[record.name] for b, of in self.features.items() if record.name in of}
        source: FeatureSource | Path | None = self.videos.get(record.name)
        labels = None
        try:
            if files:
                source = self._source(split, record, files)
            if source is None:
                missing.append(record.name)
                return []
            for backbone in self.features.keys() - files.keys():
                partial[backbone].append(record.name)
            if split == "test" and record.intervals is not None:
                labels = self._labels(record, source)
        except VadistillError as error:
            line = f"{split} video {record.name}: {error.got}, expected {error.expected}"
            self._unfit.append(line)
        if source is None:
            return []
        fps = self.fps if isinstance(source, Path) and source.is_dir() else None
        label, classes = record.label, record.classes
        return [Video(record.name, source, labels, video_label=label, fps=fps, classes=classes)]

    def _source(
        self, split: str, record: Annotation, files: dict[str, FeatureFile | FeatureCrops]
    ) -> FeatureSource:
        """Raises DataError for a file that cannot be read."""
        shapes = {backbone: file.shape() for backbone, file in files.items()}
        for backbone, shape in shapes.items():
            file = files[backbone]
            path = file.path if isinstance(file, FeatureFile) else file.files[0].path
            self._widths[backbone].append((str(path.relative_to(self.root)), shape.width))
            if isinstance(file, FeatureFile):
                self._shapes[backbone].append((str(path.relative_to(self.root)), shape))
        snippets = self._snippets(split, record, shapes)
        frames = record.frames
        # Published features of a video begin or end it at most a snippet early or late.
        if frames and abs(frames // SNIPPET - snippets) > 1:
            if split == "test" or snippets != SEGMENTS:
                self._unfit.append(
                    f"{split} video {record.name} has {snippets} snippets of features, expected"
                    f" {frames // SNIPPET} of its {frames} frames"
                )
            frames = None
        return FeatureSource(record.name, files, snippets=snippets, frames=frames, fps=self.fps)

    def _snippets(self, split: str, record: Annotation, shapes: dict[str, FeatureShape]) -> int:
        """The number that most backbones have."""
        counts = Counter(shape.snippets for shape in shapes.values())
        if len(counts) > 1:
            each = ", ".join(f"{shape.snippets} of '{b}'" for b, shape in shapes.items())
            self._unfit.append(
                f"{split} video {record.name} has {each}, expected as many snippets of"
                " each backbone"
            )
        return counts.most_common(1)[0][0]

    def _labels(self, record: Annotation, source: FeatureSource | Path) -> UInt8[np.ndarray, " t"]:
        """Raises VadistillError for a video that cannot be read, or is too short for its labels."""
        frames = source.info.frames if isinstance(source, FeatureSource) else frame_count(source)
        return frame_labels(record.intervals or (), frames or 0)
