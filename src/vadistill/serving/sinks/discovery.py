"""What tells Home Assistant of a camera over MQTT: a device with one binary sensor."""

from __future__ import annotations

import json
import re

from vadistill import __version__


def config_topic(prefix: str, camera: str) -> str:
    """Where a camera is described; an empty message there takes it back."""
    return f"homeassistant/binary_sensor/{_id(prefix, camera)}/config"


def described(prefix: str, camera: str) -> tuple[str, str]:
    """That topic and the description, which names the topics under ``prefix``.

    The sensor is there while both the server and the camera are.
    """
    id = _id(prefix, camera)
    sensor = {
        "name": "Anomaly",
        "unique_id": f"{id}_anomaly",
        "default_entity_id": f"binary_sensor.{id.lower().replace('-', '_')}",
        "device_class": "problem",
        "state_topic": f"{prefix}/{camera}/state",
        "payload_on": "ON",
        "payload_off": "OFF",
        "availability": [
            {"topic": f"{prefix}/status"},
            {"topic": f"{prefix}/{camera}/availability"},
        ],
        "availability_mode": "all",
        "json_attributes_topic": f"{prefix}/{camera}/event",
        "json_attributes_template": "{{ value_json.event | tojson }}",
        "qos": 1,
        "device": {
            "identifiers": [id],
            "name": f"{camera} (vadistill)",
            "manufacturer": "vadistill",
            "model": "Video anomaly detection",
            "sw_version": __version__,
        },
        "origin": {"name": "vadistill", "sw_version": __version__},
    }
    return config_topic(prefix, camera), json.dumps(sensor)


def _id(prefix: str, camera: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', prefix)}_{camera}"
