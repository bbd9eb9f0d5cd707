"""The reproduction of the papers' tables: their rows, and whole runs on a small walkway."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vadistill.datasets import open_dataset
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import compare, load_run
from vadistill.evaluation.measuring import published_rows
from vadistill.reproduce import Networks, Options, reproduce
from vadistill.reproduce import cafe as reproduce_cafe
from vadistill.reproduce import dakd as reproduce_dakd
from vadistill.reproduce import fast_aed as reproduce_fast_aed
from vadistill.reproduce.records import load_records
from vadistill.reproduce.rows import localised_rows
from vadistill.simulated.features import SimulatedConfig, simulate_features
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems import aed, cafe, dakd, fast_aed, ssmtl
from vadistill.systems.fast_aed.model import Student


@pytest.fixture(scope="module")
def walkway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("walkway")
    scene = WalkwayConfig(train_clips=1, test_clips=2, frames=45, width=160, height=120)
    render_walkway(path, scene)
    return path


def test_rows_are_the_papers() -> None:
    rows = reproduce_cafe.variants(cafe.paper_ped2())
    assert [name for name, (source, _) in rows.items() if source == "Table 1"] == [
        "cafe",
        "ll-o",
        "ll-e",
        "ll-o+ll-e",
    ]
    without = rows["without-consistency"][1]
    assert (without.lambda_ca, without.omega_ca) == (0, 0)
    assert rows["student-17"][1].student == "resnet17"
    assert [rows[f"layers-{n}"][1].layers for n in range(1, 7)] == [1, 2, 3, 4, 5, 6]
    only = rows["ll-o-only"][1]
    assert (only.low_level, only.lambda_kd, only.omega_kd, only.omega_ca) == ("flow", 0, 0, 0)


def test_every_row_has_a_recipe_that_the_networks_accept() -> None:
    for networks in ("compact", "paper"):
        base = reproduce_cafe.base_config("avenue", networks, quick=True, teacher="t.safetensors")
        assert base.smoothing == "average20"
        rows = reproduce_cafe.variants(base)
        assert {n for n, (_, c) in rows.items() if c.errors != "plain"} == {"attributes"}
        assert {n for n, (_, c) in rows.items() if c.omega_speed > 0} == {"attributes"}
        for _, config in rows.values():
            assert config.student.startswith("narrow" if networks == "compact" else "resnet")


def test_a_run_is_kept_and_goes_on(
    walkway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(cafe.default(), epochs=2, consistency_after=1)
    monkeypatch.setitem(cafe.RECIPES, "ped2", lambda: small)
    options = Options(walkway, tmp_path, quick=True, only=("cafe",))
    records = reproduce("cafe", options, command="vadistill reproduce cafe")
    assert {r.variant for r in records} == {"motion, background", "compact cafe, background"}
    assert {r.protocol for r in records} >= {"micro/average10", "micro/raw", "macro-skip/average10"}
    assert all((0 <= r.value <= 1 or r.metric == "fps") and r.seeds == (0,) for r in records)
    assert sum(r.metric == "fps" for r in records) == 2
    assert load_records(tmp_path / "results.json") == records
    assert "compact cafe" in (tmp_path / "results.md").read_text()
    models = sorted((tmp_path / "runs").iterdir())
    before = [(m / "weights.safetensors").stat().st_mtime_ns for m in models]
    again = reproduce("cafe", options)
    assert [r.value for r in again] == [r.value for r in records]
    assert [(m / "weights.safetensors").stat().st_mtime_ns for m in models] == before
    runs = [load_run(m) for m in models]
    assert {run.name for run in runs} == {r.variant for r in records}
    assert {d.protocol for d in compare(runs, bootstrap=50).differences} >= {
        "micro/raw",
        "rbdc/raw",
    }


def test_wrong_requests_are_one_line(walkway: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="variant 'cafee'"):
        reproduce("cafe", Options(walkway, tmp_path, only=("cafee",)))
    with pytest.raises(DataError, match="no frame labels"):
        reproduce("cafe", Options(walkway / "train", tmp_path))
    with pytest.raises(ConfigError, match=r"--networks for dakd.*leave it out"):
        reproduce("dakd", Options(walkway, tmp_path, networks=("paper",)))
    with pytest.raises(ConfigError, match=r"paper 'cafee'.*did you mean 'cafe'"):
        reproduce("cafee", Options(walkway, tmp_path))


class TestFastAed:
    def test_rows_vary_what_the_tables_vary(self) -> None:
        rows = reproduce_fast_aed.variants(fast_aed.avenue())
        named = {name: config for name, (_, config) in rows.items()}
        assert named["student"] == fast_aed.Config(
            **{**vars(fast_aed.avenue()), "teachers": ("aed", "ssmtl")}
        )
        assert named["without-adversarial"] == replace(named["student"], alpha=0.0)
        assert named["int8"].training_settings() == named["without-adversarial"].training_settings()
        assert named["kd"].teachers == ("aed",) and named["t2"].teachers == ("ssmtl",)
        steps = [named[n] for n in ("kd", "ae+kd", "ae+kd+akd")]
        assert [(c.autoencoder_epochs > 0, c.alpha) for c in steps] == [
            (False, 0),
            (True, 0),
            (True, 0.1),
        ]
        assert (named["akd"].lambda_kd, named["akd"].alpha) == (0, 0.1)
        truncated = named["truncated"]
        assert (truncated.input_frames, truncated.resolutions) == (1, (4,))
        assert [named[f"blocks-{m}"].blocks for m in (3, 4, 6, 7)] == [3, 4, 6, 7]
        assert len({repr(config) for config in named.values()}) == len(named), "no row twice"

    def test_what_we_added_is_left_out_one_by_one(self) -> None:
        base = reproduce_fast_aed.base_config("ucsd_ped2", "compact", quick=True)
        rows = {name: c for name, (_, c) in reproduce_fast_aed.variants(base).items()}
        whole = rows["without-adversarial"]
        for name in ("mirrored", "copied", "crops", "average", "object-height"):
            setting = name.replace("-", "_")
            left_out = {setting: type(getattr(whole, setting))(0)}
            assert rows[f"without-{name}"] == replace(whole, **left_out)
        assert rows["unbalanced"] == replace(rows["student"], balanced=False)
        assert rows["with-frame-map"].training_settings() == whole.training_settings()

    def test_the_default_recipe_is_what_fit_makes(self) -> None:
        base = reproduce_fast_aed.base_config("ucsd_ped2", "compact", quick=True, recipe="default")
        rows = reproduce_fast_aed.taught_by_others(base)
        assert rows["taught-by-cafe-and-motion"][1] == fast_aed.default()
        papers = reproduce_fast_aed.variants(base)["without-adversarial"][1]
        assert papers == replace(fast_aed.default(), teachers=("aed", "ssmtl"))

    def test_students_of_others_have_their_rows_models(self, tmp_path: Path) -> None:
        base = reproduce_fast_aed.base_config("ucsd_ped2", "compact", quick=True, recipe="default")
        table = reproduce_fast_aed.taught_by_others(base)
        assert all(config.alpha == 0 for _, config in table.values())
        options = Options(tmp_path, out=tmp_path, only=tuple(table), seeds=(1,))
        teachers = {"aed": aed.Config(), "ssmtl": ssmtl.Config(), "cafe": cafe.Config()}
        rows = localised_rows("fast_aed", {"compact": table}, options, {}, teachers)
        assert [row.system for row in rows] == ["motion", *teachers, *["fast_aed"] * len(table)]
        for row, (_, config) in zip(rows[4:], table.values(), strict=True):
            assert tuple(teacher.system for teacher in row.teachers) == config.teachers
            assert all(teacher in rows for teacher in row.teachers)
        few = replace(options, only=("taught-by-cafe",))
        rows = localised_rows("fast_aed", {"compact": table}, few, {}, teachers)
        assert [row.system for row in rows] == ["motion", "cafe", "fast_aed"], "no others' hours"

    @pytest.mark.parametrize("networks", ["compact", "paper"])
    def test_every_row_is_a_network_that_can_be_built(self, networks: Networks) -> None:
        for dataset in ("ucsd_ped2", "avenue"):
            base = reproduce_fast_aed.base_config(dataset, networks, quick=True)
            rows = reproduce_fast_aed.variants(base)
            assert ("heads-3" in rows) == (networks == "paper")
            for name in published_rows("fast_aed", dataset, "raw").keys() & rows.keys():
                Student(rows[name][1].network, (72, 128))

    def test_teachers_are_fitted_once_for_all_students(
        self, walkway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small = aed.Config(epochs=1, classifier_epochs=1, adversarial_after=0, frames=20)
        monkeypatch.setitem(aed.Aed.RECIPES, "ped2-quick", lambda: small)
        monkeypatch.setitem(
            ssmtl.Ssmtl.RECIPES, "ped2-quick", lambda: ssmtl.Config(epochs=1, frames=10, batch=8)
        )
        base_config = reproduce_fast_aed.base_config

        def tiny(*given: Any, **more: Any) -> fast_aed.Config:
            few = {"frames": 10, "epochs": 1, "autoencoder_epochs": 1, "resolutions": (1, 4)}
            few |= {"average": 0.0}  # which is hardly anything after so few steps
            return replace(base_config(*given, **more), **few)

        monkeypatch.setattr(reproduce_fast_aed, "base_config", tiny)
        options = Options(
            walkway,
            tmp_path,
            quick=True,
            networks=("compact", "paper"),
            only=("compact student", "compact t2"),
        )
        records = reproduce("fast_aed", options)
        assert [r.system for r in records if r.protocol == "micro/raw"] == [
            "motion",
            "aed",
            "ssmtl",
            "fast_aed",
            "fast_aed",
        ]
        models = {m.name.rsplit("-", 1)[0]: m for m in (tmp_path / "runs").iterdir()}
        taught = json.loads((models["compact-student-background"] / "config.json").read_text())
        assert [t["name"] for t in taught["teachers"]] == [
            str(models[f"{system}-background"]) for system in ("aed", "ssmtl")
        ]
        assert not list((tmp_path / "work").glob("teacher-*"))
        kept = [(m / "weights.safetensors").stat().st_mtime_ns for m in models.values()]
        again = reproduce("fast_aed", options)
        assert [r.value for r in again] == [r.value for r in records]
        assert kept == [(m / "weights.safetensors").stat().st_mtime_ns for m in models.values()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dakd") / "features"
    simulate_features(path, SimulatedConfig(videos=150, longest=40))
    return path


class TestDakd:
    """DAKD's tables on a few simulated features."""

    def test_rows_are_the_papers(self, data: Path) -> None:
        base = reproduce_dakd.base_config(open_dataset(data), (), quick=True)
        assert base.teacher == ("i3d", "s3d", "clip") and base.student == "clip"
        assert base.epochs == 10 and base.scoring == "segments"
        rows = reproduce_dakd.variants(base)
        assert [name for name, (source, _) in rows.items() if source == "Table 1"][1::2] == [
            *("mtn", "multihead", "lstm", "rnn", "disentangled", "gru", "cnn"),
        ]
        for config in (rows["gru-teacher"][1], rows["mil i3d"][1], rows["single clip"][1]):
            assert config.scorer == "teacher"
        assert rows["mil i3d"][1].teacher == ("i3d",)
        assert rows["teacher s3d+clip"][1].teacher == ("s3d", "clip")
        assert rows["only-cross"][1].terms == ("cross",)
        assert rows["without-bce"][1].lambda_bce == 0 and rows["without-nce"][1].alpha == 0
        assert rows["student s3d"][1].student == "s3d"
        assert {rows[f"tau-{t:g}"][1].tau for t in reproduce_dakd.TAUS}.isdisjoint({base.tau})
        for _, config in rows.values():
            dakd.Dakd(config)  # every row is one that can be
        sets = ("ucf_crime", "shanghaitech_weak", "xd_violence")
        assert all(published_rows("dakd", d, "raw") for d in sets)
        assert {row for d in sets for row in published_rows("dakd", d, "raw")} <= set(rows)

    def test_our_own_rows_have_what_the_default_leaves_out(self, data: Path) -> None:
        base = reproduce_dakd.base_config(open_dataset(data), (), recipe="default")
        rows = reproduce_dakd.variants(base)
        assert base.epochs == dakd.default().epochs and base.student == "clip"
        assert rows["with-nce"][1].alpha > 0 and rows["with-minmax"][1].minmax
        assert rows["tam"][1].temporal == rows["only-self"][1].temporal == "tam"
        assert rows["ranking-teacher"][1].label_loss == "ranking"
        assert not rows["without-guarded-teacher"][1].guarded
        assert not rows["without-standardise-teacher"][1].standardise
        folds = {name for name, (_, config) in rows.items() if config.folds}
        students = {f"student {name}" for name in base.teacher}
        assert folds == students | {"student auto"}
        committees = {name for name, (_, config) in rows.items() if config.committee > 1}
        assert committees == folds | {f"self-taught {name}" for name in base.teacher}
        assert rows["self-taught s3d"][1].teacher == ("s3d",)
        assert rows["of-one-teacher"][1].committee == 1 and not rows["of-one-teacher"][1].folds
        for _, config in rows.values():
            dakd.Dakd(config)

    @pytest.mark.parametrize("names", [("i3d", "clip:b16.pt"), ("clip", "i3d"), ("s3d", "i3d")])
    def test_clip_is_the_student_wherever_it_is(self, data: Path, names: tuple[str, ...]) -> None:
        base = reproduce_dakd.base_config(open_dataset(data), names)
        assert base.student == next((n for n in names if n.startswith("clip")), names[0])

    def test_a_run_has_figures_and_those_of_each_class(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        marks = {"teacher": {"micro/raw": 0.9}, "mil i3d": {"micro/raw": 0.7}}
        monkeypatch.setattr(reproduce_dakd, "published_rows", lambda *_: marks)
        only = ("mil i3d", "teacher", "student clip")
        options = Options(data, tmp_path, epochs=1, only=only, seeds=(0,))
        records = reproduce("dakd", options)
        papers = {(r.variant, r.protocol): r.paper for r in records}
        assert papers["teacher", "micro/raw"] == 0.9 and papers["mil i3d", "micro/raw"] == 0.7
        assert papers["teacher", "ap/raw"] is None and papers["student clip", "ap/raw"] is None
        alarms = {r.variant: r.value for r in records if r.metric == "false_alarms"}
        assert set(alarms) == set(only) and all(0 <= value <= 1 for value in alarms.values())
        classes = {r.variant for r in records if ", " in r.variant}
        assert classes and all(v.startswith("student clip, ") for v in classes)
        assert {r.variant for r in load_records(tmp_path / "results.json")} == {*only, *classes}

    def test_marks_are_for_the_papers_backbones(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        marks = {"mil i3d": {"micro/raw": 0.7}}
        monkeypatch.setattr(reproduce_dakd, "published_rows", lambda *_: marks)
        options = Options(data, tmp_path, epochs=1, backbones=("i3d",), only=("mil i3d",))
        records = reproduce("dakd", options)
        assert {r.paper for r in records} == {None}
        assert {r.seeds for r in records} == {(0,), (1,), (2,), (3,), (4,)}, "as the paper's five"

    def test_unknown_rows(self, data: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="variant 'student'"):
            reproduce("dakd", Options(data, tmp_path, only=("student",)))
