"""A webhook's receiver on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """A webhook's receiver that answers with ``status(body)``; keeps what came."""

    def __init__(self, port: int = 0) -> None:
        self.status: Callable[[dict[str, Any]], int] = lambda body: 204
        self.got: list[tuple[dict[str, str], bytes, int]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.status(json.loads(body))
                receiver.got.append((dict(self.headers), body, status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/{'s' * 8}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def keys(self, status: int = 204) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _, s in self.got if s == status]

    def bodies(self, status: int = 204) -> list[dict[str, Any]]:
        """What came and was answered so."""
        return [json.loads(body) for _, body, s in self.got if s == status]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
