"""Operator's figures against counting by hand and by brute force."""

from __future__ import annotations

import json
import time
from statistics import mean, median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vadistill.errors import ConfigError, DataError
from vadistill.evaluation.alarms import footage
from vadistill.evaluation.alignment import Aligned, align
from vadistill.evaluation.bootstrap import draws
from vadistill.evaluation.frame_level import class_aucs
from vadistill.evaluation.operating import operating_point, operating_points

Runs = list[tuple[int, int]]


def aligned(*videos: tuple[str, list[int], list[float]]) -> Aligned:
    return align({n: y for n, y, _ in videos}, {n: s for n, _, s in videos})


#              frames   0    1    2    3    4    5    6    7    8    9
ONE = ("one", [0, 0, 1, 1, 1, 0, 0, 0, 1, 0], [0.1, 0.6, 0.2, 0.8, 0.9, 0.1, 0.7, 0.1, 0.3, 0.1])
TWO = ("two", [0, 0, 0, 0, 0], [0.5, 0.1, 0.1, 0.65, 0.1])


def runs(frames: list[bool], gap: int) -> Runs:
    """Maximal runs, those with at most ``gap`` frames between them as one."""
    found: Runs = []
    for i, on in enumerate(frames):
        if on and found and i - found[-1][1] <= gap:
            found[-1] = (found[-1][0], i + 1)
        elif on:
            found.append((i, i + 1))
    return found


def by_hand(data: Aligned, threshold: float, gap: int, event_gap: int) -> tuple:
    """Alarms, false alarms, events, and each found event's delay in frames."""
    total = false = events = 0
    delays = []
    for labels, scores in data:
        alarms = runs((scores >= threshold).tolist(), gap)
        truth = runs((labels > 0).tolist(), event_gap)
        total, events = total + len(alarms), events + len(truth)
        false += sum(all(a[1] <= e[0] or e[1] <= a[0] for e in truth) for a in alarms)
        for start, end in truth:
            firsts = [max(a[0], start) - start for a in alarms if a[0] < end and start < a[1]]
            delays += [min(firsts)] if firsts else []
    return total, false, events, delays


VIDEO = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), max_size=14)
"""Labels and scores with many ties."""


@settings(deadline=None, max_examples=150)
@given(
    st.lists(VIDEO, max_size=4),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([0, 300, 1200, 9000]),
)
def test_sweep_agrees_with_brute_force(
    videos: list[list[tuple[int, int]]], gap: int, event_gap: int, rate: int
) -> None:
    videos = [*videos, [(0, 1), (0, 2), (1, 1)]]
    data = align(
        [np.array([y for y, _ in frames], int) for frames in videos],
        [np.array([s for _, s in frames], float) for frames in videos],
    )
    try:
        flat = footage(data, 2, alarm_gap=gap, event_gap=event_gap)
    except DataError:  # joining the events left no normal frame
        assert event_gap
        return
    hand = [by_hand(data, level, gap, event_gap) for level in flat.thresholds]
    assert [h[0] for h in hand] == flat.alarms.tolist()
    assert [h[1] for h in hand] == flat.false_alarms.tolist()
    for level, (alarms, false, events, delays) in zip(flat.thresholds, hand, strict=True):
        point = operating_point(flat, float(level))
        assert (point.alarms, point.false_alarms) == (alarms, false)
        assert (point.events, point.found, point.missed) == (
            events,
            len(delays),
            events - len(delays),
        )
        if delays:
            assert point.delay.median_frames == median(delays)
            assert point.delay.mean_seconds == pytest.approx(mean(delays) / 2)
    for wanted in (0.3, 0.5, 1.0):
        enough = [
            level
            for level, h in zip(flat.thresholds, hand, strict=True)
            if len(h[3]) >= wanted * h[2]
        ]
        assert flat.threshold_at_recall(wanted) == max(enough)
    allowed = rate * flat.normal_hours
    chosen = flat.threshold_at_false_alarms(rate)
    at_or_above = [h[1] for level, h in zip(flat.thresholds, hand, strict=True) if level >= chosen]
    assert all(count <= allowed for count in at_or_above)
    below = [h[1] for level, h in zip(flat.thresholds, hand, strict=True) if level < chosen]
    if below and below[0] <= allowed:  # it stopped at the most numerous false alarms
        assert max(below) < max(at_or_above)


def test_by_hand() -> None:
    point = operating_point(footage(aligned(ONE, TWO), 2), 0.6)
    # Alarms: frames 1, 3-4 and 6 of one, frame 3 of two; the event at frame 8 is missed.
    assert (point.alarms, point.false_alarms) == (4, 3)
    assert (point.events, point.found, point.missed) == (2, 1, 1)
    assert (point.recall, point.precision) == (0.5, 0.25)
    assert point.f1 == pytest.approx(1 / 3)
    assert point.false_alarms_per_hour == pytest.approx(3 / (11 / 2 / 3600))
    assert point.normal_share == pytest.approx(3 / 11)
    assert (point.delay.median_frames, point.delay.median_seconds) == (1, 0.5)
    assert not point.best_on_test
    assert point.delay.at_once == 0
    joined = operating_point(footage(aligned(ONE, TWO), 2, alarm_gap=1), 0.6)
    # Frames 1-4 and 6 are one alarm now: it was on when the event began.
    assert (joined.alarms, joined.false_alarms) == (2, 1)
    assert (joined.delay.median_frames, joined.delay.at_once) == (0, 1)


def test_alarms_and_events_end_with_their_video() -> None:
    first = ("first", [0, 0, 1], [0.0, 0.0, 1.0])
    second = ("second", [1, 0, 0, 0], [1.0, 0.0, 0.0, 0.5])
    for gap in (0, 5):
        flat = footage(aligned(first, second), 25, alarm_gap=gap, event_gap=gap)
        point = operating_point(flat, 1.0)
        assert (point.events, point.alarms, point.found, point.false_alarms) == (2, 2, 2, 0)


def test_thresholds_at_stated_rates() -> None:
    flat = footage(aligned(ONE, TWO), 2)
    hour = 1 / flat.normal_hours
    assert hour == pytest.approx(3600 / 5.5)
    assert flat.threshold_at_false_alarms(0) == 0.8
    assert flat.threshold_at_false_alarms(0.99 * hour) == 0.8
    assert flat.threshold_at_false_alarms(hour) == 0.7
    assert flat.threshold_at_false_alarms(2 * hour) == 0.65
    assert flat.threshold_at_recall(0.5) == 0.9
    assert flat.threshold_at_recall(0.51) == 0.3


def test_a_threshold_is_not_lowered_until_all_alarms_are_one() -> None:
    # Below 0.2 the video is a single alarm that touches the event: no false alarm any more.
    data = aligned(("one", [0, 0, 0, 0, 1], [0.2, 0.5, 0.2, 0.6, 0.2]))
    flat = footage(data, 1)
    assert flat.false_alarms.tolist() == [1, 2, 0]
    assert flat.threshold_at_false_alarms(0) > 0.6
    assert operating_point(flat, flat.threshold_at_false_alarms(0)).alarms == 0
    assert flat.threshold_at_false_alarms(1e6) == 0.5


def test_all_of_it_in_one_call() -> None:
    data = aligned(ONE, TWO)
    made = operating_points(
        data,
        {"one": 2, "two": 4},
        rates=(1, 2000),
        recalls=(0.5, 1),
        thresholds={"calibrated": 0.75, "low": 0.1},
        classes={"one": "Fall", "two": "normal"},
        resamples=200,
    )
    assert [p.name for p in made.points] == [
        "calibrated",
        "low",
        "false alarms ≤ 1/h",
        "false alarms ≤ 2000/h",
        "event recall ≥ 0.5",
        "event recall ≥ 1",
    ]
    given, _, unresolved, resolved, *_ = made.points
    assert (given.chosen_by, given.best_on_test, given.threshold) == ("given", False, 0.75)
    assert unresolved.best_on_test and not unresolved.resolved and resolved.resolved
    assert unresolved.false_alarms == 0
    assert made.normal_hours == pytest.approx((6 / 2 + 5 / 4) / 3600)
    assert made.resolution == pytest.approx(1 / made.normal_hours)
    assert any("too short to tell 1 per hour from none" in note for note in made.notes)
    assert any("best on test" in note for note in made.notes)
    assert any("low: 100% of all normal frames" in note for note in made.notes)
    assert sum("grown together" in note for note in made.notes) == 1
    low, high = given.intervals["recall"]
    assert low is not None and high is not None and low <= given.recall <= high
    again = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert again["points"][0]["delay"]["mean_frames"] == 1
    assert again["classes"] == [
        {"name": "Fall", "videos": 1, "auc": made.classes[0].auc, "reason": ""}
    ]
    calm = operating_points(data, 2, rates=(), recalls=(), thresholds={"a": 5.0}, resamples=0)
    point = calm.points[0]
    assert (point.alarms, point.precision, point.f1) == (0, None, 0)
    assert point.delay.mean_frames is None and point.intervals["f1"] == (None, None)
    assert not any("best on test" in note for note in calm.notes)
    json.dumps(calm.to_json(), allow_nan=False)


def test_intervals_are_those_of_repeated_videos() -> None:
    rng = np.random.default_rng(0)
    videos = [
        (str(i), (rng.random(40) < 0.2).astype(int).tolist(), rng.random(40).tolist())
        for i in range(8)
    ]
    data = aligned(*videos)
    drawn = draws(8, 60, 3)
    point = operating_point(footage(data, 5), 0.8, drawn=drawn)
    recalls, rates = [], []
    for counts in drawn:
        chosen = [videos[i] for i, n in enumerate(counts) for _ in range(n)]
        repeated = aligned(*[(str(k), y, s) for k, (_, y, s) in enumerate(chosen)])
        again = operating_point(footage(repeated, 5), 0.8)
        recalls.append(again.recall)
        rates.append(again.false_alarms_per_hour)
    assert point.intervals["recall"] == pytest.approx(np.quantile(recalls, [0.025, 0.975]))
    assert point.intervals["false_alarms_per_hour"] == pytest.approx(
        np.quantile(rates, [0.025, 0.975])
    )


def test_classes_with_all_normal_videos() -> None:
    three = ("three", [0, 1, 1], [0.2, 0.4, 0.6])
    four = ("four", [0, 0], [0.3, 0.1])
    data = aligned(ONE, TWO, three, four)
    kinds = {"one": ("Fall", "Fight"), "three": "Fall", "four": "Theft", "two": "Normal"}
    fall, fight, theft = class_aucs(data, kinds)
    assert [(c.name, c.videos) for c in (fall, fight, theft)] == [
        ("Fall", 2),
        ("Fight", 1),
        ("Theft", 0),
    ]
    y = np.concatenate([ONE[1], TWO[1], four[1]])
    assert fight.auc == pytest.approx(roc_auc_score(y, np.concatenate([ONE[2], TWO[2], four[2]])))
    assert fall.auc == pytest.approx(roc_auc_score(data.all_labels, data.all_scores))
    assert theft.auc is None and "abnormal frame" in theft.reason
    whole = aligned(("whole", [1, 1], [0.2, 0.4]), three)
    undefined = class_aucs(whole, {"whole": "Fall", "three": "Fight"})[0]
    assert undefined.auc is None and "no normal frame" in undefined.reason
    with pytest.raises(DataError, match="video one has abnormal frames and no class"):
        class_aucs(data, {"three": "Fall"})
    with pytest.raises(DataError, match="the class 'Normal'"):
        class_aucs(data, {"one": "Normal", "three": "Fall"})


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"fps": {"one": 25}}, DataError, "video two has no frame rate"),
        ({"fps": 0}, DataError, "video one has 0 frames/s"),
        ({"fps": {"one": 25, "two": float("nan")}}, DataError, "video two has nan frames/s"),
        ({"alarm_gap": -1}, ConfigError, "gaps of -1 and 0 frames"),
        ({"rates": (-1,)}, ConfigError, "a rate of -1 false alarms"),
        ({"recalls": (90,)}, ConfigError, "an event recall of 90"),
        ({"resamples": -1}, ConfigError, "-1 resamples"),
        ({"recalls": (0,)}, ConfigError, "an event recall of 0"),
        ({"thresholds": {"mine": float("nan")}}, ConfigError, "threshold nan"),
    ],
)
def test_wrong_settings(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        operating_points(aligned(ONE, TWO), **{"fps": 25, "resamples": 0, **settings})


def test_sets_without_events_or_normal_frames() -> None:
    for label, kind in ((0, "normal"), (1, "abnormal")):
        data = Aligned(("a",), (np.full(3, label, np.uint8),), (np.arange(3.0),))
        with pytest.raises(DataError, match=f"1 videos with {kind} frames only"):
            footage(data, 25)


def test_a_million_frames_in_seconds() -> None:
    rng = np.random.default_rng(0)
    labels = [np.repeat(rng.random(200) < 0.1, 50).astype(np.uint8) for _ in range(100)]
    scores = [rng.random(len(y)) + 0.3 * y for y in labels]
    data = align(labels, scores)
    start = time.process_time()
    made = operating_points(data, 25, alarm_gap=10)
    assert len(made.points) == 6 and time.process_time() - start < 20
