"""T1: its terms by hand, the reversed gradient, pseudo-abnormal objects, maps, and a whole fit."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from vadistill.batches import seeded_generator
from vadistill.datasets import Dataset, Video
from vadistill.datasets.sampling import Sample
from vadistill.errors import ConfigError, DataError
from vadistill.objects.maps import mean_filter, paint
from vadistill.objects.patches import PatchStore
from vadistill.scores import FrameScore
from vadistill.systems import object_centric
from vadistill.systems.aed import Aed, Config, losses, training
from vadistill.systems.aed.figures import figures
from vadistill.systems.aed.model import (
    VIEWS,
    AutoEncoder,
    Decoder,
    Encoder,
    Networks,
    appearance,
    motion,
    reversed_gradient,
)
from vadistill.systems.aed.motion import PseudoMotion, all_speeds
from vadistill.systems.aed.pseudo import (
    PseudoAppearance,
    foreign_pictures,
    open_pictures,
    pasted,
    scrambled,
    textures,
)
from vadistill.systems.fast_aed.targets import learn_maps
from vadistill.training import Step

CPU = torch.device("cpu")


class TestTerms:
    def test_both_squared_errors_are_means_over_pixels_and_objects(self) -> None:
        x = torch.zeros(2, 1, 1, 2)
        y = torch.tensor([[[[1.0, 0.0]]], [[[0.0, -3.0]]]])
        assert losses.reconstruction_loss(x, y).item() == pytest.approx((1 + 9) / 4)
        assert losses.adversarial_loss(x, y).item() == pytest.approx((1 + 9) / 4)

    def test_classification_weighs_both_classes_alike(self) -> None:
        normal, pseudo = torch.tensor([0.0, 0.0, 0.0]), torch.tensor([np.log(3.0)])
        # -log(1 - 1/2) three times, -log(3/4) once
        expected = (np.log(2) + np.log(4 / 3)) / 2
        assert losses.classification_loss(normal, pseudo).item() == pytest.approx(expected)

    def test_abnormality_is_the_mean_probability(self) -> None:
        logits = torch.tensor([[0.0, np.log(3.0), -np.log(3.0)], [40.0, 40.0, -40.0]])
        assert losses.abnormality(logits).tolist() == pytest.approx([0.5, 2 / 3])

    def test_scaled_score_by_hand_keeps_the_order_beyond_training(self) -> None:
        scores = object_centric.scaled_score(np.array([0.0, 0.1, 0.3, 0.9, 1.0]), 0.1, 0.2)
        np.testing.assert_allclose(scores, [0, 0, 0.5, 0.8, 0.9 / 1.1])

    def test_views_by_hand(self) -> None:
        patch = np.zeros((1, 2, 2, 3), np.uint8)
        patch[0, 0, 0], patch[0, 0, 1] = 255, (0, 255, 0)
        grey = appearance(torch.from_numpy(patch))
        np.testing.assert_allclose(grey[0, 0], [[1, 2 * 0.587 - 1], [-1, -1]], atol=1e-6)
        flow = torch.full((1, 2, 1, 1), 12.0)
        assert motion(flow, 12.0).flatten().tolist() == pytest.approx([np.tanh(1.0)] * 2)


class TestNetworks:
    def test_latents_are_16x8x8_and_outputs_mirror_inputs(self) -> None:
        for channels in VIEWS.values():
            latent, output = AutoEncoder(channels)(torch.rand(2, channels, 64, 64))
            assert latent.shape == (2, 16, 8, 8) and (latent >= 0).all()
            assert output.shape == (2, channels, 64, 64) and (output.abs() < 1).all()
        shapes = [(layer.in_channels, layer.out_channels) for layer in Encoder(2).layers]  # pyright: ignore
        assert shapes == [(2, 32), (32, 32), (32, 16)]
        mirrored = [(layer.in_channels, layer.out_channels) for layer in Decoder(2).layers]  # pyright: ignore
        assert mirrored == [(16, 32), (32, 32), (32, 2)]

    def test_logits_come_in_the_order_of_the_views(self) -> None:
        networks = Networks().eval()
        views = {view: torch.rand(3, c, 64, 64) for view, c in VIEWS.items()}
        logits = networks(views)
        assert logits.shape == (3, 3)
        for i, view in enumerate(VIEWS):
            torch.testing.assert_close(logits[:, i], networks.classify(view, views[view]))

    def test_reversed_gradient_by_hand(self) -> None:
        x = torch.tensor([[[[2.0]]]], requires_grad=True)
        y = reversed_gradient(x, 0.25)
        assert y.item() == 2
        (3 * y.square()).sum().backward()
        assert x.grad is not None and x.grad.item() == -0.25 * 12

    def test_encoder_ascends_what_the_adversarial_decoder_descends(self) -> None:
        def gradients(strength: float) -> dict[str, torch.Tensor]:
            networks, adversaries = training.untrained(Config())
            views = {v: textures_like(c) for v, c in VIEWS.items()}
            each = dict.fromkeys(VIEWS, strength)
            terms = training.autoencoder_losses(networks, adversaries, views, views, each)
            sum(terms[f"adversarial_{v}"] for v in VIEWS).backward()  # pyright: ignore
            named = [*networks.named_parameters(), *adversaries.named_parameters("adversary")]
            return {n: p.grad for n, p in named if p.grad is not None}

        def textures_like(channels: int) -> torch.Tensor:
            return textures(4 * channels, 64, seeded_generator(1)).view(4, channels, 64, 64)

        plain, back = gradients(-1.0), gradients(0.5)
        assert set(plain) == set(back)
        for name, gradient in plain.items():
            encoder = ".encoder." in name
            assert encoder or name.startswith("adversary"), "the main decoder takes no part"
            wanted = -0.5 * gradient if encoder else gradient
            torch.testing.assert_close(back[name], wanted, atol=1e-7, rtol=1e-4)
        assert any(g.abs().max() > 0 for n, g in back.items() if ".encoder." in n)
        assert all((g == 0).all() for n, g in gradients(0.0).items() if ".encoder." in n)

    def test_classifiers_leave_the_auto_encoders_alone(self) -> None:
        networks, _ = training.untrained(Config())
        views = {v: torch.rand(2, c, 64, 64) for v, c in VIEWS.items()}
        training.classifier_losses(networks, views, views)["total"].backward()
        assert all(p.grad is None for p in networks.autoencoders.parameters())
        assert all(p.grad is not None for p in networks.classifiers.parameters())


class TestPseudo:
    def test_textures_depend_on_the_generator_alone_and_differ_from_each_other(self) -> None:
        one, again = (textures(16, 64, seeded_generator(3)) for _ in range(2))
        assert torch.equal(one, again)
        assert not torch.equal(one, textures(16, 64, seeded_generator(4)))
        assert one.shape == (16, 1, 64, 64) and one.abs().max() <= 1
        assert (one.flatten(1).std(1) > 0.02).all(), "none is blank"
        assert torch.cdist(one.flatten(1), one.flatten(1)).fill_diagonal_(9).min() > 1

    def test_no_tile_stays_and_none_is_lost(self) -> None:
        numbers = torch.arange(16.0).view(4, 4).repeat_interleave(16, 0).repeat_interleave(16, 1)
        objects = (numbers / 16).expand(32, 1, 64, 64).contiguous()
        tiles = scrambled(objects, seeded_generator(0))[:, 0, ::16, ::16].reshape(32, 16) * 16
        assert (tiles != torch.arange(16)).all()
        assert (tiles.sort(1).values == torch.arange(16)).all()
        assert len(tiles.unique(dim=0)) == 32, "each object in its own way"

    def test_pasting_changes_a_part(self) -> None:
        objects, content = torch.zeros(32, 1, 64, 64), torch.ones(32, 1, 64, 64)
        made = pasted(objects, content, seeded_generator(0))
        covered = made.mean((1, 2, 3))
        assert (covered > 0.03).all() and (covered < 0.8).all() and covered.std() > 0.03
        assert (made.amax((1, 2, 3)) > 0.99).all(), "content is whole somewhere"

    def test_every_kind_is_drawn_and_nothing_stays_as_it_was(self) -> None:
        objects = textures(48, 64, seeded_generator(9))
        pictures = np.full((3, 64, 64), 255, np.uint8)
        source = PseudoAppearance.parse("textures + pasted+scrambled", pictures)
        made = source(objects, seeded_generator(5))
        assert torch.equal(made, source(objects, seeded_generator(5)))
        assert ((made - objects).abs().mean((1, 2, 3)) > 0.005).all()
        white = (made == 1).all(3).all(2).all(1)
        assert 0 < white.sum() < 48, "pictures are one kind among four"
        assert made.abs().max() <= 1 + 1e-5

    def test_motion_is_over_larger_gaps_and_never_as_slow_as_normal(
        self, store: PatchStore
    ) -> None:
        rows, moving = np.array([3, 7]), PseudoMotion.of(store)
        source = PseudoAppearance.parse("textures", None)
        normal, pseudo = training.batch_views(
            store, rows, source, moving, seeded_generator(0), 9.0, CPU
        )
        flow = torch.from_numpy(store.flow(rows)).float()
        speeds = all_speeds(store)
        for number, view in enumerate(("previous", "next")):
            torch.testing.assert_close(normal[view], torch.tanh(flow[:, number] / 9))
            limit = 1.05 * np.quantile(speeds[:, number], 0.99)
            fast = set(np.flatnonzero(speeds[:, 2 + number] >= limit).tolist())
            assert 3 < len(fast) < 20, "the slower half has no fast flow"
            assert {*moving.places[number][:, 0].tolist()} == fast
            drawn = moving(store, number, 50, seeded_generator(1))
            assert np.hypot(*drawn.numpy().transpose(1, 0, 2, 3)).mean((1, 2)).min() >= limit
            assert (drawn[:, 0].sum((1, 2)).sign() == (-1, 1)[number]).all(), "its own direction"
            assert 0 < pseudo[view].abs().amax() < 1
        both = store.flow(np.arange(len(store)))[:, :2].astype(float)
        assert training.flow_rms(store) == pytest.approx(np.sqrt((both**2).mean()), rel=1e-6)

    def test_where_nothing_is_fast_enough_the_fastest_is_stretched(self, tmp_path: Path) -> None:
        flow = np.zeros((200, 4, 2, 4, 4), np.float16)
        flow[:, :, 0] = np.linspace(1, 2, 200)[:, None, None, None]  # as fast over either gap
        patches = np.zeros((200, 1, 4, 4, 3), np.uint8)
        for kind, array in (("patches", patches), ("flow", flow), ("counts", np.full(1, 200))):
            np.save(tmp_path / f"a.{kind}.npy", array)
        slow = PatchStore(tmp_path, ["a"], "slow")
        drawn = PseudoMotion.of(slow)(slow, 1, 20, seeded_generator(0))
        limit = 1.05 * np.quantile(flow[:, 1, 0, 0, 0].astype(float), 0.99)
        np.testing.assert_allclose(drawn[:, 0], limit, rtol=1e-3)

    def test_figures_are_pictures_that_differ(self) -> None:
        made = figures(32, 64, 0)
        assert made.shape == (32, 64, 64) and made.dtype == np.uint8
        np.testing.assert_array_equal(made[:8], figures(8, 64, 0))
        assert (made.reshape(32, -1).std(1) > 5).all()
        flat = torch.from_numpy(made.reshape(32, -1)).float()
        assert torch.cdist(flat, flat).fill_diagonal_(1e9).min() > 500
        assert foreign_pictures("", 0, 64, seed=0) is None

    def test_pictures_from_folders_and_packed(self, tmp_path: Path) -> None:
        import cv2

        (tmp_path / "a" / "b").mkdir(parents=True)
        files = []
        for i in range(5):
            picture = np.full((20 + 50 * i, 90, 3), 40 * i, np.uint8)
            cv2.imwrite(str(tmp_path / "a" / "b" / f"{i}.png"), picture)
            files.append(cv2.imencode(".jpg", picture)[1].ravel())
        (tmp_path / "a" / "notes.txt").write_text("no picture")
        (tmp_path / "a" / "broken.png").write_bytes(b"no picture either")
        found = open_pictures(tmp_path, 64)
        assert found.shape == (5, 64, 64) and found.dtype == np.uint8
        assert sorted(found[:, 5, 5].tolist()) == [0, 40, 80, 120, 160]
        np.testing.assert_array_equal(found, open_pictures(tmp_path, 64))
        joined = foreign_pictures(str(tmp_path), 7, 64, seed=0)
        assert joined is not None and len(joined) == 5 + 7
        assert len(open_pictures(tmp_path, 64, limit=3)) == 3
        packed = tmp_path / "packed"
        packed.mkdir()
        starts = np.cumsum([0, *(len(f) for f in files)])
        for offsets in (starts, starts[:-1]):
            np.savez(packed / "train.npz", jpeg=np.concatenate(files), offset=offsets)
            values = sorted(open_pictures(packed, 64)[:, 5, 5].tolist())
            np.testing.assert_allclose(values, [0, 40, 80, 120, 160], atol=2)

    def test_no_pictures_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "train.npz").write_bytes(b"no archive")
        for path in (tmp_path, tmp_path / "nowhere", tmp_path / "broken"):
            with pytest.raises(DataError, match=r"0 readable pictures .*--pictures"):
                open_pictures(path, 64)


class TestMaps:
    def test_boxes_are_painted_and_the_highest_wins(self) -> None:
        boxes = np.array([[0, 0, 8, 4], [4, 0, 12, 8], [4, 0, 8, 4]], np.float32)
        painted = paint(boxes, np.array([0.9, 0.5, 0.2]), 10, 16)
        expected = [[0.9, 0.9, 0.5, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 0]]
        np.testing.assert_allclose(painted, np.array(expected, np.float32))
        assert painted.dtype == np.float32

    def test_every_box_is_in_the_map_however_small(self) -> None:
        boxes = np.array([[5, 5, 5.5, 5.5], [15.9, 9.9, 30, 30], [-9, -9, -5, -5]], np.float32)
        painted = paint(boxes, np.array([0.1, 0.2, 0.3]), 10, 16)
        assert painted[1, 1] == pytest.approx(0.1) and painted[2, 3] == pytest.approx(0.2)
        assert painted[0, 0] == pytest.approx(0.3) and (painted > 0).sum() == 3
        assert paint(np.zeros((0, 4), np.float32), np.zeros(0), 10, 16, scale=1).shape == (10, 16)

    @staticmethod
    def frames(*values: float) -> list[FrameScore]:
        maps = [np.full((3, 3), v, np.float32) for v in values]
        return [FrameScore(i, i / 10, float(m[0, 0]), map=m) for i, m in enumerate(maps)]

    def test_mean_over_time_and_place_by_hand(self) -> None:
        out = list(mean_filter(self.frames(0, 3, 6, 0, 0), frames=3))
        assert [f.score for f in out] == pytest.approx([1.5, 3, 3, 2, 0])
        assert [f.index for f in out] == [0, 1, 2, 3, 4]
        one = self.frames(0)
        assert one[0].map is not None
        one[0].map[1, 1] = 9.0
        (spread,) = mean_filter(one, frames=1, cells=3)
        assert spread.map is not None
        np.testing.assert_allclose(spread.map, np.ones((3, 3)))
        assert spread.score == pytest.approx(1)
        assert [f.score for f in mean_filter(self.frames(2, 4), frames=9)] == [3, 3]
        assert not list(mean_filter([], frames=3))

    def test_filter_is_late_by_half_its_frames(self) -> None:
        read: list[int] = []

        def watched() -> Any:
            for frame in self.frames(*range(9)):
                read.append(frame.index)
                yield frame

        for frame in mean_filter(watched(), frames=5):
            assert read[-1] == min(frame.index + 2, 8)

    def test_even_filters_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="mean filter over 4 frames"):
            next(mean_filter([], frames=4))


# -- training ------------------------------------------------------------------------------------

TINY = Config(
    batch=4,
    epochs=2,
    adversarial_after=1,
    adversarial_motion=0.1,
    classifier_epochs=2,
    precision="fp32",
)
"""Ten steps of each phase over the 20 events of ``store``."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    """20 discs of 8 shades that move to the right, twice as many pixels over the larger gap."""
    folder = tmp_path_factory.mktemp("events")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    disc = ((x - 32) ** 2 + (y - 32) ** 2 < 24**2).astype(np.float32)
    shades = 40 + 20 * rng.integers(0, 8, 20)
    patches = (shades[:, None, None] * disc).astype(np.uint8)
    patches = np.repeat(patches[:, None, :, :, None], 3, axis=4)
    speeds = (
        rng.uniform(1, 2, 20)[:, None, None, None, None]
        * np.array([-1, 1, -2, 2])[None, :, None, None, None]
    )
    flow = np.zeros((20, 4, 2, 64, 64), np.float16)
    flow[:, :, :1] = speeds * disc
    for kind, array in (("patches", patches), ("flow", flow), ("counts", np.full(10, 2))):
        np.save(folder / f"a.{kind}.npy", array)
    return PatchStore(folder, ["a"], "discs")


def train(store: PatchStore, work: Path) -> Networks:
    networks, adversaries = training.untrained(TINY)
    source, moving = PseudoAppearance.parse(TINY.pseudo, None), PseudoMotion.of(store)
    training.train_networks(networks, adversaries, store, source, moving, 6.0, TINY, CPU, work)
    return networks


AUTOENCODERS = [
    1.30762,
    1.28544,
    1.11618,
    1.02678,
    0.93572,
    0.77297,
    0.63353,
    0.60216,
    0.58436,
    0.59466,
]
CLASSIFIERS = [
    2.08200,
    2.07745,
    2.06797,
    2.06296,
    2.05465,
    2.04694,
    2.05104,
    2.04563,
    2.04539,
    2.03306,
]
"""Total losses of ten steps; a change of any part of training shows here."""


@pytest.fixture(scope="module")
def unbroken(
    store: PatchStore, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Networks, dict[str, list[float]], Path]:
    """Networks after ten steps a phase, every step's total loss, and the work folder."""
    totals: dict[str, list[float]] = {"autoencoder_losses": [], "classifier_losses": []}
    work = tmp_path_factory.mktemp("work") / "run"

    def recording(name: str) -> Any:
        compute = getattr(training, name)

        def recorded(*args: Any) -> Any:
            terms = compute(*args)
            totals[name].append(terms["total"].item())
            return terms

        return recorded

    with pytest.MonkeyPatch.context() as patch:
        for name in totals:
            patch.setattr(training, name, recording(name))
        networks = train(store, work)
    return networks, totals, work


def test_golden_ten_steps(unbroken: tuple[Networks, dict[str, list[float]], Path]) -> None:
    _, totals, _ = unbroken
    np.testing.assert_allclose(totals["autoencoder_losses"], AUTOENCODERS, rtol=2e-3)
    np.testing.assert_allclose(totals["classifier_losses"], CLASSIFIERS, rtol=2e-3)


def test_every_loss_is_logged_by_name(
    unbroken: tuple[Networks, dict[str, list[float]], Path],
) -> None:
    _, totals, work = unbroken
    kinds = {"auto-encoders": ("reconstruction", "adversarial"), "classifiers": ("classification",)}
    lines = [json.loads(line) for line in (work / "training.jsonl").read_text().splitlines()]
    for (name, terms), total in zip(kinds.items(), totals.values(), strict=True):
        (record,) = (line for line in lines if line["stage"] == name)
        named = {f"{term}_{view}" for term in terms for view in VIEWS}
        assert set(record) == {"stage", "step", "seconds", "total"} | named
        assert record["total"] == total[0] == pytest.approx(sum(record[n] for n in named))


def test_the_reversed_gradient_grows_and_rests_where_nothing_is_left() -> None:
    both = {"adversarial": 0.5, "adversarial_motion": 0.5}
    config = dataclasses.replace(TINY, epochs=10, adversarial_after=2, **both)

    def at(number: int, **unexplained: float) -> dict[str, float]:
        step = Step(np.arange(4), number, number // 5, 10, number % 5, 5)
        return training.strengths(config, step, unexplained)

    # two epochs of five steps alone, then up over 40 % of the fifty
    assert [at(n)["next"] for n in (0, 10, 20, 30, 49)] == [0, 0, 0.25, 0.5, 0.5]
    assert at(40, next=1.02, previous=0.98) == {"appearance": 0.5, "previous": 0.5, "next": 0.0}

    config = dataclasses.replace(Config(), epochs=10)
    both_ways_alike = {"previous": 0.0, "next": 0.0}
    assert at(49) == {"appearance": 0.1} | both_ways_alike, "by default"

    pseudo = {view: torch.full((2, 1, 2, 2), 0.5) for view in VIEWS}
    terms = {f"adversarial_{view}": torch.tensor(0.125) for view in VIEWS}
    first = training.watched({}, terms, pseudo)
    assert first == pytest.approx(dict.fromkeys(VIEWS, 0.5))
    terms["adversarial_next"] = torch.tensor(0.25)
    assert training.watched(first, terms, pseudo)["next"] == pytest.approx(0.9 * 0.5 + 0.1)


def test_a_model_of_neighbouring_frames_is_read_as_it_was(normal: Dataset, tmp_path: Path) -> None:
    config = dataclasses.replace(
        SMALL, reach=1, gap=3, figures=0, epochs=1, classifier_epochs=1, adversarial_after=0
    )
    config = dataclasses.replace(config, adversarial_motion=config.adversarial)
    detector = Aed(config, device="cpu").fit(normal, out=tmp_path / "m.vad")
    file = tmp_path / "m.vad" / "config.json"
    facts = json.loads(file.read_text())
    for name in ("reach", "figures", "adversarial_motion"):
        del facts["config"][name]
    file.write_text(json.dumps(facts))
    loaded = Aed.load(tmp_path / "m.vad", device="cpu")
    assert loaded.config == config and loaded.lookahead == 1
    clip = Video("p", squares(11, anomaly=True)[0], fps=10)
    np.testing.assert_array_equal(loaded.score(clip.open()).raw, detector.score(clip.open()).raw)


@pytest.mark.parametrize("phase", [0, 1])
def test_kill_in_either_phase_and_resume_is_no_kill(
    phase: int,
    unbroken: tuple[Networks, dict[str, list[float]], Path],
    store: PatchStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = ("autoencoder_losses", "classifier_losses")[phase]
    compute, calls = getattr(training, name), 0

    def killed(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 8:  # in the second epoch
            raise KeyboardInterrupt
        return compute(*args)

    work = tmp_path / "run"
    if phase == 1:  # the first is done
        work.mkdir()
        shutil.copy(unbroken[2] / "auto-encoders.safetensors", work)
    monkeypatch.setattr(training, name, killed)
    with pytest.raises(KeyboardInterrupt):
        train(store, work)
    monkeypatch.setattr(training, name, compute)
    resumed = train(store, work)
    for (key, a), b in zip(
        unbroken[0].state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), key


# -- the whole detector --------------------------------------------------------------------------

SIZE = (64, 96)


def squares(seed: int, *, anomaly: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two grey squares drift to the right; at last a striped one may rush to the left."""
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 90, 2)
    video = np.full((24, *SIZE, 3), 100, np.uint8) + rng.integers(0, 4, (24, *SIZE, 1), np.uint8)
    labels = np.zeros(24, np.uint8)
    for t in range(24):
        for start, top in zip(starts, (8, 40), strict=True):
            left = int(start + 1.5 * t) % 80
            video[t, top : top + 16, left : left + 14] = 200
        if anomaly and t >= 14:
            labels[t] = 1
            left = 80 - 6 * (t - 14)
            video[t, 24:40, left : left + 14] = 20
            video[t, 24:40:4, left : left + 14] = 250
    return video, labels


SMALL = Config(
    epochs=3, adversarial_after=1, classifier_epochs=4, batch=16, frames=30, batch_frames=8
)


@pytest.fixture(scope="module")
def normal() -> Dataset:
    clips = [Video(f"n{i}", squares(i, anomaly=False)[0], fps=10) for i in range(2)]
    return Dataset("squares", "train", tuple(clips))


@pytest.fixture(scope="module")
def fitted(normal: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Aed, Path]:
    path = tmp_path_factory.mktemp("aed") / "m.vad"
    return Aed(SMALL, device="cpu").fit(normal, out=path), path


def test_planted_anomalies_stand_out_in_scores_and_maps(fitted: tuple[Aed, Path]) -> None:
    video, labels = squares(10, anomaly=True)
    scores = fitted[0].score(Video("p", video, fps=10).open())
    assert roc_auc_score(labels, scores.raw) > 0.9
    assert ((scores.raw >= 0) & (scores.raw < 1)).all()
    rows = []
    for frame in scores:
        assert frame.map is not None and frame.map.shape == (16, 24)
        assert frame.score == frame.map.max() == frame.box_scores.max(initial=0.0)
        if labels[frame.index]:
            rows.append(int(frame.map.max(1).argmax()))
    assert 5 <= np.median(rows) < 10, "the highest cells lie on the striped square's rows"


def test_saved_and_loaded_scores_are_identical(fitted: tuple[Aed, Path], tmp_path: Path) -> None:
    clip = Video("p", squares(11, anomaly=True)[0], fps=10)
    before = fitted[0].score(clip.open())
    loaded = Aed.load(fitted[1], device="cpu")
    assert loaded.config == SMALL
    np.testing.assert_array_equal(loaded.score(clip.open()).raw, before.raw)
    kept = fitted[0].state()[0]
    assert not [k for k in kept if "adversar" in k], "training's decoders stay behind"


def test_batches_of_frames_do_not_change_scores_and_delays_are_told(
    fitted: tuple[Aed, Path],
) -> None:
    clip = Video("p", squares(12, anomaly=True)[0], fps=10)
    detector = Aed.load(fitted[1], device="cpu")
    detector.config = dataclasses.replace(SMALL, batch_frames=1)
    np.testing.assert_allclose(
        detector.score(clip.open()).raw, fitted[0].score(clip.open()).raw, atol=1e-5
    )
    assert fitted[0].lookahead == 3 and fitted[0].latency == 10
    slow = Aed(dataclasses.replace(SMALL, filter_frames=5, filter_cells=3), device="cpu")
    assert slow.lookahead == 5 and slow.latency == 12


def test_filtered_maps_give_the_score(fitted: tuple[Aed, Path], normal: Dataset) -> None:
    clip = Video("p", squares(12, anomaly=True)[0], fps=10)
    plain = fitted[0].score(clip.open())
    detector = Aed.load(fitted[1], device="cpu")
    detector.config = dataclasses.replace(SMALL, filter_frames=3)
    filtered = detector.score(clip.open())
    expected = list(mean_filter(plain.frames, frames=3))
    np.testing.assert_array_equal(filtered.raw, [f.score for f in expected])
    np.testing.assert_array_equal(filtered.frames[4].box_scores, plain.frames[4].box_scores)
    taught = [f.map for f in detector.teach(clip.open())]
    np.testing.assert_array_equal(taught, [f.map for f in plain], "students see no filter")


def test_students_learn_the_unfiltered_maps(fitted: tuple[Aed, Path], tmp_path: Path) -> None:
    alone = Dataset("one", "train", (Video("p", squares(12, anomaly=True)[0], fps=10),))
    stores = []
    for frames in (1, 3):
        detector = Aed.load(fitted[1], device="cpu")
        detector.config = dataclasses.replace(SMALL, filter_frames=frames)
        folder, sample = tmp_path / str(frames), Sample.of(alone, None)
        stores.append(learn_maps(detector, alone, folder, sample=sample, size=(4, 4)))
    rows = np.arange(len(stores[0]))
    np.testing.assert_array_equal(stores[0].maps(rows), stores[1].maps(rows))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gap": 3}, "gap 3: expected 4 or more"),
        ({"reach": 0}, "reach 0"),
        ({"flow_span": 0.0}, "flow_span 0"),
        ({"pseudo": "textures+flowers"}, "kind 'flowers'"),
        ({"filter_frames": 2}, "filter_frames 2.*odd"),
        ({"map_scale": 0}, "map_scale 0"),
        ({"flow": "dsi"}, "optical flow 'dsi'"),
        ({"localiser": "yolo"}, "localiser 'yolo'"),
    ],
)
def test_wrong_settings_are_errors_before_any_work(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Aed(dataclasses.replace(SMALL, **change), device="cpu")
    assert "\n" not in str(caught.value)


def test_recipes_are_valid() -> None:
    for recipe in Aed.RECIPES.values():
        assert Aed(recipe(), device="cpu").config.frames != 0
    assert next(iter(Aed.RECIPES)) == "default"
