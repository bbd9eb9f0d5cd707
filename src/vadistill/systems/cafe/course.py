"""How unlike those of normal footage the way is that an object goes: ours.

CAFE looks at an object alone, and its speed has no direction: neither knows that nobody goes this
way here.  Of training objects' velocities v, in pixels a second, some are kept as

    w = v log(1 + |v|) / |v|, each component over its deviation,

so that a direction counts as much for those who are slow or far away.  An object's course is the
logarithm of the distance of its own w to the ``NEIGHBOURS``-th nearest of them.  What normal
objects have is taken against those of other parts of the footage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree

from vadistill.soundness import require_array
from vadistill.systems.cafe.standard import Standard

KEPT = 2000
"""Training objects whose ways are kept, at most."""

NEIGHBOURS = 4

LEAST = 0.01
"""Of a distance, added before its logarithm."""

LEAST_SPREAD = 0.1
"""Of the deviation of w."""

UNUSUAL = 3.0
"""Deviations above the mean from which on a course is a reason."""

STANDS = 2.0
"""Pixels a second, below which nothing goes anywhere."""

PARTS = 5
"""Of the training footage, in its order: each one's objects are held against those of the rest."""

Ways = Float[np.ndarray, "n 2"]


def ways(velocity: Float[np.ndarray, "n 2"]) -> Ways:
    """w of velocities in pixels a second."""
    speed = np.hypot(*velocity.astype(np.float64).T)[:, None]
    return velocity * np.log1p(speed) / np.maximum(speed, 1e-9)


@dataclass(frozen=True, eq=False)
class Seen:
    """Ways that objects of normal footage go."""

    points: Float[np.ndarray, "k 2"]
    """Each over ``spread``."""
    spread: Float[np.ndarray, " 2"]

    @classmethod
    def of(cls, found: Ways, rng: np.random.Generator) -> Seen:
        """Those of some training objects."""
        spread = np.maximum(found.std(axis=0), LEAST_SPREAD)
        rows = rng.permutation(len(found))[:KEPT]
        return cls((found[rows] / spread).astype(np.float32), spread)

    @classmethod
    def from_saved(cls, points: np.ndarray, spread: object) -> Seen:
        """Those that a model has; raises ValueError for what cannot be ways."""
        require_array(points, "ways", "f", None, 2)
        known = require_array(np.array(spread, np.float64), "way_spread", "f", 2)
        if not len(points) or not (known > 0).all():
            raise ValueError("no ways, or deviations that are not above 0")
        return cls(points, known)

    def facts(self) -> dict[str, Any]:
        """What ``from_saved`` takes."""
        points = torch.from_numpy(self.points.astype(np.float32))
        return {"ways": points, "way_spread": self.spread.tolist()}

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points)

    def course(self, found: Ways) -> Float[np.ndarray, "n 1"]:
        """The logarithm of how far objects' ways lie from these."""
        near = min(NEIGHBOURS, len(self.points))
        distance, _ = self._tree.query(found / self.spread, k=near)
        return np.log(distance.reshape(len(found), near)[:, -1:] + LEAST)

    def told(self, found: Ways, standard: Standard) -> str:
        """What is unusual about one object's way, or ''; ``standard`` is that of courses."""
        course = self.course(found)
        if ((course - standard.mean(np.zeros((1, 4)))) / standard.sigma).item() <= UNUSUAL:
            return ""
        if np.hypot(*found[0]) < np.log1p(STANDS):
            return "stands as hardly anything does in normal footage"
        return "goes a way that is rare in normal footage"


def course_in_the_rest(found: Ways, rng: np.random.Generator) -> Float[np.ndarray, "n 1"]:
    """``Seen.course`` of training objects, in the footage's order, each in all other parts."""
    if len(found) < 2 * PARTS:
        return Seen.of(found, rng).course(found)
    parts = np.array_split(np.arange(len(found)), PARTS)
    return np.concatenate(
        [Seen.of(np.delete(found, part, axis=0), rng).course(found[part]) for part in parts]
    )
