"""What tells Home Assistant of a camera over MQTT: a device with five entities.

By its device discovery (www.home-assistant.io/integrations/mqtt), one message a camera.  The
sensor of anomalies, the score and the picture are there while both the server and the camera are;
the sensor of problems and the switch while the server is.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vadistill import __version__

KINDS = ("state", "event", "clip", "availability", "health", "picture", "score", "mute")
"""Topics of a camera, below its own, whose last messages the broker keeps."""


def config_topic(prefix: str, camera: str) -> str:
    """Where a camera is described; an empty message there takes it back."""
    return f"homeassistant/device/{_id(prefix, camera)}/config"


def command_topic(prefix: str, camera: str) -> str:
    """Where "ON" mutes a camera for an hour, and "OFF" has its events told again."""
    return f"{prefix}/{camera}/mute/set"


def described(prefix: str, camera: str) -> tuple[str, str]:
    """A camera's topic and its description, which names the topics under ``prefix``."""
    id = _id(prefix, camera)
    plain = id.lower().replace("-", "_")
    topics = {kind: f"{prefix}/{camera}/{kind}" for kind in KINDS}
    server = {"availability": [{"topic": f"{prefix}/status"}], "availability_mode": "all"}
    both = [*server["availability"], {"topic": topics["availability"]}]
    seen = {**server, "availability": both}

    def entity(platform: str, name: str, own: str = "", **more: Any) -> dict[str, Any]:
        return {
            "platform": platform,
            "name": name,
            "unique_id": f"{id}_{name.lower()}",
            "default_entity_id": f"{platform}.{plain}{own and f'_{own}'}",
            **more,
        }

    components = {
        "anomaly": entity(
            "binary_sensor",
            "Anomaly",
            icon="mdi:alert-decagram",
            state_topic=topics["state"],
            json_attributes_topic=topics["event"],
            json_attributes_template="{{ value_json.event | tojson }}",
            **seen,
        ),
        "score": entity(
            "sensor",
            "Score",
            "score",
            icon="mdi:chart-bell-curve",
            state_topic=topics["score"],
            state_class="measurement",
            suggested_display_precision=2,
            **seen,
        ),
        "picture": entity(
            "image",
            "Picture",
            "picture",
            image_topic=topics["picture"],
            content_type="image/jpeg",
            **seen,
        ),
        "problem": entity(
            "binary_sensor",
            "Problem",
            "problem",
            device_class="problem",
            entity_category="diagnostic",
            state_topic=topics["availability"],
            payload_on="offline",
            payload_off="online",
            json_attributes_topic=topics["health"],
            **server,
        ),
        "mute": entity(
            "switch",
            "Mute",
            "mute",
            icon="mdi:bell-sleep",
            state_topic=topics["mute"],
            command_topic=command_topic(prefix, camera),
            **server,
        ),
    }
    device = {
        "identifiers": [id],
        "name": f"{camera} (vadistill)",
        "manufacturer": "vadistill",
        "model": "Video anomaly detection",
        "sw_version": __version__,
    }
    origin = {"name": "vadistill", "sw_version": __version__}
    known = {"device": device, "origin": origin, "components": components, "qos": 1}
    return config_topic(prefix, camera), json.dumps(known)


def _id(prefix: str, camera: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', prefix)}_{camera}"
