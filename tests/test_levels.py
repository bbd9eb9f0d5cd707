"""Levels of events from normal footage, and the tracker that opens and closes events at them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vadistill.errors import DataError
from vadistill.events import Tracker
from vadistill.levels import (
    Calibration,
    Level,
    camera_level,
    lasting,
    pareto_quantile,
    peaks_over,
    training_level,
)
from vadistill.serving.live.learned import without

LEVEL = Level(2.0, 1.0, "fixed")


def curve(hours: float, seed: int, fps: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores that hang together over about two seconds, with exponential tails."""
    rng = np.random.default_rng(seed)
    n = int(hours * 3600 * fps)
    noise = np.convolve(rng.exponential(1.0, n + 20), np.ones(10) / 10, "valid")[:n]
    return np.arange(n) / fps, noise


def alarms(times: np.ndarray, scores: np.ndarray, level: Level) -> int:
    tracker = Tracker(level, frames=3, seconds=2.0)
    changes = [tracker.push(float(t), float(s)) for t, s in zip(times, scores, strict=True)]
    return sum(change is not None and change.kind == "opened" for change in changes)


class TestTracker:
    def test_opens_after_enough_frames_and_starts_at_the_first_of_them(self):
        tracker = Tracker(LEVEL, frames=3, seconds=1.0)
        changes = [tracker.push(t, s) for t, s in enumerate([0, 3, 3, 0, 2, 5, 2])]
        assert [c and c.kind for c in changes] == [None] * 6 + ["opened"]
        assert changes[-1] and changes[-1].event.start == 4 and changes[-1].event.peak == 5

    def test_closes_below_off_for_long_enough_and_ends_at_the_last_frame_above(self):
        tracker = Tracker(LEVEL, frames=1, seconds=2.0)
        scores = [3, 1.5, 0.5, 1.2, 0.9, 0.9]
        kinds = [c and c.kind for t, s in enumerate(scores) if (c := tracker.push(t, s)) or True]
        assert kinds == ["opened", "going", "going", "going", "going", "closed"]
        assert tracker.event is None

    def test_a_new_peak_is_told(self):
        tracker = Tracker(LEVEL, frames=1)
        tracker.push(0, 3)
        higher = tracker.push(1, 4)
        assert higher and higher.kind == "higher" and higher.event.peak == 4

    def test_a_lost_stream_closes_and_forgets_a_half_run(self):
        tracker = Tracker(LEVEL, frames=2)
        assert tracker.push(0, 3) is None and tracker.close() is None
        assert tracker.push(9, 3) is None
        opened = tracker.push(10, 3)
        assert opened and opened.event.start == 9
        closed = tracker.close()
        assert closed and closed.kind == "closed" and closed.event.last == 10

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(0, 4), max_size=80), st.integers(1, 4), st.floats(0, 5))
    def test_events_follow_each_other_and_hold_only_what_passed(self, scores, frames, seconds):
        tracker = Tracker(LEVEL, frames=frames, seconds=seconds)
        changes = [c for t, s in enumerate(scores) if (c := tracker.push(float(t), s))]
        changes += [c for c in [tracker.close()] if c]
        kinds = [c.kind for c in changes if c.kind in ("opened", "closed")]
        assert kinds == ["opened", "closed"] * (len(kinds) // 2)
        ends = [c.event for c in changes if c.kind == "closed"]
        for event in ends:
            assert event.start <= event.last and event.frames >= frames
            inside = scores[int(event.start) : int(event.last) + 1]
            assert event.peak == max(inside) >= LEVEL.on
        assert all(a.last < b.start for a, b in pairwise(ends))


class TestLevels:
    def test_exponential_tail_by_hand(self):
        excesses = np.full(5, 2.0)  # too few for a shape: exponential of mean 2
        assert pareto_quantile(excesses, 0.1) == pytest.approx(2 * np.log(10))
        assert pareto_quantile(excesses, 1.0) == 0.0

    def test_pareto_tail_is_found(self):
        rng = np.random.default_rng(0)
        shape, scale = 0.2, 1.5
        draws = scale / shape * (rng.uniform(size=4000) ** -shape - 1)
        true = scale / shape * (0.001**-shape - 1)
        assert pareto_quantile(draws, 0.001) == pytest.approx(true, rel=0.2)

    def test_lasting_is_the_minimum_of_each_run(self):
        assert lasting(np.array([1.0, 5, 3, 4, 2]), 3).tolist() == [1, 3, 2]
        assert len(lasting(np.ones(2), 3)) == 0

    def test_near_peaks_are_one(self):
        times = np.array([0.0, 1, 2, 3, 10, 11])
        values = np.array([5.0, 0, 7, 0, 6, 6])
        assert peaks_over(times, values, 1.0, gap=4).tolist() == [7, 6]

    @pytest.mark.parametrize("seed", range(3))
    def test_alarms_on_later_footage_come_about_as_often_as_wanted(self, seed: int):
        chunks = [curve(2.0, seed)]
        level = camera_level(chunks, false_alarms_per_day=24, frames=3, seconds=2.0)
        assert level.source == "camera" and not level.extrapolated
        later = alarms(*curve(6.0, seed + 100), level)
        assert 0 < later <= 25  # 6 wanted; two hours held two of them

    def test_beyond_the_footage_it_is_extrapolated_above_all_of_it(self):
        times, scores = curve(0.5, 3)
        level = camera_level([(times, scores)], false_alarms_per_day=1, frames=3, seconds=2.0)
        assert level.extrapolated and level.on > lasting(scores, 3).max()
        assert alarms(times, scores, level) == 0 and level.off < level.on
        rarer = camera_level([(times, scores)], false_alarms_per_day=0.1, frames=3, seconds=2.0)
        assert rarer.on > level.on

    def test_a_false_alarm_in_the_footage_raises_the_level(self):
        times, scores = curve(0.5, 4)
        before = camera_level([(times, scores)], false_alarms_per_day=1, frames=3, seconds=2.0)
        scores[1000:1010] = 3 * before.on
        after = camera_level([(times, scores)], false_alarms_per_day=1, frames=3, seconds=2.0)
        assert after.on > 3 * before.on and alarms(times, scores, after) == 0

    def test_constant_and_too_little_footage(self):
        still = (np.arange(500) / 5, np.ones(500))
        level = camera_level([still], false_alarms_per_day=1, frames=3, seconds=2.0)
        assert 1 < level.off <= level.on < 1.001 and alarms(*still, level) == 0
        with pytest.raises(DataError, match="20 seconds of normal footage"):
            camera_level(
                [(np.arange(101) / 5, np.ones(101))],
                false_alarms_per_day=1,
                frames=3,
                seconds=2.0,
            )

    @pytest.mark.parametrize("busy", [0.0, 0.05])
    def test_events_close_where_most_frames_are_empty(self, busy: float):
        """Object detectors give every frame without objects the very same score."""
        rng = np.random.default_rng(6)
        times, scores = np.arange(9000) / 5, np.zeros(9000)
        some = np.repeat(rng.random(900) < busy, 10)
        scores[some] = rng.exponential(1.0, int(some.sum()))
        trained = training_level(Calibration.fit(scores), 1)
        own = camera_level([(times, scores)], false_alarms_per_day=1, frames=3, seconds=2.0)
        for level in (trained, own):
            assert alarms(times, scores, level) == 0
            tracker = Tracker(level, frames=3, seconds=2.0)
            kinds = [c.kind for t in range(40) if (c := tracker.push(t / 5, 9.0 * (t < 10)))]
            assert kinds[0] == "opened" and kinds[-1] == "closed"

    def test_intervals_and_pauses_break_the_curve(self):
        times = np.array([0.0, 1, 2, 3, 4, 20, 21])
        pieces = without(times, times, [(2, 2.5)])
        assert [t.tolist() for t, _ in pieces] == [[0, 1], [3, 4], [20, 21]]
        assert without(times, times, [(-1, 99)]) == []

    def test_training_frames_give_at_most_their_highest_score(self):
        calibration = Calibration.fit(np.linspace(0, 1, 500))
        level = training_level(calibration, 1.0)
        assert level.on == pytest.approx(1.0) and level.source == "training"
        often = training_level(calibration, 86400 * 25 * 0.5)
        assert often.on == pytest.approx(0.5, abs=0.01) and often.off <= often.on
        # Ninety of a hundred stretches of 50 independent frames lie below the closing level.
        assert level.off == pytest.approx(0.9 ** (1 / 50), abs=0.002)

    def test_a_score_that_does_not_last_opens_nothing_and_raises_no_level(self):
        scores = np.r_[np.linspace(0, 1, 500), 9.0, 9.0, np.zeros(500)]
        lasted = Calibration.fit(scores, runs=[len(scores)])
        assert training_level(lasted, 1.0).on == pytest.approx(1.0)
        assert training_level(lasted, 1.0, frames=2).on == pytest.approx(9.0)
        assert training_level(Calibration.fit(scores), 1.0).on == pytest.approx(9.0)
        high = training_level(Calibration.fit([0.0, 9, 9, 9, 0, 0], runs=[3, 3]), 1.0)
        assert high.on == pytest.approx(0.0), "videos do not go on in the next one"
        short = Calibration.fit([1.0, 2.0, 3.0, 4.0], runs=[2, 2])
        assert short.lasting is None and training_level(short, 1.0).on == pytest.approx(4.0)
        again = Calibration.from_arrays(lasted.arrays())
        assert again.lasting is not None and (again.lasting == lasted.lasting).all()
        with pytest.raises(ValueError, match="ascending"):
            Calibration.from_arrays(
                {"calibration": np.arange(5.0), "lasting": np.arange(5.0)[::-1]}
            )

    def test_events_close_soon_after_what_was_abnormal(self):
        times, scores = curve(1.0, 5)
        level = camera_level([(times, scores)], false_alarms_per_day=1, frames=3, seconds=2.0)
        spans = []
        for start in range(1000, 17000, 1000):
            tracker, abnormal = Tracker(level, frames=3, seconds=2.0), scores.copy()
            abnormal[start : start + 50] = 2 * level.on
            for t, s in zip(times[start:], abnormal[start:], strict=True):
                change = tracker.push(float(t), float(s))
                if change and change.kind == "closed":
                    spans.append(change.event.last - change.event.start)
                    break
        assert np.median(spans) < 11 and max(spans) < 25  # ten seconds of it

    def test_the_rate_and_the_length_of_training_footage_count(self):
        quantiles = Calibration.fit(np.linspace(0, 1, 500))
        assert training_level(quantiles, 1.0).note == "from training footage"
        known = quantiles.of({"frames": 2500, "seconds": 250.0})
        often = training_level(known, 86400 * 10 * 0.5)  # half of all frames at 10 a second
        assert often.on == pytest.approx(0.5, abs=0.01) and not often.extrapolated
        short = "from 50 seconds of training footage, too short to tell 1 false alarm a day"
        assert training_level(known, 1.0).note == short, "500 of the 2,500 frames were looked at"
        again = Calibration.from_arrays(known.arrays()).of({"frames": 2500, "seconds": 250.0})
        assert (again.frames, again.seconds) == (known.frames, known.seconds) == (500, 50.0)
        snippets = Calibration.fit(np.linspace(0, 1, 500), each=16)
        assert snippets.of({"frames": 2500, "seconds": 250.0}).seconds == 250.0
        of_old = Calibration.from_arrays({"calibration": quantiles.quantiles})
        assert of_old.of({"frames": 2500, "seconds": 250.0}).seconds == 250.0
        assert "calibrate on this camera" in training_level(known, 1.0).as_json()["note"]
        for wrong in ({"frames": "many"}, {"seconds": -1}, {"seconds": float("nan")}):
            with pytest.raises(DataError, match="fit the model again"):
                quantiles.of(wrong)

    def test_json_and_back(self):
        level = Level(2.0, 1.0, "camera", 3.5, 0.5, True)
        assert Level.from_json(level.as_json()) == level
        short = "from 3.5 hours of this camera, too short to tell 0.5 false alarms a day"
        assert level.note == short and level.as_json()["note"] == short
