"""Scores that are no longer those of a camera's normal footage are told in a sentence, and no
normal hour is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import vadistill
from support.scenes import FPS, pixels
from support.serving_scene import camera, fitted, scene_settings, served
from support.waiting import until
from support.webhook_receiver import Receiver
from vadistill import levels
from vadistill.addresses import Address
from vadistill.events import Tracker
from vadistill.levels import FRAMES, Calibration, training_level
from vadistill.serving import lookout
from vadistill.serving.config import SinkSettings
from vadistill.serving.hub import Hub
from vadistill.serving.live import drift
from vadistill.serving.live.drift import (
    CHANCE,
    SAVED,
    SHARE,
    WITHIN,
    Drift,
    Minute,
    Usual,
    above,
    band,
    sentence,
    usual_in,
    usual_of,
)
from vadistill.serving.live.learned import begin_anew, drift_from, learned_level
from vadistill.serving.sinks.wording import told
from vadistill.serving.storage.store import Store
from vadistill.systems.motion import Motion
from vadistill.video import ArraySource, open_video

HOUR, DAY = 60, 1440
NEVER = {"on": 1e9, "off": 1e9}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data", sinks=["hook"])
    yield store
    store.close()


class TestBand:
    @pytest.mark.parametrize("minutes", [30, HOUR, DAY])
    @pytest.mark.parametrize("chance", [CHANCE, WITHIN])
    def test_minutes_that_lie_wholly_above_or_below_leave_it_that_rarely(
        self, minutes: int, chance: float
    ):
        high = np.random.default_rng(0).binomial(minutes, SHARE, 10**6) / minutes
        assert (high > band(minutes, chance)).mean() <= chance

    def test_a_longer_window_tells_a_smaller_drift(self):
        bands = [band(minutes, CHANCE) for minutes in (1, 30, HOUR, DAY, 1e9)]
        assert bands == sorted(bands, reverse=True)
        assert bands[0] > 0.999 and bands[2] < 0.11 and bands[3] < 0.024
        assert bands[-1] == pytest.approx(SHARE, rel=0.01)
        assert band(HOUR, WITHIN) < band(HOUR, CHANCE)


class TestUsual:
    def test_it_is_that_of_the_busiest_hour(self):
        times = np.arange(0.0, 4 * 3600, 2)
        scores = np.random.default_rng(0).uniform(size=len(times))
        busy = (times >= 3600) & (times < 7200)
        scores[busy] += 1
        found = usual_in([(times, scores)], 1)
        assert (scores[busy] > found.score).mean() <= SHARE and found.score > 1.97

    def test_the_beginning_of_an_hour_is_none(self):
        times = np.arange(0.0, 3700, 2)
        scores = np.where(times < 3600, np.linspace(0, 1, len(times)), 9.0)
        assert usual_in([(times[:900], scores[:900]), (times[900:], scores[900:])], 1).score == 9.0
        scores = np.where(times < 3690, np.linspace(0, 1, len(times)), 9.0)
        assert usual_in([(times, scores)], 1).score < 1

    def test_what_opens_no_event_does_not_count(self):
        scores = np.where(np.arange(600) % 3 == 2, 0.0, 5.0)
        times = np.arange(600.0)
        assert usual_in([(times, scores)], 3) == Usual(0.0, 3)
        assert usual_in([(times, scores)], 2) == Usual(5.0, 2)
        short = (np.array([601.0, 602.0]), np.array([9.0, 9.0]))
        assert usual_in([(times, scores), short], 3) == Usual(0.0, 3)

    def test_a_single_frame_has_one(self):
        assert usual_in([(np.array([5.0]), np.array([0.5]))], 1) == Usual(0.5, 1)

    def test_that_of_training_lasts_where_training_saw_it(self):
        scores = [0.0, 0.0, 1.0] * 400
        calibration = Calibration.fit(scores, [1200])
        assert usual_of(calibration, 3) == usual_of(calibration, 5) == Usual(0.0, FRAMES)
        assert usual_of(calibration, 2) == Usual(1.0, 1) == usual_of(Calibration.fit(scores), 3)


class Played:
    """Scores of one in ``step`` seconds: above the usual one for a share of each minute."""

    def __init__(
        self, store: Store, usual: float | None = 1.0, of: str = "model", step: int = 3
    ) -> None:
        self.step = step
        self.drift = Drift(store, "gate", [of], None if usual is None else Usual(usual, 1))
        self.time = 0.0
        self.drift.note(0.0, 0.0, event=False)

    def play(self, minutes: int, high: float = 0.0, event: float = 0.0) -> list[str | None]:
        """So many minutes, at whose end an event is open for a share; what was told in turn."""
        said: list[str | None] = [self.drift.told]
        for second in range(0, 60 * minutes, self.step):
            self.time += self.step
            place = (second % 60) / 60
            self.drift.note(self.time, 2.0 if place < high else 1.0, event=place >= 1 - event)
            if said[-1] != self.drift.told:
                said.append(self.drift.told)
        return said


def drifted(said: str | None, window: str = "hour") -> bool:
    return said is not None and f"the last {window}'s frames lie above" in said


class TestDrift:
    def test_it_begins_out_of_the_band_and_ends_well_inside(self, store: Store):
        played = Played(store)
        assert played.play(29) == [None]
        assert played.play(100) == [None, ""]
        said = played.play(20, high=0.5)
        assert said[0] == "" and all(map(drifted, said[1:]))
        assert drifted(played.play(36)[-1]), "10 of 60 minutes are still above"
        assert played.play(60)[-1] == ""

    def test_its_words(self, store: Store):
        played = Played(store)
        words = played.play(60, high=0.5)[-1]
        assert words == sentence(0.5, "hour")
        assert words == (
            "scores have drifted: 50 % of the last hour's frames lie above what 1 % of the normal "
            "footage did; calibrate, or fit again"
        )
        assert "2.4 % of the last day" in sentence(0.0243, "day")

    def test_a_small_drift_is_told_of_the_day(self, store: Store):
        played = Played(store)
        assert played.play(DAY // 2 - 1, high=0.05)[-1] == ""
        assert drifted(played.play(2, high=0.05)[-1], "day")
        assert drifted(played.play(HOUR)[-1], "day")
        assert played.play(DAY)[-1] == ""

    def test_after_a_told_hour_the_day_begins_anew(self, store: Store):
        played = Played(store)
        played.play(DAY)
        assert drifted(played.play(HOUR, high=1.0)[-1])
        assert played.play(2 * HOUR)[-1] == ""

    def test_normal_scores_are_not_told_for_a_week(self, store: Store):
        played = Played(store, step=10)
        for high in np.random.default_rng(1).uniform(size=7 * 24 * 60) < SHARE:
            assert not played.play(1, high=float(high))[-1]

    def test_events_are_left_out_where_they_are_the_exception(self, store: Store):
        played = Played(store)
        # All of an event is high, 40 % of the time.
        for _ in range(HOUR):
            for second in range(60):
                played.time += 1
                event = second < 24
                played.drift.note(played.time, 2.0 if event else 0.0, event=event)
        assert played.drift.told == ""
        assert above([Minute(36, 0, 24, 24)] * HOUR) == (0, pytest.approx(36))
        assert above([Minute(8, 0, 52, 52)] * HOUR) == (0, pytest.approx(8))
        assert above([Minute(4, 0, 56, 56)] * HOUR) == (pytest.approx(56 / 60), pytest.approx(60))

    def test_what_is_told_stays_while_events_leave_too_little_to_tell(self, store: Store):
        played = Played(store)
        words = played.play(HOUR, high=0.4)[-1]
        assert drifted(words)
        played.play(HOUR, event=0.6)
        assert drifted(played.drift.told)
        assert played.play(HOUR)[-1] == ""
        busy = Played(store, of="another")
        assert busy.play(2 * HOUR, event=0.6) == [None]

    def test_what_takes_nearly_all_of_the_time_is_no_event(self, store: Store):
        played = Played(store)
        played.play(HOUR)
        assert drifted(played.play(HOUR, high=1.0, event=1.0)[-1])

    def test_pauses_and_new_streams_do_not_count(self, store: Store):
        played = Played(store)
        for _ in range(10**4):
            played.time += 60
            played.drift.note(played.time, 2.0, event=False)
            played.drift.note(0.0, 2.0, event=False)
        assert played.drift.told is None and not played.drift._minutes

    def test_pictures_that_are_left_out_count_with_the_next(self, store: Store):
        sparse = Drift(store, "gate", ["model"], Usual(1.0, 1))
        for step in range(60 * HOUR):
            # Where nothing moves, one a second; else ten, one of fifty above.
            sparse.note(float(step), 0.0, event=False)
            if step % 10 == 0:
                for part in range(1, 10):
                    sparse.note(step + part / 10, 2.0 * (part == 5), event=False)
        assert sparse.told == ""

    def test_a_score_that_does_not_last_does_not_count(self, store: Store):
        for frames, known in ((2, True), (3, False)):
            flickering = Drift(store, "gate", ["model"], Usual(1.0, frames))
            for step in range(60 * HOUR):
                flickering.note(float(step), 2.0 * (step % 3 < 2), event=False)
            assert drifted(flickering.told) == known

    def test_memory_is_bounded(self, store: Store):
        played = Played(store)
        played.play(DAY + HOUR)
        assert len(played.drift._minutes) == DAY

    def test_without_a_usual_score_nothing_is_told(self, store: Store):
        played = Played(store, usual=None)
        assert played.play(2 * HOUR, high=1.0) == [None]
        played.drift.save()
        assert store.value("drift:gate") is None


class TestRestart:
    def test_it_goes_on(self, store: Store):
        played = Played(store)
        played.play(HOUR, high=0.5)
        said = played.drift.told
        played.drift.save()
        again = Played(store)
        assert again.drift.told == said
        # Still inside the wider band, which it has left.
        assert drifted(again.play(HOUR - 8)[-1])
        assert again.play(HOUR)[-1] == ""

    def test_little_is_lost_with_the_process(self, store: Store):
        Played(store).play(SAVED - 1)
        assert store.value("drift:gate") is None
        Played(store).play(SAVED)
        assert len(store.value("drift:gate")["minutes"]) == SAVED

    @pytest.mark.parametrize(("usual", "of"), [(1.5, "model"), (1.0, "another"), (None, "model")])
    def test_other_scores_begin_anew(self, store: Store, usual: float | None, of: str):
        played = Played(store)
        played.play(HOUR, high=0.5)
        played.drift.save()
        assert Played(store, usual, of).drift.told is None

    def test_what_is_a_day_old_is_forgotten(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        played = Played(store)
        played.play(HOUR + 1, high=0.5)
        monkeypatch.setattr("time.time", lambda: 1e9)
        played.drift.save()
        monkeypatch.setattr("time.time", lambda: 1e9 + drift.FORGOTTEN - 1)
        assert Played(store).drift.told == played.drift.told
        monkeypatch.setattr("time.time", lambda: 1e9 + drift.FORGOTTEN)
        assert Played(store).drift.told is None

    def test_so_is_that_of_a_camera_that_was_removed(self, store: Store):
        played = Played(store)
        played.play(HOUR, high=0.5)
        played.drift.save()
        begin_anew(store, "gate")
        assert Played(store).drift.told is None


class TestUsualOfALevel:
    def test_it_is_of_what_the_level_is_of(self, store: Store, scene: Path):
        model = Motion.load(scene / "scene.vad")
        calibration = model.require_fitted()
        door = camera("calm.mp4")
        trained = usual_of(calibration, door.frames_to_open)
        assert drift_from(store, door, calibration)._usual == trained
        assert drift_from(store, door, None)._usual is None
        times = time.time() - np.arange(600.0, 0, -1)
        store.add_scores("door", times, np.linspace(0, 1, 600).astype("f4"))
        learned_level(store, door, 1.0)
        own = drift_from(store, door, calibration)._usual
        assert own is not None and own != trained
        assert own.score == pytest.approx(0.99, abs=0.01) and own.frames == 3
        # A level from before this was kept.
        store.save_value("level:door", {**store.value("level:door"), "usual": None})
        assert drift_from(store, door, calibration)._usual is None


GAMMAS = (1.0, 2.0, 3.0, 4.0)


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> tuple[Motion, list[np.ndarray]]:
    """A model of the scene, and its scores of unseen normal video as it grows darker."""
    model = Motion.load(fitted(tmp_path_factory.mktemp("ramp"), 6))
    normal = pixels(5, 120, None) / 255.0
    shown = ((255 * normal**gamma).astype(np.uint8) for gamma in GAMMAS)
    streams = (model.stream(ArraySource(frames, fps=FPS)) for frames in shown)
    return model, [np.array([frame.score for frame in stream]) for stream in streams]


def test_a_slow_ramp_of_gamma_is_told_before_it_raises_events(
    store: Store, ramp: tuple[Motion, list[np.ndarray]]
):
    model, scores = ramp
    calibration = model.require_fitted()
    level = training_level(calibration, 1.0)
    watched = drift_from(store, camera("calm.mp4", "gate"), calibration)
    tracker, events, frames = Tracker(level), 0, 0

    def play(hours: float, darker: bool | None = None) -> list[bool]:
        """Hours, of which a second in ten is shown; whether something was told, in turn."""
        nonlocal events, frames
        said, began = [bool(watched.told)], frames
        ended = began + round(hours * 3600 * FPS / 10)
        while frames < ended:
            part = (frames - began) / (ended - began)
            place = {None: 0, True: int(part * len(GAMMAS)), False: -1}[darker]
            time, score = 10 * frames / FPS, float(scores[place][frames % len(scores[place])])
            change = tracker.push(time, score)
            events += change is not None and change.kind == "opened"
            watched.note(time, score, event=tracker.event is not None)
            frames += 1
            if bool(watched.told) != said[-1]:
                said.append(bool(watched.told))
                told_at.append((frames - began) / FPS * 10 / 3600)
        return said

    told_at: list[float] = []
    assert play(8) == [False]
    assert play(12, darker=True) == [False, True]
    # Of four steps of three hours the second, with 10 % above, is at the bound.
    assert 3 < told_at[-1] < 7
    assert play(6, darker=False) == [True]
    assert play(2) == [True, False] and told_at[-1] < 1.01
    assert events == 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of twelve seconds, and a lookout that is soon sure."""
    monkeypatch.setattr(drift, "MINUTE", 0.2)
    monkeypatch.setattr(levels, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(lookout, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(lookout, "STEADY", 0.3)


@pytest.mark.usefixtures("quick")
def test_a_camera_whose_scores_drift_is_told_everywhere(home: Path) -> None:
    receiver = Receiver()
    hook = SinkSettings("hook", "webhook", url=Address(receiver.url))
    gate = camera("rush.mp4", "gate", loop=True, fast=True, **NEVER)
    yard = camera("calm.mp4", "yard", loop=True, fast=True, **NEVER)
    settings = scene_settings(home, gate, yard, sinks=(hook,))
    ask = {"X-Requested-With": "vadistill"}

    def kinds() -> list[str]:
        return [body["kind"] for body in receiver.bodies()]

    hub = Hub(settings, path=home / "v.toml")
    hub.start()
    try:
        with served(hub) as server, httpx.Client(base_url=server.url, headers=ask) as client:

            def shown(name: str) -> str | None:
                return client.get(f"/api/cameras/{name}").json()["drift"]

            until(lambda: drifted(shown("gate")))
            until(lambda: kinds() == ["failing"])
            (message,) = receiver.bodies()
            assert message["part"] == "level" and message["name"] == message["camera"] == "gate"
            assert drifted(message["cause"])
            health = client.get("/healthz").json()
            assert not health["ok"] and health["levels"]["detail"] == "1 of 2 no longer fit"
            text = client.get("/metrics").text
            assert 'vadistill_level_works{level="gate"} 0\n' in text
            until(lambda: hub.running()[1].standards.drift.told == "")
            assert shown("yard") is None
            text = client.get("/metrics").text
            assert 'vadistill_level_works{level="yard"} 1\n' in text
        hub.stop()
        # Of the next start nobody is told again, and it is known at once.
        hub = Hub(settings, path=home / "v.toml")
        hub.start()
        assert drifted(hub.running()[0].as_json()["drift"])
        time.sleep(1)
        assert kinds() == ["failing"]
        # An hour as if it had been played at its own speed: rounds of a file that is read fast
        # overlap on the clock, and scores that last in each do not in several at a time.
        raw = vadistill.load(home / "scene.vad").score(open_video(home / "rush.mp4")).raw
        times = time.time() - 7200 + np.arange(0, 3600, 1 / FPS)
        hub.store.add_scores("gate", times, np.resize(raw, len(times)).astype(np.float32))
        hub.calibrate("gate")
        assert hub.running()[0].as_json()["drift"] is None
        assert hub.health()["levels"]["ok"]
        until(lambda: kinds() == ["failing", "working"])
        assert hub.running()[0].standards.drift.told == ""
    finally:
        hub.stop()
        receiver.close()


def test_people_read_it_in_a_sentence(store: Store) -> None:
    store.notify("failing", part="level", name="gate", cause=sentence(0.12, "hour"), since=1e9)
    store.notify("working", part="level", name="gate", cause="", since=1e9)
    failing, working = store.due("hook", 2e9)
    assert told(failing)[0] == "vadistill: the level of gate (failing)"
    assert "the level of gate fails since 2001-09-09" in told(failing)[1]
    assert told(failing)[1].endswith("normal footage did; calibrate, or fit again")
    assert told(working)[1] == "the level of gate works again"
