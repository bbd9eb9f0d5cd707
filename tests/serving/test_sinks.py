"""Sinks get every message at least once and in order, whatever goes down in between."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from support.home_assistant import check_discovery
from support.mqtt_broker import Broker, Listener, free_port
from support.waiting import until
from support.webhook_receiver import Receiver
from vadistill.addresses import Address, Secret
from vadistill.errors import ConfigError
from vadistill.serving.config import Settings, SinkSettings
from vadistill.serving.sinks import DeliveryError, Dispatcher, Glance, Refused, Sink, build_sink
from vadistill.serving.sinks.base import PICTURE, picture_of, shrunk
from vadistill.serving.sinks.webhook import sign, verify
from vadistill.serving.storage.store import Message, Store

SECRET = "k3y with ünicode"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data", sinks=["hook"])
    yield store
    store.close()


def event(store: Store, camera: str = "door", start: float = 100.0) -> list[str]:
    """An event that opens and closes; the endings of its messages' keys."""
    opened = store.open_event(camera, start, peak=1.0, level=0.5)
    store.close_event(opened.id, end=start + 2, peak=3.0, frames=9)
    return [f"-{opened.id}-opened", f"-{opened.id}-closed"]


def endings(keys: list[str]) -> list[str]:
    return [key[key.index("-") :] for key in keys]


def message(kind: str = "opened", camera: str = "door") -> Message:
    body = {"key": f"k-1-{kind}", "kind": kind, "camera": camera, "event": {"id": 1}}
    return Message(1, "sink", f"k-1-{kind}", kind, body, 0, 0.0)  # pyright: ignore[reportArgumentType]


def webhook(url: str, secret: str = "", name: str = "hook") -> Any:
    return build_sink(SinkSettings(name, "webhook", url=Address(url), secret=Secret(secret)))


def test_a_webhook_gets_signed_messages_in_order(store: Store, receiver: Receiver) -> None:
    dispatcher = Dispatcher(store, [webhook(receiver.url, SECRET)])
    dispatcher.start()
    expected = [ending for n in range(5) for ending in event(store, start=100.0 + 10 * n)]
    until(lambda: len(receiver.got) == 10)
    until(lambda: store.pending() == {"hook": 0})
    assert dispatcher.status()[0] | {"describe": ""} == {
        "name": "hook",
        "kind": "webhook",
        "describe": "",
        "state": "ok",
        "pending": 0,
        "delivered": 10,
        "failures": 0,
        "last_error": None,
    }
    dispatcher.stop()
    assert dispatcher.status()[0]["state"] == "stopped"
    assert endings(receiver.keys()) == expected
    for headers, body, _ in receiver.got:
        assert verify(SECRET, headers["X-Vadistill-Signature"], body, time.time())
        told = json.loads(body)
        assert headers["X-Vadistill-Event"] == told["kind"] and told["camera"] == "door"
        assert headers["Idempotency-Key"] == told["key"]
        assert headers["Content-Type"] == "application/json"
    assert told["event"]["state"] == "closed" and told["event"]["duration"] == 2.0


def test_a_message_leaves_at_once(store: Store, receiver: Receiver) -> None:
    dispatcher = Dispatcher(store, [webhook(receiver.url)])
    dispatcher.start()
    event(store)
    until(lambda: len(receiver.got) == 2)
    begun = time.monotonic()
    store.open_event("door", 200.0, peak=1.0, level=0.5)
    until(lambda: len(receiver.got) == 3)
    assert time.monotonic() - begun < 1.0
    dispatcher.stop()


def test_a_receiver_that_fails_for_a_while_loses_nothing(
    store: Store, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vadistill.serving")
    answers = iter([500, 503, 429])
    receiver.status = lambda body: next(answers, 204)
    dispatcher = Dispatcher(store, [webhook(receiver.url)], backoff=(0.02, 0.1))
    dispatcher.start()
    expected = event(store) + event(store)
    until(lambda: store.pending() == {"hook": 0})
    dispatcher.stop()
    assert endings(receiver.keys()) == expected
    first = {headers["Idempotency-Key"] for headers, _, status in receiver.got if status != 204}
    assert len(first) == 1 and endings(list(first)) == expected[:1]
    assert dispatcher.status()[0]["failures"] == 3
    assert "delivers again after 3 failures" in caplog.text and "answered 503" in caplog.text
    assert "ssssssss" not in caplog.text


def test_a_receiver_that_is_not_there_gets_everything_once_it_is(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    url = f"http://user:hidden@127.0.0.1:{port}/hook"
    dispatcher = Dispatcher(store, [webhook(url)], backoff=(0.02, 0.1))
    dispatcher.start()
    expected = [ending for _ in range(20) for ending in event(store)]
    status = until(lambda: dispatcher.status()[0]["failures"] > 2 and dispatcher.status()[0])
    assert caplog.text.count("is tried again in") == 1, "the same reason is logged once"
    assert status["state"] == "failing" and status["pending"] == 40
    assert status["last_error"].startswith(f"http://127.0.0.1:{port}")
    assert "hidden" not in str(status)
    receiver = Receiver(port)
    until(lambda: store.pending() == {"hook": 0})
    dispatcher.stop()
    receiver.close()
    assert endings(receiver.keys()) == expected


def test_what_a_stopped_server_had_not_sent_is_sent_by_the_next(
    tmp_path: Path, receiver: Receiver
) -> None:
    store = Store(tmp_path / "data", sinks=["hook"])
    down = Dispatcher(store, [webhook(f"http://127.0.0.1:{free_port()}/")], backoff=(60, 60))
    down.start()
    expected = event(store)
    until(lambda: down.status()[0]["failures"] == 1)
    begun = time.monotonic()
    down.stop()
    store.close()
    assert time.monotonic() - begun < 1.0
    store = Store(tmp_path / "data", sinks=["hook"])
    up = Dispatcher(store, [webhook(receiver.url)])
    up.start()
    until(lambda: store.pending() == {"hook": 0})
    up.stop()
    store.close()
    assert endings(receiver.keys()) == expected


def test_a_clock_that_is_set_back_delays_no_message(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: clock() + offset[0])
    receiver.status = lambda body: 404 if not offset[0] else 204
    dispatcher = Dispatcher(store, [webhook(receiver.url)], slow=(60, 60))
    dispatcher.start()
    expected = event(store)
    until(lambda: receiver.keys(404))
    offset[0] = -3600.0
    until(lambda: endings(receiver.keys()) == expected, 5)
    dispatcher.stop()


def test_a_refused_message_waits_while_others_go_on(store: Store, receiver: Receiver) -> None:
    receiver.status = lambda body: 422 if body["camera"] == "bad" else 204
    dispatcher = Dispatcher(store, [webhook(receiver.url)], slow=(0.3, 0.3))
    dispatcher.start()
    refused, expected = event(store, "bad"), event(store)
    until(lambda: len(receiver.keys()) == 2)
    assert endings(receiver.keys()) == expected
    # Its "closed" never goes ahead of its "opened".
    assert set(endings(receiver.keys(422))) == set(refused[:1])
    receiver.status = lambda body: 204
    until(lambda: store.pending() == {"hook": 0})
    assert endings(receiver.keys()) == expected + refused
    dispatcher.stop()


def test_a_sink_that_hangs_holds_up_no_other(tmp_path: Path, receiver: Receiver) -> None:
    store = Store(tmp_path / "data", sinks=["hook", "stuck"])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stuck = webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", name="stuck")
        dispatcher = Dispatcher(store, [stuck, webhook(receiver.url)])
        dispatcher.start()
        event(store)
        until(lambda: len(receiver.got) == 2)
        until(lambda: store.pending() == {"hook": 0, "stuck": 2})
        begun = time.monotonic()
        dispatcher.stop(0.5)
        assert time.monotonic() - begun < 1.5
    store.close()


def test_answers_tell_whether_a_message_or_the_sink_is_at_fault(receiver: Receiver) -> None:
    sink = webhook(receiver.url)
    for status in (200, 201, 299):
        receiver.status = lambda body, status=status: status
        sink.deliver(message())
    for status, kind in (
        (500, DeliveryError),
        (408, DeliveryError),
        (404, Refused),
        (302, Refused),
    ):
        receiver.status = lambda body, status=status: status
        with pytest.raises(DeliveryError, match=f"127.0.0.1:.*/… answered {status}") as raised:
            sink.deliver(message())
        assert type(raised.value) is kind
    assert len(receiver.got) == 7
    sink.close()


def test_signatures_of_another_body_key_or_time_are_not_taken() -> None:
    header = sign(SECRET, b'{"a":1}', 1000.5)
    assert header.startswith("t=1000,v1=")
    assert verify(SECRET, header, b'{"a":1}', 1299)
    assert not verify(SECRET, header, b'{"a":2}', 1299)
    assert not verify("other", header, b'{"a":1}', 1299)
    assert not verify(SECRET, header, b'{"a":1}', 1301)
    assert not verify(SECRET, header, b'{"a":1}', 699)
    for broken in (
        "",
        "t=1000",
        "t=x,v1=" + "0" * 64,
        header + "0",
        header.replace("1000", "1001"),
    ):
        assert not verify(SECRET, broken, b'{"a":1}', 1000)


def test_no_signature_is_taken_without_a_secret_or_a_window() -> None:
    body, nan, inf = b'{"a":1}', float("nan"), float("inf")
    assert not verify("", sign("", body, 1000), body, 1000)
    header = sign(SECRET, body, 1000)
    for now, tolerance in ((nan, 300), (inf, 300), (1000, nan), (1000, inf), (inf, inf)):
        assert not verify(SECRET, header, body, now, tolerance)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_an_answer_that_drips_has_a_deadline(
    store: Store, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr("vadistill.serving.sinks.webhook.DEADLINE", 0.5)
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        while not over.is_set():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(first or b"HTTP/1.1 200 OK\r\nX: ")
                while not over.wait(0.1):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        sink = webhook(f"http://127.0.0.1:{server.getsockname()[1]}/")
        dispatcher = Dispatcher(store, [sink])
        dispatcher.start()
        event(store)
        until(lambda: dispatcher.status()[0]["state"] == "failing", 5)
        assert "did not answer whole in 0.5 s" in dispatcher.status()[0]["last_error"]
        assert store.pending() == {"hook": 2}
        over.set()
        dispatcher.stop(2)


def test_standard_output_gets_a_line_a_message(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.sinks = ("log",)
    dispatcher = Dispatcher(store, [build_sink(SinkSettings("log", "stdout"))])
    dispatcher.start()
    event(store)
    until(lambda: store.pending() == {"log": 0})
    dispatcher.stop()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["opened", "closed"]
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdout", terminal)
    sink = build_sink(SinkSettings("log", "stdout"))
    opened = store.open_event("door", 100.0, peak=1.0, level=0.5)
    store.close_event(opened.id, end=102.5, peak=3.0, frames=9)
    store.add_clip(opened.id, "2.mp4")
    for each in store.due("log", time.time()):
        sink.deliver(each)
    words = terminal.getvalue().splitlines()
    assert words[0].startswith("Something unusual at door since 1970-01-01")
    assert words[1] == "It is over after 2.5 s, with a highest score of 3 (door)."
    assert words[2] == "The clip of event 2 is there." and len(words) == 3
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", closed)
    with pytest.raises(DeliveryError, match="closed or full"):
        build_sink(SinkSettings("log", "stdout")).deliver(message())


@pytest.mark.parametrize("bad", ["https://", "http://[::1", "https:///path"])
def test_an_address_without_a_host_is_an_error(bad: str) -> None:
    with pytest.raises(ConfigError, match="address of sink 'hook'"):
        webhook(bad)


def mqtt(broker: Broker, login: str = "", **more: str) -> Any:
    url = broker.url.replace("//", f"//{login}")
    settings = SinkSettings("hook", "mqtt", url=Address(url), **more)  # pyright: ignore[reportArgumentType]
    return build_sink(settings)


def test_home_assistant_finds_cameras_and_their_events(store: Store) -> None:
    with Broker() as broker, Listener(broker.port) as home:
        dispatcher = Dispatcher(store, [mqtt(broker)])
        dispatcher.start()
        dispatcher.announce(["door", "yard"])
        event(store)
        until(lambda: store.pending() == {"hook": 0})
        until(lambda: len(home.topic("vadistill/door/event")) == 2)
        until(lambda: home.topic("vadistill/door/state")[-3:] == ["OFF", "ON", "OFF"])
        until(lambda: home.topic("vadistill/yard/state") == ["OFF"])
        yard = json.loads(home.topic("homeassistant/device/vadistill_yard/config")[-1])
        check_discovery(yard)
        sensor = yard["components"]["anomaly"]
        assert sensor["state_topic"] == "vadistill/yard/state"
        dispatcher.show({"yard": Glance(True, 1.23456, False)})
        for place in sensor["availability"]:
            until(lambda topic=place["topic"]: home.topic(topic) == ["online"])
        assert sensor["default_entity_id"] == "binary_sensor.vadistill_yard"
        assert yard["device"]["identifiers"] == ["vadistill_yard"]
        until(lambda: home.topic(yard["components"]["score"]["state_topic"]) == ["1.235"])
        until(lambda: home.topic(yard["components"]["mute"]["state_topic"]) == ["OFF"])
        dispatcher.show({"yard": Glance(True, 9.0, False)})  # scores come now and then
        kinds = [json.loads(text)["kind"] for text in home.topic("vadistill/door/event")]
        assert kinds == ["opened", "closed"]
        # One who comes later is told the same: everything is retained.
        with Listener(broker.port) as later:
            until(lambda: len(later.heard) == 9)
        dispatcher.announce(["door"])
        until(lambda: home.topic("homeassistant/device/vadistill_yard/config")[-1] == "")
        assert home.topic("vadistill/yard/score") == ["1.235", ""]
        dispatcher.stop()
        until(lambda: home.topic("vadistill/status") == ["online", "offline"])


def test_home_assistant_gets_the_picture_and_mutes(store: Store) -> None:
    muted: list[tuple[str, float]] = []

    def mute(camera: str, minutes: float) -> None:
        store.mute(camera, 0.0, 60.0 * minutes)
        muted.append((camera, minutes))

    with Broker() as broker, Listener(broker.port) as home:
        dispatcher = Dispatcher(store, [mqtt(broker)], media=store.media, mute=mute)
        dispatcher.announce(["door"])
        dispatcher.start()
        until(lambda: home.topic("homeassistant/device/vadistill_door/config"))
        door = json.loads(home.topic("homeassistant/device/vadistill_door/config")[-1])
        picture, switch = door["components"]["picture"], door["components"]["mute"]
        opened = store.open_event("door", 5000.0, peak=1.0, level=0.5)
        until(lambda: home.topic("vadistill/door/state")[-1] == "ON")  # does not wait for it
        (store.media / f"{opened.id}.jpg").write_bytes(b"first")
        until(lambda: home.topic(picture["image_topic"]) == ["first"])
        (store.media / f"{opened.id}.jpg").write_bytes(b"higher")
        store.close_event(opened.id, end=5002.0, peak=3.0, frames=9)
        until(lambda: home.topic(picture["image_topic"]) == ["first", "higher"])
        for text in ("ON", "what", "OFF", "ON"):
            home.client.publish(switch["command_topic"], text, qos=1)
        home.client.publish("vadistill/elsewhere/mute/set", "ON", qos=1)
        until(lambda: home.topic(switch["state_topic"])[-3:] == ["ON", "OFF", "ON"])
        assert muted == [("door", 60.0), ("door", 0.0), ("door", 60.0)]
        assert store.muted_until("door", 1800.0) == 3600.0
        # What a broker has kept of commands is not heeded.
        home.client.publish(switch["command_topic"], "OFF", qos=1, retain=True)
        until(lambda: len(muted) == 4)
        again = mqtt(broker)
        again.mute = lambda *asked: muted.append(asked)
        again.announce(["door"])
        again.start()
        until(lambda: home.topic("vadistill/status").count("online") == 2)
        home.client.publish(switch["command_topic"], "ON", qos=1)
        until(lambda: len(muted) >= 6)
        assert [minutes for _, minutes in muted[4:]] == [60.0, 60.0]
        again.close()
        dispatcher.stop()


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vadistill.serving")
    with Broker() as broker:
        # The dispatcher would wait for minutes: the sink tells it of the broker's return.
        dispatcher = Dispatcher(store, [mqtt(broker)], backoff=(60, 60))
        dispatcher.announce(["door"])
        dispatcher.start()
        opened = store.open_event("door", 100.0, peak=1.0, level=0.5)
        until(lambda: store.pending() == {"hook": 0})
        broker.kill()
        store.close_event(opened.id, end=102.0, peak=3.0, frames=9)
        expected = [f"-{opened.id}-closed", *event(store, start=200.0), *event(store, start=300.0)]
        until(lambda: dispatcher.status()[0]["failures"] > 0)
        assert store.pending() == {"hook": 5}
        broker.start()
        with Listener(broker.port) as home:
            until(lambda: store.pending() == {"hook": 0})
            until(lambda: len(home.topic("vadistill/door/event")) >= 5)
            keys = [json.loads(text)["key"] for text in home.topic("vadistill/door/event")]
            until(lambda: home.topic("vadistill/door/state")[-1] == "OFF")
            assert home.topic("vadistill/status")[-1] == "online"
        assert endings(keys)[-5:] == expected
        assert "delivers again" in caplog.text and caplog.text.count("connected to mqtt:") == 2
        dispatcher.stop()


def test_a_broker_tells_that_the_process_died(store: Store) -> None:
    with Broker() as broker, Listener(broker.port) as home:
        sink = mqtt(broker)
        sink.start()
        until(lambda: home.topic("vadistill/status") == ["online"])
        sink._client.socket().shutdown(socket.SHUT_RDWR)
        until(lambda: home.topic("vadistill/status")[:3] == ["online", "offline", "online"])
        sink.close()


def test_a_session_that_the_broker_still_holds_takes_nothing_back() -> None:
    with Broker() as broker, Listener(broker.port) as home:
        sink = mqtt(broker)
        sink.start()
        until(lambda: home.topic("vadistill/status") == ["online"])
        old = sink._client  # its connection stays open: the broker does not know that it is lost
        sink._lost.set()
        until(lambda: home.topic("vadistill/status").count("online") == 2)
        with contextlib.suppress(OSError):
            old.socket().shutdown(socket.SHUT_RDWR)
        time.sleep(0.3)
        assert home.topic("vadistill/status")[-1] == "online"
        sink.close()


def test_a_picture_that_a_broker_refuses_holds_up_no_alarm(store: Store) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    with Broker(largest=20_000) as broker, Listener(broker.port) as home:
        dispatcher = Dispatcher(store, [mqtt(broker)], backoff=(0.02, 0.1), media=store.media)
        dispatcher.announce(["door"])
        opened = store.open_event("door", 100.0, peak=1.0, level=0.5)
        cv2.imwrite(str(store.media / f"{opened.id}.jpg"), noise)
        store.close_event(opened.id, end=102.0, peak=3.0, frames=9)
        dispatcher.start()
        until(lambda: store.pending() == {"hook": 0})
        until(lambda: home.topic("vadistill/door/state")[-1:] == ["OFF"])
        assert home.topic("vadistill/door/picture") == []
        dispatcher.stop()


def test_a_wide_picture_is_sent_small(tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    cv2.imwrite(str(path), np.zeros((1080, 1920, 3), np.uint8))
    small = cv2.imdecode(np.frombuffer(shrunk(path), np.uint8), cv2.IMREAD_COLOR)
    assert small is not None and small.shape == (720, 1280, 3)
    path.write_bytes(b"")
    assert shrunk(path) == b""


def test_only_a_new_message_waits_for_its_picture(tmp_path: Path) -> None:
    begin = time.monotonic()
    for age in (PICTURE + 1, 3600.0):
        assert picture_of(tmp_path, replace(message(), created=time.time() - age)) is None
    assert time.monotonic() - begin < 0.5


def test_what_a_broker_does_not_allow_is_not_taken_as_delivered() -> None:
    rules = ["user cam", "topic write vadistill/status", "topic write vadistill/door/#"]
    rules += ["topic write homeassistant/#"]
    with Broker(users=[("cam", "p@ss/#")], rules=rules) as broker:
        sink = mqtt(broker, "cam:p%40ss%2F%23@")
        sink.start()
        sink.deliver(message())
        with pytest.raises(Refused, match="the broker refuses it: Not authorized"):
            sink.deliver(message(camera="yard"))
        sink.close()
        wrong = mqtt(broker, "cam:wrong@")
        wrong.start()
        with pytest.raises(DeliveryError, match="the broker refuses") as raised:
            wrong.deliver(message())
        assert "wrong" not in str(raised.value) and "wrong" not in wrong.describe()
        wrong.close()


def test_an_older_broker_is_spoken_to_in_its_version() -> None:
    versions: list[int] = []

    def serve(server: socket.socket) -> None:
        while len(versions) < 2:
            connection, _ = server.accept()
            hello = connection.recv(1000)
            versions.append(hello[8 if hello[1] < 128 else 9])
            # 3.1.1's "unacceptable protocol version", then "accepted".
            connection.sendall(bytes([0x20, 2, 0, 1 if versions[-1] == 5 else 0]))
        while connection.recv(1000):
            pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        sink: Any = build_sink(SinkSettings("old", "mqtt", url=Address(f"mqtt://127.0.0.1:{port}")))
        sink.start()
        until(lambda: versions == [5, 4])
        until(sink._ready.is_set)
        sink.close()


@pytest.mark.parametrize(
    ("url", "prefix"),
    [("mqtt://", "v"), ("mqtt://h:x", "v"), ("mqtt://h", "a/#"), ("mqtt://h", "/")],
)
def test_an_mqtt_address_or_prefix_that_cannot_be_is_an_error(url: str, prefix: str) -> None:
    with pytest.raises(ConfigError, match="of sink 'bus'"):
        build_sink(SinkSettings("bus", "mqtt", url=Address(url), prefix=prefix))


def test_another_packages_sink_is_a_kind_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "own-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[vadistill.sinks]\nlines = own_sink:Lines\n")
    asked = SinkSettings("book", "lines", Address(str(tmp_path / "book.jsonl")))
    with pytest.raises(ConfigError, match=r"kind of .* is 'lines'"):
        Settings(sinks=(asked,))
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "support")
    monkeypatch.syspath_prepend(tmp_path)
    sink = build_sink(Settings(sinks=(asked,)).sinks[0])
    assert isinstance(sink, Sink)
    assert (sink.name, sink.kind, sink.describe()) == ("book", "lines", "the file book.jsonl")
    sink.start()
    for _ in range(2):
        sink.deliver(message())
    sink.close()
    lines = (tmp_path / "book.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [message().body] * 2
    (tmp_path / "book.jsonl").unlink()
    (tmp_path / "book.jsonl").mkdir()
    with pytest.raises(DeliveryError, match=r"book\.jsonl: Is a directory"):
        sink.deliver(message())
    with pytest.raises(ConfigError, match=r"kind of .* is 'fax'.*stdout, lines"):
        Settings(sinks=(SinkSettings("roof", "fax"),))
