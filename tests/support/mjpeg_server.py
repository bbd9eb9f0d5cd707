"""An HTTP camera for tests: sends what it is given, as multipart JPEG, to each client."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any

import cv2
import numpy as np

BOUNDARY = b"--picture\r\n"


def part(image: np.ndarray, quality: int = 90, kind: str = "image/jpeg") -> bytes:
    """One picture of the multipart stream; without ``kind`` its head has none."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    typed = f"Content-Type: {kind}\r\n" if kind else ""
    head = f"{typed}Content-Length: {len(data)}\r\n\r\n".encode()
    return BOUNDARY + head + data.tobytes() + b"\r\n"


def level(value: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A plain picture of one grey level; ``size`` is (width, height)."""
    return np.full((size[1], size[0], 3), value, np.uint8)


class MjpegServer:
    """Serves ``chunks()`` anew to each client, ``pause`` seconds apart; then it hangs up, or keeps
    the connection without a word for ``silent`` seconds.  ``status`` other than 200 is all that it
    answers with."""

    def __init__(
        self,
        chunks: Callable[[], Iterable[bytes]],
        *,
        pause: float = 0.02,
        silent: float = 0.0,
        kind: str = "multipart/x-mixed-replace; boundary=picture",
        status: int = 200,
    ) -> None:
        self.clients = 0
        self._over = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.clients += 1
                if status != 200:
                    self.send_error(status)
                    return
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                with contextlib.suppress(OSError):
                    for chunk in chunks():
                        self.wfile.write(chunk)
                        if served._over.wait(pause):
                            return
                    served._over.wait(silent)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]

    def __enter__(self) -> MjpegServer:
        run = self._server.serve_forever
        threading.Thread(target=run, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def address(self, userinfo: str = "", query: str = "") -> str:
        """Where the pictures are."""
        return f"http://{userinfo}127.0.0.1:{self.port}/live{query}"
