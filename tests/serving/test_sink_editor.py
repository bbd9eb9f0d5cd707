"""Sinks that are added, changed, turned off and removed while the server runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.home_assistant import check_discovery
from support.mqtt_broker import Broker, Listener
from support.serving_scene import served
from support.waiting import until
from support.webhook_receiver import Receiver
from vadistill.addresses import Address
from vadistill.errors import ConfigError
from vadistill.serving.config import CameraSettings, Settings, SinkSettings, StorageSettings
from vadistill.serving.hub import Hub
from vadistill.serving.settings_file import read_settings, write_settings
from vadistill.serving.sinks import SINKS
from vadistill.serving.web import schemas_server
from vadistill.serving.web.errors import ErrorAnswer

FILE = """# what the house is told
[storage]
folder = "data"

[[sink]]
name = "log"   # kept by hand
kind = "stdout"
"""
SECRET = "a long random text"


@contextmanager
def running(path: Path) -> Iterator[tuple[Hub, httpx.Client]]:
    """A server of the file, and a script that asks it."""
    hub = Hub(read_settings(path), path=path)
    hub.start()
    asked = {"X-Requested-With": "vadistill"}
    try:
        with (
            served(hub) as server,
            httpx.Client(base_url=server.url, headers=asked, timeout=15) as client,
        ):
            yield hub, client
    finally:
        hub.stop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "v.toml").write_text(FILE)
    return tmp_path / "v.toml"


def sinks(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """All sinks by name, of an answer of the documented shape."""
    assert answer.status_code == status, answer.text
    schemas_server.Sinks.model_validate_json(answer.content, strict=True)
    return {sink["name"]: sink for sink in answer.json()["sinks"]}


def signed(receiver: Receiver) -> bool:
    return all("X-Vadistill-Signature" in headers for headers, _, _ in receiver.got)


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    error = ErrorAnswer.model_validate(answer.json()).error
    assert error.code == code and error.remedy
    return error.message


def test_one_is_added_tested_changed_turned_off_and_removed(path: Path) -> None:
    with (
        running(path) as (hub, client),
        closing(Receiver()) as first,
        closing(Receiver()) as second,
    ):
        assert list(sinks(client.get("/api/sinks"))) == ["log"]
        new = {"name": "bell", "kind": "webhook", "url": f"{first.url}?key=hunter2"}
        answer = client.post("/api/sinks", json=new | {"secret": SECRET})
        bell = sinks(answer, 201)["bell"]
        assert bell["signed"] and bell["enabled"] and bell["kind"] == "webhook"
        assert "hunter2" not in answer.text and SECRET not in answer.text
        text = path.read_text()
        assert text.startswith("# what the house") and "# kept by hand" in text
        assert "hunter2" in text and SECRET in text and "quiet_minutes" not in text
        sinks(client.post("/api/sinks/bell/test"))
        (test,) = until(lambda: first.bodies())
        assert test["kind"] == "test" and signed(first)
        # What is left out stays, such as the secret.
        there = f"{second.url}?key=hunter3"
        assert sinks(client.patch("/api/sinks/bell", json={"url": there}))["bell"]["signed"]
        sinks(client.post("/api/sinks/bell/test"))
        until(lambda: second.bodies())
        assert signed(second) and len(first.bodies()) == 1
        assert not sinks(client.patch("/api/sinks/bell", json={"secret": ""}))["bell"]["signed"]
        off = sinks(client.patch("/api/sinks/bell", json={"enabled": False}))["bell"]
        assert off["state"] == "off" and not off["enabled"] and off["pending"] == 0
        assert "hunter" not in json.dumps(off)
        assert "enabled = false" in path.read_text()
        refused(client.post("/api/sinks/bell/test"), 409, "off")
        assert hub.store.sinks == ("log",) and hub.health()["sinks"]["ok"]
    with running(path) as (hub, client):  # it stays off
        assert sinks(client.get("/api/sinks"))["bell"]["state"] == "off"
        on = sinks(client.patch("/api/sinks/bell", json={"enabled": True}))["bell"]
        assert on["state"] != "off" and set(hub.store.sinks) == {"log", "bell"}
        assert list(sinks(client.delete("/api/sinks/bell"))) == ["log"]
        assert "bell" not in path.read_text() and hub.store.pending() == {"log": 0}
        refused(client.delete("/api/sinks/bell"), 404, "not_found")


def test_what_waits_goes_to_the_new_address(path: Path) -> None:
    with running(path) as (hub, client), closing(Receiver()) as receiver:
        gone = {"name": "bell", "kind": "webhook", "url": "http://127.0.0.1:9/"}
        sinks(client.post("/api/sinks", json=gone), 201)
        sinks(client.post("/api/sinks/bell/test"))
        until(lambda: sinks(client.get("/api/sinks"))["bell"]["failures"])
        sinks(client.patch("/api/sinks/bell", json={"url": receiver.url}))
        until(lambda: receiver.bodies())
        until(lambda: hub.store.pending()["bell"] == 0)


def test_a_broker_forgets_the_cameras_of_one_that_is_removed(path: Path) -> None:
    with Broker() as broker, running(path) as (hub, client), Listener(broker.port) as heard:
        hub.add_camera(CameraSettings("porch", Address("rtsp://127.0.0.1:9/x")))
        new = {"name": "home", "kind": "mqtt", "url": broker.url}
        sinks(client.post("/api/sinks", json=new), 201)
        until(lambda: ("vadistill/porch/state", "OFF") in heard.heard)
        sinks(client.delete("/api/sinks/home"))
        until(lambda: ("vadistill/porch/state", "") in heard.heard)


def test_home_assistant_finds_the_cameras_of_one_that_is_added_or_changed(path: Path) -> None:
    with Broker() as broker, running(path) as (hub, client), Listener(broker.port) as home:

        def works(prefix: str) -> None:
            """The camera is described below the prefix, is muted there, and has its picture."""
            place = f"homeassistant/device/{prefix}_porch/config"
            until(lambda: home.topic(place))
            found = json.loads(home.topic(place)[-1])
            check_discovery(found)
            switch = found["components"]["mute"]
            until(lambda: home.topic(switch["state_topic"])[-1:] == ["OFF"])
            home.client.publish(switch["command_topic"], "ON", qos=1)
            until(lambda: hub.store.muted_until("porch", time.time()))
            home.client.publish(switch["command_topic"], "OFF", qos=1)
            until(lambda: hub.store.muted_until("porch", time.time()) is None)
            # It is sent at once, with the picture that is there then.
            (hub.store.media / f"{len(hub.store.events()) + 1}.jpg").write_bytes(b"seen")
            hub.store.open_event("porch", time.time(), peak=1.0, level=0.5)
            until(lambda: home.topic(found["components"]["picture"]["image_topic"]) == ["seen"])

        hub.add_camera(CameraSettings("porch", Address("rtsp://127.0.0.1:9/x")))
        new = {"name": "home", "kind": "mqtt", "url": broker.url}
        sinks(client.post("/api/sinks", json=new), 201)
        works("vadistill")
        sinks(client.patch("/api/sinks/home", json={"prefix": "house"}))
        until(lambda: home.topic("homeassistant/device/vadistill_porch/config")[-1] == "")
        works("house")


def test_a_broker_that_is_added_in_an_event_is_told_of_it(path: Path) -> None:
    with Broker() as broker, running(path) as (hub, client), Listener(broker.port) as home:
        for name in ("porch", "yard"):
            hub.add_camera(CameraSettings(name, Address("rtsp://127.0.0.1:9/x")))
        hub.mute("yard", 60)
        opened = [
            hub.store.open_event(name, time.time(), peak=1.0, level=0.5)
            for name in ("porch", "yard")
        ]
        new = {"name": "home", "kind": "mqtt", "url": broker.url}
        sinks(client.post("/api/sinks", json=new), 201)
        until(lambda: home.topic("vadistill/porch/state") == ["ON"])
        until(lambda: home.topic("vadistill/yard/state") == ["OFF"])
        for event in opened:
            hub.store.close_event(event.id, end=time.time(), peak=1.0, frames=9)
        until(lambda: home.topic("vadistill/porch/state") == ["ON", "OFF"])


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": "log"}, 409, "exists"),
        ({"name": "No Name"}, 422, "invalid"),
        ({"url": "ftp://127.0.0.1/"}, 422, "invalid"),
        ({"url": ""}, 422, "invalid"),
        ({"url": 3}, 422, "invalid"),
        ({"kind": "carrier-pigeon"}, 422, "invalid"),
        ({"kind": "apprise", "url": "nothing"}, 422, "invalid"),
        ({"kind": "mqtt", "url": "mqtt://127.0.0.1:1", "prefix": "a/#"}, 422, "invalid"),
        ({"quiet_minutes": -1}, 422, "invalid"),
        ({"colour": "red"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_leaves_all_as_it_was(
    change: dict[str, Any], status: int, code: str, path: Path
) -> None:
    good = {"name": "bell", "kind": "webhook", "url": "http://me:hunter2@127.0.0.1:9/"}
    with running(path) as (hub, client):
        answer = client.post("/api/sinks", json=good | change)
        assert answer.status_code == status, answer.text
        assert "hunter2" not in answer.text
        assert ErrorAnswer.model_validate(answer.json())
        refused(client.patch("/api/sinks/none", json={"enabled": False}), 404, "not_found")
        assert client.patch("/api/sinks/log", json={"kind": "mqtt"}).status_code == 422
        assert hub.store.sinks == ("log",) and path.read_text() == FILE


def test_an_edited_file_is_not_written_over(path: Path) -> None:
    with running(path) as (hub, client):
        path.write_text(FILE + "# mine\n")
        new = {"name": "bell", "kind": "webhook", "url": "http://127.0.0.1:9/"}
        assert client.post("/api/sinks", json=new).status_code == 409
        assert list(sinks(client.get("/api/sinks"))) == ["log"] and hub.store.sinks == ("log",)


def test_another_packages_sink_is_turned_off_but_not_led_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = SinkSettings("own", "stdout", Address("somewhere"))
    path = tmp_path / "v.toml"
    write_settings(Settings(storage=StorageSettings("data"), sinks=(own,), base=tmp_path), path)
    hub = Hub(read_settings(path), path=path)
    monkeypatch.delitem(SINKS, "stdout")
    try:
        with pytest.raises(ConfigError, match="a sink of kind 'stdout'"):
            hub.change_sink("own", url=Address("/etc/passwd"))
        with pytest.raises(ConfigError, match="a sink of kind 'stdout'"):
            hub.add_sink(SinkSettings("other", "stdout"))
        assert hub.change_sink("own", enabled=False) and hub.store.sinks == ()
    finally:
        hub.stop()
