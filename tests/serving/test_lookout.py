"""Cameras and other parts that fail are told to every sink, in time and once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from support.mjpeg_server import MjpegServer, level, part
from support.mqtt_broker import Broker, Listener
from support.serving_scene import camera, scene_settings, served
from support.waiting import until
from support.webhook_receiver import Receiver
from vadistill.addresses import Address
from vadistill.scores import FrameScore
from vadistill.serving import lookout
from vadistill.serving.config import CameraSettings, ModelSettings, SinkSettings
from vadistill.serving.faults import Faults
from vadistill.serving.hub import Hub
from vadistill.serving.lookout import Lookout, Part
from vadistill.serving.sinks import Dispatcher, Glance, build_sink
from vadistill.serving.storage.store import Store
from vadistill.systems.motion import Motion
from vadistill.video import VideoSource

ALWAYS = {"on": -1e9, "off": -1e9}
"""Levels at which an event opens with the first frames."""
NEVER = {"on": 1e9, "off": 1e9}


class Cuttable:
    """An HTTP camera that can be cut, as one whose cable is pulled or whose power fails."""

    def __init__(self, silent: bool) -> None:
        self.cut = threading.Event()
        noise = np.random.default_rng(0).integers(90, 110, (8, 96, 144, 3), np.uint8)
        self._parts = [part(level(100, (144, 96)) + shade % 8) for shade in noise]
        self.server = MjpegServer(self._chunks, pause=0.1, silent=600 if silent else 0)

    def _chunks(self) -> Iterator[bytes]:
        count = 0
        while not self.cut.is_set():
            yield self._parts[count % len(self._parts)]
            count += 1


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the lookout's seconds short."""
    monkeypatch.setattr(lookout, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(lookout, "STEADY", 0.3)
    # A camera has a picture a moment after it was asked for one.
    monkeypatch.setattr(lookout, "GRACE", {**dict.fromkeys(lookout.GRACE, 0.3), "camera": 2.0})


def kinds(receiver: Receiver) -> list[str]:
    """Of what came, in order; but for clips, which come when they are whole."""
    return [body["kind"] for body in receiver.bodies() if body["kind"] != "clip"]


def cut_and_mended(
    home: Path,
    receiver: Receiver,
    out: Callable[[], str],
    seconds: float,
    silent: bool,
    event: bool,
) -> None:
    """Cut a camera, with an event open or without; all sinks must hear of it in ``seconds``."""
    cable = Cuttable(silent)
    with Broker() as broker, Listener(broker.port) as listener, cable.server as server:
        sinks = (
            SinkSettings("hook", "webhook", url=Address(receiver.url)),
            SinkSettings("home", "mqtt", url=Address(broker.url)),
            SinkSettings("out", "stdout"),
        )
        levels = ALWAYS if event else NEVER
        gate = camera(server.address("user:hunter2@"), "gate", **levels)
        hub = Hub(
            scene_settings(home, gate, camera("calm.mp4", "yard", loop=True, **NEVER), sinks=sinks)
        )
        hub.start()
        try:
            until(lambda: hub.running()[0].scored > 5)
            until(lambda: listener.topic("vadistill/gate/availability") == ["online"])
            until(lambda: listener.topic("vadistill/yard/availability") == ["online"])
            assert until(lambda: hub.health()["ok"])
            if event:
                until(lambda: [b["kind"] for b in receiver.bodies()] == ["opened"])
            cable.cut.set()
            before = [] if not event else ["opened", "closed"]
            until(lambda: kinds(receiver) == [*before, "lost"], seconds)
            until(lambda: listener.topic("vadistill/gate/availability")[-1] == "offline", 3)
            until(lambda: listener.topic("vadistill/gate/health"), 3)
            told = next(b for b in receiver.bodies() if b["kind"] == "lost")
            assert told["camera"] == "gate" and told["event"] is None and told["cause"]
            assert json.loads(listener.topic("vadistill/gate/health")[-1]) == told
            health = hub.health()
            assert not health["ok"] and health["cameras"]["detail"] == "1 of 2 are failed or lost"
            if event:
                closing = next(b for b in receiver.bodies() if b["kind"] == "closed")["event"]
                assert closing["state"] == "closed" and closing["cause"]
                assert listener.topic("vadistill/gate/state")[-1] == "OFF"
            cable.cut.clear()
            until(lambda: receiver.bodies()[-1]["kind"] in ("back", "opened"))
            until(lambda: "back" in [b["kind"] for b in receiver.bodies()])
            until(lambda: listener.topic("vadistill/gate/availability")[-1] == "online", 3)
            assert until(lambda: hub.health()["ok"])
            assert listener.topic("vadistill/yard/availability") == ["online"]
        finally:
            hub.stop()
    lines = [json.loads(line) for line in out().splitlines()]
    assert [line["kind"] for line in lines if line["event"] is None] == ["lost", "back"]
    assert "hunter2" not in json.dumps([lines, receiver.bodies(), listener.heard])


@pytest.mark.parametrize("event", [True, False])
def test_a_camera_that_is_cut_is_told_to_every_sink(
    home: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    event: bool,
) -> None:
    quick(monkeypatch)
    cut_and_mended(home, receiver, lambda: capfd.readouterr().out, 10, False, event)


@pytest.mark.slow
@pytest.mark.parametrize("event", [True, False])
@pytest.mark.parametrize("silent", [True, False])
def test_every_sink_hears_of_a_cut_within_half_a_minute(
    home: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str], silent: bool, event: bool
) -> None:
    cut_and_mended(home, receiver, lambda: capfd.readouterr().out, 30, silent, event)


class Times:
    """Clocks that stand until they are set on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1e9
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(time, "monotonic", lambda: self.now - 1e9)


class Watched:
    """A lookout over parts that are set by hand, and what it told."""

    def __init__(self, store: Store, times: Times) -> None:
        self.store, self.times = store, times
        self.parts: dict[Part, str | None] = {}
        self.seen: dict[str, bool] = {}
        self.lookout = Lookout(store, lambda: self.parts, self.seen.update, Faults())
        self.lookout.recall()

    def passes(self, seconds: float, **cameras: str | None) -> None:
        self.parts |= {Part("camera", name): cause for name, cause in cameras.items()}
        for _ in range(round(seconds)):
            self.times.now += 1
            self.lookout.look()

    def told(self) -> list[str]:
        return [f"{m.body['name']} {m.kind}" for m in self.store.due("hook", 2e9, 100)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data", sinks=["hook"])
    yield store
    store.close()


class TestLookout:
    def test_a_moment_is_not_told_and_what_lasts_is_told_once(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched = Watched(store, Times(monkeypatch))
        watched.passes(20, gate="it has not answered yet", yard=None)
        assert watched.told() == ["gate lost"] and watched.seen == {"gate": False}
        watched.passes(4, gate="")
        assert watched.told() == ["gate lost"] and watched.seen == {"gate": False}
        watched.passes(3, gate="")
        assert watched.told() == ["gate lost", "gate back"] and watched.seen == {"gate": True}
        watched.passes(8, gate="lost for a moment")
        watched.passes(20, gate="")
        assert len(watched.told()) == 2 and watched.seen == {"gate": True}

    def test_one_that_comes_and_goes_is_told(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched = Watched(store, Times(monkeypatch))
        for _ in range(8):
            watched.passes(2, gate="lost")
            watched.passes(2, gate="")
        assert watched.told() == ["gate lost"]

    def test_a_restart_tells_neither_twice(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times = Times(monkeypatch)
        first = Watched(store, times)
        first.passes(20, gate="lost", yard="lost")
        again = Watched(store, times)
        again.passes(20, gate="lost")
        again.passes(20, gate="")
        assert again.told() == ["gate lost", "yard lost", "gate back"]
        Watched(store, times).passes(20, yard="")  # it was removed, and added anew
        assert len(again.told()) == 3

    def test_other_parts_have_words_of_their_own(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched = Watched(store, Times(monkeypatch))
        watched.parts[Part("sink", "ops")] = "answered 503"
        watched.passes(59)
        assert watched.told() == []
        watched.passes(2)
        (message,) = store.due("hook", 2e9)
        assert message.kind == "failing" and message.event < 0 and not message.of_event
        expected = {"part": "sink", "name": "ops", "cause": "answered 503", "camera": None}
        assert message.body.items() >= expected.items()
        watched.parts[Part("sink", "ops")] = ""
        watched.passes(10)
        assert watched.told() == ["ops failing", "ops working"]


def full(store: Store, pages: int | None = None) -> None:
    """Let the store take nothing more; with ``pages`` so many."""
    connection = store._database._connection
    known = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages or known}")


def test_what_a_full_disk_refuses_is_sent_all_the_same(
    store: Store, receiver: Receiver, tmp_path: Path
) -> None:
    full(store)
    dispatcher = Dispatcher(
        store, [build_sink(SinkSettings("hook", "webhook", url=Address(receiver.url)))]
    )
    dispatcher.start()
    long = "x" * 100_000  # so that no page has room for it
    store.notify("failing", part="disk", name="storage", cause=long, since=1.0)
    until(lambda: [b["kind"] for b in receiver.bodies()] == ["failing"])
    until(lambda: store.pending() == {"hook": 0})
    dispatcher.stop()
    store.notify("lost", part="camera", name="door", cause=long, since=1.0)
    assert store._held and store.pending() == {"hook": 1}
    (message,) = store.due("hook", 2e9)
    store.failed(message, "no", 3e9)
    full(store, 10**6)
    store.settle()
    assert not store._held and store.pending() == {"hook": 1}
    (kept,) = store.due("hook", 4e9)
    assert kept.id > 0 and kept.body == message.body and kept.attempts == 1


def test_what_is_held_for_a_sink_goes_with_it(store: Store) -> None:
    full(store)
    store.notify("lost", part="camera", name="door", cause="x" * 100_000, since=1.0)
    store.sinks = ()
    assert store.pending() == {"hook": 1}
    store.forget_sink("hook")
    assert store.pending() == {} and not store._held


def test_a_receiver_that_only_knows_events_gets_them(store: Store, receiver: Receiver) -> None:
    receiver.status = lambda body: 204 if body["event"] else 500
    sink = build_sink(SinkSettings("hook", "webhook", url=Address(receiver.url)))
    dispatcher = Dispatcher(store, [sink], backoff=(0.02, 0.1), slow=(60, 60))
    dispatcher.start()
    store.notify("lost", part="camera", name="door", cause="cut", since=1.0)
    until(lambda: receiver.keys(500))
    store.open_event("door", 100.0, peak=1.0, level=0.5)
    until(lambda: [b["kind"] for b in receiver.bodies()] == ["opened"])
    dispatcher.stop()


def test_health_is_told_by_part(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr("vadistill.serving.storage.disk.PROBE_EVERY", 0.1)
    monkeypatch.setattr("vadistill.serving.storage.disk.RETRY", 0.1)
    settings = scene_settings(home, camera("calm.mp4", "yard", loop=True))
    gate = CameraSettings("gate", Address("calm.mp4"), "gone")
    models = (*settings.models, ModelSettings("gone", "gone.vad"))
    hook = SinkSettings("hook", "webhook", url=Address("http://127.0.0.1:1/"))
    settings = replace(settings, models=models, cameras=(*settings.cameras, gate), sinks=(hook,))
    hub = Hub(settings, path=home / "v.toml")
    hub.start()
    try:
        with served(hub) as server:

            def health() -> dict[str, Any]:
                return httpx.get(f"{server.url}healthz").json()

            until(lambda: not health()["sinks"]["ok"])
            until(lambda: health()["cameras"]["detail"] == "1 of 2 are failed or lost")
            shown = health()
            assert not shown["ok"]
            assert shown["models"]["detail"] == "1 of 2 cannot be used"
            assert shown["sinks"]["detail"] == "1 of 1 fail"
            assert shown["disk"]["ok"] and shown["clockwork"]["ok"]
            with monkeypatch.context() as broken:

                def fail(*_: object) -> None:
                    raise OSError(28, "No space left on device")

                broken.setattr("pathlib.Path.write_bytes", fail)
                until(lambda: not health()["disk"]["ok"])
                until(lambda: hub.store.pending()["hook"] >= 4)
            until(lambda: health()["disk"]["ok"])
            assert "gate" not in str(health()) and str(home) not in str(health())
            text = httpx.get(f"{server.url}metrics").text
            for line in (
                'healthy{part="cameras"} 0',
                'healthy{part="disk"} 1',
                'camera_works{camera="gate"} 0',
                'camera_works{camera="yard"} 1',
                'model_works{model="gone"} 0',
                'sink_works{sink="hook"} 0',
            ):
                assert f"vadistill_{line}\n" in text, line
        kinds = [(m.body["part"], m.kind) for m in hub.store.due("hook", 2e10, 100)]
        assert {("camera", "lost"), ("model", "failing"), ("disk", "failing")} <= set(kinds)
        assert str(home) not in str([m.body for m in hub.store.due("hook", 2e10, 100)])
    finally:
        hub.stop()


def test_a_camera_that_is_removed_leaves_nothing_at_the_broker(store: Store) -> None:
    with Broker() as broker, Listener(broker.port) as home:
        sink: Any = build_sink(SinkSettings("hook", "mqtt", url=Address(broker.url)))
        dispatcher = Dispatcher(store, [sink])
        dispatcher.announce(["door"])
        dispatcher.start()
        until(sink._ready.is_set)
        dispatcher.show({"door": Glance(False, 0.5, True), "nobody": Glance(True, 0.5, False)})
        until(lambda: home.topic("vadistill/door/availability") == ["offline"])
        dispatcher.show({"door": Glance(False, None, True)})
        dispatcher.show({"door": Glance(True, None, True)})
        until(lambda: home.topic("vadistill/door/availability") == ["offline", "online"])
        dispatcher.announce([])
        until(lambda: home.topic("vadistill/door/availability")[-1] == "")
        with Listener(broker.port) as later:
            until(lambda: later.topic("vadistill/status"))
            assert [topic for topic, text in later.heard if "door" in topic and text] == []
        dispatcher.stop()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_number_fails_its_camera_and_is_told(
    home: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    quick(monkeypatch)
    hook = SinkSettings("hook", "webhook", url=Address(receiver.url))
    broken = threading.Event()
    stream = Motion.stream

    def spoilt(self: Motion, source: VideoSource) -> Iterator[FrameScore]:
        for score in stream(self, source):
            yield replace(score, score=bad) if broken.is_set() else score

    monkeypatch.setattr(Motion, "stream", spoilt)
    gate = camera("rush.mp4", "gate", loop=True, **ALWAYS)
    hub = Hub(scene_settings(home, gate, sinks=(hook,)))
    hub.start()
    try:
        until(lambda: [b["kind"] for b in receiver.bodies()] == ["opened"])
        broken.set()
        until(lambda: kinds(receiver) == ["opened", "closed", "lost"])
        closed, lost = (b for b in receiver.bodies() if b["kind"] in ("closed", "lost"))
        for cause in (closed["event"]["cause"], lost["cause"]):
            assert "no finite number" in cause
        status = hub.cameras()[0]["status"]
        assert status["state"] == "failed" and "no finite number" in status["detail"]
        assert not hub.health()["cameras"]["ok"]
    finally:
        hub.stop()
