"""Looks after cameras, levels, models, sinks, the disk and the clockwork, and tells who fails.

A part that fails for longer than its grace is told to all sinks, once, and so is its return: "lost"
and "back" of cameras, "failing" and "working" of all others.  A restart in between tells neither
twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vadistill.serving.faults import Faults
from vadistill.serving.live.camera import Camera
from vadistill.serving.sinks import Glance
from vadistill.serving.storage.records import Kind
from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")

LOOK_EVERY = 1.0
"""Seconds between two looks at all parts."""

GRACE = {
    "camera": 10.0,
    "level": 0.0,
    "model": 0.0,
    "sink": 60.0,
    "disk": 5.0,
    "clockwork": 30.0,
}
"""Seconds that each kind of part may fail before it is told: most come back by themselves."""

STEADY = 5.0
"""Seconds that a part must work until it counts as back."""

KEY = "troubles"
"""Of what was told, in the store's values."""


class Part(NamedTuple):
    """Something that can fail by itself."""

    kind: str
    """A key of ``GRACE``."""
    name: str


@dataclass
class Trouble:
    """How a part fails; ``since`` is in unix seconds, what follows in monotonic ones."""

    cause: str
    since: float
    began: float
    told: bool = False
    well: float | None = None
    """When it began to work again."""


def glances(cameras: Iterable[Camera], seen: Mapping[str, bool]) -> dict[str, Glance]:
    """How cameras are now, by name; ``seen`` tells which see something, of those that are known."""
    return {c.name: Glance(seen.get(c.name), c.screen.score, c.muted) for c in cameras}


class Lookout:
    """Runs ``look`` again and again: why each part fails, '' for one that works, None if unknown.

    ``show`` is given which cameras are seen, of those that are known, for receivers that show it.
    """

    def __init__(
        self,
        store: Store,
        look: Callable[[], Mapping[Part, str | None]],
        show: Callable[[Mapping[str, bool]], None],
        faults: Faults,
    ) -> None:
        self._store, self._look, self._show, self._faults = store, look, show, faults
        self._troubles: dict[Part, Trouble] = {}
        self._unsaved = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
        self.beat = time.monotonic()
        """When it last looked, in monotonic seconds."""

    def start(self) -> None:
        """Look until ``stop``."""
        self.recall()
        self._thread.start()

    def recall(self) -> None:
        """Go on with what was told before a restart."""
        for kind, name, cause, since in self._store.value(KEY, []):
            self._troubles[Part(kind, name)] = Trouble(cause, since, time.monotonic(), told=True)

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            with self._faults.of("the lookout"):
                self.look()
            self.beat = time.monotonic()

    def look(self) -> None:
        """Look once, and tell what has changed."""
        found, now = self._look(), time.monotonic()
        for part in self._troubles.keys() - found.keys():  # it was removed
            self._unsaved |= self._troubles.pop(part).told
        for part, cause in found.items():
            if cause:
                self._fails(part, cause, now)
            elif cause is not None and part in self._troubles:
                self._works(part, now)
        self._show(
            {
                part.name: part not in self._troubles
                for part, cause in found.items()
                if part.kind == "camera" and cause is not None and self._certain(part)
            }
        )
        self._store.settle()
        if self._unsaved:
            told = [(*p, t.cause, t.since) for p, t in self._troubles.items() if t.told]
            # The disk is a part of its own.
            self._unsaved = not self._store.patiently(lambda: self._store.save_value(KEY, told))

    def _certain(self, part: Part) -> bool:
        """Whether its trouble was told, or there is none."""
        trouble = self._troubles.get(part)
        return trouble is None or trouble.told

    def _fails(self, part: Part, cause: str, now: float) -> None:
        trouble = self._troubles.setdefault(part, Trouble(cause, time.time(), now))
        trouble.cause, trouble.well = cause, None
        if not trouble.told and now - trouble.began >= GRACE[part.kind]:
            trouble.told = self._unsaved = True
            log.warning("%s %s: %s", *part, cause)
            self._tell(part, "lost" if part.kind == "camera" else "failing", trouble)

    def _works(self, part: Part, now: float) -> None:
        trouble = self._troubles[part]
        trouble.well = now if trouble.well is None else trouble.well
        if now - trouble.well < STEADY:
            return
        del self._troubles[part]
        if trouble.told:
            self._unsaved = True
            trouble.since = time.time() - STEADY
            log.info("%s %s works again", *part)
            self._tell(part, "back" if part.kind == "camera" else "working", trouble)

    def _tell(self, part: Part, kind: Kind, trouble: Trouble) -> None:
        self._store.notify(
            kind, part=part.kind, name=part.name, cause=trouble.cause, since=trouble.since
        )
