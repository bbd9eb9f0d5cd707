"""Simulated snippet features at UCF-Crime's scale: no video was ever behind them.

    simulated.json           the settings; the data set is called simulated_ucf wherever it is shown
    train.csv  test.csv  intervals.csv  classes.csv  features/…        as ``features`` tells

1,610 training videos (810 abnormal, of 13 classes) and 290 test videos (140 abnormal, 7.3 % of the
frames), as UCF-Crime has them by class; three backbones: i3d and s3d of 1024 numbers a snippet,
clip of 512.  Training videos are kept as the means of 32 segments, which is what learning sees;
test videos snippet by snippet.  Half floats: some 0.6 GB.

A snippet's feature in one backbone is a sum of
- the scene: a few strong directions, constant over a video and another mix in each;
- activity: directions whose strength wanders over the video, in normal and abnormal ones;
- noise, new in every snippet;
- in an event, the signature of its class: a direction of its own that leans on activity.  Each
  backbone sees a third of the classes well, a third less so, and hardly the rest, so several
  backbones together see what none does alone;
- in a distractor, a rare stretch that is normal, the signature of some class in one backbone alone:
  what only this backbone takes for an anomaly.

Events are contiguous with soft borders, and last as long as UCF-Crime's.

Imports ``datasets`` and what lies below them.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vadistill.datasets.base import Splits
from vadistill.datasets.features import (
    FORMAT,
    INDEX,
    is_simulated_features,
    open_simulated_features,
    read_index,
)
from vadistill.datasets.found import FEATURES
from vadistill.datasets.snippets import segment_means
from vadistill.errors import DataError
from vadistill.files import unwritable, write_json
from vadistill.progress import progress
from vadistill.simulated.signals import (
    BACKBONES,
    SimulatedConfig,
    Video,
    World,
    plan_videos,
)

__all__ = ["SimulatedConfig", "simulate_features"]

VERSION = 1
"""Grows when equal settings no longer give equal features."""


def simulate_features(
    path: Path,
    config: SimulatedConfig = SimulatedConfig(),  # noqa: B008
    *,
    on_video: Callable[[], object] | None = None,
) -> Splits:
    """Write simulated features into the new folder ``path``; what is there already is kept.

    Until all is written it is ``.NAME.unfinished`` beside it, which a next run replaces.  Raises
    DataError for a folder with other contents or settings, ConfigError for settings that cannot be,
    WeightsError when the disk is full.
    """
    path = path.absolute()
    wanted = {"format": FORMAT, "version": VERSION, "config": asdict(config)}
    if is_simulated_features(path):
        there = read_index(path)
        if {name: there.get(name) for name in wanted} == wanted:
            return open_simulated_features(path)
    if path.exists() and (path.is_file() or any(path.iterdir())):
        what = "other simulated features" if is_simulated_features(path) else "other files"
        raise DataError(
            f"{path} holds {what}",
            expected="a new or empty folder, or features of the same settings",
            fix="choose another folder",
        )
    folder = path.with_name(f".{path.name}.unfinished")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        videos = plan_videos(config)
        for backbone in BACKBONES:
            (folder / FEATURES / backbone).mkdir(parents=True)
        world = World.of(config)
        with progress("simulating", len(videos)) as advance:
            for video in videos:
                for backbone, rows in world.features(video, config):
                    rows = segment_means(rows) if video.split == "train" else rows
                    file = folder / FEATURES / backbone / f"{video.name}.npy"
                    np.save(file, rows.astype(np.float16))
                advance()
                if on_video is not None:
                    on_video()
        _write_lists(folder, videos)
        write_json(folder / INDEX, {**wanted, "note": "simulated: no video is behind these"})
        if path.is_dir():
            path.rmdir()
        folder.rename(path)
    except OSError as error:
        raise unwritable(path, error) from error
    return open_simulated_features(path)


def _write_lists(folder: Path, videos: Sequence[Video]) -> None:
    lists: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {
        "train.csv": (("file", "label"), []),
        "test.csv": (("file", "label"), []),
        "intervals.csv": (("file", "start", "end"), []),
        "classes.csv": (("file", "class"), []),
    }
    for video in videos:
        lists[f"{video.split}.csv"][1].append((video.name, int(video.kind is not None)))
        if video.split == "test":
            lists["intervals.csv"][1].extend((video.name, *each) for each in video.intervals)
        if video.kind is not None:
            lists["classes.csv"][1].append((video.name, video.kind))
    for name, (header, rows) in lists.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
