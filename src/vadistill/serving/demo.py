"""A living camera for those who have none: the simulated walkway, learned and then streamed."""

from __future__ import annotations

from pathlib import Path

from vadistill.addresses import Address
from vadistill.serving.config import (
    CameraSettings,
    FootageSettings,
    ModelSettings,
    Settings,
    StorageSettings,
)

FOLDER = Path("vadistill-demo")

CLIPS, FRAMES, SEED = 2, 240, 8
"""Normal clips that are learned, clips with events that are streamed, frames of each (16 s), and a
scene where people pass near enough for ``motion`` to tell a runner from a walker."""

CAMERAS = ("gate", "fountain")


def prepare(folder: Path) -> Settings:
    """Render the walkway and fit ``motion`` to it, unless that is done; settings that watch it."""
    from vadistill.simulated.walkway import WalkwayConfig, render_walkway
    from vadistill.systems.motion import Config, Motion

    config = WalkwayConfig(
        SEED, train_clips=CLIPS, test_clips=CLIPS, frames=FRAMES, anomalies=("runner",)
    )
    splits = render_walkway(folder / "walkway", config)
    model = folder / "motion.vad"
    if not (model / "config.json").exists():
        Motion(Config()).fit(splits.train, out=model)
    return Settings(
        storage=StorageSettings(folder="data"),
        models=(ModelSettings("walkway", "motion.vad"),),
        cameras=tuple(
            CameraSettings(name, Address(f"walkway/test/{video.source.name}"), "walkway", loop=True)
            for name, video in zip(CAMERAS, splits.test, strict=True)
            if isinstance(video.source, Path)
        ),
        footage=(FootageSettings("walkway", "walkway/train"),),
        base=folder.resolve(),
    )
