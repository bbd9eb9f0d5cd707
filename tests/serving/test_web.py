"""The console's server, over a real hub and a real socket."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest

from support import serving_scene
from support.waiting import until
from vadistill import limits
from vadistill.addresses import Address
from vadistill.errors import ConfigError, VideoError
from vadistill.serving.config import (
    CameraSettings,
    FootageSettings,
    ModelSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)
from vadistill.serving.hub import Hub
from vadistill.serving.settings_file import read_settings
from vadistill.serving.web import (
    api_models,
    auth,
    feeds,
    guard,
    schemas,
    schemas_models,
    schemas_server,
)
from vadistill.serving.web.api_models import SNIFFED, clean_title, container
from vadistill.serving.web.attempts import SignInDelay
from vadistill.serving.web.errors import ErrorAnswer, dumps
from vadistill.serving.web.server import WebServer
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems.motion import Motion
from vadistill.video import VideoWriter, open_video

WALKWAY = WalkwayConfig(train_clips=1, test_clips=1, frames=24, width=160, height=120)
ASKED = {"X-Requested-With": "vadistill"}
PASSWORD = "correct horse battery"
TOKEN = "a token that is long enough"


def make_site(folder: Path) -> Settings:
    """A walkway that a camera plays for ever, and a model of it."""
    splits = render_walkway(folder / "walkway", WALKWAY)
    Motion(device="cpu").fit(splits.train, out=folder / "motion.vad")
    clip = next(folder.glob("walkway/**/*.mp4"))
    return Settings(
        storage=StorageSettings(folder="data"),
        models=(ModelSettings("motion", "motion.vad", device="cpu"),),
        cameras=(CameraSettings("walk", Address(str(clip)), "motion", loop=True, on=1e6),),
        footage=(FootageSettings("quiet", "walkway"),),
        base=folder,
    )


@contextmanager
def running(settings: Settings, path: Path | None = None) -> Iterator[tuple[Hub, WebServer]]:
    """A started hub behind a server on a free port."""
    hub = Hub(settings, path=path)
    hub.start()
    try:
        with serving_scene.served(hub, settings.server.host) as server:
            yield hub, server
    finally:
        hub.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def served(site: Settings) -> Iterator[tuple[Hub, WebServer]]:
    with running(site, site.base / "live.toml") as pair:
        yield pair


@pytest.fixture(scope="module")
def hub(served: tuple[Hub, WebServer]) -> Hub:
    return served[0]


@pytest.fixture
def client(served: tuple[Hub, WebServer]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[1].url, headers=ASKED, timeout=15) as made:
        yield made


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[WebServer]:
    """A server with a password and a token, and no cameras."""
    secrets = {"password": auth.hash_password(PASSWORD), "token": auth.hash_token(TOKEN)}
    server = ServerSettings(**secrets, proxies=("192.0.2.1",))  # pyright: ignore
    with running(Settings(server=server, base=tmp_path)) as (_, made):
        yield made


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The message of an error in the one shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = ErrorAnswer.model_validate(answer.json()).error
    assert error.code == code and error.message and error.remedy
    assert list(answer.json()) == ["error"]
    return error.message


def get(client: httpx.Client, path: str, shape: Any, **query: Any) -> Any:
    """An answer that has the documented shape."""
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    shape.model_validate_json(answer.content, strict=True)
    return answer.json()


def first(lines: Iterator[str], kind: str) -> Any:
    """Data of the first server-sent event of a kind."""
    for line in lines:
        if line == f"event: {kind}":
            return json.loads(next(lines).removeprefix("data: "))
    raise AssertionError(f"no {kind}")


# -- the guard ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/cameras", "/api/nothing", "/static/no"])
def test_every_answer_has_the_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    for name, value in guard.HEADERS.items():
        assert headers[name] == value
    assert headers.get("cache-control") == ("no-cache" if path == "/" else "no-store")
    assert "server" not in headers


def test_pages_come_with_a_tag_and_only_those_that_are_there(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    script = client.get("/static/app.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for path in ("/static/../hub.py", "/static/%2e%2e/hub.py", "/static//etc/passwd", "/static/"):
        refused(client.get(path), 404, "not_found")


def test_other_host_names_are_refused(client: httpx.Client) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "192.0.2.1", "", "[::2]:80", "a@b"):
        refused(client.get("/healthz", headers={"Host": host}), 421, "unknown_host")
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:5", "[::1]:9"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_are_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    refused(client.get("/api/cameras", headers=headers), 403, "other_site")
    refused(client.get("/metrics", headers=headers), 403, "other_site")
    change = client.patch("/api/events/1", json={"verdict": None}, headers=headers)
    refused(change, 403, "other_site")


def test_changes_need_a_header_that_only_scripts_of_the_page_send(client: httpx.Client) -> None:
    del client.headers["X-Requested-With"]
    refused(client.delete("/api/cameras/walk"), 403, "csrf")
    own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    refused(client.delete("/api/cameras/walk", headers=own), 403, "csrf")
    refused(client.delete("/api/cameras/none", headers=own | ASKED), 404, "not_found")


def test_errors_have_one_shape(client: httpx.Client) -> None:
    refused(client.get("/nowhere"), 404, "not_found")
    refused(client.request("BREW", "/api/cameras"), 405, "method_not_allowed")
    refused(client.get("/api/events", params={"limit": 0}), 422, "invalid")
    refused(client.get("/api/cameras/UPPER"), 422, "invalid")
    secret = {"name": "a b", "source": "rtsp://me:hunter2@x/", "model": "m", "pass": "hunter3"}
    message = refused(client.post("/api/cameras", json=secret), 422, "invalid")
    assert "name" in message and "hunter" not in message
    kind = {"Content-Type": "application/json"}
    for body in (b"{", b"[" * 60_000, b'{"verdict": 1e999}', b"\xff", b'"\\ud800"'):
        answer = client.patch("/api/events/1", content=body, headers=kind)
        assert answer.status_code in (400, 422)
        assert ErrorAnswer.model_validate(answer.json())


def test_bodies_are_bounded_with_and_without_a_length(client: httpx.Client) -> None:
    refused(client.post("/api/cameras", content=b" " * 65_537), 413, "too_large")
    pieces = (b" " * 8192 for _ in range(9))
    refused(client.post("/api/cameras", content=pieces), 413, "too_large")


def test_numbers_that_json_lacks_become_null() -> None:
    found = dumps({"a": [float("nan"), 1.5], "b": np.array([1.0, np.inf]), "c": (np.float32(2),)})
    assert json.loads(found) == {"a": [None, 1.5], "b": [1.0, None], "c": [2.0]}


# -- secrets -----------------------------------------------------------------------------------


def test_a_password_opens_a_session_that_forged_requests_cannot_use(guarded: WebServer) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        for path in ("/api/cameras", "/metrics", "/openapi.json", "/api/stream", "/nowhere"):
            refused(client.get(path), 401, "sign_in")
        for path in ("/", "/static/app.js", "/healthz"):
            assert client.get(path).status_code == 200
        state = get(client, "/api/session", schemas.SessionState)
        assert (state["required"], state["signed_in"], state["csrf"]) == (True, False, None)
        wrong = client.post("/api/session", json={"password": PASSWORD.upper()})
        refused(wrong, 401, "wrong_password")
        foreign = {"Origin": "http://evil.example"}
        answer = client.post("/api/session", json={"password": PASSWORD}, headers=foreign)
        refused(answer, 403, "other_site")

        answer = client.post("/api/session", json={"password": PASSWORD})
        assert answer.json()["signed_in"] and answer.json()["csrf"]
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie
        csrf = {"X-CSRF-Token": answer.json()["csrf"]}
        assert get(client, "/api/session", schemas.SessionState)["csrf"] == csrf["X-CSRF-Token"]
        get(client, "/api/cameras", schemas.Cameras)
        refused(client.delete("/api/cameras/x", headers=ASKED), 403, "csrf")
        odd = httpx.Headers([(b"X-CSRF-Token", b"\xe9")])
        refused(client.delete("/api/cameras/x", headers=odd), 403, "csrf")
        refused(client.delete("/api/cameras/x", headers=csrf), 404, "not_found")

        kept = dict(client.cookies)
        assert not client.delete("/api/session", headers=csrf).json()["signed_in"]
        client.cookies.update(kept)
        refused(client.get("/api/cameras"), 401, "sign_in")


def test_a_proxy_with_tls_makes_the_cookie_secure(guarded: WebServer) -> None:
    headers = {"Host": "localhost", "Origin": "https://localhost"}
    answer = httpx.post(f"{guarded.url}api/session", json={"password": PASSWORD}, headers=headers)
    assert "secure" in answer.headers["set-cookie"].lower()


def test_the_token_needs_no_further_header(guarded: WebServer) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        assert "vadistill_uptime_seconds" in client.get("/metrics").text
        refused(client.delete("/api/cameras/x"), 404, "not_found")
        for wrong in (f"Bearer {TOKEN}.", f"Basic {TOKEN}", "Bearer", TOKEN):
            client.headers["Authorization"] = wrong
            refused(client.get("/metrics"), 401, "sign_in")


def test_guessing_is_slowed_down(guarded: WebServer) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        answers = []
        while len(answers) < 12 and 429 not in [a.status_code for a in answers]:
            guess = {"password": f"guess {len(answers)}"}
            answers.append(client.post("/api/session", json=guess))
        # Four are free; on a busy machine the first waits may be over before the next guess.
        assert [a.status_code for a in answers[:-1]] == [401] * max(4, len(answers) - 1)
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
        right = client.post("/api/session", json={"password": PASSWORD})
        refused(right, 429, "too_many_attempts")


def test_a_feed_ends_with_its_session(guarded: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "CHECK", 0.1)
    with httpx.Client(base_url=guarded.url, timeout=10) as client:
        state = client.post("/api/session", json={"password": PASSWORD}).json()
        with client.stream("GET", "/api/stream") as stream:
            lines = stream.iter_lines()
            assert first(lines, "cameras")["cameras"] == []
            client.delete("/api/session", headers={"X-CSRF-Token": state["csrf"]})
            for _ in lines:
                pass


def test_passwords_and_tokens_are_kept_as_hashes() -> None:
    stored = auth.hash_password(PASSWORD)
    assert stored.startswith("scrypt$32768$8$1$") and PASSWORD not in stored
    assert stored != auth.hash_password(PASSWORD)
    assert auth.verify_password(PASSWORD, stored)
    assert not auth.verify_password(PASSWORD + " ", stored)
    assert auth.verify_password("caf\u00e9 caf\u00e9", auth.hash_password("cafe\u0301 cafe\u0301"))
    for short in ("", "1234567", "x" * 1025):
        with pytest.raises(ConfigError, match="characters"):
            auth.hash_password(short)
    token = auth.new_token()
    assert auth.verify_token(token, auth.hash_token(token))
    assert not auth.verify_token(token, "") and not auth.verify_token("", auth.hash_token(token))


def test_beyond_loopback_a_secret_is_required(tmp_path: Path) -> None:
    def check(**server: Any) -> None:
        auth.require_secret(Settings(server=ServerSettings(**server)))

    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.1"):
        check(host=host)
    for host in ("0.0.0.0", "", "::", "192.0.2.1", "cams.example"):
        with pytest.raises(ConfigError, match="no password"):
            check(host=host)
        check(host=host, token=auth.hash_token("x"))
    with pytest.raises(ConfigError, match="no password"):
        check(names=("cams.example",))
    with pytest.raises(ConfigError, match="no hash"):
        check(password=PASSWORD)
    with pytest.raises(ConfigError, match="SHA-256"):
        check(token=TOKEN)
    hub = Hub(Settings(base=tmp_path))
    with pytest.raises(ConfigError, match="no password"):
        WebServer(hub, "0.0.0.0", 0)
    hub.stop()


def test_sessions_expire() -> None:
    now = [0.0]
    sessions = auth.Sessions(lambda: now[0])
    cookie = sessions.start()
    while now[0] < auth.LIFE_SECONDS - 3600:
        now[0] += auth.IDLE_SECONDS - 1
        assert sessions.valid(cookie)
    now[0] = auth.LIFE_SECONDS + 1
    assert not sessions.valid(cookie), "too old, however much it is used"
    cookie = sessions.start()
    now[0] += auth.IDLE_SECONDS / 2
    assert sessions.valid(cookie, touch=False)
    now[0] += auth.IDLE_SECONDS / 2 + 1
    assert not sessions.valid(cookie), "a feed alone keeps no session alive"
    old = sessions.start()
    for _ in range(auth.SESSIONS):
        sessions.start()
    assert not sessions.valid(old) and not sessions.valid("")


def test_delays_grow_by_address_and_are_forgotten() -> None:
    now = [0.0]
    delay = SignInDelay(lambda: now[0])
    waits = []
    for _ in range(14):
        wait = delay.begin("2001:db8::1")
        waits.append(wait)
        now[0] += wait
        assert wait == 0 or delay.begin("2001:db8::2") == 0, "one attempt after each wait"
    assert [w for w in waits if w][:3] == [1, 2, 4] and max(waits) <= 900
    assert delay.begin("2001:db8:0:1::1") == 0 and delay.begin("192.0.2.1") == 0
    delay.succeeded("2001:db8::3")
    assert delay.begin("2001:db8::1") == 0
    for i in range(2 * delay.ADDRESSES):
        delay.begin(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
    assert len(delay._tries) == delay.ADDRESSES


# -- cameras -----------------------------------------------------------------------------------


def scored(client: httpx.Client) -> dict[str, Any]:
    """The camera, once it has been scored."""
    return until(
        lambda: (c := get(client, "/api/cameras/walk", schemas.Camera))["score"] is not None and c
    )


def test_a_camera_is_shown_with_its_picture_and_scores(client: httpx.Client) -> None:
    camera = scored(client)
    assert get(client, "/api/cameras", schemas.Cameras)["cameras"][0]["name"] == "walk"
    assert camera["status"]["state"] == "running" and camera["level"]["on"] == 1e6
    picture = client.get("/api/cameras/walk/picture.jpg")
    assert picture.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(picture.content, np.uint8), 1) is not None
    scores = get(client, "/api/cameras/walk/scores", schemas.CameraScores, seconds=60)
    assert len(scores["times"]) == len(scores["scores"]) > 0
    refused(client.get("/api/cameras/none/picture.jpg"), 404, "not_found")


@pytest.mark.parametrize("map", [0, 1])
def test_live_pictures(client: httpx.Client, map: int) -> None:
    scored(client)
    with client.stream("GET", "/api/cameras/walk/live.mjpeg", params={"map": map}) as stream:
        boundary = stream.headers["content-type"].partition("boundary=")[2].encode()
        data = b""
        for chunk in stream.iter_bytes():
            data += chunk
            if data.count(b"--" + boundary) > 3:
                break
    for part in data.split(b"--" + boundary)[1:3]:
        head, _, picture = part.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(picture) - 2}".encode() in head
        assert cv2.imdecode(np.frombuffer(picture, np.uint8), 1) is not None
    refused(client.get("/api/cameras/none/live.mjpeg"), 404, "not_found")


def test_news_of_cameras_scores_and_verdicts(client: httpx.Client, hub: Hub) -> None:
    event = hub.store.open_event("walk", 5.0, peak=1.0, level=0.5)
    with client.stream("GET", "/api/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        schemas.Cameras.model_validate(first(lines, "cameras"))
        points = first(lines, "scores")
        assert points["camera"] == "walk" and len(points["points"][0]) == 2
        client.patch(f"/api/events/{event.id}", json={"verdict": "real"})
        told = first(lines, "event")
        assert (told["id"], told["verdict"]) == (event.id, "real")
    until(lambda: len(hub.announcer) == 0)


def test_news_say_whether_a_change_is_in_them(client: httpx.Client) -> None:
    with client.stream("GET", "/api/stream") as stream:
        lines = stream.iter_lines()
        before = first(lines, "cameras")["asked"]
        answer = client.post("/api/cameras/walk/mute", json={"minutes": 60})
        answered = float(answer.headers[guard.ANSWERED])
        assert before < answered
        while (told := first(lines, "cameras"))["asked"] < answered:
            pass
        assert told["cameras"][0]["muted_until"] == answer.json()["muted_until"]
    client.post("/api/cameras/walk/mute", json={"minutes": 0})
    assert guard.ANSWERED not in client.get("/api/cameras").headers
    assert guard.ANSWERED not in client.delete("/api/cameras/none").headers


def test_feeds_are_bounded_and_give_their_places_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEEDS", 2)
    with running(Settings(base=tmp_path)) as (hub, server), httpx.Client() as client:
        url = f"{server.url}api/stream"
        for _ in range(2):
            with client.stream("GET", url) as one, client.stream("GET", url) as two:
                lines = one.iter_lines(), two.iter_lines()
                assert [first(found, "cameras")["cameras"] for found in lines] == [[], []]
                refused(client.get(url), 429, "busy")
            until(lambda: len(hub.announcer) == 0)


def test_stopping_does_not_wait_for_feeds(tmp_path: Path) -> None:
    with httpx.Client(timeout=10) as client, running(Settings(base=tmp_path)) as (_, server):
        stream = client.send(client.build_request("GET", f"{server.url}api/stream"), stream=True)
        lines = stream.iter_lines()
        assert first(lines, "cameras")["cameras"] == []
        started = time.monotonic()
        server.stop()
        for _ in lines:
            pass
        assert time.monotonic() - started < 2
        stream.close()


def test_cameras_are_added_changed_and_removed(client: httpx.Client, hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    source = f"http://admin:hunter2@127.0.0.1:{port}/video?key=hunter3"
    new = {"name": "door", "source": source, "model": "motion", "fps": 5}
    answer = client.post("/api/cameras", json=new)
    assert answer.status_code == 201
    schemas.Camera.model_validate_json(answer.content, strict=True)
    assert "hunter" not in answer.text and answer.json()["fps"] == 5
    assert hub.path is not None
    written = {c.name: c for c in read_settings(hub.path).cameras}
    assert written["door"].source == Address(source) and "walk" in written
    refused(client.post("/api/cameras", json=new), 409, "exists")

    retrying = until(
        lambda: (
            (c := client.get("/api/cameras/door"))
            and c.json()["status"]["state"] == "retrying"
            and c
        )
    )
    assert "hunter" not in retrying.text
    changed = client.patch("/api/cameras/door", json={"fps": None, "false_alarms_per_day": 2})
    assert (changed.json()["fps"], changed.json()["false_alarms_per_day"]) == (None, 2)
    assert next(c for c in hub.settings.cameras if c.name == "door").source == Address(source)
    message = refused(client.patch("/api/cameras/door", json={"model": "none"}), 422, "config")
    assert "none" in message
    assert client.delete("/api/cameras/door").status_code == 204
    refused(client.get("/api/cameras/door"), 404, "not_found")
    assert "door" not in hub.path.read_text()


@pytest.mark.parametrize(
    "source",
    ["/etc/passwd", "clip.mp4", "file:///etc/passwd", "concat:a|b", "rtsp://", "http://a\n/b"],
)
def test_no_path_of_a_request_reaches_the_file_system(client: httpx.Client, source: str) -> None:
    new = {"name": "files", "source": source, "model": "motion"}
    refused(client.post("/api/cameras", json=new), 422, "config")
    refused(client.patch("/api/cameras/walk", json={"source": source}), 422, "config")
    refused(client.post("/api/cameras/test", json={"source": source}), 422, "config")


def test_an_address_that_shows_nothing_is_an_error(client: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    body = {"source": f"rtsp://me:hunter2@127.0.0.1:{port}/x"}
    answer = client.post("/api/cameras/test", json=body)
    refused(answer, 422, "video")
    assert "hunter2" not in answer.text


def test_too_little_footage_to_calibrate(client: httpx.Client) -> None:
    scored(client)
    refused(client.post("/api/cameras/walk/calibrate", json={"hours": 0.01}), 422, "data")
    refused(client.post("/api/cameras/none/calibrate", json={}), 404, "not_found")


# -- events ------------------------------------------------------------------------------------


def test_a_camera_is_muted_and_told_of_again(client: httpx.Client, hub: Hub) -> None:
    assert get(client, "/api/cameras/walk", schemas.Camera)["muted_until"] is None
    answer = client.post("/api/cameras/walk/mute", json={"minutes": 60})
    until = answer.json()["muted_until"]
    assert 3590 < until - time.time() < 3610
    assert hub.store.muted_until("walk", time.time()) == until
    answer = client.post("/api/cameras/walk/mute", json={"minutes": 0})
    assert answer.json()["muted_until"] is None
    assert client.post("/api/cameras/nobody/mute", json={"minutes": 1}).status_code == 404
    assert client.post("/api/cameras/walk/mute", json={"minutes": -1}).status_code == 422


def test_events_are_filtered_judged_and_played(client: httpx.Client, hub: Hub) -> None:
    store = hub.store
    with VideoWriter(hub.store.media / "own.mp4", 64, 48, 10) as writer:
        for i in range(10):
            writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
    (hub.store.media / "own.jpg").write_bytes(b"jpeg")
    ids = []
    for i in range(3):
        event = store.open_event("gate", 100.0 + i, peak=2.0, level=1.0)
        store.update_event(event.id, last=104.0, peak=3.0, frames=5, thumbnail="own.jpg")
        store.close_event(event.id, end=105.0, peak=3.0, frames=5)
        ids.append(event.id)
    store.add_clip(ids[-1], "own.mp4")
    found = get(client, "/api/events", schemas.Events, camera="gate", limit=2)
    assert [e["id"] for e in found["events"]] == ids[:0:-1] and found["total"] == 3
    older = get(client, "/api/events", schemas.Events, camera="gate", before=ids[1])
    assert [e["id"] for e in older["events"]] == ids[:1]
    answer = client.patch(f"/api/events/{ids[0]}", json={"verdict": "false"})
    assert answer.json()["verdict"] == "false"
    judged = get(client, "/api/events", schemas.Events, camera="gate", verdict="false")
    assert [e["id"] for e in judged["events"]] == [ids[0]]
    assert get(client, f"/api/events/{ids[0]}", schemas.Event)["verdict"] == "false"

    path = f"/api/events/{ids[2]}/clip.mp4"
    whole = client.get(path)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.content == (hub.store.media / "own.mp4").read_bytes()
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    for bad in ("bytes=9999999-", "bytes=x", "lines=1-2", "bytes=5-1"):
        answer = client.get(path, headers={"Range": bad})
        assert answer.status_code in (200, 400, 416)
        assert answer.status_code == 200 or ErrorAnswer.model_validate(answer.json())
    assert client.get(f"/api/events/{ids[2]}/thumbnail.jpg").content == b"jpeg"
    refused(client.get(f"/api/events/{ids[0]}/clip.mp4"), 404, "not_found")
    refused(client.get("/api/events/999999"), 404, "not_found")
    refused(client.get(f"/api/events/{2**63}"), 422, "invalid")
    refused(client.patch("/api/events/999999", json={"verdict": None}), 404, "not_found")
    refused(client.patch(f"/api/events/{ids[0]}", json={}), 422, "invalid")


# -- models, jobs, uploads ---------------------------------------------------------------------


def test_what_the_server_goes_by_is_shown_beside_defaults(guarded: WebServer) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        refused(client.get("/api/settings"), 401, "sign_in")
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        answer = client.get("/api/settings")
        shown = schemas_server.ServerState.model_validate(answer.json())
        assert shown.password and shown.token
        assert answer.json()["settings"]["server"]["proxies"] == ["192.0.2.1"]
        assert answer.json()["defaults"]["server"]["proxies"] == []
        assert answer.json()["settings"]["storage"]["keep_gb"] == StorageSettings.keep_gb
        assert "scrypt" not in answer.text and auth.hash_token(TOKEN) not in answer.text


def test_models_footage_and_sinks(client: httpx.Client) -> None:
    models = get(client, "/api/models", schemas_models.Models)
    assert models["models"][0]["name"] == "motion" and "walk" in models["models"][0]["cameras"]
    assert "motion" in [system["name"] for system in models["systems"]]
    footage = get(client, "/api/footage", schemas_models.Footage)
    assert [folder["name"] for folder in footage["folders"]] == ["quiet"]
    assert get(client, "/api/sinks", schemas_server.Sinks) == {"sinks": []}
    assert client.post("/api/sinks/bell/test").status_code == 404
    learning = get(client, "/api/cameras/walk/learning", schemas_models.Learning)
    assert learning["seconds"] == 0 and learning["by_hour"] == [0.0] * 24
    assert learning["job"] is None and learning["objects"] == 0  # a file is not recorded
    refused(client.get("/api/cameras/nobody/learning"), 404, "not_found")


def test_a_models_self_test_is_told_and_its_page_can_do_nothing(tmp_path: Path) -> None:
    folder = serving_scene.fitted(tmp_path)
    hub = Hub(serving_scene.scene_settings(tmp_path))

    def shown() -> dict[str, Any] | None:
        return get(client, "/api/models", schemas_models.Models)["models"][0]["self_test"]

    with serving_scene.served(hub) as server, httpx.Client(base_url=server.url) as client:
        page = "/api/models/scene/selftest.html"
        assert shown() is None
        refused(client.get(page), 404, "not_found")
        found = serving_scene.tested(folder)
        told = shown()
        assert told is not None and told["pictures"] and told["auc"] == found.auc
        assert [kind["control"] for kind in told["kinds"]] == [True, False, False]
        answer = client.get(page)
        assert "Self-test of motion" in answer.text
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox;") and "script-src" not in policy
        assert "default-src 'none'" in policy
        assert answer.headers["x-frame-options"] == "DENY"
        for other in ("other", "scene%2f..", ".."):
            assert client.get(f"/api/models/{other}/selftest.html").status_code in (404, 422)
        (tmp_path / "secret.html").write_text("secret")
        (folder / "selftest.html").unlink()
        (folder / "selftest.html").symlink_to(tmp_path / "secret.html")
        refused(client.get(page), 404, "not_found")
        told = shown()
        assert told is not None and not told["pictures"]
        (folder / "selftest.json").write_text("{")
        assert (
            shown() is None
            and get(client, "/api/models", schemas_models.Models)["models"][0]["system"]
        )


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "motion"}, 422),
        ({"system": "nothing"}, 422),
        ({"footage": {"folder": "none"}}, 422),
        ({"footage": {"folder": "../walkway"}}, 422),
        ({"footage": {"camera": "walk", "hours": 1}}, 422),
        ({"footage": {}}, 422),
    ],
)
def test_fits_that_cannot_be(client: httpx.Client, change: dict[str, Any], status: int) -> None:
    good = {"name": "new", "system": "motion", "footage": {"folder": "quiet"}}
    answer = client.post("/api/models", json=good | change)
    assert answer.status_code == status and ErrorAnswer.model_validate(answer.json())


def test_an_upload_is_scored_and_a_fit_cancelled(client: httpx.Client, hub: Hub) -> None:
    clip = sorted(hub.settings.base.glob("walkway/**/*.mp4"))[-1]
    title = "../../etc/\x00pass\u202ewd \n my  clip.mp4"
    answer = client.put(
        "/api/uploads", params={"model": "motion", "title": title}, content=clip.read_bytes()
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()
    schemas_models.Job.model_validate(job, strict=True)
    assert job["title"] == "../../etc/ pass wd my clip.mp4"
    fit = client.post(
        "/api/models", json={"name": "new", "system": "motion", "footage": {"folder": "quiet"}}
    )
    assert fit.status_code == 202, fit.text
    listed = get(client, "/api/jobs", schemas_models.Jobs)["jobs"]
    assert {job["id"], fit.json()["id"]} <= {j["id"] for j in listed}
    ended = client.delete(f"/api/jobs/{fit.json()['id']}").json()
    assert ended["action"] == "cancelled"

    done = until(
        lambda: (
            (j := get(client, f"/api/jobs/{job['id']}", schemas_models.Job))["state"]
            not in ("queued", "running")
            and j
        )
    )
    assert done["state"] == "done", done
    scores = get(client, f"/api/jobs/{job['id']}/scores", schemas_models.JobScores, after=10)
    assert len(scores["scores"]) == WALKWAY.frames - 10 and scores["next"] == WALKWAY.frames
    assert client.get(f"/api/jobs/{job['id']}/picture.jpg").content[:2] == b"\xff\xd8"
    assert client.delete(f"/api/jobs/{job['id']}").json()["action"] == "removed"
    refused(client.get(f"/api/jobs/{job['id']}"), 404, "not_found")
    refused(client.get("/api/jobs/none/scores"), 404, "not_found")
    assert list((hub.store.folder / "uploads").iterdir()) == []


def test_uploads_that_are_no_video_leave_nothing(client: httpx.Client, hub: Hub) -> None:
    clip = sorted(hub.settings.base.glob("walkway/**/*.mp4"))[-1].read_bytes()

    def put(content: Any, **query: str) -> httpx.Response:
        return client.put("/api/uploads", params={"model": "motion"} | query, content=content)

    refused(put(b""), 415, "no_video")
    refused(put(b"#EXTM3U\n" + b"x" * 1000), 415, "no_video")
    refused(put(b"\xff\xd8\xff" + b"x" * 1000), 415, "no_video")
    refused(put(clip, model="none"), 404, "not_found")
    refused(put(clip, model="../motion"), 422, "invalid")
    answer = put((clip[:400] for _ in range(3)), title="half.mp4")
    message = refused(answer, 422, "video")
    assert "'half.mp4'" in message and str(hub.store.folder) not in answer.text
    assert not list((hub.store.folder / "uploads").glob("*"))


def test_an_upload_is_its_owners_alone(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []

    def seen(path: Path) -> None:
        modes.extend(stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent))
        raise VideoError("nothing", expected="a video", fix="send one")

    monkeypatch.setattr(api_models, "probe", seen)
    content = b"\0\0\0\x18ftypmp42" + bytes(1000)
    answer = client.put("/api/uploads", params={"model": "motion"}, content=content)
    refused(answer, 422, "video")
    assert modes == [0o600, 0o700]


def test_uploads_are_bounded(tmp_path: Path, site: Settings) -> None:
    settings = replace(
        site, server=ServerSettings(upload_mb=1), cameras=(), storage=StorageSettings(str(tmp_path))
    )
    with running(settings) as (_, server):
        url = f"{server.url}api/uploads?model=motion"
        head = b"\0\0\0\x18ftypisom"
        answer = httpx.put(url, headers=ASKED, content=head + bytes(1_000_000))
        refused(answer, 413, "too_large")
        pieces = (head + bytes(100_000) for _ in range(20))
        refused(httpx.put(url, headers=ASKED, content=pieces), 413, "too_large")
        assert not list(tmp_path.glob("uploads/*"))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "h264"),
        ("a.mov", "mpeg4"),
        ("a.mkv", "h264"),
        ("a.webm", "vp8"),
        ("a.avi", "mpeg4"),
        ("a.ts", "h264"),
        ("a.mpg", "mpeg1video"),
    ],
)
def test_containers_are_told_by_their_first_bytes(name: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, 25, options={})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"  # pyright: ignore
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
            file.mux(stream.encode(picture))  # pyright: ignore
        file.mux(stream.encode(None))  # pyright: ignore
    kinds = {"mov": ".mp4", "webm": ".mkv"}
    ending = name.partition(".")[2]
    assert container(path.read_bytes()[:SNIFFED]) == kinds.get(ending, f".{ending}")
    assert next(iter(open_video(path)))


def test_other_files_are_no_container() -> None:
    for head in (b"", b"G", b"\x47" + bytes(400), b"RIFF\0\0\0\0WAVE", b"GIF89a", b"\0" * 400):
        assert container(head) is None


def test_titles_are_one_clean_line() -> None:
    assert clean_title("") == "upload" and clean_title("\0\u202e\n") == "upload"
    assert clean_title("a\tb  c" + "x" * 500) == "a b c" + "x" * 115


# -- the server --------------------------------------------------------------------------------


def test_metrics_are_prometheus_text(client: httpx.Client) -> None:
    scored(client)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    assert samples['vadistill_camera_frames_total{camera="walk"}'] > 0
    assert samples['vadistill_camera_running{camera="walk"}'] == 1
    assert samples['vadistill_camera_latency_seconds{camera="walk",quantile="0.95"}'] > 0


def test_the_document_describes_every_address(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) >= 30
    for path, method, operation in operations:
        assert operation["summary"] and operation["description"], (path, method)
        error = operation["responses"]["422"]["content"]["application/json"]["schema"]
        assert error == {"$ref": "#/components/schemas/ErrorAnswer"}
        good = [r for status, r in operation["responses"].items() if status < "300"]
        assert path.endswith("{name}") or all(r.get("content") for r in good), (path, method)


def test_an_address_that_is_taken_is_one_line(served: tuple[Hub, WebServer]) -> None:
    hub, server = served
    for host, port in (("127.0.0.1", server.port), ("127.0.0.1", 70_000)):
        with pytest.raises(ConfigError, match=f"cannot listen on {host}:{port}") as error:
            WebServer(hub, host, port)
        assert "\n" not in str(error.value)
