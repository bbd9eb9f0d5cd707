"""What tests of live scoring share."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.scenes import film
from support.serving_scene import RUSH, fitted


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
