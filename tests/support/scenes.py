"""One scene for all: grey discs drift to the right, and what is abnormal rushes to the left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from vadistill.datasets import Dataset, Video
from vadistill.video import VideoWriter

HEIGHT, WIDTH, FPS = 96, 144, 20
PLANTED = range(16, 32)
"""The abnormal frames of a video of 48."""


def pixels(
    seed: int, frames: int, rush: range | None, *, grain: int = 2, half: int = 11, speed: int = 6
) -> np.ndarray:
    """uint8 (frames, 96, 144, 3); a striped square crosses during the frames of ``rush``.

    ``grain`` is the highest noise, ``half`` is of the square's side, ``speed`` in pixels a frame.
    """
    rng = np.random.default_rng(seed)
    floor = np.random.default_rng(0).integers(90, 110, (HEIGHT, WIDTH, 1)).repeat(3, 2)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    starts = rng.uniform(0, WIDTH, 3)
    video = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(frames):
        frame = floor + rng.integers(-grain, grain + 1, floor.shape)
        for start, row in zip(starts, (20, 48, 76), strict=True):
            frame[(x - (start + 1.5 * t) % WIDTH) ** 2 + (y - row) ** 2 < 81] = 190
        if rush is not None and t in rush:
            left = 84 + 6 * speed - speed * ((t - rush.start) % 20)
            square = (abs(x - left) < half) & (abs(y - 48) < half)
            frame[square] = (250, 30, 30)
            frame[square & ((x + y) // 3 % 2 == 1)] = 10
        video[t] = frame.clip(0, 255)
    return video


def film(path: Path, seed: int, *, frames: int = 120, rush: range | None = None) -> Path:
    """The scene as an MP4."""
    with VideoWriter(path, WIDTH, HEIGHT, FPS) as writer:
        for picture in pixels(seed, frames, rush):
            writer.write(picture)
    return path


def planted(seed: int, *, anomaly: bool = True) -> Video:
    """48 frames at 10 a second in memory, with their labels."""
    labels = np.zeros(48, np.uint8)
    labels[PLANTED.start : PLANTED.stop] = anomaly
    return Video(
        f"{'planted' if anomaly else 'normal'}{seed}",
        pixels(seed, 48, PLANTED if anomaly else None, grain=3, half=12, speed=5),
        frame_labels=labels,
        fps=10,
    )


def training(supervision: Literal["one-class", "weak"]) -> Dataset:
    """Three normal videos; for weak supervision three abnormal ones, too, by their video labels."""
    videos = []
    for i in range(6 if supervision == "weak" else 3):
        label = int(i >= 3) if supervision == "weak" else None
        video = planted(i, anomaly=bool(label))
        videos.append(replace(video, frame_labels=None, video_label=label))
    return Dataset("planted", "train", tuple(videos), supervision)
