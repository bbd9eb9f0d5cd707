"""What every sink does."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from vadistill.serving.config import SinkKind, SinkSettings
from vadistill.serving.sinks.wording import told
from vadistill.serving.storage.records import Message


class DeliveryError(Exception):
    """A message did not arrive; one line without credentials.  The sink is tried again later."""


class Refused(DeliveryError):
    """The receiver is there but does not take this message; others may go ahead of it."""


@dataclass(frozen=True)
class Glance:
    """How a camera is at a moment."""

    seen: bool | None
    """Whether it sees something; None where that is not known."""
    score: float | None
    """Of its last frame, if it is scored."""
    muted: bool


PICTURE = 3.0
"""Seconds after its message that an event's first picture is waited for."""

WIDEST = 1280
"""Pixels that a picture is wide at most which a receiver keeps."""


def picture_of(media: Path | None, message: Message) -> Path | None:
    """The picture of a message's event in ``media``, once it is written; None: it does not come.

    An older message is not waited with: of a backlog each would hold up those that are new.
    """
    if media is None:
        return None
    left = min(message.created + PICTURE - time.time(), PICTURE)
    path, end = media / f"{message.event}.jpg", time.monotonic() + left
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return path if path.exists() else None


def shrunk(path: Path) -> bytes:
    """A picture as a JPEG of at most ``WIDEST`` pixels' width; one that cannot be decoded as it is.

    Raises OSError.
    """
    import cv2

    data = path.read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None or picture.shape[1] <= WIDEST:
        return data
    size = (WIDEST, max(1, round(picture.shape[0] * WIDEST / picture.shape[1])))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


@runtime_checkable
class Sink(Protocol):
    """A receiver of messages; ``deliver`` is called in one thread, the other methods in any."""

    name: str
    kind: SinkKind
    restored: Callable[[], None] | None
    """Called when a receiver that was lost is there again; what waits is then tried at once."""

    def start(self) -> None:
        """Begin to connect, without waiting for it."""
        ...

    def deliver(self, message: Message) -> None:
        """Send a message and wait until it has arrived; raises DeliveryError where it has not."""
        ...

    def announce(self, cameras: Sequence[str]) -> None:
        """Tell receivers that keep a list which cameras there are now."""
        ...

    def close(self) -> None:
        """Let go of connections; a second time does nothing."""
        ...

    def describe(self) -> str:
        """Where messages go, without credentials."""
        ...


class Stdout:
    """One line a message, flushed: JSON for ``| jq`` and log collectors, words on a terminal."""

    kind: SinkKind = "stdout"

    def __init__(self, settings: SinkSettings) -> None:
        self.name = settings.name
        self.restored: Callable[[], None] | None = None

    def start(self) -> None:
        pass

    def deliver(self, message: Message) -> None:
        try:
            line = told(message)[1] if sys.stdout.isatty() else json.dumps(message.body)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError("standard output is closed or full") from error

    def announce(self, cameras: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass

    def describe(self) -> str:
        return "standard output"
