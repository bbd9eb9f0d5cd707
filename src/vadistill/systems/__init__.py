"""The systems, one folder or module each, and the table that names them.

A system imports the detector's contract and what lies below it, never another system, and never
``evaluation``: none can pick its checkpoint with the benchmark's code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.errors import ConfigError, WeightsError, one_of
from vadistill.plugins import added
from vadistill.saved import read_config
from vadistill.soundness import refusing

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Videos
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


def _blend() -> type[Detector]:
    from vadistill.systems.blend import Blend

    return Blend


def _dakd() -> type[Detector]:
    from vadistill.systems.dakd import Dakd

    return Dakd


DETECTORS: dict[str, Callable[[], type[Detector]]] = {
    "motion": _motion,
    "cafe": _cafe,
    "aed": _aed,
    "ssmtl": _ssmtl,
    "fast_aed": _fast_aed,
    "blend": _blend,
    "dakd": _dakd,
}
"""The systems that ship with the package; each is imported on first use, so help stays fast."""


def detectors() -> dict[str, Callable[[], type[Detector]]]:
    """All detectors by name: those that ship and those that entry points add."""
    return {**added(ENTRY_POINTS), **DETECTORS}


def detector_class(name: str) -> type[Detector]:
    """The class of a detector by name; raises ConfigError."""
    if not isinstance(name, str):
        called = getattr(name, "__name__", type(name).__name__)
        raise ConfigError(
            f"system {called}, which is no name",
            expected="a name such as 'cafe'",
            fix=f"fit a class of your own by {called}(Config()).fit(splits.train, out='own.vad')",
        )
    known = DETECTORS if name in DETECTORS else detectors()
    return known[one_of("system", name, known)]()


def load(path: str | Path, *, device: str = "auto") -> Detector:
    """Read a saved detector of any system; raises WeightsError, ConfigError for an unknown one."""
    path = Path(path)
    with refusing(path):
        kind = detector_class(read_config(path)["system"])
    return kind.load(path, device=device)


def fitted_or_new(
    name: str, train: Dataset, work: Path, *, what: str, localiser: str, device: Device
) -> tuple[Detector, Path]:
    """A detector that another is made of, and its folder: fitted, or to be fitted to there.

    Args:
        name: ``SYSTEM``, ``SYSTEM:RECIPE``, or the folder of a fitted detector.
        what: it is to the other one, such as teacher; said by errors, and part of the folder's
            name in ``work``.
        localiser: where one that is fitted finds objects, if it looks for any.

    Raises ConfigError, WeightsError.
    """
    from vadistill.datasets.sampling import data_key
    from vadistill.files import content_hash

    given = Path(name)
    if (given / "config.json").is_file() or (given.is_dir() and name not in detectors()):
        return load(given, device=device), given
    system, _, recipe = name.partition(":")
    kind = detector_class(system)
    if recipe and recipe not in kind.RECIPES:
        raise ConfigError(
            f"{what} '{name}'",
            expected=f"a recipe of {', '.join(kind.RECIPES)}",
            fix="correct it",
        )
    config = config_of(kind, recipe or None)
    if hasattr(config, "localiser"):
        config = replace(config, localiser=localiser)
    folder = work / f"{what}-{system}-{content_hash(data_key(train), repr(config))}"
    try:
        return load(folder, device=device), folder
    except WeightsError:
        return kind(config, device=device), folder


def fit(
    system: str,
    train: Videos,
    *,
    out: str | Path,
    recipe: str | None = None,
    device: Device = "auto",
    overwrite: bool = False,
    **settings: Any,
) -> Detector:
    """Fit a system and save it to the folder ``out``; an interrupted fit goes on there.

    Where it has ended there, with the same settings and footage, its model is loaded.

    Args:
        system: a name in ``detectors()``, such as cafe.
        train: a data set or its path, of which the training split counts, or videos.
        recipe: named settings of the system; the default is its first.
        overwrite: fit anew, in place of a finished model.
        settings: changes of the recipe's, such as ``epochs=4``.

    Raises ConfigError for an unknown name, a setting that cannot be or a finished model in the
    way, and what ``Detector.fit`` raises.
    """
    from vadistill.datasets import split_of

    kind = detector_class(system)
    detector, videos = (
        kind(config_of(kind, recipe, **settings), device=device),
        split_of(train, "train"),
    )
    if not overwrite and detector.check_replaced(out, videos):
        return kind.load(Path(out), device=device)
    return detector.fit(videos, out=out)


def config_of(kind: type[Detector], recipe: str | None = None, **settings: Any) -> Any:
    """The settings of a detector's recipe (default: the first), changed; raises ConfigError."""
    name = next(iter(kind.RECIPES)) if recipe is None else recipe
    config = kind.RECIPES[one_of(f"recipe of {kind.name}", name, kind.RECIPES)]()
    for setting in settings:
        one_of(f"setting of {kind.name}", setting, [f.name for f in fields(config)])
    return replace(config, **settings)
