"""News of what happens, to everybody who listens: the console's pages, the command line."""

from __future__ import annotations

import queue
import threading
from typing import Any

WAITING = 256
"""Messages that wait for a slow listener; the oldest go first."""


class Subscription:
    """One listener's messages, as (kind, data): ``with announcer.subscribe() as news``."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._messages: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue(WAITING)

    def get(self, timeout: float) -> tuple[str, dict[str, Any]] | None:
        """The next message, or None after ``timeout`` seconds without one."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def put(self, kind: str, data: dict[str, Any]) -> None:
        while True:
            try:
                return self._messages.put_nowait((kind, data))
            except queue.Full:
                self.get(0)

    def close(self) -> None:
        """Listen no more."""
        self._announcer.leave(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Announcer:
    """Hands each message to every subscription; never blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Subscription] = []

    def __len__(self) -> int:
        return len(self._listeners)

    def subscribe(self) -> Subscription:
        made = Subscription(self)
        with self._lock:
            self._listeners.append(made)
        return made

    def leave(self, listener: Subscription) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.put(kind, data)
