"""Fixtures that all tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import typechecking
from support import graphs
from support.browser import Browser

typechecking.install()  # before the first import of the package

# pytest-xdist's processes share the cores; read when PyTorch is imported, and by their children.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

# No test fetches weights, or finds those that whoever runs them has fetched.
os.environ["VADISTILL_OFFLINE"] = "1"
os.environ["TORCH_HOME"] = str(Path(tempfile.gettempdir()) / "vadistill-tests-have-no-weights")
# No test but those of races depends on which runtime is the fastest.
os.environ["VADISTILL_RUNTIME"] = "onnx"

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def graphs_are_remembered() -> Iterator[None]:
    """A network that is exported again gives the same graph, which takes no time twice."""
    with pytest.MonkeyPatch.context() as patch:
        graphs.remember(patch)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data, from VADISTILL_DATA or beside the checkout; skips if there is none."""
    path = Path(os.environ.get("VADISTILL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path.name}: set VADISTILL_DATA to run this test")
    return path


@pytest.fixture(scope="session")
def detector_files() -> Path:
    """Folder of the two ONNX detectors, from VADISTILL_WEIGHTS or beside the checkout; skips."""
    path = Path(os.environ.get("VADISTILL_WEIGHTS", ROOT.parent / "shared" / "weights"))
    if not all((path / f"{name}_coco.onnx").is_file() for name in ("fastestdet", "yolox_nano")):
        pytest.skip(f"no detectors in {path.name}: set VADISTILL_WEIGHTS to run this test")
    return path


@pytest.fixture(scope="session")
def cases() -> Path:
    """Folder of small inputs that are easily read wrong, from VADISTILL_CASES or beside; skips."""
    path = Path(os.environ.get("VADISTILL_CASES", ROOT.parent / "shared" / "cases"))
    if not path.is_dir():
        pytest.skip(f"no inputs at {path.name}: set VADISTILL_CASES to run this test")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window, for all tests of a module; skips where there is none."""
    with Browser() as browser:
        yield browser
