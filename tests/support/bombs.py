"""Small files and streams that ask for much memory, and how much was taken."""

from __future__ import annotations

import contextlib
import os
import socketserver
import struct
import threading
import time
import zlib
from collections.abc import Iterator

import cv2
import numpy as np


def jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose header tells another size."""
    _, data = cv2.imencode(".jpg", np.full((16, 16, 3), 90, np.uint8))
    whole = data.tobytes()
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]


def png(width: int, height: int, bits: int = 8, *, whole: bool = False) -> bytes:
    """A PNG in RGBA of that size, all zeros; unless it is ``whole``, with a row at most."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer, row = zlib.compressobj(1), bytes(1 + width * 4 * bits // 8)
    rows = (packer.compress(row) for _ in range(height if whole else 1))
    pixels = b"".join(rows) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, 6, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@contextlib.contextmanager
def memory() -> Iterator[list[float]]:
    """The most megabytes that this process grew by in the block, once it is over."""
    page, most, over = os.sysconf("SC_PAGE_SIZE"), [0.0], threading.Event()

    def resident() -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * page / 1e6

    idle = resident()

    def watch() -> None:
        while not over.is_set():
            most[0] = max(most[0], resident() - idle)
            time.sleep(0.005)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


class SdpServer:
    """An RTSP server whose description has ``length`` bytes, or says so."""

    def __init__(self, length: int) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    while line := self.rfile.readline():
                        words, number = line.split(), b"1"
                        while (head := self.rfile.readline().strip()) and head:
                            number = (
                                head[5:].strip() if head.lower().startswith(b"cseq:") else number
                            )
                        begin = b"RTSP/1.0 200 OK\r\nCSeq: " + number + b"\r\n"
                        if words[0] != b"DESCRIBE":
                            self.wfile.write(begin + b"Public: DESCRIBE, SETUP, PLAY\r\n\r\n")
                            continue
                        kind = (
                            b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % length
                        )
                        self.wfile.write(begin + kind)
                        for _ in range(length >> 20):
                            self.wfile.write(b"a=tool:x\r\n" * 104858)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.address = f"rtsp://127.0.0.1:{self._server.server_address[1]}/x"

    def __enter__(self) -> SdpServer:
        run = self._server.serve_forever
        threading.Thread(target=run, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
