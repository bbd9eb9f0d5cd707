"""Takes messages from the store's outbox to their sinks, at least once each."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from vadistill.errors import StorageError
from vadistill.serving.log_limit import Repeats
from vadistill.serving.sinks.base import DeliveryError, Glance, Refused, Sink
from vadistill.serving.storage.outbox import Outbox
from vadistill.serving.storage.records import Message

log = logging.getLogger("vadistill.serving")

POLL = 1.0
"""Seconds between looks into the outbox that nobody asked for."""

LEAP = 1.0
"""Seconds by which a clock is off that was set."""

ODD = 2
"""Failures after which a message on how a part fares waits by itself, and events go ahead."""


class Dispatcher:
    """One thread a sink, so that one that is down or slow holds up no other.

    A sink that cannot be reached is tried again after ``backoff[0]`` seconds, then twice as long
    and so on up to ``backoff[1]``, each time with its oldest message; one message that a sink
    refuses waits likewise between ``slow[0]`` and ``slow[1]`` while others go on.  Nothing is ever
    given up.  Sinks that use them have the folder of pictures, ``media``, and ``mute``, which mutes
    a camera for so many minutes.
    """

    def __init__(
        self,
        store: Outbox,
        sinks: Sequence[Sink],
        *,
        backoff: tuple[float, float] = (1.0, 300.0),
        slow: tuple[float, float] = (60.0, 3600.0),
        media: Path | None = None,
        mute: Callable[[str, float], object] | None = None,
    ) -> None:
        self._store, self._backoff, self._slow = store, backoff, slow
        self._given = {"media": media, "mute": mute}
        self._started = False
        self._couriers = [self._courier(sink) for sink in sinks]

    def start(self) -> None:
        """Begin; messages that the store queues from now on are sent at once."""
        self._started, self._store.queued = True, self.wake
        for courier in self._couriers:
            courier.start()

    def add(self, sink: Sink, cameras: Sequence[str]) -> None:
        """Serve another sink, which learns which cameras there are; one that shows it has
        ``alarmed``, those whose event is open.  Raises StorageError."""
        courier, taker = self._courier(sink), cast(Any, sink)
        if hasattr(sink, "alarmed"):
            taker.alarmed = self._store.alarmed()
        sink.announce(cameras)
        self._couriers = [*self._couriers, courier]
        if self._started:
            courier.start()

    def _courier(self, sink: Sink) -> _Courier:
        for name, value in self._given.items():
            if value is not None and hasattr(sink, name):
                setattr(sink, name, value)
        return _Courier(self._store, sink, self._backoff, self._slow)

    def remove(self, name: str, timeout: float = 5.0) -> None:
        """Serve it no longer; receivers that keep a list of cameras drop them."""
        gone = [courier for courier in self._couriers if courier.sink.name == name]
        self._couriers = [courier for courier in self._couriers if courier not in gone]
        for courier in gone:
            courier.sink.announce(())
            courier.end()
            if courier.ident is not None:
                courier.join(timeout)

    def stop(self, timeout: float = 5.0) -> None:
        """End within ``timeout`` seconds; what is under way may be sent again by the next start."""
        deadline = time.monotonic() + timeout
        if self._store.queued == self.wake:
            self._store.queued = None
        for courier in self._couriers:
            courier.end()
        for courier in self._couriers:
            if courier.ident is not None:
                courier.join(max(deadline - time.monotonic(), 0))

    def wake(self) -> None:
        """Look into the outbox now."""
        for courier in self._couriers:
            courier.wake.set()

    def announce(self, cameras: Sequence[str]) -> None:
        """Tell the sinks which cameras there are."""
        for courier in self._couriers:
            courier.sink.announce(cameras)

    def show(self, cameras: Mapping[str, Glance]) -> None:
        """Tell the sinks that show it how cameras are, by name."""
        for courier in self._couriers:
            show = getattr(courier.sink, "show", None)
            if show is not None:
                show(cameras)

    def troubles(self) -> dict[str, str]:
        """Why each sink fails; '' for those that work."""
        return {
            courier.sink.name: (courier.last_error or "") if courier.state == "failing" else ""
            for courier in self._couriers
        }

    def status(self) -> list[dict[str, Any]]:
        """A sink's name, kind, describe, state, pending, delivered, failures and last_error each.

        The state is "ok", "failing" or "stopped"; counts are since the start, but ``pending`` is
        what the outbox holds; raises StorageError.
        """
        pending = self._store.pending()
        return [
            {
                "name": courier.sink.name,
                "kind": courier.sink.kind,
                "describe": courier.sink.describe(),
                "state": courier.state,
                "pending": pending.get(courier.sink.name, 0),
                "delivered": courier.delivered,
                "failures": courier.failures,
                "last_error": courier.last_error,
            }
            for courier in self._couriers
        ]


class _Courier(threading.Thread):
    """What serves one sink."""

    def __init__(
        self,
        store: Outbox,
        sink: Sink,
        backoff: tuple[float, float],
        slow: tuple[float, float],
    ) -> None:
        super().__init__(name=f"sink-{sink.name}", daemon=True)
        self.store, self.sink, self.backoff, self.slow = store, sink, backoff, slow
        self.wake, self._back, self._over = (threading.Event() for _ in range(3))
        self.state: Literal["ok", "failing", "stopped"] = "stopped"
        self.delivered = self.failures = 0
        self.last_error: str | None = None
        self._ahead = time.time() - time.monotonic()
        self._row = 0
        """Failures since the last success."""
        self._losses = Repeats()
        self._arrived: dict[str, Message] = {}
        """Messages that arrived but could not be marked so, by key: they must not be sent again."""
        sink.restored = self._restored

    def end(self) -> None:
        self._over.set()
        self._back.set()
        self.wake.set()

    def _restored(self) -> None:
        self._back.set()
        self.wake.set()

    def run(self) -> None:
        self.state = "ok"
        self._back.set()
        try:
            self.sink.start()
            while not self._over.is_set():
                self.wake.clear()
                try:
                    pause = self._round()
                except StorageError as error:
                    if self.last_error != str(error):
                        log.warning("sink %s waits: %s", self.sink.name, error)
                    self.last_error = str(error)
                    self._over.wait(POLL)
                    continue
                if pause is None:
                    continue
                if self._row:
                    self._back.wait(pause)
                else:
                    self.wake.wait(pause)
        finally:
            self.state = "stopped"
            self.sink.close()

    def _round(self) -> float | None:
        """Send what is due; returns the seconds to wait, None where there is more."""
        ahead = time.time() - time.monotonic()
        if abs(ahead - self._ahead) > LEAP:  # the clock was set: when to try again is not known
            self._ahead = ahead
            self._back.set()
        fault = self._mark()
        messages = self.store.due(self.sink.name, time.time())
        messages = [message for message in messages if message.key not in self._arrived]
        refused: set[int] = set()
        for message in messages:
            if self._over.is_set():
                break
            if message.event in refused:
                continue
            try:
                self.sink.deliver(message)
            except Exception as error:
                # Receivers that only know events must not be kept from these.
                odd = not message.of_event and message.attempts >= ODD
                one = isinstance(error, Refused) or odd
                delay = self._failed(message, error, one)
                if not one:
                    return delay
                refused.add(message.event)
                continue
            self._arrived[message.key] = message
            self._succeeded()
            self.store.delivered(message)
            del self._arrived[message.key]
        if fault is not None:
            raise fault
        return None if messages else POLL

    def _mark(self) -> StorageError | None:
        """Note in the store what has happened; why it could not be, if it could not."""
        try:
            for key, message in tuple(self._arrived.items()):
                self.store.delivered(message)
                del self._arrived[key]
            if self._back.is_set():
                self.store.hasten(self.sink.name)
                self._back.clear()
        except StorageError as error:  # a full disk: messages go all the same
            return error
        return None

    def _succeeded(self) -> None:
        if self._row:
            words = "sink %s delivers again after %d failures"
            self._losses.works(words, self.sink.name, self._row)
        self.state, self._row, self.last_error = "ok", 0, None
        self.delivered += 1

    def _failed(self, message: Message, error: Exception, refused: bool) -> float:
        self.failures += 1
        self._row += not refused
        self.last_error = _shown(error)
        self.state = "failing"
        first, longest = self.slow if refused else self.backoff
        times = message.attempts if refused else self._row - 1
        # Jitter: many senders must not come back all at once.
        delay = min(first * 2 ** min(times, 30), longest) * random.uniform(0.8, 1.2)
        # What is refused is of one message, else all wait for the oldest.
        reason = f"{message.key}: {self.last_error}" if refused else self.last_error
        self._losses.warning(
            reason,
            "sink %s: %s; message %s is tried again in %.0f s",
            self.sink.name,
            self.last_error,
            message.key,
            delay,
        )
        self.store.failed(message, self.last_error, time.time() + delay)
        return delay


def _shown(error: Exception) -> str:
    """What may be shown of an error: others than DeliveryError can hold an address whole."""
    if isinstance(error, DeliveryError):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__
