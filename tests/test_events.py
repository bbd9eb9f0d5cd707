"""Windows of frames, and the events that are cut out of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vadistill.datasets.base import Dataset, Video
from vadistill.errors import ConfigError, DataError
from vadistill.flow import build_flow
from vadistill.objects.base import Boxes, Localiser
from vadistill.objects.learning import learn_patches
from vadistill.objects.patches import MOVES, Cut, crop, frame_patches, squares
from vadistill.objects.speeds import Steps, speeds_of
from vadistill.video import Frame, open_video
from vadistill.windows import Triplet, triplets, windows


def frames(count: int) -> list[Frame]:
    return [Frame(i, i / 10, np.full((4, 4, 3), i, np.uint8)) for i in range(count)]


class TestWindows:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9])
    def test_every_frame_once_with_its_neighbours(self, count: int):
        offsets = (-3, -1, 0, 2)
        for i, window in enumerate(windows(frames(count), before=3, after=2)):
            assert window.current.index == i
            found = [window.at(o).index for o in offsets]
            assert found == [min(max(i + o, 0), count - 1) for o in offsets]
            own = [window.at(o, "current").index for o in offsets]
            assert own == [i + o if 0 <= i + o < count else i for o in offsets]
        assert sum(1 for _ in windows(frames(count), before=3, after=2)) == count

    @pytest.mark.parametrize("pair", [(0, 1), (0, -1), (1, 2), (-3, 3), (0, 5)])
    def test_pairs_keep_their_distance_inside_the_video(self, pair: tuple[int, int]):
        count, distance = 8, pair[1] - pair[0]
        span = max(abs(pair[0]), abs(pair[1]), abs(distance))
        for i, window in enumerate(windows(frames(count), before=span, after=span)):
            a, b = (f.index for f in window.pair(*pair))
            assert b - a == distance
            if i + min(pair) >= 0 and i + max(pair) < count:
                assert (a, b) == (i + pair[0], i + pair[1])

    def test_a_pair_in_too_short_a_video(self):
        window = next(iter(windows(frames(2), before=3, after=3)))
        assert [f.index for f in window.pair(0, 3)] == [0, 1]

    def test_few_frames_are_held(self):
        seen: list[int] = []

        def source() -> Iterator[Frame]:
            for frame in frames(50):
                seen.append(frame.index)
                yield frame

        for window in windows(source(), before=2, after=3):
            assert len(window._held) <= 6
            assert len(seen) <= window.current.index + 4

    def test_triplets(self):
        found = [(t.previous.index, t.current.index, t.next.index) for t in triplets(frames(3))]
        assert found == [(0, 0, 1), (0, 1, 2), (1, 2, 2)]
        assert [t.is_last for t in triplets(frames(3))] == [False, False, True]


class Everywhere(Localiser):
    """One box in the middle of every frame, or none."""

    name = "everywhere"

    def __init__(self, found: bool = True) -> None:
        super().__init__()
        self.found = found

    def boxes(self, window: Triplet) -> Boxes:
        return np.array([[4, 4, 12, 20]] * self.found, np.float32).reshape(-1, 4)


def clip(name: str = "a", count: int = 6) -> Video:
    rng = np.random.default_rng(0)
    background = rng.integers(0, 255, (40, 64, 3), np.uint8)
    shifted = np.stack([np.roll(background, 2 * i, axis=1) for i in range(count)])
    return Video(name, shifted, fps=10.0)


class TestEvents:
    def test_patches_are_the_offsets_and_flow_the_pairs(self):
        cut = Cut(16, offsets=(-2, 0, 1), flows=((0, 1), (0, -1)))
        source = clip()
        pixels = [f.image for f in source.open()]
        found = list(frame_patches(source.open(), Everywhere(), cut))
        assert [e.index for e in found] == list(range(6))
        for event in found:
            assert event.patches.shape == (1, 3, 16, 16, 3)
            assert event.flow.shape == (1, 2, 2, 16, 16)
        same = list(frame_patches(source.open(), Everywhere(), Cut(16, offsets=(0,))))
        for t, event in enumerate(found):
            for place, offset in enumerate(cut.offsets):
                other = same[min(max(t + offset, 0), 5)].patches[0, 0]
                np.testing.assert_array_equal(event.patches[0, place], other)
        whole = build_flow("dis")(pixels[2], pixels[3])
        part = whole[4:20, 4:12].mean((0, 1))
        np.testing.assert_allclose(found[2].flow[0, 0].mean((1, 2)), part, atol=0.05)
        # At the end the flow forward is that of the last pair, at the start the one back too.
        np.testing.assert_array_equal(found[5].flow[:, 0], found[4].flow[:, 0])
        np.testing.assert_array_equal(found[0].flow[:, 1], found[1].flow[:, 1])

    def test_squares_keep_the_shape_and_repeat_the_picture_s_edge(self):
        image = np.zeros((20, 30, 3), np.uint8)
        image[4:16, 2:6] = 255  # twelve high, four wide, near the left
        boxes = np.array([[2, 4, 6, 16], [20, 0, 30, 4]], np.float32)
        np.testing.assert_array_equal(squares(boxes), [[-2, 4, 10, 16], [20, -3, 30, 7]])
        tall, edge = crop(image, boxes, 12, square=True)
        white = tall[..., 0] == 255
        assert white[:, 4:8].all() and not white[:, :4].any() and not white[:, 8:].any()
        image[:2] = 90
        _, edge = crop(image, boxes, 10, square=True)
        assert (edge[:5] == 90).all() and not edge[5:].any()
        assert crop(image, boxes[:0], 12, square=True) == []

    def test_learned_events_are_kept_and_found_again(self, tmp_path: Path):
        train = Dataset("own", "train", (clip("a"), clip("b", 4)))
        cut = Cut(8, flows=((0, 1),))
        store = learn_patches(train, tmp_path, localiser=Everywhere(), cut=cut, frames=None)
        assert len(store) == 10 and store.counts.tolist() == [1] * 10
        direct = [e for c in train for e in frame_patches(c.open(), Everywhere(), cut)]
        rows = np.array([7, 0, 3, 9])
        for row, patch, flow in zip(rows, store.patches(rows), store.flow(rows), strict=True):
            np.testing.assert_array_equal(patch, direct[row].patches[0])
            np.testing.assert_array_equal(flow, direct[row].flow[0])
        stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")}
        again = learn_patches(train, tmp_path, localiser=Everywhere(), cut=cut, frames=None)
        assert again.key == store.key
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")} == stamps
        half = learn_patches(train, tmp_path, localiser=Everywhere(), cut=cut, frames=5)
        assert len(half) == 5 and half.key != store.key

    def test_speeds_are_followed_as_far_as_the_rate_and_the_reach_let_them(self, tmp_path: Path):
        train, cut = Dataset("own", "train", (clip("a", 12),)), Cut(8, reach=30)
        direct = list(frame_patches(train.videos[0].open(), Everywhere(), cut))
        followed = windows(train.videos[0].open(), before=3, after=3)
        steps = Steps(build_flow("dis-fine"), 10, 3, None)
        for event, window in zip(direct, followed, strict=True):
            moves = speeds_of(event.boxes, steps.moment(window), MOVES, 95.0, 3)
            expected = moves.astype(np.float32)
            np.testing.assert_array_equal(event.moves, expected)
        assert np.median(direct[6].moves) == pytest.approx(20, rel=0.1)  # 2 pixels, 10 frames/s
        store = learn_patches(train, tmp_path, localiser=Everywhere(), cut=cut, frames=4)
        assert len(store) == 4
        kept = np.stack([event.moves[0] for event in direct])
        assert all((kept == row).all(1).any() for row in store.moves(np.arange(4)))
        found = [e.moves for e in store.frames(0, Cut(8, reach=3), lambda index: True)]
        np.testing.assert_array_equal(np.concatenate(found), store.moves(np.arange(4)))
        assert Cut(8, reach=2).at(10) == Cut(8, reach=2).at(0) and cut.at(25).after == 8
        assert direct[0].moves.shape == (1, len(MOVES))
        (nothing, *_) = frame_patches(train.videos[0].open(), Everywhere(), Cut(8))
        assert nothing.moves.shape == (1, 0)

    def test_frame_maxima_fill_frames_without_events(self, tmp_path: Path):
        train = Dataset("own", "train", (clip("a", 4),))
        store = learn_patches(train, tmp_path, localiser=Everywhere(), cut=Cut(8), frames=None)
        store.counts[:] = [2, 0, 1, 1]
        maxima = store.frame_maxima(np.array([1, 3, 2, -5], np.float32), -9.0)
        assert maxima.tolist() == [3, -9, 2, -5]

    def test_nothing_that_moves_is_one_line(self, tmp_path: Path):
        train = Dataset("own", "train", (clip(),))
        with pytest.raises(DataError, match="the localiser found 0 moving objects in own"):
            learn_patches(train, tmp_path, localiser=Everywhere(False), cut=Cut(8), frames=None)

    def test_an_unknown_flow_is_one_line(self):
        with pytest.raises(ConfigError, match="optical flow 'diss'"):
            list(
                frame_patches(
                    open_video(np.zeros((3, 8, 8, 3), np.uint8)),
                    Everywhere(),
                    Cut(8, flows=((0, 1),), flow="diss"),
                )
            )
