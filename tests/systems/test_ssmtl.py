"""T2: losses by hand values, the tasks' clips, shapes, and a fit that finds planted anomalies."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import vadistill
from support.killing import kill_at
from vadistill.batches import seeded_generator
from vadistill.datasets import Dataset, Video
from vadistill.distill import TargetCache
from vadistill.errors import ConfigError, NotFittedError
from vadistill.files import read_safetensors
from vadistill.loss_log import losses_of
from vadistill.objects.patches import cut_frames
from vadistill.scores import Scores
from vadistill.systems import object_centric, ssmtl
from vadistill.systems.ssmtl import losses
from vadistill.systems.ssmtl.model import ARCHITECTURES, MultiTaskNetwork, TaskScorer, to_unit
from vadistill.systems.ssmtl.tasks import (
    GAPS,
    IRREGULAR,
    REGULAR,
    STORED,
    Veils,
    compose,
    irregular_offsets,
    open_embedder,
)
from vadistill.systems.ssmtl.training import (
    standardise_targets,
    task_losses,
    untrained,
)

SMALL = ssmtl.Config(epochs=3, batch=8, frames=16, batch_frames=8, precision="fp32")
FRAMES, HEIGHT, WIDTH = 36, 96, 144
CPU = torch.device("cpu")


class TestLosses:
    SURE = torch.tensor([[math.log(3.0), 0.0]])  # 3/4 for class 0

    def test_arrow_and_irregularity_are_cross_entropies_of_two_classes(self) -> None:
        for loss in (losses.arrow_loss, losses.irregularity_loss):
            # -log 3/4 for the clip as it is, -log 1/4 for the altered one that is called the same
            assert loss(self.SURE, self.SURE).item() == pytest.approx(
                -(math.log(0.75) + math.log(0.25)) / 2
            )
            assert loss(self.SURE, -self.SURE).item() == pytest.approx(-math.log(0.75))

    def test_middle_is_the_mean_absolute_error_of_pixels(self) -> None:
        predicted = torch.zeros(2, 3, 2, 2)
        middle = torch.stack([torch.full((3, 2, 2), 0.5), torch.full((3, 2, 2), 0.25)])
        assert losses.middle_loss(predicted, middle).item() == pytest.approx(0.375)
        assert losses.absolute_error(predicted, middle).tolist() == [0.5, 0.25]

    def test_distillation_is_the_mean_absolute_error_of_outputs(self) -> None:
        predicted, target = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, 2.0]])
        assert losses.distillation_loss(predicted, target).item() == pytest.approx(2)

    def test_total_weighs_the_tasks_that_there_are(self) -> None:
        terms = {t: torch.tensor(float(i + 1)) for i, t in enumerate(losses.TASKS)}
        weights = ssmtl.Config().task_weights
        assert losses.total_loss(terms, weights).item() == 1 + 2 + 3 + 0.5 * 4
        only = {"middle": torch.tensor(3.0)}
        assert losses.total_loss(only, {"middle": 2.0}).item() == 6

    def test_scores(self) -> None:
        assert losses.altered_probability(self.SURE).item() == pytest.approx(0.25)
        parts = np.array([[0.5, 0.1, 0.2, 3.0]])
        units = np.array([1.0, 1.0, 0.4, 2.0])
        assert losses.object_score(parts, units)[0] == pytest.approx((0.5 + 0.1 + 0.5 + 1.5) / 4)
        assert losses.error_unit(np.linspace(0, 2, 101)) == pytest.approx(1.98)
        scaled = object_centric.scaled_score(np.array([0.1, 0.2, 0.5, 2.9]), 0.2, 0.3)
        assert scaled == pytest.approx([0, 0, 0.5, 0.9])


class TestTasks:
    """Patches whose pixels are the offset of their frame, so that clips can be read."""

    OFFSETS = np.array(STORED)
    PATCHES = np.broadcast_to(
        (OFFSETS + 100).astype(np.uint8)[None, :, None, None, None], (50, len(STORED), 4, 4, 3)
    )

    def read(self, clips: np.ndarray) -> list[list[int]]:
        assert (clips == clips[:, :, :1, :1, :1]).all()
        return (clips[:, :, 0, 0, 0].astype(int) - 100).tolist()

    def test_clips_are_what_their_labels_say(self) -> None:
        clips = compose(self.PATCHES, seeded_generator(0))
        regular = [-3, -2, -1, 0, 1, 2, 3]
        assert self.read(clips.forward) == [regular] * 50
        assert self.read(clips.backward) == [regular[::-1]] * 50
        assert self.read(clips.around) == [[-3, -2, -1, 1, 2, 3]] * 50
        assert self.read(clips.middle) == [[0]] * 50
        irregular = self.read(clips.irregular)
        assert regular not in irregular
        assert all(clip[3] == 0 and set(np.diff(clip)) <= set(GAPS) for clip in irregular)
        assert len({tuple(clip) for clip in irregular}) > 40

    def test_irregular_clips_are_drawn_evenly_over_gaps_from_what_is_stored(self) -> None:
        assert set(IRREGULAR.ravel()) == set(STORED) and set(REGULAR) <= set(STORED)
        assert len(IRREGULAR) == 32 * 32 - 1 == len(np.unique(IRREGULAR, axis=0))
        gaps = np.diff(irregular_offsets(5000, seeded_generator(1)), axis=1)
        shares = np.bincount(gaps.ravel(), minlength=5) / gaps.size
        assert shares[0] == 0 and shares[1:] == pytest.approx([0.25] * 4, abs=0.04)

    def test_the_seed_alone_decides(self) -> None:
        one, same, other = (
            compose(self.PATCHES, seeded_generator(seed, 1, 7)).irregular for seed in (0, 0, 1)
        )
        assert (one == same).all() and (one != other).any()

    def test_disk_of_a_quick_fit_on_ped2(self) -> None:
        assert 9000 * len(STORED) * 64 * 64 * 3 < 2.5e9

    def test_embedder_is_frozen_and_sees_the_whole_picture(self) -> None:
        embedder, facts = open_embedder("compact")
        patches = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
        out = embedder(patches)
        assert out.shape == (3, 128) and not out.requires_grad and facts["sha"]
        shrunk = patches.float().unflatten(1, (32, 2)).unflatten(3, (32, 2)).mean((2, 4))
        (top,) = embedder.network.network(shrunk.permute(0, 3, 1, 2) / 255, last=1)
        torch.testing.assert_close(out, top.mean((2, 3)))


class TestNetwork:
    @pytest.mark.parametrize("name", list(ARCHITECTURES))
    def test_shapes_of_all_variants_for_any_number_of_frames(self, name: str) -> None:
        network = MultiTaskNetwork(ARCHITECTURES[name], 128)
        width = 64 if name.endswith("wide") else 32
        for frames in (1, 6, 7):
            clips = torch.randint(0, 256, (2, frames, 64, 64, 3), dtype=torch.uint8)
            features = network(clips)
            assert features.shape == (2, width, 8, 8)
        assert network.arrow(features).shape == network.irregularity(features).shape == (2, 2)
        assert network.middle(features).shape == (2, 3, 64, 64)
        assert network.distillation(features).shape == (2, 128)
        convolutions = [m for m in network.shared.modules() if isinstance(m, torch.nn.Conv3d)]
        assert len(convolutions) == (6 if name.startswith("deep") else 3)
        assert all(c.kernel_size == (3, 3, 3) for c in convolutions)

    def test_a_single_frame_is_a_still_clip(self) -> None:
        network = MultiTaskNetwork(ARCHITECTURES["shallow-narrow"], 8).eval()
        frame = torch.randint(0, 256, (2, 1, 64, 64, 3), dtype=torch.uint8)
        torch.testing.assert_close(network(frame), network(frame.expand(2, 7, 64, 64, 3)))

    def test_the_order_of_frames_changes_the_features(self) -> None:
        network = MultiTaskNetwork(ARCHITECTURES["shallow-narrow"], 8).eval()
        clip = torch.randint(0, 256, (2, 7, 64, 64, 3), dtype=torch.uint8)
        assert (network(clip) - network(clip.flip(1))).abs().max() > 1e-3

    def test_scorer_gives_each_task_what_it_is_about(self) -> None:
        network = MultiTaskNetwork(ARCHITECTURES["strided-narrow"], 128).eval()
        embedder, _ = open_embedder("compact")
        clips = torch.randint(0, 256, (2, 7, 64, 64, 3), dtype=torch.uint8)
        parts = TaskScorer(network, embedder, losses.TASKS).place(CPU)(clips)
        assert parts.shape == (2, 4)
        around = clips[:, [0, 1, 2, 4, 5, 6]]
        middle = to_unit(clips)[:, :, 3]
        error = (network.middle(network(around)) - middle).abs().mean((1, 2, 3))
        torch.testing.assert_close(parts[:, 2], error)
        probability = network.arrow(network(clips)).softmax(1)[:, 1]
        torch.testing.assert_close(parts[:, 0], probability)
        imitated = network.distillation(network(clips[:, 3:4]))
        error = (imitated - embedder(clips[:, 3])).abs().mean(1)
        torch.testing.assert_close(parts[:, 3], error)
        two = TaskScorer(network, None, ("irregularity", "middle")).place(CPU)(clips)
        torch.testing.assert_close(two, parts[:, 1:3])


class TestVeils:
    def test_every_frame_has_its_own_noise_and_brightness(self) -> None:
        veils = Veils.of(0.1, 3, CPU)
        drawn = veils(40, 7, 16, seeded_generator(0))
        assert drawn.shape == (40, 3, 7, 16, 16)
        torch.testing.assert_close(drawn, veils(40, 7, 16, seeded_generator(0)))
        brightness = drawn.mean((1, 3, 4))
        assert brightness.std().item() == pytest.approx(0.1, rel=0.2)
        noise = drawn - brightness[:, None, :, None, None]
        assert noise.std().item() == pytest.approx(0.1, rel=0.05)
        frames = noise.transpose(1, 2).reshape(280, -1)
        assert (torch.corrcoef(frames) - torch.eye(280)).abs().max() < 0.3

    def test_scores_are_of_the_veiled_clip_and_the_same_each_time(self) -> None:
        network = untrained(SMALL, 128).eval()
        assert network.veil is not None and network.veil.shape == (3, 7, 64, 64)
        embedder, _ = open_embedder("compact")
        clips = torch.randint(0, 256, (2, 7, 64, 64, 3), dtype=torch.uint8)
        scorer = TaskScorer(network, embedder, losses.TASKS).place(CPU)
        parts = scorer(clips)
        torch.testing.assert_close(parts, scorer(clips))
        seen = to_unit(clips) + network.veil
        arrow = network.arrow(network.shared(seen)).softmax(1)[:, 1]
        torch.testing.assert_close(parts[:, 0], arrow)
        around = network.shared(seen[:, :, [0, 1, 2, 4, 5, 6]])
        error = (network.middle(around) - to_unit(clips)[:, :, 3]).abs().mean((1, 2, 3))
        torch.testing.assert_close(parts[:, 2], error)
        alone = network.distillation(network.shared(seen[:, :, [3]]))
        error = (alone - embedder(clips[:, 3])).abs().mean(1)
        torch.testing.assert_close(parts[:, 3], error)
        assert not torch.allclose(parts[:, 0], network.arrow(network(clips)).softmax(1)[:, 1])


def test_a_model_without_noise_is_read_as_it_was(train: Dataset, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, noise=0.0, frames=6, epochs=1)
    detector = ssmtl.Ssmtl(config, device="cpu").fit(train, out=tmp_path / "m.vad")
    file = tmp_path / "m.vad" / "config.json"
    facts = json.loads(file.read_text())
    del facts["config"]["noise"]
    file.write_text(json.dumps(facts))
    assert "network/veil" not in read_safetensors(tmp_path / "m.vad" / "weights.safetensors")[0]
    loaded = vadistill.load(tmp_path / "m.vad", device="cpu")
    assert loaded.config == config
    clip = Video("p", planted_video(10, anomaly=True)[0], fps=10)
    np.testing.assert_array_equal(loaded.score(clip.open()).raw, detector.score(clip.open()).raw)


def test_targets_are_standardised_over_training_objects(tmp_path: Path) -> None:
    values = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    targets = TargetCache(tmp_path, key="k", count=2).fill(lambda rows: [values[rows]])
    network = MultiTaskNetwork(ARCHITECTURES["strided-narrow"], 2)
    standardise_targets(network, targets)
    expected = torch.tensor([[-(0.5**0.5), 0.0], [0.5**0.5, 0.0]])
    torch.testing.assert_close(network.standardised(values), expected)


GOLDEN = [2.3489, 2.4784, 2.5948, 2.5481, 2.4274, 2.5949, 2.3476, 2.2029, 2.3234, 2.3352]
"""Totals of the first ten steps of ``ten_steps`` (CPU, fp32)."""


def ten_steps() -> tuple[list[float], dict[str, torch.Tensor], MultiTaskNetwork]:
    config = dataclasses.replace(SMALL, learning_rate=1e-4)  # larger steps magnify rounding
    network = untrained(config, 8).train()
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    totals, terms = [], {}
    generator = seeded_generator(5)
    shape = (4, len(STORED), 64, 64, 3)
    for step in range(10):
        patches = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).numpy()
        clips = compose(patches, seeded_generator(0, 1, step))
        imitated = torch.randn(4, 8, generator=generator)
        terms = task_losses(network, clips, imitated, config.task_weights, CPU)
        optimizer.zero_grad(set_to_none=True)
        terms["total"].backward()
        optimizer.step()
        totals.append(terms["total"].item())
    return totals, terms, network


def test_golden_losses_of_ten_steps() -> None:
    totals, terms, network = ten_steps()
    assert set(terms) == {"total", *losses.TASKS}
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())
    assert totals == pytest.approx(GOLDEN, rel=2e-3)


def test_batch_norm_tells_no_class_and_knows_the_clips_that_are_scored() -> None:
    """Each layer sees one batch in a step: both classes of a task, and no other kind of clip."""
    network = untrained(SMALL, 8).train()
    patches = torch.randint(0, 256, (4, len(STORED), 64, 64, 3), dtype=torch.uint8).numpy()
    clips, imitated = compose(patches, seeded_generator(0)), torch.zeros(4, 8)
    task_losses(network, clips, imitated, SMALL.task_weights, CPU)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    seen = {int(norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked is not None}
    assert seen == {1} and len(norms) == 3 + 3 + 3
    assert network.shared.training, "it goes on learning"
    (first, *_), forward = network.shared.layers, to_unit(torch.from_numpy(clips.forward))
    joined = [forward, forward.flip(2), to_unit(torch.from_numpy(clips.irregular))]
    padded = torch.nn.functional.pad(torch.cat(joined), (0, 0, 0, 0, 1, 1), mode="replicate")
    mean = first.conv(padded).mean((0, 2, 3, 4))  # pyright: ignore
    torch.testing.assert_close(first.bn.running_mean, 0.1 * mean, atol=1e-5, rtol=1e-3)  # pyright: ignore


def planted_video(seed: int, *, anomaly: bool) -> tuple[np.ndarray, np.ndarray]:
    """Squares drift to the right; in the middle third a striped one may rush to the left."""
    rng = np.random.default_rng(seed)
    video = np.full((FRAMES, HEIGHT, WIDTH, 3), 100, np.uint8)
    labels = np.zeros(FRAMES, np.uint8)
    starts = rng.uniform(0, WIDTH, 3)
    for t in range(FRAMES):
        for start, top in zip(starts, (8, 40, 72), strict=True):
            left = int(start + 1.5 * t) % (WIDTH - 16)
            video[t, top : top + 16, left : left + 16] = 190
            video[t, top : top + 16, left + 10 : left + 16] = 230  # a head, to tell the direction
        if anomaly and FRAMES // 3 <= t < 2 * FRAMES // 3:
            labels[t] = 1
            left = WIDTH - 30 - 6 * (t - FRAMES // 3)
            video[t, 38:62, left : left + 24 : 2] = (250, 30, 30)
            video[t, 38:62, left + 1 : left + 24 : 2] = 10
    return video + rng.integers(0, 5, video.shape, dtype=np.uint8), labels


@pytest.fixture(scope="module")
def train() -> Dataset:
    clips = [Video(f"normal{i}", planted_video(i, anomaly=False)[0], fps=10) for i in range(2)]
    return Dataset("planted", "train", tuple(clips))


@pytest.fixture(scope="module")
def test_clip() -> Video:
    video, labels = planted_video(10, anomaly=True)
    return Video("planted", video, frame_labels=labels, fps=10)


@pytest.fixture(scope="module")
def fitted(train: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[ssmtl.Ssmtl, Path]:
    path = tmp_path_factory.mktemp("ssmtl") / "model.vad"
    return ssmtl.Ssmtl(SMALL, device="cpu").fit(train, out=path), path


@pytest.fixture(scope="module")
def scores(fitted: tuple[ssmtl.Ssmtl, Path], test_clip: Video) -> Scores:
    return fitted[0].score(test_clip.open())


def test_planted_anomalies_are_found_and_painted(scores: Scores, test_clip: Video) -> None:
    assert test_clip.frame_labels is not None
    assert len(scores) == FRAMES
    assert roc_auc_score(test_clip.frame_labels, scores.raw) > 0.8
    for frame in scores:
        assert frame.map is not None and frame.map.shape == (HEIGHT // 4, WIDTH // 4)
        assert 0 <= frame.score < 1 and frame.score == frame.map.max()
        if len(frame.boxes):
            assert frame.score == frame.box_scores.max()
    frame = scores.frames[FRAMES // 2]
    assert frame.map is not None
    row, column = np.unravel_index(frame.map.argmax(), frame.map.shape)
    left = WIDTH - 30 - 6 * (FRAMES // 2 - FRAMES // 3)
    assert 32 <= 4 * row < 66 and left - 12 <= 4 * column < left + 36


def test_irregularity_goes_with_speed(fitted: tuple[ssmtl.Ssmtl, Path], test_clip: Video) -> None:
    detector, source = fitted[0], test_clip.open()
    cut = dataclasses.replace(detector.cut, flows=((0, -3), (0, 3)))
    detector.localiser.start(source.info)
    parts, speeds = [], []
    for (found,) in cut_frames(source, detector.localiser, [(cut, lambda index: True)], fps=10):
        if found is not None and len(found.boxes):
            parts += detector.runtime(*detector.inputs(found.patches, found.flow))
            speeds.append(
                np.hypot(*found.flow.astype(float).transpose(2, 0, 1, 3, 4)).mean((1, 2, 3))
            )
    column = detector.tasks.index("irregularity")
    found = np.corrcoef(np.concatenate(parts)[:, column], np.concatenate(speeds))[0, 1]
    assert found > 0.3


def test_training_objects_score_up_to_a_half(
    fitted: tuple[ssmtl.Ssmtl, Path], train: Dataset
) -> None:
    scored = fitted[0].score(train.videos[0].open())
    boxes = np.concatenate([frame.box_scores for frame in scored])
    assert (boxes < 0.5).mean() > 0.9
    assert 0.2 < scored.calibrated.mean() < 0.8


def test_save_and_load_are_identical(
    fitted: tuple[ssmtl.Ssmtl, Path], scores: Scores, test_clip: Video
) -> None:
    detector, path = fitted
    loaded = vadistill.load(path, device="cpu")
    np.testing.assert_array_equal(loaded.score(test_clip.open()).raw, scores.raw)
    assert loaded.config == detector.config and loaded.latency == detector.latency == 3 + 7
    tensors, _ = read_safetensors(path / "weights.safetensors")
    assert not [k for k in tensors if k.startswith("embedder/")], "the shipped one is referred to"


def test_kill_in_the_middle_of_training_and_resume_is_no_kill(
    train: Dataset,
    test_clip: Video,
    scores: Scores,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "m.vad"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        kill_at(patch, "proxy-tasks", 10)
        ssmtl.Ssmtl(SMALL, device="cpu").fit(train, out=path)
    resumed = ssmtl.Ssmtl(SMALL, device="cpu").fit(train, out=path)
    assert set(losses.TASKS) | {"total", "step"} <= set(losses_of(path)["proxy-tasks"])
    assert not (path / ".fit").exists()
    np.testing.assert_array_equal(resumed.score(test_clip.open()).raw, scores.raw)


def test_two_tasks_with_another_image_network_and_filtered_maps(
    train: Dataset, test_clip: Video, tmp_path: Path
) -> None:
    from vadistill.backbones.teachers import ARCHITECTURES as IMAGE_NETWORKS
    from vadistill.backbones.teachers import ResNet, Teacher

    file = tmp_path / "network.safetensors"
    Teacher(ResNet(IMAGE_NETWORKS["narrow9"]).eval(), "narrow9", "none", math.nan).save(file)
    config = dataclasses.replace(
        SMALL,
        image_network=str(file),
        lambda_arrow=0.0,
        lambda_middle=0.0,
        frames=10,
        epochs=1,
        filter_frames=3,
    )
    detector = ssmtl.Ssmtl(config, device="cpu").fit(train, out=tmp_path / "m.vad")
    assert detector.tasks == ("irregularity", "distillation")
    assert detector.units.shape == (2,) and detector.units[0] == 1 and detector.lookahead == 4
    file.unlink()
    loaded = vadistill.load(tmp_path / "m.vad", device="cpu")
    raw = loaded.score(test_clip.open()).raw
    np.testing.assert_array_equal(raw, detector.score(test_clip.open()).raw)
    facts = json.loads((tmp_path / "m.vad" / "config.json").read_text())
    assert facts["embedder"]["source"] == "none"


def test_without_the_fourth_task_no_image_network_is_needed(train: Dataset, tmp_path: Path) -> None:
    config = dataclasses.replace(
        SMALL, lambda_distillation=0.0, image_network="nowhere", frames=4, epochs=1
    )
    ssmtl.Ssmtl(config, device="cpu").fit(train, out=tmp_path / "m.vad")
    tensors, _ = read_safetensors(tmp_path / "m.vad" / "weights.safetensors")
    assert tensors["network/mean"].shape == (1,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "wide"}, "architecture 'wide'.*strided-narrow"),
        ({"lambda_middle": -1.0}, "lambda_middle -1"),
        ({f"lambda_{t}": 0.0 for t in losses.TASKS}, "at least one above 0"),
        ({"batch": 0}, "batch 0"),
        ({"noise": -1.0}, "noise -1"),
        ({"filter_frames": 2}, "odd number"),
        ({"localiser": "nothing"}, "localiser 'nothing'"),
    ],
)
def test_wrong_settings_are_refused_at_once(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ssmtl.Ssmtl(dataclasses.replace(SMALL, **changes))  # pyright: ignore[reportArgumentType]


def test_recipes_make_detectors() -> None:
    for recipe in ssmtl.Ssmtl.RECIPES.values():
        ssmtl.Ssmtl(recipe(), device="cpu")
    with pytest.raises(NotFittedError):
        ssmtl.Ssmtl(device="cpu").save(Path("nowhere"))
    with pytest.raises(ConfigError, match="teacher 'nowhere'"):
        open_embedder("nowhere")
