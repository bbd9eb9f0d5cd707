"""What one camera's scores are held against, by each light: its level, and what they drift from."""

from __future__ import annotations

import math
from typing import NamedTuple

from vadistill.levels import Calibration, Level
from vadistill.serving.config import CameraSettings
from vadistill.serving.live.drift import Drift
from vadistill.serving.live.learned import drift_from, starting_level
from vadistill.serving.live.light import Light, key
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.store import Store

LIGHTS: tuple[Light, ...] = ("", "day", "night")


class Standard(NamedTuple):
    """By one light."""

    level: Level
    drift: Drift


class Standards:
    """Those of all lights are in memory: a change of light waits for no disk, and loses no counts.

    ``light`` is set, and scores are noted, in the camera's thread; ``learn`` may come from any.
    Without a ``calibration`` no event opens.  Raises StorageError.
    """

    def __init__(
        self,
        store: Store,
        camera: CameraSettings,
        calibration: Calibration | None,
        mark: str = "",
        later: Later | None = None,
    ) -> None:
        self._store, self._camera, self._calibration = store, camera, calibration
        self._mark, self._later = mark, later
        self._by: dict[Light, Standard] = {}
        self._seen: set[Light] = {light for _, light in store.value(key(camera.name), [])}
        """By which lights the camera has seen."""
        self._light: Light = ""
        self.learn()

    def learn(self) -> None:
        """Take what is kept by now, from the next frame on; counts of the same go on."""
        found: dict[Light, Standard] = {}
        for by in LIGHTS:
            level = Level(math.inf, math.inf, "fixed")
            if self._calibration is not None:
                known = self._store, self._camera, self._calibration, self._mark, by
                level = starting_level(*known)
            made = drift_from(
                self._store, self._camera, self._calibration, self._mark, by, self._later
            )
            former = self._by.get(by)
            goes_on = former is not None and former.drift.same(made)
            found[by] = Standard(level, former.drift if former and goes_on else made)
        if self._by:
            self._seen = {by for by in self._seen if not found[by].drift.unseen}
        self._by = found

    @property
    def light(self) -> Light:
        """By which the camera sees."""
        return self._light

    @light.setter
    def light(self, by: Light) -> None:
        self._seen = {*self._seen, self._light, by}
        self._light = by

    @property
    def level(self) -> Level:
        return self._by[self._light].level

    @property
    def drift(self) -> Drift:
        return self._by[self._light].drift

    @property
    def trouble(self) -> str | None:
        """Why the level no longer fits; '' if it does, None while that is not known.

        Drift by another light ends by that light alone, and a light that no level knows only once
        that is learned.
        """
        own = self.drift
        if own.told:
            return own.told
        others = [self._by[by].drift for by in self._seen if by != self._light]
        unfit = [drift for drift in others if drift.told]
        drifted = next((drift.told for drift in unfit if not drift.unseen), None)
        return drifted if unfit else own.told

    def save(self) -> None:
        """Keep all counts for the camera's next start."""
        for standard in self._by.values():
            standard.drift.save()
