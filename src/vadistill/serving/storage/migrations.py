"""The tables of the store, and the steps that bring an older file up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from vadistill.errors import StorageError

APPLICATION = int.from_bytes(b"vadi", "big")
"""SQLite's application_id of a store, which tells it from other programs' databases."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            camera TEXT NOT NULL,
            start REAL NOT NULL,
            "end" REAL,
            last REAL NOT NULL,
            peak REAL NOT NULL,
            level REAL NOT NULL,
            frames INTEGER NOT NULL,
            verdict TEXT CHECK (verdict IN ('real', 'false')),
            interrupted INTEGER NOT NULL DEFAULT 0,
            clip TEXT,
            thumbnail TEXT
        )""",
        "CREATE INDEX events_of_camera ON events (camera, id)",
        'CREATE INDEX open_events ON events (id) WHERE "end" IS NULL',
        """CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            sink TEXT NOT NULL,
            key TEXT NOT NULL,
            kind TEXT NOT NULL,
            event INTEGER NOT NULL,
            body TEXT NOT NULL,
            created REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            next_try REAL NOT NULL DEFAULT 0,
            error TEXT,
            UNIQUE (sink, key)
        )""",
        "CREATE INDEX messages_of_sink ON messages (sink)",
        "CREATE INDEX messages_of_event ON messages (sink, event, id)",
        """CREATE TABLE scores (
            id INTEGER PRIMARY KEY,
            camera TEXT NOT NULL,
            first REAL NOT NULL,
            last REAL NOT NULL,
            times BLOB NOT NULL,
            scores BLOB NOT NULL
        )""",
        "CREATE INDEX scores_of_camera ON scores (camera, last)",
        "CREATE INDEX scores_by_age ON scores (last)",
        "CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "INSERT INTO state VALUES ('store.instance', json_quote(lower(hex(randomblob(8)))))",
    ),
)
"""What each version adds to the one before; a released step is never changed."""


def check(
    connection: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS
) -> bool:
    """Whether the file is still empty; it is only read.

    Raises StorageError for a newer file and for another program's, sqlite3.Error for a damaged one.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if not (mark == APPLICATION or (empty and version == 0)):
        raise StorageError(
            f"{path} was made by another program",
            expected="a store of vadistill, or no such file",
            fix="choose another storage folder",
        )
    if version > len(steps):
        raise StorageError(
            f"{path} has version {version}",
            expected=f"at most {len(steps)}: a newer vadistill wrote it",
            fix="install that version again, or choose another storage folder",
        )
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    return empty


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> int:
    """Bring the file to the newest version, one transaction a step; returns how many were taken."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number in range(version, len(steps)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in steps[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return len(steps) - version
