"""One call of a network for what several threads ask at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest

from support import scenes
from support.serving_scene import camera
from vadistill.datasets import Video
from vadistill.serving.config import ModelSettings
from vadistill.serving.live.batching import ROWS, Batching, Loaded
from vadistill.systems import fit
from vadistill.video import VideoInfo


@pytest.fixture
def batching():
    made = Batching("test")
    yield made
    made.close()


def double(rows: np.ndarray) -> np.ndarray:
    return 2 * rows


def test_each_gets_its_own_rows(batching: Batching):
    merged = batching.merge(double)
    with ThreadPoolExecutor(8) as pool:
        asked = [np.full((n % 4, 3), n) for n in range(200)]
        for rows, answer in zip(asked, pool.map(merged, asked), strict=True):
            np.testing.assert_array_equal(answer, 2 * rows)


def test_what_waits_while_the_network_runs_goes_through_it_together(batching: Batching):
    entered, leave, sizes = threading.Event(), threading.Event(), []

    def slow(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(len(rows))
        entered.set()
        assert leave.wait(10)
        return rows + 1, rows[:, :1] * 0

    merged = batching.merge(slow)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(merged, np.zeros((2, 2)))
        assert entered.wait(10)
        others = [pool.submit(merged, np.full((n, 2), n)) for n in range(1, 5)]
        while batching._queue.qsize() < 4:
            pass
        leave.set()
        assert len(first.result(10)[0]) == 2
        for n, other in enumerate(others, 1):
            up, zero = other.result(10)
            assert (up == n + 1).all() and up.shape == (n, 2) and zero.shape == (n, 1)
    assert sizes == [2, 1 + 2 + 3 + 4] and (batching.calls, batching.requests) == (2, 5)


def test_other_shapes_and_functions_are_other_calls(batching: Batching):
    merged, other = batching.merge(double), batching.merge(np.negative)
    with ThreadPoolExecutor(4) as pool:
        a = pool.submit(merged, np.ones((2, 3)))
        b = pool.submit(merged, np.ones((2, 4)))
        c = pool.submit(other, np.ones((2, 3)))
        assert a.result(5).shape == (2, 3) and b.result(5).shape == (2, 4)
        assert (c.result(5) == -1).all()


def test_large_batches_are_cut_between_requests(batching: Batching):
    entered, leave, sizes = threading.Event(), threading.Event(), []

    def slow(rows: np.ndarray) -> np.ndarray:
        sizes.append(len(rows))
        entered.set()
        assert leave.wait(10)
        return rows

    merged = batching.merge(slow)
    with ThreadPoolExecutor(4) as pool:
        pool.submit(merged, np.zeros(1))
        assert entered.wait(10)
        rest = [pool.submit(merged, np.zeros(ROWS - 1)) for _ in range(3)]
        while batching._queue.qsize() < 3:
            pass
        leave.set()
        assert [len(r.result(10)) for r in rest] == [ROWS - 1] * 3
    assert sizes == [1] + [ROWS - 1] * 3


def test_an_error_reaches_who_asked_and_no_one_else(batching: Batching):
    def broken(rows: np.ndarray) -> np.ndarray:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        batching.merge(broken)(np.ones(1))
    assert batching.merge(double)(np.ones(1)) == 2


def test_nothing_is_asked_of_a_closed_model():
    batching = Batching()
    merged = batching.merge(double)
    batching.close()
    batching.close()
    assert len(merged(np.ones((0, 2)))) == 0
    with pytest.raises(RuntimeError, match="closed"):
        merged(np.ones(1))


def test_a_camera_unlike_the_models_footage_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "m.vad"
    fit("motion", Video("normal", scenes.pixels(0, 24, None), fps=20), out=path)
    loaded = Loaded(ModelSettings("m", str(path)), path)
    try:
        like = VideoInfo("x", scenes.WIDTH, scenes.HEIGHT, 20.0, None)
        for info, fps in ((like, None), (like, 25.0), (replace(like, fps=60.0), 20.0)):
            loaded.for_camera(camera("x", "door", fps=fps), info)
        assert not caplog.records and loaded.unlike == {"door": ""}
        for fps in (6.0, 6.1):
            loaded.for_camera(camera("x", "gate", fps=fps), like)
        loaded.for_camera(camera("x", "yard"), replace(like, width=640))
    finally:
        loaded.batching.close()
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("camera gate has 144x96 pixels at 6 frames/s, the model knows 144x96")
    assert loaded.unlike == {"door": "", "gate": ANY, "yard": second}
    assert "at 6.1 frames/s" in loaded.unlike["gate"], "the latest"
    assert second.startswith("camera yard has 640x96 pixels at 20 frames/s")
