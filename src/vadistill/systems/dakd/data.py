"""Training videos as bags of segment features, memory-mapped: all that DAKD learns from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor

from vadistill.batches import seeded_generator
from vadistill.datasets import Dataset, Video
from vadistill.datasets.snippets import segment_means
from vadistill.errors import DataError
from vadistill.files import allocate, content_hash, write_json
from vadistill.progress import progress

Read = Callable[[Video], dict[str, Float32[np.ndarray, "n _"]]]
"""A clip's features by backbone, one row for each 16 frames."""


class Bags:
    """V videos of S segments: one array (V, S, d) a backbone, on disk, and the video labels."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        labels: Bool[np.ndarray, " v"],
        normalise: bool,
        rows: Int[np.ndarray, " v"] | None = None,
    ) -> None:
        self._arrays, self.labels, self._normalise = arrays, labels, normalise
        self._rows = np.arange(len(labels)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.labels)

    def widths(self, names: Sequence[str]) -> list[int]:
        """Feature width of each backbone."""
        return [self._arrays[name].shape[2] for name in names]

    def batch(
        self, names: Sequence[str], rows: Int[np.ndarray, " b"], device: torch.device
    ) -> list[Tensor]:
        """(b, S, d) of each backbone."""
        found = [torch.from_numpy(self._arrays[name][self._rows[rows]]) for name in names]
        return [normalised(x, self._normalise).to(device) for x in found]

    def part(self, chosen: Bool[np.ndarray, " v"]) -> Bags:
        """Some of the videos; the features stay where they are."""
        return Bags(self._arrays, self.labels[chosen], self._normalise, self._rows[chosen])

    def spread(self, name: str) -> tuple[Float32[Tensor, " d"], Float32[Tensor, " d"]]:
        """Mean and deviation over all segments of a backbone's features."""
        count, total, squares = 0, torch.zeros(1), torch.zeros(1)
        for rows in np.array_split(np.arange(len(self)), -(-len(self) // 64)):
            (some,) = self.batch([name], rows, torch.device("cpu"))
            flat = some.flatten(0, 1).double()
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
    """Reduce every training video to its segments' mean features; goes on where it stopped.

    ``folder`` must be another one for other data or settings.  Raises DataError for a width that
    differs between videos, VideoError for a video shorter than a clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "bags.json"
    state = json.loads(state_file.read_text()) if state_file.exists() else {"done": 0, "widths": {}}
    arrays: dict[str, np.ndarray] = {}
    with progress("segment features", len(train)) as advance:
        advance(state["done"])
        for index, clip in enumerate(train):
            if index < state["done"]:
                continue
            rows = read(clip)
            for name in names:
                width = state["widths"].setdefault(name, rows[name].shape[1])
                if rows[name].shape[1] != width:
                    raise DataError(
                        f"features of '{name}' for {clip.name} are {rows[name].shape[1]} wide",
                        expected=f"{width}, as of the videos before it",
                        fix="extract or download them again",
                    )
                if name not in arrays:
                    arrays[name] = _map(folder, name, (len(train), segments, width), state["done"])
                arrays[name][index] = segment_means(rows[name], segments)
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


def _map(folder: Path, name: str, shape: tuple[int, int, int], done: int) -> np.ndarray:
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
