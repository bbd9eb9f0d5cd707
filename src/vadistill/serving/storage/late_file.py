"""A file whose writing waits for no disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import FileIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from vadistill.serving.storage.later import Later

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MOST = 32 << 20
"""Bytes that wait for the disk at most."""

UNFINISHED: set[Path] = set()
"""Files that this process writes, and others that it works at: no one else's to take."""


class LateFile(RawIOBase):
    """A new file, with its folder, written ``later``.

    What goes wrong there ends it: it is removed, and ``failed`` hears of it in that thread.
    """

    def __init__(self, path: Path, later: Later, failed: Callable[[OSError], object]) -> None:
        super().__init__()
        self.path, self._later, self._failed = path, later, failed
        self.over = False
        """Whether something went wrong."""
        self._file: FileIO | None = None
        self._place = self._size = 0
        UNFINISHED.add(path)
        self._do(self._open)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Raises OSError where ``MOST`` bytes wait."""
        piece = bytes(data)
        if self._later.waiting + len(piece) > MOST:
            raise OSError(errno.EAGAIN, "the disk does not keep up")
        self._do(partial(self._write, self._place, piece), len(piece))
        self._place += len(piece)
        self._size = max(self._size, self._place)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}
        self._place = origin[whence] + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def take(self, name: Callable[[], Path]) -> None:
        """Complete it, and give it the name that is told once that is done."""
        self._do(partial(self._take, name))

    def discard(self) -> None:
        """Remove it."""
        self._do(self._remove)

    # -- in the thread that writes -------------------------------------------------------------

    def _do(self, work: Callable[[], None], size: int = 0) -> None:
        self._later.put(partial(self._done, work), size)

    def _done(self, work: Callable[[], None]) -> None:
        if self.over:
            return
        try:
            work()
        except OSError as error:
            self.over = True
            self._failed(error)
            with suppress(OSError):  # it is the disk that has failed
                self._remove()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = FileIO(self.path, "w")

    def _write(self, place: int, piece: bytes) -> None:
        assert self._file is not None
        if self._file.tell() != place:
            self._file.seek(place)
        left = memoryview(piece)
        while left:
            left = left[self._file.write(left) :]

    def _take(self, name: Callable[[], Path]) -> None:
        assert self._file is not None
        self._file.close()
        self.path.replace(name())
        UNFINISHED.discard(self.path)

    def _remove(self) -> None:
        self.over = True
        try:
            if self._file is not None:
                self._file.close()
            self.path.unlink(missing_ok=True)
        finally:
            UNFINISHED.discard(self.path)
