"""Events, scores and messages to sinks, in SQLite; clips and pictures beside it."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vadistill.errors import StorageError
from vadistill.serving.storage import records, retention
from vadistill.serving.storage.curves import Curves
from vadistill.serving.storage.database import Database
from vadistill.serving.storage.failures import unusable
from vadistill.serving.storage.false_alarms import FalseAlarms
from vadistill.serving.storage.outbox import PATIENCE, Outbox
from vadistill.serving.storage.records import Event, Message, Place, Pruned, Trail, Verdict

__all__ = ["Event", "Message", "Place", "Pruned", "Store", "Verdict"]

log = logging.getLogger("vadistill.serving")


class Store(Outbox, Curves, FalseAlarms):
    """``FOLDER/events.db`` and ``FOLDER/media``; one process at a time, any number of threads.

    What a method has written survives ``kill -9`` once it returns; openings and closings of
    events, verdicts and values also survive a power failure.  Every method raises StorageError
    when the disk is full or the file is damaged, and works again once that is mended; a damaged
    file is never deleted.
    """

    def __init__(self, folder: Path, *, sinks: Sequence[str] = ()) -> None:
        self.folder, self.media = Path(folder), Path(folder) / "media"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.media.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise unusable(self.folder, error) from error
        super().__init__(Database(self.folder / "events.db"), sinks)
        self.muted = {camera: (a, b) for camera, (a, b) in self.value(MUTED, {}).items()}
        self._muting = threading.Lock()
        """Held from a change of ``muted`` until that is kept, so that of two none is lost."""

    def open_event(
        self,
        camera: str,
        start: float,
        *,
        peak: float,
        level: float,
        frames: int = 1,
        place: Place | None = None,
        begins: float | None = None,
    ) -> Event:
        """Begin an event, and queue an "opened" message for every sink with it."""
        times = (float(start), float(start), begins)
        with self._database.writing(durable=True) as connection:
            id = connection.execute(
                "INSERT INTO events "
                "(camera, start, last, begins, peak, level, frames, box, zone, reason) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (camera, *times, float(peak), float(level), frames, *records.places(place)),
            ).lastrowid
            event = _event(connection, id)
            self._queue(connection, "opened", event)
        self._tell()
        return event

    def update_event(
        self,
        id: int,
        *,
        last: float,
        peak: float,
        frames: int,
        thumbnail: str | None = None,
        place: Place | None = None,
        trail: Trail | None = None,
        ends: float | None = None,
    ) -> None:
        """Note how far an open event has come; what is left out of the last four stays."""
        where = "box = ?, zone = ?, reason = ?, " if place else ""
        values = (float(last), float(peak), frames, *(records.places(place) if place else ()))
        with self._database.writing() as connection:
            connection.execute(
                f"UPDATE events SET last = ?, peak = ?, frames = ?, {where}"
                "thumbnail = coalesce(?, thumbnail), trail = coalesce(?, trail), "
                'ends = coalesce(?, ends) WHERE id = ? AND "end" IS NULL',
                (*values, records.plain(thumbnail), trail and trail.as_text(), ends, id),
            )

    def close_event(
        self,
        id: int,
        *,
        end: float,
        peak: float,
        frames: int,
        cause: str | None = None,
        ends: float | None = None,
    ) -> Event:
        """End an event, and queue a "closed" message with it; one that is closed stays as it is."""
        with self._database.writing(durable=True) as connection:
            changed = connection.execute(
                'UPDATE events SET "end" = ?, last = ?, peak = ?, frames = ?, cause = ?, '
                'ends = coalesce(?, ends) WHERE id = ? AND "end" IS NULL',
                (float(end), float(end), float(peak), frames, cause, ends, id),
            ).rowcount
            event = _event(connection, id)
            if changed:
                self._queue(connection, "closed", event)
        self._tell()
        return event

    def add_clip(self, id: int, clip: str) -> Event | None:
        """Note a closed event's clip, a name in ``media``, and queue a "clip" message with it.

        None: the event was removed meanwhile.
        """
        if self.event(id) is None:
            return None
        with self._database.writing(durable=True) as connection:
            connection.execute("UPDATE events SET clip = ? WHERE id = ?", (records.plain(clip), id))
            event = _event(connection, id)
            self._queue(connection, "clip", event)
        self._tell()
        return event

    def recover(self, now: float | None = None) -> list[Event]:
        """Close the events that a dead process left open, at their ``last``; call it at the start.

        A ``ID.part.mp4`` that is there becomes such an event's clip, and that of one which had
        ended without its clip.  Other files that belong to no event are removed, and so are names
        of files that are gone.
        """
        ids = [row["id"] for row in self._database.rows(OPEN)]
        ended = retention.clipless(self._database, self.media)
        whole = retention.adopt(self.media, [*ids, *ended])
        with self._database.writing(durable=True) as connection:
            events = []
            for id in ids:
                clip, thumbnail = (n if n in whole else None for n in (f"{id}.mp4", f"{id}.jpg"))
                connection.execute(
                    'UPDATE events SET "end" = last, interrupted = 1, cause = ?, clip = ?, '
                    "thumbnail = coalesce(thumbnail, ?) WHERE id = ?",
                    (DIED, clip, thumbnail, id),
                )
                events.append(_event(connection, id))
                self._queue(connection, "closed", events[-1], now)
        for id in ended:
            if f"{id}.mp4" in whole:
                self.add_clip(id, f"{id}.mp4")
        retention.sweep(self._database, self.media)
        for event in events:
            log.warning(
                "event %d of camera %s was open when the process ended: closed after %.1f s",
                event.id,
                event.camera,
                event.last - event.start,
            )
        self._tell()
        return events

    def event(self, id: int) -> Event | None:
        """The event with this number, if there is one."""
        found = self._database.rows("SELECT * FROM events WHERE id = ?", (id,))
        return records.event(found[0]) if found else None

    def events(
        self,
        *,
        camera: str | None = None,
        since: float | None = None,
        until: float | None = None,
        verdict: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Event]:
        """Events, newest first, at most ``limit``; ``before`` is the number of the last one seen.

        ``since`` and ``until`` keep those that overlap the time between them; ``verdict`` is
        "real", "false", or "none" for those that nobody has judged.
        """
        where, values = records.conditions(camera, since, until, verdict, before)
        found = self._database.rows(
            f"SELECT * FROM events WHERE {where} ORDER BY id DESC LIMIT ?",
            (*values, min(max(limit, 0), MOST)),
        )
        return [records.event(row) for row in found]

    def count_events(
        self,
        *,
        camera: str | None = None,
        since: float | None = None,
        until: float | None = None,
        verdict: str | None = None,
        before: int | None = None,
    ) -> int:
        """How many events the same filters let through."""
        where, values = records.conditions(camera, since, until, verdict, before)
        found = self._database.rows(f"SELECT count(*) FROM events WHERE {where}", values)
        return found[0][0] if found else 0

    def set_verdict(self, id: int, verdict: Verdict | None) -> Event | None:
        """What a person says of an event, or None to take it back; None: no such event."""
        if self.event(id) is None:
            return None
        with self._database.writing(durable=True) as connection:
            connection.execute("UPDATE events SET verdict = ? WHERE id = ?", (verdict, id))
        return self.event(id)

    def save_value(self, key: str, value: Any) -> None:
        """Keep a small JSON value, such as a camera's threshold."""
        with self._database.writing(durable=True) as connection:
            connection.execute(
                "INSERT INTO state VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, json.dumps(value)),
            )

    def value(self, key: str, default: Any = None) -> Any:
        """The value that was last saved under ``key``."""
        found = self._database.rows("SELECT value FROM state WHERE key = ?", (key,))
        return json.loads(found[0]["value"]) if found else default

    def mute(self, camera: str, begin: float, until: float) -> None:
        """Tell sinks of no event of a camera that begins between these times (Unix seconds)."""
        with self._muting:
            self.muted = {**self.muted, camera: (float(begin), float(until))}
            self.save_value(MUTED, self.muted)

    def muted_until(self, camera: str, now: float) -> float | None:
        """When a camera's events are told again, if they are not now."""
        begin, until = self.muted.get(camera, (0.0, 0.0))
        return until if begin <= now < until else None

    def newest(self) -> float | None:
        """The latest time of an event or a score, in unix seconds; None for an empty store."""
        return self._database.rows(NEWEST)[0][0]

    def prune(
        self, now: float, *, keep_days: float, keep_bytes: int, score_days: float = 7
    ) -> Pruned:
        """Remove what is too old, then clips and pictures until at most ``keep_bytes`` are left.

        The oldest go first, and of events marked real only files, after all others.  Events that
        lose their files to ``keep_bytes`` stay until they are ``keep_days`` old.  Open events and
        messages that wait stay in any case.  Raises StorageError for a file that cannot be removed,
        once all else is done.
        """
        done = retention.prune(self._database, self.media, now, keep_days, keep_bytes, score_days)
        if done != Pruned(0, 0, 0):
            log.info(
                "pruned %d events and %d files (%.1f MB)", done.events, done.files, done.bytes / 1e6
            )
        return done

    def close(self) -> None:
        """Let go of the folder; a second time does nothing."""
        self.settle()
        self._later.end()
        self._later.ended(PATIENCE)
        self._database.close()


MUTED = "muted"
"""The value that says which cameras are muted."""

DIED = "the process ended"
"""The cause of the end of an event that was open then."""

MOST = 2**62
"""Near enough to all of them."""

NEWEST = (
    'SELECT max(t) FROM (SELECT max(last) AS t FROM events UNION ALL SELECT max("end") FROM events '
    "UNION ALL SELECT max(last) FROM scores)"
)
OPEN = 'SELECT id FROM events WHERE "end" IS NULL ORDER BY id'


def _event(connection: sqlite3.Connection, id: int | None) -> Event:
    row = connection.execute("SELECT * FROM events WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise StorageError(
            f"no event {id}", expected="one that was opened", fix="it was removed meanwhile"
        )
    return records.event(row)
