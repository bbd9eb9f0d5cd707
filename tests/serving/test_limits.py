"""The web server under people who send nothing, take nothing, or guess."""

from __future__ import annotations

import errno
import http.client
import logging
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import support.silent_crowd as silent_crowd_script
from support.scenes import film
from support.served_process import served_process
from support.serving_scene import fitted, scene_settings, served
from support.waiting import until
from support.webhook_receiver import Receiver
from vadistill import limits
from vadistill.addresses import Address
from vadistill.errors import VideoError
from vadistill.serving.config import CameraSettings, Settings, SinkSettings
from vadistill.serving.hub import Hub
from vadistill.serving.log_limit import LogLimit, Repeats
from vadistill.serving.settings_file import write_settings
from vadistill.serving.storage.store import Store
from vadistill.serving.web.connections import Connections, Door, most_connections
from vadistill.serving.web.server import WebServer


@pytest.fixture
def console(tmp_path: Path) -> Iterator[WebServer]:
    """A console without cameras."""
    hub = Hub(Settings(base=tmp_path))
    hub.start()
    try:
        with served(hub) as server:
            yield server
    finally:
        hub.stop()


def connected(url: str) -> socket.socket:
    """A TCP connection to a console."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def closed_after(connection: socket.socket, send: bytes = b"", every: float = 0.05) -> float:
    """Seconds until the other side closes, while ``send`` is sent again and again."""
    began = time.monotonic()
    connection.settimeout(every)
    while time.monotonic() - began < 15:
        try:
            if send:
                connection.sendall(send)
            if not connection.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        raise AssertionError("it is still open")
    return time.monotonic() - began


class TestRequestsThatDoNotCome:
    def test_a_silent_connection_is_closed(self, console: WebServer, monkeypatch) -> None:
        monkeypatch.setattr(limits, "REQUEST_SECONDS", 1.0)
        with connected(console.url) as silent:
            assert 0.9 < closed_after(silent) < 5

    def test_headers_that_drip_have_a_deadline(self, console: WebServer, monkeypatch) -> None:
        monkeypatch.setattr(limits, "REQUEST_SECONDS", 1.0)
        with connected(console.url) as slow:
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            assert 0.9 < closed_after(slow, b"X-A: b\r\n") < 5

    def test_a_body_that_drips_has_a_deadline_before_and_after_the_answer(
        self, console: WebServer, monkeypatch
    ) -> None:
        monkeypatch.setattr(limits, "REQUEST_SECONDS", 1.0)
        monkeypatch.setattr(limits, "BODY_SECONDS", 1.0)
        for origin in ("http://127.0.0.1", "http://elsewhere.example"):
            with connected(console.url) as slow:
                head = "POST /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n"
                slow.sendall(f"{head}Origin: {origin}\r\n\r\n".encode())
                assert closed_after(slow, b" ") < 8

    def test_a_connection_that_asks_now_and_then_stays(
        self, console: WebServer, monkeypatch
    ) -> None:
        monkeypatch.setattr(limits, "REQUEST_SECONDS", 1.0)
        kept = http.client.HTTPConnection("127.0.0.1", console.port)
        used = set()
        for _ in range(4):
            kept.request("GET", "/healthz")
            used.add(kept.sock)
            assert kept.getresponse().read()
            time.sleep(0.5)
        assert len(used) == 1
        kept.close()


class TestTooManyConnections:
    @pytest.mark.parametrize("limit", ["CONNECTIONS", "CONNECTIONS_BY_ADDRESS"])
    def test_silent_ones_make_room(self, console: WebServer, monkeypatch, limit: str) -> None:
        monkeypatch.setattr(limits, limit, 20)
        monkeypatch.setattr(limits, "REQUEST_SECONDS", 60.0)  # none goes for its silence
        with ExitStack() as stack:
            silent = [stack.enter_context(connected(console.url)) for _ in range(200)]
            assert httpx.get(f"{console.url}healthz", timeout=20).status_code == 200

            def still_open() -> int:
                count = 0
                for each in silent:
                    each.setblocking(False)
                    try:
                        count += bool(each.recv(1))
                    except BlockingIOError:
                        count += 1
                    except OSError:
                        pass
                return count

            until(lambda: still_open() <= 20)
            assert still_open() > 10, "no more than needed are closed"
        until(lambda: len(console.connections) == 0)

    def test_those_that_are_answered_do_not(self, console: WebServer, monkeypatch) -> None:
        monkeypatch.setattr(limits, "CONNECTIONS_BY_ADDRESS", 2)
        with httpx.Client(timeout=5) as client, ExitStack() as stack:
            feeds = []
            for _ in range(2):
                feed = stack.enter_context(client.stream("GET", f"{console.url}api/stream"))
                feeds.append(feed.iter_lines())
                next(feeds[-1])
            answer = httpx.get(f"{console.url}healthz")
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "busy"
        until(lambda: len(console.connections) == 0)
        assert httpx.get(f"{console.url}healthz").status_code == 200

    def test_descriptors_are_reserved(self, monkeypatch) -> None:
        def given(count: int) -> None:
            monkeypatch.setattr(resource, "getrlimit", lambda _: (count, count))

        given(1024)
        assert most_connections(9) <= (1024 - 128 - 72) // 2
        given(1_000_000)
        assert most_connections(9) == limits.CONNECTIONS
        given(resource.RLIM_INFINITY)
        assert most_connections(9) == limits.CONNECTIONS
        given(64)
        assert most_connections(9) == limits.FEWEST_CONNECTIONS

    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
    def test_no_descriptors_are_told_in_a_few_lines(
        self, monkeypatch, caplog: pytest.LogCaptureFixture, number: int
    ) -> None:
        def failing(_: socket.socket) -> None:
            raise OSError(number, "none left")

        monkeypatch.setattr(socket.socket, "accept", failing)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        with Door() as door:
            door.connections = Connections(lambda: 10)
            for _ in range(1000):
                with pytest.raises(BlockingIOError):
                    door.accept()
        assert 0 < len(caplog.records) <= 5


def test_lines_that_others_cause_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    lines = LogLimit(3, 60.0, lambda: now[0])
    for number in range(10):
        lines.warning("number %d", number)
    assert [r.getMessage() for r in caplog.records] == ["number 0", "number 1", "number 2"]
    now[0] = 61.0
    lines.warning("number 10")
    assert [r.getMessage() for r in caplog.records][3:] == [
        "7 more of such lines were left out",
        "number 10",
    ]


def test_what_fails_again_and_again_is_logged_ever_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "vadistill.serving")
    now = [0.0]
    lines = Repeats(lambda: now[0])

    def fails(hours: float, reason: str = "refused", every: float = 30.0) -> list[str]:
        caplog.clear()
        for _ in range(round(3600 * hours / every)):
            lines.warning(reason, "gate: %s", reason)
            now[0] += every
        return [record.getMessage() for record in caplog.records]

    assert fails(0.1) == ["gate: refused"]
    assert fails(0.1, "timed out") == ["gate: timed out"], "another reason, at once"
    assert fails(2) == [f"gate: refused ({n} times since it was last told)" for n in (12, 40, 80)]
    told = len(fails(240))
    assert 10 < told < 20, "at last once a day"
    caplog.clear()
    for _ in range(2):
        lines.works("gate: connected")
    assert [record.getMessage() for record in caplog.records] == ["gate: connected"]
    now[0] += 2 * 86400
    assert fails(0.1) == ["gate: refused"], "long after, it is new"


def test_a_detector_that_fails_at_any_frame_fails_for_one_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = Repeats(lambda: 0.0)
    for frame in range(3):
        lines.failure(ValueError(f"frame {frame} has a score of {frame}"), "gate fails")
        lines.failure(VideoError(f"cut at {frame}", expected="a video", fix="mend it"), "gate cut")
    assert [(each.getMessage(), bool(each.exc_info)) for each in caplog.records] == [
        ("gate fails", True),
        ("gate cut", False),
    ]


@contextmanager
def silent_crowd(url: str, count: int) -> Iterator[None]:
    """So many connections of another process that send nothing; see ``support.silent_crowd``."""
    script = Path(silent_crowd_script.__file__)
    crowd = subprocess.Popen([sys.executable, str(script), url, str(count)])
    try:
        yield
    finally:
        crowd.kill()
        crowd.wait()


@pytest.mark.parametrize(
    ("count", "descriptors", "seconds"),
    [
        pytest.param(400, 256, 8.0),
        pytest.param(2000, 1024, 60.0, marks=pytest.mark.slow),
    ],
)
def test_a_silent_crowd_keeps_nothing_from_its_work(
    tmp_path: Path, count: int, descriptors: int, seconds: float
) -> None:
    receiver = Receiver()
    fitted(tmp_path)
    film(tmp_path / "rush.mp4", 10, frames=120, rush=range(40, 60))
    camera = CameraSettings("door", Address("rush.mp4"), "scene", loop=True, seconds_to_close=1.0)
    sink = SinkSettings("hook", "webhook", url=Address(receiver.url))
    write_settings(scene_settings(tmp_path, camera, sinks=(sink,)), tmp_path / "live.toml")
    with served_process(tmp_path / "live.toml", descriptors=descriptors) as server:

        def waited() -> float:
            """Seconds until it says that it is well."""
            began = time.monotonic()
            health = httpx.get(f"{server.url}healthz", timeout=10)
            assert health.status_code == 200 and health.json()["ok"]
            return time.monotonic() - began

        usual = max(waited() for _ in range(5))  # as busy as this machine is
        slowest, number = 0.0, 0
        with silent_crowd(server.url, count):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                slowest = max(slowest, waited())
                number += 1
                time.sleep(0.2)
        assert slowest < max(2.0, 10 * usual), f"health took {slowest:.1f} s"
        assert number > seconds / 3
        assert server.process.poll() is None
        log = server.log
    receiver.close()
    assert log.stat().st_size < 1_000_000
    store = Store(tmp_path / "data")
    events = store.events(limit=500)
    assert len(events) >= (1 if seconds < 20 else 5)
    told = [body for body in receiver.bodies() if body["kind"] in ("opened", "closed")]
    keys = [body["event"]["id"] for body in told]
    for event in events:
        assert (store.media / f"{event.id}.mp4").is_file() and event.clip, log.read_text()
        assert (store.media / f"{event.id}.jpg").is_file() and event.thumbnail
        assert keys.count(event.id) == 2, log.read_text()
    store.close()


class TestClientsThatTakeNothing:
    @pytest.mark.parametrize(
        ("viewers", "allowed"),
        [(4, 2.0), pytest.param(64, limits.STALLED_SECONDS, marks=pytest.mark.slow)],
    )
    def test_stalled_viewers_lose_their_sockets(
        self, tmp_path: Path, monkeypatch, viewers: int, allowed: float
    ) -> None:
        monkeypatch.setattr(limits, "STALLED_SECONDS", allowed)
        fitted(tmp_path)
        film(tmp_path / "calm.mp4", 11)
        hub = Hub(
            scene_settings(
                tmp_path, CameraSettings("door", Address("calm.mp4"), "scene", loop=True)
            )
        )
        hub.start()
        try:
            with served(hub) as server, ExitStack() as stack:
                until(lambda: hub.running()[0].scored > 0)
                for _ in range(viewers):
                    viewer = stack.enter_context(socket.socket())
                    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    viewer.connect(("127.0.0.1", server.port))
                    path = b"/api/cameras/door/live.mjpeg"
                    viewer.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                until(lambda: len(server.connections) == viewers)
                until(lambda: len(server.connections) == 0, allowed + 30)
                answer = httpx.get(f"{server.url}healthz")
                assert answer.status_code == 200
                until(lambda: len(hub.announcer) == 0)
        finally:
            hub.stop()

    def test_what_is_left_of_an_answer_is_not_kept_for_ever(
        self, console: WebServer, monkeypatch
    ) -> None:
        monkeypatch.setattr(limits, "STALLED_SECONDS", 3.0)
        # The description is made at the first request, which takes its time on a busy machine.
        assert httpx.get(f"{console.url}openapi.json").status_code == 200
        until(lambda: len(console.connections) == 0)
        with ExitStack() as stack:
            for _ in range(4):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                client.connect(("127.0.0.1", console.port))
                request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
                client.sendall(request * 200)
            until(lambda: len(console.connections) == 4)
            until(lambda: len(console.connections) == 0)
