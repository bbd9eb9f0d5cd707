"""What weakly supervised sets share: videos or published features found by name.

features/BACKBONE/…/VIDEO.npy        one file a video, of any format of ``arrays``, in any folders;
                                     VIDEO_i3d.npy, VIDEO_c3d.npy, VIDEO_rgb.npy, VIDEO_feat.npy and
                                     VIDEO.mp4.npy are of VIDEO too, with or without UCF's _x264
features/BACKBONE/…/VIDEO__0.npy …   one file a crop
…/VIDEO_rgb.npy, …/VIDEO_flow.npy    one backbone's features of colour and of flow, which are laid
                                     side by side; so are those in its folders RGB and Flow, with or
                                     without Train or Test
…/VIDEO.mp4                          the videos themselves, anywhere else below

A video's source is its features where there are any, else its file.  A feature row is a snippet of
16 frames, and without the video's own length that of its labels is 16 times the rows.  Row i of
every backbone is of the same frames; at a video's end they may differ by two snippets.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from vadistill.datasets.agreement import crops_first, wrong_crops, wrong_widths
from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.found import FEATURES, tell
from vadistill.datasets.intervals import Annotation, frame_labels
from vadistill.datasets.published import FeatureFile, Features, FeatureShape
from vadistill.datasets.snippets import APART, SEGMENTS, SNIPPET, FeatureSource
from vadistill.datasets.sources import frame_count, unused
from vadistill.datasets.sources import listed as not_used
from vadistill.errors import DataError, VadistillError
from vadistill.progress import progress

TOLD_BY = 64
"""Videos whose headers tell the order of a backbone's axes."""


@dataclass
class WeakVideos:
    """The material of one data set: features and videos by name, and what was wrong with them."""

    name: str
    """Of the data set."""
    root: Path
    fps: float
    """Of videos that only features are of."""
    features: dict[str, dict[str, Features]]
    videos: dict[str, Path]
    """Video files or frame folders, and only of videos that are listed."""
    problems: list[str] = field(default_factory=list)
    _unfit: list[str] = field(default_factory=list)
    _ordered: set[str] = field(default_factory=set)
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
        self._tell_axes({r.name: r.frames // SNIPPET for r in records if r.frames})
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

    def _tell_axes(self, lengths: Mapping[str, int]) -> None:
        """Find out, once a backbone, whether crops come first in its arrays of three axes.

        ``lengths`` are snippets by video, where frames tell them.
        """
        headers: dict[str, dict[str, tuple[int, ...]]] = {}
        for backbone in self.features.keys() - self._ordered:
            self._ordered.add(backbone)
            headers[backbone] = {}
            for name, file in list(self.features[backbone].items())[:TOLD_BY]:
                with suppress(DataError):  # told where the video is read
                    headers[backbone][name] = file.files[0].axes()
        flat = {n: a[0] for each in headers.values() for n, a in each.items() if len(a) == 2}
        for backbone, each in headers.items():
            axes = {name: (a[0], a[1]) for name, a in each.items() if len(a) == 3}
            if not axes:
                continue
            first, unsure = crops_first(axes, {**flat, **lengths})
            if unsure:
                one, other = axes[unsure]
                self.problems.append(
                    f"features of '{backbone}' for {unsure} may be {one} snippets of {other} crops,"
                    f" or {other} of {one}: expected one file a crop ({unsure}__0.npy …), which"
                    " tells"
                )
            elif first:
                of = self.features[backbone]
                self.features[backbone] = {n: file.transposed() for n, file in of.items()}

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

    def _source(self, split: str, record: Annotation, files: dict[str, Features]) -> FeatureSource:
        """Raises DataError for a file that cannot be read."""
        shapes = {backbone: file.shape() for backbone, file in files.items()}
        for backbone, shape in shapes.items():
            name = str(files[backbone].files[0].path.relative_to(self.root))
            self._widths[backbone].append((name, shape.width))
            if isinstance(files[backbone], FeatureFile):
                self._shapes[backbone].append((name, shape))
        snippets = self._snippets(split, record, files, shapes)
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

    def _snippets(
        self,
        split: str,
        record: Annotation,
        files: dict[str, Features],
        shapes: dict[str, FeatureShape],
    ) -> int:
        """The number that most backbones have, of ties the fewest."""
        counts = Counter(shape.snippets for shape in shapes.values())
        usual = max(counts, key=lambda count: (counts[count], -count))
        for backbone, shape in shapes.items():
            if abs(shape.snippets - usual) > APART:
                path = files[backbone].files[0].path.relative_to(self.root)
                self._unfit.append(
                    f"{split} video {record.name} has {shape.snippets} snippets of '{backbone}'"
                    f" ({path}), expected {usual} as of its other features, or {APART} fewer or"
                    " more"
                )
        return usual

    def _labels(self, record: Annotation, source: FeatureSource | Path) -> UInt8[np.ndarray, " t"]:
        """Raises VadistillError for a video that cannot be read, or is too short for its labels."""
        frames = source.info.frames if isinstance(source, FeatureSource) else frame_count(source)
        return frame_labels(record.intervals or (), frames or 0)
