"""A protocol's name says everything that was done to scores before a figure was taken from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from vadistill.errors import ConfigError
from vadistill.evaluation.alignment import min_max
from vadistill.scores import Smoothing

Measure = Literal["micro", "macro-skip", "macro-pad", "macro-one", "ap", "pr_auc", "eer"]

MEASURES: tuple[Measure, ...] = get_args(Measure)

TITLES: dict[Measure, str] = {
    "micro": "micro AUC",
    "macro-skip": "macro AUC (one-class videos left out)",
    "macro-pad": "macro AUC (padded)",
    "macro-one": "macro AUC (one-class videos count as 1)",
    "ap": "average precision",
    "pr_auc": "area under PR curve (trapezoidal)",
    "eer": "equal error rate (lower is better)",
}


@dataclass(frozen=True)
class Protocol:
    """What is measured on which form of the scores, such as ``micro/average10``.

    The name is ``MEASURE/SMOOTHING`` with ``/minmax`` behind it where each video's smoothed scores
    are stretched to [0, 1].  That inflates micro AUC and cannot run live, and is here only to
    compare with papers that did it.
    """

    measure: Measure
    smoothing: Smoothing = field(default_factory=Smoothing)
    minmax: bool = False

    @property
    def name(self) -> str:
        return f"{self.measure}/{self.smoothing.name}" + "/minmax" * self.minmax

    def __str__(self) -> str:
        return self.name

    @property
    def metric(self) -> str:
        """Kind of figure: ``auc``, ``ap``, ``pr_auc`` or ``eer``."""
        return "auc" if self.measure.startswith("m") else self.measure

    @property
    def title(self) -> str:
        """What is measured, for people."""
        return TITLES[self.measure]

    @classmethod
    def parse(cls, name: str | Protocol) -> Protocol:
        """The inverse of ``name``; ``macro`` is ``macro-skip``, no smoothing is raw.

        Raises ConfigError.
        """
        if isinstance(name, Protocol):
            return name
        measure, *rest = name.strip().split("/")
        measure = "macro-skip" if measure == "macro" else measure
        minmax = bool(rest) and rest[-1] == "minmax"
        rest = rest[:-1] if minmax else rest
        if measure not in MEASURES or len(rest) > 1:
            raise ConfigError(
                f"protocol '{name}'",
                expected="MEASURE/SMOOTHING or MEASURE/SMOOTHING/minmax, such as micro/average10, "
                f"with a measure of {', '.join(MEASURES)}",
                fix="correct the name",
            )
        return cls(measure, Smoothing.parse(rest[0]) if rest else Smoothing(), minmax)

    def apply(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """One video's raw scores as this protocol measures them: smoothed, then ``minmax``."""
        smoothed = self.smoothing.apply(values)
        return min_max(smoothed) if self.minmax else smoothed

    @property
    def caveats(self) -> list[str]:
        """What a reader must know to compare the figure with another."""
        kind, width = self.smoothing.kind, self.smoothing.width
        ahead = {"average": width // 2, "gaussian": math.ceil(4 * width)}.get(kind, 0)
        found = []
        if ahead:
            found.append(f"{self.smoothing.name} is centred: it looks {ahead:g} frames ahead")
        if self.minmax:
            found.append("minmax stretches each video's scores afterwards: it cannot run live")
        return found
