"""A detector of another package, by entry point: found by fit, evaluate and load alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support import own_detector
from vadistill.simulated.walkway import WalkwayConfig, render_walkway

SESSION = """
import vadistill
model = vadistill.load("own.vad")
again = vadistill.fit("brightness", "data", out="again.vad", gain=1.0)
assert (model.score("data")["{video}"].raw == again.score("data")["{video}"].raw).all()
print(model)
"""


def test_a_detector_in_forty_lines(tmp_path: Path) -> None:
    source = Path(own_detector.__file__)
    assert len(source.read_text().splitlines()) <= 40
    installed = tmp_path / "site" / "own-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    points = "[vadistill.detectors]\nbrightness = own_detector:Brightness\n"
    (installed / "entry_points.txt").write_text(points)
    (tmp_path / "site" / "own_detector.py").write_text(source.read_text())
    scene = WalkwayConfig(train_clips=1, test_clips=1, frames=30, width=160, height=120)
    splits = render_walkway(tmp_path / "data", scene)
    paths = [str(tmp_path / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(*argv: str) -> str:
        done = subprocess.run(
            [sys.executable, *argv], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-m", "vadistill", "fit", "brightness", "data", "--out", "own.vad")
    assert "own" in run("-m", "vadistill", "evaluate", "own.vad", "--data", "data")
    session = SESSION.format(video=splits.test.videos[0].name)
    assert "Brightness(fitted, default)" in run("-c", session)
