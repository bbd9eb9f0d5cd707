"""Video anomaly detection by knowledge distillation: small, fast students of large teachers.

    import vadistill as vad

    model = vad.load("entrance.vad")
    scores = model.score(vad.open_video("today.mp4"))
    for event in scores.events(false_alarms_per_day=1):
        print(event.start, event.end, event.peak)

Public names are imported on first use, so that ``import vadistill`` alone takes milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Splits, Video, open_dataset
    from vadistill.detector import Detector
    from vadistill.errors import (
        ConfigError,
        DataError,
        NotFittedError,
        VadistillError,
        VideoError,
        WeightsError,
    )
    from vadistill.scores import Calibration, Event, FrameScore, Scores, Smoothing
    from vadistill.systems import DETECTORS, detector_class, load
    from vadistill.video import Frame, VideoInfo, VideoSource, open_video

__version__ = "0.1.0"

__all__ = [
    "DETECTORS",
    "Calibration",
    "ConfigError",
    "DataError",
    "Dataset",
    "Detector",
    "Event",
    "Frame",
    "FrameScore",
    "NotFittedError",
    "Scores",
    "Smoothing",
    "Splits",
    "VadistillError",
    "Video",
    "VideoError",
    "VideoInfo",
    "VideoSource",
    "WeightsError",
    "__version__",
    "detector_class",
    "load",
    "open_dataset",
    "open_video",
]

_HOME = {
    "vadistill.datasets": ("Video", "Dataset", "Splits", "open_dataset"),
    "vadistill.detector": ("Detector",),
    "vadistill.systems": ("DETECTORS", "detector_class", "load"),
    "vadistill.errors": (
        "ConfigError",
        "DataError",
        "NotFittedError",
        "VadistillError",
        "VideoError",
        "WeightsError",
    ),
    "vadistill.scores": ("Calibration", "Event", "FrameScore", "Scores", "Smoothing"),
    "vadistill.video": ("Frame", "VideoInfo", "VideoSource", "open_video"),
}


def __getattr__(name: str) -> object:
    for module, names in _HOME.items():
        if name in names:
            value = getattr(importlib.import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
