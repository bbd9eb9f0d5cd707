"""Messages to people: mail, ntfy, Telegram and all else that Apprise knows an address for.

An event is told once, as it opens, with its picture; that it has ended is not, nor that its clip is
there.  What goes blind or fails is told, and when it works again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vadistill.errors import ConfigError, lacking
from vadistill.serving.config import SinkKind, SinkSettings
from vadistill.serving.sinks.base import DeliveryError, picture_of
from vadistill.serving.sinks.wording import told
from vadistill.serving.storage.records import Message


class Apprise:
    """One or more of Apprise's addresses, separated by blanks.

    ``media``, where it is set, is the folder of events' pictures.
    """

    kind: SinkKind = "apprise"

    def __init__(self, settings: SinkSettings) -> None:
        try:
            import apprise
        except ImportError as error:
            raise lacking("messages to people need Apprise", "alerts") from error
        # It would write whole addresses, tokens included, into the log.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        self._apprise: Any = apprise
        self._people = apprise.Apprise()
        addresses = settings.url.reveal().split()
        if not addresses or not all(self._people.add(address) for address in addresses):
            raise ConfigError(
                f"the address of sink '{settings.name}'",
                expected="one of Apprise's, such as mailtos://user:password@host?to=me@host or "
                "ntfys://host/topic",
                fix="correct its url; Apprise's pages list them all",
            )
        self.name = settings.name
        self.restored: Callable[[], None] | None = None
        self.media: Path | None = None
        self._services = sorted({address.partition("://")[0] for address in addresses})
        self._quiet = settings.quiet_minutes * 60
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def start(self) -> None:
        pass

    def deliver(self, message: Message) -> None:
        if message.kind in ("closed", "clip"):
            return
        camera = message.body["camera"] or ""
        opened = message.kind == "opened"
        if opened and message.created - self._last.get(camera, -self._quiet) < self._quiet:
            self._left_out[camera] = self._left_out.get(camera, 0) + 1
            return
        title, text = told(message, self._left_out.get(camera, 0) if opened else 0)
        picture = picture_of(self.media, message) if opened else None
        sent = self._people.notify(
            body=text,
            title=title,
            body_format=self._apprise.NotifyFormat.TEXT,
            attach=None if picture is None else str(picture),
        )
        if not sent:
            raise DeliveryError(f"{self.describe()} did not take it")
        if opened:
            self._last[camera] = message.created
            self._left_out.pop(camera, None)

    def announce(self, cameras: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass

    def describe(self) -> str:
        # Of most addresses the host is a token.
        return f"Apprise ({', '.join(self._services)})"
