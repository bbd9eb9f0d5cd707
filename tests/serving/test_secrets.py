"""Passwords of cameras and sinks, from the settings and the API to everything that is shown."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import httpx
import pytest

from support.mjpeg_server import MjpegServer, part
from support.scenes import FPS, HEIGHT, WIDTH, pixels
from support.serving_scene import fitted, scene_settings, served
from support.waiting import until
from vadistill.addresses import Address, hashed
from vadistill.cli import main
from vadistill.serving.config import CameraSettings, SinkSettings
from vadistill.serving.hub import Hub
from vadistill.serving.settings_file import read_settings, write_settings

ASKED = {"X-Requested-With": "vadistill"}
CAMERAS = {
    "plain": "rtsp://admin:QXZ-jqx7@127.0.0.1:1/ZZ9QXj",
    "query": "http://admin:QX%5AZ@127.0.0.1:1/live?auth=jqx7QXj",
    "torn": "http://admin:QX!Z@jqx7#@127.0.0.1:1",
    "scheme": "rtps://admin:QXZ-jqx7@127.0.0.1:1/ZZ9QXj",
    "stream": "rtmp://127.0.0.1:1/live/ZZ9QXj",
    "none": "admin:QXZ jqx7@127.0.0.1/live",
}
SECRET = ("QX", "ZZ9", "jqx", "QXj", "x7")


def told(text: str) -> list[str]:
    """The pieces of a secret in a text."""
    return [piece for piece in SECRET if piece in text]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    fitted(folder)
    return folder


def camera(name: str, source: str) -> CameraSettings:
    return CameraSettings(name, Address(source), "scene")


def test_nothing_of_a_password_leaves_the_server(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sinks = (
        SinkSettings("bell", "webhook", Address("http://admin:QXZ@127.0.0.1:1/jqx7?k=QXj")),
        SinkSettings("bus", "mqtt", Address("mqtt://admin:QXZjqx7@127.0.0.1:1")),
    )
    path = home / "vadistill.toml"
    cameras = [camera(name, source) for name, source in CAMERAS.items()]
    write_settings(scene_settings(home, *cameras, sinks=sinks), path)
    kept = read_settings(path)
    assert [c.source.reveal() for c in kept.cameras] == list(CAMERAS.values())
    assert [s.url.reveal() for s in kept.sinks] == [s.url.reveal() for s in sinks]
    hub = Hub(kept, path=path)
    said = [repr(kept), repr(hub.settings)]
    hub.start()
    try:
        with (
            served(hub) as server,
            httpx.Client(base_url=server.url, headers=ASKED, timeout=15) as client,
        ):
            states = ("retrying", "connecting")
            until(lambda: all(c["status"]["detail"] for c in hub.cameras()))
            assert all(c["status"]["state"] in states for c in hub.cameras())
            for place in ("cameras", "sinks", "models", "jobs", "footage", "events"):
                said.append(client.get(f"/api/{place}").text)
            for place in ("/", "/healthz", "/metrics", "/openapi.json"):
                said.append(client.get(place).text)
            for source in CAMERAS.values():
                body = {"source": source}
                answer = client.post("/api/cameras/test", json=body)
                assert answer.status_code == 422
                said.append(answer.text)
                said.append(client.patch("/api/cameras/plain", json=body).text)
                said.append(client.post("/api/cameras", json={"name": "new", **body}).text)
                said.append(client.post("/api/cameras", json={"name": "!", **body}).text)
                client.delete("/api/cameras/new")
            said.append(client.patch("/api/cameras/plain", json={"source": 5}).text)
    finally:
        hub.stop()
    said.append(caplog.text)
    stored = sqlite3.connect(hub.folder / "events.db")
    said += list(stored.iterdump())
    for text in said:
        assert not told(text), text
    assert "http://127.0.0.1:1/…" in "".join(said)


@pytest.mark.parametrize("name", ["scheme", "stream", "none"])
def test_a_source_that_cannot_be_watched_is_told_without_it(home: Path, name: str) -> None:
    from vadistill.serving.watching import check_sources

    settings = scene_settings(home, camera(name, CAMERAS[name]))
    with pytest.raises(Exception, match="expected") as error:
        check_sources(settings)
    assert not told(str(error.value))


def rushing() -> list[bytes]:
    """The scene with a rush, as multipart pictures."""
    return [part(picture) for picture in pixels(5, 60, range(25, 50))]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def broadcast(path: Path) -> None:
    """The scene as an MPEG transport stream."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in [*pixels(5, 60, range(25, 50)), None]:
            frame = None if picture is None else av.VideoFrame.from_ndarray(picture)
            container.mux(stream.encode(frame))


def test_no_password_is_in_what_score_writes(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    (home / "live").mkdir()
    broadcast(home / "live" / "ZZ9QXj")
    outputs = [tmp_path / name for name in ("table.csv", "page.html", "film.mp4")]
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=home)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://admin:QXZ-jqx7@127.0.0.1:{server.server_port}/live/ZZ9QXj?auth=QXjqx7"
        options = ("--out", "--report", "--video")
        named = [word for pair in zip(options, map(str, outputs), strict=True) for word in pair]
        assert main(["score", str(home / "scene.vad"), address, *named]) == 0
        assert main(["info", address]) == 0
        server.shutdown()
    said = capsys.readouterr()
    for path in tmp_path.iterdir():
        assert not told(path.name)
        # Pictures have three letters of anything.
        written = path.read_bytes()
        assert not [word for word in (b"QXZ-j", b"ZZ9QXj", b"QXjqx7", b"-jqx7") if word in written]
    assert not told(said.out + said.err + caplog.text)
    assert "127.0.0.1" in outputs[0].read_text() and "vadistill score" in outputs[1].read_text()


def test_no_password_is_in_the_events_of_watch(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vadistill.serving.watching import settings_for

    with MjpegServer(rushing, pause=0.02, silent=5.0) as server:
        options = {"on": 1e-6}
        settings = settings_for(
            [server.address("admin:QXZ-jqx7@", "/ZZ9QXj?auth=QXjqx7")],
            model=home / "scene.vad",
            folder=tmp_path / "data",
            camera=options,
            webhook=(None, ""),
            mqtt=None,
            device="cpu",
        )
        hub = Hub(replace(settings, base=tmp_path), visiting=True)
        hub.start()
        try:
            until(lambda: hub.store.count_events() > 0)
        finally:
            hub.stop()
    said = capsys.readouterr().out
    events = [json.loads(line) for line in said.splitlines()]
    assert events and {event["camera"] for event in events} == {"127-0-0-1"}
    assert not told(said)


def test_a_level_stays_with_its_camera_when_the_password_changes() -> None:
    from vadistill.serving.live.learned import _belongs, _of

    old, new = (camera("door", f"rtsp://me:{word}@host/a?k={word}") for word in ("one", "two"))
    assert _belongs(_of(old), new)
    assert _belongs(["scene", "rtsp://host/a"], new), "as it was kept before"
    assert not _belongs(["scene", hashed("rtsp://host/b")], new)
    assert not _belongs(["other", new.source.identity], new)
    assert "host" not in str(_of(new))


def test_a_password_that_reaches_past_its_place_is_told_how_to_be_written() -> None:
    from vadistill.video import LiveSource

    with pytest.raises(Exception, match="%2F, %3F, %23 and %40") as error:
        LiveSource("rtsp://admin:QX/Z@127.0.0.1:1/live", timeout=1.0)
    assert not told(str(error.value))
