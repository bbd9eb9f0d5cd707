"""What a report opens with: events and their pictures, or which of the labelled ones were found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from report.test_report import FPS, Page, clip, scores_of
from vadistill.datasets.base import Dataset, Track, Video
from vadistill.evaluation import measure_scores
from vadistill.evaluation.evaluate import Results
from vadistill.evaluation.runs import take
from vadistill.report import events, moments
from vadistill.report.report import write_report
from vadistill.report.tables import operate, operating_table
from vadistill.scores import FrameScore, Scores


def with_peaks(name: str, frames: int, *peaks: int, height: float = 1.0) -> Scores:
    """Calm but for frames, each the first and highest of three above the level of 0.5."""
    given = scores_of(name, frames)
    values = np.full(frames, 0.1)
    for peak in peaks:
        values[peak : peak + 3] = height - 0.01
    values[list(peaks)] = height
    made = [
        FrameScore(i, i / FPS, float(v), reason="runs" * bool(v > 0.5))
        for i, v in enumerate(values)
    ]
    return replace(given, frames=made)


def page_of(tmp_path: Path, video: Video, *scores: Scores, rate: float = 1.0) -> tuple[Page, dict]:
    given = {f"s{i}" if i else "cafe": {video.name: each} for i, each in enumerate(scores)}
    path = tmp_path / "page.html"
    results = Results(Dataset("d", "test", (video,)), given)
    beside = write_report(results, path, false_alarms_per_day=rate)
    return Page(path.read_text(encoding="utf-8")), json.loads(beside.read_text())


class TestUnlabelled:
    def test_events_come_first_with_a_picture_each(self, tmp_path: Path):
        video = clip("today", 200, labelled=False)
        page, numbers = page_of(tmp_path, video, with_peaks("today", 200, 30, 40, 120))
        text = page.text
        assert "2 events in 1 of 1 video." in text
        first, second = "00:03.0 – 00:04.3 1 2 times the level runs", "00:12.0 – 00:12.3 1 2 times"
        assert text.index(first) < text.index(second) < text.index("Scores over time")
        assert "Level: cafe 0.5, from training footage (raw scores). Events open once 3" in text
        assert text.count("highest score 1, 2 times the level") == 2
        assert sum(tag == "img" for tag, _ in page.tags) == 2
        found = numbers["systems"]["cafe"]["moments"]
        assert [(m["kind"], m["frame"], m["start"]) for m in found] == [
            ("event", 30, 3.0),
            ("event", 120, 12.0),
        ]
        assert "pink" not in text and "top moments" not in text.lower()

    def test_the_level_is_for_the_wanted_false_alarms(self, tmp_path: Path):
        video, scores = clip("today", 100, labelled=False), with_peaks("today", 100, 50, height=0.4)
        page, _ = page_of(tmp_path, video, scores)
        assert "No event: the highest raw score is 0.4." in page.text
        page, _ = page_of(tmp_path, video, scores, rate=0.5 * 86400 * 25)
        assert "1 event in 1 of 1 video." in page.text and "Level: cafe 0.25," in page.text

    def test_without_an_event_there_are_a_few_moments(self, tmp_path: Path):
        video = clip("today", 300, labelled=False)
        page, _ = page_of(tmp_path, video, with_peaks("today", 300, 50, height=0.4))
        assert "Top moments: the highest scores, none of them an event" in page.text
        assert sum(tag == "img" for tag, _ in page.tags) == moments.TOP

    def test_many_are_folded(self, tmp_path: Path):
        peaks = range(10, 40 * 14, 40)
        video = clip("today", 600, labelled=False)
        page, _ = page_of(tmp_path, video, with_peaks("today", 600, *peaks))
        assert "all 14 events" in page.text and ("summary", {}) in page.tags

    def test_scores_without_a_level_have_moments_alone(self, tmp_path: Path):
        scores = replace(with_peaks("today", 60, 30), calibration=None)
        page, _ = page_of(tmp_path, clip("today", labelled=False), scores)
        assert "Level" not in page.text and "Pictures" in page.text
        assert page.drawn["clips"][0]["series"][0]["level"] is None


class TestLabelled:
    def test_what_was_found_and_missed_comes_first(self, tmp_path: Path):
        track = Track(0, "cart", np.arange(40, 50), np.zeros((10, 4), np.float32))
        video = replace(clip("one"), tracks=(track,))  # abnormal from 3 s on
        page, _ = page_of(tmp_path, video, with_peaks("one", 60, 5, 42), with_peaks("one", 60))
        assert "cafe found 1 of 1 event, with 1 false alarm in 0:03.0" in page.text.replace(
            " 00:", " 0:"
        )
        assert "s1 found 0 of 1 event, with 0 false alarms" in page.text
        assert "one 00:03.0 – 00:06.0 cart found after 1.2 s missed" in page.text
        order = ["Found and missed", "best catches", "worst misses", "Scores over time"]
        places = [page.text.index(words) for words in order]
        assert places == sorted(places) and "pink" in page.text
        assert page.drawn["clips"][0]["series"][0]["level"] == pytest.approx(0.5, abs=1e-5)

    def test_figures_of_other_smoothings_are_folded(self, tmp_path: Path):
        data, scores = Dataset("d", "test", (clip("one"),)), {"cafe": {"one": scores_of("one")}}
        protocols = ["micro/average10", "ap/average10", "micro/raw", "micro/gaussian3"]
        found = measure_scores(data, scores["cafe"], protocols)
        write_report(Results(data, scores, figures={"cafe": found}), tmp_path / "page.html")
        page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
        words = page.text
        assert "the same, raw" in words and "the same, gaussian3" in words
        assert sum(tag == "details" for tag, _ in page.tags) == 2
        assert (
            words.index("d/ap/average10")
            < words.index("the same, raw")
            < words.index("d/micro/raw")
        )


def test_little_normal_footage_tells_no_rate() -> None:
    data = Dataset("d", "test", (clip("one"),))
    scores = {"one": with_peaks("one", 60, 5, 42)}
    points = operate(take(data, scores), data, scores)
    assert points is not None
    told = operating_table({"cafe": points})
    assert (
        "Of less than an hour of normal footage false alarms are counted, not rated." in told.note
    )
    assert told.rows[0][4] == "1 in 0:03.0"
    hours = replace(points, normal_hours=2.0)
    assert str(operating_table({"cafe": hours}).rows[0][4]).endswith("/h")


def test_events_that_are_apart_are_apart() -> None:
    given = with_peaks("v", 100, 10, 29, 60)
    assert [(e.start, e.frame) for e in events.stretches(given, 1.0)] == [(1.0, 10), (6.0, 60)]
    assert events.stretches(replace(given, calibration=None), 1.0) == []


@pytest.mark.parametrize(
    ("peak", "level", "said"),
    [
        (1.0, 0.5, "2 times the level"),
        (0.52, 0.5, "hardly above the level"),
        (0.5, 0.5, "hardly above the level"),
        (0.3, 0.0, "0.3 above the level"),
    ],
)
def test_how_far_above_the_level_is_said_in_words(peak: float, level: float, said: str) -> None:
    assert events.Stretch("a", 0.0, 1.0, 0, peak, level).above == said
