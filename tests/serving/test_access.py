"""Secrets while the server runs: changed, guessed at, and where they lie."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.served_process import served_process
from support.serving_scene import fitted, scene_settings, served
from support.waiting import until
from vadistill import limits
from vadistill.addresses import Address
from vadistill.cli import main
from vadistill.errors import ConfigError
from vadistill.serving.config import CameraSettings, ServerSettings, Settings
from vadistill.serving.hub import Hub
from vadistill.serving.settings_file import exposed, read_settings, write_settings
from vadistill.serving.web import auth, guard
from vadistill.serving.web.server import WebServer

OLD, NEW = "correct horse battery", "another staple altogether"
TOKEN = "a token that is long enough"
SECRETS = ServerSettings(password=auth.hash_password(OLD), token=auth.hash_token(TOKEN))


@contextmanager
def console(settings: Settings, path: Path | None = None) -> Iterator[WebServer]:
    hub = Hub(settings, path=path)
    hub.start()
    try:
        with served(hub) as server:
            yield server
    finally:
        hub.stop()


def sign_in(client: httpx.Client, password: str, **headers: str) -> httpx.Response:
    return client.post("/api/session", json={"password": password}, headers=headers)


def signed_in(url: str, password: str = OLD) -> httpx.Client:
    """A browser that has signed in."""
    client = httpx.Client(base_url=url, timeout=20)
    answer = sign_in(client, password)
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return client


def set_password(path: Path, password: str) -> None:
    command = [sys.executable, "-m", "vadistill", "serve", "--settings", str(path)]
    subprocess.run([*command, "--set-password"], input=password.encode(), check=True)


class TestSecretsThatChange:
    def test_a_new_password_ends_sessions_of_a_server_that_runs(self, tmp_path: Path) -> None:
        fitted(tmp_path)
        path = tmp_path / "live.toml"
        camera = CameraSettings("door", Address("webcam:99"), "scene")
        write_settings(scene_settings(tmp_path, camera, server=SECRETS), path)
        with served_process(path) as server:
            old = signed_in(server.url)
            with old.stream("GET", "/api/stream") as feed:
                lines = feed.iter_lines()
                next(lines)
                set_password(path, NEW)
                hashed = tomllib.loads(path.read_text())["server"]["password"]
                until(lambda: old.get("/api/cameras").status_code == 401, 5)
                for _ in lines:  # a feed that is open ends, too
                    pass
            with httpx.Client(base_url=server.url, timeout=20) as client:
                assert sign_in(client, OLD).status_code == 401
            new = signed_in(server.url, NEW)
            for number in range(10):
                change = {"fps": 4.0 + number}
                answer = new.patch("/api/cameras/door", json=change)
                assert answer.status_code == 200, answer.text
            stored = tomllib.loads(path.read_text())
            assert stored["server"]["password"] == hashed
            assert stored["camera"][0]["fps"] == 13
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_only_the_secrets_of_an_edited_file_are_taken_over(self, tmp_path: Path) -> None:
        path = tmp_path / "live.toml"
        write_settings(Settings(server=SECRETS, base=tmp_path), path)
        hub = Hub(read_settings(path), path=path)
        other = ServerSettings(password=auth.hash_password(NEW), token=SECRETS.token)
        assert hub.changed_secrets() is None
        path.write_text(path.read_text() + "\n# by hand\n[storage]\nkeep_days = 3.0\n")
        assert hub.changed_secrets() is None
        write_settings(Settings(server=other, base=tmp_path), path, tables=("server",))
        found = hub.changed_secrets()
        assert found is not None and found.password == other.password
        assert hub.changed_secrets() is None
        kept = path.read_text()
        with pytest.raises(ConfigError, match="was edited"):
            hub._keep(hub.settings)
        assert path.read_text() == kept and "keep_days = 3.0" in kept
        path.write_text("[[[")
        with pytest.raises(ConfigError, match="cannot read"):
            hub.changed_secrets()
        path.unlink()
        assert hub.changed_secrets() is None
        hub.stop()

    def test_a_server_that_runs_never_ends_up_without_a_secret(self) -> None:
        access = auth.Access(SECRETS)
        cookie, _ = access.sign_in(OLD, "192.0.2.1")
        for server in (ServerSettings(), ServerSettings(password="plain")):
            with pytest.raises(ConfigError):
                access.renew(server)
            assert access.server == SECRETS and access.sessions.valid(cookie or "")
        open_to_all = auth.Access(ServerSettings())
        lasting = guard.still_allowed(open_to_all, guard.Caller(True))
        assert lasting() and not open_to_all.required
        open_to_all.renew(SECRETS)
        assert open_to_all.required and not lasting()

    def test_a_new_token_is_printed_and_its_hash_is_kept(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "live.toml"
        write_settings(Settings(server=SECRETS, base=tmp_path), path)
        assert main(["serve", "--settings", str(path), "--new-token"]) == 0
        token = capsys.readouterr().out.strip()
        assert len(token) >= 40
        server = read_settings(path).server
        assert server.token == auth.hash_token(token) and server.password == SECRETS.password


class TestGuesses:
    def test_tokens_are_guessed_as_slowly_as_passwords(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with console(Settings(server=SECRETS, base=tmp_path)) as server:
            answers = [
                httpx.get(f"{server.url}metrics", headers={"Authorization": f"Bearer {n}"})
                for n in range(50)
            ]
            status = [answer.status_code for answer in answers]
            assert status[:4] == [401] * 4 and status.count(429) > 30
            assert set(status) == {401, 429}
            late = next(answer for answer in answers if answer.status_code == 429)
            assert int(late.headers["retry-after"]) >= 1
            # Passwords are counted by themselves.
            signed_in(server.url).close()
        lines = [r.getMessage() for r in caplog.records if "token from 127.0.0.1" in r.getMessage()]
        assert len(lines) == 50

    def test_a_short_token_is_refused_even_if_it_is_right(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        short = "x" * (limits.SHORTEST_TOKEN - 1)
        assert not auth.verify_token(short, auth.hash_token(short))
        assert "refused" in caplog.text and "--new-token" in caplog.text
        assert short not in caplog.text
        assert auth.verify_token(f"{short}x", auth.hash_token(f"{short}x"))

    def test_a_known_browser_signs_in_whatever_others_at_its_address_guess(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with console(Settings(server=SECRETS, base=tmp_path)) as server:
            known = signed_in(server.url)
            known.delete("/api/session")
            del known.headers["X-CSRF-Token"]
            with httpx.Client(base_url=server.url, timeout=20) as stranger:
                status = [sign_in(stranger, f"guess {n}").status_code for n in range(50)]
                assert 429 in status and set(status) == {401, 429}
                lines = [r for r in caplog.records if "password from 127.0.0.1" in r.getMessage()]
                assert len(lines) == 50
                stranger.cookies.set(f"vadistill_browser_{'0' * 8}", "made.up")
                answer = sign_in(known, OLD)
                assert answer.status_code == 200
                cookies = answer.headers.get_list("set-cookie")
                assert len(cookies) == 2 and all("httponly" in c.lower() for c in cookies)
            # It has few guesses, too.
            known.delete("/api/session", headers={"X-CSRF-Token": answer.json()["csrf"]})
            status = [sign_in(known, f"guess {n}").status_code for n in range(12)]
            assert 429 in status

    def test_a_browser_is_known_as_long_as_the_secrets_stay(self) -> None:
        browsers = auth.Access(SECRETS).browsers
        cookie = browsers.new()
        assert auth.Access(SECRETS).browsers.name(cookie) == browsers.name(cookie) is not None
        other = ServerSettings(password=auth.hash_password(NEW))
        assert auth.Access(other).browsers.name(cookie) is None
        for made_up in ("", ".", "a", "a.b", cookie[:-1], cookie.replace(".", "x."), "ü.ü"):
            assert browsers.name(made_up) is None


class TestWhereSecretsLie:
    def test_two_consoles_on_one_host_do_not_share_a_cookie(self, tmp_path: Path) -> None:
        folders = [tmp_path / "one", tmp_path / "two"]
        names: list[set[str]] = []
        for folder in folders:
            folder.mkdir()
            settings = Settings(server=SECRETS, base=folder)
            with console(settings) as server:
                names.append(set(signed_in(server.url).cookies))
        assert len(names[0]) == len(names[1]) == 2 and not names[0] & names[1]

    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ('[server]\npassword = "scrypt$1"', True),
            ("[server]\ntoken = 'abc'", True),
            ('[[sink]]\nname="a"\nsecret="b"', True),
            ('source = "rtsp://me:pass@cam/1"', True),
            ('url = "mqtt://me@broker"', True),
            ('password = ""  # none\n', False),
            ("# rtsp://user:password@camera\n", False),
            ('source = "rtsp://cam/1"', False),
        ],
    )
    def test_a_file_with_secrets_that_all_may_read_is_told(
        self, tmp_path: Path, text: str, secret: bool
    ) -> None:
        path = tmp_path / "live.toml"
        path.write_text(text)
        path.chmod(0o644)
        assert bool(exposed(path)) == secret
        path.chmod(0o600)
        assert exposed(path) is None
        assert exposed(tmp_path / "none.toml") is None

    def test_the_verbs_tell_it(self, tmp_path: Path) -> None:
        path = tmp_path / "live.toml"
        write_settings(Settings(server=SECRETS, base=tmp_path), path)
        path.chmod(0o640)
        with served_process(path) as server:
            assert re.search(r"warning: others may read .*chmod 600", server.log.read_text())
