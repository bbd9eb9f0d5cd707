"""The report and the annotated video: whole, safe, readable without network, true to the scores."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from support.browser import Browser
from vadistill import drawing
from vadistill.datasets.base import Dataset, Video
from vadistill.errors import ConfigError, DataError, WeightsError
from vadistill.evaluation import measure_scores
from vadistill.evaluation.evaluate import Results
from vadistill.levels import Calibration
from vadistill.report import films, moments, timelines
from vadistill.report.annotate import HEAD, STRIP, annotate, columns_of, draw_strip
from vadistill.report.films import Film
from vadistill.report.report import ReportTable, write_report
from vadistill.scores import FrameScore, Scores
from vadistill.video import VideoWriter, open_video

EVIL = '<script>alert("x")</script>&'
FPS = 10.0


def clip(name: str, frames: int = 60, *, labelled: bool = True, width: int = 64) -> Video:
    pixels = np.zeros((frames, 48, width, 3), np.uint8)
    pixels[:] = np.arange(frames, dtype=np.uint8)[:, None, None, None] * 2
    labels = (np.arange(frames) >= frames // 2).astype(np.uint8) if labelled else None

    def mask(index: int) -> np.ndarray:
        found = np.zeros((48, width), bool)
        found[10:30, 20:40] = index >= frames // 2
        return found

    return Video(name, pixels, labels, mask if labelled else None, fps=FPS)


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
        self.data = ""
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
        if self.open and self.tags[-1] == ("script", {"type": "application/json", "id": "data"}):
            self.data += data

    @property
    def drawn(self) -> dict:
        return json.loads(self.data)

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
    paper = {"micro/average10": 0.983}
    results = {
        system: measure_scores(dataset, s, protocols, paper=paper, bootstrap=50)
        for system, s in scores.items()
    }
    path = tmp_path / "sub" / "report.html"
    rows = [["motion", 1.23456, None], ["<b>", 2, "later"]]
    further = ReportTable("Differences", ["run", "delay s", "note"], rows, "a paired bootstrap")
    facts = {"commit": "abc1234", "seeds": [0, 1]}
    beside = write_report(
        Results(dataset, scores, figures=results, facts=facts), path, tables=[further]
    )
    assert beside == tmp_path / "sub" / "report.json"
    assert sorted(p.name for p in beside.parent.iterdir()) == ["report.html", "report.json"]
    text = path.read_text(encoding="utf-8")
    return Page(text), json.loads(beside.read_text()), text


class TestReport:
    def test_figures_papers_and_facts_are_there(self, written: tuple[Page, dict, str]):
        page, numbers, _ = written
        figure = numbers["systems"]["cafe"]["evaluation"]["figures"][0]
        assert figure["protocol"] == "micro/average10"
        interval = f"{100 * figure['low']:.1f} – {100 * figure['high']:.1f}"
        other = numbers["systems"]["motion"]["evaluation"]["figures"][0]["value"]
        shown = f"micro/average10 {100 * figure['value']:.1f} ({interval}) 98.3 {100 * other:.1f} ("
        assert shown in page.text
        assert "protocol cafe cafe, paper motion motion, paper measure" in page.text
        assert "commit abc1234 seeds [0, 1]" in page.text
        assert "2 videos, 140 frames, 70 of them abnormal" in page.text

    def test_further_tables(self, written: tuple[Page, dict, str]):
        page, numbers, _ = written
        assert (
            "Differences run delay s note motion 1.235 – <b> 2 later a paired bootstrap"
            in page.text
        )
        (given,) = numbers["tables"]
        assert given["rows"] == [["motion", 1.23456, None], ["<b>", 2, "later"]]

    def test_nothing_comes_from_the_network(self, written: tuple[Page, dict, str]):
        page, _, text = written
        scripts = [a for t, a in page.tags if t == "script"]
        assert len(scripts) == 3 and not any("src" in a for a in scripts)
        for tag, attributes in page.tags:
            assert tag not in ("link", "iframe", "object")
            for name in ("src", "href", "xlink:href"):
                value = attributes.get(name)
                assert value is None or value.startswith("data:image/jpeg;base64,")
        (policy,) = (a["content"] for t, a in page.tags if "http-equiv" in a)
        assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "http" not in policy and "unsafe-eval" not in policy
        style = text[text.index("<style>") : text.index("</style>")]
        assert "@import" not in style and "url(" not in style

    def test_bands_lie_over_the_abnormal_frames(self, written: tuple[Page, dict, str]):
        drawn = written[0].drawn["clips"]
        assert np.allclose([c["bands"] for c in drawn], [[[3.0, 6.0]], [[4.0, 8.0]]])

    def test_moments_are_the_extremes(self, written: tuple[Page, dict, str]):
        page, numbers, _ = written
        found = numbers["systems"]["cafe"]["moments"]
        catches = {(m["video"], m["frame"]) for m in found if m["kind"] == "catch"}
        assert {("one", 45), ("two", 60)} <= catches
        for moment in found:
            abnormal = moment["frame"] >= (30 if moment["video"] == "one" else 40)
            assert abnormal == (moment["kind"] != "false alarm")
        pictures = [a["src"] for t, a in page.tags if t == "img"]
        assert len(pictures) == len(found) + len(numbers["systems"]["motion"]["moments"])

    def test_ten_of_each_kind_that_are_different_moments(self):
        dataset = Dataset("d", "test", (clip("one", 1000),))
        found = moments.pick("s", dataset, {"one": scores_of("one", 1000, 700)})
        for kind in ("false alarm", "miss"):
            times = sorted(m.time for m in found if m.kind == kind)
            assert len(times) == 10 and min(np.diff(times)) >= moments.APART

    def test_pictures_are_of_their_frames(self):
        import cv2

        one = clip("one", labelled=False)
        scores = {"s": {"one": scores_of("one", boxes=False)}}
        chosen = moments.pick("s", Dataset("d", "test", (one,)), scores["s"], 1)
        pictures = moments.Pictures(chosen, scores, {"s": drawing.Scale(0.0, 0.5, 1.0)})
        for frame in one.open():
            pictures.see(one, frame)
        (top,) = pictures.finished()
        data = base64.b64decode(top.picture.partition(",")[2])
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape[:2] == (96, 128)
        assert top.frame == 45 and abs(float(picture.mean()) - 90) < 3

    def test_markup_in_names_is_only_text(self, tmp_path: Path, chromium: Browser):
        dataset = Dataset(EVIL, "test", (clip(EVIL),))
        scores = {EVIL: {EVIL: replace(scores_of(EVIL), system=EVIL)}}
        result = measure_scores(dataset, scores[EVIL], ["micro/raw"])
        evil_result = replace(result, notes=(EVIL,))
        path = tmp_path / "report.html"
        facts = {EVIL: EVIL, "list": [EVIL]}
        write_report(Results(dataset, scores, figures={EVIL: evil_result}, facts=facts), path)
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert sum(tag == "script" for tag, _ in page.tags) == 3
        assert page.text.count("<script>alert(") >= 6
        assert page.drawn["clips"][0]["name"] == EVIL
        chromium.open(path)
        chromium.run("document.querySelector('[data-open]').click()")
        chromium.until(f"{PLAYER}?.dataset.ready")
        assert EVIL in chromium.run(f"{PLAYER}.textContent") and not chromium.problems()

    def test_unlabelled_video(self, tmp_path: Path):
        dataset = Dataset("today.mp4", "test", (clip("today", labelled=False),))
        path = tmp_path / "today.html"
        beside = write_report(Results(dataset, {"cafe": {"today": scores_of("today")}}), path)
        page = Page(path.read_text(encoding="utf-8"))
        assert beside.name == "today.report.json"
        assert "without labels" in page.text and "Figures" not in page.text
        assert "Events, at their highest frames" in page.text and "abnormal" not in page.text
        found = json.loads(beside.read_text())["systems"]["cafe"]
        assert found["evaluation"] is None and found["moments"][0]["frame"] == 45
        assert found["moments"][0]["calibrated"] == 1

    def test_the_same_input_gives_the_same_file(self, tmp_path: Path):
        dataset = Dataset("d", "test", (clip("one"),))
        scores = {"cafe": {"one": scores_of("one")}}
        result = measure_scores(dataset, scores["cafe"], ["micro/raw"])
        for name in ("a.html", "b.html"):
            write_report(Results(dataset, scores, figures={"cafe": result}), tmp_path / name)
        assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()

    def test_a_lost_video_costs_only_its_pictures(self, tmp_path: Path):
        lost = replace(clip("one"), source=tmp_path / "gone.mp4")
        path = tmp_path / "report.html"
        scores = {"s": {"one": scores_of("one")}}
        write_report(Results(Dataset("d", "test", (lost,)), scores), path)
        page = Page(path.read_text(encoding="utf-8"))
        assert "could not be read again" in page.text and page.drawn["films"] == [None]

    def test_wrong_input(self, tmp_path: Path):
        dataset, path = Dataset("d", "test", (clip("one"),)), tmp_path / "report.html"
        with pytest.raises(DataError, match="one has 59 scores and 60 frame labels"):
            write_report(Results(dataset, {"s": {"one": scores_of("one", 59)}}), path)
        with pytest.raises(DataError, match="scores of a video two"):
            write_report(Results(dataset, {"s": {"two": scores_of("two")}}), path)
        with pytest.raises(DataError, match="no scores"):
            write_report(Results(dataset, {}), path)
        bad = ReportTable("speed", ["a", "b"], [["1"]])
        with pytest.raises(ConfigError, match="row 0 of table 'speed' has 1 cells"):
            write_report(Results(dataset, {"s": {"one": scores_of("one")}}), path, tables=[bad])
        assert not path.exists()
        path.mkdir()
        with pytest.raises(WeightsError, match="cannot write"):
            write_report(Results(dataset, {"s": {"one": scores_of("one")}}), path)


class TestTimeline:
    def test_long_videos_keep_their_extremes_and_stay_small(self):
        values = np.sin(np.arange(900_000) / 7)
        values[54_321], values[700_000] = 5.0, -5.0
        kept = timelines.thinned(values, 500)
        assert len(kept) <= 1002 and (np.diff(kept) > 0).all()
        assert {0, 54_321, 700_000, 899_999} <= set(kept.tolist())
        few = timelines.thinned(values[:900], 500)
        assert few.tolist() == list(range(900))

    def test_a_page_does_not_grow_with_its_videos(self):
        assert 2 * timelines.columns_for(120) * 120 <= timelines.POINTS
        assert timelines.columns_for(1) == timelines.COLUMNS[1]

    def test_every_run_of_labels_is_a_band(self):
        assert timelines.bands(np.array([1, 0, 0, 1, 1], np.uint8)) == [(0, 0), (3, 4)]
        flicker = timelines.bands((np.arange(100_000) % 2).astype(np.uint8))
        assert len(flicker) == 1


class TestFilm:
    def test_bytes_are_kept(self):
        noise = np.random.default_rng(0).normal(0, 12, (8, 120, 200, 1))
        ramp = np.linspace(20, 220, 200)[None, None, :, None]
        frames = np.clip(ramp + noise, 0, 255).astype(np.uint8).repeat(3, axis=3)
        sizes = []
        for size in (20_000, 60_000):
            film = Film(200, 120, Fraction(25), 90, size)
            for i in range(90):
                film.write(np.roll(frames[i % 8], 3 * i, axis=1))
            sizes.append(len(film.close()))
            assert sizes[-1] < 1.1 * size
        assert sizes[1] > 1.5 * sizes[0]

    def test_long_videos_keep_every_kth_frame_and_their_moments(self):
        clips = [clip("one", 200), clip("two", 100)]
        scores = {"s": {"one": scores_of("one", 200), "two": scores_of("two", 100)}}
        pixels = 300 * 64 * 48
        budget = int(pixels * films.BYTES_A_PIXEL / 4)
        stride, plans = films.plan(clips, scores, {"one": {7, 199}}, budget)
        assert stride in (4, 5)
        assert plans["one"].kept.tolist() == sorted({*range(0, 200, stride), 7, 199})
        assert sum(p.size for p in plans.values()) <= budget

    def test_overlays_are_those_of_the_kept_frames(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(films, "FRAMES", 20)
        one, given = clip("one"), scores_of("one")
        heat = np.zeros((48, 64), np.float32)
        heat[:24] = 9.0
        frames = [replace(f, map=heat) if f.index == 45 else f for f in given]
        scores = {"s": {"one": replace(given, frames=frames)}}
        scale = drawing.scale_of([given])
        stride, plans = films.plan([one], scores, {"one": {45}})
        (made,) = films.record([one], plans, scores, [scale])
        assert made is not None and stride == 3
        kept = unpack(made["kept"], "<i4")
        assert kept.tolist() == list(range(0, 60, 3))
        overlay = made["systems"]["0"]
        assert np.allclose(unpack(overlay["value"], "<f4"), given.values[kept])
        assert np.allclose(unpack(overlay["share"], "<f4"), given.calibrated[kept])
        boxes = unpack(overlay["boxes"], "<i2").reshape(-1, 4) / films.STEPS
        assert boxes[:2].tolist() == [[4, 4, 20, 30], [30, 10, 50, 40]]
        levels = unpack(overlay["map"]["levels"], "u1")
        levels = levels.reshape(len(kept), overlay["map"]["height"], overlay["map"]["width"])
        j = kept.tolist().index(45)
        assert (levels[j, 0] == 255).all() and not levels[j, -1].any() and not levels[:j].any()
        assert set(made["truth"]) == {str(i) for i, frame in enumerate(kept) if frame >= 30}
        assert sorted(made["truth"]["19"][0]) == [10, 10, 20, 20, 29, 29, 39, 39]

    def test_a_video_that_breaks_off_shows_what_came_before(self, tmp_path: Path):
        short = replace(clip("one", 60, labelled=False), source=np.zeros((25, 48, 64, 3), np.uint8))
        given = {"s": {"one": scores_of("one")}}
        stride, plans = films.plan([short], given, {})
        (made,) = films.record([short], plans, given, [drawing.Scale(0.0, 0.5, 1.0)])
        assert made is not None and stride == 1 and len(unpack(made["kept"], "<i4")) == 25


def unpack(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


PLAYER = "document.querySelector('#player')"
BITS = 8


def numbered(name: str, frames: int) -> Video:
    """A video whose frames hold their own number as eight bars, dark or light."""
    bits = (np.arange(frames)[:, None] >> np.arange(BITS)) & 1
    bars = np.where(bits, 220, 30).astype(np.uint8).repeat(30, axis=1)
    pixels = np.broadcast_to(bars[:, None, :, None], (frames, 120, 30 * BITS, 3)).copy()
    labels = (np.arange(frames) % 40 >= 30).astype(np.uint8)
    inside = np.zeros((120, 30 * BITS), bool)
    inside[90:110, 15:45] = True
    return Video(name, pixels, labels, lambda index: inside, fps=FPS)


SEEN = f"""(() => {{
  const canvas = document.querySelector("#player canvas");
  const wide = canvas.width / {BITS};
  const row = canvas.getContext("2d").getImageData(0, canvas.height * 0.6, canvas.width, 1).data;
  let number = 0;
  for (let i = 0; i < {BITS}; i++) number += (row[4 * Math.round((i + 0.5) * wide)] > 125) << i;
  return [Number(document.querySelector("#player").dataset.frame), number];
}})()"""
"""The frame that the player tells, and the one that its picture holds."""


def pixel(browser: Browser, x: float, y: float) -> list[int]:
    """Colour of the player's picture at a place of the film."""
    return browser.run(
        f"""(() => {{ const c = document.querySelector("#player canvas");
        const f = c.width / {30 * BITS};
        return Array.from(c.getContext("2d").getImageData(f * {x}, f * {y}, 1, 1).data.slice(0, 3));
        }})()"""
    )


def middle_of(browser: Browser, clip: int, part: float) -> tuple[float, float]:
    """Where in the window a part of a clip's time axis is; scrolls there."""
    line = f"document.querySelector('#clip{clip} .line')"
    browser.run(f"{line}.scrollIntoView({{block: 'start'}})")
    browser.until(f"{line}.querySelector('.playhead')")
    place = f"""(() => {{ const r = {line}.getBoundingClientRect(), a = {line}._fullLayout.xaxis;
    return [r.left + a._offset + {part} * a._length, r.top + r.height / 2]; }})()"""
    x, y = browser.settled(place)
    return x, y


class TestInBrowser:
    @pytest.fixture(scope="class")
    @classmethod
    def path(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("report") / "report.html"
        dataset = Dataset("numbered", "test", (numbered("one", 150), numbered("two", 60)))
        heat = np.zeros((12, 24), np.float32)
        heat[:, 20:] = 1.0
        scores = {}
        for system, shift in (("cafe", 0.0), ("motion", 60.0)):
            scores[system] = {}
            for c in dataset:
                given = scores_of(c.name, len(c.source), 33)  # pyright: ignore[reportArgumentType]
                move = np.array([shift, 0, shift, 0], np.float32)
                frames = [replace(f, boxes=f.boxes + move, map=heat) for f in given]
                scores[system][c.name] = replace(given, frames=frames)
        results = {
            s: measure_scores(dataset, v, ["micro/raw"], bootstrap=10) for s, v in scores.items()
        }
        write_report(Results(dataset, scores, figures=results), path)
        return path

    @pytest.fixture
    def browser(self, path: Path, chromium: Browser) -> Iterator[Browser]:
        chromium.open(path)
        yield chromium
        assert chromium.problems() == [] and chromium.requests() == []

    def test_frame_i_is_frame_i(self, browser: Browser):
        browser.click(*middle_of(browser, 0, 100.2 / 150))
        browser.until(f"{PLAYER}?.dataset.ready === '100'")
        for box in ("boxes", "map", "truth"):
            browser.run(f"{PLAYER}.querySelector('[value={box}]').click()")
        assert browser.run(SEEN) == [100, 100]
        for key, first, last in (("ArrowRight", 101, 120), ("ArrowLeft", 118, 97)):
            for wanted in range(first, last, 1 if last > first else -1):
                browser.key(key)
                browser.until(f"{PLAYER}.dataset.ready === '{wanted}'")
                assert browser.run(SEEN) == [wanted, wanted]
        for wanted in (0, 149, 37, 12, 13, 140, 59, 60):
            browser.click(*middle_of(browser, 0, (wanted + 0.2) / 150))
            browser.until(f"{PLAYER}.dataset.ready === '{wanted}'")
            assert browser.run(SEEN) == [wanted, wanted]
        browser.click(*middle_of(browser, 1, 10.2 / 60))
        browser.until(f"{PLAYER}.dataset.ready === '10'")
        assert browser.run(SEEN) == [10, 10]

    def test_what_plays_is_what_is_told(self, browser: Browser):
        browser.click(*middle_of(browser, 0, 0.0))
        browser.until(f"{PLAYER}?.dataset.ready === '0'")
        for box in ("boxes", "map", "truth"):
            browser.run(f"{PLAYER}.querySelector('[value={box}]').click()")
        browser.run(
            f"""window.seen = []; new MutationObserver(() => seen.push({SEEN}))
            .observe({PLAYER}, {{attributeFilter: ["data-frame"]}}); play.click()"""
        )
        browser.until("seen.length > 12")
        browser.run("play.click()")
        seen = browser.run("seen")
        assert all(abs(told - held) <= 1 for told, held in seen)
        assert np.mean([told == held for told, held in seen]) > 0.8
        browser.until(f"{PLAYER}.dataset.frame && {PLAYER}.querySelector('video').paused")

    def test_boxes_map_truth_and_words(self, browser: Browser):
        browser.click(*middle_of(browser, 0, 33.2 / 150))
        browser.until(f"{PLAYER}?.dataset.ready === '33'")
        words = browser.run(f"{PLAYER}.textContent")
        assert "one: frame 33 · 00:03.3 · cafe score 1 (raw)" in words
        assert "raw above all normal training frames" in words
        red, green, blue = pixel(browser, 40, 40)  # a box's lower edge: x 30 to 50, y 10 to 40
        assert red > 180 and green < 90 and blue < 90
        red, green, blue = pixel(browser, 30, 90.5)  # the truth's upper edge
        assert red > 180 and blue > 150 and green < 130
        assert pixel(browser, 235, 70)[0] - pixel(browser, 235, 70)[1] > 60  # the map's red
        assert abs(pixel(browser, 100, 70)[0] - pixel(browser, 100, 70)[1]) < 12
        browser.run(
            f"""(() => {{ const s = {PLAYER}.querySelector('select'); s.value = '1';
            s.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"""
        )
        assert "motion score 1" in browser.run(f"{PLAYER}.textContent")
        assert pixel(browser, 100, 40)[0] > 180 > 90 > pixel(browser, 100, 40)[1]
        assert pixel(browser, 40, 40)[0] < 150

    def test_legend_theme_and_pictures(self, browser: Browser):
        middle_of(browser, 0, 0.5)
        lines = "Array.from(document.querySelectorAll('#clip0 .js-line'), e => e.style.stroke)"
        assert browser.run(lines) == ["rgb(22, 104, 199)", "rgb(194, 87, 26)"]
        shapes = "document.querySelector('#clip0 .js-plotly-plot').layout.shapes"
        assert browser.run(f"{shapes}.filter(s => s.name === 'level').length") == 2
        assert browser.run("theme.textContent + theme.title") == "◐light or dark"
        browser.run("theme.click()")
        browser.until(f"{lines}[0] === 'rgb(108, 178, 255)'")
        assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
        browser.run("document.querySelector('.key [data-system=\"0\"]').click()")
        browser.until(f"{lines}.length === 1 && {lines}[0] === 'rgb(255, 157, 92)'")
        assert browser.run("document.querySelectorAll('[data-curve=roc] .js-line').length") == 1
        frame = browser.run(
            """(() => { const b = document.querySelector('figure [data-system="1"]'); b.click();
            return b.dataset.frame; })()"""
        )
        browser.until(f"{PLAYER}?.dataset.ready === '{frame}'")
        assert browser.run(f"{PLAYER}.querySelector('select').value") == "1"

    def test_on_a_phone(self, path: Path, chromium: Browser):
        chromium.open(path, 390, 844, touch=True)
        assert chromium.run("document.documentElement.scrollWidth") <= 390
        place = middle_of(chromium, 0, 33.2 / 150)
        before = chromium.run("scrollY")
        chromium.swipe(*place, by=200)  # a finger that starts on a chart scrolls the page
        assert chromium.settled("scrollY") < before - 100
        assert chromium.run(f"{PLAYER} === null")
        chromium.click(*middle_of(chromium, 0, 33.2 / 150))
        chromium.until(f"{PLAYER}?.dataset.ready === '33'")
        assert chromium.run(f"{PLAYER}.getBoundingClientRect().width") <= 390
        assert chromium.run("document.documentElement.scrollWidth") <= 390
        assert chromium.problems() == []

    def test_a_film_that_cannot_be_decoded_is_told(
        self, path: Path, tmp_path: Path, chromium: Browser
    ):
        text = path.read_text(encoding="utf-8")
        broken = tmp_path / "broken.html"
        broken.write_text(re.sub(r'"film":"[^"]+"', '"film":"AAAAAAAA"', text), encoding="utf-8")
        chromium.open(broken)
        chromium.click(*middle_of(chromium, 0, 33.2 / 150))
        chromium.until("document.querySelector('#trouble')?.textContent.includes('cannot decode')")
        assert "frame 33 · 00:03.3 · cafe score 1" in chromium.run(f"{PLAYER}.textContent")
        assert pixel(chromium, 40, 40)[0] > 180  # the boxes are there all the same

    def test_annotated_video_plays_frame_by_frame(self, tmp_path: Path, chromium: Browser):
        frames, width = 60, 320
        path = tmp_path / "out.mp4"
        annotate(clip("one", frames, width=160), scores_of("one", frames), path)
        page = tmp_path / "page.html"
        film = base64.b64encode(path.read_bytes()).decode()
        page.write_text(
            f"""<video muted src="data:video/mp4;base64,{film}"></video><script>
            const video = document.querySelector("video");
            const rows = [];
            const read = (_, shown) => {{
              const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
              const pen = canvas.getContext("2d");
              pen.drawImage(video, 0, 0);
              const foot = pen.getImageData(0, canvas.height - 3, canvas.width, 1).data;
              let head = 0;
              for (let x = 0; x < canvas.width; x++)
                if (foot[4 * x + 1] > foot[4 * head + 1]) head = x;
              rows.push([Math.round(shown.mediaTime * {FPS}), head]);
              video.requestVideoFrameCallback(read);
              video.currentTime += 1 / {FPS};
            }};
            video.requestVideoFrameCallback(read);
            video.onloadeddata = () => (video.currentTime = 0.5 / {FPS});
            </script>"""
        )
        columns = columns_of(frames, width)
        chromium.open(page)
        chromium.until(f"rows.some(row => row[0] === {frames - 1})")
        rows = chromium.run("rows")
        assert {index for index, _ in rows} == set(range(frames))
        # The playhead of the picture that the chromium shows for frame i is at frame i's score.
        assert all(abs(head - columns[index]) <= 1 for index, head in rows)
        assert chromium.run("video.videoWidth") == width
        chromium.run("video.currentTime = 0, video.play()")
        chromium.until("video.ended || video.currentTime > 1")


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

    def test_a_variable_rate_is_kept(self, tmp_path: Path):
        times = [0, 0.04, 0.08, 20, 20.04, 20.5, 22, 22.4]
        with VideoWriter(tmp_path / "v.mp4", 96, 64, 25) as writer:
            for time in times:
                writer.write(np.zeros((64, 96, 3), np.uint8), time)
        source = open_video(tmp_path / "v.mp4")
        assert source.info.fps < 1
        annotate(source, scores_of("v", len(times), 4), tmp_path / "out.mp4")
        found = [frame.time for frame in open_video(tmp_path / "out.mp4")]
        assert found == pytest.approx(times, abs=1e-3)

    def test_a_video_behind_its_sound_keeps_the_times(self, tmp_path: Path, cases: Path):
        source = open_video(cases / "start_offset" / "late_video.mp4")
        annotate(source, scores_of("v", 100, 4), tmp_path / "out.mp4")
        found = [frame.time for frame in open_video(tmp_path / "out.mp4")]
        assert (found[0], found[60]) == pytest.approx((0, 5.4), abs=1e-3)

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
        drawn = drawing.draw_frame(image, frame, drawing.Scale(0.0, 2.5, 5.0), mask=mask)
        assert drawn[30, 500, 0] > 100 and not drawn[50, 100].any() and not image.any()
        assert tuple(drawn[10, 30]) == drawing.TRUTH and not drawn[25, 35].any()

    def test_players_can_start_before_the_whole_file_is_there(self, tmp_path: Path):
        path = tmp_path / "out.mp4"
        annotate(clip("one"), scores_of("one"), path)
        data = path.read_bytes()
        assert 0 < data.find(b"moov") < data.find(b"mdat")

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
        scale = drawing.Scale(1.0, 2.0, 6.0)
        assert scale.colour(0.0) == drawing.LOW and scale.colour(9.0) == drawing.HIGH
        assert scale.colour(2.0) == drawing.MIDDLE
        assert scale.level(np.array([1.5, 4.0])).tolist() == [0.25, 0.75]

    def test_calibrated_scores_are_red_above_all_of_normal(self):
        scale = drawing.scale_of([scores_of("one")])  # calibrated on 0 to 0.5
        assert scale.calibrated and scale.colour(0.5) == drawing.HIGH
        assert scale.colour(0.2) == drawing.LOW and scale.colour(0.475) == drawing.MIDDLE
        assert scale.names[0] == "50 % of normal frames score lower"

    def test_constant_scores(self):
        constant = replace(scores_of("one"), calibration=None)
        frames = [replace(f, score=2.0) for f in constant]
        scale = drawing.scale_of([replace(constant, frames=frames)])
        assert scale.colour(2.0) == drawing.LOW and scale.colour(2.1) == drawing.HIGH


@pytest.mark.parametrize("labelled", [True, False])
def test_real_ped2(shared_data: Path, tmp_path: Path, labelled: bool):
    from vadistill.datasets import open_dataset

    test = open_dataset(shared_data / "ucsd" / "UCSDped2", kind="ucsd").test
    first = test.videos[0] if labelled else replace(test.videos[0], frame_labels=None, mask=None)
    dataset = Dataset(test.name, "test", (first,))
    given = {"cafe": {first.name: scores_of(first.name, 180, 120)}}
    result = measure_scores(dataset, given["cafe"], ["micro/average10"]) if labelled else None
    path = tmp_path / "report.html"
    write_report(Results(dataset, given, figures={"cafe": result} if result else {}), path)
    page = Page(path.read_text(encoding="utf-8"))
    assert sum(tag == "img" for tag, _ in page.tags) >= (3 if labelled else 1)
    assert ("Figures" in page.text) == labelled
