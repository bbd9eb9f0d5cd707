"""Connections to the console: how many there are, who makes room, and which are given up.

The socket is asked for connections no faster than they are looked at, so that descriptors stay for
cameras, clips and sinks.  Where there are too many, one that waits for a request makes room: the
one that has waited for longest, of the address that has most.
"""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from vadistill import limits
from vadistill.serving.log_limit import LogLimit
from vadistill.serving.networks import Proxies, network_of
from vadistill.serving.web.errors import ApiError

UPLOADS = "/api/uploads"
"""Where a body may take long."""

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What asyncio would log with its traceback for each connection that waits."""

GRACE = 0.02
"""Seconds that a connection has to send a request before it may have to make room."""

PAUSE = 0.002
"""Seconds of waiting where there is no room, and nothing to close yet."""


def most_connections(parts: int) -> int:
    """How many connections leave descriptors for so many cameras and sinks.

    A connection may take two: its socket and a file that it is sent.
    """
    try:
        import resource

        given = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except ImportError:
        return limits.CONNECTIONS
    if given == resource.RLIM_INFINITY:
        return limits.CONNECTIONS
    reserved = limits.DESCRIPTORS_RESERVED + limits.DESCRIPTORS_A_PART * parts
    return max(limits.FEWEST_CONNECTIONS, min(limits.CONNECTIONS, (given - reserved) // 2))


class Connections:
    """The connections of a server, at most ``most()`` and of one address a part of them.

    Of ``proxies`` there may be as many as of all: they bring others' requests.  For a moment there
    are a few more: whoever asks at once is answered, however many are silent.
    """

    def __init__(self, most: Callable[[], int], proxies: Proxies | None = None) -> None:
        self._most, self.proxies = most, proxies or Proxies(())
        self.made: set[Connection] = set()
        self.ending: Counter[str] = Counter()
        """How many of each address are being closed."""
        self._counts: Counter[str] = Counter()
        self._log = LogLimit(5)

    def __len__(self) -> int:
        return self._counts.total()

    def enter(self, address: str) -> None:
        """Count a connection that was accepted."""
        self._counts[network_of(address)] += 1

    def leave(self, address: str) -> None:
        """One that was counted is closed."""
        network = network_of(address)
        self._counts[network] -= 1
        if self._counts[network] <= 0:
            del self._counts[network]

    def full(self) -> bool:
        """Whether those that were accepted come first; closes one where there is no room."""
        if len(self) - len(self.made) >= limits.ACCEPTED_AT_ONCE:
            return True
        if len(self) < self._most() + limits.ACCEPTED_AT_ONCE:
            return False
        if not self._make_room(self.made):
            time.sleep(PAUSE)
        return True

    def trim(self, connection: Connection) -> None:
        """Where there are too many, close one that waits, such as ``connection``."""
        self._make_room(self._crowd(connection))

    def admit(self, connection: Connection) -> bool:
        """Whether one that asks for something is answered: not where all others do, too."""
        crowd = self._crowd(connection) - {connection}
        if not crowd or self._make_room(crowd):
            return True
        if any(each.waiting and not each.ended for each in crowd):
            return True  # they are closed if they go on to wait
        self._log.warning("too many connections: one from %s is refused", connection.network)
        return False

    def _crowd(self, connection: Connection) -> set[Connection]:
        """Those of which ``connection`` is one too many; none where it is not."""
        network = connection.network
        count = self._counts[network] - self.ending[network]
        if count > limits.CONNECTIONS_BY_ADDRESS and not connection.proxied:
            return {each for each in self.made if each.network == network}
        if len(self) - self.ending.total() > self._most():
            return set(self.made)
        return set()

    def _make_room(self, candidates: Iterable[Connection]) -> bool:
        """Close the one that has waited for a request for longest, of who has most; whether any."""
        waiting = [c for c in candidates if c.waiting and c.ripe and not c.ended]
        if not waiting:
            return False
        max(waiting, key=lambda c: (self._counts[c.network], -c.since)).end()
        return True

    def exhausted(self) -> None:
        """There are no descriptors: close what waits."""
        self._log.warning("no descriptors are left: connections that wait are closed")
        if not self._make_room(self.made):
            time.sleep(PAUSE)

    def look(self) -> None:
        """Give up connections without a whole request, and those whose client takes nothing."""
        now = time.monotonic()
        stalled = [connection for connection in list(self.made) if not connection.look(now)]
        if stalled:
            whose = ", ".join(sorted({connection.network for connection in stalled}))
            self._log.warning(
                "%d clients took nothing for %g s: %s", len(stalled), limits.STALLED_SECONDS, whose
            )


class Connection(H11Protocol):
    """One connection, from its first request to its end."""

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections
        self.network, self.proxied, self.ended, self.ripe = "", False, False, False
        self.since = self._moved = time.monotonic()
        self._idle, self._left, self._admitted = True, 0, False

    @property
    def waiting(self) -> bool:
        """Whether a whole request is still to come."""
        if self._idle:
            return True
        return self.cycle.more_body and self.scope["path"] != UPLOADS

    def end(self) -> None:
        """Close it at once, whatever its client has not taken."""
        self.ended = True
        self._connections.ending[self.network] += 1
        self.transport.abort()

    def look(self, now: float) -> bool:
        """Close it after too long without a request; False, and an end, where nothing is taken."""
        if self._idle and now - self.since > limits.REQUEST_SECONDS:
            self.transport.close()
        left = self.transport.get_write_buffer_size() + _queued(self.transport)
        if not left or left < self._left:
            self._moved = now
        self._left = left
        if self.ended or now - self._moved <= limits.STALLED_SECONDS:
            return True
        self.end()
        return False

    def connection_made(self, transport: Any) -> None:
        """As asyncio calls it; likewise the others."""
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        self.network, self.proxied = network_of(peer), peer in self._connections.proxies
        self.since = self._moved = time.monotonic()
        self._connections.made.add(self)
        # By then what its client sent with the connection was read.
        self.loop.call_later(GRACE, self._ripen)

    def _ripen(self) -> None:
        self.ripe = True
        if self.waiting and not self.ended:
            self._connections.trim(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ended:
            self._connections.ending[self.network] -= 1
        self.ended = True
        self._connections.made.discard(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._moved = time.monotonic()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            self._admitted = True
            if not self._connections.admit(self):
                self.app = busy
        super().data_received(data)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._idle = False

    def on_response_complete(self) -> None:
        self._idle, self.since = True, time.monotonic()
        super().on_response_complete()


async def busy(scope: Any, receive: Any, send: Any) -> None:
    """Answer that there are too many connections."""
    error = ApiError(503, "busy", "too many connections", "close some, or try again in a moment")
    error.headers["Connection"] = "close"
    await error.answer()(scope, receive, send)


def _queued(transport: Any) -> int:
    """Bytes that the system holds of what was sent, since the client does not take them."""
    try:
        import fcntl
        import termios

        number = transport.get_extra_info("socket").fileno()
        return int.from_bytes(fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (ImportError, OSError, ValueError):
        return 0


class Door(socket.socket):
    """A listening socket that lets in as many as ``connections`` admit."""

    connections: Connections | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """As ``socket.accept`` without blocking; BlockingIOError also where others come first."""
        assert self.connections is not None
        if self.connections.full():
            raise BlockingIOError
        try:
            found, address = super().accept()
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self.connections.exhausted()
            raise BlockingIOError from None
        self.connections.enter(str(address[0]))
        visitor = _Visitor(found.family, found.type, found.proto, found.detach())
        visitor.entered, visitor.address = self.connections, str(address[0])
        return visitor, address


class _Visitor(socket.socket):
    """An accepted socket, which is counted until it is closed."""

    entered: Connections | None = None
    address = ""

    def close(self) -> None:
        entered, self.entered = self.entered, None
        super().close()
        if entered is not None:
            entered.leave(self.address)

    def __del__(self) -> None:
        self.close()
