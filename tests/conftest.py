"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data, from VADISTILL_DATA or beside the checkout; skips if there is none."""
    path = Path(os.environ.get("VADISTILL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path.name}: set VADISTILL_DATA to run this test")
    return path
