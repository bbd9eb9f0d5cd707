"""Which events and files go when they are too old or too large, and what a crash left behind."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vadistill.errors import StorageError
from vadistill.serving.storage.database import Database
from vadistill.serving.storage.failures import unusable
from vadistill.serving.storage.records import Pruned

log = logging.getLogger("vadistill.serving")

DAY = 86_400.0
BATCH = 100
"""Rows that one transaction removes, so that a camera's thread never waits long."""
PAGES = 1000
"""Free pages that the file may keep, and that go back to the disk at once."""
OWN = re.compile(r"\.?[0-9]+\..+")
"""Files that belong to an event by their name: ``7.mp4``, ``7.part.mp4``, ``.7.abc.jpg``."""


def files(media: Path) -> dict[str, int]:
    """Names and bytes of the files in a folder; raises StorageError."""
    try:
        return {e.name: e.stat().st_size for e in os.scandir(media) if e.is_file()}
    except FileNotFoundError:
        # A clip was renamed between its listing and its size.
        return {p.name: p.stat().st_size for p in media.iterdir() if p.exists()}
    except OSError as error:
        raise unusable(media, error) from error


def adopt(media: Path, ids: Sequence[int]) -> set[str]:
    """Let ``ID.part.mp4`` of interrupted events take its final name; the names that are there.

    A kill between this and the commit that follows is mended by the next start.
    """
    found = {name for name, size in files(media).items() if size}
    for id in ids:
        part, clip = f"{id}.part.mp4", f"{id}.mp4"
        if part in found and clip not in found:
            try:
                (media / part).replace(media / clip)
            except OSError as error:
                raise unusable(media, error) from error
            found = (found - {part}) | {clip}
    return found


def clipless(database: Database, media: Path) -> list[int]:
    """Closed events without a clip, of which there is one: a dead process had not noted it."""
    left = (re.fullmatch(r"([0-9]+)(?:\.part)?\.mp4", name) for name in files(media))
    ids = {int(match[1]) for match in left if match}
    rows = database.rows(BARE) if ids else ()
    return [row["id"] for row in rows if row["id"] in ids]


def sweep(database: Database, media: Path) -> None:
    """Bring names and files together after a crash; only while nothing writes clips."""
    there = files(media).keys()
    known: set[str] = set()
    for row in database.rows(NAMED):
        clip, thumbnail = (name if name in there else None for name in (row["clip"], row["thumb"]))
        known |= {name for name in (clip, thumbnail) if name}
        if (clip, thumbnail) != (row["clip"], row["thumb"]):
            with database.writing() as connection:
                connection.execute(
                    "UPDATE events SET clip = ?, thumbnail = ? WHERE id = ?",
                    (clip, thumbnail, row["id"]),
                )
    for name in there - known:
        if OWN.fullmatch(name):
            _remove(media, [name])


def _remove(
    media: Path, names: Iterable[str | None], refused: list[str] | None = None
) -> tuple[int, int]:
    """Delete files; returns how many went and their bytes; ``refused`` gets what could not."""
    count = size = 0
    for path in {media / name for name in names if name}:
        try:
            length = path.stat().st_size
            path.unlink()
            count, size = count + 1, size + length
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("cannot remove %s (%s)", path.name, error.strerror)
            if refused is not None:
                refused.append(f"{path.name} ({error.strerror})")
    return count, size


def prune(
    database: Database,
    media: Path,
    now: float,
    keep_days: float,
    keep_bytes: int,
    score_days: float,
) -> Pruned:
    """What ``Store.prune`` does.

    Files go before their rows: on a full disk that makes the room which the rows' removal needs,
    and what a kill leaves half done is the oldest again next time.
    """
    events = count = freed = 0
    refused: list[str] = []
    while old := database.rows(OLD, (now - keep_days * DAY, BATCH)):
        names = (name for row in old for name in (row["clip"], row["thumb"]))
        gone = _remove(media, names, refused)
        count, freed = count + gone[0], freed + gone[1]
        with database.writing() as connection:
            connection.executemany("DELETE FROM events WHERE id = ?", [(r["id"],) for r in old])
        events += len(old)
    excess = sum(files(media).values()) - keep_bytes
    bare: list[tuple[int]] = []
    for row in database.rows(BULKY) if excess > 0 else ():
        if excess <= 0:
            break
        gone = _remove(media, (row["clip"], row["thumb"]), refused)
        count, freed, excess = count + gone[0], freed + gone[1], excess - gone[1]
        bare.append((row["id"],))
    for first in range(0, len(bare), BATCH):
        with database.writing() as connection:
            connection.executemany(
                "UPDATE events SET clip = NULL, thumbnail = NULL WHERE id = ?",
                bare[first : first + BATCH],
            )
    while database.rows(OLD_SCORES, (now - score_days * DAY, 1)):
        with database.writing() as connection:
            connection.execute(
                f"DELETE FROM scores WHERE id IN ({OLD_SCORES})", (now - score_days * DAY, BATCH)
            )
    while database.rows("PRAGMA freelist_count")[0][0] > PAGES:
        database.rows(f"PRAGMA incremental_vacuum({PAGES})")
    if refused:
        raise StorageError(
            f"cannot remove {refused[0]}",
            expected="a disk that lets go of files",
            fix="check it; the next start tries again",
        )
    return Pruned(events, count, freed)


NAMED = (
    "SELECT id, clip, thumbnail AS thumb FROM events "
    "WHERE (clip IS NOT NULL OR thumbnail IS NOT NULL)"
)
BULKY = f"""{NAMED} AND "end" IS NOT NULL ORDER BY verdict IS 'real', id"""
BARE = """SELECT id FROM events WHERE "end" IS NOT NULL AND clip IS NULL"""
OLD = (
    "SELECT id, clip, thumbnail AS thumb FROM events "
    """WHERE "end" < ? AND verdict IS NOT 'real' ORDER BY id LIMIT ?"""
)
OLD_SCORES = "SELECT id FROM scores WHERE last < ? ORDER BY last LIMIT ?"
