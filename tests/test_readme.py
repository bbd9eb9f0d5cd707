"""The Python sessions of the README and of the page on own footage, on a small walkway."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import vadistill
from vadistill.evaluation import load_run
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems import cafe

ROOT = Path(__file__).parents[1]


def session(page: str) -> str:
    """The one block of Python on a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return block


def test_the_python_session_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = WalkwayConfig(train_clips=1, test_clips=2, frames=45, width=160, height=120)
    splits = render_walkway(tmp_path / "labelled", config)
    video = splits.test.videos[0].source
    assert isinstance(video, Path)
    (tmp_path / "normal_videos").symlink_to(tmp_path / "labelled" / "train")
    (tmp_path / "today.mp4").symlink_to(video)
    quick = replace(cafe.default(), epochs=2, consistency_after=1)
    recipes = {**cafe.Cafe.RECIPES, next(iter(cafe.Cafe.RECIPES)): lambda: quick}
    monkeypatch.setattr(cafe.Cafe, "RECIPES", MappingProxyType(recipes))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(session("README.md"), names)
    exec(session("docs/own_footage.md"), names)  # the same fit: it is there already

    results = names["results"]
    assert isinstance(results, vadistill.Results)
    assert list(results.figures) == ["motion", "cafe"]
    shown = capsys.readouterr().out
    assert "walkway: 2 test videos, 90 frames" in shown and "walkway/micro/raw" in shown
    assert [load_run(tmp_path / "runs" / name).name for name in ("motion", "cafe")]
    assert (tmp_path / "evaluation.html").stat().st_size > 1_000_000
    assert vadistill.load("entrance.vad").calibration is not None


def test_videos_are_given_as_they_come(tmp_path: Path) -> None:
    config = WalkwayConfig(train_clips=1, test_clips=2, frames=24, width=160, height=120)
    splits = render_walkway(tmp_path / "walkway", config)
    model = vadistill.fit("motion", splits, out=tmp_path / "m.vad", recipe="default")
    assert repr(model) == "Motion(fitted, default)"
    one = splits.test.videos[0]
    by_video = {video.name: model.score(video).raw.tolist() for video in splits.test}
    for given in (splits, splits.test, tmp_path / "walkway"):
        found = model.score(given)
        assert {name: scores.raw.tolist() for name, scores in found.items()} == by_video
    assert repr(model.score(splits.test)[one.name]) == f"<Scores of {one.name}: 24 frames, raw>"
    train = model.score(tmp_path / "walkway" / "train")
    assert list(train) == [splits.train.videos[0].source.stem]  # pyright: ignore
    assert isinstance(one.source, Path)
    pixels = [frame.image for frame in one.open()]
    assert model.score(one.source).raw.tolist() == by_video[one.name]
    # Pixels tell no rate, and are taken for 25 frames a second: speeds are by the second.
    seen = model.score(vadistill.Video("pixels", np.stack(pixels), fps=config.fps))
    assert seen.raw.tolist() == pytest.approx(by_video[one.name], abs=1e-6)
    assert len(model.score(pixels)) == len(pixels)
    again = vadistill.fit("motion", tmp_path / "walkway", out=str(tmp_path / "n.vad"))
    assert again.score(one).raw.tolist() == by_video[one.name]
    files = vadistill.fit("motion", [v.source for v in splits.train], out=tmp_path / "o.vad")
    assert files.score(one).raw.tolist() == by_video[one.name]


def test_names_and_settings_that_are_not(tmp_path: Path) -> None:
    with pytest.raises(vadistill.ConfigError, match=r"recipe of motion 'defalt'.*'default'"):
        vadistill.fit("motion", "x", out=tmp_path, recipe="defalt")
    with pytest.raises(vadistill.ConfigError, match=r"setting of cafe 'epoch'.*'epochs'"):
        vadistill.fit("cafe", "x", out=tmp_path, epoch=3)
    with pytest.raises(vadistill.ConfigError, match="two models named motion"):
        vadistill.evaluate([vadistill.Motion(vadistill.MotionConfig())] * 2, "x")
