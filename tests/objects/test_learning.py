"""Localisers fitted once, and patches of several cuts in one pass over the video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vadistill.datasets.base import Dataset, Video
from vadistill.datasets.sampling import Sample, known_lengths
from vadistill.objects import build
from vadistill.objects.base import Boxes, Localiser
from vadistill.objects.learning import Wanted, fit_localiser, is_fitted_there, learn_in_one_pass
from vadistill.objects.patches import Cut, frame_patches
from vadistill.video import Frame, VideoInfo, VideoSource
from vadistill.windows import Triplet


class Passes(VideoSource):
    """A source that counts how often it is decoded."""

    def __init__(self, source: VideoSource, counts: dict[str, int]) -> None:
        self.source, self.info, self.counts = source, source.info, counts

    def __iter__(self) -> Iterator[Frame]:
        self.counts[self.info.name] = self.counts.get(self.info.name, 0) + 1
        yield from self.source


class Growing(Localiser):
    """As many boxes as frames were seen, up to three, so that its sequence matters."""

    name = "growing"

    def __init__(self) -> None:
        super().__init__()
        self.seen = self.fits = 0

    def fit(self, train: Dataset) -> None:
        self.fits += 1

    def start(self, info: VideoInfo) -> None:
        self.seen = 0

    def boxes(self, window: Triplet) -> Boxes:
        self.seen += 1
        made = [[4 + 9 * i, 4, 12 + 9 * i, 20] for i in range(self.seen % 4)]
        return np.array(made, np.float32).reshape(-1, 4)


def videos(counts: dict[str, int], *lengths: int) -> Dataset:
    class Counted(Video):
        def open(self) -> VideoSource:
            return Passes(super().open(), counts)

    rng = np.random.default_rng(0)
    made = [
        Counted(f"v{n}", rng.integers(0, 255, (n, 40, 64, 3), np.uint8), fps=10.0) for n in lengths
    ]
    return Dataset("own", "train", tuple(made))


CUTS = (
    Cut(8, (0,), ((0, -1), (0, 1), (0, 3))),
    Cut(16, (-3, 0, 2)),
    Cut(12, (-1, 0, 1), ((0, 1),)),
)


def test_cuts_together_are_cuts_alone_in_one_pass(tmp_path: Path) -> None:
    counts: dict[str, int] = {}
    train, localiser = videos(counts, 9, 2, 7), Growing()
    wanted = [Wanted(CUTS[0], None), Wanted(CUTS[1], 9), Wanted(CUTS[2], None)]
    stores = learn_in_one_pass(train, tmp_path, localiser=localiser, wanted=wanted)
    assert set(counts.values()) == {1} and len(counts) == 3
    for want, store in zip(wanted, stores, strict=True):
        sample = Sample.of(train, want.frames)
        for number, video in enumerate(train):
            alone = frame_patches(video.open(), Growing(), want.cut)
            expected = [frame for frame in alone if sample.keeps(number, frame.index)]
            found = list(store.frames(number, want.cut, lambda index: True))
            assert [f.index for f in found] == [f.index for f in expected]
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a.boxes, b.boxes)
                np.testing.assert_array_equal(a.patches, b.patches)
                np.testing.assert_array_equal(a.flow, b.flow)
    counts.clear()
    learn_in_one_pass(train, tmp_path, localiser=Growing(), wanted=wanted)
    assert not counts, "all is complete"


def test_a_store_gives_less_of_its_cut_and_some_of_its_frames(tmp_path: Path) -> None:
    train = videos({}, 8)
    wanted = [Wanted(CUTS[0], None)]
    (store,) = learn_in_one_pass(train, tmp_path, localiser=Growing(), wanted=wanted)
    less = Cut(8, (0,), ((0, 1),))
    expected = list(frame_patches(train.videos[0].open(), Growing(), less))
    found = list(store.frames(0, less, lambda index: index % 3 == 0))
    assert [frame.index for frame in found] == [0, 3, 6]
    for frame in found:
        np.testing.assert_array_equal(frame.patches, expected[frame.index].patches)
        np.testing.assert_array_equal(frame.flow, expected[frame.index].flow)


def test_files_without_boxes_are_written_again(tmp_path: Path) -> None:
    train, wanted = videos({}, 5), [Wanted(CUTS[1], None)]
    learn_in_one_pass(train, tmp_path, localiser=Growing(), wanted=wanted)
    (boxes,) = tmp_path.rglob("*.boxes.npy")
    boxes.unlink()
    (store,) = learn_in_one_pass(train, tmp_path, localiser=Growing(), wanted=wanted)
    assert len(list(store.frames(0, CUTS[1], lambda index: True))) == 5


def test_a_localiser_is_fitted_once_for_a_work_folder(tmp_path: Path) -> None:
    train = videos({}, 6)
    one, other = Growing(), Growing()
    assert fit_localiser(one, train, tmp_path) == fit_localiser(other, train, tmp_path)
    assert (one.fits, other.fits) == (1, 0)
    fit_localiser(other, videos({}, 7), tmp_path)
    assert other.fits == 1, "other footage"


def test_a_fitted_background_is_read_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = videos({}, 6)
    first, second, third = (build("background") for _ in range(3))
    fit_localiser(first, train, tmp_path)
    monkeypatch.setattr(type(second), "fit", None)
    fit_localiser(second, train, tmp_path)
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(second.arrays()[name], array)
    assert is_fitted_there(second, train, tmp_path)
    assert not is_fitted_there(third, train, tmp_path), "it has learned nothing"


def test_lengths_are_remembered(tmp_path: Path) -> None:
    train = videos({}, 6, 4)
    assert known_lengths(train, tmp_path) == [6, 4]
    for path in tmp_path.glob("lengths-*.json"):
        path.write_text("[3, 2]")
    assert known_lengths(train, tmp_path) == [3, 2]
    assert Sample.of(train, 5, tmp_path).keeps_all
