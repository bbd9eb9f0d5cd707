"""How detectors are saved and loaded: config.json and weights.safetensors, no pickle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from vadistill.config import SystemConfig
from vadistill.devices import pick_device, without_subnormals
from vadistill.errors import NotFittedError, WeightsError
from vadistill.files import (
    content_hash,
    read_json,
    read_safetensors,
    write_json,
    write_safetensors,
)
from vadistill.levels import Calibration
from vadistill.runtime import INT8, saved_int8
from vadistill.soundness import real, refusing, require_finite, require_same

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vadistill.devices import Device
    from vadistill.objects import Localiser
    from vadistill.runtime import Runtime

FORMAT = 1
"""Version of the saved folder's layout."""

FITTED = ("footage", "made", "radius")
"""Of config.json, what tells how a model came to be."""

HEAD = ("format", "system", "latency", "weights", *FITTED)
"""Of config.json, what is not the detector's own."""

S = TypeVar("S", bound="Saved")


class Saved:
    """What can be saved of a detector: its config, calibration, localiser, networks and facts.

    A subclass names its networks in ``modules`` and ``frozen``, and all else in ``facts``.
    """

    name: ClassVar[str]
    RECIPES: ClassVar[Mapping[str, Callable[[], Any]]]
    """Named configs, frozen dataclasses of one ``SystemConfig``, the default first."""

    config: Any
    localiser: Localiser
    """Of detectors that look for objects."""
    runtime: Runtime
    """Of detectors that run networks."""
    calibration: Calibration | None = None
    footage: dict[str, Any] | None = None
    """The footage learned from (``datasets.footage``); None where that was not kept yet."""
    made: dict[str, Any] | None = None
    """The ``command`` of the fit, its ``date`` and the version of ``vadistill``, or None."""
    tells_traits: bool = False
    """Whether scores have traits."""
    radius: float | None = None
    """How near in their traits objects are alike (``objects.likeness``), where that is known."""
    FROZEN: ClassVar[tuple[str, ...]] = ()
    """The names that ``frozen`` may give."""

    def __init__(self, config: Any = None, *, device: Device = "auto") -> None:
        """An unfitted detector; ``config`` defaults to the first recipe.  Raises ConfigError."""
        self.config = self.default_config() if config is None else config
        self.device = pick_device(device)

    @classmethod
    def default_config(cls) -> SystemConfig:
        """The first recipe's settings."""
        return next(iter(cls.RECIPES.values()))()

    @property
    def latency(self) -> int | None:
        """Frames from a frame's arrival to its score."""
        raise NotImplementedError

    def modules(self) -> dict[str, nn.Module]:
        """The networks that scoring needs, by the prefix of their tensors' names."""
        return {}

    def frozen(self) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
        """Image networks that ``open_teacher`` gave and scoring needs, with its facts."""
        return {}

    def facts(self) -> dict[str, Any]:
        """All else that was learned, by name: plain JSON, or tensors."""
        return {}

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        """Take back facts, and build what ``modules`` names, whose weights are read afterwards.

        By default each fact is the attribute of its name.
        """
        for name, value in facts.items():
            setattr(self, name, value)

    def open_runtime(self, int8: bytes | Iterable[Any] = ()) -> None:
        """Make ready to score with the networks; ``int8`` is the saved 8-bit graph."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``save`` keeps: named tensors and plain JSON facts."""
        from torch import Tensor

        from vadistill.backbones.teachers import pack_network

        tensors: dict[str, Tensor] = {}
        facts: dict[str, Any] = {"config": asdict(self.config)}
        if hasattr(self, "localiser"):
            tensors, facts["localiser"] = pack_localiser(self.localiser)
        for name, module in self.modules().items():
            tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        for name, (network, described) in self.frozen().items():
            packed, facts[name] = pack_network(network, described)
            tensors |= {f"{name}/{key}": value for key, value in packed.items()}
        for name, value in self.facts().items():
            (tensors if isinstance(value, Tensor) else facts)[name] = value
        if hasattr(self, "runtime"):
            tensors |= self.runtime.saved()
        return tensors, facts

    @classmethod
    def restore(
        cls: type[S], tensors: dict[str, Tensor], facts: dict[str, Any], *, device: str, path: Path
    ) -> S:
        """The inverse of ``state``; raises WeightsError."""
        from vadistill.backbones.teachers import restore_network

        fitted = [facts.get(name) for name in FITTED]
        facts = {name: value for name, value in facts.items() if name not in HEAD}
        detector = cls(type(cls.default_config()).from_saved(facts.pop("config")), device=device)  # pyright: ignore[reportArgumentType]
        detector.footage, detector.made, radius = fitted
        detector.radius = None if radius is None else real({"radius": radius}, "radius")
        if "localiser" in facts:
            detector.localiser = unpack_localiser(tensors, facts.pop("localiser"))
        graph = saved_int8(tensors)
        frozen = {
            name: restore_network(facts[name], part(tensors, f"{name}/"), path)
            for name in cls.FROZEN
            if name in facts
        }
        plain = {name: value for name, value in tensors.items() if "/" not in name and name != INT8}
        detector.rebuild({**facts, **plain}, frozen)
        for name, module in detector.modules().items():
            module.load_state_dict(part(tensors, f"{name}/"))
            module.to(detector.device).eval()
        detector.open_runtime(graph)
        return detector

    def require_fitted(self) -> Calibration:
        """The calibration of a fitted detector; raises NotFittedError."""
        if self.calibration is None:
            raise NotFittedError(
                f"this {self.name} detector is not fitted",
                expected="a fitted or loaded detector",
                fix="call fit(…) or load(…) first",
            )
        return self.calibration

    def save(self, path: Path) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into folder ``path``, each atomically.

        Raises NotFittedError, and WeightsError when the folder cannot be written.
        """
        import torch

        kept = self.require_fitted().arrays()
        tensors = {name: torch.from_numpy(values) for name, values in kept.items()}
        path = Path(path)
        learned, facts = self.state()
        tensors |= {name: without_subnormals(tensor) for name, tensor in learned.items()}
        require_finite(tensors, facts, path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(
                f"cannot write {path} ({error.strerror})",
                expected="a folder that can be written",
                fix="choose another path",
            ) from error
        weights = path / "weights.safetensors"
        write_safetensors(weights, tensors, {"system": self.name})
        head = {"format": FORMAT, "system": self.name, "latency": self.latency}
        head |= {name: made for name in FITTED if (made := getattr(self, name)) is not None}
        write_json(path / "config.json", {**head, "weights": content_hash(weights), **facts})

    @classmethod
    def load(cls: type[S], path: Path, *, device: str = "auto") -> S:
        """Read a folder that ``save`` wrote; raises WeightsError, also for another system's."""
        path = Path(path)
        facts = read_config(path)
        if facts["system"] != cls.name:
            raise WeightsError(
                f"{path} holds a '{facts['system']}' detector",
                expected=f"a '{cls.name}' detector",
                fix="use vadistill.load(path), which reads any system",
            )
        weights = path / "weights.safetensors"
        tensors, metadata = read_safetensors(weights)
        if metadata.get("system") != cls.name or facts.get("weights") != content_hash(weights):
            raise WeightsError(
                f"config.json and weights.safetensors in {path} do not belong together",
                expected="both files of one save",
                fix="fit or copy the model again",
            )
        require_finite(tensors, facts, path)
        with refusing(path):
            calibration = take_calibration(tensors)
            detector = cls.restore(dict(tensors), facts, device=device, path=path)
            own = {name: value for name, value in facts.items() if name not in HEAD}
            require_same((tensors, own), detector.state())
            detector.calibration = calibration.of(detector.footage)
        return detector


def take_calibration(tensors: dict[str, Tensor]) -> Calibration:
    """Take the calibration out of saved tensors; raises KeyError, and ValueError if it is none."""
    names = [name for name in ("calibration", "lasting", "calibrated") if name in tensors]
    return Calibration.from_arrays({name: tensors.pop(name).double().numpy() for name in names})


def read_config(path: Path) -> dict[str, Any]:
    """``config.json`` of a saved detector; raises WeightsError."""
    file = path / "config.json"
    if not file.is_file():
        raise WeightsError(
            f"no saved detector at {path}",
            expected="a folder with config.json and weights.safetensors",
            fix="make one with 'vadistill fit'",
        )
    try:
        facts = read_json(file)
        known = facts["format"] == FORMAT and isinstance(facts["system"], str)
        known &= type(facts.get("latency")) in (int, type(None))
    except (OSError, ValueError, KeyError, TypeError):
        known, facts = False, {}
    if not known:
        raise WeightsError(
            f"{file} is not a config of this version",
            expected=f"format {FORMAT} and the name of a system",
            fix="fit again, or install the vadistill version that wrote it",
        )
    return facts


LOCALISER = "localiser/"


def part(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def pack_localiser(localiser: Localiser) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a localiser learned, as named tensors, and how to build it again."""
    import torch

    arrays = {f"{LOCALISER}{k}": torch.from_numpy(v) for k, v in localiser.arrays().items()}
    return arrays, localiser.describe()


def unpack_localiser(tensors: dict[str, Tensor], described: dict[str, Any]) -> Localiser:
    """The inverse of ``pack_localiser``; takes its tensors out of ``tensors``."""
    from vadistill import objects

    localiser = objects.build(described)
    mine = [key for key in tensors if key.startswith(LOCALISER)]
    localiser.restore({key.removeprefix(LOCALISER): tensors.pop(key).numpy() for key in mine})
    return localiser
