"""mu and sigma of Eq. 12, given an object's place: our reading, the paper has one of each.

Shapes of what is near are others than those of what is far, or half hidden at an edge.  So their
mean is what training objects have at that place,

    mu(b) = w . phi(b),    phi(b) = 1, x, y, x^2, xy, y^2,

with the foot (x, y) of the box b standardised over the training objects and held within what they
show; w by ridge regression.  sigma is the deviation that is left.  Errors have one mean: given
their place, or their size, they no longer tell a cart from a person (docs/cafe.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float

from vadistill.soundness import require_array

RIDGE = 0.01
"""Of a standardised feature, in units of the number of objects."""

RARE = NormalDist().inv_cdf(0.99)
"""Deviations that a hundredth of normally distributed values pass."""

LEAST = 1e-6
"""Of a deviation."""


def foot(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 2"]:
    """Where each box stands, x and y in pixels."""
    x1, _, x2, y2 = boxes.astype(np.float64).T
    return np.stack([(x1 + x2) / 2, y2], axis=1)


def aspect(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """Log of width over height: what lies is wider than what stands, and so are vehicles."""
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    return np.log(np.maximum(x2 - x1, 1) / np.maximum(y2 - y1, 1))


@dataclass(frozen=True, eq=False)
class Standard:
    """Of t values that each object has, their mean given its place, and their deviation from it.

    Without a place (k is 0, not 2) the mean is that of all.
    """

    middle: Float[np.ndarray, " k"]
    """Mean foot of the training objects."""
    spread: Float[np.ndarray, " k"]
    """Its deviation."""
    low: Float[np.ndarray, " k"]
    """Its lowest, standardised."""
    high: Float[np.ndarray, " k"]
    weights: Float[np.ndarray, "f t"]
    """w, of each feature and value."""
    sigma: Float[np.ndarray, " t"]

    @classmethod
    def fit(
        cls, values: Float[np.ndarray, "n t"], boxes: Float[np.ndarray, "n 4"], *, by_place: bool
    ) -> Standard:
        """From training objects; without ``by_place`` their plain mean and deviation."""
        known = foot(boxes)[:, : 2 * by_place]
        middle, spread = known.mean(0), np.maximum(known.std(0), LEAST)
        z = (known - middle) / spread
        low, high = z.min(0), z.max(0)
        phi = _features(z)
        penalty = RIDGE * len(phi) * np.eye(phi.shape[1])
        penalty[0, 0] = 0.0
        weights = np.linalg.solve(phi.T @ phi + penalty, phi.T @ values.astype(np.float64))
        left = values - phi @ weights
        sigma = np.sqrt((left**2).sum(0) / max(len(left) - 1, 1))
        return cls(middle, spread, low, high, weights, np.maximum(sigma, LEAST))

    @classmethod
    def over_all(cls, mean: Float[np.ndarray, " t"], sigma: Float[np.ndarray, " t"]) -> Standard:
        """With one mean and deviation, whatever the place."""
        none = np.zeros(0)
        return cls(none, none, none, none, mean[None], sigma)

    def mean(self, boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n t"]:
        """mu of objects with these boxes."""
        known = foot(boxes)[:, : len(self.middle)]
        return _features(np.clip((known - self.middle) / self.spread, self.low, self.high)) @ (
            self.weights
        )

    def to_json(self) -> dict[str, Any]:
        return {name: array.tolist() for name, array in asdict(self).items()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any], values: int, *, by_place: bool) -> Standard:
        """The inverse of ``to_json``; raises KeyError, and ValueError for what cannot be one."""
        shapes = dict.fromkeys(("middle", "spread", "low", "high"), (2 * by_place,))
        shapes |= {"weights": (6 if by_place else 1, values), "sigma": (values,)}
        arrays = {
            name: require_array(np.array(saved[name], np.float64), name, "f", *shape)
            for name, shape in shapes.items()
        }
        found = cls(**arrays)
        if not ((found.sigma > 0).all() and (found.spread > 0).all()):
            raise ValueError("deviations that are not above 0")
        return found


def _features(z: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n f"]:
    """phi."""
    first, second = np.triu_indices(z.shape[1])
    return np.hstack([np.ones((len(z), 1)), z, z[:, first] * z[:, second]])


def renewed(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a model of an earlier version, which had one mean and deviation an error."""
    for name in ("mean", "std"):
        require_array(facts[name].numpy(), name, "f", 3)
    saved = Standard.over_all(facts["mean"].numpy(), facts["std"].numpy())
    standards = {"errors": saved.to_json()}
    return {**facts, "least_error": [0.0] * 3, "standards": standards}
