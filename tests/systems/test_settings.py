"""Settings that cannot be, and those of a saved model that this version lacks, are errors."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import vadistill
from support.scenes import training
from vadistill.errors import ConfigError, VadistillError, WeightsError
from vadistill.systems import DETECTORS, config_of, dakd, detector_class, motion

TINY = motion.Config(frames=20)


@pytest.mark.parametrize("name", DETECTORS)
def test_settings_that_every_system_refuses(name: str) -> None:
    recipes = detector_class(name).RECIPES
    with pytest.raises(ConfigError, match="smoothing 'average'"):
        dataclasses.replace(recipes["default"](), smoothing="average")
    assert {recipe.partition("-")[0] for recipe in recipes} <= {
        *("default", "demo", "ped2", "avenue", "shanghaitech", "paper", "pets")
    }


@pytest.mark.parametrize(
    ("system", "settings"),
    [
        ("aed", {"pictures": "{}"}),
        ("dakd", {"student": "clip:{}"}),
        ("dakd", {"teacher": ("flow", "clip:{}")}),
    ],
)
def test_other_files_in_a_folder_that_is_named_are_another_fit(
    system: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    named = {
        name: tuple(each.format(tmp_path) for each in value)
        if isinstance(value, tuple)
        else value.format(tmp_path)
        for name, value in settings.items()
    }
    config = dataclasses.replace(config_of(detector_class(system)), **named)
    before = config.files_read()
    (tmp_path / "1.png").write_bytes(b"a picture")
    assert len(before) == 1 and len(config.files_read()) == 1 and config.files_read() != before


def test_a_store_that_a_fit_fills_is_nothing_that_it_reads(tmp_path: Path) -> None:
    assert dataclasses.replace(dakd.Config(), store=str(tmp_path)).files_read() == []


def test_a_model_tells_the_files_that_were_there_as_its_fit_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes, train = tmp_path / "boxes.csv", training("one-class")
    rows = [f"{video.name},{frame},8,8,40,40" for video in train for frame in range(40)]
    boxes.write_text("\n".join(["file,frame,x1,y1,x2,y2", *rows]))
    model = motion.Motion(dataclasses.replace(TINY, localiser=f"boxes:{boxes}"))
    read, learn = model.config.files_read(), model.learn

    def interrupted(*given: Any) -> None:
        learn(*given)
        boxes.write_text("written anew meanwhile")

    monkeypatch.setattr(model, "learn", interrupted)
    model.fit(train, out=tmp_path / "m.vad")
    assert model.made is not None and model.made["read"] == read != model.config.files_read()
    assert not model.check_replaced(tmp_path / "m.vad", train), "there are other boxes now"


def test_a_setting_of_another_version_is_one_line(tmp_path: Path) -> None:
    motion.Motion(TINY).fit(training("one-class"), out=tmp_path)
    file = tmp_path / "config.json"
    facts = json.loads(file.read_text())
    facts["config"]["sharpness"] = 2
    file.write_text(json.dumps(facts))
    with pytest.raises(WeightsError, match="setting sharpness: expected settings that this"):
        vadistill.load(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config", "percentile"), "95"),
        (("config", "frames"), 1.5),
        (("config", "smoothing"), {}),
        (("config", "smoothing"), "gaussian1e9"),
        (("localiser", "inner", "blur"), 3.5),
        (("localiser", "name"), 7),
        (("scales",), [[1.0, 2.0]]),
        (("reach",), True),
        (("stream",), "x"),
        (("latency",), "1"),
    ],
)
def test_a_fact_that_cannot_be_is_one_line(
    place: tuple[str, ...], value: object, fitted_motion: Path, tmp_path: Path
) -> None:
    shutil.copytree(fitted_motion, tmp_path / "m.vad")
    file = tmp_path / "m.vad/config.json"
    holder = facts = json.loads(file.read_text())
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    file.write_text(json.dumps(facts))
    with pytest.raises(VadistillError, match=r"m\.vad"):
        vadistill.load(tmp_path / "m.vad")
    if place[0] == "config":
        with pytest.raises(ConfigError, match="holds what cannot be read"):
            vadistill.fit("motion", training("one-class"), out=tmp_path / "m.vad")


@pytest.fixture(scope="module")
def fitted_motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fitted") / "m.vad"
    motion.Motion(TINY).fit(training("one-class"), out=path)
    return path
