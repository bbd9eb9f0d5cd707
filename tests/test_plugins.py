"""Localisers and data sets that other packages add by entry points."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from vadistill import load, open_dataset
from vadistill.cli import main
from vadistill.errors import ConfigError
from vadistill.objects import build

SUPPORT = Path(__file__).parent / "support"


@pytest.fixture
def footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of an own data set, with the package that reads it installed."""
    facts = tmp_path / "site" / "own-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[vadistill.localisers]\nown = own_localiser:Own\nbroken = own_localiser:Missing\n"
        "[vadistill.datasets]\nbroken = own_missing:READER\nown = own_dataset:READER\n"
    )
    monkeypatch.syspath_prepend(SUPPORT)
    monkeypatch.syspath_prepend(tmp_path / "site")
    pixels = np.zeros((2, 20, 60, 80, 3), np.uint8)
    for t in range(20):
        pixels[:, t, 20:40, 10 + 2 * t : 20 + 2 * t] = 200
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez(folder / "own.npz", train=pixels[0], test=pixels[1])
    return folder


def test_a_localiser_of_20_lines_is_found_by_fit_and_load(footage: Path, tmp_path: Path) -> None:
    lines = (SUPPORT / "own_localiser.py").read_text().splitlines()
    assert len(lines) <= 20
    out = tmp_path / "m.vad"
    assert main(["fit", "motion", str(footage), "--localiser", "own", "--out", str(out)]) == 0
    scores = load(out).score(open_dataset(footage).test["b"].open())
    assert [len(frame.boxes) for frame in scores] == [1] * 20
    assert scores.frames[5].boxes.tolist() == [[20, 20, 30, 40]]


def test_an_own_data_set_is_recognised_and_named(
    footage: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_dataset(footage).kind == "own"
    (line,) = caplog.messages
    assert "'broken' cannot be imported" in line and "\n" not in line
    assert open_dataset(footage, "own").train.name == "own"


@pytest.mark.usefixtures("footage")
def test_a_broken_package_is_one_line_and_breaks_nothing_else() -> None:
    with pytest.raises(ConfigError, match=r"'broken' cannot be imported .*uninstall"):
        build("broken")
    assert build("own").describe() == {"name": "own"} and build("background")
    with pytest.raises(ConfigError, match="did you mean 'own'"):
        build("owm")
