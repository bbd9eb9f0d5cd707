"""A detector of another package, by entry point: found by fit, evaluate and load alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vadistill.simulated.walkway import WalkwayConfig, render_walkway

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "examples" / "detector_package"

SESSION = """
import vadistill
from vadistill.cli import main
assert main(["evaluate", "own.vad", "--data", "data"]) == 0
model = vadistill.load("own.vad")
again = vadistill.fit("brightness", "data", out="again.vad", gain=1.0)
assert (model.score("data")["{video}"].raw == again.score("data")["{video}"].raw).all()
print(model)
"""


def test_a_detector_in_forty_lines_is_installed_as_a_package(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    source = TEMPLATE / "own_detector.py"
    assert len(source.read_text().splitlines()) <= 40
    site = tmp_path / "site"
    paths = [str(site), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(*argv: str) -> str:
        done = subprocess.run(
            [sys.executable, *argv], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # Without a network: what builds it and what it needs are here already.
    install = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    run(*install, "--no-build-isolation", "--target", str(site), str(TEMPLATE))
    assert [path.name for path in site.glob("*.py")] == ["own_detector.py"]
    own = TEMPLATE / "test_own_detector.py"
    (tmp_path / own.name).write_text(own.read_text())
    assert "1 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", own.name)
    scene = WalkwayConfig(train_clips=1, test_clips=1, frames=30, width=160, height=120)
    splits = render_walkway(tmp_path / "data", scene)
    run("-m", "vadistill", "fit", "brightness", "data", "--out", "own.vad")
    said = run("-c", SESSION.format(video=splits.test.videos[0].name))
    assert "own" in said and "Brightness(fitted, default)" in said


def test_the_page_shows_the_entry_point() -> None:
    page = (ROOT / "docs" / "add_detector.md").read_text()
    facts = (TEMPLATE / "pyproject.toml").read_text()
    points = page.partition("```toml\n")[2].partition("```")[0]
    assert points and points in facts
