"""The report and the annotated video: whole, safe, readable without network, true to the scores."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vadistill.datasets.base import Clip, Dataset
from vadistill.errors import ConfigError, DataError, WeightsError
from vadistill.evaluation import charts, drawing, evaluate, moments
from vadistill.evaluation.annotate import HEAD, STRIP, annotate, columns_of, draw_strip
from vadistill.evaluation.report import write_report
from vadistill.scores import Calibration, FrameScore, Scores
from vadistill.video import open_video

EVIL = '<script>alert("x")</script>&'
FPS = 10.0


def clip(name: str, frames: int = 60, *, labelled: bool = True, width: int = 64) -> Clip:
    pixels = np.zeros((frames, 48, width, 3), np.uint8)
    pixels[:] = np.arange(frames, dtype=np.uint8)[:, None, None, None] * 2
    labels = (np.arange(frames) >= frames // 2).astype(np.uint8) if labelled else None

    def mask(index: int) -> np.ndarray:
        found = np.zeros((48, width), bool)
        found[10:30, 20:40] = index >= frames // 2
        return found

    return Clip(name, pixels, labels, mask if labelled else None, fps=FPS)


def scores_of(name: str, frames: int = 60, peak: int = 45, boxes: bool = True) -> Scores:
    values = np.exp(-((np.arange(frames) - peak) ** 2) / 40.0)
    box = np.array([[4, 4, 20, 30], [30, 10, 50, 40]], np.float32)
    made = [
        FrameScore(
            i,
            i / FPS,
            float(v),
            box if boxes else box[:0],
            np.array([0.0, v] if boxes else [], np.float32),
        )
        for i, v in enumerate(values)
    ]
    return Scores(name, made, FPS, "cafe", calibration=Calibration.fit(np.linspace(0, 0.5, 50)))


class Page(HTMLParser):
    """Tags with attributes, and the visible text; complains about tags that are not closed."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def written(tmp_path: Path) -> tuple[Page, dict, str]:
    dataset = Dataset("planted", "test", (clip("one"), clip("two", 80)))
    scores = {
        "cafe": {"one": scores_of("one"), "two": scores_of("two", 80, 60)},
        "motion": {"one": scores_of("one", peak=10), "two": scores_of("two", 80, 50)},
    }
    protocols = ["micro/average10", "macro/raw", "ap/raw"]
    results = {
        system: evaluate(dataset, s, protocols, paper={"micro/average10": 0.983}, bootstrap=50)
        for system, s in scores.items()
    }
    path = tmp_path / "sub" / "report.html"
    beside = write_report(path, results, dataset, scores, {"commit": "abc1234", "seeds": [0, 1]})
    assert beside == tmp_path / "sub" / "report.json"
    assert sorted(p.name for p in beside.parent.iterdir()) == ["report.html", "report.json"]
    text = path.read_text(encoding="utf-8")
    return Page(text), json.loads(beside.read_text()), text


class TestReport:
    def test_figures_papers_and_facts_are_there(self, written: tuple[Page, dict, str]):
        page, numbers, _ = written
        figure = numbers["systems"]["cafe"]["evaluation"]["figures"][0]
        assert figure["protocol"] == "micro/average10"
        shown = (
            f"{100 * figure['value']:.1f} {100 * figure['low']:.1f} – {100 * figure['high']:.1f}"
        )
        assert f"cafe micro/average10 {shown} 98.3 micro AUC" in page.text
        assert "commit abc1234 seeds [0, 1]" in page.text
        assert "2 videos, 140 frames, 70 of them abnormal" in page.text

    def test_nothing_comes_from_the_network(self, written: tuple[Page, dict, str]):
        page, _, text = written
        for tag, attributes in page.tags:
            assert tag not in ("script", "link", "iframe")
            for name in ("src", "href", "xlink:href"):
                value = attributes.get(name)
                assert value is None or value.startswith(("data:image/jpeg;base64,", "#"))
        assert "@import" not in text and "url(http" not in text

    def test_bands_lie_over_the_abnormal_frames(self, written: tuple[Page, dict, str]):
        page, _, _ = written
        bands = [a for t, a in page.tags if t == "rect" and a.get("class") == "band"]
        assert [(a["x"], a["width"]) for a in bands] == [("500.0", "500.0")] * 2

    def test_ids_are_unique_and_references_resolve(self, written: tuple[Page, dict, str]):
        page, _, text = written
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids)) > 0
        used = set(re.findall(r'(?:href="|url\()#([\w-]+)', text))
        assert used <= set(ids)

    def test_colours_are_the_pages(self, written: tuple[Page, dict, str]):
        curves = re.findall(r'<svg class="curve".*?</svg>', written[2], re.S)
        assert len(curves) == 2
        for curve in curves:
            assert "var(--c0)" in curve and "var(--c1)" in curve and "currentColor" in curve
            assert not re.search(r"#0[123]0[0-9a-f]{3}\b", curve)

    def test_moments_are_the_extremes(self, written: tuple[Page, dict, str]):
        page, numbers, _ = written
        found = numbers["systems"]["cafe"]["moments"]
        catches = {(m["video"], m["frame"]) for m in found if m["kind"] == "catch"}
        assert {("one", 45), ("two", 60)} <= catches
        assert all(m["frame"] >= (30 if m["video"] == "one" else 40) for m in found[:3])
        pictures = [a["src"] for t, a in page.tags if t == "img"]
        assert len(pictures) == len(found) + len(numbers["systems"]["motion"]["moments"])

    def test_pictures_are_of_their_frames(self):
        import cv2

        dataset = Dataset("d", "test", (clip("one", labelled=False),))
        scores = {"s": {"one": scores_of("one", boxes=False)}}
        (top, *_) = moments.with_pictures(
            moments.choose("s", dataset, scores["s"], 1), dataset, scores
        )
        data = base64.b64decode(top.picture.partition(",")[2])
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape[:2] == (96, 128)
        assert top.frame == 45 and abs(float(picture.mean()) - 90) < 3

    def test_markup_in_names_is_only_text(self, tmp_path: Path):
        dataset = Dataset(EVIL, "test", (clip(EVIL),))
        scores = {EVIL: {EVIL: replace(scores_of(EVIL), system=EVIL)}}
        result = evaluate(dataset, scores[EVIL], ["micro/raw"])
        evil_result = replace(result, notes=(EVIL,))
        path = tmp_path / "report.html"
        write_report(path, evil_result, dataset, scores, {EVIL: EVIL, "list": [EVIL]})
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text.lower()
        assert Page(text).text.count("<script>alert(") >= 6

    def test_unlabelled_video(self, tmp_path: Path):
        dataset = Dataset("today.mp4", "test", (clip("today", labelled=False),))
        path = tmp_path / "today.html"
        beside = write_report(path, None, dataset, {"cafe": {"today": scores_of("today")}})
        page = Page(path.read_text(encoding="utf-8"))
        assert beside.name == "today.report.json"
        assert "without labels" in page.text and "Figures" not in page.text
        assert "top moments" in page.text and "abnormal" not in page.text
        found = json.loads(beside.read_text())["systems"]["cafe"]
        assert found["evaluation"] is None and found["moments"][0]["frame"] == 45
        assert found["moments"][0]["calibrated"] == 1

    def test_the_same_input_gives_the_same_file(self, tmp_path: Path):
        dataset = Dataset("d", "test", (clip("one"),))
        scores = {"cafe": {"one": scores_of("one")}}
        result = evaluate(dataset, scores["cafe"], ["micro/raw"])
        for name in ("a.html", "b.html"):
            write_report(tmp_path / name, result, dataset, scores)
        assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()

    def test_a_lost_video_costs_only_its_pictures(self, tmp_path: Path):
        lost = replace(clip("one"), source=tmp_path / "gone.mp4")
        path = tmp_path / "report.html"
        write_report(path, None, Dataset("d", "test", (lost,)), {"s": {"one": scores_of("one")}})
        assert "could not be read again" in path.read_text(encoding="utf-8")

    def test_wrong_input(self, tmp_path: Path):
        dataset, path = Dataset("d", "test", (clip("one"),)), tmp_path / "report.html"
        with pytest.raises(DataError, match="one has 59 scores and 60 frame labels"):
            write_report(path, None, dataset, {"s": {"one": scores_of("one", 59)}})
        with pytest.raises(DataError, match="scores of a video two"):
            write_report(path, None, dataset, {"s": {"two": scores_of("two")}})
        with pytest.raises(DataError, match="no scores"):
            write_report(path, None, dataset, {})
        assert not path.exists()
        path.mkdir()
        with pytest.raises(WeightsError, match="cannot write"):
            write_report(path, None, dataset, {"s": {"one": scores_of("one")}})


class TestTimeline:
    def test_long_videos_keep_their_peaks(self):
        values = np.zeros(100_000)
        values[54_321] = 1.0
        drawn = charts.timeline({0: values}, None)
        assert len(drawn) < 40_000 and " 0.0L" in drawn

    def test_every_run_of_labels_is_a_band(self):
        labels = np.array([1, 0, 0, 1, 1], np.uint8)
        drawn = charts.timeline({0: np.zeros(5)}, labels)
        assert re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', drawn) == [
            ("0.0", "200.0"),
            ("600.0", "400.0"),
        ]


class TestAnnotate:
    def test_picture_curve_boxes_and_truth(self, tmp_path: Path):
        path = tmp_path / "out.mp4"
        annotate(clip("one", width=160), scores_of("one"), path)
        frames = [f.image.astype(int) for f in open_video(path)]
        assert len(frames) == 60
        assert frames[0].shape == (96 + HEAD + STRIP, 320, 3)  # small sources at twice their size
        calm, alarm = frames[3], frames[45]
        # The second box, (30, 10) to (50, 40), doubled: red where its score is the peak.
        left_edge = alarm[40:60, 60:62].mean(axis=(0, 1))
        assert left_edge[0] > left_edge[2] + 60
        assert calm[40:60, 60:62].mean(axis=(0, 1))[0] < 100
        # The abnormal half has a pink outline and a band; the normal half has neither.
        assert alarm[1, 100:200, 0].mean() > 180 and calm[1, 100:200, 0].mean() < 60
        strip = calm[96 + HEAD + 2 :]
        assert strip[:, 200:300, 0].mean() > strip[:, 40:140, 0].mean() + 20
        # The playhead moves.
        assert alarm[-4, columns_of(60, 320)[45]].min() > 150 > alarm[-4, 40].min()

    def test_a_source_without_labels(self, tmp_path: Path):
        path = tmp_path / "out.mp4"
        pixels = np.zeros((8, 50, 501, 3), np.uint8)
        annotate(open_video(pixels, name="v", fps=5), scores_of("v", 8, 4), path)
        first = next(iter(open_video(path)))
        assert first.image.shape[:2] == (50 + HEAD + STRIP, 502)  # large enough; odd width padded

    def test_masks_and_maps_are_drawn(self):
        image = np.zeros((60, 600, 3), np.uint8)
        heat = np.zeros((6, 60), np.float32)
        heat[:, 30:] = 5.0
        mask = np.zeros((60, 600), bool)
        mask[10:40, 20:50] = True
        frame = FrameScore(0, 0.0, 5.0, map=heat)
        drawn = drawing.draw_frame(image, frame, drawing.Scale(0.0, 5.0), mask=mask)
        assert drawn[30, 500, 0] > 100 and not drawn[50, 100].any() and not image.any()
        assert tuple(drawn[10, 30]) == drawing.TRUTH and not drawn[25, 35].any()

    def test_strip_bands_touch_every_labelled_column(self):
        labels = np.array([0, 1, 0, 1], np.uint8)
        strip = draw_strip(np.array([0.0, 1.0, 0.0, 0.0]), labels, 300)
        row = strip[-1, :, 0] > 60
        assert row[99:199].all() and not row[:99].any() and not row[199:299].any() and row[299]

    def test_wrong_input(self, tmp_path: Path):
        path = tmp_path / "out.mp4"
        with pytest.raises(DataError, match="one has 50 scores and 60 frame labels"):
            annotate(clip("one"), scores_of("one", 50), path)
        for frames in (50, 70):
            with pytest.raises(DataError, match=f"has 60 frames and {frames} scores"):
                annotate(clip("one", labelled=False), scores_of("one", frames), path)
        with pytest.raises(DataError, match="60 scores and 3 frame labels"):
            annotate(clip("one"), scores_of("one"), path, labels=np.zeros(3, np.uint8))
        with pytest.raises(ConfigError):
            annotate(clip("one"), scores_of("one"), tmp_path / "out.avi")
        assert not path.exists() and not list(tmp_path.iterdir())


class TestScale:
    def test_colours_run_from_calm_to_red(self):
        scale = drawing.Scale(1.0, 3.0)
        assert scale.colour(0.0) == drawing.LOW and scale.colour(9.0) == drawing.HIGH
        assert scale.colour(2.0) == drawing.MIDDLE

    def test_constant_scores(self):
        scale = drawing.Scale.of(np.full(5, 2.0))
        assert scale.colour(2.0) == drawing.LOW and scale.colour(2.1) == drawing.HIGH


@pytest.mark.parametrize("labelled", [True, False])
def test_real_ped2(shared_data: Path, tmp_path: Path, labelled: bool):
    from vadistill.datasets import open_dataset

    test = open_dataset(shared_data / "ucsd" / "UCSDped2", kind="ucsd").test
    first = test.clips[0] if labelled else replace(test.clips[0], frame_labels=None, mask=None)
    dataset = Dataset(test.name, "test", (first,))
    given = {"cafe": {first.name: scores_of(first.name, 180, 120)}}
    result = evaluate(dataset, given["cafe"], ["micro/average10"]) if labelled else None
    path = tmp_path / "report.html"
    write_report(path, result, dataset, given)
    page = Page(path.read_text(encoding="utf-8"))
    assert sum(tag == "img" for tag, _ in page.tags) >= 3
    assert ("Figures" in page.text) == labelled
