"""Waiting for what comes by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``found`` gives once it is true; an error after some seconds."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"it did not come within {seconds:g} s"
        time.sleep(0.01)
    return value
