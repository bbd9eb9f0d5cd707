"""Data sets: lists of videos with, where they exist, frame labels, pixel masks and tracks.

A reader tells whether a folder is laid out as its data set is, and opens both splits.  The table of
readers is here; entry points of the group ``vadistill.datasets`` add others' readers, each the
name of a ``Reader``.

Imports ``video`` and what lies below it, never what makes the data.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.places import check_strokes, is_file
from vadistill.datasets.sources import entries, is_frame_folder
from vadistill.datasets.stores import at_hand, listed, named
from vadistill.errors import ConfigError, DataError, one_of
from vadistill.files import short_names
from vadistill.plugins import added
from vadistill.video import VideoSource, open_video

__all__ = [
    "DATASETS",
    "Dataset",
    "Reader",
    "Splits",
    "Video",
    "Videos",
    "open_dataset",
    "open_source",
    "recognise",
    "split_of",
]


class Reader(NamedTuple):
    """How one kind of data set is read."""

    recognises: Callable[[Path], bool]
    """Whether a folder or file is laid out so."""
    open: Callable[[Path], Splits]
    """Both splits; what is wrong is listed as their problems."""


def _walkway() -> Reader:
    from vadistill.datasets.walkway import is_walkway, open_walkway

    return Reader(is_walkway, open_walkway)


def _simulated_features() -> Reader:
    from vadistill.datasets.features import is_simulated_features, open_simulated_features

    return Reader(is_simulated_features, open_simulated_features)


def _features() -> Reader:
    from vadistill.datasets.features import is_features, open_features

    return Reader(is_features, open_features)


def _pets() -> Reader:
    from vadistill.datasets.pets import is_pets, open_pets

    return Reader(is_pets, open_pets)


def _ucf_crime() -> Reader:
    from vadistill.datasets.ucf_crime import is_ucf_crime, open_ucf_crime

    return Reader(is_ucf_crime, open_ucf_crime)


def _xd_violence() -> Reader:
    from vadistill.datasets.xd_violence import is_xd_violence, open_xd_violence

    return Reader(is_xd_violence, open_xd_violence)


def _shanghaitech_weak() -> Reader:
    from vadistill.datasets.shanghaitech import is_shanghaitech_weak, open_shanghaitech_weak

    return Reader(is_shanghaitech_weak, open_shanghaitech_weak)


def _ucsd() -> Reader:
    from vadistill.datasets.ucsd import is_ucsd, open_ucsd

    return Reader(is_ucsd, open_ucsd)


def _avenue() -> Reader:
    from vadistill.datasets.avenue import is_avenue, open_avenue

    return Reader(is_avenue, open_avenue)


def _shanghaitech() -> Reader:
    from vadistill.datasets.shanghaitech import is_shanghaitech, open_shanghaitech

    return Reader(is_shanghaitech, open_shanghaitech)


def _folder() -> Reader:
    from vadistill.datasets.folder import is_folder, open_folder

    return Reader(is_folder, open_folder)


DATASETS: dict[str, Callable[[], Reader]] = {
    "walkway": _walkway,
    "simulated_features": _simulated_features,
    "features": _features,
    "pets": _pets,
    "ucf_crime": _ucf_crime,
    "xd_violence": _xd_violence,
    "shanghaitech_weak": _shanghaitech_weak,
    "ucsd": _ucsd,
    "avenue": _avenue,
    "shanghaitech": _shanghaitech,
    "folder": _folder,
}
"""The kinds of data sets that ship with the package, tried in this order; imported on first use."""

ENTRY_POINTS = "vadistill.datasets"
"""Group of entry points by which other packages add their readers; each names a ``Reader``."""

LAYOUTS = (
    "a folder of videos, train/ and test/ folders of videos or frame folders, UCSD (Train/Train001,"
    " Test/Test001), Avenue (training_videos/, testing_videos/), ShanghaiTech (training/videos/,"
    " testing/frames/), a simulated walkway, or for weak supervision labels.csv beside videos,"
    " features/ with train.csv and test.csv, PETS 2009 (train_view1.npz) or the lists of UCF-Crime,"
    " XD-Violence or ShanghaiTech beside their videos or features/"
)


def readers() -> dict[str, Callable[[], Reader]]:
    """All kinds of data sets: others' first, since ``folder`` takes any folder of videos."""
    return {**added(ENTRY_POINTS), **DATASETS}


def recognise(path: str | Path) -> str:
    """The kind of data set that lies at ``path``; raises DataError if there is nothing known."""
    path = _existing(path)
    for kind, reader in _sound_readers():
        if reader.recognises(path):
            return kind
    raise DataError(
        f"no data set recognised in {path} ({_contents(path)})",
        expected=LAYOUTS,
        fix="give the folder that holds these, or lay your files out so",
    )


def _sound_readers() -> Iterator[tuple[str, Reader]]:
    """The readers that can be imported; of others a line is logged."""
    for kind, reader in readers().items():
        try:
            yield kind, reader()
        except ConfigError as error:
            logging.getLogger(__name__).warning("%s", error)


def open_dataset(path: str | Path, kind: str = "auto", *, tolerant: bool = False) -> Splits:
    """Both splits of the data set at ``path``; its layout is recognised unless ``kind`` names it.

    Videos without labels are not even opened; of labelled ones the frames are counted, by decoding
    where the container does not tell.  Raises DataError for a missing path, for a layout that is
    not recognised, and for anything that ``Splits.problems`` would list (labels longer than their
    video or without one, missing videos, unreadable ground truth): with ``tolerant`` those are
    listed instead, and the videos concerned are unlabelled.  Raises ConfigError for an unknown
    ``kind``.
    """
    one_of("data set", kind, ("auto", *readers()))
    path = _existing(path)
    splits = readers()[recognise(path) if kind == "auto" else kind]().open(path)
    if splits.problems and not tolerant:
        more = len(splits.problems) - 1
        raise DataError(
            f"{path}: {splits.problems[0]}" + (f" (and {more} more)" if more else ""),
            expected="videos and labels that match",
            fix=f"see all with: vadistill data check {path}",
        )
    if splits.unused and not tolerant:
        _tell_unused(path, splits.unused)
    return splits


@lru_cache
def _tell_unused(path: Path, unused: tuple[str, ...]) -> None:
    """Log a line, once for a data set."""
    shown = ", ".join(unused[:5]) + f" and {len(unused) - 5} more" * (len(unused) > 5)
    logging.getLogger(__name__).warning(
        "%s: not used: %s; see all with: vadistill data check %s", path, shown, path
    )


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


@contextlib.contextmanager
def open_source(
    source: str | Path | np.ndarray | Sequence[np.ndarray] | VideoSource | Video | Dataset | Splits,
) -> Iterator[VideoSource | Dataset]:
    """The frames of one video or, for a data set or a folder of videos, the videos to score.

    These are the test videos or, where there are none, the training ones.  A file in a store or on
    the web is fetched, and deleted at the end; a pattern of such addresses gives videos, fetched
    as each is opened here.  Raises VideoError, and errors as for ``open_dataset`` and ``listed``.
    """
    if is_file(source):
        check_strokes([str(source)])
        given = [Path(str(source))]
        matched = listed(given, streams=True)
        videos = split_of(named(matched, streams=True), "test")
        source = videos.videos[0] if matched == given else videos
    if isinstance(source, str | Path) and Path(source).is_dir():
        source = source if is_frame_folder(Path(source)) else open_dataset(source)
    if isinstance(source, Splits):
        source = source.test if len(source.test) else source.train
    if isinstance(source, Video):
        with at_hand(source, streams=True) as here:
            yield here.open()
    else:
        yield source if isinstance(source, VideoSource | Dataset) else open_video(source)


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
