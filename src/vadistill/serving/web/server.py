"""The server that runs the web application at an address."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import uvicorn

from vadistill.errors import ConfigError
from vadistill.serving.web.app import build_app
from vadistill.serving.web.auth import require_secret

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

log = logging.getLogger("vadistill.serving")

STOP_SECONDS = 3
"""How long requests that are under way may take once the server stops."""

CONNECTIONS = 512
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WebServer:
    """The console of a hub at an address; ``url`` is known, and connections wait, from here on.

    Port 0 takes a free one.  Raises ConfigError when the address is taken or not this machine's,
    and when others can reach it without a password.
    """

    def __init__(self, hub: Hub, host: str, port: int) -> None:
        settings = replace(hub.settings, server=replace(hub.settings.server, host=host))
        require_secret(settings)
        app = build_app(hub, host=host)
        # A proxy's word on who its clients are is not taken: any client could give it.
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Server(config, app.state.feeds.close)
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        shown = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"

    def run(self) -> None:
        """Serve until ``stop``; in the main thread also until SIGINT or SIGTERM."""
        log.info("the console is at %s", self.url)
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End ``run`` within seconds, from another thread."""
        self._server.should_exit = True


def serve(hub: Hub, host: str, port: int) -> None:
    """Run the console at an address until it is stopped; see ``WebServer``."""
    WebServer(hub, host, port).run()


class _Server(uvicorn.Server):
    """Ends the feeds before it waits for requests, and returns after a signal.

    uvicorn raises the signal again in the end, which would take the process down before cameras
    and events are closed.
    """

    def __init__(self, config: uvicorn.Config, close: Callable[[], None]) -> None:
        super().__init__(config)
        self._close = close

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    try:
        if not 0 <= port <= 65_535:
            raise OverflowError("no such port")
        family, kind, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(2048)
        except OSError:
            found.close()
            raise
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({getattr(error, 'strerror', None) or error})",
            expected="a free port of this machine",
            fix="stop what uses it, or choose another with --port",
        ) from error
    found.setblocking(False)
    return found
