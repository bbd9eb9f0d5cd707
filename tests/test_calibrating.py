"""A level is of more normal footage than was learned from, where there is more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from support.scenes import training
from vadistill import calibrating
from vadistill.calibrating import FRAMES, widened
from vadistill.datasets import Dataset, Video
from vadistill.datasets.sampling import PIECE
from vadistill.levels import Calibration
from vadistill.scores import FrameScore
from vadistill.systems import cafe
from vadistill.systems.motion import Motion
from vadistill.video import Frame, VideoInfo, VideoSource

MARGIN = 2
"""Frames at the ends of a piece that do not count."""


class Told(VideoSource):
    """A video whose frames know their number by time alone."""

    def __init__(self, number: int, length: int) -> None:
        self.info = VideoInfo(str(number), 2, 2, 25.0, length)

    def __iter__(self) -> Iterator[Frame]:
        small = np.zeros((2, 2, 3), np.uint8)
        yield from (Frame(n, n / 25, small) for n in range(self.info.frames or 0))


class Edgy(Motion):
    """Scores 9 where a neighbour is missing, else 1."""

    def __init__(self, known: int) -> None:
        self.pieces: list[tuple[int, int]] = []
        self.calibration = Calibration.fit(np.zeros(known), runs=[known])

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        frames = list(source)
        self.pieces.append((int(source.info.name), len(frames)))
        for n in range(len(frames)):
            edge = min(n, len(frames) - 1 - n) < MARGIN
            yield FrameScore(n, n / 25, 9.0 if edge else 1.0)


def looked_at(*lengths: int, known: int = 10) -> tuple[list[tuple[int, int]], Calibration]:
    """Pieces, and the calibration, of a detector that has been calibrated on ``known`` frames."""
    edgy = Edgy(known)
    videos = tuple(Video(str(n), Told(n, length)) for n, length in enumerate(lengths))
    train = Dataset("own", "train", videos)
    wide = widened(edgy.require_fitted(), edgy.stream, train, (None, MARGIN))
    return edgy.pieces, wide


def test_of_long_footage_pieces_without_their_ends():
    pieces, known = looked_at(30_000, 20_000)
    assert [sum(length for video, length in pieces if video == n) for n in (0, 1)] == [3600, 2400]
    assert known.frames == FRAMES - 4 * len(pieces)
    assert known.quantiles.max() == 1.0 and known.lasting is not None


def test_of_short_footage_all_of_it():
    pieces, known = looked_at(300, 20, 0, 150)
    assert pieces == [(0, 300), (1, 20), (2, 0), (3, 150)]
    assert known.frames == 470 and known.quantiles.max() == 9.0


def test_of_many_videos_some():
    pieces, _ = looked_at(*[400] * 300)
    assert [length for _, length in pieces] == [PIECE] * 60
    assert np.diff([0, *(video for video, _ in pieces), 299]).max() < 12
    assert sum(length for _, length in looked_at(*[30] * 700)[0]) == FRAMES


def test_of_frames_of_which_training_took_some_all():
    edgy = Edgy(170)
    train = Dataset("own", "train", (Video("0", Told(0, 170)),))
    known = widened(Calibration.fit(np.zeros(170)), edgy.stream, train, (None, MARGIN))
    assert edgy.pieces == [(0, 170)] and known.lasting is not None


def test_nothing_where_as_much_was_seen():
    pieces, known = looked_at(300, 170, known=470)
    assert pieces == [] and known.quantiles.max() == 0.0


def around(lookback: int | None, lookahead: int | None) -> Calibration:
    """What becomes of one of 10 frames, of a detector that sees so many around a frame."""
    edgy, train = Edgy(10), Dataset("own", "train", (Video("0", Told(0, 9_000)),))
    return widened(edgy.require_fitted(), edgy.stream, train, (lookback, lookahead))


def test_what_lies_before_counts_too():
    assert around(None, MARGIN).frames == FRAMES - 60 * 2 * MARGIN
    assert around(30, MARGIN).frames == FRAMES - 60 * (30 + MARGIN)
    assert around(1, MARGIN).frames == FRAMES - 60 * 2 * MARGIN


def test_what_sees_all_of_a_video_is_left_as_it_is():
    assert around(None, None).frames == around(49, MARGIN).frames == 10


def test_it_never_is_of_fewer_frames():
    class Short(Told):
        """A video that ends long before its container says."""

        def __iter__(self) -> Iterator[Frame]:
            yield from islice(super().__iter__(), 300)

    edgy, train = Edgy(250), Dataset("own", "train", (Video("0", Short(0, 9_000)),))
    known = edgy.require_fitted()
    assert widened(known, edgy.stream, train, (None, MARGIN)) is known


def test_there_may_be_nothing_to_see():
    edgy, train = Edgy(10), Dataset("own", "train", (Video("0", Told(0, 0)),))
    assert widened(edgy.require_fitted(), edgy.stream, train, (None, 0)).frames == 10


def test_a_fit_does_it_and_a_part_of_another_model_not(tmp_path: Path, monkeypatch):
    train, frames = training("one-class"), 24
    total = sum(video.open().info.frames or 0 for video in train)
    config = cafe.Config(frames=frames, epochs=1, localiser="motion", teacher="compact")
    part = cafe.Cafe(config).fit(train, out=tmp_path / "part.vad", part=True)
    whole = cafe.Cafe(config).fit(train, out=tmp_path / "whole.vad")
    assert part.require_fitted().frames <= 2 * frames < total == whole.require_fitted().frames
    one, other = (model.score(train.videos[0].open()).raw for model in (part, whole))
    assert (one == other).all()
    monkeypatch.setattr(calibrating, "FRAMES", 40)
    config = replace(config, frames=8)
    less = cafe.Cafe(config).fit(train, out=tmp_path / "less.vad").require_fitted()
    assert whole.lookahead and less.frames == 40 - 2 * whole.lookahead
