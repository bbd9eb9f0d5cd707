"""Behind reverse proxies: whose guesses are slowed, who is logged, and who is one too many."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from support.serving_scene import served
from support.waiting import until
from vadistill import limits
from vadistill.errors import ConfigError
from vadistill.serving.config import ServerSettings, Settings
from vadistill.serving.hub import Hub
from vadistill.serving.networks import Proxies
from vadistill.serving.settings_file import read_settings
from vadistill.serving.web import auth
from vadistill.serving.web.server import WebServer

PASSWORD, TOKEN = "correct horse battery", "a token that is long enough"
SECRETS = ServerSettings(password=auth.hash_password(PASSWORD), token=auth.hash_token(TOKEN))
GUESSER, OTHER = "198.51.100.7", "203.0.113.9"


@contextmanager
def console(
    folder: Path, *proxies: str, server: ServerSettings = SECRETS, host: str = "127.0.0.1"
) -> Iterator[WebServer]:
    """A console that trusts these proxies."""
    hub = Hub(Settings(server=replace(server, proxies=proxies), base=folder))
    hub.start()
    try:
        with served(hub, host) as web:
            yield web
    finally:
        hub.stop()


def visitor(server: WebServer, address: str) -> httpx.Client:
    """Somebody at ``address``, as a proxy on this machine passes its requests on."""
    headers = {"X-Forwarded-For": address}
    return httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=20)


def sign_in(client: httpx.Client, password: str) -> httpx.Response:
    return client.post("/api/session", json={"password": password})


def guess(client: httpx.Client, count: int = 50) -> list[int]:
    return [sign_in(client, f"guess {n}").status_code for n in range(count)]


def lines_of(caplog: pytest.LogCaptureFixture, address: str) -> int:
    shown = f"password from {address}"
    return sum(shown in record.getMessage() for record in caplog.records)


class TestGuesses:
    def test_of_one_visitor_keep_nobody_else_at_its_proxy_out(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            console(tmp_path, "127.0.0.1") as server,
            visitor(server, GUESSER) as known,
            visitor(server, GUESSER) as guesser,
            visitor(server, OTHER) as other,
        ):
            answer = sign_in(known, PASSWORD)
            known.delete("/api/session", headers={"X-CSRF-Token": answer.json()["csrf"]})
            status = guess(guesser)
            assert set(status) == {401, 429} and status.count(429) > 30
            assert lines_of(caplog, GUESSER) == 50
            assert sign_in(other, PASSWORD).status_code == 200
            assert sign_in(known, PASSWORD).status_code == 200  # a browser that signed in before
            other.cookies.clear()
            for token, client, expected in (("wrong", guesser, 429), (TOKEN, other, 200)):
                bearer = {"Authorization": f"Bearer {token}"}
                asked = [client.get("/metrics", headers=bearer).status_code for _ in range(12)]
                assert expected in asked
        assert lines_of(caplog, "127.0.0.1") == 0

    @pytest.mark.parametrize("proxies", [(), ("192.0.2.0/24",)])
    def test_the_word_of_who_is_no_proxy_is_not_taken(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, proxies: tuple[str, ...]
    ) -> None:
        with console(tmp_path, *proxies) as server:
            status: list[int] = []
            for number in range(12):
                with visitor(server, f"198.51.100.{number}") as liar:
                    status += guess(liar, 1)
        assert status.count(429) > 5 and lines_of(caplog, "127.0.0.1") == 12

    def test_what_a_visitor_says_of_itself_is_not_taken_from_a_proxy(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with console(tmp_path, "127.0.0.0/8") as server:
            status: list[int] = []
            for number in range(12):
                # The last one is what the proxy saw; with a port, as some write it.
                with visitor(server, f"192.0.2.{number}, {GUESSER}:{4000 + number}") as liar:
                    status += guess(liar, 1)
        assert status.count(429) > 5 and lines_of(caplog, GUESSER) == 12

    def test_the_header_may_be_missing_or_anything(self, tmp_path: Path) -> None:
        with console(tmp_path, "127.0.0.1") as server:
            for address in ("", ",,", "unknown", "a" * 8000, "[::1", "\x7f;\\", "1.2.3.4:x"):
                with visitor(server, address) as odd:
                    assert sign_in(odd, "wrong").status_code in (400, 401)
            assert httpx.get(f"{server.url}healthz").status_code == 200

    @pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
    def test_a_proxy_by_ipv4_is_known_where_the_server_listens_on_ipv6(
        self, tmp_path: Path
    ) -> None:
        with (
            console(tmp_path, "127.0.0.1", host="::") as server,
            visitor(server, GUESSER) as guesser,
            visitor(server, OTHER) as other,
        ):
            assert 429 in guess(guesser, 12)
            assert sign_in(other, PASSWORD).status_code == 200


class Feeds(ExitStack):
    """Feeds that visitors keep open until they are closed."""

    def open(self, server: WebServer, address: str) -> int:
        """One of a visitor; its status."""
        client = self.enter_context(visitor(server, address))
        answer = self.enter_context(client.stream("GET", "/api/stream"))
        lines = answer.iter_lines()
        if answer.status_code == 200:
            next(lines)
        self.callback(lines.close)  # pyright: ignore[reportAttributeAccessIssue]
        return answer.status_code


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeds]:
    monkeypatch.setattr(limits, "CONNECTIONS_BY_ADDRESS", 2)
    with Feeds() as opened:
        yield opened


class TestConnections:
    def test_a_proxy_may_have_more_than_its_visitors(self, tmp_path: Path, feeds: Feeds) -> None:
        with console(tmp_path, "127.0.0.1", server=ServerSettings()) as server:
            assert [feeds.open(server, f"198.51.100.{n}") for n in range(6)] == [200] * 6
            assert len(server.connections) == 6
            assert [feeds.open(server, GUESSER) for _ in range(3)] == [200, 200, 503]
            assert feeds.open(server, OTHER) == 200
            with visitor(server, GUESSER) as again:
                answer = again.get("/healthz")
                assert answer.status_code == 503 and answer.json()["error"]["code"] == "busy"
            feeds.close()
            until(lambda: len(server.connections) == 0)
            with visitor(server, GUESSER) as again:
                assert again.get("/healthz").status_code == 200
                # Requests over a connection that is kept are one at a time.
                assert [again.get("/healthz").status_code for _ in range(9)] == [200] * 9

    def test_a_proxy_has_no_more_than_all_may_have(
        self, tmp_path: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "CONNECTIONS", 4)
        monkeypatch.setattr(limits, "FEWEST_CONNECTIONS", 4)
        with console(tmp_path, "127.0.0.1", server=ServerSettings()) as server:
            assert [feeds.open(server, f"198.51.100.{n}") for n in range(4)] == [200] * 4
            assert feeds.open(server, OTHER) == 503

    def test_silent_connections_of_a_proxy_make_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "CONNECTIONS", 20)
        monkeypatch.setattr(limits, "CONNECTIONS_BY_ADDRESS", 2)
        monkeypatch.setattr(limits, "REQUEST_SECONDS", 60.0)  # none goes for its silence
        with (
            console(tmp_path, "127.0.0.1", server=ServerSettings()) as server,
            ExitStack() as stack,
        ):
            for _ in range(60):
                each = stack.enter_context(socket.socket())
                each.connect(("127.0.0.1", server.port))
            with visitor(server, OTHER) as other:
                assert other.get("/healthz").status_code == 200
            until(lambda: len(server.connections) <= 20)
            time.sleep(0.2)
            assert len(server.connections) > 10


class TestSettings:
    def test_proxies_are_addresses_or_networks(self, tmp_path: Path) -> None:
        path = tmp_path / "live.toml"
        path.write_text('[server]\nproxies = ["192.0.2.1", "10.1.2.3/16", "fd00::/8"]\n')
        proxies = Proxies(read_settings(path).server.proxies)
        for address in ("192.0.2.1", "10.1.255.1", "::ffff:10.1.0.1", "fd12::1"):
            assert address in proxies
        for address in ("192.0.2.2", "10.2.0.1", "::1", "", "proxy.example"):
            assert address not in proxies
        assert not Proxies(())

    @pytest.mark.parametrize("proxy", ['"*"', '"proxy.example"', '"0.0.0.0/0"', '"::/0"', '""'])
    def test_what_is_neither_or_everybody_is_refused(self, tmp_path: Path, proxy: str) -> None:
        path = tmp_path / "live.toml"
        path.write_text(f"[server]\nproxies = [{proxy}]\n")
        with pytest.raises(ConfigError, match="expected addresses or networks of proxies"):
            read_settings(path)
