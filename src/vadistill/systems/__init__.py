"""The systems, one folder or module each, and the table that names them.

A system imports the detector's contract and what lies below it, never another system, and never
``evaluation``: none can pick its checkpoint with the benchmark's code.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from vadistill.detector import read_config
from vadistill.errors import one_of

if TYPE_CHECKING:
    from vadistill.detector import Detector

ENTRY_POINTS = "vadistill.detectors"
"""Group of entry points by which other packages add their detectors; each names a class."""


def _motion() -> type[Detector]:
    from vadistill.systems.motion import Motion

    return Motion


def _cafe() -> type[Detector]:
    from vadistill.systems.cafe import Cafe

    return Cafe


def _aed() -> type[Detector]:
    from vadistill.systems.aed import Aed

    return Aed


def _ssmtl() -> type[Detector]:
    from vadistill.systems.ssmtl import Ssmtl

    return Ssmtl


def _fast_aed() -> type[Detector]:
    from vadistill.systems.fast_aed import FastAed

    return FastAed


def _dakd() -> type[Detector]:
    from vadistill.systems.dakd import Dakd

    return Dakd


DETECTORS: dict[str, Callable[[], type[Detector]]] = {
    "motion": _motion,
    "cafe": _cafe,
    "aed": _aed,
    "ssmtl": _ssmtl,
    "fast_aed": _fast_aed,
    "dakd": _dakd,
}
"""The systems that ship with the package; each is imported on first use, so help stays fast."""


def detectors() -> dict[str, Callable[[], type[Detector]]]:
    """All detectors by name: those that ship and those that entry points add."""
    added = {point.name: point.load for point in entry_points(group=ENTRY_POINTS)}
    return {**added, **DETECTORS}


def detector_class(name: str) -> type[Detector]:
    """The class of a detector by name; raises ConfigError."""
    known = DETECTORS if name in DETECTORS else detectors()
    return known[one_of("system", name, known)]()


def load(path: str | Path, *, device: str = "auto") -> Detector:
    """Read a saved detector of any system; raises WeightsError, ConfigError for an unknown one."""
    return detector_class(read_config(Path(path))["system"]).load(Path(path), device=device)
