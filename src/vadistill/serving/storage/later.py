"""What waits for a disk, in a thread of its own: cameras go on while it hangs."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from weakref import WeakSet

log = logging.getLogger("vadistill.serving")

WAITING = 256
"""Tasks that wait before pictures are left out of further ones."""

HANGS = 20.0
"""Seconds after which a task that does not come to its end counts as held up by its disk."""

_all: WeakSet[Later] = WeakSet()
_listing = threading.Lock()


def stuck() -> float:
    """Seconds that the slowest task of this process has been at it, of those under way."""
    with _listing:
        begun = [later.begun for later in _all]
    return max((time.monotonic() - each for each in begun if each is not None), default=0.0)


class Later:
    """Does what it is given, one after the other; ``name`` is the thread's.

    Nothing is refused, and who gives it waits for nothing: what may be left out is where it is
    ``crowded``.
    """

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[tuple[Callable[[], object], int] | None]
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._lock, self._started = threading.Lock(), False
        self.waiting = 0
        """Bytes that wait, of tasks that told how many they write."""
        self.begun: float | None = None
        """When the task at hand began, or last got on, in monotonic seconds; None: none."""
        with _listing:
            _all.add(self)

    @property
    def crowded(self) -> bool:
        """Whether ``WAITING`` tasks wait, or more."""
        return self._queue.qsize() >= WAITING

    def put(self, task: Callable[[], object], size: int = 0) -> None:
        """Do this, too, which writes so many bytes; what it raises is logged."""
        with self._lock:
            self.waiting += size
            if not self._started:
                self._thread.start()
            self._started = True
        self._queue.put((task, size))

    def get_on(self) -> None:
        """Say, in a task that takes long by itself, that no disk holds it up."""
        self.begun = time.monotonic()

    def flush(self, seconds: float) -> bool:
        """Wait until all that was given so far is done; False: that takes longer."""
        done = threading.Event()
        if not self.ended():
            self.put(done.set)
        return self.ended() or done.wait(seconds)

    def end(self) -> None:
        """Nothing will be given any more; returns at once."""
        self._queue.put(None)

    def ended(self, seconds: float = 0.0) -> bool:
        """Whether all is done; wait so long for it, as a disk may hang for ever."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (given := self._queue.get()) is not None:
            task, size = given
            self.get_on()
            try:
                task()
            except Exception:
                log.exception("%s: something could not be written", self._thread.name)
            self.begun = None
            with self._lock:
                self.waiting -= size
