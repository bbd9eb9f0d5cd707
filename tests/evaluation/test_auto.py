"""``auto``: which candidate is kept, by what, and what is kept of the comparison."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import vadistill
from evaluation.test_selftest import crossing
from objects.test_detectors import footage as squares
from support.tiny_yolox import tiny_yolox
from vadistill.calibrating import widened
from vadistill.cli import main
from vadistill.datasets import open_dataset
from vadistill.datasets.holdout import hold_out
from vadistill.detector import WORK
from vadistill.errors import ConfigError
from vadistill.evaluation.auto import fit_auto
from vadistill.evaluation.choice import FILE, Candidate, choose, rated, read_choice
from vadistill.evaluation.selftest import KindFigure, SelfTest, Trial, read_self_test
from vadistill.evaluation.selftest.kinds import KINDS
from vadistill.loss_log import LOG
from vadistill.systems import blend, cafe
from vadistill.systems.blend import Blend
from vadistill.systems.blend.recipes import Combine
from vadistill.video import VideoWriter

NAMES = ["motion", "cafe", "blend (mean)", "blend (maximum)"]


def a_test(auc: float, draws: Sequence[float]) -> SelfTest:
    kind = KindFigure("falls", 8, 4, 0.2, 0.8, auc, auc - 0.1, auc + 0.1)
    return SelfTest("x", (kind,), {}, 1.0, 2, 300, 30.0, True, 0, draws=tuple(draws))


class TestChoice:
    noise = np.random.default_rng(0).normal(0, 0.05, 300)
    """Of the plants that a draw happens to have: the same for all that are tried on them."""

    def candidates(self, **aucs: float) -> tuple[Candidate, ...]:
        own = np.random.default_rng(1)
        tests = {
            name: a_test(auc, (auc + self.noise + own.normal(0, 0.005, 300)).tolist())
            for name, auc in aucs.items()
        }
        return tuple(rated(tests, dict.fromkeys(tests, 30.0)))

    def test_the_best_is_kept(self):
        name, reason = choose(self.candidates(motion=0.8, cafe=0.85, blend=0.9))
        assert name == "blend" and "AUC 90.0, told from the 85.0 of cafe" in reason
        name, reason = choose(self.candidates(motion=0.8, cafe=0.9, blend=0.85))
        assert name == "cafe" and "AUC 90.0, the highest" in reason

    @pytest.mark.parametrize("other", ["motion", "blend"])
    def test_what_is_not_told_from_the_usual_one_does_not_replace_it(self, other: str):
        """Nor does what is points higher, but on so few plants that they tell nothing."""
        name, reason = choose(self.candidates(**{"cafe": 0.895, other: 0.9}))
        assert name == "cafe"
        assert "AUC 89.5" in reason and f"90.0 of {other}" in reason
        usual, best = self.candidates(**{"cafe": 0.8, other: 0.9})
        assert choose((replace(usual, short=-0.05), best))[0] == "cafe"

    def test_pairs_tell_what_single_intervals_would_not(self):
        """Intervals of 0.85 and 0.9 overlap by far, their difference's does not hold 0."""
        first, second = self.candidates(cafe=0.85, blend=0.9)
        assert first.test.auc_interval is not None and second.test.auc_interval is not None
        assert first.test.auc_interval[1] > second.test.auc_interval[0] + 0.1
        assert first.short > 0.03 and second.short == 0
        assert choose((first, second))[0] == "blend"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Films of bars that cross a floor, and what auto made of them by the command line."""
    root = tmp_path_factory.mktemp("auto")
    data, out = root / "normal", root / "auto.vad"
    for seed in range(8):
        with VideoWriter(data / f"{seed}.mp4", 160, 80, 10) as writer:
            for frame in crossing(seed, speed=1.0, frames=125).open():
                writer.write(frame.image)
    small = cafe.Config(epochs=2, consistency_after=1, frames=60, batch=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cafe.RECIPES, "default", lambda: small)  # pyright: ignore[reportArgumentType]
        patch.setitem(blend.RECIPES, "default", lambda: blend.Config(frames=150))  # pyright: ignore[reportArgumentType]
        for kind in list(KINDS)[1:]:
            if kind not in ("3 times as fast", "foreign object"):
                patch.delitem(KINDS, kind)
        argv = ["fit", "auto", str(data), "--out", str(out), "--plants", "2", "--device", "cpu"]
        # Nothing of its teachers is done in so short a time.
        assert main([*argv, "--minutes", "0.0001"]) == 0
        yield SimpleNamespace(data=data, out=out)


@pytest.mark.slow
class TestFitAuto:
    """Real fits; tests/cli/test_names.py has one in the default run."""

    def test_all_candidates_are_told_with_the_same_plants(self, made: SimpleNamespace):
        told = json.loads((made.out / FILE).read_text())
        assert [each["name"] for each in told["candidates"]] == NAMES
        tests = [each["self_test"] for each in told["candidates"]]
        assert all(each["held_out"] and each["videos"] == 2 for each in tests)
        plants = [[(k["kind"], k["plants"]) for k in each["kinds"]] for each in tests]
        assert plants[0] and all(each == plants[0] for each in plants)
        for each in told["candidates"]:
            assert each["auc_low"] <= each["auc"] <= each["auc_high"]
            assert each["frames_per_second"] > 0
        assert len({each["auc"] for each in told["candidates"]}) > 1

    def test_the_kept_one_is_a_model_with_its_self_test(self, made: SimpleNamespace):
        told = read_choice(made.out)
        assert told is not None
        model = vadistill.load(made.out, device="cpu")
        assert model.name == told["kept"].partition(" ")[0]
        assert model.made is not None and "fit auto" in model.made["command"]
        found = read_self_test(made.out)
        (own,) = (c for c in told["candidates"] if c["name"] == told["kept"])
        assert found is not None and found.auc == own["auc"] and found.system == model.name
        assert (made.out / "selftest.html").exists()
        assert (made.out / LOG).exists() == (model.name != "motion")

    def test_what_is_not_done_in_time_is_left_out_and_can_go_on(self, made: SimpleNamespace):
        told = read_choice(made.out)
        assert told is not None and "fast_aed was not fitted within 0.0001" in told["left_out"]
        assert (made.out / WORK).exists()

    def test_a_blends_figures_are_those_of_scoring_with_it(self, made: SimpleNamespace):
        (folder,) = (made.out / WORK).glob("candidate-blend-*")
        told = json.loads((made.out / FILE).read_text())["candidates"]
        kept, held = hold_out(open_dataset(made.data).train)
        trial = Trial.of(held, kept, plants=2)
        both = Blend.load(folder, device="cpu")
        kinds: dict[str, Combine] = {"blend (mean)": "mean", "blend (maximum)": "maximum"}
        for name, how in kinds.items():
            model = both.combined(how)
            of_scales = model.require_fitted().frames
            known = widened(model.require_fitted(), model.stream, kept, (None, model.lookahead))
            model.calibration = known.of(model.footage)  # the level that is saved, too
            assert of_scales < known.frames == sum(video.open().info.frames or 0 for video in kept)
            found = trial.result(trial.scores(model), model)
            (figures,) = (each for each in told if each["name"] == name)
            assert found.auc == pytest.approx(figures["auc"])
            assert [kind.found for kind in found.kinds] == [
                kind["found"] for kind in figures["self_test"]["kinds"]
            ]

    def test_it_is_shown(self, made: SimpleNamespace, capsys: pytest.CaptureFixture[str]):
        assert main(["info", str(made.out)]) == 0
        shown = capsys.readouterr().out
        assert "chosen by auto" in shown and all(f"  {name}" in shown for name in NAMES)

    def test_other_models_are_not_replaced(self, made: SimpleNamespace, tmp_path: Path):
        train = open_dataset(made.data).train
        fewer = replace(train, videos=train.videos[:2])
        with pytest.raises(ConfigError, match="a finished model of other footage"):
            fit_auto(fewer, out=made.out)
        vadistill.fit("motion", fewer, out=tmp_path / "m.vad")
        with pytest.raises(ConfigError, match="that 'fit auto' did not choose"):
            fit_auto(fewer, out=tmp_path / "m.vad")

    def test_where_nothing_can_be_put_aside(self, made: SimpleNamespace, tmp_path: Path):
        train = open_dataset(made.data).train
        choice = fit_auto(replace(train, videos=train.videos[:2]), out=tmp_path / "a.vad")
        assert choice.kept == "cafe" and choice.candidates == ()
        assert "too little footage" in str(choice) and choice.test is None
        assert isinstance(vadistill.load(tmp_path / "a.vad"), vadistill.Cafe)
        assert sorted(p.name for p in (tmp_path / "a.vad").iterdir()) == [
            *("auto.json", "config.json", "training.jsonl", "weights.safetensors")
        ]
        assert (read_choice(tmp_path / "a.vad") or {})["candidates"] == []

    def test_what_has_ended_is_not_done_again(
        self, made: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        for name in ("0.mp4", "1.mp4"):
            (tmp_path / "two").mkdir(exist_ok=True)
            shutil.copy(made.data / name, tmp_path / "two")
        out = tmp_path / "a.vad"
        argv = ["fit", "auto", str(tmp_path / "two"), "--out", str(out)]
        assert main(argv) == 0
        first, _ = (out / FILE).read_text(), capsys.readouterr()
        assert main(argv) == 0
        said = capsys.readouterr().out
        assert "was fitted before" in said and "wrote" not in said and "kept cafe" in said
        assert (out / FILE).read_text() == first
        assert fit_auto(tmp_path / "two", out=out).before
        assert not fit_auto(tmp_path / "two", out=out, plants=3).before
        assert not fit_auto(tmp_path / "two", out=out, plants=3, overwrite=True).before

    def test_other_footage_put_aside_is_another_choice(self, made: SimpleNamespace, tmp_path: Path):
        data = tmp_path / "normal"
        shutil.copytree(made.data, data)

        def before() -> bool:
            return fit_auto(data, out=tmp_path / "a.vad", plants=1, device="cpu").before

        assert not before() and before()
        kept, held = hold_out(open_dataset(data).train)
        shutil.copy(str(kept.videos[0].source), str(held.videos[0].source))
        assert not before()


def test_what_has_ended_with_a_detector_of_a_file_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = cafe.Config(epochs=1, consistency_after=1, frames=20, batch=8)
    monkeypatch.setitem(cafe.RECIPES, "default", lambda: small)  # pyright: ignore[reportArgumentType]
    data, out, detector = squares(tmp_path), tmp_path / "a.vad", tmp_path / "mine.onnx"
    detector.write_bytes(tiny_yolox())
    localiser = f"detector:{detector}?score=0.15&side=640"

    def before() -> bool:
        return fit_auto(data, out=out, localiser=localiser, device="cpu").before

    assert not before() and before()
    detector.write_bytes(tiny_yolox((96, 96)))
    assert not before(), "the file is another"


def test_boxes_of_a_file_cannot_be_tried(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="finds what is planted"):
        fit_auto(tmp_path, out=tmp_path / "m.vad", localiser="boxes:boxes.csv")


@pytest.mark.parametrize("option", ["--plants", "--minutes"])
def test_what_cannot_be_is_a_line(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "auto", str(tmp_path), option, "0"]) == 2
    assert f"{option} 0" in capsys.readouterr().err
