"""What tests of live scoring use: a model of the scene, settings, and a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from support.scenes import film
from vadistill.addresses import Address
from vadistill.datasets import Dataset, Video
from vadistill.evaluation.selftest import KindFigure, SelfTest
from vadistill.evaluation.selftest.results import Picture
from vadistill.report import SELF_TEST_PAGE
from vadistill.report.self_test import write_self_test
from vadistill.serving.config import CameraSettings, ModelSettings, Settings, StorageSettings
from vadistill.serving.hub import Hub
from vadistill.serving.web.server import WebServer
from vadistill.systems.motion import Motion

RUSH = range(60, 100)
"""Frames of ``rush.mp4`` in which something is too fast."""


def camera(source: str, name: str = "door", **options: object) -> CameraSettings:
    return CameraSettings(name, Address(source), "scene", **options)  # pyright: ignore[reportArgumentType]


def fitted(folder: Path, videos: int = 2) -> Path:
    """A ``motion`` model of the scene."""
    clips = tuple(Video(f"normal{i}", film(folder / f"normal{i}.mp4", i)) for i in range(videos))
    Motion().fit(Dataset("scene", "train", clips), out=folder / "scene.vad")
    return folder / "scene.vad"


def tested(model: Path) -> SelfTest:
    """A self-test of the model, with a page of one picture, kept in its folder."""
    kinds = (
        KindFigure("unchanged", 8, 0, 0.0, 0.32, 0.52, 0.4, 0.6),
        KindFigure("3 times as fast", 8, 7, 0.53, 0.98, 0.93, 0.88, 0.97),
        KindFigure("stops", 6, 1, 0.03, 0.56, 0.55, 0.45, 0.66),
    )
    image = np.full((60, 80, 3), 90, np.uint8)
    seen = (Picture("stops", "normal1", 1.5, False, 0.4, image),)
    left_out = {"falls": "no object of this footage lends itself"}
    found = SelfTest("motion", kinds, left_out, 1.0, 2, 300, 30.0, True, 0, seen)
    found.save(model)
    write_self_test(found, model / SELF_TEST_PAGE)
    return found


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
