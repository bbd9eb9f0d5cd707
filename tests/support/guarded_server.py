"""A folder on the web, of which one must know the password."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

SECRET = "QXZ-jqx7"


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Shows folders as pages of links; /live never ends."""

    WANTED = f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"

    def do_GET(self) -> None:
        if self.is_allowed():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self.is_allowed():
            super().do_HEAD()

    def is_allowed(self) -> bool:
        if self.path == "/live":
            self.send_response(200)
            self.end_headers()
            return False
        if self.headers.get("Authorization") == self.WANTED:
            return True
        self.send_error(401)
        return False

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[str]:
    """The address of ``folder`` in a web server, with its password."""
    handler = functools.partial(Guarded, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://me:{SECRET}@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
