"""A camera that is blind, frozen or turned away is told as that, and raises no storm of events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from support.serving_scene import served
from support.waiting import until
from vadistill.addresses import Address
from vadistill.serving.config import CameraSettings, ModelSettings, Settings, StorageSettings
from vadistill.serving.hub import Hub
from vadistill.serving.live import scene
from vadistill.serving.live.scene import AFTER, LASTS, LEARNED, STILL, Scene
from vadistill.video import VideoWriter

FPS = 15
Change = Callable[[np.ndarray], np.ndarray]


def shifted(image: np.ndarray, by: float = 60.0) -> np.ndarray:
    height, width = image.shape[:2]
    turn = np.array([[1, 0, by], [0, 1, 15]], np.float32)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


def swinging() -> Change:
    """Hit, and swinging on its arm from then on."""
    steps = count()
    return lambda image: shifted(image, 70 + 40 * math.sin(0.6 * next(steps)))


def covered(image: np.ndarray) -> np.ndarray:
    return (0.03 * image + 90).astype(np.uint8)


def dark(image: np.ndarray) -> np.ndarray:
    return (image // 64).astype(np.uint8)


def dimmer(image: np.ndarray) -> np.ndarray:
    return (0.45 * image).astype(np.uint8)


def half(image: np.ndarray) -> np.ndarray:
    made = image.copy()
    made[:, : image.shape[1] // 2] = (180, 60, 40)
    return made


class Pictures:
    """A scene that is shown frames again and again, 15 a second."""

    def __init__(self, frames: list[np.ndarray]) -> None:
        self.scene, self.frames, self.time = Scene("gate"), frames, 0.0
        self.number = 0

    def show(self, seconds: float, change: Change = lambda image: image) -> list[str]:
        """Play on, each picture changed; what was seen wrong, in order."""
        seen: list[str] = []
        for _ in range(round(seconds * FPS)):
            self.scene.look(change(self.frames[self.number % len(self.frames)]), self.time)
            self.number, self.time = self.number + 1, self.time + 1 / FPS
            if not seen or seen[-1] != self.scene.sight:
                seen.append(self.scene.sight)
        return seen


class TestScene:
    @pytest.mark.parametrize(
        ("change", "sight"), [(shifted, "moved"), (covered, "covered"), (dark, "dark")]
    )
    def test_a_change_is_told_once_it_lasts_and_so_is_its_end(
        self, frames: list[np.ndarray], change: Change, sight: str
    ):
        shown = Pictures(frames)
        assert shown.show(LEARNED + 2) == [""]
        assert not shown.scene.holds(shown.time)
        assert shown.show(LASTS - 0.5, change) == [""]
        # No event opens from the first such picture on.
        assert shown.scene.holds(shown.time)
        assert shown.show(2, change) == ["", sight]
        assert shown.scene.detail
        assert shown.show(30, change) == [sight]
        assert shown.show(LASTS - 0.5) == [sight]
        assert shown.show(1) == [sight, ""]
        assert not shown.scene.holds(shown.time)

    @pytest.mark.parametrize("change", [dimmer, half])
    def test_light_and_what_stands_before_half_of_it_are_no_other_view(
        self, frames: list[np.ndarray], change: Change
    ):
        shown = Pictures(frames)
        shown.show(LEARNED + 2)
        assert shown.show(20, change) == [""]
        assert not shown.scene.holds(shown.time)

    def test_a_short_break_is_no_trouble(self, frames: list[np.ndarray]):
        shown = Pictures(frames)
        shown.show(LEARNED + 2)
        assert shown.show(1, dark) == [""] == shown.show(AFTER - 0.2)
        assert shown.scene.holds(shown.time)
        shown.show(0.4)
        assert not shown.scene.holds(shown.time)

    def test_a_frozen_picture_is_told_after_a_minute(self, frames: list[np.ndarray]):
        shown = Pictures(frames)
        shown.show(LEARNED + 2)
        assert shown.show(STILL - 2, lambda image: frames[7]) == [""]
        assert shown.show(4, lambda image: frames[7]) == ["", "frozen"]
        assert shown.show(LASTS + 1)[-1] == ""

        # A single pixel that changes is a living picture.
        def alive(image: np.ndarray) -> np.ndarray:
            made = frames[7].copy()
            made[0, 0] = shown.number % 250
            return made

        assert shown.show(STILL + 5, alive) == [""]

    def test_a_view_that_is_accepted_is_the_scene(self, frames: list[np.ndarray]):
        shown = Pictures(frames)
        shown.show(LEARNED + 2)
        assert shown.show(10, shifted)[-1] == "moved"
        shown.scene.accept()
        assert shown.show(LEARNED + 10, shifted) == [""]
        assert shown.show(10)[-1] == "moved"

    def test_without_edges_nobody_knows_where_it_looks(self):
        rng = np.random.default_rng(0)
        flat = [rng.integers(80, 120, (90, 160, 3), np.uint8) for _ in range(20)]
        wide = [
            np.clip(image.astype(int) + np.linspace(0, 60, 160)[None, :, None], 0, 255).astype(
                np.uint8
            )
            for image in flat
        ]
        shown = Pictures(wide)
        shown.show(LEARNED + 2)
        assert shown.show(10, lambda image: image[:, ::-1]) == [""]


def film(path: Path, frames: list[np.ndarray], change: Change) -> Path:
    """Four seconds of the scene, then six of it changed."""
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width, height, FPS) as writer:
        for number in range(10 * FPS):
            image = frames[number % len(frames)]
            writer.write(change(image) if number >= 4 * FPS else image)
    return path


@pytest.fixture
def watched(
    walkway: Path,
    tmp_path: Path,
    frames: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Hub]]:
    """Starts a hub on such a film, of which it learns the scene in two seconds."""
    monkeypatch.setattr(scene, "LEARNED", 2.0)
    hubs: list[Hub] = []

    def start(change: Change, **entries: object) -> Hub:
        source = Address(str(film(tmp_path / "film.mp4", frames, change)))
        # A level that no frame of the unchanged scene reaches, and the changed one ten times.
        camera = CameraSettings("gate", source, "walkway", check_view=True, on=5.0)
        settings = Settings(
            storage=StorageSettings(folder="data"),
            models=(ModelSettings("walkway", str(walkway / "motion.vad")),),
            cameras=(replace(camera, **entries),),  # pyright: ignore[reportArgumentType]
            base=tmp_path,
        )
        hubs.append(Hub(settings, path=tmp_path / f"{len(hubs)}.toml"))
        hubs[-1].start()
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.stop()


def test_a_camera_that_is_hit_has_no_events_but_a_state(watched: Callable[..., Hub]):
    hub = watched(swinging())
    ask = {"X-Requested-With": "vadistill"}
    with served(hub) as server, httpx.Client(base_url=server.url, headers=ask) as client:

        def shown() -> dict:
            return client.get("/api/cameras/gate").json()["status"]

        until(lambda: shown()["state"] == "moved")
        assert "another view" in shown()["detail"]
        assert hub.running()[0].trouble == shown()["detail"]
        assert not hub.health()["cameras"]["ok"]
        assert hub.store.events() == []
        assert client.post("/api/cameras/other/view", json={}).status_code == 404
        assert client.post("/api/cameras/gate/view", json={}).json()["name"] == "gate"
        until(lambda: shown()["state"] == "running")
        until(lambda: hub.running()[0].ended.is_set())
    # Scores of those seconds are not learned from.
    hub.running()[0].write_scores()
    assert 0 < len(hub.store.scores("gate", 0, 1e12)[0]) < hub.running()[0].scored


def test_without_the_check_the_same_raises_events(watched: Callable[..., Hub]):
    hub = watched(swinging(), check_view=False)
    until(lambda: hub.running()[0].ended.is_set())
    assert hub.store.events() and hub.running()[0].scene.sight == ""
