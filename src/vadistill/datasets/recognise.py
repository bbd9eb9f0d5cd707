"""Which data set lies at a path, and opening it."""

from __future__ import annotations

import difflib
import importlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.sources import entries
from vadistill.errors import ConfigError, DataError
from vadistill.files import short_names
from vadistill.video import PICTURES, VideoSource, open_video

DATASETS: dict[str, str] = {
    "walkway": "vadistill.simulated.walkway:open_walkway",
    "simulated_features": "vadistill.simulated.features:open_simulated_features",
    "features": "vadistill.datasets.features:open_features",
    "pets": "vadistill.datasets.pets:open_pets",
    "ucf_crime": "vadistill.datasets.ucf_crime:open_ucf_crime",
    "xd_violence": "vadistill.datasets.xd_violence:open_xd_violence",
    "shanghaitech_weak": "vadistill.datasets.shanghaitech:open_shanghaitech_weak",
    "ucsd": "vadistill.datasets.ucsd:open_ucsd",
    "avenue": "vadistill.datasets.avenue:open_avenue",
    "shanghaitech": "vadistill.datasets.shanghaitech:open_shanghaitech",
    "folder": "vadistill.datasets.folder:open_folder",
}
"""Reader of each kind: a function from a Path to Splits, which lists what is wrong as problems.

Beside ``open_KIND`` its module has ``is_KIND(path)``.  Kinds are tried in this order.
"""

LAYOUTS = (
    "a folder of videos, train/ and test/ folders of videos or frame folders, UCSD (Train/Train001,"
    " Test/Test001), Avenue (training_videos/, testing_videos/), ShanghaiTech (training/videos/,"
    " testing/frames/), a simulated walkway, or for weak supervision labels.csv beside videos,"
    " features/ with train.csv and test.csv, PETS 2009 (train_view1.npz) or the lists of UCF-Crime,"
    " XD-Violence or ShanghaiTech beside their videos or features/"
)


def recognise(path: str | Path) -> str:
    """The name in DATASETS of what lies at ``path``; raises DataError if there is nothing known."""
    path = _existing(path)
    for kind, reader in DATASETS.items():
        module = importlib.import_module(reader.partition(":")[0])
        if getattr(module, f"is_{kind}")(path):
            return kind
    raise DataError(
        f"no data set recognised in {path} ({_contents(path)})",
        expected=LAYOUTS,
        fix="give the folder that holds these, or lay your files out so",
    )


def open_dataset(path: str | Path, kind: str = "auto", *, tolerant: bool = False) -> Splits:
    """Both splits of the data set at ``path``; its layout is recognised unless ``kind`` names it.

    Videos without labels are not even opened; of labelled ones the frames are counted, by decoding
    where the container does not tell.  Raises DataError for a missing path, for a layout that is
    not recognised, and for anything that ``Splits.problems`` would list (labels longer than their
    video or without one, missing clips, unreadable ground truth): with ``tolerant`` those are
    listed instead, and the clips concerned are unlabelled.  Raises ConfigError for an unknown
    ``kind``.
    """
    if kind != "auto" and kind not in DATASETS:
        near = difflib.get_close_matches(kind, DATASETS, n=1)
        raise ConfigError(
            f"no kind of data set is called {kind!r}",
            expected=f"auto, {', '.join(DATASETS)}",
            fix=f"did you mean {near[0]!r}?" if near else "choose one of these",
        )
    path = _existing(path)
    module, _, reader = DATASETS[recognise(path) if kind == "auto" else kind].partition(":")
    splits: Splits = getattr(importlib.import_module(module), reader)(path)
    if splits.problems and not tolerant:
        more = len(splits.problems) - 1
        raise DataError(
            f"{path}: {splits.problems[0]}" + (f" (and {more} more)" if more else ""),
            expected="clips and labels that match",
            fix=f"see all with: vadistill data check {path}",
        )
    return splits


Each = str | Path | np.ndarray | VideoSource | Video

Videos = Each | Sequence[Each] | Dataset | Splits
"""A data set or its path, its split, a video's file, pixels, or several of these."""


def split_of(source: Videos, split: Literal["train", "test"]) -> Dataset:
    """One split of a data set; a split stands for itself, and so do videos that no data set has.

    A video is a file, pixels (t, h, w, 3), or a ``Video``.  Errors as for ``open_dataset``.
    """
    if isinstance(source, str | Path) and not Path(source).is_file():
        source = open_dataset(source)
    if isinstance(source, Splits):
        return source.train if split == "train" else source.test
    if isinstance(source, Dataset):
        return source
    given = [source] if isinstance(source, Each) else list(source)
    names = iter(short_names([Path(each) for each in given if isinstance(each, str | Path)]))
    videos = []
    for number, each in enumerate(given, 1):
        if isinstance(each, str | Path):
            videos.append(Video(next(names), Path(each)))
        elif isinstance(each, Video):
            videos.append(each)
        else:
            name = each.info.name if isinstance(each, VideoSource) else f"video {number}"
            videos.append(Video(name, each))
    return Dataset("videos", split, tuple(videos))


def open_source(
    source: str | Path | np.ndarray | Sequence[np.ndarray] | VideoSource | Video | Dataset | Splits,
) -> VideoSource | Dataset:
    """The frames of one video or, for a data set or a folder of videos, the videos to score.

    These are the test videos or, where there are none, the training ones.  Raises VideoError, and
    errors as for ``open_dataset``.
    """
    if isinstance(source, VideoSource | Dataset):
        return source
    if isinstance(source, Video):
        return source.open()
    if isinstance(source, str | Path) and Path(source).is_dir():
        pictures = any(entry.suffix.lower() in PICTURES for entry in entries(Path(source)))
        source = source if pictures else open_dataset(source)
    if isinstance(source, Splits):
        return source.test if len(source.test) else source.train
    return open_video(source)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if path.exists():
        return path
    beside = [entry.name for entry in entries(path.parent)] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    raise DataError(
        f"no data set at {path}",
        expected="an existing folder",
        fix=f"did you mean {path.parent / near[0]}?" if near else "check the path",
    )


def _contents(path: Path) -> str:
    """Such as ``found 12 .csv files and 3 folders: a, b, c``."""
    if path.is_file():
        return f"it is a {path.suffix or 'nameless'} file"
    found = entries(path)
    names = [entry.name for entry in found if entry.is_dir()]
    endings = Counter(entry.suffix.lower() or "other" for entry in found if not entry.is_dir())
    parts = [f"{n} {ending} file{'s' * (n > 1)}" for ending, n in endings.most_common(4)]
    if names:
        parts.append(f"the folders {', '.join(names[:5])}" + ", …" * (len(names) > 5))
    return "found " + (" and ".join(parts) or "nothing in it")
