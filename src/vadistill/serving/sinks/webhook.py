"""Messages as signed HTTP requests.

A receiver takes a request as delivered once it answers 2xx.  It may get a message twice (an answer
can be lost, or not be whole in time), always with the same ``Idempotency-Key``, and checks where it
is from with ``verify``.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from vadistill import __version__
from vadistill.addresses import without_addresses
from vadistill.errors import ConfigError, in_a_line, lacking
from vadistill.serving.config import SinkKind, SinkSettings
from vadistill.serving.sinks.base import DeliveryError, Refused
from vadistill.serving.storage.records import Message

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0
"""Seconds for a connection, and for each wait for an answer."""
DEADLINE = 15.0
"""Seconds for a delivery from its connection to the last byte of its answer."""
LATER = (408, 425, 429)
"""Answers below 500 that speak of the moment, not of the message."""
ANSWER = 1 << 16
"""Bytes of the largest answer that is read; after a larger one the connection is closed."""


def sign(secret: str, body: bytes, now: float) -> str:
    """The value of ``X-Vadistill-Signature``: HMAC-SHA256 of ``f"{t}.{body}"``, t in seconds."""
    stamp = str(int(now))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
    return f"t={stamp},v1={digest.hexdigest()}"


def verify(secret: str, header: str, body: bytes, now: float, tolerance: float = 300) -> bool:
    """Whether a request's body was signed with ``secret`` at most ``tolerance`` seconds from now.

    ``header`` is its ``X-Vadistill-Signature``; ``body`` must be the bytes as they came.  False
    for an empty secret, which anyone knows, and for times or a tolerance that are not finite.
    """
    match = re.fullmatch(r"t=([0-9]{1,15}),v1=([0-9a-f]{64})", header)
    if match is None or not secret or not math.isfinite(tolerance):
        return False
    if not abs(now - int(match[1])) <= tolerance:  # neither is what is not a number
        return False
    return hmac.compare_digest(sign(secret, body, int(match[1])), header)


class Webhook:
    """POST of each message as JSON; redirects are not followed."""

    kind: SinkKind = "webhook"

    def __init__(self, settings: SinkSettings) -> None:
        try:
            import httpx
        except ImportError as error:
            raise lacking("webhooks need httpx", "serve") from error
        try:
            host = httpx.URL(settings.url.reveal()).host
        except httpx.InvalidURL:
            host = ""
        if not host:
            raise ConfigError(
                f"the address of sink '{settings.name}'",
                expected="one like https://host/path",
                fix="correct its url",
            )
        # They would write whole addresses, credentials included, into the log.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.name = settings.name
        self.restored: Callable[[], None] | None = None
        self._settings, self._client = settings, None

    def start(self) -> None:
        pass

    def _connection(self) -> httpx.Client:
        if self._client is None:
            import httpx

            self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=False)
        return self._client

    def deliver(self, message: Message) -> None:
        import httpx

        body = json.dumps(message.body, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"vadistill/{__version__}",
            "Idempotency-Key": message.key,
            "X-Vadistill-Event": message.kind,
        }
        key = self._settings.secret.reveal()
        if key:
            headers["X-Vadistill-Signature"] = sign(key, body, time.time())
        with self._deadline() as late:
            try:
                with self._connection().stream(
                    "POST", self._settings.url.reveal(), content=body, headers=headers
                ) as answer:
                    status = answer.status_code
                    # An unread answer would close the connection that the next message could use.
                    if int(answer.headers.get("Content-Length", ANSWER + 1)) <= ANSWER:
                        with contextlib.suppress(httpx.HTTPError):
                            answer.read()
            except httpx.TimeoutException as error:
                raise DeliveryError(f"{self.describe()} did not answer in {TIMEOUT:g} s") from error
            except (httpx.HTTPError, OSError) as error:
                if late.is_set():
                    raise self._too_late() from error
                reason = without_addresses(in_a_line(error))
                raise DeliveryError(f"{self.describe()}: {reason}") from error
            if late.is_set():
                raise self._too_late()
        if not 200 <= status < 300:
            kind = Refused if 300 <= status < 500 and status not in LATER else DeliveryError
            raise kind(f"{self.describe()} answered {status}")

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[threading.Event]:
        """Close the connection at the deadline, since httpx limits each wait, not their sum.

        Gives an event that is set then; what waits for the next byte fails within ``TIMEOUT``.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            self.close()

        timer = threading.Timer(DEADLINE, end)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()

    def _too_late(self) -> DeliveryError:
        return DeliveryError(f"{self.describe()} did not answer whole in {DEADLINE:g} s")

    def announce(self, cameras: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def describe(self) -> str:
        return str(self._settings.url)  # without its path, which is often its password
