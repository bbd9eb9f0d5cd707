"""DAKD end to end on features: bags, both stages, the ways of scoring, its reproduction."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import vadistill
from support.killing import kill_at
from vadistill.cli import main
from vadistill.datasets import Dataset, Video
from vadistill.datasets.snippets import FeatureSource, edges, segment_means, segment_of_snippets
from vadistill.devices import pick_precision
from vadistill.distill import FrozenTeacher
from vadistill.errors import ConfigError, DataError, VideoError, WeightsError
from vadistill.loss_log import losses_of
from vadistill.runtime import open_runtime
from vadistill.systems import dakd
from vadistill.systems.dakd import data, losses
from vadistill.systems.dakd.data import Bags, at_hand, at_hand_once, gather_bags, published
from vadistill.systems.dakd.folds import (
    HeldOut,
    folds_of,
    hold_out,
    logit_of_mean,
    standard_error,
    video_scores,
    video_wins,
)
from vadistill.systems.dakd.model import Baseline, Network, Scored
from vadistill.systems.dakd.ring import Ring
from vadistill.systems.dakd.scoring import ClipScorer, as_program
from vadistill.systems.dakd.temporal import RIVALS
from vadistill.systems.dakd.training import (
    distil,
    student_losses,
    teacher_targets,
    train_teacher,
)

CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class Rows:
    """Features in memory."""

    rows: np.ndarray

    @property
    def identity(self) -> str:
        return str(float(self.rows.sum()))

    def read(self) -> np.ndarray:
        return self.rows


def source(name: str, seed: int, *, anomaly: bool, clips: int = 40) -> tuple[FeatureSource, Any]:
    """Noise in two backbones; an event is a shift of some numbers, in clips 10 to 17."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(clips * 16 + 5, np.uint8)
    arrays = {}
    for number, (backbone, width) in enumerate((("wide", 12), ("narrow", 6))):
        rows = rng.normal(size=(clips, width)).astype(np.float32)
        if anomaly:
            rows[10:18, number : number + 4] += 3
            labels[160 : 18 * 16] = 1
        arrays[backbone] = Rows(rows)
    return FeatureSource(name, arrays, snippets=clips, frames=len(labels)), labels


def dataset(split: Any, seeds: range) -> Dataset:
    clips = []
    for seed in seeds:
        video, labels = source(f"video{seed}", seed, anomaly=seed % 2 == 1)
        clips.append(Video(video.info.name, video, labels, video_label=seed % 2))
    return Dataset("made_up", split, tuple(clips), "weak")


def changed(
    data: Dataset, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
) -> Dataset:
    """The same videos with other features."""
    clips = []
    for clip in data:
        old = clip.open()
        assert isinstance(old, FeatureSource)
        arrays = change({name: old.features(name) for name in old.arrays})
        made = FeatureSource(
            old.info.name,
            {name: Rows(rows) for name, rows in arrays.items()},
            snippets=40,
            frames=old.info.frames,
        )
        clips.append(dataclasses.replace(clip, source=made))
    return dataclasses.replace(data, videos=tuple(clips))


@pytest.fixture(scope="module")
def train() -> Dataset:
    return dataset("train", range(16))


@pytest.fixture(scope="module")
def test() -> Dataset:
    return dataset("test", range(100, 106))


SMALL = dataclasses.replace(
    dakd.paper("narrow"),
    teacher=("wide", "narrow"),
    epochs=15,
    precision="fp32",
    scoring="dense",
    least_range=0.1,
    delta_normal=0.0,
)
"""The paper's method, for a minute's fit."""

OURS = dakd.Config(
    teacher=("wide", "narrow"), student="narrow", precision="fp32", folds=2, committee=2
)
"""Our own."""


@pytest.fixture(scope="module")
def fitted(train: Dataset, tmp_path_factory: Any) -> tuple[dakd.Dakd, Path]:
    work = tmp_path_factory.mktemp("dakd")
    config = dataclasses.replace(SMALL, scoring="segments")
    return dakd.Dakd(config, device="cpu").fit(train, out=work / "m.vad", work=work / "w"), work


def pooled(detector: dakd.Dakd, test: Dataset) -> float:
    labels = np.concatenate([c.frame_labels for c in test if c.frame_labels is not None])
    return float(
        roc_auc_score(labels, np.concatenate([detector.score(c.open()).raw for c in test]))
    )


class TestSegments:
    """A video of any length as 32 segments, and back."""

    @pytest.mark.parametrize("clips", [1, 2, 31, 32, 33, 100, 1001])
    def test_every_clip_is_in_the_one_segment_that_holds_it(self, clips: int) -> None:
        edge, where = edges(clips), segment_of_snippets(clips)
        assert len(edge) == 33 and edge[0] == 0 and edge[-1] == clips
        assert all(edge[s] <= clip < edge[s + 1] for clip, s in enumerate(where))

    def test_means_and_empty_segments_by_hand(self) -> None:
        rows = np.arange(5.0)[:, None]
        np.testing.assert_array_equal(segment_means(rows, 2)[:, 0], [0.5, 3])
        # linspace(0, 3, 5) as integers: 0 0 1 2 3, so the first segment is empty.
        np.testing.assert_array_equal(segment_means(rows[:3], 4)[:, 0], [0, 0, 1, 2])
        np.testing.assert_array_equal(segment_means(rows[:1], 3)[:, 0], [0, 0, 0])


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network([6, 4]).eval()


def clip_scorer(network: Network, mode: Any) -> ClipScorer:
    runtime = open_runtime(as_program(network, [6, 4]), "torch", CPU)
    return ClipScorer(runtime, mode, length=8, ring=Ring(network, [6, 4], "torch", CPU))


class TestScoring:
    """dense, live and segments against what their words say."""

    def rows(self, clips: int) -> list[list[np.ndarray]]:
        rng = np.random.default_rng(clips)
        return [
            [rng.normal(size=6).astype(np.float32), rng.normal(size=4).astype(np.float32)]
            for _ in range(clips)
        ]

    def window(self, network: Network, rows: list[list[np.ndarray]]) -> np.ndarray:
        features = [torch.from_numpy(np.stack(each))[None] for each in zip(*rows, strict=True)]
        with torch.no_grad():
            return network(features).scores[0].numpy()

    @pytest.mark.parametrize("clips", [1, 5, 8, 9, 20])
    def test_live_sees_the_last_clips_only(self, network: Network, clips: int) -> None:
        rows = self.rows(clips)
        scores = list(clip_scorer(network, "live")(rows))
        wanted = [self.window(network, rows[max(0, c - 7) : c + 1])[-1] for c in range(clips)]
        np.testing.assert_allclose(scores, wanted, atol=1e-6)
        self.agrees(network, "live", rows, scores)

    @pytest.mark.parametrize("clips", [1, 5, 8, 9, 12, 20, 90])
    def test_dense_has_a_clip_in_the_middle_of_its_window(
        self, network: Network, clips: int
    ) -> None:
        rows = self.rows(clips)
        scores = list(clip_scorer(network, "dense")(rows))
        wanted = []
        for c in range(clips):
            start = min(max(0, c - 4), max(0, clips - 8))
            wanted.append(self.window(network, rows[start : start + 8])[c - start])
        np.testing.assert_allclose(scores, wanted, atol=1e-6)
        self.agrees(network, "dense", rows, scores)

    def agrees(self, network: Network, mode: Any, rows: Any, scores: list[float]) -> None:
        """Of a video that is known as a whole, the same."""
        arrays = [np.stack(each) for each in zip(*rows, strict=True)]
        known = clip_scorer(network, mode).whole(arrays)
        np.testing.assert_allclose(known, scores, atol=1e-6)

    def test_dense_waits_for_the_window_and_no_longer(self, network: Network) -> None:
        given = 0

        def clips() -> Any:
            nonlocal given
            for row in self.rows(30):
                given += 1
                yield row

        scorer = clip_scorer(network, "dense")
        seen = [given for _ in scorer(clips())]
        assert max(n - c for c, n in enumerate(seen)) - 1 == scorer.lookahead
        assert seen[10] - 10 == 4, "in the midst of a video, half a window"

    @pytest.mark.parametrize("clips", [3, 8, 20])
    def test_segments_are_the_papers(self, network: Network, clips: int) -> None:
        rows = self.rows(clips)
        scores = list(clip_scorer(network, "segments")(rows))
        means = [segment_means(np.stack(each), 8) for each in zip(*rows, strict=True)]
        by_segment = self.window(network, [list(pair) for pair in zip(*means, strict=True)])
        np.testing.assert_allclose(scores, by_segment[segment_of_snippets(clips, 8)], atol=1e-6)

    @pytest.mark.parametrize(
        ("temporal", "runtime"),
        [
            *((name, "torch") for name in (*RIVALS, "tam", "baseline")),
            *((name, "onnx") for name in ("disentangled", "tam", "gru")),
        ],
    )
    def test_what_is_remembered_gives_the_scores_of_whole_windows(
        self, temporal: str, runtime: str
    ) -> None:
        torch.manual_seed(1)
        small: dict[str, Any] = {"width": 32, "standardise": True}
        each: list[dict[str, Any]] = [{"guarded": True}]
        if temporal in ("disentangled", "tam"):
            each.append({"skip": False})
        if temporal == "tam":
            each += [{"index": "deberta", "reach": 3}, {"terms": ("cross",)}]
        networks: list[Any] = [Baseline([6, 4], **small)]
        if temporal != "baseline":
            networks = [Network([6, 4], temporal, **small, **more) for more in each]
        for network in networks:
            ring = Ring(network.eval(), [6, 4], runtime, CPU, normalise=True)
            whole = open_runtime(as_program(network, [6, 4], normalise=True), "torch", CPU)
            modes: tuple[Any, ...] = ("dense", "live")
            for clips, mode in itertools.product((3, 20), modes):
                rows = self.rows(clips)
                scores = list(ClipScorer(whole, mode, length=8, ring=ring)(rows))
                arrays = [np.stack(each) for each in zip(*rows, strict=True)]
                wanted = ClipScorer(whole, mode, length=8).whole(arrays)
                np.testing.assert_allclose(scores, wanted, atol=1e-5)

    def test_a_new_clip_is_projected_alone(self, network: Network) -> None:
        seen: list[int] = []

        def count(module: Any, given: Any, made: torch.Tensor) -> None:
            seen.append(made.shape[1])

        hook = network.projections[0].register_forward_hook(count)
        list(clip_scorer(network, "live")(self.rows(20)))
        hook.remove()
        assert seen[1:] == [1] * 20, "the first is the example that a program is made with"

    def test_an_empty_video_has_no_scores(self, network: Network) -> None:
        for mode in ("dense", "live", "segments"):
            assert list(clip_scorer(network, mode)([])) == []


class TestTraining:
    """Both stages."""

    def test_the_student_finds_the_events(self, fitted: Any, test: Dataset) -> None:
        assert pooled(fitted[0], test) > 0.9

    @pytest.mark.parametrize("scoring", ["dense", "live"])
    def test_other_ways_of_scoring_find_them_too(
        self, scoring: Any, train: Dataset, test: Dataset, fitted: Any, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(SMALL, scoring=scoring)
        detector = dakd.Dakd(config, device="cpu").fit(train, out=tmp_path, work=fitted[1] / "w")
        assert pooled(detector, test) > 0.85
        assert detector.latency == detector.lookahead == (15 if scoring == "live" else 511)

    def test_the_log_has_every_loss_and_both_gradients(self, fitted: Any) -> None:
        (log,) = (fitted[1] / "w").glob("student-*/training.jsonl")
        logged = losses_of(log)["student"]
        assert logged["step"].tolist() == list(range(SMALL.epochs))
        assert {"total", "bce", "nce", "bce_gradient", "nce_gradient"} <= logged.keys()
        assert logged["bce"][-1] < logged["bce"][0] and logged["nce_gradient"][0] > 0

    def test_ten_golden_steps(self, train: Dataset, tmp_path: Path) -> None:
        names = ("wide", "narrow")
        config = dataclasses.replace(SMALL, epochs=10)

        def read(clip: Video) -> dict[str, np.ndarray]:
            video = clip.open()
            assert isinstance(video, FeatureSource)
            return {name: video.crops(name) for name in names}

        bags = gather_bags(train, names, read, tmp_path / "bags", segments=32, normalise=False)
        torch.manual_seed(0)
        teacher = Network(bags.widths(names))
        train_teacher(teacher, names, bags, config, CPU, tmp_path / "teacher")
        before = FrozenTeacher(teacher).fingerprint
        targets = teacher_targets(FrozenTeacher(teacher), names, bags, CPU, tmp_path / "targets")
        torch.manual_seed(0)
        student = Network(bags.widths(["narrow"]))
        distil(student, "narrow", [targets], bags, config, CPU, tmp_path / "student")
        assert FrozenTeacher(teacher).fingerprint == before, "the teacher does not learn"
        hinge = losses_of(tmp_path / "teacher")["teacher"]["hinge"]
        bce = losses_of(tmp_path / "student")["student"]["bce"]
        np.testing.assert_allclose(hinge, GOLDEN_HINGE, atol=2e-3)
        np.testing.assert_allclose(bce, GOLDEN_BCE, atol=2e-3)

    def test_the_teachers_features_are_data(self) -> None:
        ours, theirs = torch.randn(2, 4, 8, requires_grad=True), torch.randn(2, 4, 8)
        said = Scored(torch.zeros(2, 4, 3), torch.zeros(2, 4, requires_grad=True))
        labels = torch.tensor([[0, 0.95, 1, 0.5], [0, 0, 0, 0]])
        parts = student_losses(said, labels, ours, theirs, 1, SMALL)
        assert set(parts) == {"bce", "nce"}
        # That of 0.5 is in neither class.
        nce = losses.feature_loss(
            theirs.flatten(0, 1),
            ours.flatten(0, 1),
            (labels > 0.9).flatten(),
            (labels == 0).flatten(),
            SMALL.tau,
        )
        torch.testing.assert_close(parts["nce"], SMALL.alpha * SMALL.tau**2 * nce)

    def test_the_projector_learns_from_the_teachers_features_too(
        self, train: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vadistill.systems.dakd import training

        seen: list[bool] = []

        def watched(*arguments: Any) -> Any:
            seen.append(arguments[3].requires_grad)
            return student_losses(*arguments)

        monkeypatch.setattr(training, "student_losses", watched)
        dakd.Dakd(dataclasses.replace(SMALL, epochs=1)).fit(train, out=tmp_path / "m.vad")
        assert seen == [True]

    def test_teacher_and_student_begin_with_other_weights(
        self, train: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vadistill.systems.dakd import training

        begun: list[torch.Tensor] = []

        def keep(network: Network, *_: Any) -> None:
            begun.append(network.head.state_dict()["0.weight"].clone())
            network.eval()

        monkeypatch.setattr(training, "train_teacher", keep)
        monkeypatch.setattr(training, "distil", keep)
        for seed in (0, 0, 1):
            config = dataclasses.replace(SMALL, seed=seed)
            dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        teacher, student, *same, other, _ = begun
        assert not torch.equal(teacher, student) and not torch.equal(teacher, other)
        assert torch.equal(teacher, same[0]) and torch.equal(student, same[1])

    def test_without_bce_the_head_learns_from_video_labels(self) -> None:
        said = Scored(torch.zeros(2, 4, 3), torch.tensor([[2.0, 0, 0, 0], [-1.0, -1, -1, -1]]))
        config = dataclasses.replace(SMALL, lambda_bce=0.0, alpha=0.0, smoothness=0.5, sparsity=2.0)
        parts = student_losses(said, torch.zeros(2, 4), None, None, 1, config)
        scores = said.scores
        wanted = losses.ranking_loss(scores[:1], scores[1:], smoothness=0.5, sparsity=2.0)
        assert parts == wanted and float(parts["hinge"]) < 1

    def test_corrected_labels_are_learnt_anew(
        self, train: Dataset, test: Dataset, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(SMALL, teacher=("narrow",), scorer="teacher")
        wrong = tuple(dataclasses.replace(c, video_label=1 - (c.video_label or 0)) for c in train)
        for clips, good in ((wrong, False), (train.videos, True)):
            data = dataclasses.replace(train, videos=clips)
            detector = dakd.Dakd(config, device="cpu").fit(data, out=tmp_path / "m", work=tmp_path)
            assert (pooled(detector, test) > 0.8) == good

    def test_reach_index_and_unit_length_count(
        self, train: Dataset, test: Dataset, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(SMALL, teacher=("narrow",), scorer="teacher", epochs=1)
        seen = []
        for changes in ({}, {"reach": 3}, {"index": "deberta"}, {"normalise": True}):
            changed = dataclasses.replace(config, **changes)
            detector = dakd.Dakd(changed, device="cpu").fit(
                train, out=tmp_path / "m", work=tmp_path
            )
            seen.append(detector.score(test.videos[1].open()).raw)
        assert all(np.abs(a - seen[0]).max() > 1e-7 for a in seen[1:])
        video, _ = source("longer", 1, anomaly=True)
        longer = {"narrow": Rows(3 * video.features("narrow"))}
        scaled = FeatureSource("longer", longer, snippets=40, frames=video.info.frames)
        np.testing.assert_allclose(detector.score(scaled).raw, detector.score(video).raw, atol=1e-5)

    def test_calibration_is_of_normal_videos(self, fitted: Any, train: Dataset) -> None:
        normal = np.concatenate([fitted[0].score(c.open()).raw for c in train if not c.video_label])
        quantiles = fitted[0].require_fitted().quantiles
        assert quantiles[0] == pytest.approx(normal.min()) and quantiles[-1] == pytest.approx(
            normal.max()
        )

    def test_bags_go_on_where_they_stopped(self, train: Dataset, tmp_path: Path) -> None:
        asked: list[str] = []

        def read(clip: Video) -> dict[str, np.ndarray]:
            asked.append(clip.name)
            if len(asked) == 61:
                raise KeyboardInterrupt
            video = clip.open()
            assert isinstance(video, FeatureSource)
            return {"narrow": video.crops("narrow")}

        clips = [dataclasses.replace(c, name=f"{c.name}-{i}") for i in range(5) for c in train][:72]
        longer = dataclasses.replace(train, videos=tuple(clips))
        arguments: dict[str, Any] = {"segments": 32, "normalise": True}
        with pytest.raises(KeyboardInterrupt):
            gather_bags(longer, ["narrow"], read, tmp_path, **arguments)
        again = gather_bags(longer, ["narrow"], read, tmp_path, **arguments)
        assert len(asked) == 61 + 22, "the first fifty were kept"
        whole = gather_bags(longer, ["narrow"], read, tmp_path / "new", **arguments)
        rows = np.arange(len(longer))
        ours, theirs = (b.batch(["narrow"], rows, CPU)[0] for b in (again, whole))
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(ours.norm(dim=-1), torch.ones(72, 32))

    def test_kill_in_a_stage_and_resume_is_no_kill(
        self,
        train: Dataset,
        test: Dataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from vadistill.systems.dakd import training

        config = dataclasses.replace(SMALL, scoring="segments", epochs=5)
        whole = dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "whole.vad")
        monkeypatch.setattr(training, "SAVED_EVERY", 0.0)
        for stage in ("teacher", "student"):
            out = tmp_path / f"{stage}.vad"
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                kill_at(patch, stage, 3)
                dakd.Dakd(config, device="cpu").fit(train, out=out)
            resumed = dakd.Dakd(config, device="cpu").fit(train, out=out)
            assert losses_of(out)[stage]["step"].tolist() == list(range(config.epochs))
            clip = test.videos[1]
            np.testing.assert_array_equal(
                resumed.score(clip.open()).raw, whole.score(clip.open()).raw
            )

    @pytest.mark.parametrize(
        "changes",
        [
            {"scorer": "teacher"},
            {"scorer": "teacher", "temporal": "baseline", "teacher": ("wide",)},
            {"temporal": "gru", "alpha": 0.0},
            {"lambda_bce": 0.0, "tau": 0.5},
            {"terms": ("cross",), "index": "deberta", "skip": False},
            {"half_width": 0, "minmax": False, "normalise": True},
        ],
    )
    def test_variants_fit_save_and_load(
        self, changes: dict[str, Any], train: Dataset, test: Dataset, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(SMALL, epochs=2, **changes)
        detector = dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        loaded = vadistill.load(tmp_path / "m.vad", device="cpu")
        clip = test.videos[0]
        assert loaded.config == config
        scores = loaded.score(clip.open()).raw
        np.testing.assert_array_equal(scores, detector.score(clip.open()).raw)
        assert len(scores) == 40 * 16 + 5 and (scores[-5:] == scores[-6]).all()


class TestOurs:
    """The default: standardised, top-k, and distilled only where that pays."""

    @pytest.fixture(scope="class")
    def ours(self, train: Dataset, tmp_path_factory: Any) -> dakd.Dakd:
        path = tmp_path_factory.mktemp("ours") / "m.vad"
        return dakd.Dakd(OURS, device="cpu").fit(train, out=path)

    def test_it_finds_the_events_and_knows_who_taught_it(
        self, ours: dakd.Dakd, test: Dataset
    ) -> None:
        assert pooled(ours, test) > 0.9
        held = ours.held_out
        assert held["teacher"] is not None and held["single"] is not None
        assert 0.5 < held["single"] <= 1 and 0.5 < held["teacher"] <= 1
        assert held["standard_error"] is not None and 0 <= held["standard_error"] < 0.3
        assert ours.facts()["held_out"] == held

    def test_each_networks_losses_are_its_own(self, train: Dataset, tmp_path: Path) -> None:
        config = dataclasses.replace(OURS, epochs=2)
        dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        logged = losses_of(tmp_path / "m.vad")
        committee = {"teacher", "member 2/teacher"}
        of_folds = {
            f"fold {n}/{names}/{one}"
            for n in (1, 2)
            for names in ("wide+narrow", "narrow")
            for one in committee
        }
        assert of_folds | {"fold 1/student", "fold 2/student", "student"} <= set(logged)
        assert committee <= set(logged)
        assert all(each["step"].tolist() == [0, 1] for each in logged.values())

    def test_a_student_learns_the_mean_of_teachers_that_began_differently(
        self, train: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vadistill.systems.dakd import training

        config = dataclasses.replace(OURS, folds=0, committee=3, epochs=2)
        labels: list[torch.Tensor] = []
        refined = training.pseudo_labels

        def watched(scores: torch.Tensor, *arguments: Any, **settings: Any) -> torch.Tensor:
            labels.append(scores)
            return refined(scores, *arguments, **settings)

        monkeypatch.setattr(training, "pseudo_labels", watched)
        work = tmp_path / "w"
        dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad", work=work)
        assert len(list(work.glob("teacher-*"))) == len(list(work.glob("targets-*"))) == 3
        alone = []
        for member in training.members(config):
            one = dataclasses.replace(member, committee=1)
            dakd.Dakd(one, device="cpu").fit(train, out=tmp_path / "one.vad", work=work)
            alone.append(labels.pop())
        assert len(list(work.glob("teacher-*"))) == 3, "each is the teacher of another seed"
        assert all((a - b).abs().max() > 0.01 for a, b in itertools.pairwise(alone))
        torch.testing.assert_close(labels[0], torch.stack(alone).mean(0))

    def test_a_teacher_that_scores_is_one(self, train: Dataset, tmp_path: Path) -> None:
        config = dataclasses.replace(OURS, scorer="teacher", epochs=1)
        dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad", work=tmp_path / "w")
        assert len(list((tmp_path / "w").glob("teacher-*"))) == 1 + OURS.folds

    def test_left_out_videos_are_judged_by_the_committees_mean(self) -> None:
        class Fixed(Network):
            def __init__(self, logits: list[float]) -> None:
                torch.nn.Module.__init__(self)
                self.said = torch.tensor(logits)

            def forward(self, features: Any) -> Scored:
                return Scored(torch.zeros(1), self.said.expand(len(features[0]), -1))

        bags = Bags({"narrow": np.zeros((1, 1, 4, 2), np.float32)}, np.array([True]), False)
        pair = [Fixed([0.0, 2.0, -1.0, 0.0]), Fixed([3.0, -2.0, 0.0, 0.0])]
        (score,) = video_scores([pair], [np.array([0])], ("narrow",), bags, CPU)
        mean = torch.stack([each.said.sigmoid() for each in pair]).mean(0)
        assert score == pytest.approx(float(mean.max().logit()), abs=1e-6)

    def test_of_teachers_that_see_nothing_nobody_learns(
        self, train: Dataset, test: Dataset, tmp_path: Path
    ) -> None:
        def blind(data: Dataset) -> Dataset:
            rng = np.random.default_rng(0)
            return changed(
                data,
                lambda arrays: {**arrays, "noise": rng.normal(size=(40, 5)).astype(np.float32)},
            )

        config = dataclasses.replace(OURS, teacher=("noise",))
        work = tmp_path / "w"
        detector = dakd.Dakd(config, device="cpu").fit(blind(train), out=tmp_path / "m", work=work)
        teacher, single = detector.held_out["teacher"], detector.held_out["single"]
        assert teacher is not None and single is not None and teacher < single
        assert pooled(detector, blind(test)) > 0.9
        assert "so not all taught it" in " ".join(detector.findings)
        taught = len(list(work.glob("student-*")))
        assert taught == 1 + OURS.folds
        always = dataclasses.replace(config, folds=0)
        follower = dakd.Dakd(always, device="cpu").fit(blind(train), out=tmp_path / "n", work=work)
        assert set(follower.held_out.values()) == {None}
        assert (
            len(list(work.glob("student-*"))) == taught + 1 and pooled(follower, blind(test)) < 0.9
        )
        one = dataclasses.replace(config, committee=1)
        alone = dakd.Dakd(one, device="cpu").fit(blind(train), out=tmp_path / "o", work=tmp_path)
        assert not list(tmp_path.glob("student-*")), "one network of the same kind teaches nothing"
        assert pooled(alone, blind(test)) > 0.9

    def test_unless_named_the_students_backbone_is_the_best_by_itself(
        self, train: Dataset, test: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def noisy(data: Dataset) -> Dataset:
            rng = np.random.default_rng(0)
            return changed(
                data,
                lambda arrays: {"noise": rng.normal(size=(40, 5)).astype(np.float32), **arrays},
            )

        config = dataclasses.replace(OURS, teacher=("noise", "narrow"), student="auto")
        detector = dakd.Dakd(config, device="cpu").fit(noisy(train), out=tmp_path / "m.vad")
        assert detector.sees == ("narrow",) and pooled(detector, test) > 0.9
        (chosen, _) = detector.findings
        found = re.fullmatch(
            r"on training videos left out: AUC (0\.\d\d) of noise, ([01]\.\d\d) of narrow alone, "
            "so the student sees narrow",
            chosen,
        )
        assert found and float(found[1]) < float(found[2]) - 0.2
        loaded: Any = vadistill.load(tmp_path / "m.vad", device="cpu")
        clip = test.videos[0]
        assert loaded.config == config and loaded.sees == ("narrow",)
        assert main(["info", str(tmp_path / "m.vad")]) == 0
        told = re.search(r"backbones\W+(.*)", capsys.readouterr().out)
        assert told and told[1].split()[0] == "narrow"
        np.testing.assert_array_equal(
            loaded.score(clip.open()).raw, detector.score(clip.open()).raw
        )

    def test_unless_named_backbones_are_all_that_there_is(
        self, train: Dataset, test: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        every = at_hand(train)
        assert set(every) == {"wide", "narrow"} == set(published(train))
        config = dakd.Config(scorer="teacher", precision="fp32", epochs=1, folds=0)
        detector = dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        loaded: Any = vadistill.load(tmp_path / "m.vad", device="cpu")
        assert loaded.sees == detector.sees == every and loaded.config == config
        clip = test.videos[0]
        np.testing.assert_array_equal(
            loaded.score(clip.open()).raw, detector.score(clip.open()).raw
        )
        film = [Video("a", np.zeros((16, 32, 32, 3), np.uint8))]

        def unusable(name: str, **settings: Any) -> Any:
            raise ConfigError(f"no feature map of {name}", expected="heads", fix="none")

        usual = ("compact", "flow")
        for here, opened, expected in (
            (False, None, usual),
            (True, lambda name, **settings: None, (*usual, "detector:yolox_nano")),
            (True, unusable, usual),
        ):
            monkeypatch.setattr(data, "has_detector", lambda *words, here=here: here)
            monkeypatch.setattr(data, "open_backbone", opened)
            assert at_hand(film) == expected

    def test_offline_says_that_it_learns_without_a_detector(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("VADISTILL_OFFLINE", "1")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        assert at_hand([Video("a", np.zeros((16, 32, 32, 3), np.uint8))]) == ("compact", "flow")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "without a detector's maps: yolox_nano is not on this machine" in caplog.text

    def test_what_is_resumed_sees_what_it_began_with(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = (
            Dataset("film", "train", (Video(name, np.zeros((16, 32, 32, 3), np.uint8)),))
            for name in "ab"
        )
        monkeypatch.setattr(data, "has_detector", lambda *words: False)
        before = at_hand_once(one, tmp_path)
        monkeypatch.setattr(data, "has_detector", lambda *words: True)
        monkeypatch.setattr(data, "open_backbone", lambda name, **settings: None)
        assert at_hand_once(one, tmp_path) == before == ("compact", "flow")
        assert at_hand_once(other, tmp_path) == (*before, "detector:yolox_nano")

    def test_auto_stands_alone_and_a_student_sees_one_backbone(
        self, train: Dataset, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError, match="auto alone, or names"):
            dakd.Config(teacher=("auto", "clip"))
        config = dakd.Config(precision="fp32", epochs=1, folds=0, committee=1)
        dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        file = tmp_path / "m.vad/config.json"
        facts = json.loads(file.read_text())
        facts["widths"]["other"] = 3
        file.write_text(json.dumps(facts))
        with pytest.raises(WeightsError):
            vadistill.load(tmp_path / "m.vad", device="cpu")

    def test_a_backbone_is_chosen_of_few_videos_too_and_the_first_without_folds(self) -> None:
        rng = np.random.default_rng(0)
        labels = np.arange(20) < 4
        told = rng.normal(size=(20, 1, 4, 2)) + 9 * labels[:, None, None, None]
        arrays = {"noise": rng.normal(size=(20, 1, 4, 2)), "told": told}
        bags = Bags({n: a.astype(np.float32) for n, a in arrays.items()}, labels, False)
        config = dataclasses.replace(OURS, teacher=("noise", "told"), student="auto", epochs=5)
        with tempfile.TemporaryDirectory() as work:
            held = hold_out(bags, config, CPU, Path(work), "key")
        assert held.student == "told" and held.too_few and not held.distils
        assert len(held.findings) == 2
        none = hold_out(bags, dataclasses.replace(config, folds=0), CPU, Path("unused"), "key")
        assert none.student == "noise" and not none.findings
        one = dataclasses.replace(config, teacher=("told",), folds=0)
        assert hold_out(bags, one, CPU, Path("unused"), "key").student == "told"

    def test_of_few_videos_nothing_is_distilled(self, train: Dataset, tmp_path: Path) -> None:
        kept = [v for n, v in enumerate(train.videos) if n < 14 or v.video_label == 0]
        few = dataclasses.replace(train, videos=tuple(kept))
        config, work = dataclasses.replace(OURS, epochs=2), tmp_path / "w"
        detector = dakd.Dakd(config, device="cpu").fit(few, out=tmp_path / "m", work=work)
        assert detector.findings == (
            "7 abnormal training videos (at least 8 would) tell nothing of teachers, "
            "so nothing was distilled",
        )
        assert not list(work.glob("student-*")) and set(detector.held_out.values()) == {None}
        assert len(list(work.glob("teacher-*"))) == 1 + OURS.folds, "calibrated on videos left out"
        always = dataclasses.replace(config, folds=0)
        dakd.Dakd(always, device="cpu").fit(few, out=tmp_path / "n", work=work)
        assert len(list(work.glob("student-*"))) == 1, "unless it is asked for"

    def test_one_video_of_a_class_is_too_few_as_well(self) -> None:
        bags = Bags({"narrow": np.zeros((20, 1, 4, 2), np.float32)}, np.arange(20) < 1, False)
        held = hold_out(bags, OURS, CPU, Path("unused"), "key")
        assert not held.distils and held.too_few.startswith("1 abnormal training video")
        for other in ({"folds": 0}, {"scorer": "teacher"}):
            config = dataclasses.replace(OURS, **other)
            held = hold_out(bags, config, CPU, Path("unused"), "key")
            assert held.distils and not held.findings

    def test_folds_of_another_seed_are_not_resumed(self, train: Dataset, tmp_path: Path) -> None:
        from vadistill.systems.dakd import training

        first = dataclasses.replace(OURS, epochs=1)
        other = dataclasses.replace(first, seed=first.seed + training.APART, scorer="teacher")
        seen: list[set[str]] = []
        for config in (first, other):
            dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m", work=tmp_path / "w")
            seen.append({path.name for path in (tmp_path / "w").glob("teacher-*")})
        new = seen[1] - seen[0]
        assert len(new) >= OURS.folds, "a committee's member of that seed saw other folds"

    def test_a_teacher_must_be_better_by_more_than_chance(self) -> None:
        labels = np.arange(40) < 15
        rng = np.random.default_rng(1)
        scores = rng.normal(size=(2, 40)) + labels * [[1.2], [1.0]]
        wins = [video_wins(each, labels) for each in scores]
        assert [each.mean() for each in wins] == pytest.approx(
            [roc_auc_score(labels, each) for each in scores]
        )
        error = standard_error(wins[0] - wins[1])
        drawn = []
        for _ in range(2000):
            rows = np.concatenate([rng.choice(15, 15), 15 + rng.choice(25, 25)])
            first, second = (roc_auc_score(labels[rows], each[rows]) for each in scores)
            drawn.append(first - second)
        assert error == pytest.approx(np.std(drawn), rel=0.1), "as bootstrapping the videos has it"
        assert standard_error(np.zeros((3, 4))) == 0

    @pytest.mark.parametrize(
        ("teacher", "single", "error", "distils"),
        [
            *[(0.8, 0.7, 0.09, True), (0.8, 0.7, 0.11, False), (0.7, 0.8, 0.01, False)],
            *[(0.8, 0.8, 0.0, False), (None, None, None, True)],
        ],
    )
    def test_when_it_distils(
        self, teacher: float | None, single: float | None, error: float | None, distils: bool
    ) -> None:
        held = HeldOut([], teacher, single, error)
        assert held.distils == distils
        assert held.facts() == {"teacher": teacher, "single": single, "standard_error": error}
        said = "so all taught it" if distils else "so not all taught it"
        assert all(line.endswith(said) for line in held.findings)
        assert len(held.findings) == (single is not None)
        one = dataclasses.replace(held, committee=1).findings
        assert all(
            line.endswith("all taught it" if distils else "nothing was distilled") for line in one
        )

    def test_of_one_backbone_there_is_nothing_to_compare(self) -> None:
        rng = np.random.default_rng(0)
        labels = np.arange(20) < 10
        bags = Bags({"narrow": rng.normal(size=(20, 1, 4, 2)).astype(np.float32)}, labels, False)
        for committee, said in ((2, "networks like it taught it"), (1, "nothing was distilled")):
            config = dataclasses.replace(
                OURS, teacher=("narrow",), student="auto", committee=committee, epochs=1
            )
            with tempfile.TemporaryDirectory() as work:
                (line,) = hold_out(bags, config, CPU, Path(work), "key").findings
            alone = r"on training videos left out: AUC 0\.\d\d of the student's backbone alone"
            assert re.fullmatch(f"{alone}, so {said}", line)

    def test_sure_networks_are_told_apart_too(self) -> None:
        logits = torch.tensor([[50.0, 60.0, -50.0, -60.0, 1.0], [50.0, 60.0, -50.0, -60.0, -2.0]])
        mean = logit_of_mean(logits.double())
        torch.testing.assert_close(mean[:4], logits[0, :4].double())
        assert float(mean[4]) == pytest.approx(
            float(logits[:, 4].sigmoid().mean().logit()), abs=1e-6
        )

    def test_features_are_taught_by_the_first_of_a_committee(
        self, train: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vadistill.systems.dakd import training

        taught: list[np.ndarray] = []
        plain = training.feature_loss

        def watched(theirs: Any, *rest: Any) -> Any:
            taught.append(theirs.detach().numpy().copy())
            return plain(theirs, *rest)

        monkeypatch.setattr(training, "feature_loss", watched)
        found = []
        for committee in (1, 2):
            config = dataclasses.replace(OURS, folds=0, alpha=1.0, committee=committee, epochs=1)
            dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m", work=tmp_path / "w")
            found.append(taught[0])
            taught.clear()
        np.testing.assert_array_equal(*found)

    def test_units_of_a_feature_do_not_count(
        self, train: Dataset, test: Dataset, ours: dakd.Dakd, tmp_path: Path
    ) -> None:
        def scaled(data: Dataset) -> Dataset:
            return changed(data, lambda arrays: {n: 500 * x + 3000 for n, x in arrays.items()})

        other = dakd.Dakd(OURS, device="cpu").fit(scaled(train), out=tmp_path / "m.vad")
        for clip, same in zip(test, scaled(test), strict=True):
            np.testing.assert_allclose(
                ours.score(clip.open()).raw, other.score(same.open()).raw, atol=2e-2
            )

    def test_calibration_is_of_videos_left_out(self, ours: dakd.Dakd, train: Dataset) -> None:
        seen = [ours.score(c.open()).raw for c in train if not c.video_label]
        quantiles = ours.require_fitted().quantiles
        assert quantiles[-1] != pytest.approx(np.concatenate(seen).max(), rel=1e-3)

    def test_folds_have_both_classes_evenly(self) -> None:
        labels = np.arange(20) < 7
        fold = folds_of(labels, 3, seed=0)
        assert sorted(np.bincount(fold[labels])) == [2, 2, 3]
        assert sorted(np.bincount(fold[~labels])) == [4, 4, 5]
        assert (fold != folds_of(labels, 3, seed=1)).any()
        assert folds_of(np.arange(9) < 2, 5, seed=0).max() == 1, "as many as the rarer class has"
        assert not folds_of(np.arange(9) < 1, 5, seed=0).any()

    def test_models_of_before_are_read_as_they_were(
        self, fitted: Any, test: Dataset, tmp_path: Path
    ) -> None:
        detector, work = fitted
        shutil.copytree(work / "m.vad", tmp_path / "m.vad")
        file = tmp_path / "m.vad/config.json"
        facts = json.loads(file.read_text())
        for name in ("width", "standardise", "label_loss", "guarded", "folds", "committee"):
            del facts["config"][name]
        del facts["held_out"]
        file.write_text(json.dumps(facts))
        old = vadistill.load(tmp_path / "m.vad", device="cpu")
        assert old.config == detector.config
        clip = test.videos[0]
        np.testing.assert_array_equal(old.score(clip.open()).raw, detector.score(clip.open()).raw)

    @pytest.mark.parametrize("loss", ["ranking", "magnitude"])
    def test_other_losses_of_video_labels_find_them_too(
        self, loss: Any, train: Dataset, test: Dataset, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(
            OURS, label_loss=loss, scorer="teacher", teacher=("narrow",), folds=0
        )
        assert pooled(dakd.Dakd(config, device="cpu").fit(train, out=tmp_path), test) > 0.85


class TestErrors:
    """One line each."""

    def test_a_baseline_has_no_student(self) -> None:
        with pytest.raises(ConfigError, match="scorer teacher"):
            dakd.Dakd(dataclasses.replace(SMALL, temporal="baseline"))

    @pytest.mark.parametrize(
        ("setting", "value", "message"),
        [
            ("temporal", "foo", "temporal module 'foo'"),
            ("scoring", "segment", "one of dense, segments, live"),
            ("terms", ("content",), "term 'content'"),
            ("reach", 0, "reach 0"),
            ("tau", 0.0, "tau 0.0: expected 0.001 or more"),
            ("tau", float("nan"), "tau nan"),
            ("batch", 1, "batch 1: expected 2 or more"),
            ("segments", 0, "segments 0"),
            ("epochs", 0, "epochs 0"),
            ("half_width", -1, "half_width -1"),
            ("teacher", (), "no backbone"),
            ("precision", "fp16", "one of auto, fp32, bf16"),
            ("delta_normal", 0.95, "delta_normal 0.95: expected delta, 0.9, or less"),
            ("least_range", -0.1, "least_range -0.1"),
            ("folds", 1, "1 fold: expected 2 or more, or 0"),
            ("width", 100, "width 100: expected a multiple of 16"),
            ("label_loss", "mil", "one of topk, ranking, magnitude"),
        ],
    )
    def test_settings_that_cannot_be(self, setting: str, value: Any, message: str) -> None:
        config = dataclasses.replace(SMALL)
        object.__setattr__(config, setting, value)
        with pytest.raises(ConfigError, match=message):
            config.__post_init__()

    def test_what_is_resumed_depends_on_the_precision(self, train: Dataset, tmp_path: Path) -> None:
        mine = pick_precision(CPU, "auto")
        found = []
        for precision in ("auto", mine, "fp32" if mine == "bf16" else "bf16"):
            config = dataclasses.replace(SMALL, epochs=1, precision=precision)
            out = tmp_path / f"{precision}.vad"
            dakd.Dakd(config, device="cpu").fit(train, out=out, work=tmp_path / "w")
            found.append({path.name for path in (tmp_path / "w").glob("teacher-*")})
        assert found[0] == found[1] and len(found[0]) == 1 and len(found[2]) == 2

    def test_a_loss_that_is_no_number(self, train: Dataset, tmp_path: Path) -> None:
        config = dataclasses.replace(SMALL, learning_rate=1e30, temporal_learning_rate=1e30)
        with pytest.raises(DataError, match="loss is nan in epoch"):
            dakd.Dakd(config, device="cpu").fit(train, out=tmp_path)

    def test_other_weights_than_in_training(self, train: Dataset, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
        clips = tuple(Video(f"v{i}", pixels, video_label=i % 2) for i in range(2))
        videos = dataclasses.replace(train, videos=clips)
        config = dakd.Config(epochs=1, teacher=("compact",))
        work = tmp_path / "w"
        dakd.Dakd(config, device="cpu").fit(videos, out=tmp_path / "m.vad", work=work)
        # Also where nothing was extracted in this fit.
        detector = dakd.Dakd(config, device="cpu").fit(videos, out=tmp_path / "m.vad", work=work)
        assert set(detector.fingerprints) == {"compact"}
        detector.fingerprints["compact"] = "0" * 16
        with pytest.raises(WeightsError, match="expected 0000000000000000, 384 wide"):
            detector.score(clips[0].open())

    def test_an_absent_backbone(self, train: Dataset, tmp_path: Path) -> None:
        config = dataclasses.replace(SMALL, teacher=("wide", "clip"))
        with pytest.raises(DataError, match="no features of 'clip': expected one of narrow, wide"):
            dakd.Dakd(config, device="cpu").fit(train, out=tmp_path)

    def test_features_of_another_width(self, fitted: Any, train: Dataset, tmp_path: Path) -> None:
        other = FeatureSource("other", {"narrow": Rows(np.ones((40, 7), np.float32))}, snippets=40)
        with pytest.raises(DataError, match="'narrow' for other are 7 wide: expected 6"):
            fitted[0].score(other)
        mixed = (*train.videos, Video("other", other, video_label=0))
        config = dataclasses.replace(SMALL, teacher=("narrow",))
        with pytest.raises(DataError, match="7 wide: expected 6, as of the videos before"):
            dakd.Dakd(config, device="cpu").fit(
                dataclasses.replace(train, videos=mixed), out=tmp_path
            )

    def test_features_that_are_not_numbers(self, fitted: Any) -> None:
        rows = np.ones((40, 6), np.float32)
        rows[7, 2] = np.nan
        with pytest.raises(DataError, match=r"not finite in 1 of 40 snippets \(first: 7\)"):
            fitted[0].score(FeatureSource("bad", {"narrow": Rows(rows)}, snippets=40))

    def test_one_class_only(self, train: Dataset, tmp_path: Path) -> None:
        normal = tuple(clip for clip in train if not clip.video_label)
        with pytest.raises(DataError, match="normal and abnormal"):
            dakd.Dakd(SMALL).fit(dataclasses.replace(train, videos=normal), out=tmp_path)

    def test_a_video_shorter_than_a_clip(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
        clips = [Video(f"v{i}", pixels, video_label=i % 2) for i in range(4)]
        train = Dataset("made_up", "train", tuple(clips), "weak")
        config = dakd.Config(epochs=1)
        detector = dakd.Dakd(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        with pytest.raises(VideoError, match="short has 9 frames: expected at least 16"):
            detector.score(Video("short", pixels[:9]).open())
        short = (*clips, Video("short", pixels[:9], video_label=0))
        with pytest.raises(VideoError, match="short has 9 frames: expected at least 16"):
            dakd.Dakd(config, device="cpu").fit(
                dataclasses.replace(train, videos=short), out=tmp_path / "n.vad"
            )


def test_a_source_has_at_least_one_clip() -> None:
    with pytest.raises(DataError, match="at least one"):
        FeatureSource("none", {"narrow": Rows(np.ones((0, 6), np.float32))}, snippets=0)


def test_bags_hold_no_more_than_asked(train: Dataset) -> None:
    bags = Bags({"a": np.zeros((4, 1, 32, 3), np.float32)}, np.array([0, 1, 0, 1], bool), False)
    assert len(bags) == 4 and bags.widths(["a"]) == [3]
    assert bags.batch(["a"], np.array([2, 0]), CPU)[0].shape == (2, 32, 3)


GOLDEN_HINGE = [0.9951, 0.8977, 0.6369, 0.2961, 0.1212, 0.0664, 0.0415, 0.0275, 0.0207, 0.0165]
GOLDEN_BCE = [0.6743, 0.4718, 0.3967, 0.3580, 0.3184, 0.2982, 0.2690, 0.2593, 0.2577, 0.2563]


def in_crops(data: Dataset, crops: int = 3) -> Dataset:
    """The same videos, of which ``narrow`` has several crops; all but one see noise."""
    clips = []
    for number, clip in enumerate(data):
        old = clip.open()
        assert isinstance(old, FeatureSource)
        rng = np.random.default_rng((7, number))
        narrow = old.features("narrow")
        noise = rng.normal(size=(len(narrow), crops - 1, narrow.shape[1])).astype(np.float32)
        arrays = {
            "wide": Rows(old.features("wide")),
            "narrow": Rows(np.concatenate([noise[:, :1], narrow[:, None], noise[:, 1:]], 1)),
        }
        made = FeatureSource(old.info.name, arrays, snippets=40, frames=old.info.frames)
        clips.append(dataclasses.replace(clip, source=made))
    return dataclasses.replace(data, videos=tuple(clips))


class TestCrops:
    """Crops are samples in training; their scores are averaged."""

    def test_samples_are_views_of_videos(self, train: Dataset, tmp_path: Path) -> None:
        videos = in_crops(train)

        def read(clip: Video) -> dict[str, np.ndarray]:
            video = clip.open()
            assert isinstance(video, FeatureSource)
            return {name: video.crops(name) for name in ("wide", "narrow")}

        bags = gather_bags(videos, ["wide", "narrow"], read, tmp_path, segments=32, normalise=False)
        assert (len(bags), bags.views) == (16, 3)
        wide, narrow = bags.batch(["wide", "narrow"], np.array([5, 3 * 4 + 1]), CPU)
        one, other = (read(videos.videos[number]) for number in (1, 4))
        assert np.array_equal(wide[0], segment_means(one["wide"][:, 0]))  # it has one view
        assert np.array_equal(narrow[0], segment_means(one["narrow"][:, 2]))
        assert np.array_equal(narrow[1], segment_means(other["narrow"][:, 1]))
        epoch = bags.batches(8, seed=0, epoch=1)
        samples = np.concatenate([each for halves in epoch for each in halves])
        assert sorted(samples // 3) == list(range(16)) and {*(samples % 3)} == {0, 1, 2}
        again = bags.batches(8, seed=0, epoch=1)
        other = bags.batches(8, seed=0, epoch=2)
        told = [np.concatenate([e for halves in x for e in halves]) for x in (again, other)]
        assert np.array_equal(told[0], samples) and not np.array_equal(told[1], samples)

    def test_a_score_is_the_mean_of_those_of_crops(
        self, train: Dataset, test: Dataset, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(OURS, epochs=3)
        detector = dakd.Dakd(config, device="cpu").fit(
            in_crops(train), out=tmp_path / "m.vad", work=tmp_path / "w"
        )
        video = in_crops(test).videos[1].open()
        assert isinstance(video, FeatureSource)
        narrow = video.crops("narrow")
        each = [
            detector.score(
                FeatureSource("one", {"narrow": Rows(narrow[:, crop])}, snippets=40, frames=645)
            ).raw
            for crop in range(3)
        ]
        assert detector.score(video).raw == pytest.approx(np.mean(each, 0), abs=1e-6)
        assert np.abs(each[0] - each[1]).max() > 1e-3
