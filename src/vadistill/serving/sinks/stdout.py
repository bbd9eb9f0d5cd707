"""Messages as JSON lines on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence

from vadistill.serving.config import SinkKind, SinkSettings
from vadistill.serving.sinks.base import DeliveryError
from vadistill.serving.storage.records import Message


class Stdout:
    """One line a message, flushed, for ``| jq`` and log collectors."""

    kind: SinkKind = "stdout"

    def __init__(self, settings: SinkSettings) -> None:
        self.name = settings.name
        self.restored: Callable[[], None] | None = None

    def start(self) -> None:
        pass

    def deliver(self, message: Message) -> None:
        try:
            sys.stdout.write(json.dumps(message.body) + "\n")
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError("standard output is closed or full") from error

    def announce(self, cameras: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass

    def describe(self) -> str:
        return "standard output"
