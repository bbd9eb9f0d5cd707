"""One SQLite file that several threads of one process share, and its tables."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from vadistill.errors import StorageError
from vadistill.files import private
from vadistill.serving.storage.failures import failure, slow, unusable

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
    ("ALTER TABLE events ADD COLUMN cause TEXT",),
    tuple(f"ALTER TABLE events ADD COLUMN {name} TEXT" for name in ("box", "zone", "reason")),
    (
        "ALTER TABLE events ADD COLUMN trail TEXT",
        """CREATE TABLE false_alarms (
            event INTEGER PRIMARY KEY,
            camera TEXT NOT NULL,
            of TEXT NOT NULL,
            trail TEXT NOT NULL,
            highest REAL NOT NULL,
            start REAL NOT NULL,
            held INTEGER NOT NULL DEFAULT 0,
            last REAL
        )""",
    ),
    tuple(f"ALTER TABLE events ADD COLUMN {name} REAL" for name in ("begins", "ends")),
    # Trails of boxes alone do not tell what is like them.
    ("UPDATE events SET trail = NULL", "DELETE FROM false_alarms"),
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


WAL_BYTES = 16 << 20
"""What the write-ahead log shrinks to after it was larger."""


class Database:
    """A connection and its lock; raises StorageError, after which it can be used again.

    The file is in WAL mode: what was committed survives the process being killed.  A commit with
    ``durable`` is on the disk as well and survives a power failure; others may lose the last
    half minute to one, never more than whole transactions.  A second process is turned away.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._claim = _claimed(path.with_suffix(".lock"))
        try:
            self._connection = self._opened()
        except BaseException:
            self._claim.close()
            raise

    def _opened(self) -> sqlite3.Connection:
        connection = None
        with contextlib.suppress(OSError):  # what SQLite says of it is clearer
            _owner_only(self.path)
        try:
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=10
            )
            connection.row_factory = sqlite3.Row
            if check(connection, self.path):
                # Once the file has a page it would take a VACUUM.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, sqlite3.Error):
                raise failure(self.path, error) from error
            raise
        return connection

    @contextlib.contextmanager
    def turn(self, patience: float = -1) -> Iterator[None]:
        """The connection for one thread; others let it have it within ``patience`` seconds, or
        however late (-1).  Raises StorageError where that takes longer: the disk hangs."""
        if not self._lock.acquire(timeout=patience):
            raise slow(self.path, patience)
        try:
            yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def writing(
        self, *, durable: bool = False, patience: float = -1
    ) -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends well, else as if it had not begun."""
        with self.turn(patience):
            try:
                if durable:
                    self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise failure(self.path, error) from error
            finally:
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    if durable:
                        self._connection.execute("PRAGMA synchronous = NORMAL")

    def rows(
        self, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), *, patience: float = -1
    ) -> list[sqlite3.Row]:
        """All rows of a query; none for values that no row can hold (2**70, half a character)."""
        with self.turn(patience):
            try:
                return self._connection.execute(sql, values).fetchall()
            except (OverflowError, UnicodeEncodeError):
                return []
            except sqlite3.Error as error:
                raise failure(self.path, error) from error

    def close(self) -> None:
        """Fold the log into the file and let go of it; a second time does nothing."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._claim.close()


def _owner_only(path: Path) -> None:
    """Let nobody else read the file and its log, which has the same permissions; raises OSError."""
    open(path, "ab", opener=private).close()
    for each in (path, *path.parent.glob(f"{path.name}-*")):
        each.chmod(0o600)


def _claimed(path: Path) -> IO[str]:
    """The open lock file, held until it is closed or the process ends, however it does."""
    try:
        file = path.open("a+")
    except OSError as error:
        raise unusable(path.parent, error) from error
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise StorageError(
                f"{path.parent} is in use by another vadistill (process {holder or 'unknown'})",
                expected="one at a time",
                fix="stop that one, or choose another storage folder",
            ) from error
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file
