"""Messages that wait for their sinks, in the database that holds what they tell of."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence

from vadistill.serving.storage import records
from vadistill.serving.storage.database import Database
from vadistill.serving.storage.records import Event, Kind, Message

AHEAD = 7200.0
"""Seconds: a retry that is due later than this was set by a clock that has since gone back."""


class Outbox:
    """The part of ``Store`` that sinks are served from."""

    def __init__(self, database: Database, sinks: Sequence[str]) -> None:
        self.sinks: tuple[str, ...] = tuple(sinks)
        """Names that new messages are queued for."""
        self.queued: Callable[[], None] | None = None
        """Called after messages were queued, in the thread that did so."""
        self._database = database
        row = database.rows("SELECT value FROM state WHERE key = 'store.instance'")[0]
        self._instance = json.loads(row["value"])

    def due(self, sink: str, now: float, limit: int = 20) -> list[Message]:
        """Messages that a sink should be sent now, oldest first.

        An event's "closed" is not due while its "opened" waits for another try.
        """
        late = "(next_try > :now AND next_try <= :ahead)"
        found = self._database.rows(
            f"SELECT * FROM messages AS m WHERE sink = :sink AND NOT {late} "
            "AND NOT EXISTS (SELECT 1 FROM messages AS earlier WHERE earlier.sink = m.sink "
            f"AND earlier.event = m.event AND earlier.id < m.id AND {late}) "
            "ORDER BY id LIMIT :limit",
            {"sink": sink, "now": now, "ahead": now + AHEAD, "limit": limit},
        )
        return [records.message(row) for row in found]

    def delivered(self, id: int) -> None:
        """A message arrived: it is not sent again."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM messages WHERE id = ?", (id,))

    def failed(self, id: int, error: str, next_try: float) -> None:
        """A message did not arrive; it is due again at ``next_try`` (Unix seconds)."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE messages SET attempts = attempts + 1, error = ?, next_try = ? WHERE id = ?",
                (error, float(next_try), id),
            )

    def hasten(self, sink: str) -> None:
        """What waits for a sink is due at once: it is there again, or was mended."""
        with self._database.writing() as connection:
            connection.execute("UPDATE messages SET next_try = 0 WHERE sink = ?", (sink,))

    def pending(self) -> dict[str, int]:
        """How many messages wait, by sink."""
        found = self._database.rows("SELECT sink, count(*) FROM messages GROUP BY sink")
        return {**dict.fromkeys(self.sinks, 0), **{name: count for name, count in found}}

    def forget_sink(self, name: str) -> None:
        """Drop the messages of a sink that is no more."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM messages WHERE sink = ?", (name,))

    def _queue(
        self, connection: sqlite3.Connection, kind: Kind, event: Event, now: float | None = None
    ) -> None:
        """Put a message for every sink into the outbox, in the transaction of what it tells."""
        key = f"{self._instance}-{event.id}-{kind}"
        body = {"key": key, "kind": kind, "camera": event.camera, "event": event.as_json()}
        created = time.time() if now is None else now
        connection.executemany(
            "INSERT OR IGNORE INTO messages (sink, key, kind, event, body, created) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(sink, key, kind, event.id, json.dumps(body), created) for sink in self.sinks],
        )

    def _tell(self) -> None:
        if self.queued is not None:
            self.queued()
