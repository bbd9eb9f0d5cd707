"""CAFE's equations by hand-computed values, its networks' shapes, and its training and runtimes."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from support.killing import kill_at
from systems.test_motion import walk
from vadistill import Dataset, Video
from vadistill.backbones.teachers import ARCHITECTURES, ResNet, Teacher
from vadistill.batches import seeded_generator
from vadistill.distill import FrozenTeacher, HeldTargets, TargetCache
from vadistill.errors import ConfigError, WeightsError
from vadistill.loss_log import losses_of
from vadistill.objects.patches import crop
from vadistill.objects.speeds import Scale
from vadistill.runtime import open_runtime
from vadistill.systems.cafe import Cafe, Config, losses, paper_ped2
from vadistill.systems.cafe.course import KEPT, Seen, course_in_the_rest, ways
from vadistill.systems.cafe.data import Images
from vadistill.systems.cafe.model import (
    LowLevelBranch,
    PatchScorer,
    as_program,
    scorer_inputs,
)
from vadistill.systems.cafe.pretraining import (
    Classifier,
    PretrainConfig,
    augment,
    pretrain,
)
from vadistill.systems.cafe.standard import (
    LEAST,
    Standard,
    aspect,
)


def features(*values: float) -> list[torch.Tensor]:
    """One event, one layer of 1x2x2 and one of 2x1x1, filled with the two values."""
    return [torch.full((1, 1, 2, 2), values[0]), torch.full((1, 2, 1, 1), values[1])]


class TestEquations:
    S, T = features(1.0, 5.0), features(3.0, 4.0)  # differences 2 (4 cells) and 1 (2 cells)
    BEFORE, AFTER = features(1.5, 5.0), features(1.0, 3.0)  # 0.5, 0 and 0, 2 from S

    def test_eq2_distillation(self) -> None:
        assert losses.distillation_loss(self.S, self.T) == pytest.approx(4 + 1)
        assert losses.distillation_loss(self.S, self.T, "sum") == pytest.approx(16 + 2)

    def test_eq4_consistency(self) -> None:
        assert losses.consistency_loss(self.BEFORE, self.S, self.AFTER) == pytest.approx(
            0.5 * (0.25 + 4)
        )
        assert losses.consistency_loss(self.BEFORE, self.S, self.AFTER, "sum") == pytest.approx(
            0.5 * (1 + 8)
        )

    def test_eq6_and_eq7_low_level(self) -> None:
        outputs = {"appearance": torch.zeros(1, 3, 2, 2), "motion": torch.ones(1, 2, 2, 2)}
        targets = {"appearance": torch.full((1, 3, 2, 2), 0.5), "motion": torch.zeros(1, 2, 2, 2)}
        one = {"appearance": outputs["appearance"]}
        assert losses.low_level_loss(one, targets) == pytest.approx(0.25)
        assert losses.low_level_loss(outputs, targets) == pytest.approx(1.25)

    def test_eq8_total(self) -> None:
        terms = [torch.tensor(v) for v in (5.0, 2.0, 3.0)]
        assert losses.total_loss(*terms) == pytest.approx(5 + 0.2 + 3)
        assert losses.total_loss(*terms, lambda_kd=0.0, lambda_ca=0.0, lambda_lo=2.0) == 6

    def test_eq9_to_eq11_scores(self) -> None:
        assert losses.distillation_score(self.S, self.T).item() == pytest.approx(5)
        # Eq. 10 has no half: Con is the plain sum of both similarities.
        assert losses.consistency_score(self.BEFORE, self.S, self.AFTER).item() == pytest.approx(
            4.25
        )
        assert losses.low_level_score(torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2, 2), 3.0)) == 9

    def test_eq12_overall(self) -> None:
        score = losses.overall_score(
            torch.tensor([[4.0, 1.0, 9.0]]),
            torch.tensor([2.0, 3.0, 9.0]),
            torch.tensor([2.0, 4.0, 1.0]),
            torch.tensor([0.5, 1.0, 0.1]),
        )
        assert score.item() == pytest.approx(0.5 * 1 + 1.0 * -0.5 + 0)


BOXES = np.array(
    [[10, 10, 30, 50], [50, 20, 70, 70], [20, 60, 50, 110], [60, 70, 90, 130]], np.float32
)
"""Small ones above, larger ones below."""


@pytest.fixture(scope="module")
def fast_or_calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cafe, Path]:
    """CAFE after a look at squares that move by two pixels a frame."""
    out = tmp_path_factory.mktemp("cafe") / "m.vad"
    videos = tuple(Video(f"n{i}", walk([2.0] * 40, seed=i), fps=10) for i in range(3))
    config = Config(localiser="motion", epochs=2, consistency_after=1, batch=16, smoothing="raw")
    return Cafe(config, device="cpu").fit(Dataset("n", "train", videos), out=out), out


class TestAttributes:
    RUNS = walk([2.0] * 10 + [6.0] * 8 + [2.0] * 10, seed=1)
    """A square of the training videos that is three times as fast for a while."""

    def test_the_same_looks_at_another_speed_score_high(self, fast_or_calm: tuple[Cafe, Path]):
        model, _ = fast_or_calm
        found = model.score(Video("v", self.RUNS, fps=10).open())
        calm = np.concatenate([found.raw[3:8], found.raw[22:26]])
        assert found.raw[12:16].min() > calm.max()
        assert "times as fast as anything in normal footage" in found.frames[14].reason
        assert not found.frames[5].reason

    def test_eq12_with_attributes_by_hand(self, fast_or_calm: tuple[Cafe, Path]):
        model = copy.copy(fast_or_calm[0])
        model.config = replace(
            model.config,
            omega_kd=2.0,
            omega_ca=1.0,
            omega_speed=2.0,
            omega_shape=0.5,
            errors="plain",
        )
        model.scales = [Scale(10, 30, 40), Scale(0, 10, 10), Scale(5, 10, 10)]
        plain = {"errors": ([1, 2, 0], [1, 4, 1]), "speed": ([0.5], [0.5]), "shape": ([0], [2])}
        plain["course"] = ([-1], [0.5])
        model.seen = Seen(np.array([[2.0, 1]]), np.array([0.5, 2]))
        model.standards = {
            name: Standard.over_all(np.array(mean, float), np.array(std, float))
            for name, (mean, std) in plain.items()
        }
        # Scaled speeds are 1, 1.5 and -1: the highest counts, as (1.5 - 0.5) / 0.5.
        # A way of 3, 4 is log 6 long; of -3, 4 it is more unusual than the speed.
        part = [2, 10, 7, 30, 15, 0, 3, 4, 0, 0, 10, 20]
        other = [*part[:6], -3, *part[7:]]
        value, unusual = model.object_values(np.array([part, other], np.float32)).tolist()
        far = np.hypot(-0.6 * np.log(6) / 0.5 - 2, 0.8 * np.log(6) / 2 - 1)
        course = (np.log(far + 0.01) + 1) / 0.5
        assert unusual - value == pytest.approx(2 * (course - 2))
        assert value == pytest.approx(2 * 1 + 1 * 2 + 2 * 2 + 0.5 * np.log(0.5) / 2)

    def test_it_looks_as_far_ahead_as_the_footage_and_loads_as_it_was(
        self, fast_or_calm: tuple[Cafe, Path]
    ):
        model, path = fast_or_calm
        assert model.lookahead == 3 and model.latency == 3 + model.config.batch_frames - 1
        loaded = Cafe.load(path, device="cpu")
        assert loaded.lookahead == 3 and list(loaded.scales) == list(model.scales)
        for fps in (10, 25):  # at another rate the same seconds, if they are not more frames
            video = Video("v", self.RUNS, fps=fps)
            one, same = (each.score(video.open()).raw for each in (model, loaded))
            np.testing.assert_array_equal(one, same)

    def test_without_it_nothing_of_speed_is_looked_at(self, tmp_path: Path):
        assert Cafe(paper_ped2(), device="cpu").cut.reach == 0
        saved = {"epochs": 3}  # of an earlier version
        old = Config.from_saved(saved)
        assert (old.omega_speed, old.omega_shape, old.course) == (0, 0, False)
        assert old.errors == "plain"

    def test_squares_are_what_is_cut_but_for_the_paper_and_earlier_models(self):
        model = Cafe(device="cpu")
        assert model.cut.square and model.training_cut.square
        assert not Config.from_saved({}).square, "what was fitted before stretches boxes"
        assert not paper_ped2().square

    def test_scales_that_cannot_be_are_refused(self, fast_or_calm: tuple[Cafe, Path]):
        path = fast_or_calm[1]
        file = path / "config.json"
        text = file.read_text()
        facts = json.loads(text)
        facts["scales"][0] = facts["scales"][0][::-1]
        file.write_text(json.dumps(facts))
        with pytest.raises(WeightsError, match="scales"):
            Cafe.load(path, device="cpu")
        file.write_text(text)


class TestCourse:
    def test_a_way_that_nobody_goes_is_unlike(self):
        rng = np.random.default_rng(0)
        found = ways(rng.normal((-30, 0), 3, (600, 2)))
        seen, usual = Seen.of(found, rng), course_in_the_rest(found, rng)
        assert usual.mean() == pytest.approx(seen.course(found).mean(), abs=0.3)
        for odd in ((30, 0), (-60, 0), (0, 0), (-20, 20)):  # against it, faster, standing, across
            assert seen.course(ways(np.array([odd], float))).min() > np.quantile(usual, 0.99)
        assert len(Seen.of(np.repeat(found, 9, axis=0), rng).points) == KEPT

    def test_few_objects_are_enough(self):
        rng, found = np.random.default_rng(0), np.zeros((2, 2))
        assert np.isfinite(course_in_the_rest(found, rng)).all()

    def test_who_walks_the_other_way_scores_higher(self, fast_or_calm: tuple[Cafe, Path]):
        model, _ = fast_or_calm
        there, back = (
            model.score(Video("v", walk([speed] * 20, seed=1), fps=10).open())
            for speed in (2.0, -2.0)
        )
        assert back.raw[4:12].min() > there.raw[4:12].max()
        assert back.frames[8].reason == "goes a way that is rare in normal footage"
        assert not there.frames[8].reason

    def test_who_stands_where_all_go_is_told_so(self):
        found = ways(np.array([[-30.0, 0.0], [-28, 1], [-31, -1], [-29, 2], [-30, 1]]))
        seen = Seen.of(found, np.random.default_rng(0))
        usual = Standard.over_all(np.array([0.0]), np.array([0.5]))
        assert seen.told(ways(np.array([[0.5, 0]])), usual).startswith("stands as hardly")
        assert seen.told(found[:1], usual) == ""


class TestStandard:
    def test_given_nothing_it_is_the_mean_and_deviation(self):
        values = np.array([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
        found = Standard.fit(values, BOXES[:3], by_place=False)
        np.testing.assert_allclose(found.mean(BOXES[:2]), [[3, 5], [3, 5]])
        assert found.sigma == pytest.approx([2, LEAST])

    def test_what_is_usual_for_the_place_is_taken_away(self):
        rng = np.random.default_rng(0)
        boxes = np.repeat(BOXES, 50, axis=0) + rng.uniform(-8, 8, (200, 1))
        foot = boxes[:, 3:]
        values = 0.01 * foot + 0.1 * rng.normal(size=(200, 1))
        near, far = np.array([[40.0, 60, 60, 100]]), np.array([[40.0, 10, 60, 50]])
        found = Standard.fit(values, boxes, by_place=True)
        assert found.mean(near).item() == pytest.approx(1.0, abs=0.1)
        assert found.mean(far).item() == pytest.approx(0.5, abs=0.1)
        assert found.sigma.item() == pytest.approx(0.1, rel=0.2)
        # Beyond what training showed it is as at the end of that.
        beyond = found.mean(np.array([[40.0, 900, 60, 5000]])).item()
        assert beyond == pytest.approx(found.mean(np.array([[40.0, 0, 60, foot.max()]])).item())

    def test_aspect(self):
        boxes = np.array([[0, 0, 40, 10], [5, 5, 15, 45]], np.float32)
        np.testing.assert_allclose(aspect(boxes), np.log([4, 0.25]))

    def test_it_is_read_as_it_was(self):
        saved = Standard.fit(np.arange(8.0).reshape(4, 2), BOXES, by_place=True).to_json()
        found = Standard.from_json(json.loads(json.dumps(saved)), 2, by_place=True)
        assert found.to_json() == saved
        for broken in ({**saved, "sigma": [1.0, 0.0]}, {**saved, "weights": [[1.0, 2.0]]}):
            with pytest.raises(ValueError, match=r"deviations|weights"):
                Standard.from_json(broken, 2, by_place=True)


class TestNetworks:
    @pytest.mark.parametrize(
        ("name", "parameters"), [("resnet34", 21.28), ("resnet17", 11.17), ("resnet9", 4.90)]
    )
    def test_parameter_counts_of_the_paper(self, name: str, parameters: float) -> None:
        network = ResNet(ARCHITECTURES[name])
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(
            parameters, abs=0.005
        )

    def test_feature_shapes_agree_between_teacher_and_student(self) -> None:
        patches = torch.rand(2, 3, 32, 32)
        shapes = [(16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4)]
        for name in ("narrow34", "narrow9"):
            groups = ResNet(ARCHITECTURES[name]).eval()(patches, 6)
            assert [tuple(g.shape[1:]) for g in groups] == [(16, 32, 32)] * 2 + shapes
            assert len(ResNet(ARCHITECTURES[name]).eval()(patches, 1)) == 1

    def test_branch_doubles_the_resolution_three_times(self) -> None:
        branch = LowLevelBranch(128, 2)
        assert branch(torch.rand(2, 128, 4, 4)).shape == (2, 2, 32, 32)
        convolutions = [m for m in branch.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
        assert [c.out_channels for c in convolutions] == [64, 32, 16]


def test_crop_takes_whole_pixels_and_keeps_the_picture() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 30:40] = 255
    inside, edge = crop(image, np.array([[30, 10, 40, 20], [-3, -3, 2.2, 2.2]], np.float32), 32)
    assert inside.shape == (32, 32, 3) and (inside == 255).all()
    assert edge.shape == (32, 32, 3) and (edge == 0).all()


def test_teacher_cannot_train() -> None:
    teacher = FrozenTeacher(ResNet(ARCHITECTURES["narrow9"]))
    before = teacher.fingerprint
    parent = torch.nn.ModuleDict({"teacher": teacher}).train()
    out = parent["teacher"](torch.rand(4, 3, 32, 32))
    assert not teacher.network.training and not out[0].requires_grad
    assert teacher.fingerprint == before


def test_target_cache_resumes_and_reads_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(10, 3, 2)).astype(np.float32)
    calls: list[int] = []

    def outputs(rows: np.ndarray) -> list[torch.Tensor]:
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return [torch.from_numpy(values[rows]), torch.from_numpy(values[rows, 0])]

    with pytest.raises(KeyboardInterrupt):
        TargetCache(tmp_path, key="a", count=10).fill(outputs, batch=4)
    cache = TargetCache(tmp_path, key="a", count=10).fill(outputs, batch=4)
    first, second = cache[np.array([9, 0])]
    np.testing.assert_allclose(first.numpy(), values[[9, 0]], atol=2e-3)
    np.testing.assert_allclose(second.numpy(), values[[9, 0], 0], atol=2e-3)
    done = len(calls)
    TargetCache(tmp_path, key="a", count=10).fill(outputs, batch=4)
    assert len(calls) == done, "a full cache is not computed again"
    TargetCache(tmp_path, key="b", count=10).fill(outputs, batch=4)
    assert len(calls) == done + 3, "another key is"
    held = HeldTargets(outputs, count=10, batch=4)[np.array([9, 0])]
    for kept, memory in zip((first, second), held, strict=True):
        torch.testing.assert_close(memory, kept, rtol=0, atol=0)


@pytest.fixture(scope="module")
def scorer() -> PatchScorer:
    torch.manual_seed(0)
    branches = {"motion": LowLevelBranch(128, 2), "appearance": LowLevelBranch(128, 3)}
    return PatchScorer(
        FrozenTeacher(ResNet(ARCHITECTURES["narrow34"])),
        ResNet(ARCHITECTURES["narrow9"]),
        torch.nn.ModuleDict(branches),
        layers=4,
        reduction="mean",
    ).eval()


def test_runtimes_agree(scorer: PatchScorer) -> None:
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (5, 3, 32, 32, 3), dtype=np.uint8)
    flow = rng.normal(size=(5, 1, 2, 32, 32)).astype(np.float16)
    inputs = scorer_inputs(patches, flow)
    program = as_program(scorer, [inputs], batch=2)
    runtimes = ("torch", "onnx", "onnx-int8")
    scores = [open_runtime(program, name, torch.device("cpu"))(*inputs)[0] for name in runtimes]
    assert scores[0].shape == (5, 3) and (scores[0] > 0).all()
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3)
    np.testing.assert_allclose(scores[2], scores[0], rtol=0.5)


def test_scorer_gives_the_equations(scorer: PatchScorer) -> None:
    patches = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        kd, ca, _ = scorer(patches, torch.zeros(2, 2, 32, 32)).unbind(1)
        c0, e, c1 = (patches[:, i].permute(0, 3, 1, 2) / 255 for i in range(3))
        s = scorer.student
        assert torch.allclose(kd, losses.distillation_score(s(e), scorer.teacher(e)), rtol=1e-4)
        assert torch.allclose(ca, losses.consistency_score(s(c0), s(e), s(c1)), rtol=1e-4)


class TestPretraining:
    @pytest.fixture
    def images(self) -> Images:
        """Two classes that differ in colour."""
        rng = np.random.default_rng(0)
        labels = np.arange(96) % 2
        pixels = rng.integers(0, 100, (96, 32, 32, 3), dtype=np.uint8)
        pixels[..., 0] += (labels * 120).astype(np.uint8)[:, None, None]
        return Images("two", ("a", "b"), pixels[:64], labels[:64], pixels[64:], labels[64:])

    CONFIG = PretrainConfig("narrow9", epochs=3, batch=16, learning_rate=0.02, warm_up=0.5)

    def test_learns_saves_and_loads(self, images: Images, tmp_path: Path) -> None:
        teacher = pretrain(images, self.CONFIG, tmp_path / "t.safetensors")
        assert teacher.accuracy > 0.9
        loaded = Teacher.load(tmp_path / "t.safetensors")
        assert (loaded.architecture, loaded.source) == ("narrow9", "two, 3 epochs")
        x = torch.rand(2, 3, 32, 32)
        for a, b in zip(loaded.network(x), teacher.network(x), strict=True):
            assert torch.allclose(a, b, atol=0.05)

    def test_kill_and_resume_is_no_kill(
        self, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unbroken = pretrain(images, self.CONFIG, tmp_path / "a.safetensors")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            kill_at(patch, "classifier", 9)
            pretrain(images, self.CONFIG, tmp_path / "b.safetensors")
        assert not (tmp_path / "b.safetensors").exists()
        resumed = pretrain(images, self.CONFIG, tmp_path / "b.safetensors")
        for a, b in zip(
            unbroken.network.state_dict().values(),
            resumed.network.state_dict().values(),
            strict=True,
        ):
            assert torch.equal(a, b)
        assert sorted(path.name for path in tmp_path.glob("b.*")) == ["b.jsonl", "b.safetensors"]
        log = losses_of(tmp_path / "b.jsonl")["classifier"]
        assert log["step"].tolist() == [0, 3, 7, 10, 11]
        assert np.isfinite(log["accuracy"]).tolist() == [False, True, True, False, True]
        assert resumed.accuracy == unbroken.accuracy == log["accuracy"][-1]

    def test_augmentation_without_change_is_identity(self) -> None:
        x = torch.rand(64, 3, 32, 32)
        y = augment(x, seeded_generator(0), rotation=0.0, grey=1.0)
        assert torch.allclose(y[:, 0], y[:, 1]) and not torch.allclose(x[:, 0], x[:, 1])
        # Without rotation every output is a shifted, perhaps mirrored copy: no new values appear.
        z = augment(x[:8], seeded_generator(1), rotation=0.0, grey=0.0)
        assert z.max() <= x.max() + 1e-4
        kept = [
            min(
                (z[i, :, 4:-4, 4:-4] - c).abs().max().item()
                for dx in range(9)
                for dy in range(9)
                for s in (x[i], x[i].flip(-1))
                for c in [
                    torch.nn.functional.pad(s, (4,) * 4)[:, dy + 4 : dy + 28, dx + 4 : dx + 28]
                ]
            )
            for i in range(8)
        ]
        assert max(kept) < 1e-3

    def test_bad_settings_and_files(self, images: Images, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="resnet99"):
            pretrain(images, PretrainConfig("resnet99"), tmp_path / "t.safetensors")
        for name in ("x", "x", "y"):  # the same again is no other
            config = replace(self.CONFIG, epochs=1, seed=int(name == "y"))
            pretrain(images, config, tmp_path / f"{name}.safetensors")
        others = replace(images, train=255 - images.train)  # of the same name, in another folder
        with pytest.raises(ConfigError, match="other settings or images"):
            pretrain(others, config, tmp_path / "y.safetensors")
        kept = (tmp_path / "x.safetensors").read_bytes()
        with pytest.raises(ConfigError, match=r"a teacher of two, 1 epochs.*--overwrite"):
            pretrain(images, config, tmp_path / "x.safetensors")
        assert (tmp_path / "x.safetensors").read_bytes() == kept
        pretrain(images, config, tmp_path / "x.safetensors", overwrite=True)
        assert (tmp_path / "x.safetensors").read_bytes() != kept
        (tmp_path / "x.safetensors").write_bytes(b"no weights")
        with pytest.raises(ConfigError, match="no teacher"):
            pretrain(images, config, tmp_path / "x.safetensors")
        with pytest.raises(WeightsError, match=r"x\.safetensors"):
            Teacher.load(tmp_path / "x.safetensors")


def test_classifier_shape() -> None:
    model = Classifier(ResNet(ARCHITECTURES["narrow9"]), 7).eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)
