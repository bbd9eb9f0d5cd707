"""A protocol's name says everything that was done to scores before a figure was taken from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from vadistill.errors import ConfigError, one_of
from vadistill.evaluation.alignment import min_max
from vadistill.scores import Smoothing

Measure = Literal[
    "micro", "macro-skip", "macro-pad", "macro-one", "ap", "pr_auc", "eer", "video", "rbdc", "tbdc"
]

MEASURES: tuple[Measure, ...] = get_args(Measure)

REGION: tuple[Measure, ...] = ("rbdc", "tbdc")
"""Measured on scored boxes against tracks of true boxes, not on frame scores."""

TITLES: dict[Measure, str] = {
    "micro": "micro AUC",
    "macro-skip": "macro AUC (one-class videos left out)",
    "macro-pad": "macro AUC (padded)",
    "macro-one": "macro AUC (one-class videos count as 1)",
    "ap": "average precision",
    "pr_auc": "area under PR curve (trapezoidal)",
    "eer": "equal error rate (lower is better)",
    "video": "AUC of videos by their highest score",
    "rbdc": "region-based detection criterion",
    "tbdc": "track-based detection criterion",
}


def smoothed(smoothing: Smoothing) -> str:
    """What a smoothing's name stands for.

    >>> smoothed(Smoothing("gaussian", 3))
    'smoothed by a Gaussian of 3 frames around each'
    """
    return {
        "none": "scores as they are",
        "average": f"their mean over {smoothing.width:g} frames around each",
        "gaussian": f"smoothed by a Gaussian of {smoothing.width:g} frames around each",
        "zeropadded": f"smoothed by a Gaussian of {smoothing.width:g} frames with zeros beyond",
        "causal": f"their mean over each one's last {smoothing.width:g} frames",
    }[smoothing.kind]


@dataclass(frozen=True)
class Protocol:
    """What is measured on which form of the scores, such as ``micro/average10``.

    The name is ``MEASURE/SMOOTHING`` with ``/minmax`` behind it where each video's smoothed scores
    are stretched to [0, 1].  That inflates micro AUC and cannot run live, and is here only to
    compare with papers that did it.  With a data set's name in front, ``ucsd_ped2/micro/gaussian3``
    is all that a reader needs to know; figures of different full names are not to be compared.
    Boxes have no smoothing: region measures are always ``raw``.
    """

    measure: Measure
    smoothing: Smoothing = field(default_factory=Smoothing)
    minmax: bool = False
    dataset: str = ""
    """Name of the data set, or empty where the protocol is not bound to one."""

    @property
    def name(self) -> str:
        """Without the data set."""
        return f"{self.measure}/{self.smoothing.name}" + "/minmax" * self.minmax

    def __str__(self) -> str:
        return f"{self.dataset}/{self.name}" if self.dataset else self.name

    @property
    def metric(self) -> str:
        """Kind of figure: ``auc``, ``ap``, ``pr_auc``, ``eer``, ``rbdc`` or ``tbdc``."""
        return "auc" if self.measure.startswith(("m", "video")) else self.measure

    @property
    def title(self) -> str:
        """What is measured, for people."""
        return TITLES[self.measure]

    @classmethod
    def parse(cls, name: str | Protocol) -> Protocol:
        """The inverse of ``str``; ``macro`` is ``macro-skip``, no smoothing is raw.

        Raises ConfigError.
        """
        if isinstance(name, Protocol):
            return name
        words = name.strip().split("/")
        dataset = ""
        if len(words) > 1 and _measure(words[0]) is None and _measure(words[1]) is not None:
            dataset, *words = words
        measure = _measure(words[0])
        rest = words[1:]
        minmax = bool(rest) and rest[-1] == "minmax"
        rest = rest[:-1] if minmax else rest
        if measure is None or len(rest) > 1:
            form = (
                "MEASURE/SMOOTHING or MEASURE/SMOOTHING/minmax, such as micro/average10, with a "
                f"measure of {', '.join(MEASURES)}"
            )
            one_of(f"protocol '{name}': measure", words[0], MEASURES, expected=form)
            raise ConfigError(f"protocol '{name}'", expected=form, fix="correct the name")
        made = cls(measure, Smoothing.parse(rest[0]) if rest else Smoothing(), minmax, dataset)
        if measure in REGION and (made.smoothing != Smoothing() or minmax):
            raise ConfigError(
                f"protocol '{name}'",
                expected=f"{measure}/raw: boxes are not smoothed",
                fix="use it",
            )
        return made

    def on(self, dataset: str) -> Protocol:
        """This protocol bound to a data set; raises ConfigError if it is bound to another one."""
        if self.dataset not in ("", dataset):
            raise ConfigError(
                f"protocol '{self}' on {dataset}",
                expected=f"a protocol of {dataset}",
                fix=f"write {dataset}/{self.name}, or {self.name} for any data set",
            )
        return replace(self, dataset=dataset)

    def apply(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """One video's raw scores as this protocol measures them: smoothed, then ``minmax``."""
        smoothed = self.smoothing.apply(values)
        return min_max(smoothed) if self.minmax else smoothed

    @property
    def caveats(self) -> list[str]:
        """What a reader must know to compare the figure with another."""
        kind, width = self.smoothing.kind, self.smoothing.width
        bell = math.ceil(4 * width)
        ahead = {"average": width // 2, "gaussian": bell, "zeropadded": bell}.get(kind, 0)
        found = []
        if ahead:
            found.append(f"{self.smoothing.name} is centred: it looks {ahead:g} frames ahead")
        if kind == "zeropadded":
            found.append("scores fall towards zero at a video's ends, whatever happens there")
        if self.minmax:
            found.append("minmax stretches each video's scores afterwards: it cannot run live")
        return found


def parsed(protocols: Protocol | str | Iterable[Protocol | str]) -> list[Protocol]:
    """One protocol or several, each as itself or by its name; raises ConfigError."""
    each = [protocols] if isinstance(protocols, str | Protocol) else protocols
    return [Protocol.parse(protocol) for protocol in each]


def differences(one: Protocol, other: Protocol) -> list[str]:
    """What keeps figures of two protocols from being compared, in words; empty if nothing does."""
    found = []
    if one.dataset != other.dataset:
        found.append(f"the data set ({one.dataset or 'any'} and {other.dataset or 'any'})")
    if one.measure != other.measure:
        found.append(f"the measure ({one.title} and {other.title})")
    if one.smoothing != other.smoothing:
        found.append(f"the smoothing ({one.smoothing.name} and {other.smoothing.name})")
    if one.minmax != other.minmax:
        found.append("stretching each video to [0, 1], which one does and the other does not")
    return found


def _measure(word: str) -> Measure | None:
    word = "macro-skip" if word == "macro" else word
    return next((measure for measure in MEASURES if measure == word), None)
