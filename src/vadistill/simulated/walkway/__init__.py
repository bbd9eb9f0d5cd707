"""A simulated campus path: pedestrians in real MP4s, abnormal events with exact truth.

    walkway.json                  the settings, and of each video its events, labels and tracks
    train/01.mp4 …  test/01.mp4 …
    test_masks/01/0007.png …      pixels of abnormal actors; only for abnormal frames
    boxes.csv                     video,frame,x1,y1,x2,y2: what a good object detector would find

A frame is abnormal if and only if at least ``MIN_VISIBLE`` (20) pixels of an abnormal actor show,
after all that stands before it.  The same holds for its mask and tracks; their boxes are tight.
boxes.csv has everyone, normal or not, of whom two fifths show: detectors miss slivers.

Imports ``datasets`` and what lies below them.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vadistill.datasets.base import Splits
from vadistill.datasets.intervals import intervals_of
from vadistill.datasets.walkway import FORMAT, INDEX, is_walkway, open_walkway, read_index
from vadistill.errors import DataError
from vadistill.files import replacing, unwritable, write_json
from vadistill.progress import progress
from vadistill.simulated.walkway.scene import ANOMALIES, WalkwayConfig

if TYPE_CHECKING:
    from vadistill.simulated.walkway.render import Rendered
    from vadistill.simulated.walkway.scene import Scene

__all__ = ["ANOMALIES", "WalkwayConfig", "render_walkway"]

VERSION = 1
"""Grows when equal settings no longer give equal pixels."""

DETECTABLE = 0.4
"""Share of an actor that must show for a box in boxes.csv."""

_BOXES, _UNFINISHED = "boxes.csv", ".unfinished"
_FOLDERS = ("train", "test", "test_masks")


def render_walkway(
    path: Path,
    config: WalkwayConfig = WalkwayConfig(),  # noqa: B008
    *,
    on_frame: Callable[[int, int], object] | None = None,
) -> Splits:
    """Render a walkway into the folder ``path`` and open it; what is there already is kept.

    ``on_frame`` is called after each frame with the frames done and the total.  The index is
    written last: a folder whose rendering was interrupted is no walkway and is rendered again.
    Raises DataError for a folder with other contents or another walkway, and WeightsError or
    VideoError when it cannot be written.
    """
    wanted = _plain(config)
    if is_walkway(path):
        there = read_index(path)
        if (there.get("config"), there.get("version")) == (wanted, VERSION):
            return open_walkway(path)
        raise DataError(
            f"{path} holds a walkway of other settings ({_difference(there, wanted)})",
            expected="the same settings or an empty folder",
            fix="choose another folder",
        )
    _claim(path)
    videos = list(_render_videos(path, config, on_frame))
    with replacing(path / _BOXES) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video", "frame", "x1", "y1", "x2", "y2"))
        for video in videos:
            writer.writerows((video["name"], *row) for row in video.pop("boxes"))
    write_json(
        path / INDEX, {"format": FORMAT, "version": VERSION, "config": wanted, "clips": videos}
    )
    (path / _UNFINISHED).unlink()
    return open_walkway(path)


def _claim(path: Path) -> None:
    """Make ``path`` an empty folder marked as ours; only what we left there may be deleted."""
    try:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            if not (path / _UNFINISHED).is_file():
                raise DataError(
                    f"{path} is {'a file' if path.is_file() else 'not empty'}",
                    expected="an empty or new folder for the walkway",
                    fix="choose another folder",
                )
            for folder in _FOLDERS:
                shutil.rmtree(path / folder, ignore_errors=True)
        path.mkdir(parents=True, exist_ok=True)
        (path / _UNFINISHED).touch()
        for folder in _FOLDERS:
            (path / folder).mkdir()
    except OSError as error:
        raise unwritable(path, error) from error


def _render_videos(
    path: Path, config: WalkwayConfig, on_frame: Callable[[int, int], object] | None
) -> Iterator[dict[str, Any]]:
    from vadistill.simulated.walkway.painting import build_scene

    scene = build_scene(config.width, config.height, config.seed)
    counts = {"train": config.train_clips, "test": config.test_clips}
    total, done = sum(counts.values()) * config.frames, 0
    with progress("rendering", total) as bar:

        def advance() -> None:
            nonlocal done
            done += 1
            bar()
            if on_frame is not None:
                on_frame(done, total)

        for split, count in counts.items():
            for number in range(count):
                yield _render_video(path, config, scene, split, number, advance)


def _render_video(
    path: Path,
    config: WalkwayConfig,
    scene: Scene,
    split: str,
    number: int,
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Write one video's file and masks; return its facts, with ``boxes`` as (frame, box) rows."""
    from vadistill.simulated.walkway.render import video_frames
    from vadistill.video import VideoWriter

    labels: list[int] = []
    boxes: list[tuple[int, ...]] = []
    tracks: dict[int, dict[str, Any]] = {}
    video = f"{split}/{number + 1:02d}.mp4"
    with VideoWriter(path / video, config.width, config.height, config.fps) as writer:
        for index, frame in enumerate(video_frames(config, scene, split, number)):
            writer.write(frame.image)
            labels.append(int(frame.abnormal))
            boxes += [(index, *s.box) for s in frame.seen if s.share >= DETECTABLE]
            for seen in frame.seen:
                if seen.abnormal:
                    new = {"id": seen.actor, "kind": seen.kind, "frames": [], "boxes": []}
                    track = tracks.setdefault(seen.actor, new)
                    track["frames"].append(index)
                    track["boxes"].append(list(seen.box))
            if frame.abnormal:
                _write_mask(path / "test_masks" / f"{number + 1:02d}" / f"{index:04d}.png", frame)
            advance()
    return {
        "name": f"{split}_{number + 1:02d}",
        "split": split,
        "video": video,
        "frames": config.frames,
        "events": list(config.events(number)) if split == "test" else [],
        "boxes_per_frame": round(len(boxes) / config.frames, 2),
        "abnormal": [[a, b - 1] for a, b in intervals_of(np.array(labels, np.uint8))],
        "tracks": list(tracks.values()),
        "boxes": boxes,
    }


def _write_mask(path: Path, frame: Rendered) -> None:
    import cv2

    _, data = cv2.imencode(".png", frame.mask.astype(np.uint8) * 255)
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise unwritable(path, error) from error


def _plain(config: WalkwayConfig) -> dict[str, Any]:
    """The settings as JSON gives them back: lists for tuples."""
    return json.loads(json.dumps(asdict(config)))


def _difference(there: dict[str, Any], wanted: dict[str, Any]) -> str:
    old = there.get("config") or {}
    for name, value in wanted.items():
        if name not in old or old[name] != value:
            return f"{name} {old.get(name, 'unknown')}, asked for {value}"
    return f"version {there.get('version')}, this is {VERSION}"
