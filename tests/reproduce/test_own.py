"""What the defaults give: rows beside the baseline, and the one that the self-test prefers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evaluation.test_selftest import crossing
from support.bars import write_bars
from vadistill.datasets import Dataset, Splits, open_dataset
from vadistill.datasets.holdout import hold_out
from vadistill.evaluation.alignment import Aligned
from vadistill.evaluation.auto import trial_of
from vadistill.evaluation.runs import Run
from vadistill.evaluation.selftest.kinds import KINDS
from vadistill.reproduce import Options, reproduce
from vadistill.reproduce import chosen as reproduce_chosen
from vadistill.reproduce.chosen import SELF_TEST, auto_records
from vadistill.reproduce.own import above, candidates, event_recall, rows_of
from vadistill.reproduce.records import Record, load_records
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import blend, cafe, load

BASE = Record(
    *("motion", "motion, background", "bars", "fps", "", 30.0, None, None, None, (0,), "cpu x2"),
    *(60.0, "vadistill reproduce own", "abc1234", "2026-11-29", "baseline"),
)


def a_run(name: str, peak: float) -> Run:
    """Two videos of an hour, one frame a second, with an event each; the second scores ``peak``."""
    rng = np.random.default_rng(0)
    labels = np.zeros((2, 3600), np.uint8)
    labels[:, 100:110] = 1
    scores = rng.uniform(0, 1, (2, 3600))
    scores[:, 100:110] = [[3.0], [peak]]
    return Run(name, "bars", Aligned(("a", "b"), tuple(labels), tuple(scores)), {"a": 1, "b": 1})


class TestFigures:
    def test_events_at_one_false_alarm_an_hour(self):
        for peak, recall in ((3.0, 1.0), (0.1, 0.5)):
            found = event_recall(a_run("x", peak), BASE)
            assert (found.metric, found.protocol) == (
                "event_recall",
                "1-false-alarm-an-hour/gaussian3",
            )
            assert found.value == recall and found.low is not None and found.high is not None
            assert found.note == "baseline; the level is chosen on test"
        short = replace(a_run("x", 3.0), fps={"a": 25, "b": 25})
        assert event_recall(short, BASE).note.endswith("none is allowed")

    def test_what_lies_above_the_baseline(self):
        base = a_run("motion", 0.1)
        (gap,) = above(a_run("cafe", 3.0), base, ["micro/raw"], BASE)
        assert (gap.metric, gap.protocol) == ("above_motion", "micro/raw")
        assert gap.low is not None and gap.high is not None
        assert 0.3 < gap.value < 0.5 and gap.low <= gap.value <= gap.high
        (none,) = above(replace(base, name="auto"), base, ["micro/raw"], BASE)
        assert (none.value, none.low, none.high) == (0, 0, 0)

    def test_tables_show_them(self):
        gap = replace(BASE, metric="above_motion", protocol="micro/raw", value=0.0123, std=0.002)
        share = replace(BASE, metric="event_recall", protocol="x", value=0.5)
        table = markdown_table([replace(gap, low=-0.001, high=0.03), share])
        assert "points above motion micro/raw | +1.2 ± 0.2 | -0.1 – +3.0" in table
        assert "event recall x | 50.0" in table


class TestRows:
    def test_a_row_brings_what_it_is_made_of(self, tmp_path: Path):
        def labels(*only: str) -> list[str]:
            rows = rows_of(Options(tmp_path, seeds=(0, 1), only=only))
            return [f"{row.label.partition(',')[0]} {row.seed}" for row in rows]

        learned = ["cafe 0", "cafe 1"]
        assert labels("motion") == ["motion 0"]
        assert labels("blend mean") == ["motion 0", *(f"{x} {s}" for s in (0, 1) for x in
                                                      ("cafe", "blend mean"))]  # fmt: skip
        assert labels("auto") == labels() and set(learned) < set(labels())
        assert len(labels()) == 7

    def test_what_is_put_aside_makes_another_model(self, tmp_path: Path):
        row = candidates("background", 0)["motion"]
        assert row.key(tmp_path) != replace(row, held_out=False).key(tmp_path)

    @pytest.mark.parametrize(("kept", "value"), [("cafe", 0.9), ("motion", 0.8)])
    def test_auto_has_the_figures_of_what_is_kept(
        self, kept: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        told = {"name": "cafe", "auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "found": 0.5}
        choice = {"kept": kept, "reason": "AUC", "seconds": 120.0, "candidates": [told]}
        asked: list[Any] = []
        monkeypatch.setattr(reproduce_chosen, "trial_of", lambda *_: "no trial")
        monkeypatch.setattr(reproduce_chosen, "_choice", lambda *_: asked.append(_) or choice)
        rows = candidates("background", 4)
        records = []
        for name, row in rows.items():
            one = replace(BASE, system=row.system, variant=row.label, seeds=(row.seed,))
            auc = 0.8 if name == "motion" else 0.9
            records += [replace(one, metric="auc", protocol="micro/raw", value=auc)]
            records += [replace(one, metric="fit_minutes", value=5.0)]
            if name != "motion":
                records += [replace(one, metric="above_motion", protocol="micro/raw", value=0.1)]
        splits = nothing_put_aside()
        options = Options(tmp_path, out=tmp_path)
        for _ in range(2):  # the second finds the choice
            made = auto_records([rows], records, splits, options)
            auto = {r.metric + r.protocol: r for r in made if r.system == "auto"}
            assert {r.variant for r in auto.values()} == {"auto, background"}
            assert all(r.seeds == (4,) for r in auto.values())
            assert auto["aucmicro/raw"].value == value
            assert auto["above_motionmicro/raw"].value == (0.1 if kept == "cafe" else 0)
            assert auto["fit_minutes"].value == 7.0
            assert auto["aucmicro/raw"].note == f"kept {kept}: AUC; baseline"
            planted = [r for r in made if r.protocol == SELF_TEST and r.system == "cafe"]
            assert [(r.metric, r.value, r.low) for r in planted] == [
                ("auc", 0.7, 0.6),
                ("found", 0.5, None),
            ]
        assert len(asked) == 1

    def test_boxes_of_a_file_have_no_choice(self, tmp_path: Path):
        groups = [candidates("boxes:b.csv", 0)]
        assert auto_records(groups, [], nothing_put_aside(), Options(tmp_path)) == []


def nothing_put_aside() -> Splits:
    """Of whose training split ``hold_out`` keeps nothing."""
    few = Dataset("bars", "train", (crossing(0),))
    return Splits(few, replace(few, split="test"), "folder")


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="module")
def made(bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    small = replace(cafe.default(), epochs=1, consistency_after=1, frames=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cafe.RECIPES, "default", lambda: small)  # pyright: ignore[reportArgumentType]
        patch.setitem(blend.RECIPES, "default", lambda: blend.Config(frames=40))  # pyright: ignore[reportArgumentType]
        for kind in list(KINDS)[1:]:
            if kind not in ("3 times as fast", "foreign object"):
                patch.delitem(KINDS, kind)
        patch.setattr(reproduce_chosen, "trial_of", partial(trial_of, plants=2))
        options = Options(bars, tmp_path_factory.mktemp("own"), device="cpu")
        records = reproduce("own", options)
        yield SimpleNamespace(options=options, records=records, again=reproduce("own", options))


@pytest.mark.slow
class TestRun:
    """Real fits and a real self-test."""

    def test_defaults_stand_beside_the_baseline(self, made: SimpleNamespace):
        names = ["motion", "cafe", "blend mean", "blend maximum", "auto"]
        labels = [f"{name}, background" for name in names]
        assert set(labels) == {r.variant for r in made.records}
        own = {r.variant: r for r in made.records if r.protocol == "micro/raw"}
        assert own["motion, background"].note == "baseline"
        for label in labels:
            figures = {(r.metric, r.protocol) for r in made.records if r.variant == label}
            assert figures >= {
                ("auc", "micro/gaussian3"),
                ("auc", SELF_TEST),
                ("found", SELF_TEST),
                ("event_recall", "1-false-alarm-an-hour/gaussian3"),
                ("fit_minutes", ""),
                ("fps", ""),
            }
        out = made.options.out
        assert {r.key for r in load_records(out / "results.json")} == {r.key for r in made.records}
        assert "auto, background" in (out / "results.md").read_text()
        assert made.again == made.records

    def test_models_are_shared_and_nothing_put_aside_is_learned(self, made: SimpleNamespace):
        kept, held = hold_out(open_dataset(made.options.data).train)
        models = [load(folder) for folder in (made.options.out / "runs").iterdir()]
        assert all(m.footage["videos"] == len(kept) == 6 for m in models)  # pyright: ignore
        alone = {m.name: m for m in models if m.name != "blend"}
        video = held.videos[0]
        for model in models:
            if isinstance(model, blend.Blend):
                for name, member in model.members.items():
                    same = alone[name].score(video.open()).raw
                    assert member.score(video.open()).raw == pytest.approx(same)

    def test_auto_has_the_figures_of_the_kept_row(self, made: SimpleNamespace):
        (path,) = (made.options.out / "choices").iterdir()
        told = json.loads(path.read_text())
        assert len(told["candidates"]) == 4
        label = f"{told['kept'].replace('(', '').replace(')', '')}, background"
        auto, kept = (
            {r.protocol: r.value for r in made.records if r.variant == v and r.metric == "auc"}
            for v in ("auto, background", label)
        )
        assert auto == kept and len(auto) == 4
        notes = {r.note for r in made.records if r.system == "auto"}
        assert all(note.startswith(f"kept {told['kept']}: {told['reason']}") for note in notes)

    def test_the_baseline_alone(self, bars: Path, tmp_path: Path):
        few = reproduce("own", Options(bars, tmp_path / "few", only=("motion",)))
        assert {r.variant for r in few} == {"motion, background"}
