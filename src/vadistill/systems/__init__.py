"""The systems, one folder or module each, and the table that names them.

A system imports the detector's contract and what lies below it, never another system, and never
``evaluation``: none can pick its checkpoint with the benchmark's code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.errors import one_of
from vadistill.plugins import added
from vadistill.saved import read_config

if TYPE_CHECKING:
    from vadistill.datasets import Videos
    from vadistill.detector import Detector
    from vadistill.devices import Device

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
    return {**added(ENTRY_POINTS), **DETECTORS}


def detector_class(name: str) -> type[Detector]:
    """The class of a detector by name; raises ConfigError."""
    known = DETECTORS if name in DETECTORS else detectors()
    return known[one_of("system", name, known)]()


def load(path: str | Path, *, device: str = "auto") -> Detector:
    """Read a saved detector of any system; raises WeightsError, ConfigError for an unknown one."""
    return detector_class(read_config(Path(path))["system"]).load(Path(path), device=device)


def fit(
    system: str,
    train: Videos,
    *,
    out: str | Path,
    recipe: str | None = None,
    device: Device = "auto",
    **settings: Any,
) -> Detector:
    """Fit a system and save it to the folder ``out``; an interrupted fit goes on there.

    Args:
        system: a name in ``detectors()``, such as cafe.
        train: a data set or its path, of which the training split counts, or videos.
        recipe: named settings of the system; the default is its first.
        settings: changes of the recipe's, such as ``epochs=4``.

    Raises ConfigError for an unknown name or a setting that cannot be, and what ``Detector.fit``
    raises.
    """
    kind = detector_class(system)
    return kind(config_of(kind, recipe, **settings), device=device).fit(train, out=out)


def config_of(kind: type[Detector], recipe: str | None = None, **settings: Any) -> Any:
    """The settings of a detector's recipe (default: the first), changed; raises ConfigError."""
    name = next(iter(kind.RECIPES)) if recipe is None else recipe
    config = kind.RECIPES[one_of(f"recipe of {kind.name}", name, kind.RECIPES)]()
    for setting in settings:
        one_of(f"setting of {kind.name}", setting, [f.name for f in fields(config)])
    return replace(config, **settings)
