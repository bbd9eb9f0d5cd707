"""``auto``: a detector by name where this machine has it or can fetch it, else ``background``."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vadistill.backbones.detectors import PUBLISHED
from vadistill.errors import WeightsError
from vadistill.fetching import SWITCHED_OFF, Published, fetched, is_offline
from vadistill.objects.base import Boxes, Localiser

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet

DETECTOR = "yolox_nano"

PATIENCE, WITHIN = 5.0, 60.0
"""Seconds without an answer or a byte, and in all, after which there is no detector to be had."""

_refused: set[Published] = set()
"""What this process has asked for in vain: it is not asked for again."""


class Auto(Localiser):
    """Becomes another localiser when it is first needed, in ``fit`` and ``describe`` at the latest.

    What it became and why are in its description, so that who has learned never chooses again.
    """

    name = "auto"

    def __init__(
        self, build: Callable[[str], Localiser], inner: Localiser | None = None, why: str = ""
    ) -> None:
        super().__init__()
        self._build, self._inner, self._why = build, inner, why

    @property
    def inner(self) -> Localiser:
        """What it became."""
        if self._inner is None:
            if has_detector("localiser 'auto' is 'background'", "choose --localiser background"):
                self._inner = self._build(f"detector:{DETECTOR}")
                self._why = f"{DETECTOR} is on this machine"
            else:
                self._inner = self._build("background")
                gone = f", and {SWITCHED_OFF}" if is_offline() else " and could not be fetched"
                self._why = f"{DETECTOR} is not on this machine{gone}"
        return self._inner

    def fit(self, train: Dataset) -> None:
        self.inner.fit(train)

    def start(self, info: VideoInfo) -> None:
        self.inner.start(info)

    def boxes(self, window: Triplet) -> Boxes:
        return self.inner.boxes(window)

    def clone(self) -> Auto:
        made = copy.copy(self)
        made._inner = self.inner.clone()
        return made

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "inner": self.inner.describe(), "why": self._why}

    def arrays(self) -> dict[str, np.ndarray]:
        return self.inner.arrays()

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.inner.restore(arrays)


def has_detector(without: str, choose: str) -> bool:
    """Whether the detector is on this machine, where it is fetched to unless that is forbidden.

    ``without`` says what happens where it cannot be had, ``choose`` how it is never asked for.
    """
    published = PUBLISHED[DETECTOR]
    if published.is_cached():
        return True
    if is_offline() or published in _refused:
        return False
    instead = f"{choose}, or set VADISTILL_OFFLINE=1 and it is not tried"
    try:
        fetched(
            published,
            what=f"detector {DETECTOR}",
            instead=instead,
            patience=PATIENCE,
            within=WITHIN,
        )
    except WeightsError as error:
        _refused.add(published)
        logging.getLogger(__name__).warning("%s: %s", without, error)
        return False
    return True


def in_words(described: dict[str, Any]) -> str:
    """What a localiser's description says, for people: what finds objects, and why it does.

    >>> in_words({"name": "auto", "inner": {"name": "background"}, "why": "it is raining"})
    'background (auto: it is raining)'
    """
    name = str(described.get("name", ""))
    if name == "whole":
        return in_words(described["inner"])
    if name == "union":
        return " + ".join(map(in_words, described["parts"]))
    if name == "auto":
        return f"{in_words(described['inner'])} (auto: {described['why']})"
    if name == "detector":
        return f"{name}:{described['model'].replace(chr(92), '/').rpartition('/')[2]}"
    return name
