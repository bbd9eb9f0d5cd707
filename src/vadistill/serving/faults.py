"""What goes wrong in work that must go on, until it goes well again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vadistill.errors import VadistillError, in_a_line

log = logging.getLogger("vadistill.serving")


class Faults:
    """The parts of some work that fail, and why."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Log an error of what is done inside, once for each reason, and go on."""
        try:
            yield
        except Exception as error:
            reason = in_a_line(error)
            if self._reasons.get(part) != reason:
                expected = isinstance(error, (VadistillError, OSError))
                log.warning("%s: %s", part, reason, exc_info=None if expected else error)
            self._reasons[part] = reason
        else:
            if self._reasons.pop(part, None) is not None:
                log.info("%s: works again", part)

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def parts(self) -> list[str]:
        """Names of the parts that fail."""
        return sorted(self._reasons)
