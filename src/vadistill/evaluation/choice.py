"""Which of several detectors a self-test prefers, and what is kept of the comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vadistill.errors import WeightsError
from vadistill.evaluation.selftest import SelfTest
from vadistill.evaluation.selftest.results import mark_of

if TYPE_CHECKING:
    from vadistill.detector import Detector

FILE = "auto.json"
"""In the kept model's folder."""


@dataclass(frozen=True)
class Candidate:
    """A detector that was tried."""

    name: str
    test: SelfTest
    fps: float
    """Frames a second that it scored in the self-test; a blend's is what its members make of it."""
    short: float
    """Lower end of the 95 % interval of what its AUC, 0 to 1, falls short of the best one's.

    0 or below: it is not told from the best.
    """

    @property
    def row(self) -> list[str]:
        """Of ``HEADER``."""
        auc, (low, high) = self.test.auc or 0.0, self.test.auc_interval or (0.0, 0.0)
        return [
            self.name,
            f"{100 * auc:.1f}",
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{self.test.found or 0.0:.0%}",
            f"{self.fps:.0f}",
        ]

    def to_json(self) -> dict[str, Any]:
        low, high = self.test.auc_interval or (None, None)
        return {
            "name": self.name,
            **{"auc": self.test.auc, "auc_low": low, "auc_high": high, "found": self.test.found},
            **{"short_of_best": self.short, "frames_per_second": self.fps},
            "self_test": self.test.to_json(),
        }


HEADER = ["detector", "AUC %", "95 %", "found", "frames/s"]
"""Columns of candidates."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What ``auto`` kept, and why."""

    model: Detector
    kept: str
    """The kept candidate's name."""
    reason: str
    candidates: tuple[Candidate, ...] = ()
    """Empty where nothing could be tested."""
    left_out: str = ""
    """Why there is one candidate less than was asked for."""
    before: bool = False
    """Whether it was made before, and is read: its candidates are in ``auto.json`` then."""

    def __str__(self) -> str:
        return f"kept {self.kept}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        candidates = [each.to_json() for each in self.candidates]
        words = {"kept": self.kept, "reason": self.reason, "left_out": self.left_out}
        return {**words, "candidates": candidates}

    @property
    def test(self) -> SelfTest | None:
        """That of the kept model."""
        return next((each.test for each in self.candidates if each.name == self.kept), None)


def rated(tests: Mapping[str, SelfTest], speed: Mapping[str, float]) -> Iterator[Candidate]:
    """Each with what it falls short of the best, by pairs of draws."""
    best = max(tests.values(), key=lambda test: test.auc or 0.0)
    for name, test in tests.items():
        apart = np.subtract(best.draws, test.draws)
        yield Candidate(name, test, speed[name], float(np.quantile(apart, 0.025)))


USUAL = "cafe"
"""What is kept unless another is told from it: it has ``motion``'s statistics among its terms.

Differences that few plants do not tell are no reason to choose: between models of one quality the
self-test ranks little better than by chance.
"""


def choose(candidates: Sequence[Candidate]) -> tuple[str, str]:
    """``USUAL``, unless it is told from the best: then that one; and why."""
    best = max(candidates, key=lambda each: each.test.auc or 0.0)
    usual = next((each for each in candidates if each.name == USUAL), best)
    highest, figure = (f"{100 * (each.test.auc or 0.0):.1f}" for each in (best, usual))
    if usual is best:
        return best.name, f"AUC {highest}, the highest"
    if usual.short <= 0:
        reason = f"AUC {figure}, which these plants do not tell from the {highest} of {best.name}"
        return usual.name, reason
    return best.name, f"AUC {highest}, told from the {figure} of {usual.name}"


def read_choice(model: str | Path) -> dict[str, Any] | None:
    """``auto.json`` of a model's folder; None where there is none of this model.

    Raises WeightsError for a file that cannot be read.
    """
    path = Path(model) / FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["model"] != mark_of(Path(model)):
            return None
        known = ("kept", "reason", "left_out", "candidates")
        return {name: found[name] for name in known} | {"settings": found.get("settings")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path} does not tell a choice ({error})",
            expected="what 'vadistill fit auto' wrote",
            fix="run it again",
        ) from error
