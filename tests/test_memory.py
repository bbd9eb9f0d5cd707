"""Memory that is freed is used again, without asking the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from vadistill.devices import keep_freed_memory

if {kept}:
    keep_freed_memory()

def work():
    for _ in range(10):
        blocks = [np.ones(5_000_000) for _ in range(4)]

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, kept: bool) -> int:
    """Pages that a process asks the system for while it works as it did just before."""
    code = FAULTS.format(kept=kept)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is Linux's")
def test_large_blocks_are_kept_for_the_next_step():
    assert faults(kept=False) > 1000
    assert faults(kept=True) < 100
