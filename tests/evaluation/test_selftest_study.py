"""The study of the self-test itself: models in one pass, rank correlations, the plot."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.test_selftest import crossing
from support.bars import write_bars
from vadistill.datasets import Dataset, Splits
from vadistill.errors import DataError
from vadistill.evaluation.measuring import Figure
from vadistill.evaluation.selftest import KindFigure, SelfTest
from vadistill.evaluation.selftest.kinds import KINDS
from vadistill.reproduce.records import load_records
from vadistill.systems import cafe, motion
from vadistill.systems.blend import Blend, Config

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

scatter: Any = import_module("scatter")
selftest_study: Any = import_module("selftest_study")
together: Any = import_module("together")


def models_of_bars(folder: Path) -> dict[str, Any]:
    train = Dataset("bars", "train", tuple(crossing(seed) for seed in range(3)))
    learned = cafe.Config(epochs=1, consistency_after=1, frames=20, batch=16)
    configs = {
        "motion": motion.Config(frames=60),
        "motion, mean alone": motion.Config(frames=60, statistics=("mean",)),
        "cafe": learned,
        "cafe, imitation alone": replace(learned, omega_ca=0.0),
    }
    made = {}
    for name, config in configs.items():
        kind: Any = motion.Motion if isinstance(config, motion.Config) else cafe.Cafe
        made[name] = kind(config, device="cpu")
        made[name].fit(train, out=folder / name, work=folder / "work")
    return made


def test_models_score_together_as_alone(tmp_path: Path) -> None:
    models = models_of_bars(tmp_path)
    videos = [crossing(7, speed=4.0, frames=40), crossing(8, frames=33)]
    alone = [{name: model.score(v.open()).raw for name, model in models.items()} for v in videos]
    members = (str(tmp_path / "motion"), str(tmp_path / "cafe"))
    blend = Blend(Config(of=members, frames=60), device="cpu")
    blend.fit(Dataset("bars", "train", (crossing(0),)), out=tmp_path / "blend")
    blended = blend.score(videos[0].open()).raw
    both = together.Together(models)
    passed = [both.score(video.open()) for video in videos]
    for rows, own in zip(passed, alone, strict=True):
        for column, name in enumerate(models):
            assert rows[:, column] == pytest.approx(own[name], rel=1e-6), name
    scorers = selftest_study.scorers(models, blend.normal[:, [0, 0, 1, 1]])
    assert scorers["mean of motion and cafe"].raw(passed[0]) == pytest.approx(blended, rel=1e-5)
    assert set(scorers) >= {"cafe", "maximum of motion, mean alone and cafe, imitation alone"}


def found(aucs: np.ndarray, truth: np.ndarray) -> dict[str, dict[str, Any]]:
    made = {}
    for number, (auc, true) in enumerate(zip(aucs, truth, strict=True)):
        values = {"unchanged": 0.5, "falls": auc, "stops": 1 - auc / 2}
        kinds = [KindFigure(kind, 8, 4, 0.2, 0.8, v, v, v) for kind, v in values.items()]
        test = SelfTest("motion", tuple(kinds), {}, 1.0, 2, 300, 30.0, True, 0)
        figure = Figure("micro/gaussian3", "auc", true, None, None)
        made[f"model {number}"] = {"system": "motion", "truth": figure, "test": test}
    return made


def test_correlations_are_of_ranks_by_kind() -> None:
    rng = np.random.default_rng(0)
    aucs = rng.uniform(0.5, 1, 30)
    made = selftest_study.correlations(found(aucs, aucs**3))
    assert set(made) == {"all kinds", "falls", "stops"}, "unchanged is the same of all models"
    assert made["falls"] == made["all kinds"] == pytest.approx((1, 1, 1))
    assert made["stops"] == pytest.approx((-1, -1, -1))
    whole, low, high = selftest_study.correlations(found(aucs, aucs + rng.normal(0, 0.2, 30)))[
        "falls"
    ]
    assert low < whole < high < 1


def test_the_plot_is_a_picture_of_each_data_set(tmp_path: Path) -> None:
    place = selftest_study.Place("bars", 3, None, tmp_path, "python x")
    aucs = np.linspace(0.5, 0.9, 6)
    records = selftest_study.records_of(place, found(aucs, aucs[::-1]))
    (lost,) = [r for r in records if r.metric == "points_lost"]
    assert lost.value == pytest.approx(40) and "by the self-test: model 5" in lost.note
    assert all(r.seeds == (3,) and r.dataset == "bars" for r in records)
    tree = ET.fromstring(scatter.scatter(records, "self-test", "micro/gaussian3"))
    titles = [node.text or "" for node in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 6 and titles[0].startswith("model 0")


@pytest.mark.slow
def test_a_study_of_a_small_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in list(KINDS)[1:]:
        if kind not in ("3 times as fast", "foreign object"):
            monkeypatch.delitem(KINDS, kind)
    alone = {"statistics": ("mean",)}
    monkeypatch.setattr(selftest_study, "MOTION", {"motion": {}, "motion, mean alone": alone})
    brief = {"epochs": 1, "consistency_after": 1, "frames": 40}
    monkeypatch.setattr(selftest_study, "CAFE", {"cafe": brief})
    monkeypatch.setattr(selftest_study, "NORMAL", 60)
    out, plot = tmp_path / "r.json", tmp_path / "s.svg"
    argv = ["--data", str(write_bars(tmp_path / "bars")), "--plants", "2"]
    argv += ["--work", str(tmp_path / "work"), "--out", str(out), "--plot", str(plot)]
    selftest_study.main(argv)
    first = load_records(out)
    assert len({r.variant for r in first if r.metric == "auc"}) == 7
    assert next(r.variant for r in first if r.metric == "spearman") == "all kinds"
    assert plot.exists()
    selftest_study.main(argv)
    assert [r.value for r in load_records(out)] == [r.value for r in first]


def test_footage_that_nothing_can_be_planted_into_is_a_line(tmp_path: Path) -> None:
    few = Dataset("few", "train", (crossing(0),))
    place = selftest_study.Place("few", 0, Splits(few, few, "folder"), tmp_path, "python x")
    with pytest.raises(DataError, match="few: too little footage"):
        selftest_study.study(place, None, 2)
