"""Boxes found in a thread: the same ones, no later, and nothing of it left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from vadistill.datasets.base import Video
from vadistill.errors import DataError
from vadistill.objects.ahead import located
from vadistill.objects.background import Background
from vadistill.objects.base import Boxes, Localiser
from vadistill.objects.patches import Cut, frame_patches
from vadistill.video import Frame, VideoInfo
from vadistill.windows import Triplet, triplets, windows


class Watched(Localiser):
    """Notes what it is asked for; a frame's box begins at its index; may wait, and may fail."""

    name = "watched"

    def __init__(self, go: threading.Event | None = None, fails_at: int = -1) -> None:
        super().__init__()
        self.asked: list[tuple[int, int, int]] = []
        self.go, self.fails_at = go, fails_at

    def boxes(self, window: Triplet) -> Boxes:
        assert self.go is None or self.go.wait(20), "nobody went on meanwhile"
        previous, current, following = window
        self.asked.append((previous.index, current.index, following.index))
        if current.index == self.fails_at:
            raise DataError("a frame", expected="another", fix="none")
        return np.array([[current.index, 0, current.index + 4, 4]], np.float32)


def frames(count: int) -> list[Frame]:
    return [Frame(i, i / 10, np.full((8, 64, 3), i, np.uint8)) for i in range(count)]


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("localiser")]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("after", [1, 4])
def test_each_frame_has_its_boxes_as_without_a_thread(count: int, after: int) -> None:
    localiser = Watched()
    plain = windows(frames(count), before=2, after=after)
    found = located(frames(count), localiser, before=2, after=after)
    for (window, boxes), other in zip(found, plain, strict=True):
        for offset in (-2, 0, after):
            assert window.at(offset).index == other.at(offset).index
        assert boxes()[0, 0] == window.current.index
    alone = [(t.previous.index, t.current.index, t.next.index) for t in triplets(frames(count))]
    assert localiser.asked == alone and threads() == []


def test_others_work_while_boxes_are_looked_for() -> None:
    go = threading.Event()
    for window, boxes in located(frames(6), Watched(go), before=1, after=1):
        go.set()  # which is reached before the first boxes are there
        assert boxes()[0, 0] == window.current.index


def test_boxes_are_looked_for_when_the_next_frame_is_there_and_no_later() -> None:
    localiser, seen = Watched(), 0

    def live() -> Iterator[Frame]:
        nonlocal seen
        for frame in frames(12):
            seen += 1
            yield frame

    for window, boxes in located(live(), localiser, before=5, after=5):
        boxes()
        assert seen <= window.current.index + 6, "no frame is waited for that flow does not need"


def test_what_a_localiser_raises_comes_with_its_frame_and_ends_it() -> None:
    localiser, reached = Watched(fails_at=3), []
    with pytest.raises(DataError, match="a frame"):
        for window, boxes in located(frames(9), localiser, before=1, after=4):
            boxes()
            reached.append(window.current.index)
    assert reached == [0, 1, 2] and threads() == []


def test_a_video_that_is_left_leaves_no_thread_and_another_may_begin() -> None:
    localiser = Watched()
    video = Video("v", np.zeros((12, 48, 64, 3), np.uint8), fps=10.0)
    first = frame_patches(video.open(), localiser, Cut(4, reach=3))
    assert next(first).index == 0 and threads() != []
    # While the first is still open: both have a localiser of their own.
    assert [p.index for p in frame_patches(video.open(), localiser, Cut(4))] == list(range(12))
    del first
    assert threads() == []


def test_a_background_follows_the_video_as_without_a_thread() -> None:
    rng = np.random.default_rng(0)
    ground = rng.integers(80, 120, (96, 144, 3), np.uint8)
    pixels = np.stack([ground] * 40)
    for t, frame in enumerate(pixels):
        frame[30:70, 3 * t : 3 * t + 16] = 220
        frame += rng.integers(0, 8, frame.shape, np.uint8)
    source = Video("v", pixels, fps=25.0).open()
    ahead, alone = Background(), Background()
    for localiser in (ahead, alone):
        localiser.start(VideoInfo("v", 144, 96, 25.0, 40))
    found = located(source, ahead, before=8, after=8)
    for (_, boxes), triplet in zip(found, triplets(source), strict=True):
        np.testing.assert_array_equal(boxes(), alone.boxes(triplet))
    np.testing.assert_array_equal(ahead.picture, alone.picture)
