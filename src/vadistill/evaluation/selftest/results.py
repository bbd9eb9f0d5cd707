"""What a self-test found, by kind of planted anomaly; kept in the model's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import WeightsError
from vadistill.evaluation.selftest.kinds import CONTROL
from vadistill.files import content_hash, read_json, write_json
from vadistill.soundness import typed

FILE = "selftest.json"
"""In a model's folder."""

HIGH = 0.99
"""Share of normal training frames above which a frame of the held-out footage counts as high."""

STRANGE = 0.1
"""Share of high frames from which the footage is called new to the model: ten times as many as
where it is like what training saw."""


@dataclass(frozen=True)
class KindFigure:
    """How a model fared with one kind of planted anomaly."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    kind: str
    plants: int
    found: int
    """Plants in which an alarm stood at the wanted false alarms a day."""
    found_low: float
    """Lower end of the share found's 95 % Wilson interval, 0 to 1."""
    found_high: float
    auc: float
    """Of the plants' frames against all frames of the untouched footage, 0 to 1."""
    auc_low: float
    """Lower end of its 95 % bootstrap interval over plants and stretches of normal footage."""
    auc_high: float


@dataclass(frozen=True, eq=False)
class Picture:
    """A planted moment."""

    kind: str
    video: str
    time: float
    """Seconds."""
    found: bool
    calibrated: float
    """Share of normal training frames that score lower than the plant's highest frame."""
    image: UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class SelfTest:
    """Planted anomalies found by kind, on normal footage that training did not see."""

    system: str
    kinds: tuple[KindFigure, ...]
    left_out: Mapping[str, str]
    """Kinds without a plant, and why."""
    false_alarms_per_day: float
    """The wanted ones, of which the level of an alarm follows."""
    videos: int
    frames: int
    seconds: float
    """Length of the held-out footage."""
    held_out: bool
    """Whether training has really not seen it."""
    seed: int
    pictures: tuple[Picture, ...] = field(default=(), compare=False)
    """Not kept in the file."""
    draws: tuple[float, ...] = field(default=(), compare=False)
    """``auc`` for each draw of plants and normal footage; not kept in the file."""
    high: float | None = None
    """Share of the frames without plants that score above 99 % of normal training frames: 0.01
    where they are alike, and more where the model has learned its footage by heart or that was too
    little.  None where an earlier version has not told it."""
    footage: str = ""
    """``footage_hash`` of the held-out footage; '' where an earlier version has not told it."""

    @property
    def abnormal(self) -> tuple[KindFigure, ...]:
        """The kinds that should be found: all but the control."""
        return tuple(kind for kind in self.kinds if kind.kind != CONTROL)

    @property
    def auc(self) -> float | None:
        """Mean AUC of the abnormal kinds, 0 to 1; None where nothing could be planted."""
        return float(np.mean([k.auc for k in self.abnormal])) if self.abnormal else None

    @property
    def auc_interval(self) -> tuple[float, float] | None:
        """The ends of ``auc``'s 95 % interval; None once the draws are gone."""
        if not self.draws:
            return None
        low, high = np.quantile(self.draws, (0.025, 0.975))
        return float(low), float(high)

    @property
    def found(self) -> float | None:
        """Mean share found of the abnormal kinds, 0 to 1."""
        shares = [k.found / k.plants for k in self.abnormal]
        return float(np.mean(shares)) if shares else None

    @property
    def summary(self) -> str:
        """In a line that says what it is of."""
        return f"self-test: {self.words}"

    @property
    def words(self) -> str:
        """In a line."""
        if self.auc is None or self.found is None:
            return "nothing could be planted into this footage"
        blind = [k.kind for k in self.abnormal if k.found <= k.plants / 4]
        words = f"; blind to: {', '.join(blind)}" if blind else ""
        return (
            f"{self.found:.0%} of planted anomalies found at "
            f"{self.false_alarms_per_day:g} false alarm{'s' * (self.false_alarms_per_day != 1)} "
            f"a day, AUC {100 * self.auc:.1f}{words}{self._strange}"
        )

    @property
    def _strange(self) -> str:
        """What is said where the held-out footage is new to the model."""
        if not self.held_out or self.high is None or self.high < STRANGE:
            return ""
        return (
            f"; normal footage that was put aside is new to it ({self.high:.0%} of its frames "
            f"score as {1 - HIGH:.0%} of those that it learned from): give it more"
        )

    @property
    def header(self) -> list[str]:
        """Columns of ``rows``."""
        return ["planted", "found", "95 %", "AUC %", "95 % of AUC"]

    @property
    def rows(self) -> list[list[str]]:
        """One row a kind."""
        return [
            [
                k.kind if k.kind != CONTROL else f"{k.kind} (should not be found)",
                f"{k.found} of {k.plants}",
                f"{k.found_low:.0%} to {k.found_high:.0%}",
                f"{100 * k.auc:.1f}",
                f"{100 * k.auc_low:.1f} to {100 * k.auc_high:.1f}",
            ]
            for k in self.kinds
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, as plain JSON."""
        plain = asdict(self)
        del plain["pictures"], plain["draws"]
        return plain | {"auc": self.auc}

    def save(self, model: str | Path) -> None:
        """Keep it in a model's folder; raises WeightsError."""
        write_json(Path(model) / FILE, self.to_json() | {"model": mark_of(Path(model))})


def mark_of(model: Path) -> str:
    """What tells a model from one that is fitted in its place later."""
    config = model / "config.json"
    return content_hash(config.read_bytes() if config.is_file() else b"")


def read_self_test(model: str | Path) -> SelfTest | None:
    """What is kept in a model's folder, without pictures; None where there is none of this model.

    Raises WeightsError for a file that cannot be read.
    """
    path = Path(model) / FILE
    if not path.is_file():
        return None
    try:
        plain = read_json(path)
        plain.pop("auc", None)
        if plain.pop("model") != mark_of(Path(model)):
            return None
        if unknown := plain.keys() - {field.name for field in fields(SelfTest)}:
            raise ValueError(f"{unknown}")
        kinds = typed(SelfTest, {"kinds": plain.pop("kinds")})
        for k in kinds["kinds"]:
            shares = (k.found_low, k.found_high, k.auc, k.auc_low, k.auc_high)
            if not (0 <= k.found <= k.plants and all(0 <= share <= 1 for share in shares)):
                raise ValueError(f"{k}")
        found = SelfTest(**kinds, **typed(SelfTest, plain))
        if not 0 <= (found.high or 0) <= 1:
            raise ValueError(f"high {found.high}")
        return found
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(
            f"{path} is not a self-test ({error})",
            expected="what 'vadistill selftest' wrote",
            fix="run it again",
        ) from error
