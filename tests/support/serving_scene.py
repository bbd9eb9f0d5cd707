"""What tests of live scoring use: a model of the scene, settings, and a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.scenes import film
from vadistill.datasets import Dataset, Video
from vadistill.serving.config import CameraSettings, ModelSettings, Settings, StorageSettings
from vadistill.serving.hub import Hub
from vadistill.serving.web.server import WebServer
from vadistill.systems.motion import Motion


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


@contextmanager
def served(hub: Hub, host: str = "127.0.0.1", port: int = 0) -> Iterator[WebServer]:
    """The console over a started hub, on a free port."""
    server = WebServer(hub, host, port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()
