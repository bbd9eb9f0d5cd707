"""What a report's script draws, as numbers: curves and timelines, thinned without losing peaks."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from vadistill.evaluation.alignment import Aligned

COLOURS = 6
"""Systems that get a colour of their own; CSS variables --c0 … hold them."""

POINTS = 60_000
"""Points of all timelines of a page together."""

COLUMNS = (100, 1000)
"""Fewest and most columns of a timeline; each keeps its lowest and its highest score."""

BANDS = 400
"""Most bands of one timeline; with more runs of labels, those of neighbouring columns are one."""


def packed(values: np.ndarray, kind: str) -> str:
    """Numbers as base64 text of little-endian ``kind``: f4, i4, i2, u2 or u1."""
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(f"<{kind}")).tobytes()).decode()


def roc_and_pr(data_by_system: Mapping[str, Aligned]) -> dict[str, list[dict[str, Any]]]:
    """ROC and precision-recall curves: x, y and the score from which on frames count as alarms."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    found: dict[str, list[dict[str, Any]]] = {"roc": [], "pr": []}
    for data in data_by_system.values():
        labels, scores = data.all_labels, data.all_scores
        x, y, above = roc_curve(labels, scores)
        found["roc"].append(_curve(x, y, above))
        y, x, above = precision_recall_curve(labels, scores)
        found["pr"].append(_curve(x, y, np.append(above, np.inf)))
    return found


def _curve(x: np.ndarray, y: np.ndarray, above: np.ndarray) -> dict[str, Any]:
    """At most about a thousand points of a curve: the last in each cell of a fine grid."""
    cell = np.stack([np.round(x * 500), np.round(y * 500)])
    keep = np.append(np.any(np.diff(cell, axis=1), axis=0), True)
    keep[0] = True
    named = {"x": x[keep], "y": y[keep], "above": above[keep]}
    return {name: packed(values, "f4") for name, values in named.items()}


def columns_for(curves: int) -> int:
    """Columns of each of ``curves`` timelines, so that a page does not grow with its videos."""
    return int(np.clip(POINTS // (2 * max(1, curves)), *COLUMNS))


def thinned(values: Float[np.ndarray, " n"], columns: int) -> Int[np.ndarray, " m"]:
    """Indices of at most ``2 * columns`` values, in order: each column's lowest and highest."""
    count = len(values)
    if count <= 2 * columns:
        return np.arange(count)
    column = np.arange(count) * columns // count
    order = np.lexsort((values, column))  # by column, then from low to high
    ends = np.flatnonzero(np.diff(column[order], append=columns))
    starts = np.concatenate([[0], ends[:-1] + 1])
    kept = np.concatenate([order[starts], order[ends], [0, count - 1]])
    return np.unique(kept)


def bands(labels: UInt8[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """First and last frame of every run of abnormal frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (labels > 0).astype(np.int8), [0]])))
    runs = np.stack([edges[::2], edges[1::2] - 1], axis=1)
    if len(runs) > BANDS:
        gap = len(labels) // BANDS
        apart = np.flatnonzero(runs[1:, 0] - runs[:-1, 1] > gap)
        first = runs[np.concatenate([[0], apart + 1]), 0]
        last = runs[np.concatenate([apart, [len(runs) - 1]]), 1]
        runs = np.stack([first, last], axis=1)
    return [(int(a), int(b)) for a, b in runs]
