"""What can go wrong with a store's folder and its database, in a line each."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from vadistill.errors import StorageError


def slow(path: Path, seconds: float) -> StorageError:
    """The one line for a database whose disk hangs."""
    return StorageError(
        f"{path} did not answer within {seconds:g} s",
        expected="a working disk",
        fix="see what holds it up; what waits is written once it answers",
    )


def unusable(folder: Path, error: OSError) -> StorageError:
    """The one line for a storage folder that cannot be made or written."""
    return StorageError(
        f"cannot use {folder} ({error.strerror or error})",
        expected="a writable folder",
        fix="check its permissions, or choose another storage folder",
    )


def failure(path: Path, error: sqlite3.Error) -> StorageError:
    """The one line for what SQLite says: a full disk, a damaged file, no permission, …"""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    # A file beyond a quota or limit is an input/output error to SQLite.
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StorageError(
            f"cannot write {path} ({said})",
            expected="free space and a working disk",
            fix="free some space, or lower keep_days and keep_gb; what was stored before is whole",
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StorageError(
            f"cannot open {path} for writing ({said})",
            expected="a writable file in a writable folder",
            fix="check their permissions, or choose another storage folder",
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(
            f"{path} is locked ({said})",
            expected="no other program that writes to it",
            fix="close the other program",
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or (
        isinstance(error, sqlite3.DatabaseError)
        and primary is None
        and code is None
        and not isinstance(error, sqlite3.ProgrammingError)
    ):
        return StorageError(
            f"{path} is damaged ({said})",
            expected="a whole SQLite database",
            fix=f"move it away to begin anew, or restore a copy; 'sqlite3 {path.name} .recover' "
            "saves what can be read",
        )
    return StorageError(
        f"{path}: {said}",
        expected="a store that is open and whole",
        fix="start the server again",
    )
