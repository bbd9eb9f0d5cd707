"""What waits for a disk, in a thread of its own: cameras go on while it hangs."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("vadistill.serving")

WAITING = 256
"""Tasks that wait before pictures are left out of further ones."""


class Later:
    """Does what it is given, one after the other; ``name`` is the thread's.

    Nothing is refused, and who gives it waits for nothing: what may be left out is where it is
    ``crowded``.
    """

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._starting, self._started = threading.Lock(), False

    @property
    def crowded(self) -> bool:
        """Whether ``WAITING`` tasks wait, or more."""
        return self._queue.qsize() >= WAITING

    def put(self, task: Callable[[], object]) -> None:
        """Do this, too; what it raises is logged."""
        self._queue.put(task)
        with self._starting:
            if not self._started:
                self._thread.start()
            self._started = True

    def end(self) -> None:
        """Nothing will be given any more; returns at once."""
        self._queue.put(None)

    def ended(self, seconds: float = 0.0) -> bool:
        """Whether all is done; wait so long for it, as a disk may hang for ever."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception:
                log.exception("%s: something could not be written", self._thread.name)
