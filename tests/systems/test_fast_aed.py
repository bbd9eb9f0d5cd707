"""The student as a detector: frames and maps on disk, both phases, stems shared in streaming."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import vadistill
from support.killing import kill_at
from vadistill.datasets import Dataset, Video
from vadistill.datasets.sampling import Sample
from vadistill.detector import Detector
from vadistill.errors import ConfigError, WeightsError
from vadistill.loss_log import LOG, losses_of
from vadistill.objects.learning import learn_in_one_pass
from vadistill.runtime import open_runtime
from vadistill.scores import FrameScore
from vadistill.systems import aed, ssmtl
from vadistill.systems.aed.detector import Aed
from vadistill.systems.fast_aed import batches, training
from vadistill.systems.fast_aed import detector as detector_module
from vadistill.systems.fast_aed.batches import Batches
from vadistill.systems.fast_aed.blocks import standardise
from vadistill.systems.fast_aed.data import (
    HURRIES,
    Size,
    WindowFiles,
    WindowStore,
    enlarged,
    fit_size,
    windows_at,
)
from vadistill.systems.fast_aed.detector import FastAed
from vadistill.systems.fast_aed.discriminator import Discriminator
from vadistill.systems.fast_aed.halves import half_of
from vadistill.systems.fast_aed.losses import (
    discriminator_loss,
    pool_targets,
    reconstruction_loss,
)
from vadistill.systems.fast_aed.model import Student
from vadistill.systems.fast_aed.pseudo import (
    copy_objects,
    hurried_targets,
    paste_objects,
    pasted_targets,
)
from vadistill.systems.fast_aed.recipes import PUBLISHED, Config
from vadistill.systems.fast_aed.scoring import as_program
from vadistill.systems.fast_aed.targets import (
    LEVEL,
    Scale,
    learn_maps,
    pooled_map,
    teacher_map,
)
from vadistill.systems.fast_aed.teachers import fingerprint, open_teacher
from vadistill.systems.ssmtl.detector import Ssmtl
from vadistill.video import Frame, VideoSource

SMALL = Config(
    teachers=("motion",),
    frames=24,
    autoencoder_epochs=1,
    epochs=2,
    batch=8,
    batch_frames=4,
    alpha=0.1,
    precision="fp32",
)


def moving(seed: int, speed: float, count: int = 20) -> Video:
    rng = np.random.default_rng(seed)
    floor = rng.integers(90, 110, (64, 96, 3)).astype(np.uint8)
    video = np.repeat(floor[None], count, axis=0)
    for t in range(count):
        left = 4 + int(speed * t) % 70
        video[t, 24:44, left : left + 14] = (200, 60, 60)
    return Video(f"clip{seed}", video, fps=10.0)


@pytest.fixture(scope="module")
def train() -> Dataset:
    return Dataset("moving", "train", (moving(0, 2), moving(1, 3)))


def learn_windows(
    train: Dataset, folder: Path, *, sample: Sample, offsets: tuple[int, ...], size: Size
) -> WindowStore:
    """The windows of a data set on their own."""
    files = WindowFiles(train, folder, sample=sample, offsets=offsets, size=size)
    learn_in_one_pass(train, folder, localiser=None, wanted=(), beside=[files])
    return files.open()


def fitted_teacher(name: str, train: Dataset, work: Path) -> tuple[Detector, str]:
    """A teacher by name, fitted unless it is there already, with its fingerprint."""
    teacher, folder = open_teacher(name, train, work, localiser="background", device="cpu")
    if teacher.calibration is None:
        teacher.fit(train, out=folder, work=work)
    return teacher, fingerprint(folder)


class TestStores:
    def test_windows_are_those_of_scoring(self, train: Dataset, tmp_path: Path):
        offsets, size = (-3, 0, 3), (32, 48)
        sample = Sample.of(train, 10)
        store = learn_windows(train, tmp_path, sample=sample, offsets=offsets, size=size)
        kept = [(c, i) for c in range(2) for i in range(20) if sample.keeps(c, i)]
        assert len(store) == len(kept) == 10
        everything = learn_windows(
            train, tmp_path / "all", sample=Sample.of(train, None), offsets=offsets, size=size
        )
        assert len(everything) == 40
        hurried = everything.windows(np.arange(40), np.arange(40) % 3)
        for row, (clip, index) in enumerate(kept):
            own = store.windows(np.array([row]))[0].reshape(3, 3, *size)
            for place, offset in enumerate(offsets):
                other = index + offset if 0 <= index + offset < 20 else index
                same = everything.windows(np.array([20 * clip + other]))[0].reshape(3, 3, *size)
                np.testing.assert_array_equal(own[place], same[1])
                pace = (1, *HURRIES)[(20 * clip + index) % 3]
                shown = index + pace * offset if 0 <= index + pace * offset < 20 else index
                place_of_it = everything.windows(np.array([20 * clip + shown]))[0]
                np.testing.assert_array_equal(
                    hurried[20 * clip + index].reshape(3, 3, *size)[place],
                    place_of_it.reshape(3, 3, *size)[1],
                )

    def test_maps_are_of_the_same_frames_where_a_container_tells_another_number(
        self, train: Dataset, tmp_path: Path
    ):
        """A recording with a pause: its length times its rate are more frames than it has."""
        path = tmp_path / "pause.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for i, image in enumerate(train.videos[0].open()):
                picture = av.VideoFrame.from_ndarray(image.image)
                picture.pts = i if i < 15 else i + 30
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        clips = (Video("pause", path), train.videos[1])
        own = Dataset("own", "train", clips)
        assert (clips[0].open().info.frames or 0) > 20
        sample, size = Sample.of(own, None), (32, 48)
        teacher, _ = fitted_teacher("motion", own, tmp_path)
        store = learn_windows(own, tmp_path / "w", sample=sample, offsets=(-3, 0, 3), size=size)
        taught = learn_maps(teacher, own, tmp_path / "m", sample=sample, size=(4, 4))
        assert store.counts == [20, 20] and len(store) == len(taught)

    def test_a_teacher_of_other_footage_is_not_taken(self, train: Dataset, tmp_path: Path):
        other = Dataset("moving", "train", (moving(5, 2),))
        found = [fitted_teacher("motion", data, tmp_path)[1] for data in (train, other, train)]
        assert found[0] == found[2] != found[1]

    def test_fit_size_is_even_and_at_most_the_width(self):
        assert fit_size(360, 240, 640) == (240, 360)
        assert fit_size(1920, 1080, 640) == (360, 640)
        assert fit_size(101, 51, 50) == (26, 50)
        assert enlarged((240, 360), 640 / 360) == (426, 640)

    def test_ordinary_objects_are_level_and_others_by_how_far_they_are_beyond(self):
        scale = Scale.of(np.linspace(1, 3, 201))
        assert (scale.low, scale.half) == pytest.approx((2, 0.98))
        targets = scale(np.array([-9.0, 1.0, 2.0, 2.98, 2 + 3 * 0.98]))
        beyond = LEVEL + (1 - LEVEL) * np.array([0, 0, 0, 0.5, 0.75])
        np.testing.assert_allclose(targets, beyond, rtol=1e-6)
        assert Scale.of(np.ones(3)).half > 0 and Scale.of(np.zeros(0)).half > 0

    def test_a_teachers_boxes_are_painted_and_a_map_of_its_own_is_taken(self):
        boxes = np.array([[0, 0, 8, 8], [8, 8, 16, 16], [16, 0, 20, 4]], np.float32)
        scores = np.array([2.0, 4.0, 0.5], np.float32)
        frame = FrameScore(0, 0.0, 4.0, boxes, scores)
        painted, mask = teacher_map(frame, Scale(2.0, 2.0), 16, 24)
        assert painted.shape == mask.shape == (4, 6)
        cells = [painted[0, 0], painted[3, 3], painted[0, 4], painted[3, 0]]
        assert cells == pytest.approx([LEVEL, LEVEL + (1 - LEVEL) / 2, LEVEL, 0])
        np.testing.assert_array_equal(mask, painted > 0)
        own = np.array([[0.3, 0.4]], np.float32)  # a raised floor
        painted, mask = teacher_map(dataclasses.replace(frame, map=own), Scale(0, 1), 16, 24)
        assert (painted == own).all() and mask.tolist() == [[0, 1]]

    def test_targets_have_the_scale_of_all_training_objects(self, train: Dataset, tmp_path: Path):
        teacher, _ = fitted_teacher("motion", train, tmp_path)
        sample = Sample.of(train, None)
        store = learn_maps(teacher, train, tmp_path / "m", sample=sample, size=(8, 8))
        scored = [frame for clip in train for frame in teacher.score(clip.open())]
        objects = np.concatenate([frame.box_scores for frame in scored])
        scale = Scale.of(objects.astype(np.float64))
        maps, masks = store.maps(np.arange(40)), store.masks(np.arange(40))
        expected = [scale(f.box_scores).max(initial=0) for f in scored]
        np.testing.assert_allclose(maps.amax((1, 2)), expected, atol=1e-3)
        assert masks.amax((1, 2)).tolist() == [len(f.boxes) > 0 for f in scored]
        assert masks.equal(maps > 0) and 0 < masks.float().mean() < 0.7
        heights = np.concatenate([(f.boxes[:, 3] - f.boxes[:, 1]) / 64 for f in scored])
        np.testing.assert_allclose(store.heights, heights, rtol=1e-6)

    def test_scored_videos_are_not_scored_again(
        self, train: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        teacher, _ = fitted_teacher("motion", train, tmp_path)
        teach, seen = teacher.teach, []

        def killed(source: VideoSource) -> Iterator[FrameScore]:
            seen.append(source.info.name)
            if len(seen) == 2:
                raise KeyboardInterrupt
            return teach(source)

        asked: dict = {"sample": Sample.of(train, None), "size": (4, 4)}
        monkeypatch.setattr(teacher, "teach", killed)
        with pytest.raises(KeyboardInterrupt):
            learn_maps(teacher, train, tmp_path / "m", **asked)
        resumed = learn_maps(teacher, train, tmp_path / "m", **asked)
        assert seen == ["clip0", "clip1", "clip1"]
        whole = learn_maps(teacher, train, tmp_path / "n", **asked)
        assert resumed.maps(np.arange(40)).equal(whole.maps(np.arange(40)))

    def test_pooled_maps_keep_the_maximum(self):
        values = np.zeros((6, 8), np.float32)
        values[4, 5] = 0.7
        one, four, sixteen = (pooled_map(values, (side, side)) for side in (1, 4, 16))
        assert one.shape == (1, 1) and four.shape == (4, 4) and sixteen.shape == (16, 16)
        assert one[0, 0] == four.max() and 0 < sixteen.max() <= np.float32(0.7)

    def test_teachers_by_wrong_names_are_one_line(self, train: Dataset, tmp_path: Path):
        for name, message in (
            ("aed:pedd2", "teacher 'aed:pedd2': expected a recipe of"),
            ("fast_aed", "a system that is no student"),
            ("nobody", "system 'nobody'"),
        ):
            with pytest.raises(ConfigError, match=message):
                open_teacher(name, train, tmp_path, localiser="background", device="cpu")


class TestPastedObjects:
    @pytest.fixture
    def windows(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (6, 9, 60, 80), np.uint8)

    def test_the_middle_frame_changes_in_its_box_alone(self, windows: np.ndarray):
        before = windows.copy()
        boxes = paste_objects(windows, 1.0, np.random.default_rng(1))
        assert len(boxes) == len(windows)
        for was, now, box in zip(before, windows, boxes, strict=True):
            assert box is not None
            x1, y1, x2, y2 = box
            changed = (was[3:6] != now[3:6]).any(0)
            assert changed[y1:y2, x1:x2].mean() > 0.3
            changed[y1:y2, x1:x2] = False
            assert not changed.any()

    def test_the_object_moves(self, windows: np.ndarray):
        before = windows.copy()
        paste_objects(windows, 1.0, np.random.default_rng(2))
        ways = []
        for was, now in zip(before, windows, strict=True):
            places = [np.argwhere(was[c] != now[c]) for c in (0, 3, 6)]
            if all(map(len, places)):
                centres = [p.mean(0) for p in places]
                ways += [np.linalg.norm(b - a) for a, b in itertools.pairwise(centres)]
        assert len(ways) > 4 and np.median(ways) > 0.5

    def test_grey_video_stays_grey(self, windows: np.ndarray):
        grey = np.repeat(np.repeat(windows[:, :3, :, :1], 80, 3)[:, :1], 9, 1)
        before = grey.copy()
        paste_objects(grey, 1.0, np.random.default_rng(6))
        assert (grey != before).any()
        frames = grey.reshape(len(grey), 3, 3, 60, 80)
        assert (frames == frames[:, :, :1]).all()

    def test_about_the_share_gets_one_and_draws_repeat(self, windows: np.ndarray):
        many = np.repeat(windows, 20, axis=0)
        again = many.copy()
        boxes = paste_objects(many, 0.5, np.random.default_rng(3))
        assert 0.35 < np.mean([box is not None for box in boxes]) < 0.65
        assert paste_objects(again, 0.5, np.random.default_rng(3)) == boxes
        np.testing.assert_array_equal(again, many)
        untouched = [row for row, box in enumerate(boxes) if box is None]
        np.testing.assert_array_equal(many[untouched], np.repeat(windows, 20, axis=0)[untouched])

    def test_in_hurried_windows_every_object_is_abnormal(self):
        given = torch.tensor([[[0.0, 0.2]], [[0.1, 0.2]]])
        masks = torch.tensor([[[False, True]], [[False, True]]])
        changed = hurried_targets(given, masks, np.array([False, True]))
        assert changed.equal(torch.tensor([[[0.0, 0.2]], [[0.0, 1.0]]]))

    def test_targets_are_one_where_the_box_is(self):
        given = torch.full((2, 4, 4), 0.2)
        grid = pasted_targets(given, [None, (10, 0, 41, 15)], (60, 80))
        assert (grid[0] == 0.2).all()
        expected = torch.full((4, 4), 0.2)
        expected[0, 0:3] = 1.0  # cells are 20 wide and 15 high
        assert grid[1].equal(expected)
        assert (given[1] == 0.2).all(), "the teacher's maps stay as they are"

    def test_pastes_in_parts_are_as_large_and_fast_as_in_whole_frames(self):
        part = np.full((200, 9, 60, 80), 90, np.uint8)
        part[:, :, ::2] = 160
        boxes = [
            [
                box
                for box in paste_objects(part.copy(), 1.0, np.random.default_rng(1), height)
                if box
            ]
            for height in (60, 120)
        ]
        sides = [np.mean([y2 - y1 for _, y1, _, y2 in own]) for own in boxes]
        assert 1.4 < sides[1] / sides[0] < 2

    def test_copied_objects_keep_place_motion_and_targets(self, windows: np.ndarray):
        before = windows.copy()
        maps = [torch.zeros(6, 6, 8), torch.zeros(6, 6, 8)]
        masks = torch.zeros(6, 6, 8, dtype=torch.bool)
        for row in range(6):  # one object each, two cells high
            masks[row, row % 4 : row % 4 + 2, row] = True
            maps[0][row, row % 4 : row % 4 + 2, row] = 0.1 + 0.1 * row
            maps[1][row, row % 4 : row % 4 + 2, row] = 0.05
        copy_objects(windows, maps, masks, 1.0, np.random.default_rng(0))
        for row in range(6):
            (other,) = (
                o for o in range(6) if o != row and maps[0][row, o % 4, o] == maps[0][o, o % 4, o]
            )
            top, left = 10 * (other % 4), 10 * other
            inside = (slice(None), slice(top + 3, top + 17), slice(left + 3, left + 7))
            np.testing.assert_array_equal(windows[row][inside], before[other][inside])
            changed = (windows[row] != before[row]).any(0)
            changed[top : top + 20, left : left + 10] = False
            assert not changed.any()
            assert maps[1][row, other % 4, other] == pytest.approx(0.05)
            assert (maps[0][row] > 0).sum() == 4, "its own object and the other's"


class TestParts:
    """A frame whose pixels say where they are, and maps whose cells do."""

    def batches(self, train: Dataset, tmp_path: Path, **changes: object) -> Batches:
        config = dataclasses.replace(SMALL, resolutions=(1, 4, 8), **changes)
        sample = Sample.of(train, None)
        store = learn_windows(
            train, tmp_path / "w", sample=sample, offsets=(-3, 0, 3), size=(64, 96)
        )
        teacher, _ = fitted_teacher("motion", train, tmp_path)
        maps = learn_maps(teacher, train, tmp_path / "m", sample=sample, size=(8, 8))
        student = Student(config.network, (96, 144))
        return Batches.of(student, store, [maps], config)

    def test_parts_are_half_as_large_and_their_maps_are_of_them(
        self, train: Dataset, tmp_path: Path
    ):
        plain = {"hurried": 0.0, "pasted": 0.0, "copied": 0.0, "mirrored": 0.0}
        made = self.batches(train, tmp_path, **plain)
        assert made.half and made.student.size == (48, 72)
        rows = np.arange(12)
        pixels, ((one, two, four),) = made.taught(rows, 5)
        assert pixels.shape == (12, 9, 48, 72)
        assert (one.shape, two.shape, four.shape) == ((12, 1, 1), (12, 2, 2), (12, 4, 4))
        assert one.flatten().equal(four.amax((1, 2))) and two.amax((1, 2)).equal(one.flatten())
        whole = made.store.windows(rows)
        maps, places = made.teachers[0].maps(rows), set()
        for row in rows:
            found = [
                (y, x)
                for y in range(5)
                for x in range(5)
                if np.array_equal(
                    windows_at(whole[[row], :, 8 * y : 8 * y + 32, 12 * x : 12 * x + 48], (48, 72))[
                        0
                    ],
                    pixels[row],
                )
            ]
            ((y, x),) = found
            places.add((y, x))
            assert maps[row, y : y + 4, x : x + 4].equal(four[row])
        assert len(places) > 5
        again, _ = made.taught(rows, 5)
        np.testing.assert_array_equal(again, pixels)
        assert made.windows(rows, 5).shape == (12, 9, 48, 72)

    def test_whole_frames_where_they_are_asked_for(self, train: Dataset, tmp_path: Path):
        made = self.batches(train, tmp_path, crops=False)
        pixels, ((_, _, eight),) = made.taught(np.arange(4), 1)
        assert not made.half and pixels.shape == (4, 9, 96, 144) and eight.shape == (4, 8, 8)

    def test_odd_maps_have_no_halves(self):
        for resolutions in ((1, 5), (1,)):
            config = dataclasses.replace(SMALL, resolutions=resolutions)
            assert half_of(Student(config.network, (96, 144))) is None
        assert half_of(Student(SMALL.network, (32, 48))) is None, "too small for the network"

    def test_halves_share_weights_and_agree_away_from_the_cut(self):
        torch.manual_seed(0)
        student = Student(SMALL.network, (128, 192)).eval()
        half = half_of(student)
        assert half is not None
        owned = {id(p) for p in student.parameters()}
        assert {id(p) for p in half.parameters()} == owned
        windows = torch.randint(0, 256, (1, 9, 128, 192), dtype=torch.uint8)
        with torch.no_grad():
            whole, part = student.features(windows), half.features(windows[..., :64, :96])
        assert part.shape[-2:] == (4, 6)
        with torch.no_grad():
            first = student.encoder[0](student.standardise(windows))  # pyright: ignore
            own = half.encoder[0](half.standardise(windows[..., :64, :96]))  # pyright: ignore
        torch.testing.assert_close(own[..., :15, :23], first[..., :15, :23])
        assert whole.shape[-2:] == (8, 12)


class TestAverage:
    def test_it_follows_weights_and_statistics(self):
        network, average = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
        with torch.no_grad():
            network.weight.fill_(3.0)
            network.running_mean.fill_(1.0)  # pyright: ignore[reportOptionalMemberAccess]
            network.num_batches_tracked.fill_(7)  # pyright: ignore[reportOptionalMemberAccess]
        training.follow(average, network, 0.75)
        assert average.weight.tolist() == [1.5, 1.5]
        assert average.running_mean is not None and average.running_mean.tolist() == [0.25, 0.25]
        assert average.num_batches_tracked == 7

    def test_it_is_what_scores(self, train: Dataset, tmp_path: Path):
        found = []
        for kept in (0.0, 0.9):
            config = dataclasses.replace(SMALL, epochs=1, average=kept)
            detector = FastAed(config, device="cpu").fit(
                train, out=tmp_path / f"{kept}.vad", work=tmp_path / "work"
            )
            found.append(detector.student.branches[0][1].layers[-2].bias.item())  # pyright: ignore
        assert found[0] != found[1]


def test_mirrored_windows_have_mirrored_maps():
    windows = np.arange(2 * 9 * 2 * 3, dtype=np.uint8).reshape(2, 9, 2, 3)
    maps = [torch.tensor([[[0.1]], [[0.2]]]), torch.arange(8.0).view(2, 2, 2)]
    turned, ((whole, grid),) = batches.mirror(windows, [maps], np.array([False, True]))
    np.testing.assert_array_equal(turned[0], windows[0])
    np.testing.assert_array_equal(turned[1], windows[1, :, :, ::-1])
    assert whole.equal(maps[0])
    assert grid.tolist() == [[[0, 1], [2, 3]], [[5, 4], [7, 6]]]


GOLDEN = (0.65897, 0.21684, 1.38727)
"""Total losses of the first and the tenth step (CPU, fp32)."""


class TestSteps:
    def test_ten_golden_steps(self):
        torch.manual_seed(0)
        published = {"alpha": 0.1, "balanced": False, "discriminator_rate": 1e-4}
        config = dataclasses.replace(SMALL, **published)
        student = Student(config.network, (32, 48))
        judges = torch.nn.ModuleList([_judge(student)])
        optimiser = training.adam(student, config.learning_rate, config)
        judging = training.adam(judges, config.discriminator_rate, config)
        generator = torch.Generator().manual_seed(1)
        windows = torch.randint(0, 256, (4, 9, 32, 48), generator=generator, dtype=torch.uint8)
        sizes = student.architecture.sizes
        targets = [[torch.rand(4, *size, generator=generator) for size in sizes]]
        losses = []
        for _ in range(10):
            losses.append(
                training.distillation_losses(
                    student, judges, judging, windows, targets, config, torch.device("cpu")
                )
            )
            optimiser.zero_grad()
            losses[-1]["total"].backward()
            optimiser.step()
        first, last = losses[0], losses[-1]
        assert last["kd"] < first["kd"]
        assert first["total"].item() == pytest.approx(GOLDEN[0], rel=2e-3)
        assert last["total"].item() == pytest.approx(GOLDEN[1], rel=2e-2)
        assert last["discriminator"].item() == pytest.approx(GOLDEN[2], rel=5e-3)

    @pytest.mark.parametrize("change", [{"branches": True}, {"joint_discriminator": True}, {}])
    def test_variants_of_two_teachers(self, change: dict):
        """Table 6: a branch a teacher, one discriminator for both, or one of each for each."""
        torch.manual_seed(0)
        config = dataclasses.replace(SMALL, teachers=("motion", "cafe"), **change)
        student = Student(config.network, (32, 48))
        joint = config.joint_discriminator
        made = [Discriminator.of(student.architecture, outputs=3 if joint else 1)]
        judges = torch.nn.ModuleList(made if joint else [made[0], _judge(student)])
        judging = training.adam(judges, config.discriminator_rate, config)
        windows = torch.randint(0, 256, (4, 9, 32, 48), dtype=torch.uint8)
        targets = [[torch.rand(4, *s) for s in student.architecture.sizes] for _ in range(2)]
        before = [value.clone() for value in judges.parameters()]
        losses = training.distillation_losses(
            student, judges, judging, windows, targets, config, torch.device("cpu")
        )
        assert all(torch.isfinite(value) and value > 0 for value in losses.values())
        assert not any(b.equal(v) for b, v in zip(before, judges.parameters(), strict=True))
        judging.zero_grad()
        losses["total"].backward()
        assert any(p.grad is not None and p.grad.any() for p in student.parameters())
        assert not any(p.grad is not None for p in judges.parameters())

    def test_the_adversary_pulls_a_part_as_hard_as_plain_distillation(self):
        torch.manual_seed(0)
        student = Student(SMALL.network, (32, 48))
        windows = torch.randint(0, 256, (4, 9, 32, 48), dtype=torch.uint8)
        targets = [[torch.rand(4, *s) for s in student.architecture.sizes]]
        found = []
        for balanced in (False, True):
            config = dataclasses.replace(SMALL, alpha=0.1, balanced=balanced)
            torch.manual_seed(1)
            judges = torch.nn.ModuleList([_judge(student)])
            judging = training.adam(judges, config.discriminator_rate, config)
            losses = training.distillation_losses(
                student, judges, judging, windows, targets, config, torch.device("cpu")
            )
            found.append((losses["total"] - losses["kd"]).item() / losses["akd"].item())
        assert found[0] == pytest.approx(0.1)
        assert found[1] > 0.2, "of an untrained discriminator, the pull is weak"
        alone = dataclasses.replace(SMALL, alpha=0.1, lambda_kd=0.0)
        judging = training.adam(judges, 0.0, alone)
        losses = training.distillation_losses(
            student, judges, judging, windows, targets, alone, torch.device("cpu")
        )
        assert losses["total"].item() == pytest.approx(0.1 * losses["akd"].item())

    def test_discriminators_learn_within_a_few_epochs(self):
        """Painted boxes from the blurred ones of a student, on the default's maps."""
        torch.manual_seed(0)
        sizes = SMALL.network.at((64, 96)).sizes
        judge = Discriminator(sizes)
        judging = training.adam(judge, SMALL.discriminator_rate, SMALL)
        untrained = 2 * np.log(2)
        for _ in range(300):
            sharp = torch.zeros(16, 16, 16)
            for row, (y, x) in enumerate(torch.randint(0, 12, (16, 2)).tolist()):
                sharp[row, y : y + 4, x : x + 2] = 0.05 if row % 4 else 1.0
            blurred = torch.nn.functional.avg_pool2d(sharp[:, None], 5, 1, 2)[:, 0]
            loss = discriminator_loss(
                judge, pool_targets(sharp, sizes), pool_targets(blurred, sizes)
            )
            judging.zero_grad()
            loss.backward()
            judging.step()
        assert loss.item() < 0.8 * untrained

    def test_without_alpha_there_is_no_adversary(self):
        config = dataclasses.replace(SMALL, alpha=0.0)
        student = Student(config.network, (32, 48))
        judges = torch.nn.ModuleList()
        windows = torch.zeros(2, 9, 32, 48, dtype=torch.uint8)
        targets = [[torch.rand(2, *s) for s in student.architecture.sizes]]
        losses = training.distillation_losses(
            student, judges, None, windows, targets, config, torch.device("cpu")
        )
        assert losses["akd"] == losses["discriminator"] == 0
        assert losses["total"] == losses["kd"]


def _judge(student: Student) -> Discriminator:
    return Discriminator.of(student.architecture)


class Passes(VideoSource):
    """A source that counts how often it is decoded."""

    def __init__(self, source: VideoSource, counts: dict[str, int]) -> None:
        self.source, self.info, self.counts = source, source.info, counts

    def __iter__(self) -> Iterator[Frame]:
        self.counts[self.info.name] = self.counts.get(self.info.name, 0) + 1
        yield from self.source


class TestOnePass:
    def test_video_is_decoded_three_times(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Twice for what the localiser learns, once for both teachers and the student.

        As parts of other models, whose levels nobody needs.
        """
        counts: dict[str, int] = {}

        class Counted(Video):
            def open(self) -> VideoSource:
                return Passes(super().open(), counts)

        clips = [Counted(c.name, c.source, fps=10.0) for c in (moving(0, 2), moving(1, 3))]
        train = Dataset("moving", "train", tuple(clips))
        tiny = {"frames": 12, "epochs": 1, "precision": "fp32"}
        recipes = {
            Aed: lambda: aed.Config(adversarial_after=1, classifier_epochs=1, **tiny),
            Ssmtl: lambda: ssmtl.Config(batch=8, **tiny),
        }
        for kind, recipe in recipes.items():
            monkeypatch.setattr(kind, "RECIPES", {"tiny": recipe})
        config = dataclasses.replace(SMALL, teachers=("aed", "ssmtl"), frames=12, epochs=1)
        work = tmp_path / "work"
        FastAed(config, device="cpu").fit(train, out=tmp_path / "m.vad", work=work, part=True)
        assert counts == {"clip0": 3, "clip1": 3}
        counts.clear()
        again = dataclasses.replace(config, resolutions=(1, 8))
        FastAed(again, device="cpu").fit(train, out=tmp_path / "n.vad", work=work, part=True)
        assert not counts, "other maps of the same frames need no decoding"


class TestDetector:
    @pytest.fixture(scope="class")
    def fitted(self, train: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple:
        path = tmp_path_factory.mktemp("fast") / "m.vad"
        return FastAed(SMALL, device="cpu").fit(train, out=path), path

    def test_a_size_that_no_training_video_has_is_refused(self, fitted: tuple, tmp_path: Path):
        shutil.copytree(fitted[1], tmp_path / "m.vad")
        file = tmp_path / "m.vad/config.json"
        facts = json.loads(file.read_text())
        # Its pictures are few enough for a frame; the student of them takes ten GB.
        file.write_text(json.dumps({**facts, "size": [1000000, 64]}))
        with pytest.raises(WeightsError, match=r"m\.vad: a student of 64x1000000 pixels"):
            vadistill.load(tmp_path / "m.vad", device="cpu")

    def test_saved_and_loaded_scores_are_equal(self, fitted: tuple):
        detector, path = fitted
        clip = moving(7, 5)
        scores = detector.score(clip.open())
        assert len(scores) == 20 and np.isfinite(scores.raw).all()
        again = vadistill.load(path, device="cpu").score(clip.open())
        np.testing.assert_array_equal(again.raw, scores.raw)
        assert {f.map.shape for f in scores if f.map is not None} == {(16, 16)}
        kept = {p.name for p in path.iterdir()} - {LOG}
        assert kept == {"config.json", "weights.safetensors"}

    def test_small_objects_are_seen_enlarged_up_to_the_width(
        self, fitted: tuple, train: Dataset, tmp_path: Path
    ):
        detector, _ = fitted
        assert 1 < detector.times <= 640 / 96
        assert detector.student.size == enlarged((64, 96), detector.times)
        narrow = dataclasses.replace(SMALL, width=120, epochs=1, autoencoder_epochs=0)
        assert FastAed(narrow, device="cpu").fit(train, out=tmp_path / "m.vad").times == 1.25

    def test_an_earlier_version_s_model_scores_as_it_did(self, train: Dataset, tmp_path: Path):
        config = dataclasses.replace(SMALL, epochs=1, **PUBLISHED)
        detector = FastAed(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        assert detector.student.size == (64, 96)
        file = tmp_path / "m.vad/config.json"
        facts = json.loads(file.read_text())
        del facts["times"]
        for name in PUBLISHED:
            del facts["config"][name]
        file.write_text(json.dumps(facts))
        loaded = vadistill.load(tmp_path / "m.vad", device="cpu")
        assert loaded.config == config
        clip = moving(7, 5)
        np.testing.assert_array_equal(
            loaded.score(clip.open()).raw, detector.score(clip.open()).raw
        )

    def test_weights_of_another_version_are_one_line(self, fitted: tuple, tmp_path: Path):
        detector, _ = fitted
        path = tmp_path / "old.vad"
        tensors, facts = detector.state()
        renamed = {key.replace("encoder.0.", "stem."): value for key, value in tensors.items()}
        assert renamed.keys() != tensors.keys()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(detector, "state", lambda: (renamed, facts))
            detector.save(path)
        with pytest.raises(WeightsError, match="not those of this version") as caught:
            vadistill.load(path, device="cpu")
        assert "\n" not in str(caught.value)

    def test_streaming_equals_whole_windows(self, fitted: tuple, tmp_path: Path):
        detector, _ = fitted
        clip = moving(8, 4)
        streamed = detector.score(clip.open()).raw
        alone = Dataset("one", "train", (clip,))
        store = learn_windows(
            alone,
            tmp_path,
            sample=Sample.of(alone, None),
            offsets=detector.architecture.offsets,
            size=(64, 96),
        )
        whole, _ = detector.runtime(windows_at(store.windows(np.arange(20)), detector.student.size))
        np.testing.assert_allclose(streamed, whole, atol=1e-6)

    def test_every_frame_is_resized_once(self, fitted: tuple, monkeypatch: pytest.MonkeyPatch):
        seen = []
        resized = detector_module.resized
        monkeypatch.setattr(
            detector_module, "resized", lambda image, size: seen.append(0) or resized(image, size)
        )
        fitted[0].score(moving(8, 4).open())
        assert len(seen) == 20

    def test_runtimes_agree(self, fitted: tuple):
        student = fitted[0].student
        windows = np.random.default_rng(0).integers(0, 255, (3, 9, *student.size), np.uint8)
        scores, maps = [], []
        for name in ("torch", "onnx", "onnx-int8"):
            program = as_program(student, name, int8=[(windows,)])
            made = open_runtime(program, name, torch.device("cpu"))(windows)
            scores.append(made[0])
            maps.append(made[1])
        np.testing.assert_allclose(scores[1], scores[0], atol=1e-4)
        np.testing.assert_allclose(maps[1], maps[0], atol=1e-4)
        np.testing.assert_allclose(scores[2], scores[0], atol=0.05)
        assert not np.array_equal(scores[2], scores[0])

    def test_int8_is_saved_and_loaded(self, train: Dataset, tmp_path: Path):
        config = dataclasses.replace(SMALL, runtime="onnx-int8", epochs=1)
        detector = FastAed(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        loaded = vadistill.load(tmp_path / "m.vad", device="cpu")
        clip = moving(7, 5)
        np.testing.assert_array_equal(
            loaded.score(clip.open()).raw, detector.score(clip.open()).raw
        )

    def test_table5_scores_reconstruction_without_distillation(
        self, train: Dataset, tmp_path: Path
    ):
        config = dataclasses.replace(SMALL, teachers=(), autoencoder_epochs=1)
        detector = FastAed(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        assert detector.decoder is not None
        windows = np.random.default_rng(0).integers(0, 255, (2, 9, *detector.student.size))
        pixels = torch.from_numpy(windows.astype(np.uint8))
        with torch.inference_mode():
            rebuilt = detector.decoder(detector.student.features(pixels))
            expected = [
                reconstruction_loss(rebuilt[i : i + 1], standardise(pixels[i : i + 1, 3:6].float()))
                for i in range(2)
            ]
        scores, maps = detector.runtime(pixels.numpy())
        np.testing.assert_allclose(scores, torch.stack(expected), rtol=1e-5)
        np.testing.assert_allclose(maps.mean((1, 2)), scores, rtol=1e-5)
        clip = moving(7, 5)
        np.testing.assert_array_equal(
            vadistill.load(tmp_path / "m.vad", device="cpu").score(clip.open()).raw,
            detector.score(clip.open()).raw,
        )
        for rate in (-1.0, float("nan")):
            with pytest.raises(ConfigError, match="expected 0 or more; correct --autoencoder-rate"):
                dataclasses.replace(SMALL, autoencoder_rate=rate)
        with pytest.raises(ConfigError, match="no teachers and no auto-encoder phase"):
            FastAed(dataclasses.replace(config, autoencoder_epochs=0), device="cpu")

    def test_the_share_of_mirrored_windows_is_the_setting(
        self, train: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        seen, mirror = [], batches.mirror
        monkeypatch.setattr(
            batches, "mirror", lambda *given: (seen.append(given[2].mean()), mirror(*given))[1]
        )
        config = dataclasses.replace(SMALL, mirrored=1.0, epochs=1, autoencoder_epochs=0)
        FastAed(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        assert seen and set(seen) == {1.0}

    @pytest.mark.parametrize("phase", ["auto-encoder", "distillation"])
    def test_kill_in_either_phase_and_resume_is_no_kill(
        self,
        fitted: tuple,
        train: Dataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        phase: str,
    ):
        kill_at(monkeypatch, phase, losses_of(fitted[1])[phase]["step"].astype(int)[-1])
        with pytest.raises(KeyboardInterrupt):
            FastAed(SMALL, device="cpu").fit(train, out=tmp_path / "m.vad")
        monkeypatch.undo()
        resumed = FastAed(SMALL, device="cpu").fit(train, out=tmp_path / "m.vad")
        clip = moving(9, 3)
        np.testing.assert_array_equal(
            resumed.score(clip.open()).raw, fitted[0].score(clip.open()).raw
        )
