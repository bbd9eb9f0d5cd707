"""Figures for Prometheus, in its text format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Sample = tuple[Mapping[str, str], Any]

COUNTERS = {
    "frames": "Decoded pictures.",
    "dropped": "Pictures left out because scoring was behind.",
    "capped": "Pictures left out by the cap of the rate.",
    "idle": "Pictures left out because nothing moved.",
    "corrupt": "Pictures that could not be decoded.",
    "reconnects": "Connections after the first.",
    "scored": "Pictures that were scored.",
}
GAUGES = {
    "input_fps": "Decoded pictures a second.",
    "scored_fps": "Scored pictures a second.",
}


def prometheus(figures: Mapping[str, Any]) -> str:
    """The text of ``Hub.metrics``."""
    cameras: list[Mapping[str, Any]] = figures["cameras"]
    sinks: list[Mapping[str, Any]] = figures["sinks"]

    def each(value: Any) -> list[Sample]:
        return [({"camera": camera["name"]}, value(camera)) for camera in cameras]

    def status(key: str) -> list[Sample]:
        return each(lambda camera: camera["status"][key])

    def sink(key: str) -> list[Sample]:
        return [({"sink": entry["name"]}, entry[key]) for entry in sinks]

    latency: list[Sample] = [
        (
            {"camera": camera["name"], "quantile": quantile},
            camera["status"]["latency_ms"][key] / 1e3,
        )
        for camera in cameras
        if camera["status"]["latency_ms"]
        for quantile, key in (("0.5", "median"), ("0.95", "p95"))
    ]
    network: dict[str, tuple[int, int]] = figures["networks"]
    calls: list[Sample] = [({"model": name}, counts[0]) for name, counts in network.items()]
    requests: list[Sample] = [({"model": name}, counts[1]) for name, counts in network.items()]
    running = each(lambda camera: int(camera["status"]["state"] == "running"))
    level = each(lambda camera: (camera["level"] or {}).get("on"))
    health: dict[str, Any] = figures["health"]
    healthy = [({"part": p}, int(f["ok"])) for p, f in health.items() if p != "ok"]
    troubles: Mapping[tuple[str, str], str | None] = figures["troubles"]

    def works(kind: str) -> list[Sample]:
        known = [(n, why) for (k, n), why in troubles.items() if k == kind and why is not None]
        return [({kind: name}, int(not why)) for name, why in known]

    blocks = [
        metric("uptime_seconds", "gauge", "Since the server started.", [({}, figures["uptime"])]),
        metric("camera_running", "gauge", "Whether the camera's stream arrives.", running),
        metric("healthy", "gauge", "Whether all of a kind work.", healthy),
        *(
            metric(f"{kind}_works", "gauge", f"Whether the {kind} works.", works(kind))
            for kind in ("camera", "level", "model", "sink")
        ),
        *(
            metric(f"camera_{key}_total", "counter", line, status(key))
            for key, line in COUNTERS.items()
        ),
        *(metric(f"camera_{key}", "gauge", line, status(key)) for key, line in GAUGES.items()),
        metric("camera_latency_seconds", "gauge", "From decoding to score, of late.", latency),
        metric("camera_score", "gauge", "The latest raw score.", each(lambda c: c["score"])),
        metric("camera_level", "gauge", "Raw score at which an event opens.", level),
        metric(
            "camera_event_open",
            "gauge",
            "Whether an event is open.",
            each(lambda camera: int(camera["event"] is not None)),
        ),
        metric("events", "gauge", "Events that are kept.", [({}, figures["events"])]),
        metric("outbox_pending", "gauge", "Messages that a sink has not taken.", sink("pending")),
        metric("sink_delivered_total", "counter", "Messages delivered.", sink("delivered")),
        metric("sink_failures_total", "counter", "Deliveries that failed.", sink("failures")),
        metric("network_calls_total", "counter", "Batches that a model computed.", calls),
        metric("network_requests_total", "counter", "Requests that they answered.", requests),
        metric(
            "clips_left_out_total",
            "counter",
            "Pictures of clips left out because writing was behind.",
            [({}, figures["clips_left_out"])],
        ),
    ]
    return "".join(blocks)


def metric(name: str, kind: str, line: str, samples: Iterable[Sample]) -> str:
    """One metric with its samples (labels and value); values that are not finite are left out."""
    rows = [f"# HELP vadistill_{name} {line}", f"# TYPE vadistill_{name} {kind}"]
    for labels, value in samples:
        if value is not None and math.isfinite(value):
            given = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            rows.append(
                f"vadistill_{name}{{{given}}} {value}" if given else f"vadistill_{name} {value}"
            )
    return "\n".join(rows) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
