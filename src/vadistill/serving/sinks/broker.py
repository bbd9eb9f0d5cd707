"""Where an MQTT sink's broker is, and below which topic its messages go."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from vadistill.errors import ConfigError
from vadistill.serving.config import SinkSettings


def address_of(settings: SinkSettings) -> tuple[SplitResult, int]:
    """The broker's address and port; raises ConfigError without showing the address."""
    try:
        address = urlsplit(settings.url.reveal())
        port = address.port or (8883 if address.scheme == "mqtts" else 1883)
    except ValueError:
        address, port = urlsplit(""), 0
    if not address.hostname:
        raise ConfigError(
            f"the address of sink '{settings.name}'",
            expected="mqtt://user:password@host:1883 or mqtts://…; '@', '/' and '#' in a password "
            "as %40, %2F and %23",
            fix="correct its url",
        )
    return address, port


def prefix_of(settings: SinkSettings) -> str:
    prefix = settings.prefix.strip("/")
    if not prefix or len(prefix) > 100 or re.search(r"[+#\x00-\x1f]|^\$", prefix):
        raise ConfigError(
            f"prefix '{settings.prefix}' of sink '{settings.name}'",
            expected="the beginning of a topic, without + and #",
            fix="correct it",
        )
    return prefix
