"""What the settings of all systems have in common, and the recipes that name such settings."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from vadistill.devices import Precision
from vadistill.errors import ConfigError, WeightsError, one_of
from vadistill.files import files_named
from vadistill.scores import Smoothing
from vadistill.soundness import typed

C = TypeVar("C", bound="SystemConfig")


@dataclass(frozen=True)
class SystemConfig:
    """Settings that every system has; a system's ``Config`` adds its own, all with defaults.

    What cannot be is a ConfigError when the settings are made, before anything is computed.
    """

    SCORING: ClassVar[frozenset[str]] = frozenset(
        {"smoothing", "runtime", "batch_frames", "box_level"}
    )
    """Settings that matter for scoring alone: to change them never trains again."""

    FOLDERS: ClassVar[frozenset[str]] = frozenset()
    """Settings that may name a folder that a fit reads, beside files and fitted models."""

    smoothing: str = "gaussian3"
    """The protocol's smoothing; applied by whoever evaluates, never by ``stream``."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal:
                one_of(name, getattr(self, name), get_args(kind))
        Smoothing.parse(self.smoothing)

    def at_least(self, least: float, *names: str) -> None:
        """Raise ConfigError for the first of these settings that is lower, or no number."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not (least <= value < math.inf):
                raise ConfigError(
                    f"{name} {value}",
                    expected=f"{least:g} or more",
                    fix=f"correct --{name.replace('_', '-')}",
                )

    @property
    def models(self) -> tuple[Path, ...]:
        """Folders of fitted models that the settings name: a fit reads them."""
        return ()

    def files_read(self) -> list[str]:
        """Hashes of the files and folders that the settings name, but for fitted models.

        With the settings as they were, other boxes are another fit.
        """
        return [
            found
            for name, value in vars(self).items()
            for found in files_named(value, folders=name in self.FOLDERS)
        ]

    def training_settings(self, *, without: Collection[str] = ()) -> str:
        """The settings that training depends on, as text for the names of its work folders.

        Those of ``SCORING`` are not among them, nor those named in ``without``.
        """
        left_out = {*self.SCORING, *without}
        return repr({key: value for key, value in asdict(self).items() if key not in left_out})

    @classmethod
    def from_saved(cls: type[C], saved: Mapping[str, Any]) -> C:
        """Settings as config.json has them; one that was added since then has its default.

        Raises WeightsError for one that is not known here, ValueError for another type.
        """
        unknown = sorted(set(saved) - {field.name for field in fields(cls)})
        if unknown:
            raise WeightsError(
                f"a model with the setting{'s' * (len(unknown) > 1)} {', '.join(unknown)}",
                expected="settings that this version knows",
                fix="install the vadistill version that wrote it, or fit it again",
            )
        return cls(**typed(cls, saved))


@dataclass(frozen=True)
class TrainedConfig(SystemConfig):
    """Settings of every system that trains networks."""

    batch: int = 64
    """Items a step."""
    seed: int = 0
    precision: Precision = "auto"
    """Arithmetic of training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least(1, "batch")
        self.at_least(0, "seed")


@dataclass(frozen=True)
class Recipe(Generic[C]):
    """Settings by name: what they are for, and what they ask of a machine."""

    make: Callable[[], C]
    purpose: str
    minutes: float | None = None
    """Of a fit to the data set in question on two CPU cores; None where nobody has measured it."""
    needs: str = ""
    """What must be there first."""

    def __call__(self) -> C:
        return self.make()


def describe_recipe(recipe: Callable[[], Any]) -> str:
    """One line on a recipe: its purpose, minutes and needs, or a plain function's docstring."""
    if not isinstance(recipe, Recipe):
        return (inspect.getdoc(recipe) or "").partition("\n")[0].rstrip(".")
    took = "minutes not measured" if recipe.minutes is None else f"{recipe.minutes:g} minutes"
    needs = f"; needs {recipe.needs}" if recipe.needs else ""
    return f"{recipe.purpose} ({took}{needs})"
