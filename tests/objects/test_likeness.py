"""How near two objects are that count as one thing that comes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vadistill
from support.scenes import training
from vadistill.objects.likeness import apart, radius
from vadistill.scores import FrameScore
from vadistill.systems.motion import Motion


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


def test_a_model_keeps_it(tmp_path: Path):
    model = Motion().fit(training("one-class"), out=tmp_path / "m.vad")
    assert model.radius and vadistill.load(tmp_path / "m.vad").radius == model.radius
