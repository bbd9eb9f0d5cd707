"""Day and night are told by colours; their levels are learned apart, and one that knows only the
other is told as that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from support.serving_scene import served
from support.waiting import until
from vadistill import levels
from vadistill.addresses import Address
from vadistill.levels import Calibration
from vadistill.serving.config import CameraSettings, ModelSettings, Settings, StorageSettings
from vadistill.serving.hub import Hub
from vadistill.serving.live import learned
from vadistill.serving.live.events import EventKeeper
from vadistill.serving.live.learned import (
    LEAST,
    UNSEEN,
    drift_from,
    learned_level,
    starting_level,
)
from vadistill.serving.live.light import (
    COLOURED,
    EVERY,
    GREY,
    KEPT,
    LASTS,
    TURN,
    Daylight,
    Light,
    by_light,
    key,
    note_light,
    seconds_of,
)
from vadistill.serving.live.scene import AFTER, Scene
from vadistill.serving.live.standards import Standards
from vadistill.serving.storage.clips import ClipWriter
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.store import Store
from vadistill.video import VideoWriter

FPS, DAY = 15, 8
"""Of the film: frames a second, and how long it is day, in seconds."""
DOOR = CameraSettings("door", Address("rtsp://door/"), "scene")
NORMAL = Calibration(np.linspace(0, 1, 1001))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def infrared(image: np.ndarray) -> np.ndarray:
    """As a camera sees by its own lamp: no colours, bright in the middle, with noise."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    lamp = 1.3 - 0.9 * np.hypot(x / width - 0.5, y / height - 0.5)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * lamp
    grey = grey + np.random.default_rng(0).normal(0, 6, grey.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


class TestDaylight:
    def test_colours_tell_and_a_moment_does_not(self, frames: list[np.ndarray]):
        light, day, night = Daylight(), frames[0], infrared(frames[0])
        assert light.now == ""
        assert not light.look(day, 0.0) and light.now == "day"
        assert light.look(night, 1.0) and light.look(night, 1.0 + LASTS - 0.1)
        assert light.now == "day"
        assert not light.look(day, 4.0) and light.now == "day"
        assert light.look(night, 5.0) and light.look(night, 5.0 + LASTS)
        assert light.now == "night" and not light.look(night, 8.5)
        assert light.look(day, 9.0) and light.look(day, 9.0 + LASTS)
        assert light.now == "day"

    def test_between_both_it_stays(self):
        rng = np.random.default_rng(0)
        grey = np.repeat(rng.integers(60, 200, (36, 64, 1), np.uint8), 3, 2)

        def tinted(by: float) -> np.ndarray:
            image = grey.copy()
            image[..., 0] += np.uint8(by)
            return image

        for first in ("night", "day"):
            light = Daylight()
            light.look(tinted(0 if first == "night" else 9), 0.0)
            for step in range(100):
                light.look(tinted((GREY + COLOURED) // 2), step / 10)
            assert light.now == first

    def test_something_in_colours_is_no_day(self):
        light, image = Daylight(), np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 3, 2)
        night = np.repeat(image, 36, 0)
        light.look(night, 0.0)
        night[:, :30] = (250, 30, 30)
        for step in range(100):
            assert not light.look(night, step / 10)
        assert light.now == "night"

    def test_a_picture_that_shows_nothing_has_no_light(self, frames: list[np.ndarray]):
        light = Daylight()
        light.look(frames[0], 0.0)
        for step in range(100):
            assert not light.look((frames[0] // 64).astype(np.uint8), step / 10)
        assert light.now == "day"

    @pytest.mark.parametrize("check", [True, False])
    def test_no_event_opens_while_it_changes(self, frames: list[np.ndarray], check: bool):
        scene, night = Scene("gate", check), [infrared(image) for image in frames]
        moments = np.arange(0, 40, 1 / FPS)
        held = []
        for number, moment in enumerate(moments):
            shown = night if moment >= 20 else frames
            scene.look(shown[number % len(frames)], float(moment))
            if scene.holds(float(moment)):
                held.append(moment)
        assert scene.light == "night" and scene.sight == ""
        assert 20 <= held[0] < 20 + EVERY + 0.1
        assert 20 + LASTS + AFTER - EVERY < held[-1] < 20 + LASTS + AFTER + EVERY + 0.1


class TestByLight:
    def test_pieces_are_cut_where_it_changes(self):
        assert TURN > LASTS + EVERY
        times = TURN * np.arange(20.0)
        chunk = (times, 10 * times)
        assert by_light([chunk], []).keys() == {""}
        changes = [[-TURN, "day"], [7.5 * TURN, "night"], [14.5 * TURN, "day"]]
        parts = by_light([chunk], changes)
        ends = [(t[0] / TURN, t[-1] / TURN) for t, _ in parts["day"]]
        assert ends == [(0, 6), (16, 19)]
        ((night, scores),) = parts["night"]
        assert (night / TURN).tolist() == [9, 10, 11, 12, 13]
        assert scores.tolist() == (10 * night).tolist()
        assert seconds_of(parts["day"]) == 9 * TURN
        assert by_light([chunk], [[7.5 * TURN, "night"]]).keys() == {"", "night"}

    def test_many_changes_within_moments_leave_nothing(self):
        times = np.arange(20.0)
        changes = [[float(at), "night" if at % 8 else "day"] for at in range(0, 20, 4)]
        assert by_light([(times, times)], changes) == {}

    def test_changes_are_remembered_once_and_not_for_ever(self, store: Store):
        note_light(store, "door", "day", 5.0)
        note_light(store, "door", "day", 6.0)
        assert store.value(key("door")) == [[5.0, "day"]]
        for step in range(KEPT + 9):
            note_light(store, "door", "day" if step % 2 else "night", 7.0 + step)
        changes = store.value(key("door"))
        assert len(changes) == KEPT and changes[-1] == [7.0 + KEPT + 8, "night"]


def seen(store: Store, *parts: tuple[Light, float, float]) -> None:
    """Scores of a second each up to now: by which light, for so many seconds, how high.

    As by a camera, the first light is noted at once, another one once it has lasted.
    """
    now = time.time() - sum(seconds for _, seconds, _ in parts)
    rng = np.random.default_rng(0)
    for light, seconds, height in parts:
        if light:
            late = LASTS + EVERY if store.value(key("door")) else 0.0
            note_light(store, "door", light, now + late)
        times = now + np.arange(seconds)
        store.add_scores("door", times, (height * rng.uniform(0.5, 1, len(times))).astype("f4"))
        now += seconds


class TestLevels:
    def test_day_and_night_are_learned_apart(self, store: Store):
        seen(store, ("day", 1800, 1.0), ("night", 1800, 5.0))
        both = learned_level(store, DOOR, 2.0)
        by: dict[Light, levels.Level] = {
            light: starting_level(store, DOOR, NORMAL, by=light) for light in ("", "day", "night")
        }
        assert by[""] == both
        assert by["day"].on < 2 and 4.9 < by["night"].on < 10
        assert by["day"].footage_hours == pytest.approx(0.5, rel=0.01)
        usual = {light: drift_from(store, DOOR, NORMAL, by=light)._usual for light in by}
        day, night = usual["day"], usual["night"]
        assert day and night and day.score < 1 < 4 < night.score
        assert not drift_from(store, DOOR, NORMAL, by="night").unseen

    @pytest.mark.parametrize("other", ["day", "night"])
    def test_one_kind_changes_nothing_but_that_the_other_is_told(self, store: Store, other: Light):
        known: Light = "day" if other == "night" else "night"
        seen(store, (known, 1800, 1.0), (other, LEAST / 2, 5.0))
        level = learned_level(store, DOOR, 2.0, mark="first")
        assert starting_level(store, DOOR, NORMAL, "first", other) == level
        assert starting_level(store, DOOR, NORMAL, "first", known).on < 2
        told = drift_from(store, DOOR, NORMAL, "first", other)
        assert told.unseen and told.told == UNSEEN[other]
        assert drift_from(store, DOOR, NORMAL, "first", known).told is None
        # Nothing is told of a model's own level: what light its footage had is not known.
        assert drift_from(store, DOOR, NORMAL, "second", other).told is None

    @pytest.mark.parametrize("seconds", [0.0, LEAST / 2])
    def test_what_is_known_of_the_other_light_stays(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float
    ):
        seen(store, ("day", 1800, 1.0), ("night", 1800, 5.0))
        learned_level(store, DOOR, 2.0)
        night = starting_level(store, DOOR, NORMAL, by="night")
        later = time.time() + 7200
        monkeypatch.setattr(time, "time", lambda: later)
        seen(store, ("day", 1800, 2.0), ("night", seconds, 9.0))
        learned_level(store, DOOR, 1.0)
        assert 1.9 < starting_level(store, DOOR, NORMAL, by="day").on < 4
        assert starting_level(store, DOOR, NORMAL, by="night") == night
        assert not drift_from(store, DOOR, NORMAL, by="night").unseen
        learned_level(store, DOOR, 1.0, 2.0)  # of another rate nothing was known
        assert drift_from(store, DOOR, NORMAL, by="night").unseen

    def test_a_camera_without_colours_has_one_level(self, store: Store):
        seen(store, ("night", 1800, 1.0))
        level = learned_level(store, DOOR, 2.0)
        night = starting_level(store, DOOR, NORMAL, by="night")
        assert night.on == pytest.approx(level.on, rel=1e-3)
        assert drift_from(store, DOOR, NORMAL, by="night").told is None

    def test_footage_of_unknown_light_is_one(self, store: Store):
        seen(store, ("", 1800, 1.0), ("night", 1800, 5.0))
        level = learned_level(store, DOOR, 2.0)
        assert starting_level(store, DOOR, NORMAL, by="night") == level
        assert starting_level(store, DOOR, NORMAL, by="day") == level
        assert drift_from(store, DOOR, NORMAL, by="day").told is None


def scored(standards: Standards, minutes: int, score: float) -> None:
    """So many minutes of a frame in three seconds."""
    for step in range(20 * minutes + 1):
        standards.drift.note(3.0 * step, score, event=False)


@pytest.fixture
def both(store: Store) -> Standards:
    """Of a camera that knows day and night."""
    seen(store, ("day", 1800, 1.0), ("night", 1800, 5.0))
    learned_level(store, DOOR, 2.0)
    return Standards(store, DOOR, NORMAL)


class TestStandards:
    def test_a_change_of_light_waits_for_no_store_and_loses_no_counts(
        self, store: Store, both: Standards
    ):
        store.close()
        both.light = "day"
        assert both.level.on < 2
        scored(both, 40, 9.0)
        told = both.drift.told
        both.light = "night"
        assert both.level.on > 4 and both.drift.told is None and told
        both.light = "day"
        assert both.level.on < 2 and both.drift.told == told

    def test_all_counts_are_kept(self, store: Store, both: Standards):
        both.light = "day"
        scored(both, 40, 9.0)
        both.light = "night"
        both.save()
        again = Standards(store, DOOR, NORMAL)
        again.light = "day"
        assert again.drift.told

    def test_what_is_learned_anew_keeps_counts_of_the_same(self, store: Store, both: Standards):
        both.light = "day"
        scored(both, 40, 9.0)
        both.learn()
        assert both.drift.told
        seen(store, ("day", 1800, 20.0))
        learned_level(store, DOOR, 2.0)
        both.learn()
        assert both.drift.told is None and both.level.on > 4

    def test_drift_by_day_ends_by_day(self, both: Standards):
        both.light = "day"
        scored(both, 40, 9.0)
        told = both.trouble
        both.light = "night"
        assert told and both.trouble == told
        scored(both, 40, 0.1)
        assert both.drift.told == "" and both.trouble == told
        both.light = "day"
        scored(both, 120, 0.1)
        assert both.trouble == ""

    def test_a_night_that_no_level_knows_is_not_known_by_day(self, store: Store):
        seen(store, ("day", 1800, 1.0))
        learned_level(store, DOOR, 2.0)
        day = Standards(store, DOOR, NORMAL)
        day.light = "day"
        scored(day, 40, 0.1)
        assert day.trouble == ""  # it never saw a night
        day.light = "night"
        assert day.trouble == UNSEEN["night"]
        day.light = "day"
        assert day.drift.told == "" and day.trouble is None
        day.learn()
        assert day.trouble == ""

    def test_without_a_model_no_event_opens(self, store: Store):
        assert Standards(store, DOOR, None).level.on == np.inf


def test_a_change_that_a_full_disk_refuses_follows(store: Store, tmp_path: Path):
    clips, tasks = ClipWriter(tmp_path), Later("test")
    events = EventKeeper("door", store=store, clips=clips, later=tasks, publish=lambda *_: None)
    note_light(store, "door", "day", 1.0)
    connection = store._database._connection
    connection.execute("PRAGMA query_only = 1")
    events.keep_in_turn(lambda: note_light(store, "door", "night", 2.0))
    assert store.value(key("door")) == [[1.0, "day"]] and not events.settled
    connection.execute("PRAGMA query_only = 0")
    events.keep_in_turn(lambda: note_light(store, "door", "day", 3.0))
    assert store.value(key("door")) == [[1.0, "day"], [2.0, "night"], [3.0, "day"]]
    assert events.settled


def test_a_camera_whose_model_is_taken_away_has_no_level_that_fails(
    watched: Callable[[bool], Hub],
):
    hub = watched(True)
    hub.change_camera("gate", model="")
    (gate,) = hub.running()
    assert gate.level_trouble == "" and hub.health()["levels"]["ok"]


@pytest.fixture
def watched(
    walkway: Path, tmp_path: Path, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bool], Hub]]:
    """Starts a hub on eight seconds by day, and ten by infrared light with people who run."""
    monkeypatch.setattr(levels, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr("vadistill.serving.live.light.TURN", 1.0)
    hubs: list[Hub] = []

    def start(check: bool) -> Hub:
        film = tmp_path / "film.mp4"
        height, width = frames[0].shape[:2]
        with VideoWriter(film, width, height, FPS) as writer:
            for number in range(DAY * FPS):
                writer.write(frames[number % len(frames)])
            for number in range(10 * FPS):
                writer.write(infrared(frames[4 * number % len(frames)]))
        camera = CameraSettings("gate", Address(str(film)), "walkway", check_view=check)
        settings = Settings(
            storage=StorageSettings(folder="data"),
            models=(ModelSettings("walkway", str(walkway / "motion.vad")),),
            cameras=(camera,),
            base=tmp_path,
        )
        hubs.append(Hub(settings, path=tmp_path / "v.toml"))
        hubs[-1].start()
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.stop()


@pytest.mark.parametrize("check", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_camera_that_turns_to_infrared_light_is_told(
    watched: Callable[[bool], Hub], check: bool, monkeypatch: pytest.MonkeyPatch
):
    hub = watched(check)
    (gate,) = hub.running()
    with served(hub) as server, httpx.Client(base_url=server.url) as client:

        def shown() -> dict:
            return client.get("/api/cameras/gate").json()

        until(lambda: shown()["light"] == "day" and gate.scored > 4 * FPS)
        hub.calibrate("gate")
        assert shown()["drift"] is None
        until(lambda: shown()["light"] == "night")
        until(lambda: shown()["drift"] == UNSEEN["night"])
        assert not client.get("/healthz").json()["levels"]["ok"]
        until(lambda: gate.ended.is_set())
    began = [event.begins for event in hub.store.events()]
    # Held back where that is wanted alone; else it rings as it would.
    assert bool([begins for begins in began if begins and begins > DAY]) != check
    # What was seen by night is there to be learned from.
    assert len(hub.store.scores("gate", 0, 1e12)[0]) == gate.scored
    monkeypatch.setattr(learned, "LEAST", 5.0)
    hub.calibrate("gate")
    assert set(hub.store.value("level:gate")["lights"]) == {"day", "night"}
    assert gate.as_json()["drift"] is None
