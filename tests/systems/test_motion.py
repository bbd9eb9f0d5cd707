"""The free baseline: what it measures of a known motion, its scales, its words, models of old."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import vadistill
from vadistill import Dataset, Video
from vadistill.errors import ConfigError
from vadistill.flow import build_flow
from vadistill.objects.speeds import (
    STATISTICS,
    Moment,
    Scale,
    Steps,
    at,
    frames_of_travel,
    grid_points,
    speeds_of,
)
from vadistill.systems.motion import Config, Motion
from vadistill.windows import windows

HEIGHT, WIDTH, SIDE = 96, 160, 24


def walk(steps: list[float], *, seed: int = 0) -> np.ndarray:
    """A textured square that moves by so many pixels a frame over a textured ground."""
    rng = np.random.default_rng(seed)

    def texture(height: int, width: int, low: int, high: int) -> np.ndarray:
        noise = rng.integers(low, high, (height, width, 3)).astype(np.uint8)
        return cv2.GaussianBlur(noise, (0, 0), 1.2)

    ground, square = texture(HEIGHT, WIDTH, 60, 130), texture(SIDE, SIDE, 120, 256)
    left, frames = 10.0, []
    for step in steps:
        frame = ground.copy()
        shift = np.array([[1, 0, left], [0, 1, 36]], np.float32)
        moved = cv2.warpAffine(square, shift, (WIDTH, HEIGHT))
        inside = cv2.warpAffine(np.full((SIDE, SIDE), 255, np.uint8), shift, (WIDTH, HEIGHT)) > 127
        frame[inside] = moved[inside]
        frames.append(frame)
        left += step
    return np.stack(frames)


def moments(video: Video, steps: Steps) -> list[Moment]:
    around = steps.reach
    return [steps.moment(w) for w in windows(video.open(), before=around, after=around)]


def speeds_at(pixels: np.ndarray, frame: int, left: float, fps: float = 10.0) -> dict[str, float]:
    reach = frames_of_travel(fps)
    video, flow = Video("v", pixels, fps=fps), build_flow("dis-fine")
    found = moments(video, Steps(flow, fps, reach, None))
    assert [m.window.current.index for m in found] == list(range(len(pixels)))
    boxes = np.array([[left, 36, left + SIDE, 36 + SIDE]], np.float32)
    values = speeds_of(boxes, found[frame], STATISTICS, 95.0, reach)[0]
    return dict(zip(STATISTICS, values, strict=True))


@pytest.mark.parametrize("fps", [10.0, 25.0])
def test_a_known_speed_is_found_in_pixels_a_second(fps: float) -> None:
    pixels = walk([2.0] * 24)
    found = speeds_at(pixels, 10, 30.0, fps)
    assert found["percentile"] == pytest.approx(2 * fps, rel=0.25)
    assert found["mean"] == pytest.approx(2 * fps, rel=0.25)
    assert found["travel"] == pytest.approx(2 * fps, rel=0.25)


def test_speeds_are_of_the_video_s_pixels_whatever_the_flow_is_computed_on() -> None:
    pixels = np.stack(
        [cv2.resize(f, (640, 384), interpolation=cv2.INTER_CUBIC) for f in walk([2.0] * 16)]
    )
    boxes = np.array([[120, 144, 216, 240]], np.float32)
    values = []
    for side in (None, 320):
        flow = build_flow("dis-fine")
        found = moments(Video("v", pixels, fps=10), Steps(flow, 10, 3, side))
        assert found[8].step is not None
        assert found[8].step.field.shape == ((384, 640, 2) if side is None else (192, 320, 2))
        values.append(speeds_of(boxes, found[10], STATISTICS, 95.0, 3)[0])
    assert values[0] == pytest.approx(values[1], rel=0.25)
    assert values[1] == pytest.approx([80, 80, 80], rel=0.4)


def test_points_lie_evenly_in_their_box_row_by_row() -> None:
    boxes = np.array([[3, 2, 5, 3.5], [0, 0, 40, 30], [7.5, 1, 8, 9]], np.float32)
    points, owners = grid_points(boxes)
    assert np.bincount(owners).tolist() == [2, 144, 8] and (np.diff(owners) >= 0).all()
    np.testing.assert_allclose(points[:2], [[3, 2.25], [4, 2.25]])
    spread = (np.arange(12) + 0.5) / 12
    np.testing.assert_allclose(points[2:14, 0], 40 * spread - 0.5, rtol=1e-6)
    np.testing.assert_allclose(points[2:146:12, 1], 30 * spread - 0.5, rtol=1e-6)
    np.testing.assert_allclose(points[146:], [[7.25, y] for y in range(1, 9)])


def test_points_beyond_what_one_call_takes_are_as_others() -> None:
    field = np.random.default_rng(0).normal(size=(60, 80, 2)).astype(np.float32)
    points = np.random.default_rng(1).uniform(-3, 83, (70_000, 2)).astype(np.float32)
    found = at(field, points)
    np.testing.assert_array_equal(found[::7], at(field, points[::7]))
    assert found.shape == (70_000, 2)


def test_what_goes_to_and_fro_does_not_travel() -> None:
    steps = [3.0, -3.0] * 12
    found = speeds_at(walk(steps), 10, 10.0)
    assert found["mean"] > 20 and found["travel"] < 0.35 * found["mean"]


def test_ends_of_a_video_and_videos_of_one_frame_have_speeds() -> None:
    pixels = walk([2.0] * 12)
    for frame in (0, 1, 10, 11):
        found = speeds_at(pixels, frame, 10.0 + 2 * frame)
        assert all(value == pytest.approx(20, rel=0.35) for value in found.values()), frame
    assert set(speeds_at(pixels[:1], 0, 10.0).values()) == {0.0}
    assert speeds_at(pixels[:2], 1, 12.0)["travel"] == pytest.approx(20, rel=0.35)


def test_a_scale_says_where_a_speed_stands_among_normal_ones() -> None:
    scale = Scale.of(np.arange(101.0))
    assert scale(np.array([50.0, 99.0, 148.0])) == pytest.approx([0, 1, 2])
    assert Scale.of(np.zeros(10))(np.array([3.0])) == pytest.approx([3.0])
    assert Scale.of(np.full(10, 20.0))(np.array([20.2, 24.0])) == pytest.approx([0.1, 2])
    assert Scale(0.0, 0.0, 5.0).spread == 5.0


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Motion:
    videos = tuple(Video(f"n{i}", walk([2.0] * 40, seed=i), fps=10) for i in range(3))
    out = tmp_path_factory.mktemp("motion") / "m.vad"
    return Motion(Config(localiser="motion", frames=200)).fit(
        Dataset("n", "train", videos), out=out
    )


def test_a_runner_is_told_by_how_much_he_is_faster(fitted: Motion) -> None:
    calm = fitted.score(Video("calm", walk([2.0] * 30, seed=9), fps=10).open())
    steps = [2.0] * 10 + [5.0] * 12 + [2.0] * 6
    fast = fitted.score(Video("fast", walk(steps, seed=9), fps=10).open())
    assert fast.raw[12:18].min() > 1.5 > calm.raw[3:25].max()
    (event,) = fast.events(threshold=1.3)
    assert 8 <= event.first <= 12 and 19 <= event.last <= 25
    found = re.search(r" ([\d.]+) times as fast as anything in normal footage$", event.reason)
    assert found and 1.5 < float(found[1]) < 3, event.reason
    frame = fast.frames[14]
    assert set(frame.parts) == set(STATISTICS)
    assert max(frame.parts.values()) == pytest.approx(frame.score, rel=1e-5)


def test_it_looks_as_far_ahead_as_it_says(fitted: Motion) -> None:
    assert fitted.lookahead == frames_of_travel(10) == 3 == fitted.latency
    pixels = walk([2.0] * 20 + [6.0] * 6, seed=3)
    cut = pixels.copy()
    cut[14 + fitted.lookahead + 1 :] = 0
    one, other = (fitted.score(Video("v", p, fps=10).open()).raw for p in (pixels, cut))
    assert np.array_equal(one[:15], other[:15]) and not np.array_equal(one, other)
    # At another rate the same seconds, if they are not more frames than it says.
    assert len(fitted.score(Video("v", pixels, fps=25).open())) == len(pixels)


def test_its_level_is_of_more_frames_than_its_scales(tmp_path: Path) -> None:
    steps = [2.0] * 20 + [4.0] * 8 + [2.0] * 6
    train = Dataset("n", "train", (Video("n", walk(steps, seed=1), fps=10),))
    model = Motion(Config(localiser="motion", frames=15)).fit(train, out=tmp_path / "m.vad")
    known = vadistill.load(tmp_path / "m.vad").require_fitted()
    assert known.frames == len(steps) and known.seconds == pytest.approx(3.4)
    scores = model.score(train.videos[0].open())
    assert scores.raw.max() == pytest.approx(known.quantiles[-1])
    assert scores.raw.max() > 1.5, "the scale is of the fifteen frames before it"


def test_models_of_earlier_versions_score_as_they_did(tmp_path: Path) -> None:
    videos = tuple(Video(f"n{i}", walk([2.0] * 20, seed=i), fps=10) for i in range(2))
    old = Config(
        localiser="motion", flow="dis", statistics=("percentile",), unit="pixels", flow_side=None
    )
    model = Motion(old).fit(Dataset("n", "train", videos), out=tmp_path / "old.vad")
    test = walk([2.0] * 8 + [4.0] * 8, seed=7)
    before = model.score(test)
    for frame in (10, len(before) - 1):  # the last frame has the flow that led to it
        assert before.frames[frame].score == pytest.approx(4, rel=0.3)
    assert model.lookahead == 1
    assert not before.frames[10].reason
    file = tmp_path / "old.vad" / "config.json"
    facts = json.loads(file.read_text())
    for key in ("statistics", "unit", "flow_side"):
        del facts["config"][key]
    del facts["scales"], facts["reach"]
    file.write_text(json.dumps(facts))
    loaded = vadistill.load(tmp_path / "old.vad")
    assert loaded.config == old
    assert loaded.score(test).raw.tolist() == before.raw.tolist()


def test_settings_that_cannot_be_are_one_line() -> None:
    with pytest.raises(ConfigError, match="did you mean 'travel'"):
        Config(statistics=("travle",))
    for statistics in ((), ("mean", "mean")):
        with pytest.raises(ConfigError, match="each once"):
            Config(statistics=statistics)
    with pytest.raises(ConfigError, match="each once"):
        Config(unit="pixels")
    with pytest.raises(ConfigError, match="travel in pixels"):
        replace(Config(), statistics=("travel",), unit="pixels")
