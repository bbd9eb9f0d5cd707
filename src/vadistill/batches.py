"""In which order training sees its data, and who makes its batches: functions of seeds alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int

T = TypeVar("T")
S = TypeVar("S")

AHEAD = 4
"""Batches that are made while a GPU is busy with those before, and threads that make them."""


def seeded_generator(seed: int, *stream: int) -> torch.Generator:
    """A CPU generator that depends on ``seed`` and the numbers of ``stream`` alone."""
    mixed = np.random.SeedSequence([seed, *stream]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]) << 31 ^ int(mixed[1]))


def shuffled(
    count: int, batch: int, *, seed: int, least: int = 1
) -> Callable[[int], list[Int[np.ndarray, " n"]]]:
    """The rows of each batch of an epoch, in the order that (seed, epoch) fixes.

    The last batch may be short; it is left out where it has fewer than ``least`` rows.
    """

    def order(epoch: int) -> list[np.ndarray]:
        rows = torch.randperm(count, generator=seeded_generator(seed, epoch))
        return [part.numpy() for part in rows.split(batch) if len(part) >= least]

    return order


def prepared(
    make: Callable[[S], T], items: Iterable[S], device: torch.device
) -> Generator[T, None, None]:
    """``make`` of each item, in order; on a GPU threads make some of them ahead of their use.

    ``make`` depends on its item alone, so what it gives is the same on either device.
    """
    if device.type != "cuda":
        yield from map(make, items)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(AHEAD) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
