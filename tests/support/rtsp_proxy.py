"""A bad network for tests: passes RTSP over TCP on, and flips bits of the video on its way."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from typing import Any, BinaryIO


class FlippingProxy:
    """Forwards one client to ``port``, with 20 wrong bits in every ``every``-th packet of video."""

    def __init__(self, port: int, *, every: int) -> None:
        self._target, self._every = port, every
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.flipped = self._listener.getsockname()[1], 0
        self._sockets = [self._listener]

    def __enter__(self) -> FlippingProxy:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            self._down(server.makefile("rb"), client)
            client.shutdown(socket.SHUT_RDWR)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)

    def _down(self, server: BinaryIO, client: socket.socket) -> None:
        chance, packets = random.Random(0), 0
        while first := server.read(1):
            if first != b"$":
                client.sendall(first)
                continue
            head = server.read(3)
            body = bytearray(server.read(int.from_bytes(head[1:])))
            video = head[0] == 0 and len(body) > 200
            packets += video
            if video and packets % self._every == 0:
                # The RTP header and the kind of NAL unit in front stay whole.
                for _ in range(20):
                    body[chance.randrange(20, len(body))] ^= 1 << chance.randrange(8)
                self.flipped += 1
            client.sendall(first + head + body)
