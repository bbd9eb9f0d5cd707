"""The self-test: what is put aside, cut out, planted, and what the figures make of it."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vadistill.cli import main, selftest
from vadistill.datasets import Dataset, Video, open_dataset
from vadistill.datasets.holdout import LEAST, hold_out, seconds
from vadistill.datasets.sampling import data_key
from vadistill.evaluation.evaluate import evaluate
from vadistill.evaluation.selftest import SelfTest, read_self_test, self_test
from vadistill.evaluation.selftest import run as trials
from vadistill.evaluation.selftest.cast import Cast
from vadistill.evaluation.selftest.cutting import Walk, cut_walks, shadowed
from vadistill.evaluation.selftest.figures import wilson
from vadistill.evaluation.selftest.kinds import CONTROL, KINDS, Plant, plants_of
from vadistill.evaluation.selftest.planting import Planted, painted, plan
from vadistill.evaluation.selftest.results import FILE, STRANGE, mark_of
from vadistill.evaluation.selftest.run import Trial
from vadistill.objects.background import Background
from vadistill.simulated.walkway.sprites import FOREIGN, sprite
from vadistill.systems.motion import Config, Motion
from vadistill.video import VideoWriter, open_video


def still(frames: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    floor = rng.integers(90, 110, (1, 80, 160, 1))
    return (floor + rng.integers(-1, 2, (frames, 80, 160, 1))).repeat(3, 3).astype(np.uint8)


def crossing(seed: int, *, speed: float = 2.0, frames: int = 60) -> Video:
    """Two upright bars that cross a floor, one each way, 10 frames a second."""
    pixels = still(frames, seed)
    for t in range(frames):
        for row, x in ((10, 6 + speed * t), (45, 150 - speed * t)):
            pixels[t, row : row + 24, max(0, int(x)) : max(0, int(x) + 10)] = (200, 60, 60)
    return Video(f"cross{seed}", pixels, fps=10)


@pytest.fixture(scope="module")
def footage() -> Dataset:
    return Dataset("bars", "train", tuple(crossing(i) for i in range(8)))


@pytest.fixture(scope="module")
def cast(footage: Dataset) -> Cast:
    background = Background()
    background.fit(footage)
    return Cast(tuple(cut_walks(footage, background)))


class TestHoldOut:
    def test_whole_videos_where_there_are_enough(self, footage: Dataset):
        kept, held = hold_out(replace(footage, videos=footage.videos * 3))
        assert len(held) == 5
        assert len(kept) + len(held) == 24

    def test_the_end_of_each_of_a_few(self):
        pixels = np.zeros((800, 16, 16, 3), np.uint8)
        pixels[:, 0, 0, 0] = np.arange(800) % 256
        train = Dataset("few", "train", (Video("a", pixels, fps=5),))
        kept, held = hold_out(train)
        first = next(iter(held.videos[0].open()))
        assert [v.open().info.frames for v in (*kept, *held)] == [640, 160]
        assert (first.index, first.time, int(first.image[0, 0, 0])) == (0, 0.0, 640 % 256)
        assert sum(1 for _ in kept.videos[0].open()) == 640

    def test_nothing_of_too_little(self, footage: Dataset):
        kept, held = hold_out(replace(footage, videos=footage.videos[:2]))
        assert (len(kept), len(held)) == (2, 0)
        assert seconds(kept.videos) < LEAST * 5

    def test_a_part_is_another_content(self, footage: Dataset):
        """A fit that goes on must not take a part's results for the whole's."""
        part = replace(footage, videos=(replace(footage.videos[0], stretch=(0, 30)),))
        assert data_key(part) != data_key(replace(footage, videos=footage.videos[:1]))


class TestCutting:
    def test_objects_are_cut_out_by_their_silhouettes(self, cast: Cast):
        assert len(cast.walks) >= 8
        for walk in cast.walks:
            assert abs(walk.height - 24) <= 8
            assert 0.4 < walk.speed < 1.2  # 20 pixels of 24 a second
            inside = walk.cutouts[5].alpha > 0.9
            assert np.abs(walk.cutouts[5].image[inside].astype(int) - (200, 60, 60)).max() < 40

    def test_a_shadow_is_left_behind(self):
        scene = np.random.default_rng(0).integers(120, 180, (40, 40, 3)).astype(np.uint8)
        image = scene.copy()
        image[10:20] = (0.6 * image[10:20]).astype(np.uint8)
        image[25:35] = (30, 40, 160)
        found = shadowed(image, scene)
        assert found[13:17, 5:35].mean() > 0.9
        assert found[25:35].mean() < 0.05
        assert found[:8].mean() < 0.05


class TestPlanting:
    def test_an_object_where_it_was_changes_nothing(self, footage: Dataset, cast: Cast):
        """The seam of what is painted at its own place and time must not show."""
        walk = cast.walks[0]
        frames = list(footage[walk.video].open())
        for number in (3, len(walk) // 2):
            image = frames[walk.first + number].image
            after = painted(image, [walk.cutouts[number]])
            assert np.abs(after.astype(int) - image).max() <= 1

    def test_plants_are_apart_and_inside(self, cast: Cast):
        rng = np.random.default_rng(0)
        plants = plants_of(cast, "2 times as fast", 8, rng)
        placed = plan(plants, {"a": (100, 10.0), "b": (60, 10.0)}, rng)
        assert len(placed) == len(plants)
        for planting in placed:
            end = planting.start + len(planting.plant)
            assert end <= {"a": 100, "b": 60}[planting.video]
            for other in placed:
                same = (other.copy, other.video) == (planting.copy, planting.video)
                if same and other.start > planting.start:
                    assert other.start - end >= 15

    def test_a_plant_longer_than_all_videos_does_not_hang(self, cast: Cast):
        rng = np.random.default_rng(0)
        plants = plants_of(cast, CONTROL, 2, rng)
        assert plan(plants, {"a": (5, 10.0)}, rng) == []

    def test_only_its_frames_change(self, footage: Dataset, cast: Cast):
        rng = np.random.default_rng(1)
        placed = plan(plants_of(cast, "foreign object", 1, rng), {"cross0": (60, 10.0)}, rng)
        source = footage["cross0"].open()
        changed = [
            not np.array_equal(a.image, b.image)
            for a, b in zip(source, Planted(footage["cross0"].open(), placed), strict=True)
        ]
        start, end = placed[0].start, placed[0].start + len(placed[0].plant)
        assert not any(changed[:start]) and not any(changed[end:])
        assert np.mean(changed[start:end]) > 0.9


class TestKinds:
    @pytest.mark.parametrize("factor", [1.5, 2.0, 3.0])
    def test_fast_is_as_fast_as_it_says(self, cast: Cast, factor: float):
        (plant, *_) = plants_of(cast, f"{factor:g} times as fast", 3, np.random.default_rng(0))
        assert len(plant) >= 7  # most of a second
        assert speed_of(plant) == pytest.approx(factor * 2.0, rel=0.15)

    def test_standing_is_planted_only_where_nobody_stands(self, cast: Cast):
        assert plants_of(cast, "stops", 1, np.random.default_rng(0))
        waiting = Walk("w", 0, 10.0, (160, 80), (cast.walks[0].cutouts[0],) * 40)
        busy = Cast((*cast.walks, waiting, waiting))
        assert not plants_of(busy, "stops", 1, np.random.default_rng(0))

    def test_the_other_way_is_planted_only_where_all_go_one_way(self, cast: Cast):
        one_way = Cast(tuple(w for w in cast.walks if w.velocity[0] > 0))
        (plant, *_) = plants_of(one_way, "against the usual direction", 1, np.random.default_rng(0))
        assert plant.cutouts[-1].foot[0] < plant.cutouts[0].foot[0]

    def test_who_falls_lies(self, cast: Cast):
        (plant, *_) = plants_of(cast, "falls", 1, np.random.default_rng(0))
        lying = plant.cutouts[-1].alpha > 0.5
        tall, wide = np.ptp(np.flatnonzero(lying.any(1))), np.ptp(np.flatnonzero(lying.any(0)))
        assert wide > 1.5 * tall
        assert plant.abnormal.sum() >= 30 and not plant.abnormal[0]

    def test_an_unusual_place_is_one_where_nobody_walked(self, cast: Cast):
        lower = Cast(tuple(w for w in cast.walks if w.feet[:, 1].mean() > 50))
        for plant in plants_of(lower, "unusual place", 3, np.random.default_rng(0)):
            assert lower.share_of_usual(np.array([c.foot for c in plant.cutouts])) <= 0.1

    def test_nothing_is_planted_under_the_mask(self, footage: Dataset, cast: Cast):
        left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
        lower = Cast(tuple(w for w in cast.walks if w.feet[:, 1].mean() > 50))
        for hidden in ((), (left,)):
            shown = replace(lower, hidden=hidden)
            (plant, *_) = plants_of(shown, "unusual place", 1, np.random.default_rng(0))
            assert (leftmost(plant) < 80) == (not hidden)
        trial = Trial.of(footage.hiding((left,)), footage, plants=2)
        assert len(trial.placed) >= 4
        assert all(leftmost(planting.plant) >= 80 for planting in trial.placed)

    @pytest.mark.parametrize("kind", FOREIGN)
    def test_foreign_figures_stand_on_their_foot(self, kind):
        metres = np.linspace(0, 2, 3, dtype=np.float32)
        rng = np.random.default_rng(0)
        for picture in sprite(kind, rng, pixels_per_metre=20, right=True, metres=metres):
            alpha = picture[..., 3]
            assert alpha.max() == pytest.approx(1, abs=0.02)
            assert 4 < alpha.shape[0] < 60
            seen = np.flatnonzero((alpha > 0.5).any(0)).mean()
            assert abs(seen - alpha.shape[1] / 2) < 12

    def test_the_same_seed_plants_the_same(self, cast: Cast):
        first, second = (
            [p for kind in KINDS for p in plants_of(cast, kind, 2, np.random.default_rng(3))]
            for _ in range(2)
        )
        for a, b in zip(first, second, strict=True):
            assert a.kind == b.kind
            assert all(np.array_equal(x.image, y.image)
                       for x, y in zip(a.cutouts, b.cutouts, strict=True))  # fmt: skip


def leftmost(plant: Plant) -> float:
    """Of its feet, in pixels."""
    return min(cutout.foot[0] for cutout in plant.cutouts)


def speed_of(plant: Plant) -> float:
    """Pixels a frame, over the whole way."""
    feet = np.array([cutout.foot for cutout in plant.cutouts])
    return float(np.hypot(*(feet[-1] - feet[0])) / (len(feet) - 1))


def keep_kinds(patch: pytest.MonkeyPatch, *kinds: str) -> None:
    """Have a self-test plant these alone."""
    patch.setattr("vadistill.evaluation.selftest.run.KINDS", {kind: KINDS[kind] for kind in kinds})


@pytest.fixture(scope="module")
def tested(footage: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SelfTest:
    # Bars have no texture: of them the fine flow sees the edges alone.
    model = Motion(Config(flow="dis"))
    model.fit(footage, out=tmp_path_factory.mktemp("model") / "m.vad")
    with pytest.MonkeyPatch.context() as patch:
        keep_kinds(patch, CONTROL, "3 times as fast", "foreign object")
        return self_test(model, footage, plants=4)


class TestFigures:
    def test_speed_is_found_and_the_control_is_not(self, tested: SelfTest):
        figures = {kind.kind: kind for kind in tested.kinds}
        assert figures["3 times as fast"].auc > 0.9
        # An event is three frames in a row, and some plants are hardly longer in the picture.
        assert figures["3 times as fast"].found >= 2 > figures[CONTROL].found
        assert figures[CONTROL].auc < 0.75
        assert figures["3 times as fast"].auc > figures[CONTROL].auc + 0.2

    def test_the_mean_leaves_the_control_out(self, tested: SelfTest):
        aucs = [k.auc for k in tested.kinds if k.kind != CONTROL]
        assert tested.auc == pytest.approx(np.mean(aucs))
        assert all(k.auc_low <= k.auc <= k.auc_high for k in tested.kinds)

    def test_kept_and_read(self, tested: SelfTest, tmp_path: Path):
        tested.save(tmp_path)
        assert read_self_test(tmp_path) == replace(tested, pictures=())
        (tmp_path / "config.json").write_text("{}")  # another model in its place
        assert read_self_test(tmp_path) is None
        plain = replace(tested, high=2.0).to_json()
        for wrong in ({}, plain | {"model": mark_of(tmp_path)}):
            (tmp_path / FILE).write_text(json.dumps(wrong))
            with pytest.raises(Exception, match="is not a self-test"):
                read_self_test(tmp_path)

    def test_footage_unlike_what_was_learned_is_told(
        self, tested: SelfTest, footage: Dataset, tmp_path: Path
    ):
        assert tested.high is not None and tested.high < STRANGE
        assert "new to it" not in tested.words
        slow = replace(footage, videos=tuple(crossing(i, speed=0.8) for i in range(4)))
        model = Motion(Config(flow="dis")).fit(slow, out=tmp_path / "m.vad")
        with pytest.MonkeyPatch.context() as patch:
            keep_kinds(patch, CONTROL, "foreign object")
            found = self_test(model, footage, plants=1)
        assert found.high is not None and found.high > STRANGE
        assert "is new to it" in found.words and "give it more" in found.words
        assert "new to it" not in replace(found, held_out=False).words

    def test_wilson(self):
        """Known values of the interval."""
        assert wilson(0, 8) == pytest.approx((0.0, 0.3244), abs=1e-3)
        assert wilson(4, 8) == pytest.approx((0.2152, 0.7848), abs=1e-3)


def test_fit_ends_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    keep_kinds(monkeypatch, CONTROL, "2 times as fast")
    few = functools.partial(selftest.test_and_tell, plants=2)
    monkeypatch.setattr(selftest, "test_and_tell", few)
    for seed in range(8):
        with VideoWriter(tmp_path / "normal" / f"{seed}.mp4", 160, 80, 5) as writer:
            for frame in crossing(seed, frames=75).open():
                writer.write(frame.image)
    assert main(["fit", "motion", "normal", "--out", "m.vad"]) == 0
    said = capsys.readouterr().out
    assert "put aside for the self-test" in said and "self-test: " in said
    kept = json.loads((tmp_path / "m.vad" / FILE).read_text())
    assert kept["held_out"] and kept["videos"] == 2
    (tmp_path / "m.vad" / FILE).unlink()
    for told in (True, False):  # one that was cut off is made up for, and not done twice
        assert main(["fit", "motion", "normal", "--out", "m.vad"]) == 0
        said = capsys.readouterr().out
        assert "was fitted before" in said and ("self-test: " in said) == told
    assert json.loads((tmp_path / "m.vad" / FILE).read_text()) == kept
    train, held = hold_out(open_dataset(tmp_path / "normal").train)
    shutil.copy(str(train.videos[0].source), str(held.videos[0].source))
    for told in (True, False):  # the model is as it was, what it is tested on is not
        assert main(["fit", "motion", "normal", "--out", "m.vad"]) == 0
        said = capsys.readouterr().out
        assert "was fitted before" in said and ("self-test: " in said) == told
    assert json.loads((tmp_path / "m.vad" / FILE).read_text())["footage"] != kept["footage"]
    page = (tmp_path / "m.vad" / "selftest.html").read_text()
    assert "Self-test of motion" in page and "data:image/jpeg" in page and "<script" not in page
    assert main(["info", "m.vad"]) == 0
    assert "self-test" in capsys.readouterr().out
    kept_test = read_self_test(Path("m.vad"))
    assert kept_test is not None
    words = kept_test.words
    assert main(["score", "m.vad", "normal/0.mp4", "--report", "r.html"]) == 0
    assert words in Path("r.html").read_text()
    test = Dataset(
        "t",
        "test",
        (Video("0", tmp_path / "normal" / "0.mp4", (np.arange(75) < 9).astype(np.uint8)),),
    )
    assert evaluate(tmp_path / "m.vad", test).facts["self-test of m"] == words
    assert main(["selftest", "m.vad", "--data", "normal", "--plants", "1"]) == 0
    assert json.loads((tmp_path / "m.vad" / FILE).read_text())["held_out"]
    (tmp_path / "two").mkdir()
    for name in ("0.mp4", "1.mp4"):
        (tmp_path / "normal" / name).rename(tmp_path / "two" / name)
    assert main(["fit", "motion", "two", "--out", "all.vad", "--selftest", "no"]) == 0
    assert not (tmp_path / "all.vad" / FILE).exists()
    assert main(["selftest", "all.vad", "--data", "two", "--plants", "1"]) == 0
    assert not json.loads((tmp_path / "all.vad" / FILE).read_text())["held_out"]


def test_footage_without_objects_is_one_line(tmp_path: Path):
    empty = Dataset("empty", "train", (Video("empty", still(100), fps=10),))
    model = Motion().fit(empty, out=tmp_path / "m.vad")
    with pytest.raises(Exception, match="no object of empty"):
        self_test(model, empty)


def test_a_video_that_is_shorter_than_its_container_says(
    footage: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    claimed = trials.length
    monkeypatch.setattr(trials, "length", lambda video: 3 * claimed(video))
    keep_kinds(monkeypatch, "foreign object")
    model = Motion().fit(footage, out=tmp_path / "m.vad")
    trial = Trial.of(footage, plants=8)
    late = [p for p in trial.placed if p.frames[-1] >= 60]
    found = trial.result(trial.scores(model), model)
    assert late and sum(kind.plants for kind in found.kinds) == len(trial.placed) - len(late)


def test_a_stretch_beyond_the_end_is_short(footage: Dataset):
    video = replace(footage.videos[0], stretch=(50, 500))
    assert [frame.index for frame in video.open()] == list(range(10))
    assert open_video(np.zeros((3, 8, 8, 3), np.uint8)).info.frames == 3
