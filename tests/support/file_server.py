"""A web server on loopback that hands out bytes."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """Answers requests of ``/NAME`` with ``files[NAME]``, and keeps what was asked for.

    ``stall``: seconds before each answer; ``pause``: seconds after each kilobyte of it.
    """

    def __init__(self, files: dict[str, bytes], *, stall: float = 0, pause: float = 0) -> None:
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                server.asked.append(name)
                time.sleep(stall)
                self.send_response(200 if name in files else 404)
                self.end_headers()
                content = files.get(name, b"")
                for start in range(0, len(content), 1024 if pause else len(content)):
                    self.wfile.write(content[start : start + 1024] if pause else content)
                    time.sleep(pause)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # who asked is gone
                    super().handle()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> FileServer:
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
