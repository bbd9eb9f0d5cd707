"""One Ray cluster for all tests of archives."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from vadistill.cluster.connecting import connected


@pytest.fixture(scope="package")
def cluster() -> Iterator[int]:
    """A local cluster of two cores, which all runs use."""
    if importlib.util.find_spec("ray") is None:  # importing it would settle that it has no secret
        pytest.skip("Ray is not installed (the extra 'cluster')")
    with connected("local", 2) as workers:
        yield workers
