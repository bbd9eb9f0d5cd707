"""An HTTP server of a folder's files for tests, as a camera's or a shop's archive is served."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class FolderServer:
    """Serves the files of ``folder`` while the block runs; ``asked`` are the paths that came.

    Where it does not tell ``lengths``, it sends parts of unknown number and knows no ranges.
    ``ends`` breaks every answer off after so many bytes.
    """

    def __init__(self, folder: Path, *, lengths: bool = True, ends: int | None = None) -> None:
        self.asked: list[str] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                served.asked.append(self.path)
                path = folder / self.path.lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return
                data = path.read_bytes()
                found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                first, last = (int(found[1]), found[2]) if found and lengths else (0, "")
                part = data[first : int(last) + 1 if last else len(data)]
                self.send_response(206 if found and lengths else 200)
                if lengths:
                    self.send_header("Accept-Ranges", "bytes")
                    self.send_header("Content-Length", str(len(part)))
                    end = first + len(part) - 1
                    self.send_header("Content-Range", f"bytes {first}-{end}/{len(data)}")
                else:
                    self.send_header("Transfer-Encoding", "chunked")
                self.send_header("Connection", "close")
                self.end_headers()
                with contextlib.suppress(OSError):
                    if lengths:
                        self.wfile.write(part[:ends])
                        return
                    for begin in range(0, len(part), 4096):
                        chunk = part[begin : begin + 4096]
                        self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]

    def __enter__(self) -> FolderServer:
        run = self._server.serve_forever
        threading.Thread(target=run, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def address(self, name: str) -> str:
        """Where a file is."""
        return f"http://127.0.0.1:{self.port}/{name}"
