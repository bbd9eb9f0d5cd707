"""What an extraction went through, and how long its steps took."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What an extraction went through, and the seconds of each step.

    Decoding and preparing overlap with the networks, so the seconds add up to more than passed.
    """

    frames: int = 0
    snippets: int = 0
    decode: float = 0.0
    prepare: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By backbone."""
    network: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By backbone."""
    extracted: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Snippets that each backbone worked on."""

    def rate(self, backbone: str) -> float:
        """Snippets a second of a backbone's own work, decoding aside; NaN where it had none."""
        spent = self.prepare[backbone] + self.network[backbone]
        return self.extracted[backbone] / spent if spent else float("nan")

    def add(self, other: Tally) -> None:
        """Add what another process went through."""
        self.frames, self.snippets = self.frames + other.frames, self.snippets + other.snippets
        self.decode += other.decode
        for name, count in other.extracted.items():
            self.extracted[name] += count
            self.prepare[name] += other.prepare[name]
            self.network[name] += other.network[name]


@contextmanager
def timed(spent: defaultdict[str, float], name: str) -> Iterator[None]:
    """Add the seconds of what is done inside to those of ``name``."""
    start = time.perf_counter()
    yield
    spent[name] += time.perf_counter() - start
