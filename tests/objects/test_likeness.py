"""How near two objects are that count as one thing that comes again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vadistill
from support.scenes import training
from vadistill.datasets import Dataset, Video
from vadistill.datasets.sampling import PIECE
from vadistill.objects.likeness import FRAMES, READ, apart, learned_radius, radius
from vadistill.scores import FrameScore
from vadistill.systems.motion import Motion
from vadistill.video import Frame, VideoInfo, VideoSource


def seen(traits: np.ndarray, *, at: float = 0.0) -> FrameScore:
    """A frame with objects at one place, whose score is their first trait."""
    boxes = np.tile(np.array([at, 0, at + 10, 20], np.float32), (len(traits), 1))
    scores = traits[:, 0].copy()
    return FrameScore(0, 0.0, float(scores.max()), boxes, scores, traits=traits)


class TestApart:
    def test_the_trait_that_differs_most_counts(self):
        one, other = np.array([[1, 2]], np.float32), np.array([[1.5, 4], [0, 2]], np.float32)
        np.testing.assert_array_equal(apart(one, other), [[2, 1]])
        assert apart(one, other[:0]).shape == (1, 0)

    def test_what_is_missing_is_like_what_is_missing(self):
        nothing = np.nan
        one = np.array([[1, nothing]], np.float32)
        other = np.array([[1.5, nothing], [1, 2]], np.float32)
        np.testing.assert_array_equal(apart(one, other), [[0.5, np.inf]])


class TestRadius:
    def pieces(self, spread: float, **more: float) -> list[list[FrameScore]]:
        rng = np.random.default_rng(0)
        return [
            [seen(rng.normal(0, spread, (3, 2)).astype(np.float32), **more) for _ in range(10)]
            for _ in range(6)
        ]

    def test_it_goes_with_the_spread_of_normal_footage(self):
        narrow, wide = radius(self.pieces(1.0)), radius(self.pieces(5.0))
        assert narrow and wide == pytest.approx(5 * narrow, rel=1e-4)

    def test_a_tenth_of_what_passes_at_one_place_is_nearer(self):
        pieces = self.pieces(1.0)
        traits = np.stack([np.concatenate([f.traits for f in own]) for own in pieces])
        high = traits[..., 0] >= np.quantile(traits[..., 0], 0.9)
        near = [
            apart(traits[i][high[i]], traits[j]).ravel()
            for i in range(6)
            for j in range(6)
            if i != j
        ]
        found = radius(pieces)
        assert found and (np.concatenate(near) < found).mean() == pytest.approx(0.1, abs=0.002)

    def test_things_elsewhere_or_at_the_same_time_do_not_tell(self):
        pieces = self.pieces(1.0)
        elsewhere = [
            [seen(frame.traits, at=50.0 * i) for frame in piece] for i, piece in enumerate(pieces)
        ]
        assert radius(elsewhere) is None
        assert radius([[frame for piece in pieces for frame in piece]]) is None
        assert radius([]) is None
        assert radius([[FrameScore(0, 0.0, 1.0)]]) is None

    def test_many_objects_need_little_memory(self):
        """Of a crowd, whose scores are all the same, so that all are the highest."""
        rng = np.random.default_rng(0)
        crowd = []
        for _ in range(6):
            traits = rng.normal(0, 1, (5_000, 2)).astype(np.float32)
            crowd.append([replace(seen(traits), box_scores=np.ones(len(traits), np.float32))])
        tracemalloc.start()
        found = radius(crowd)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found and most < 200e6 and found == radius(crowd)
        few = [
            [
                replace(
                    frame[0],
                    boxes=frame[0].boxes[:300],
                    box_scores=frame[0].box_scores[:300],
                    traits=frame[0].traits[:300],
                )
            ]
            for frame in crowd
        ]
        assert found == pytest.approx(radius(few), rel=0.1)

    def test_where_a_tenth_do_not_differ_there_is_none(self):
        assert radius([[seen(np.zeros((8, 2), np.float32))] for _ in range(6)]) is None


class TestWhatIsRead:
    """A radius needs so many frames, of videos of any number and length."""

    def read(self, *lengths: int) -> list[tuple[int, int, int]]:
        """Of each piece its video, its length, and how far the video was decoded."""
        found, decoded = [], [0] * len(lengths)
        small = np.zeros((2, 2, 3), np.uint8)

        class Told(VideoSource):
            def __init__(self, number: int) -> None:
                self.number = number
                self.info = VideoInfo(str(number), 2, 2, 25.0, lengths[number])

            def __iter__(self) -> Iterator[Frame]:
                for index in range(lengths[self.number]):
                    decoded[self.number] = index + 1
                    yield Frame(index, index / 25, small)

        def stream(source: VideoSource) -> Iterator[FrameScore]:
            frames = [FrameScore(frame.index, frame.time, 0.0) for frame in source]
            found.append((int(source.info.name), len(frames), decoded[int(source.info.name)]))
            yield from frames

        videos = tuple(Video(str(number), Told(number)) for number in range(len(lengths)))
        assert learned_radius(stream, Dataset("own", "train", videos)) is None
        assert sum(length for _, length, _ in found) <= FRAMES
        assert sum(decoded) <= READ
        return found

    def test_one_long_video_in_pieces(self):
        found = self.read(50_000)
        assert [length for _, length, _ in found] == [PIECE] * 6

    def test_of_many_videos_one_piece_each_of_a_few(self):
        found = self.read(*[400] * 300)
        assert [length for _, length, _ in found] == [PIECE] * 6
        videos = sorted(number for number, _, _ in found)
        assert max(np.diff([0, *videos, 299])) < 100

    def test_of_short_videos_more_but_not_parts_of_them(self):
        found = self.read(*[30] * 700)
        assert [length for _, length, _ in found] == [30] * 20

    @pytest.mark.parametrize(
        ("lengths", "least"),
        [((48, 48), 96), ((150,), 150), ((1, 0, 130, 7), 130), ((5_000, 20, 3_000), 420)],
    )
    def test_of_few_or_short_videos_what_there_is(self, lengths: tuple[int, ...], least: int):
        assert sum(length for _, length, _ in self.read(*lengths)) >= least


def test_a_part_of_another_model_needs_none(tmp_path: Path):
    assert Motion().fit(training("one-class"), out=tmp_path / "m.vad", part=True).radius is None


def test_a_model_keeps_it(tmp_path: Path):
    model = Motion().fit(training("one-class"), out=tmp_path / "m.vad")
    assert model.radius and vadistill.load(tmp_path / "m.vad").radius == model.radius
