"""Where events are sent: webhooks, MQTT, people, standard output.

Imports ``storage``, ``config`` and what lies below serving.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from vadistill.serving.config import SinkSettings
from vadistill.serving.entries import SINK_PLUGINS
from vadistill.serving.sinks.base import DeliveryError, Glance, Refused, Sink, Stdout
from vadistill.serving.sinks.dispatcher import Dispatcher

__all__ = ["SINKS", "DeliveryError", "Dispatcher", "Glance", "Refused", "Sink", "build_sink"]


def _webhook(settings: SinkSettings) -> Sink:
    from vadistill.serving.sinks.webhook import Webhook

    return Webhook(settings)


def _mqtt(settings: SinkSettings) -> Sink:
    from vadistill.serving.sinks.mqtt import Mqtt

    return Mqtt(settings)


def _apprise(settings: SinkSettings) -> Sink:
    from vadistill.serving.sinks.apprise import Apprise

    return Apprise(settings)


SINKS: dict[str, Callable[[SinkSettings], Sink]] = {
    "webhook": _webhook,
    "mqtt": _mqtt,
    "apprise": _apprise,
    "stdout": Stdout,
}
"""The kinds that ship; entry points of ``vadistill.sinks`` add classes that take a block."""


def build_sink(settings: SinkSettings) -> Sink:
    """The sink of a [[sink]] block; raises ConfigError for an address or extra that is missing."""
    if settings.kind in SINKS:
        return SINKS[settings.kind](settings)
    (point,) = entry_points(group=SINK_PLUGINS, name=settings.kind)
    return point.load()(settings)
