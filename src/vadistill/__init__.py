"""Video anomaly detection by knowledge distillation: small, fast students of large teachers.

    import vadistill as vad

    model = vad.fit("cafe", "normal_videos/", out="entrance.vad")
    scores = model.score("today.mp4")
    for event in scores.events(false_alarms_per_day=1):
        print(event.start, event.end, event.peak)
    vad.write_report(vad.evaluate(model, "labelled/"), "evaluation.html")

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
    from vadistill.evaluation.auto import fit_auto
    from vadistill.evaluation.evaluate import Results, evaluate
    from vadistill.events import Event
    from vadistill.levels import Calibration
    from vadistill.loss_log import losses_of
    from vadistill.report.report import write_report
    from vadistill.scores import FrameScore, Scores, Smoothing
    from vadistill.systems import DETECTORS, detector_class, fit, load
    from vadistill.systems.aed import Aed
    from vadistill.systems.aed import Config as AedConfig
    from vadistill.systems.blend import Blend
    from vadistill.systems.blend import Config as BlendConfig
    from vadistill.systems.cafe import Cafe
    from vadistill.systems.cafe import Config as CafeConfig
    from vadistill.systems.dakd import Config as DakdConfig
    from vadistill.systems.dakd import Dakd
    from vadistill.systems.fast_aed import Config as FastAedConfig
    from vadistill.systems.fast_aed import FastAed
    from vadistill.systems.motion import Config as MotionConfig
    from vadistill.systems.motion import Motion
    from vadistill.systems.ssmtl import Config as SsmtlConfig
    from vadistill.systems.ssmtl import Ssmtl
    from vadistill.video import Frame, VideoInfo, VideoSource, open_video

__version__ = "0.1.0"

__all__ = [
    "DETECTORS",
    "Aed",
    "AedConfig",
    "Blend",
    "BlendConfig",
    "Cafe",
    "CafeConfig",
    "Calibration",
    "ConfigError",
    "Dakd",
    "DakdConfig",
    "DataError",
    "Dataset",
    "Detector",
    "Event",
    "FastAed",
    "FastAedConfig",
    "Frame",
    "FrameScore",
    "Motion",
    "MotionConfig",
    "NotFittedError",
    "Results",
    "Scores",
    "Smoothing",
    "Splits",
    "Ssmtl",
    "SsmtlConfig",
    "VadistillError",
    "Video",
    "VideoError",
    "VideoInfo",
    "VideoSource",
    "WeightsError",
    "__version__",
    "detector_class",
    "evaluate",
    "fit",
    "fit_auto",
    "load",
    "losses_of",
    "open_dataset",
    "open_video",
    "write_report",
]

_HOME = {
    "vadistill.datasets": ("Video", "Dataset", "Splits", "open_dataset"),
    "vadistill.detector": ("Detector",),
    "vadistill.systems": ("DETECTORS", "detector_class", "fit", "load"),
    "vadistill.errors": (
        "ConfigError",
        "DataError",
        "NotFittedError",
        "VadistillError",
        "VideoError",
        "WeightsError",
    ),
    "vadistill.evaluation.auto": ("fit_auto",),
    "vadistill.evaluation.evaluate": ("Results", "evaluate"),
    "vadistill.report.report": ("write_report",),
    "vadistill.loss_log": ("losses_of",),
    "vadistill.events": ("Event",),
    "vadistill.levels": ("Calibration",),
    "vadistill.scores": ("FrameScore", "Scores", "Smoothing"),
    "vadistill.video": ("Frame", "VideoInfo", "VideoSource", "open_video"),
    "vadistill.systems.aed": ("Aed",),
    "vadistill.systems.blend": ("Blend",),
    "vadistill.systems.cafe": ("Cafe",),
    "vadistill.systems.dakd": ("Dakd",),
    "vadistill.systems.fast_aed": ("FastAed",),
    "vadistill.systems.motion": ("Motion",),
    "vadistill.systems.ssmtl": ("Ssmtl",),
}
"""Where the public names come from; ``CafeConfig`` is the ``Config`` beside ``Cafe``."""


def __getattr__(name: str) -> object:
    for module, names in _HOME.items():
        config = name.endswith("Config") and name.removesuffix("Config") in names
        if config or name in names:
            value = getattr(importlib.import_module(module), "Config" if config else name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
