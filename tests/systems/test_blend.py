"""The blend: how members become one, in lock-step and in constant memory, and what is kept."""

from __future__ import annotations

import logging
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import vadistill
from support.scenes import HEIGHT, WIDTH, planted, training
from vadistill.cli import main
from vadistill.datasets import Dataset
from vadistill.datasets.sampling import PIECE, pieces
from vadistill.errors import ConfigError
from vadistill.loss_log import losses_of
from vadistill.scores import NO_TRAITS, FrameScore
from vadistill.serving.live.batching import Batching
from vadistill.systems import blend, cafe, dakd, fast_aed, motion
from vadistill.systems.blend.merging import Merging, joined, lock_step
from vadistill.video import Frame, VideoInfo, VideoSource, open_video


def said(score: float, boxes: list[list[int]], values: list[float], **more) -> FrameScore:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return FrameScore(3, 0.3, score, corners, np.array(values, np.float32), **more)


LEFT, RIGHT = [0, 0, 10, 20], [50, 0, 60, 20]
NEAR_LEFT = [1, 0, 11, 20]


class TestMerging:
    normal = np.stack([np.linspace(0, 1, 1001), np.linspace(10, 30, 1001)], 1)

    def merging(self, combine: blend.Combine) -> Merging:
        return Merging.fit(self.normal, ("a", "b"), combine=combine, overlap=0.5)

    def test_normal_footage_is_from_0_to_1(self):
        scaled = (self.normal - self.merging("mean").low) / self.merging("mean").width
        assert np.quantile(scaled, 0.5, axis=0) == pytest.approx([0, 0])
        assert np.quantile(scaled, 0.99, axis=0) == pytest.approx([1, 1])

    @pytest.mark.parametrize(("combine", "wanted"), [("mean", 1.5), ("maximum", 2.0)])
    def test_scores_are_combined_on_one_scale(self, combine: blend.Combine, wanted: float):
        frames = [said(0.5 + 2 * 0.49, [], []), said(20 + 9.8, [], [])]
        assert self.merging(combine)(frames).score == pytest.approx(wanted)

    def test_where_most_frames_score_alike_the_rest_tells_the_scale(self):
        normal = np.zeros((1000, 2))
        normal[-5:, 0] = 4
        merging = Merging.fit(normal, ("a", "b"), combine="maximum", overlap=0.5)
        assert merging.scores(np.array([[4.0, 0.0], [0.0, 3.0]])) == pytest.approx([10, 3])

    def test_boxes_of_one_object_are_one(self):
        objects, rows = joined(
            [np.array([LEFT, RIGHT], np.float32), np.array([NEAR_LEFT], np.float32)], 0.5
        )
        assert objects.tolist() == [LEFT, RIGHT] and rows.tolist() == [[0, 0], [1, -1]]

    def test_each_object_has_one_box_of_a_member(self):
        """Two boxes of one member lie on one of the other's."""
        own = np.array([NEAR_LEFT, LEFT], np.float32)
        objects, rows = joined([np.array([LEFT], np.float32), own], 0.5)
        assert objects.tolist() == [LEFT, NEAR_LEFT] and rows.tolist() == [[0, 1], [-1, 0]]

    def test_traits_stand_side_by_side(self):
        """A member that tells none has no columns, one without a box of an object NaN."""
        traits = [np.array([[1, 2], [3, 4]], np.float32), np.array([[5]], np.float32)]
        frames = [
            said(0.5, [LEFT, RIGHT], [0.4, 0.5], traits=traits[0]),
            said(20, [NEAR_LEFT], [20], traits=traits[1]),
        ]
        found = self.merging("mean")(frames).traits
        np.testing.assert_array_equal(found, [[1, 2, 5], [3, 4, np.nan]])
        silent = [replace(frame, traits=NO_TRAITS) for frame in frames]
        assert self.merging("mean")(silent).traits.shape == (2, 0)
        nothing = [said(0.5, [], []), said(20, [], [])]
        assert self.merging("maximum")(nothing).traits.shape == (0, 0)

    def test_the_maximum_keeps_the_larger_score(self):
        frames = [
            said(1.48, [LEFT, RIGHT], [0.5, 1.48]),  # 0 and 2
            said(29.8, [NEAR_LEFT], [29.8]),  # 1
        ]
        made = self.merging("maximum")(frames)
        assert made.boxes.tolist() == [LEFT, RIGHT]
        assert made.box_scores == pytest.approx([1, 2])
        assert (made.score, made.index, made.time) == (pytest.approx(2), 3, 0.3)

    def test_with_the_mean_the_highest_box_has_the_frames_score(self):
        frames = [said(1.48, [LEFT, RIGHT], [0.5, 1.48]), said(29.8, [NEAR_LEFT], [29.8])]
        made = self.merging("mean")(frames)
        # Means are 0.5 and 1; that of the highest scores is 1.5.
        assert made.score == pytest.approx(1.5)
        assert made.box_scores == pytest.approx([1.0, 1.5])

    def test_parts_are_the_members_and_the_reason_is_of_the_highest(self):
        fast, odd = {"reason": "fast", "parts": {"mean": 7.0}}, {"reason": "odd"}
        made = self.merging("mean")([said(1.48, [], [], **fast), said(29.8, [], [], **odd)])
        assert made.parts == {"a": pytest.approx(2), "b": pytest.approx(1), "a/mean": 7.0}
        assert made.reason == "fast"
        made = self.merging("mean")([said(0.99, [], [], **fast), said(39.6, [], [], **odd)])
        assert made.reason == "odd"
        assert self.merging("mean")([said(1.48, [], []), said(29.8, [], [], **odd)]).reason == "odd"

    def test_maps_are_of_those_that_have_one(self):
        heat = np.full((4, 6), 0.5 + 0.49, np.float32)
        coarse = np.full((2, 3), 20.0, np.float32)
        frames = [said(0.5, [], [], map=heat), said(20, [], [])]
        assert self.merging("mean")(frames).map == pytest.approx(np.ones((4, 6)))
        frames[1] = said(20, [], [], map=coarse)
        assert self.merging("mean")(frames).map == pytest.approx(np.full((4, 6), 0.5))
        assert self.merging("maximum")(frames).map == pytest.approx(np.ones((4, 6)))


@pytest.fixture(scope="module")
def train() -> Dataset:
    return training("one-class")


@pytest.fixture(scope="module")
def models(train: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Fitted members in folders, and a blend of both."""
    root = tmp_path_factory.mktemp("members")
    speed = motion.Motion(motion.Config()).fit(train, out=root / "motion.vad")
    config = cafe.Config(epochs=2, consistency_after=1, batch=32, frames=60, batch_frames=8)
    taught = cafe.Cafe(config, device="cpu").fit(train, out=root / "cafe.vad")
    of = (str(root / "motion.vad"), str(root / "cafe.vad"))
    both = blend.Blend(blend.Config(of=of), device="cpu").fit(train, out=root / "both.vad")
    return SimpleNamespace(root=root, motion=speed, cafe=taught, both=both, of=of)


class Watched(VideoSource):
    """Noise without an end, of which it counts the frames that still live."""

    def __init__(self) -> None:
        self.info = VideoInfo("endless", WIDTH, HEIGHT, 10, None)
        self.passes = self.given = self.most = 0
        self._alive: list[weakref.ref[np.ndarray]] = []

    def __iter__(self) -> Iterator[Frame]:
        self.passes += 1
        pictures = planted(7, anomaly=False).source
        assert isinstance(pictures, np.ndarray)
        while True:
            image = pictures[self.given % len(pictures)].copy()
            self._alive.append(weakref.ref(image))
            yield Frame(self.given, self.given / 10, image)
            del image
            self.given += 1
            self._alive = [each for each in self._alive if each() is not None]
            self.most = max(self.most, len(self._alive))


class TestStream:
    def test_an_endless_video_is_read_once_and_few_frames_are_held(self, models: SimpleNamespace):
        assert models.both.latency == models.cafe.latency == models.cafe.lookahead + 7
        source = Watched()
        stream = models.both.stream(source)
        assert [next(stream).index for _ in range(100)] == list(range(100))
        assert source.passes == 1
        assert source.given <= 100 + models.both.latency
        assert source.most <= models.both.latency + 4

    def test_it_is_what_the_members_say(self, models: SimpleNamespace):
        video = planted(10)
        rows = np.stack([models.motion.score(video).raw, models.cafe.score(video).raw], 1)
        np.testing.assert_allclose(models.both.score(video).raw, models.both.merging.scores(rows))
        assert rows.shape == (48, 2)

    def test_a_member_that_reads_twice_is_an_error(self, models: SimpleNamespace):
        class Twice(motion.Motion):
            def stream(self, source: VideoSource) -> Iterator[FrameScore]:
                seen = sum(1 for _ in source)
                yield from super().stream(source)
                assert seen

        twice = Twice.load(models.root / "motion.vad")
        with pytest.raises(ConfigError, match="motion reads its video twice"):
            list(lock_step([twice, models.cafe], planted(10).open()))

    def test_a_camera_waits_for_the_members_alone(self, models: SimpleNamespace):
        batching = Batching()
        camera = models.both.for_camera(batching.merge)
        reach = max(models.motion.lookahead, models.cafe.lookahead)
        assert camera.latency == models.both.lookahead == reach < models.both.latency
        assert all(twin is not models.both.members[n] for n, twin in camera.members.items())
        batching.close()


class TestFit:
    def test_members_in_folders_are_copied_in(self, models: SimpleNamespace, tmp_path: Path):
        of = [shutil.copytree(folder, tmp_path / Path(folder).name) for folder in models.of]
        video = planted(10)
        made = blend.Blend(blend.Config(of=tuple(map(str, of)))).fit(
            training("one-class"), out=tmp_path / "both.vad"
        )
        wanted = made.score(video).raw
        for folder in of:
            shutil.rmtree(folder)
        loaded = vadistill.load(tmp_path / "both.vad", device="cpu")
        assert isinstance(loaded, blend.Blend)
        np.testing.assert_array_equal(loaded.score(video).raw, wanted)
        np.testing.assert_array_equal(models.both.score(video).raw, wanted)
        assert list(loaded.members) == ["motion", "cafe"]
        assert loaded.members["cafe"].footage is not None
        assert loaded.members["cafe"].footage["hash"] == models.cafe.footage["hash"]

    def test_other_footage_is_told(
        self,
        models: SimpleNamespace,
        train: Dataset,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ):
        def fitted(videos: Dataset, name: str) -> list[str]:
            caplog.clear()
            with caplog.at_level(logging.WARNING, logger="vadistill"):
                blend.Blend(blend.Config(of=models.of)).fit(videos, out=tmp_path / name)
            return caplog.messages

        assert fitted(train, "same.vad") == []
        lines = fitted(replace(train, videos=train.videos[:2]), "other.vad")
        assert [line.partition(" was fitted on other footage")[0] for line in lines] == [
            f"member {folder}" for folder in models.of
        ]

    def test_another_combination_fits_nothing(self, models: SimpleNamespace):
        highest = models.both.combined("maximum")
        rows = models.both.normal
        low, high = np.quantile(rows, (0.5, 0.99), axis=0)
        wanted = ((rows - low) / (high - low)).max(1)
        assert highest.config.combine == "maximum" and models.both.config.combine == "mean"
        np.testing.assert_allclose(
            highest.calibration.quantiles[[0, -1]], [wanted.min(), wanted.max()]
        )
        video = planted(10)
        assert (highest.score(video).raw >= models.both.score(video).raw).all()

    def test_losses_are_kept_by_member(self, models: SimpleNamespace):
        kept = losses_of(models.root / "both.vad")
        own = losses_of(models.root / "cafe.vad")
        assert list(kept) == [f"cafe/{stage}" for stage in own]
        np.testing.assert_array_equal(kept["cafe/student"]["total"], own["student"]["total"])

    def test_a_second_one_of_a_system_has_a_name_of_its_own(
        self, models: SimpleNamespace, train: Dataset, tmp_path: Path
    ):
        config = blend.Config(of=(models.of[0], "motion"), frames=30)
        made = blend.Blend(config).fit(train, out=tmp_path / "m.vad")
        assert list(made.members) == ["motion", "motion-2"]
        again = blend.Blend.load(tmp_path / "m.vad")
        assert again.score(planted(10)).raw == pytest.approx(made.score(planted(10)).raw)

    def test_the_localiser_is_that_of_members_that_are_fitted(
        self, models: SimpleNamespace, train: Dataset, tmp_path: Path
    ):
        config = blend.Config(of=("motion", models.of[0]), localiser="motion", frames=30)
        made = blend.Blend(config).fit(train, out=tmp_path / "m.vad")
        assert [m.config.localiser for m in made.members.values()] == ["motion", "auto"]

    def test_what_cannot_be_a_blend(self, models: SimpleNamespace, train: Dataset, tmp_path: Path):
        with pytest.raises(ConfigError, match="two members at least"):
            blend.Config(of=("motion",))
        weak = dakd.Dakd(dakd.Config(epochs=1, segments=3)).fit(
            training("weak"), out=tmp_path / "dakd.vad"
        )
        assert weak.calibration is not None
        for other in ("dakd", "blend", str(tmp_path / "dakd.vad"), str(models.root / "both.vad")):
            made = blend.Blend(blend.Config(of=("motion", other)))
            with pytest.raises(ConfigError, match="members that learn from normal video"):
                made.fit(train, out=tmp_path / "m.vad")
        with pytest.raises(ConfigError, match="member 'motion:ped3'"):
            blend.Blend(blend.Config(of=("cafe", "motion:ped3"))).fit(train, out=tmp_path / "m.vad")

    def test_it_teaches(self, models: SimpleNamespace, train: Dataset, tmp_path: Path):
        config = fast_aed.Config(
            teachers=(str(models.root / "both.vad"),), autoencoder_epochs=1, epochs=2, frames=20
        )
        student = fast_aed.FastAed(config, device="cpu").fit(train, out=tmp_path / "s.vad")
        assert student.teacher_facts[0]["system"] == "blend"
        assert len(student.score(planted(10))) == 48


class TestPieces:
    def test_evenly_spaced_from_one_pass(self):
        opened = 0

        class Once(VideoSource):
            def __init__(self) -> None:
                self.inner = open_video(np.zeros((1000, 4, 4, 3), np.uint8), fps=10)
                self.info = self.inner.info

            def __iter__(self) -> Iterator[Frame]:
                nonlocal opened
                opened += 1
                for frame in self.inner:
                    yield Frame(
                        frame.index, frame.time, np.full((4, 4, 3), frame.index % 251, np.uint8)
                    )

        found = [list(piece) for piece in pieces(Once(), 1000, 2 * PIECE)]
        assert opened == 1
        assert [len(piece) for piece in found] == [PIECE, PIECE]
        assert [int(piece[0].image[0, 0, 0]) for piece in found] == [200, 700 % 251]
        assert [(p[0].index, p[0].time, p[-1].index) for p in found] == [(0, 0.0, PIECE - 1)] * 2

    def test_a_short_video_is_one_piece(self):
        source = open_video(np.zeros((30, 4, 4, 3), np.uint8), fps=10)
        (piece,) = pieces(source, 30, 40)
        assert [frame.index for frame in piece] == list(range(30))


def test_a_member_is_not_overwritten(
    models: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(models.of[0], tmp_path / "m.vad")
    (tmp_path / "normal").mkdir()
    before = (tmp_path / "m.vad" / "config.json").read_bytes()
    argv = ["fit", "blend", str(tmp_path / "normal"), "--out", str(tmp_path / "m.vad")]
    assert main([*argv, "--overwrite", "--of", str(tmp_path / "m.vad"), models.of[1]]) == 2
    assert "which is an input" in capsys.readouterr().err
    assert (tmp_path / "m.vad" / "config.json").read_bytes() == before


def test_info_tells_its_members(models: SimpleNamespace, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(models.root / "both.vad")]) == 0
    shown = capsys.readouterr().out
    for fact in ("localiser of motion", "cafe settings", "  cafe epochs", "(default: 12)"):
        assert fact in shown
    assert "student" not in shown and "sizes" not in shown
    assert main(["info", str(models.root / "both.vad"), "--all"]) == 0
    shown = capsys.readouterr().out
    for fact in ("members.cafe.config.student", "members.motion.footage.sizes", "144x96"):
        assert fact in shown
