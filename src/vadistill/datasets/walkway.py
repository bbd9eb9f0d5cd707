"""The simulated walkway as ``simulated`` renders it, with exact truth.

walkway.json                  the settings, and of each video its events, labels and tracks
train/01.mp4 …  test/01.mp4 …
test_masks/01/0007.png …      pixels of abnormal actors; only for abnormal frames
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from vadistill.datasets.base import Dataset, Splits, Track, Video
from vadistill.datasets.masks import read_mask
from vadistill.datasets.sources import folders, listed, unused
from vadistill.datasets.tracks import Tracks
from vadistill.errors import DataError
from vadistill.files import read_json
from vadistill.soundness import whole

FORMAT, INDEX, MASKS = "vadistill walkway", "walkway.json", "test_masks"


def is_walkway(path: Path) -> bool:
    """Whether ``path`` is a folder that ``render_walkway`` finished."""
    return (path / INDEX).is_file()


def open_walkway(path: Path) -> Splits:
    """Both splits of a rendered walkway; raises DataError.

    Videos are named ``train_01`` …, ``test_01`` …; test videos have frame labels, masks and a track
    of every abnormal actor.  Missing videos are listed as problems.
    """
    facts = read_index(path)
    try:
        height, width = (whole(facts["config"], side, least=1) for side in ("height", "width"))
        if any(clip["split"] not in ("train", "test") for clip in facts["clips"]):
            raise ValueError("a video that is neither for training nor for testing")
        videos = {
            split: tuple(
                _video(path, video, (height, width)) for video in facts["clips"]
                if video["split"] == split
            )
            for split in ("train", "test")
        }  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__} {error}") from error
    problems = tuple(
        f"{split} video {video.name}: no video at {video.source}"
        for split, found in videos.items()
        for video in found
        if not Path(str(video.source)).is_file()
    )
    used = {path / INDEX, *folders(path / MASKS)}
    used |= {Path(str(video.source)) for found in videos.values() for video in found}
    return Splits(
        Dataset("walkway", "train", videos["train"], root=path),
        Dataset("walkway", "test", videos["test"], root=path),
        "walkway",
        problems,
        listed(path, unused(path, used)),
    )


def _video(path: Path, facts: dict[str, Any], size: tuple[int, int]) -> Video:
    name, source, frames = facts["name"], path / facts["video"], whole(facts, "frames")
    if not isinstance(name, str):
        raise ValueError(f"a video called {name!r:.60}")
    if facts["split"] == "train":
        return Video(name, source, video_label=0)
    labels = np.zeros(frames, np.uint8)
    for first, last in facts["abnormal"]:
        if not 0 <= first <= last < frames:
            raise ValueError(f"abnormal frames {first} to {last} of {frames} in {name}")
        labels[first : last + 1] = 1
    masks = path / MASKS / Path(facts["video"]).stem
    tracks = tuple(
        Track(
            track["id"],
            track["kind"],
            np.array(track["frames"], np.int64),
            np.array(track["boxes"], np.float32).reshape(-1, 4),
        )
        for track in facts["tracks"]
    )
    if fault := Tracks.of(tracks).fault(frames):
        raise ValueError(f"{fault.got} in {name}")
    mask = partial(_mask, masks, labels, size)
    return Video(name, source, labels, mask, int(labels.any()), tracks)


def _mask(
    folder: Path, labels: UInt8[np.ndarray, " t"], size: tuple[int, int], index: int
) -> Bool[np.ndarray, "h w"]:
    """The abnormal pixels of frame ``index``; raises IndexError past the video's end, DataError."""
    if not 0 <= index < len(labels):
        raise IndexError(f"frame {index} of a video with {len(labels)}")
    if not labels[index]:
        return np.zeros(size, bool)
    file = folder / f"{index:04d}.png"
    mask = read_mask(file)
    if mask.shape != size:
        raise DataError(
            f"cannot read the mask {file}",
            expected=f"a whole PNG of {size[1]}x{size[0]} pixels",
            fix="render the walkway into another folder",
        )
    return mask


def read_index(path: Path) -> dict[str, Any]:
    """The settings and facts of a rendered walkway; raises DataError."""
    try:
        facts = read_json(path / INDEX)
    except FileNotFoundError as error:
        raise DataError(
            f"no {INDEX} in {path}",
            expected="a folder that 'vadistill data walkway' finished",
            fix="render it again",
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise _damaged(path, "another format")
    return facts


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path / INDEX} cannot be used ({reason})",
        expected=f"an index of '{FORMAT}'",
        fix="render the walkway into another folder",
    )
