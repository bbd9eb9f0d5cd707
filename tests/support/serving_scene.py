"""A small scene for tests of live scoring: grey discs drift, and in the middle a square rushes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vadistill.datasets import Dataset, Video
from vadistill.serving.config import CameraSettings, ModelSettings, Settings, StorageSettings
from vadistill.systems.motion import Motion
from vadistill.video import VideoWriter

HEIGHT, WIDTH, FPS = 96, 144, 20


def pixels(seed: int, frames: int, rush: range | None) -> np.ndarray:
    """uint8 (frames, 96, 144, 3); the square crosses during the frames of ``rush``."""
    rng = np.random.default_rng(seed)
    floor = np.random.default_rng(0).integers(90, 110, (HEIGHT, WIDTH, 1)).repeat(3, 2)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    starts = rng.uniform(0, WIDTH, 3)
    video = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(frames):
        frame = floor + rng.integers(-2, 3, floor.shape)
        for start, row in zip(starts, (20, 48, 76), strict=True):
            frame[(x - (start + 1.5 * t) % WIDTH) ** 2 + (y - row) ** 2 < 81] = 190
        if rush is not None and t in rush:
            left = 120 - 6 * ((t - rush.start) % 20)
            square = (abs(x - left) < 11) & (abs(y - 48) < 11)
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


def fitted(folder: Path) -> Path:
    """A ``motion`` model of the scene."""
    clips = tuple(Video(f"normal{i}", film(folder / f"normal{i}.mp4", i)) for i in range(2))
    Motion().fit(Dataset("scene", "train", clips), out=folder / "scene.vad")
    return folder / "scene.vad"


def scene_settings(folder: Path, *cameras: CameraSettings, **parts: object) -> Settings:
    """Settings of cameras that share the model ``scene``, kept in ``folder``."""
    return Settings(
        storage=StorageSettings(folder="data"),
        models=(ModelSettings("scene", "scene.vad"),),
        cameras=cameras,
        base=folder,
        **parts,  # pyright: ignore[reportArgumentType]
    )


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something; an error after some seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
