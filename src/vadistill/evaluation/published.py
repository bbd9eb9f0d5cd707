"""Published figures to stand beside ours, as their papers report them: ``published.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vadistill.evaluation.protocol import REGION


@dataclass(frozen=True)
class Published:
    """What a paper reports of one row of its tables on one data set."""

    paper: str
    """The paper whose reproduction has the row: cafe, fast_aed or dakd; else ``others``."""
    dataset: str
    row: str
    """As the reproduction names it."""
    figures: Mapping[str, float]
    """In [0, 1] by measure, such as ``micro``, each under a smoothing of the paper's own."""
    title: str = ""
    """The method, for people, where it stands among those that reports list."""


def published(dataset: str) -> list[Published]:
    """All that is known of a data set."""
    return [figure for figure in _all() if figure.dataset == dataset]


def published_rows(paper: str, dataset: str, smoothing: str) -> dict[str, dict[str, float]]:
    """A paper's frame-level figures by row and protocol, under the smoothing that it used."""
    return {
        one.row: {f"{m}/{smoothing}": v for m, v in one.figures.items() if m not in REGION}
        for one in published(dataset)
        if one.paper == paper
    }


@cache
def _all() -> tuple[Published, ...]:
    text = (files("vadistill.evaluation") / "published.json").read_text(encoding="utf-8")
    return tuple(Published(**values) for values in json.loads(text))
