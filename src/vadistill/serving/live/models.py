"""Fitted models, each loaded once for all of its cameras, with one inference loop."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.errors import ConfigError, VadistillError
from vadistill.serving.live.batching import Batching

if TYPE_CHECKING:
    from vadistill.detector import Detector
    from vadistill.serving.config import ModelSettings, Settings

SYSTEMS = {
    "motion": "speed of moving things; the baseline, fitted in seconds",
    "cafe": "a small network that imitates features of normal objects",
    "fast_aed": "one small network for whole frames, taught by two others; fits for minutes",
}
"""What the console offers to fit from normal footage, in a line each."""


def named(settings: Settings, name: str) -> ModelSettings:
    """The settings of a model; raises ConfigError."""
    for model in settings.models:
        if model.name == name:
            return model
    raise ConfigError(
        f"model '{name}'",
        expected=f"one of {', '.join(m.name for m in settings.models) or '(none yet)'}",
        fix="fit one, or add it to the settings",
    )


class Loaded:
    """A detector and the loop that its cameras' frames go through together."""

    def __init__(self, settings: ModelSettings, path: Path) -> None:
        from vadistill.systems import load

        self.settings = settings
        self.detector: Detector = load(path, device=settings.device)
        self.batching = Batching(settings.name)
        try:
            self.detector.for_camera(self.batching.merge)  # not every one can be live
        except VadistillError:
            self.batching.close()
            raise


class Models:
    """Models by name; raises ConfigError and WeightsError on the first use of a broken one."""

    def __init__(self) -> None:
        self._loaded: dict[str, Loaded] = {}
        self._lock = threading.Lock()

    def get(self, settings: Settings, name: str) -> Loaded:
        """The model of this name, loaded if need be."""
        with self._lock:
            if name not in self._loaded:
                found = named(settings, name)
                self._loaded[name] = Loaded(found, settings.located(found.path))
            return self._loaded[name]

    def close(self) -> None:
        """End all loops."""
        with self._lock:
            for loaded in self._loaded.values():
                loaded.batching.close()
            self._loaded.clear()

    def calls(self) -> dict[str, tuple[int, int]]:
        """Calls of networks and the requests that they answered, by model."""
        return {n: (m.batching.calls, m.batching.requests) for n, m in self._loaded.items()}


def described(settings: Settings) -> list[dict[str, Any]]:
    """Each model of the settings as the API shows it."""
    from vadistill.detector import read_config
    from vadistill.systems import detector_class

    shown = []
    for model in settings.models:
        cameras = [camera.name for camera in settings.cameras if camera.model == model.name]
        entry: dict[str, Any] = {"name": model.name, "cameras": cameras, "built_in": False}
        try:
            facts = read_config(settings.located(model.path))
            entry |= {
                "system": facts["system"],
                "supervision": detector_class(facts["system"]).supervision,
                "latency_frames": facts.get("latency"),
                "error": None,
            }
        except VadistillError as error:
            entry |= {
                "system": "",
                "supervision": "",
                "latency_frames": None,
                # The path is the server's own affair.
                "error": str(error).replace(str(settings.base), "…"),
            }
        shown.append(entry)
    return shown


def systems() -> list[dict[str, str]]:
    """What can be fitted from normal footage."""
    return [{"name": n, "line": line, "supervision": "one-class"} for n, line in SYSTEMS.items()]
