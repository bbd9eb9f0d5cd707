"""What Home Assistant takes of a device's description over MQTT, as it documents it.

From www.home-assistant.io/integrations/mqtt (device discovery) and the pages of its platforms
binary_sensor.mqtt, sensor.mqtt, image.mqtt and switch.mqtt; what they do not name is thrown away
there without a word, so that it is an error here.
"""

from __future__ import annotations

import re
from typing import Any

DEVICE = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model",
    "model_id", "name", "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip
ROOT = {
    "availability", "availability_mode", "availability_template", "availability_topic",
    "command_topic", "components", "device", "encoding", "origin", "payload_available",
    "payload_not_available", "qos", "state_topic",
}  # fmt: skip
ENTITY = {
    "availability", "availability_mode", "availability_template", "availability_topic",
    "default_entity_id", "enabled_by_default", "encoding", "entity_category", "entity_picture",
    "icon", "json_attributes_template", "json_attributes_topic", "name", "payload_available",
    "payload_not_available", "platform", "qos", "unique_id",
}  # fmt: skip
PLATFORMS = {
    "binary_sensor": {
        "device_class", "expire_after", "force_update", "off_delay", "payload_off", "payload_on",
        "state_topic", "value_template",
    },
    "sensor": {
        "device_class", "expire_after", "force_update", "last_reset_value_template", "options",
        "state_class", "state_topic", "suggested_display_precision", "unit_of_measurement",
        "value_template",
    },
    "image": {"content_type", "image_encoding", "image_topic", "url_template", "url_topic"},
    "switch": {
        "command_template", "command_topic", "device_class", "optimistic", "payload_off",
        "payload_on", "retain", "state_off", "state_on", "state_topic", "value_template",
    },
}  # fmt: skip
REQUIRED = {
    "binary_sensor": {"state_topic"},
    "sensor": {"state_topic"},
    "image": {"image_topic"},
    "switch": {"command_topic"},
}


def check_discovery(known: dict[str, Any]) -> None:
    """Raise AssertionError for what Home Assistant would refuse or not read."""
    assert known.keys() <= ROOT and {"device", "components", "origin"} <= known.keys()
    device, origin = known["device"], known["origin"]
    assert device.keys() <= DEVICE and (device.get("identifiers") or device.get("connections"))
    assert "name" in origin and origin.keys() <= {"name", "sw_version", "support_url"}
    identities = []
    for entity in known["components"].values():
        platform = entity["platform"]
        assert entity.keys() <= ENTITY | PLATFORMS[platform], entity
        assert REQUIRED[platform] <= entity.keys(), entity
        # An entity of a device's components must have one, in its platform's name.
        assert re.fullmatch(rf"{platform}\.[a-z0-9_]+", entity["default_entity_id"])
        identities.append(entity["unique_id"])
        assert entity.get("availability_mode", "latest") in ("all", "any", "latest")
        for place in entity.get("availability", ()):
            assert "topic" in place
        for name, topic in entity.items():
            if name.endswith("_topic"):
                assert topic and not re.search(r"[#+\x00]", topic), topic
        assert entity.get("entity_category") in (None, "diagnostic", "config")
        assert entity.get("state_class") in (None, "measurement", "total", "total_increasing")
    assert len(set(identities)) == len(identities)
