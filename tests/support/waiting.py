"""Waiting for what comes by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any


def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``found`` gives once it is true; an error after some seconds."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"it did not come within {seconds:g} s"
        time.sleep(0.01)
    return value


def stood_still(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that ``work`` took in a thread, and the most of them that other threads stood."""
    thread = threading.Thread(target=work)
    ticks = [time.monotonic()]
    thread.start()
    while thread.is_alive():
        time.sleep(0.01)
        ticks.append(time.monotonic())
    return ticks[-1] - ticks[0], max(after - before for before, after in pairwise(ticks))
