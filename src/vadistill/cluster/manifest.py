"""The list of an archive's videos: a line each, added as it ends, never rewritten.

A re-run reads it and skips what is done.  Its name begins with a stroke, so that Arrow, and what is
built on it, reads the folder's tables as one and leaves it out.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from vadistill.errors import ConfigError
from vadistill.files import unwritable

NAME = "_manifest.jsonl"


class Manifest:
    """Lines of JSON in a folder, which one run at a time adds to: ``with Manifest(folder) as …``.

    ``lines`` has the last line of each video, by its place in the folder: that of its table, or
    where its results are other ``files``, the video's own path.
    Raises ConfigError where another run is at work, WeightsError where it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self.lines: dict[str, dict[str, Any]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._claim(folder)
        self._file.seek(0)
        lines = self._file.read().splitlines()
        for line in lines:
            # A line that a killed run wrote half of is none.
            with contextlib.suppress(ValueError, TypeError, KeyError):
                found = json.loads(line)
                self.lines[found["file"]] = found
        if lines:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read() != b"\n":
                self._file.write(b"\n")

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def done(self, file: str, key: str) -> dict[str, Any] | None:
        """The line of a video whose results are there, of their size, and of what ``key`` says.

        Of a line without ``sizes`` any size will do.
        """
        found = self.lines.get(file, {})
        if "error" in found or found.get("key") != key:
            return None
        files = found.get("files", [file])
        kept = found.get("sizes") or [None] * len(files)
        for each, size in zip(files, kept, strict=True):
            there = self._size(each)
            if there is None or size not in (None, there):
                return None
        return found

    def has_failed(self, file: str, key: str) -> bool:
        """Whether that is what an earlier run could not do."""
        found = self.lines.get(file, {})
        return "error" in found and found.get("key") == key

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line, which then is on the disk, with its files' sizes; raises WeightsError."""
        if "error" not in line:
            line = {**line, "sizes": [self._size(f) for f in line.get("files", [line["file"]])]}
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _size(self, file: str) -> int | None:
        """Bytes of a file of results, None where there is none."""
        path = self.folder / file
        return path.stat().st_size if path.is_file() else None

    def _claim(self, folder: Path) -> None:
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            return
        except BlockingIOError as error:
            self._file.close()
            raise ConfigError(
                f"{folder}, which another run writes to",
                expected="one at a time",
                fix="wait for that one, or choose another folder",
            ) from error
        except OSError:
            return  # a network's file system that has no locks
