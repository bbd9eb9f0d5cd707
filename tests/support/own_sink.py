"""A sink of another package, in one file: every message as a line at the end of a file."""

import json
from pathlib import Path

from vadistill.serving.config import SinkSettings
from vadistill.serving.sinks import DeliveryError, Sink
from vadistill.serving.storage.records import Message


class Lines(Sink):
    kind = "lines"

    def __init__(self, settings: SinkSettings) -> None:
        self.name = settings.name
        self.restored = None
        self.path = Path(settings.url.reveal())

    def deliver(self, message: Message) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(message.body) + "\n")
        except OSError as error:  # tried again later, in order
            raise DeliveryError(f"{self.path.name}: {error.strerror}") from error

    def describe(self) -> str:
        return f"the file {self.path.name}"
