"""How this process asks the system for memory."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers of glibc's ``mallopt``."""


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next allocation.

    By default glibc gives large blocks back to the system and asks for them again: a training step
    on a CPU then may wait for hundreds of thousands of fresh pages to be zeroed
    (benchmarks/training_memory.py).  The process does not shrink afterwards, so live services do
    without.  Does nothing where there is no glibc, or no glibc's allocator.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
