"""Messages that wait for their sinks, in the database that holds what they tell of."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from vadistill.errors import StorageError
from vadistill.serving.storage import records
from vadistill.serving.storage.database import Database
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.records import Event, Kind, Message

AHEAD = 7200.0
"""Seconds: a retry that is due later than this was set by a clock that has since gone back."""

PATIENCE = 5.0
"""Seconds that sinks, and who tells them, wait for a database whose disk hangs; what is kept in
memory is sent then."""

HELD = 1000
"""Messages that are kept in memory at most while the disk refuses them; the oldest go first."""


class Outbox:
    """The part of ``Store`` that sinks are served from."""

    def __init__(self, database: Database, sinks: Sequence[str]) -> None:
        self.sinks: tuple[str, ...] = tuple(sinks)
        """Names that new messages are queued for."""
        self.queued: Callable[[], None] | None = None
        """Called after messages were queued, in the thread that did so."""
        self.muted: dict[str, tuple[float, float]] = {}
        """From when to when (Unix seconds) of which cameras no events are told."""
        self._database = database
        self._held: list[tuple[Message, float]] = []
        """Messages that the disk refuses, with when they are due; their ids are below 0."""
        self._writing: set[int] = set()
        """Ids of those that are being written, and may be in the database already."""
        self._holding = threading.Lock()
        """Of the two; nobody waits for the disk while holding it."""
        self._later = Later("outbox")
        row = database.rows("SELECT value FROM state WHERE key = 'store.instance'")[0]
        self.instance: str = json.loads(row["value"])
        """Which store this is, of all there are."""

    def due(self, sink: str, now: float, limit: int = 20) -> list[Message]:
        """Messages that a sink should be sent now, oldest first.

        An event's "closed" is not due while its "opened" waits for another try.
        """
        late = "(next_try > :now AND next_try <= :ahead)"
        refused = None
        try:
            found = self._database.rows(
                f"SELECT * FROM messages AS m WHERE sink = :sink AND NOT {late} "
                "AND NOT EXISTS (SELECT 1 FROM messages AS earlier WHERE earlier.sink = m.sink "
                f"AND earlier.event = m.event AND earlier.id < m.id AND {late}) "
                "ORDER BY id LIMIT :limit",
                {"sink": sink, "now": now, "ahead": now + AHEAD, "limit": limit},
                patience=PATIENCE,
            )
        except StorageError as error:
            found, refused = [], error
        with self._holding:  # after the database: what was put there meanwhile comes only once
            held = [
                message
                for message, at in self._held
                if message.sink == sink and not now < at <= now + AHEAD
            ]
        if refused is not None and not held:
            raise refused
        return [*(records.message(row) for row in found), *held]

    def delivered(self, message: Message) -> None:
        """It arrived, and is not sent again."""
        with self._holding:
            only_held = self._only_held(message)
            self._held = [(m, at) for m, at in self._held if m.id != message.id]
        if not only_held:
            with self._database.writing(patience=PATIENCE) as connection:
                connection.execute(
                    "DELETE FROM messages WHERE sink = ? AND key = ?", (message.sink, message.key)
                )

    def failed(self, message: Message, error: str, next_try: float) -> None:
        """It did not arrive; it is due again at ``next_try`` (Unix seconds)."""
        with self._holding:
            only_held = self._only_held(message)
            self._held = [
                (replace(m, attempts=m.attempts + 1), next_try) if m.id == message.id else (m, at)
                for m, at in self._held
            ]
        if not only_held:
            with self._database.writing(patience=PATIENCE) as connection:
                connection.execute(
                    "UPDATE messages SET attempts = attempts + 1, error = ?, next_try = ? "
                    "WHERE sink = ? AND key = ?",
                    (error, float(next_try), message.sink, message.key),
                )

    def _only_held(self, message: Message) -> bool:
        """Whether it is in memory and surely not in the database, too."""
        return message.id not in self._writing and any(m.id == message.id for m, _ in self._held)

    def hasten(self, sink: str) -> None:
        """What waits for a sink is due at once: it is there again, or was mended."""
        with self._holding:
            self._held = [(m, 0.0 if m.sink == sink else at) for m, at in self._held]
        with self._database.writing(patience=PATIENCE) as connection:
            connection.execute("UPDATE messages SET next_try = 0 WHERE sink = ?", (sink,))

    def pending(self) -> dict[str, int]:
        """How many messages wait, by sink."""
        found = self._database.rows("SELECT sink, count(*) FROM messages GROUP BY sink")
        counts = {**dict.fromkeys(self.sinks, 0), **{name: count for name, count in found}}
        with self._holding:
            for message, _ in self._held:
                counts[message.sink] = counts.get(message.sink, 0) + 1
        return counts

    def forget_sink(self, name: str) -> None:
        """Drop the messages of a sink that is no more."""
        with self._holding:
            self._held = [(m, at) for m, at in self._held if m.sink != name]
        with self._database.writing() as connection:
            connection.execute("DELETE FROM messages WHERE sink = ?", (name,))

    def alarmed(self) -> list[str]:
        """Cameras with an open event that sinks are told of."""
        rows = self._database.rows('SELECT * FROM events WHERE "end" IS NULL')
        return [event.camera for event in map(records.event, rows) if not self._untold(event)]

    def notify(
        self,
        kind: Kind,
        *,
        part: str,
        name: str,
        cause: str,
        since: float,
        sinks: Sequence[str] | None = None,
    ) -> None:
        """Queue a message for every sink, or for ``sinks``, on how a part of the server fares.

        What a full disk refuses, or one that hangs, is kept in memory, and sent from there.
        """
        now = time.time()
        token, subject = secrets.token_hex(8), -1 - zlib.crc32(f"{part} {name}".encode())
        key = f"{self.instance}-{token}-{kind}"
        body: dict[str, Any] = {
            "key": key,
            "kind": kind,
            "camera": name if part in ("camera", "level") else None,
            "event": None,
            "part": part,
            "name": name,
            "cause": cause,
            "since": since,
            "time": now,
        }
        with self._holding:
            for sink in self.sinks if sinks is None else sinks:
                number = -1 - secrets.randbits(62)
                message = Message(number, sink, key, kind, body, 0, now, subject)
                self._held.append((message, 0.0))
            del self._held[:-HELD]
        self.settle()
        self._tell()

    def probe(self) -> None:
        """Write a little to the database; raises StorageError where that fails."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO state VALUES ('probe', '0')")

    def settle(self) -> None:
        """Put messages that are kept in memory into the database, if it takes them."""
        if self._held:
            self.patiently(self._settle)

    def patiently(self, task: Callable[[], object]) -> bool:
        """Write something in a thread that may hang, and wait ``PATIENCE`` seconds for it.

        False: the disk refuses it, or hangs.  What hangs is still written once the disk answers;
        until then, further tasks are left out at once.
        """
        begun, taken = self._later.begun, threading.Event()

        def attempt() -> None:
            with suppress(StorageError):
                task()
                taken.set()

        if begun is None or time.monotonic() - begun < PATIENCE:
            self._later.put(attempt)
            self._later.flush(PATIENCE)
        return taken.is_set()

    def _settle(self) -> None:
        with self._database.turn():  # until they are gone from memory: sinks see each once
            with self._holding:
                held = tuple(self._held)
                self._writing = {message.id for message, _ in held}
            rows = [
                (m.sink, m.key, m.kind, m.event, json.dumps(m.body), m.created, m.attempts, at)
                for m, at in held
            ]
            try:
                with self._database.writing(durable=True) as connection:
                    connection.executemany(
                        "INSERT OR IGNORE INTO messages "
                        "(sink, key, kind, event, body, created, attempts, next_try) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        rows,
                    )
                with self._holding:
                    self._held = [(m, at) for m, at in self._held if m.id not in self._writing]
            finally:
                with self._holding:
                    self._writing = set()

    def _queue(
        self, connection: sqlite3.Connection, kind: Kind, event: Event, now: float | None = None
    ) -> None:
        """Put a message for every sink into the outbox, in the transaction of what it tells.

        None of an event that began while its camera was muted.
        """
        if self._untold(event):
            return
        key = f"{self.instance}-{event.id}-{kind}"
        body = {"key": key, "kind": kind, "camera": event.camera, "event": event.as_json()}
        created = time.time() if now is None else now
        connection.executemany(
            "INSERT OR IGNORE INTO messages (sink, key, kind, event, body, created) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(sink, key, kind, event.id, json.dumps(body), created) for sink in self.sinks],
        )

    def _untold(self, event: Event) -> bool:
        begin, until = self.muted.get(event.camera, (0.0, 0.0))
        return begin <= event.start < until

    def _tell(self) -> None:
        if self.queued is not None:
            self.queued()
