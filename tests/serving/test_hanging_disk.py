"""A disk that hangs holds up what is written to it, and no camera."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from support.scenes import film
from support.serving_scene import camera, scene_settings, served
from support.waiting import until
from support.webhook_receiver import Receiver
from vadistill.addresses import Address
from vadistill.drawing import Scale, to_jpeg
from vadistill.errors import StorageError
from vadistill.events import Tracker
from vadistill.levels import Level
from vadistill.scores import FrameScore
from vadistill.serving import lookout
from vadistill.serving.config import CameraSettings, SinkSettings
from vadistill.serving.hub import Hub
from vadistill.serving.live.events import EventKeeper
from vadistill.serving.storage import later, outbox
from vadistill.serving.storage.clips import ClipWriter, Shot
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.records import Place
from vadistill.serving.storage.store import Store

HANGS = 2.0
"""Seconds; an event comes every two."""


@pytest.fixture
def door(home: Path) -> CameraSettings:
    """A camera with an event again and again."""
    film(home / "short.mp4", 10, frames=40, rush=range(10, 24))
    return camera("short.mp4", loop=True, seconds_to_close=0.3)


@pytest.fixture
def hooked(home: Path, door: CameraSettings) -> Iterator[tuple[Hub, Receiver]]:
    receiver = Receiver()
    sink = SinkSettings("hook", "webhook", Address(receiver.url))
    hub = Hub(scene_settings(home, door, sinks=(sink,)))
    hub.start()
    yield hub, receiver
    hub.stop()
    receiver.close()


@contextmanager
def own_write_hangs(store: Store) -> Iterator[threading.Event]:
    """A commit of messages that were kept in memory hangs inside; set is when one does."""
    hangs, goes, messages = threading.Event(), threading.Event(), threading.Event()

    def step(sql: str) -> None:
        if "INTO messages" in sql and "attempts" in sql:
            messages.set()
        elif sql == "COMMIT" and messages.is_set():
            hangs.set()
            goes.wait(60)

    store._database._connection.set_trace_callback(step)
    try:
        yield hangs
    finally:
        goes.set()


def goes_on(hub: Hub, seconds: float = HANGS) -> None:
    """Its camera scores its frames as they come, as far as other programs leave it time to."""
    watched = hub.running()[0]
    until(lambda: watched.scored > 5)
    for _ in range(round(seconds)):
        before = watched.scored
        time.sleep(1.0)
        until(lambda before=before: watched.scored > before, 5)


def told(receiver: Receiver, event: int) -> list[str]:
    """Kinds of messages of an event, in the order in which they came."""
    bodies = (body for body in receiver.bodies() if body["event"])
    return [body["kind"] for body in bodies if body["event"]["id"] == event]


def test_a_picture_that_cannot_be_opened(hooked: tuple[Hub, Receiver]):
    """The first picture is a pipe that nobody reads: the system's call to open it hangs."""
    hub, receiver = hooked
    pipe = hub.store.media / "1.part.jpg"
    os.mkfifo(pipe)
    until(lambda: hub.store.event(1))
    try:
        goes_on(hub)
        assert hub.store.events()[0].id == 1 and not list(hub.store.media.glob("*.jpg.*"))
    finally:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    until(lambda: told(receiver, 2) == ["opened", "closed", "clip"])
    os.close(reader)
    assert told(receiver, 1) == ["opened", "closed", "clip"]
    first, second = (hub.store.event(number) for number in (1, 2))
    assert first and second and first.end and first.end < second.start
    assert second.thumbnail and (hub.store.media / second.thumbnail).stat().st_size > 1000


def test_a_picture_that_hangs_holds_up_no_other_cameras_alarms(
    hooked: tuple[Hub, Receiver], door: CameraSettings
):
    hub, receiver = hooked
    pipe = hub.store.media / "1.part.jpg"
    os.mkfifo(pipe)
    until(lambda: hub.store.event(1))
    try:
        hub.add_camera(replace(door, name="yard"))
        until(lambda: told(receiver, 2) == ["opened", "closed", "clip"])
        assert told(receiver, 1) == ["opened"]
        assert [event.camera for event in hub.store.events()][-2:] == ["yard", "door"]
    finally:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    until(lambda: told(receiver, 1) == ["opened", "closed", "clip"])
    os.close(reader)


def test_a_database_whose_disk_hangs(hooked: tuple[Hub, Receiver], home: Path):
    hub, receiver = hooked
    with hub.store._database._lock:  # as a commit that does not return
        goes_on(hub, 3 * HANGS)
        assert receiver.bodies() == []
    until(lambda: told(receiver, 2) == ["opened", "closed", "clip"])
    assert told(receiver, 1) == ["opened", "closed", "clip"]
    (watched,) = hub.running()
    hub.stop()
    store = Store(home / "data")
    times, _ = store.scores("door", 0, time.time())
    assert len(times) == watched.scored and np.diff(times).max() < 3.0
    found = store.events()[::-1]
    assert [e.id for e in found] == list(range(1, len(found) + 1))
    assert all(e.end and e.clip and e.thumbnail and not e.interrupted for e in found)
    assert all(a.end and a.end < b.start for a, b in itertools.pairwise(found))
    store.close()


@pytest.mark.parametrize("what", ["picture", "database"])
def test_a_disk_that_hangs_is_told_everywhere_and_so_is_its_end(
    hooked: tuple[Hub, Receiver], monkeypatch: pytest.MonkeyPatch, what: str
):
    monkeypatch.setattr(later, "HANGS", 2.0)
    monkeypatch.setattr(outbox, "PATIENCE", 0.2)
    monkeypatch.setattr(lookout, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(lookout, "STEADY", 0.3)
    hub, receiver = hooked
    pipe, lock = hub.store.media / "1.part.jpg", hub.store._database._lock

    def of_the_disk() -> list[dict[str, Any]]:
        return [body for body in receiver.bodies() if body.get("part") == "disk"]

    os.mkfifo(pipe) if what == "picture" else lock.acquire()
    try:
        with served(hub) as server, httpx.Client(base_url=server.url) as client:
            until(lambda: not client.get("/healthz").json()["disk"]["ok"])
            with client.stream("GET", "/api/stream") as stream:
                news = next(line for line in stream.iter_lines() if line.startswith("data: "))
            assert "hangs" in json.loads(news.removeprefix("data: "))["health"]["disk"]["detail"]
            (told,) = until(of_the_disk)
            assert (told["kind"], told["name"]) == ("failing", "storage")
            assert told["cause"].startswith("it hangs")
            goes_on(hub, 2)
            assert of_the_disk() == [told]
    finally:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if what == "picture" else lock.release()
    until(lambda: hub.health()["disk"]["ok"])
    until(lambda: [body["kind"] for body in of_the_disk()] == ["failing", "working"])
    if reader is not None:
        os.close(reader)


def test_the_lookouts_own_write_hangs_and_all_is_told(
    hooked: tuple[Hub, Receiver], monkeypatch: pytest.MonkeyPatch, door: CameraSettings
):
    monkeypatch.setattr(later, "HANGS", 2.0)
    monkeypatch.setattr(outbox, "PATIENCE", 0.2)
    monkeypatch.setattr(lookout, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(lookout, "GRACE", {**lookout.GRACE, "camera": 1.0, "disk": 0.0})
    monkeypatch.setattr(lookout, "STEADY", 0.3)
    hub, receiver = hooked

    def of_parts() -> list[str]:
        bodies = [body for body in receiver.bodies() if body.get("part")]
        return [f"{body['name']} {body['kind']}" for body in bodies]

    until(lambda: hub.running()[0].scored > 5)
    with own_write_hangs(hub.store) as hangs:
        hub.add_camera(replace(door, name="yard", source=Address("rtsp://127.0.0.1:1/")))
        assert hangs.wait(20)
        until(lambda: of_parts() == ["yard lost", "storage failing"])
        begun = time.monotonic()
        assert hub.test_sink("hook") and time.monotonic() - begun < 1.0
        until(lambda: of_parts() == ["yard lost", "storage failing", "hook test"])
        goes_on(hub, 2)
    until(lambda: of_parts()[3:] == ["storage working"])
    until(lambda: told(receiver, 2) == ["opened", "closed", "clip"])
    assert len(of_parts()) == 4 and not hub.store._held
    until(lambda: [part[1] for part in hub.store.value(lookout.KEY)] == ["yard"])


def test_what_is_kept_while_a_write_hangs_comes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox, "PATIENCE", 0.2)
    store = Store(tmp_path / "store", sinks=["hook"])
    notify = partial(store.notify, "lost", part="camera", cause="cut", since=1.0)
    with own_write_hangs(store) as hangs:
        begun = time.monotonic()
        notify(name="arrives")
        assert hangs.is_set()
        notify(name="waits")
        first, second = store.due("hook", 2e9)
        assert [m.body["name"] for m in (first, second)] == ["arrives", "waits"]
        with pytest.raises(StorageError, match="did not answer"):
            store.delivered(first)  # it may be in the database
        assert store.due("hook", 2e9) == [second]
        assert time.monotonic() - begun < 5.0
    store.delivered(first)
    notify(name="last")
    assert [m.body["name"] for m in store.due("hook", 2e9)] == ["waits", "last"]
    assert not store._held and store.pending() == {"hook": 2}
    store.delivered(second)  # as it was given, from memory
    assert [m.body["name"] for m in store.due("hook", 2e9)] == ["last"]
    store.close()


def test_what_waits_is_bounded_and_its_events_are_kept(
    hooked: tuple[Hub, Receiver], home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(later, "WAITING", 5)
    hub, _ = hooked
    with hub.store._database._lock:
        goes_on(hub, 4 * HANGS)
        # Openings, peaks and ends of three events or four, which have a peak in most frames.
        assert 5 <= hub.running()[0]._later._queue.qsize() < 100
    hub.stop()
    store = Store(home / "data")
    found = store.events()[::-1]
    assert len(found) >= 3 and all(e.end and not e.interrupted for e in found)
    store.close()


@pytest.mark.parametrize("how", ["stopped", "removed", "changed"])
def test_all_is_written_when_a_camera_goes(home: Path, door: CameraSettings, how: str):
    always = replace(door, on=-1.0, off=-1.0)
    hub = Hub(scene_settings(home, always), path=home / "v.toml")
    hub.start()
    slow: Callable[..., Any] = hub.store.update_event

    def slowly(*args: Any, **more: Any) -> Any:
        time.sleep(0.5)
        return slow(*args, **more)

    hub.store.update_event = slowly
    until(hub.store.events)
    try:
        if how == "removed":
            assert hub.remove_camera("door")
        elif how == "changed":
            assert hub.change_camera("door", source="calm.mp4", on=None, off=None)
        if how != "stopped":
            (event,) = hub.store.events()
            assert event.end is not None and event.cause == "the camera was stopped"
    finally:
        hub.stop()
    store = Store(home / "data")
    (event,) = store.events()
    assert event.end is not None and event.clip and not event.interrupted
    store.close()


def test_a_task_that_fails_is_logged_and_the_next_one_is_done(caplog: pytest.LogCaptureFixture):
    tasks, done, disk = Later("writing"), [], threading.Event()
    tasks.put(lambda: 1 / disk.wait(10) - 1 / 0)
    for number in range(later.WAITING + 1):
        tasks.put(partial(done.append, number))
    tasks.end()
    assert tasks.crowded and not tasks.ended() and done == []
    disk.set()
    assert tasks.ended(10) and done == list(range(later.WAITING + 1)) and not tasks.crowded
    assert "writing: something could not be written" in caplog.text


def test_where_much_waits_a_peak_keeps_its_place(tmp_path: Path):
    store, tasks, goes = Store(tmp_path / "store"), Later("test"), threading.Event()
    clips = ClipWriter(store.media)
    events = EventKeeper("door", store=store, clips=clips, later=tasks, publish=lambda *_: None)
    jpeg = to_jpeg(np.zeros((48, 64, 3), np.uint8))

    def follow(*scores: float) -> None:
        """An event's frames, further to the right the higher they score."""
        for score in scores:
            number = len(shots)
            place = Place((score / 10, 0.4, score / 10 + 0.1, 0.6), f"zone {score:g}")
            shots.append(Shot(float(number), jpeg, FrameScore(number, float(number), score), place))
            change = tracker.push(float(number), score, index=number, came=1e9 + number)
            if change is not None:
                events.follow(change, shots[-1], before=shots, scale=scale, level=1.0)

    shots: list[Shot] = []
    tracker, scale = Tracker(Level(1.0, 1.0, "fixed"), frames=2, seconds=3.0), Scale(0, 1, 2, True)
    tasks.put(goes.wait)
    until(lambda: not tasks._queue.qsize())
    for _ in range(later.WAITING):
        tasks.put(lambda: None)
    follow(1.0, 2.0, 5.0, 8.0, 3.0, 0.0, 0.0, 0.0, 0.0)
    goes.set()
    until(lambda: tasks.flush(1.0) and events.settled)
    (event,) = store.events()
    assert event.peak == 8.0 and event.zone == "zone 8"
    assert event.trail and [step.box[0] for step in event.trail.steps] == [0.1, 0.2, 0.5, 0.8]
    tasks.end()
    clips.stop()
    store.close()
