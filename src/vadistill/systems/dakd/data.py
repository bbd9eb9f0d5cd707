"""Training videos as bags of segment features, memory-mapped: all that DAKD learns from."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor

from vadistill.backbones import open_backbone
from vadistill.batches import seeded_generator
from vadistill.datasets import Dataset, Video
from vadistill.datasets.sampling import data_key
from vadistill.datasets.snippets import FeatureSource, segment_means
from vadistill.errors import DataError, VadistillError
from vadistill.fetching import SWITCHED_OFF, is_offline
from vadistill.files import allocate, content_hash, write_json
from vadistill.objects.auto import DETECTOR, has_detector
from vadistill.progress import progress

Read = Callable[[Video], dict[str, Float32[np.ndarray, "n crops _"]]]
"""A clip's features by backbone, for each 16 frames a row a crop."""


PREFERRED = ("i3d", "s3d", "clip")
"""The paper's backbones, in its order."""


def published(videos: Iterable[Video]) -> tuple[str, ...]:
    """Backbones whose features all videos have, the paper's in its order first; () for videos."""
    each = [
        set(video.source.arrays) if isinstance(video.source, FeatureSource) else set[str]()
        for video in videos
    ]
    common = set.intersection(*each) if each else set[str]()
    known = [name for name in PREFERRED if name in common]
    return (*known, *sorted(common - set(known)))


def at_hand(videos: Iterable[Video]) -> tuple[str, ...]:
    """The published features, or backbones of videos that need no download but for a detector's
    file of 4 MB."""
    known = published(videos)
    if known:
        return known
    lacking, detector = "dakd learns without a detector's maps", f"detector:{DETECTOR}"
    usual, warning = ("compact", "flow"), logging.getLogger(__name__).warning
    if not has_detector(lacking, "name backbones"):
        if is_offline():  # else it has been said
            warning("%s: %s is not on this machine, and %s", lacking, DETECTOR, SWITCHED_OFF)
        return usual
    try:
        open_backbone(detector, device="cpu")
    except VadistillError as error:  # nobody named it, so that it stops nobody
        warning("%s: %s", lacking, error)
        return usual
    return (*usual, detector)


def at_hand_once(videos: Dataset, work: Path) -> tuple[str, ...]:
    """``at_hand`` as it was when the fit in ``work`` began: what is resumed sees the same."""
    file = work / f"teacher-{content_hash(data_key(videos))}.json"
    if not file.exists():
        write_json(file, at_hand(videos))
    return tuple(json.loads(file.read_text()))


class Bags:
    """V videos of S segments: one array (V, K, S, d) a backbone, on disk, and the video labels.

    K are the views of a video: its crops.  A sample is one view of one video, number
    K times the video's and the view's.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        labels: Bool[np.ndarray, " v"],
        normalise: bool,
        rows: Int[np.ndarray, " v"] | None = None,
    ) -> None:
        self._arrays, self.labels, self._normalise = arrays, labels, normalise
        self._rows = np.arange(len(labels)) if rows is None else rows
        self.views = max(array.shape[1] for array in arrays.values())

    def __len__(self) -> int:
        return len(self.labels)

    def widths(self, names: Sequence[str]) -> list[int]:
        """Feature width of each backbone."""
        return [self._arrays[name].shape[3] for name in names]

    def batch(
        self, names: Sequence[str], samples: Int[np.ndarray, " b"], device: torch.device
    ) -> list[Tensor]:
        """(b, S, d) of each backbone; of one with fewer views, they go round."""
        videos, views = np.divmod(samples, self.views)
        rows = self._rows[videos]
        found = [
            torch.from_numpy(self._arrays[name][rows, views % self._arrays[name].shape[1]])
            for name in names
        ]
        return [normalised(x, self._normalise).to(device) for x in found]

    def batches(
        self, batch: int, *, seed: int, epoch: int
    ) -> list[tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]]:
        """One epoch's (abnormal, normal) halves of ``batch`` samples, see ``balanced_batches``.

        Each time that a video comes, one of its views is drawn.
        """
        halves = balanced_batches(self.labels, batch, seed=seed, epoch=epoch)
        if self.views == 1:
            return halves
        generator = seeded_generator(seed, 3, epoch)

        def drawn(videos: np.ndarray) -> np.ndarray:
            views = torch.randint(self.views, (len(videos),), generator=generator).numpy()
            return videos * self.views + views

        return [(drawn(abnormal), drawn(normal)) for abnormal, normal in halves]

    def part(self, chosen: Bool[np.ndarray, " v"]) -> Bags:
        """Some of the videos; the features stay where they are."""
        return Bags(self._arrays, self.labels[chosen], self._normalise, self._rows[chosen])

    def spread(self, name: str) -> tuple[Float32[Tensor, " d"], Float32[Tensor, " d"]]:
        """Mean and deviation over all segments of a backbone's features."""
        count, total, squares = 0, torch.zeros(1), torch.zeros(1)
        samples = np.arange(len(self) * self.views)
        for some in np.array_split(samples, -(-len(samples) // 64)):
            (rows,) = self.batch([name], some, torch.device("cpu"))
            flat = rows.flatten(0, 1).double()
            count, total = count + len(flat), total + flat.sum(0)
            squares = squares + flat.square().sum(0)
        mean = total / count
        return mean.float(), (squares / count - mean.square()).clamp_min(0).sqrt().float()


def normalised(features: Tensor, wanted: bool) -> Tensor:
    """Features of unit length, or as they are."""
    return torch.nn.functional.normalize(features, dim=-1) if wanted else features


def gather_bags(
    train: Dataset,
    names: Sequence[str],
    read: Read,
    folder: Path,
    *,
    segments: int,
    normalise: bool,
) -> Bags:
    """Reduce every view of each training video to its segments' means; goes on where it stopped.

    ``folder`` must be another one for other data or settings.  Raises DataError for a width that
    differs between videos, VideoError for a video shorter than a clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "samples.json"
    state = {"done": 0, "widths": {}, "views": {}}
    if state_file.exists():
        state = json.loads(state_file.read_text())
    arrays: dict[str, np.ndarray] = {}
    with progress("segment features", len(train)) as advance:
        advance(state["done"])
        for index, clip in enumerate(train):
            if index < state["done"]:
                continue
            rows = read(clip)
            for name in names:
                width = state["widths"].setdefault(name, rows[name].shape[2])
                views = state["views"].setdefault(name, rows[name].shape[1])
                if rows[name].shape[2] != width:
                    raise DataError(
                        f"features of '{name}' for {clip.name} are {rows[name].shape[2]} wide",
                        expected=f"{width}, as of the videos before it",
                        fix="extract or download them again",
                    )
                if name not in arrays:
                    shape = (len(train), views, segments, width)
                    arrays[name] = _map(folder, name, shape, state["done"])
                for view in range(views):
                    crop = rows[name][:, view % rows[name].shape[1]]
                    arrays[name][index, view] = segment_means(crop, segments)
            state["done"] = index + 1
            if index % 50 == 49 or state["done"] == len(train):
                for array in arrays.values():
                    array.flush()  # pyright: ignore[reportAttributeAccessIssue]
                write_json(state_file, state)
            advance(note=clip.name)
    labels = np.array([bool(clip.video_label) for clip in train])
    maps = {name: np.load(_file(folder, name), mmap_mode="r") for name in names}
    return Bags(maps, labels, normalise)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{content_hash(name)}.npy"


def _map(folder: Path, name: str, shape: tuple[int, ...], done: int) -> np.ndarray:
    """The writable array of a backbone, kept where ``done`` videos are already in it."""
    file = _file(folder, name)
    if not done:
        np.lib.format.open_memmap(file, "w+", dtype=np.float32, shape=shape)
        allocate(file, file.stat().st_size)
    return np.load(file, mmap_mode="r+")


def balanced_batches(
    labels: Bool[np.ndarray, " v"], batch: int, *, seed: int, epoch: int
) -> list[tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]]:
    """One epoch's (abnormal, normal) halves of ``batch`` videos: a function of (seed, epoch).

    The more frequent class is passed once, but for a rest that would not fill a half; the other one
    again and again in new orders.
    """
    classes = [np.flatnonzero(labels), np.flatnonzero(~labels)]
    half = min(batch // 2, max(map(len, classes)))
    steps = max(map(len, classes)) // half
    orders = []
    for number, members in enumerate(classes):
        generator = seeded_generator(seed, epoch, number)
        rounds = -(-steps * half // len(members))
        order = [torch.randperm(len(members), generator=generator).numpy() for _ in range(rounds)]
        orders.append(members[np.concatenate(order)[: steps * half]].reshape(steps, half))
    return list(zip(*orders, strict=True))
