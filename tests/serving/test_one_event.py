"""An event is one thing: whoever is asked lists the same ones of a video, to the frame."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import vadistill
from support.scenes import FPS, HEIGHT, WIDTH, pixels
from support.serving_scene import camera, fitted, scene_settings, served
from support.waiting import until
from vadistill.cli import main
from vadistill.datasets import Dataset, Video
from vadistill.evaluation.evaluate import evaluate
from vadistill.report.tables import CALIBRATED, operate
from vadistill.serving.hub import Hub
from vadistill.video import VideoWriter

FRAMES = 180
BURSTS = (*range(30, 42), *range(60, 70), *range(140, 160))
"""Frames with something too fast: the first two bursts are less than two seconds apart."""

Spans = list[tuple[int, int]]
"""First and last frame of each event."""


def bursts(path: Path) -> Path:
    calm, rushing = (pixels(14, FRAMES, rush) for rush in (None, range(FRAMES)))
    with VideoWriter(path, WIDTH, HEIGHT, FPS) as writer:
        for frame in range(FRAMES):
            writer.write((rushing if frame in BURSTS else calm)[frame])
    return path


def in_frames(events: list[dict[str, float]]) -> Spans:
    """Of what cameras say of events."""
    return [(round(e["begins"] * FPS), round(e["ends"] * FPS)) for e in events]


def printed(text: str) -> Spans:
    return [(int(a), int(b)) for a, b in re.findall(r"(\d+) – (\d+) ", text)]


def test_all_list_the_same_events(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = bursts(home / "bursts.mp4")
    (home / "scene.vad").unlink()
    fitted(home, videos=4)  # of two, its level lies in the noise of others
    model = vadistill.load(home / "scene.vad")
    scores = model.score(video)
    events = scores.events()
    spans = [(event.first, event.last) for event in events]
    assert len(spans) == 2 and spans[0][0] <= 32 and 68 <= spans[0][1] < spans[1][0]

    report = home / "report.html"
    assert main(["score", str(home / "scene.vad"), str(video), "--report", str(report)]) == 0
    said = capfd.readouterr()
    assert printed(said.out) == spans
    short = scores.event_level().note
    assert "too short to tell 1 false alarm a day" in short
    assert short in " ".join(said.out.split()) and short in report.read_text(encoding="utf-8")
    shown = json.loads(report.with_suffix(".json").read_text())["systems"]["motion"]["moments"]
    assert [round(m["start"] * FPS) for m in shown] == [first for first, _ in spans]
    assert [round(m["end"] * FPS) - 1 for m in shown] == [last for _, last in spans]

    watched = ["watch", str(video), "--model", str(home / "scene.vad"), "--fast"]
    assert main([*watched, "--folder", str(home / "watched")]) == 0
    said = capfd.readouterr()
    told = [json.loads(line) for line in said.out.splitlines()]
    closed = [message["event"] for message in told if message["kind"] == "closed"]
    assert in_frames(closed) == spans and short in said.err
    np.testing.assert_allclose([e["peak"] for e in closed], [e.peak for e in events], rtol=1e-6)

    hub = Hub(scene_settings(home, camera(str(video), fast=True)))
    hub.start()
    with served(hub):
        until(lambda: hub.running()[0].settled or hub.running()[0].ended.is_set(), 60)
        (shown,) = hub.cameras()
        assert shown["level"]["note"].startswith(short)
    hub.stop()
    hub = Hub(scene_settings(home))
    kept = [event.as_json() for event in hub.store.events()]
    hub.stop()
    assert in_frames(kept[::-1]) == spans

    labels = np.isin(np.arange(FRAMES), BURSTS).astype(np.uint8)
    data = Dataset("bursts", "test", (Video("bursts", video, frame_labels=labels),))
    results = evaluate({"motion": model}, data)
    points = operate(results.runs["motion"], data, results.scores["motion"])
    assert points is not None
    (point,) = (point for point in points.points if point.name == CALIBRATED)
    assert (point.alarms, point.false_alarms) == (2, 0)
    inside = sum(int((labels[first : last + 1] == 0).sum()) for first, last in spans)
    assert round(point.normal_share * int((labels == 0).sum())) == inside
    assert any(note.endswith(short) for note in points.notes)
    np.testing.assert_array_equal(results.scores["motion"]["bursts"].raw, scores.raw)
