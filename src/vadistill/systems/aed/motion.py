"""Pseudo-abnormal motion: flow of normal objects over larger gaps, where that is truly too fast.

Most people in normal video stand or walk slowly: over a gap of five frames, many of them move no
further than a fast walker does over three.  Such flow is drawn again, since it would teach that
normal motion is abnormal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Generator, Tensor

from vadistill.objects.patches import FlowPatches, PatchStore
from vadistill.systems.aed.model import MOTION

MARGIN = 1.05
"""Pseudo-abnormal motion is at least so many times as fast as 99 % of normal motion."""

SHARE = 0.01
"""Of all flow over larger gaps, so much at least is drawn from; where less is fast enough, the
fastest is stretched."""

CHUNK = 256
"""Objects whose flow is read at a time."""


def mean_speeds(flow: FlowPatches) -> Float32[np.ndarray, "n f"]:
    """Mean length of the flow over each patch, in pixels."""
    return np.hypot(flow[:, :, 0], flow[:, :, 1], dtype=np.float32).mean((2, 3))


def all_speeds(store: PatchStore) -> Float32[np.ndarray, "n f"]:
    """``mean_speeds`` of every object of a store."""
    parts = np.array_split(np.arange(len(store)), -(-len(store) // CHUNK))
    return np.concatenate([mean_speeds(store.flow(rows)) for rows in parts])


@dataclass(frozen=True, eq=False)
class PseudoMotion:
    """What is drawn from: for each view of ``MOTION``, flow fields of a store's objects."""

    places: tuple[Int[np.ndarray, "m 2"], ...]
    """The object, and which of its flow fields."""
    stretched: tuple[Float[np.ndarray, " m"], ...]
    """What each is multiplied by: 1 where it is fast enough by itself."""

    @classmethod
    def of(cls, store: PatchStore) -> PseudoMotion:
        """Of each view, the flow over larger gaps that is ``MARGIN`` times normal's 99 % or more.

        A store has a flow field for each view, then as many again for each larger gap.
        """
        speeds, views = all_speeds(store), len(MOTION)
        places, stretched = [], []
        for view in range(views):
            limit = max(MARGIN * float(np.quantile(speeds[:, view], 0.99)), 1e-3)
            over = speeds[:, views + view :: views]
            least = min(limit, np.partition(over.ravel(), -_few(over.size))[-_few(over.size)])
            rows, gaps = np.nonzero(over >= least)
            places.append(np.column_stack([rows, views + view + views * gaps]))
            found = over[rows, gaps].astype(np.float64)
            stretched.append(np.maximum(1.0, limit / np.maximum(found, 1e-3)))
        return cls(tuple(places), tuple(stretched))

    def __call__(
        self, store: PatchStore, view: int, count: int, generator: Generator
    ) -> Float[Tensor, "count 2 s s"]:
        """``count`` fields of pseudo-abnormal flow in pixels, drawn evenly."""
        drawn = torch.randint(len(self.places[view]), (count,), generator=generator).numpy()
        rows, fields = self.places[view][drawn].T
        flow = torch.from_numpy(store.flow(rows)[np.arange(count), fields]).float()
        return flow * torch.from_numpy(self.stretched[view][drawn]).float().view(-1, 1, 1, 1)


def _few(size: int) -> int:
    return max(1, round(SHARE * size))
