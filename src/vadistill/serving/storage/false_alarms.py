"""Events that people called false alarms, as long as they hold back what is like them."""

from __future__ import annotations

from dataclasses import replace

from vadistill.serving.storage.database import Database
from vadistill.serving.storage.records import Event, FalseAlarm, Trail

MOST = 200
"""False alarms of a camera that are remembered; the oldest go first."""

HIGHER = 0.1
"""How far above the level, in parts of how far the event was, a score is still like it."""


class FalseAlarms:
    """The part of ``Store`` that remembers them, longer than the events themselves."""

    _database: Database

    def remember(self, event: Event) -> bool:
        """Remember an event.

        False: it does not tell where it was, so that nothing can be told to be like it.
        """
        if event.trail is None or not event.trail.steps:
            return False
        steps = tuple(
            step._replace(score=step.score + HIGHER * max(step.score - event.level, 0.0))
            for step in event.trail.steps
        )
        trail = replace(event.trail, steps=steps)
        highest = max(step.score for step in steps)
        with self._database.writing(durable=True) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO false_alarms (event, camera, of, trail, highest, start) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    event.id,
                    event.camera,
                    event.trail.of,
                    trail.as_text(),
                    highest,
                    event.start,
                ),
            )
            connection.execute(
                "DELETE FROM false_alarms WHERE camera = ? AND event NOT IN (SELECT event "
                "FROM false_alarms WHERE camera = ? ORDER BY event DESC LIMIT ?)",
                (event.camera, event.camera, MOST),
            )
        return True

    def forget(self, event: int) -> bool:
        """Hold nothing back for an event any more; False: that was so already."""
        with self._database.writing(durable=True) as connection:
            found = connection.execute("DELETE FROM false_alarms WHERE event = ?", (event,))
            return found.rowcount > 0

    def remembered(self, camera: str, of: str) -> list[FalseAlarm]:
        """What is remembered of a camera with the model and view ``of``, newest first."""
        found = self._database.rows(
            "SELECT event, camera, trail, start, held, last FROM false_alarms "
            "WHERE camera = ? AND of = ? ORDER BY event DESC",
            (camera, of),
        )
        return [
            FalseAlarm(**{**dict(row), "trail": Trail.from_text(row["trail"])}) for row in found
        ]

    def note_held(self, event: int, when: float) -> None:
        """One more time something was held back, at a time in Unix seconds."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE false_alarms SET held = held + 1, last = ? WHERE event = ?", (when, event)
            )
