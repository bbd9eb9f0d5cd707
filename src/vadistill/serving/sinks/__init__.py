"""Where events are sent: webhooks, MQTT, standard output.

Imports ``storage``, ``config`` and what lies below serving.
"""

from __future__ import annotations

from vadistill.serving.config import SinkSettings
from vadistill.serving.sinks.base import DeliveryError, Refused, Sink
from vadistill.serving.sinks.dispatcher import Dispatcher

__all__ = ["DeliveryError", "Dispatcher", "Refused", "Sink", "build_sink"]


def build_sink(settings: SinkSettings) -> Sink:
    """The sink of a [[sink]] block; raises ConfigError for an address or extra that is missing."""
    if settings.kind == "webhook":
        from vadistill.serving.sinks.webhook import Webhook

        return Webhook(settings)
    if settings.kind == "mqtt":
        from vadistill.serving.sinks.mqtt import Mqtt

        return Mqtt(settings)
    from vadistill.serving.sinks.stdout import Stdout

    return Stdout(settings)
