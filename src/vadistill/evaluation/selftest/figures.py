"""What a self-test's figures are made of: AUC, stretches of footage, Wilson's interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vadistill.scores import Scores

BLOCK = 2.0
"""Seconds of normal footage that are drawn together for intervals."""


def blocks(scores: Scores) -> list[Float[np.ndarray, " t"]]:
    """A video's values in stretches of ``BLOCK`` seconds, about."""
    count = max(1, round(len(scores) / max(1.0, BLOCK * scores.fps)))
    return [block for block in np.array_split(scores.values, count) if len(block)]


def auc_of(
    abnormal: Sequence[Float[np.ndarray, " _"]], normal: Sequence[Float[np.ndarray, " _"]]
) -> float:
    """The chance that an abnormal frame scores above a normal one; half of the ties count."""
    high, low = np.concatenate(abnormal), np.sort(np.concatenate(normal))
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def wilson(found: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, both ends in [0, 1]."""
    share = found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
