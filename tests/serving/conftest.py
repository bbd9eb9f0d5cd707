"""What tests of live scoring share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.scenes import film
from support.serving_scene import RUSH, fitted
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems.motion import Motion
from vadistill.video import open_video


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model ``scene.vad``, ``rush.mp4`` and ``calm.mp4``."""
    folder = tmp_path_factory.mktemp("scene")
    fitted(folder)
    film(folder / "rush.mp4", 10, frames=200, rush=RUSH)
    film(folder / "calm.mp4", 11)
    return folder


@pytest.fixture
def home(scene: Path, tmp_path: Path) -> Path:
    """A folder of its own with those files."""
    for file in scene.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


@pytest.fixture(scope="session")
def walkway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated walkway, normal video alone, and a model of it."""
    folder = tmp_path_factory.mktemp("walkway")
    config = WalkwayConfig(8, train_clips=1, test_clips=1, frames=180, anomalies=("runner",))
    splits = render_walkway(folder / "walkway", config)
    Motion().fit(splits.train, out=folder / "motion.vad")
    return folder


@pytest.fixture(scope="session")
def frames(walkway: Path) -> list[np.ndarray]:
    return [frame.image for frame in open_video(walkway / "walkway" / "train" / "01.mp4")]
