"""Masks, zones, least sizes and hours: what of a camera's picture may raise events, and when."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import vadistill
from support.scenes import film
from support.serving_scene import RUSH, camera, scene_settings, served
from support.waiting import until
from vadistill.cli import main
from vadistill.datasets import Dataset, Video
from vadistill.datasets.footage import unlike
from vadistill.errors import ConfigError, DataError
from vadistill.levels import Calibration, Level
from vadistill.scores import FrameScore
from vadistill.serving.config import Zone, changed
from vadistill.serving.hub import Hub
from vadistill.serving.jobs.queue import Jobs
from vadistill.serving.live.learned import learned_level, starting_level
from vadistill.serving.live.places import Counting
from vadistill.serving.live.session import Stillness
from vadistill.serving.schedule import hours, within
from vadistill.serving.settings_file import read_settings, write_settings
from vadistill.serving.storage.store import Event, Store
from vadistill.systems.motion import Motion
from vadistill.video import open_video

BAND = ((0.0, 0.3), (1.0, 0.3), (1.0, 0.7), (0.0, 0.7))
"""Where the square of ``rush.mp4`` crosses."""
LEVEL = Level(2.0, 1.0, "fixed")
BELOW = ((0.0, 0.72), (1.0, 0.72), (1.0, 1.0), (0.0, 1.0))


def moment(day: int, hour: int, minute: int = 0) -> float:
    """Unix seconds of a day of the week (0 is Monday) here."""
    return datetime(2026, 11, 2 + day, hour, minute).timestamp()


class TestHours:
    @pytest.mark.parametrize(
        ("spans", "inside", "outside"),
        [
            (
                ["mon-fri 18:00-06:00"],
                [(0, 18), (1, 5), (4, 23), (5, 5)],
                [(0, 5), (5, 6), (0, 17)],
            ),
            (["sat,sun 00:00-24:00"], [(5, 0), (6, 23)], [(4, 23), (0, 0)]),
            (["8:00-17:30"], [(2, 8), (6, 17)], [(2, 18), (2, 7)]),
            (["fri-mon 12:00-13:00"], [(4, 12), (6, 12), (0, 12)], [(1, 12), (0, 13)]),
            (["mon 1:00-2:00", "tue 3:00-4:00"], [(0, 1), (1, 3)], [(0, 3), (1, 1)]),
            ([], [(0, 0), (6, 23)], []),
        ],
    )
    def test_what_lies_within(self, spans: list[str], inside: list, outside: list):
        assert all(within(spans, moment(*at)) for at in inside)
        assert not any(within(spans, moment(*at)) for at in outside)

    @pytest.mark.parametrize(
        "text",
        ["", "mon", "mon 8:00", "mo 8:00-9:00", "mon 8:60-9:00", "24:01-1:00", "mon- 1:00-2:00"],
    )
    def test_what_is_no_span(self, text: str):
        if text == "mon- 1:00-2:00":
            assert hours(text)[0] == {0}  # as good as 'mon'
            return
        with pytest.raises(ValueError):
            hours(text)
        with pytest.raises(ConfigError, match="such as 'mon-fri"):
            replace_hours(text)


def replace_hours(text: str) -> None:
    changed(camera("x"), event_hours=(text,))


def seen(
    *found: tuple[float, float, float, float, float], score: float | None = None
) -> FrameScore:
    """A frame of 100x50 with boxes and their scores."""
    boxes = np.array([each[:4] for each in found], np.float32).reshape(-1, 4)
    values = np.array([each[4] for each in found], np.float32)
    highest = float(values.max()) if score is None else score
    return FrameScore(0, 0.0, highest, boxes, values, reason="too fast")


class TestCounting:
    """Boxes are 10 wide and 20 high; the zone is the picture's right half."""

    zone = Zone("right", ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))
    left, right = (10, 10, 20, 30, 9.0), (70, 10, 80, 30, 4.0)

    def counted(self, score: FrameScore, **rules: Any) -> tuple[FrameScore, object]:
        return Counting(camera("x", **rules), quiet=0.5)(score, (100, 50), LEVEL, 0.0)

    def test_without_rules_all_stays_and_the_place_is_told(self):
        score = seen(self.left, self.right)
        found, place = self.counted(score, zones=(self.zone,))
        assert found.score == 9.0 and found.reason == "too fast"
        assert place.box == pytest.approx((0.1, 0.2, 0.2, 0.6))  # pyright: ignore
        assert place.zone is None and place.reason == "too fast"  # pyright: ignore

    def test_only_what_stands_in_a_zone_counts(self):
        rules = {"zones": (self.zone,), "only_zones": True}
        found, place = self.counted(seen(self.left, self.right), **rules)
        # The reason was that of the highest object.
        assert (found.score, found.reason, place.zone) == (4.0, "", "right")  # pyright: ignore
        found, place = self.counted(seen(self.left), **rules)
        assert (found.score, place) == (0.5, None)
        # Scores whose boxes are on another scale go down by as much.
        found, _ = self.counted(seen(self.left, self.right, score=30.0), **rules)
        assert found.score == 25.0
        # A frame below what is quiet stays there.
        assert self.counted(seen(self.left, score=0.1), **rules)[0].score == 0.1

    def test_the_foot_decides(self):
        lower = Zone("low", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
        found, place = self.counted(seen(self.left), zones=(lower,), only_zones=True)
        assert found.score == 9.0 and place.zone == "low"  # pyright: ignore

    def test_small_objects_and_masked_ones_do_not_count(self):
        small = (70, 10, 72, 12, 9.0)
        assert self.counted(seen(small, self.left), least_size=0.3)[0].score == 9.0
        assert self.counted(seen(small), least_size=0.3)[0].score == 0.5
        wide = (10, 10, 30, 12, 9.0)  # 20 wide in a picture 50 high
        assert self.counted(seen(wide), least_size=0.3)[0].score == 9.0
        masked, _ = self.counted(seen(self.left, self.right), masks=(((0, 0), (0.4, 0), (0, 1)),))
        assert masked.score == 4.0

    def test_a_map_stands_for_objects_where_there_are_none(self):
        shown = np.zeros((5, 10), np.float32)
        shown[2, 8] = 3
        score = FrameScore(0, 0.0, 7.0, map=shown)
        rules = {"zones": (self.zone,), "only_zones": True, "least_size": 0.9}
        found, place = self.counted(score, **rules)
        assert (found.score, place.box, place.zone) == (7.0, None, "right")  # pyright: ignore
        left = FrameScore(0, 0.0, 7.0, map=shown[:, ::-1])
        assert self.counted(left, **rules)[0].score == 0.5
        # Of what has no place nothing can be said.
        assert self.counted(FrameScore(0, 0.0, 7.0), **rules)[0].score == 7.0


def events(folder: Path, **rules: Any) -> tuple[list[Event], np.ndarray]:
    """Events and scores of ``rush.mp4`` by a camera with these rules."""
    hub = Hub(scene_settings(folder, camera("rush.mp4", fast=True, **rules)))
    hub.start()
    until(lambda: all(c.ended.is_set() for c in hub.running()))
    hub.stop()
    store = Store(folder / "data")
    found = store.events()
    scores = store.scores("door", 0, 1e12)[1]
    store.close()
    return found, scores


class TestEvents:
    def test_what_crosses_a_zone_is_an_event_that_names_it(self, home: Path):
        zones = (Zone("way", BAND), Zone("below", BELOW))
        (event,), _ = events(home, zones=zones, only_zones=True)
        assert event.zone == "way" and event.box is not None
        x1, y1, x2, y2 = event.box
        assert 0 <= x1 < x2 <= 1 and 0.3 < (y1 + y2) / 2 < 0.7
        assert event.reason and event.as_json()["zone"] == "way"

    def test_elsewhere_than_in_a_zone_nothing_counts(self, home: Path):
        found, scores = events(home, zones=(Zone("below", BELOW),), only_zones=True)
        assert found == [] and len(scores) == 200

    def test_under_a_mask_nothing_is_seen(self, home: Path):
        plain, before = events(home)
        assert len(plain) == 1
        (home / "data").rename(home / "before")
        found, scores = events(home, masks=(BAND,), on=plain[0].peak / 2)
        assert found == []
        assert scores[RUSH.start : RUSH.stop].max() < before[RUSH.start : RUSH.stop].max() / 2

    def test_small_objects_open_none(self, home: Path):
        assert events(home, least_size=0.9)[0] == []

    def test_outside_of_its_hours_none_opens_and_scores_go_on(self, home: Path):
        today = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][datetime.now().weekday() - 3]
        found, scores = events(home, event_hours=(f"{today} 00:00-01:00",))
        assert found == [] and scores.max() > 1

    def test_a_level_belongs_to_what_counts(self, home: Path):
        hub = Hub(scene_settings(home, camera("calm.mp4", loop=True)), path=home / "v.toml")
        hub.start()
        try:
            store, calibration = hub.store, hub.running()[0].model.detector.require_fitted()
            level = Level(3.5, 1.5, "camera", 9.0)
            door = hub.settings.cameras[0]
            of = [door.model, door.source.identity]
            store.save_value("level:door", {"of": of, "level": level.as_json()})
            assert starting_level(store, door, calibration) == level
            masked = replace(door, masks=(BELOW,))
            assert starting_level(store, masked, calibration).source == "training"
            assert hub.change_camera("door", event_hours=("8:00-9:00",))
            assert hub.running()[0].level == level
            assert hub.change_camera("door", masks=(BELOW,))
            assert hub.running()[0].level.source == "training"
            until(lambda: hub.running()[0].scored)
            assert "fit one with the same mask" in hub.running()[0].as_json()["unlike"]
        finally:
            hub.stop()
        assert read_settings(home / "v.toml").cameras[0].masks == (BELOW,)

    def test_a_level_belongs_to_a_model_as_it_is_fitted(self, tmp_path: Path):
        store, door = Store(tmp_path), camera("calm.mp4")
        normal = Calibration(np.linspace(0, 1, 1001))
        try:
            assert starting_level(store, door, normal, "first").source == "training"
            times = time.time() - 120 + np.arange(1000) / 10
            store.add_scores("door", times, np.sin(np.arange(1000)).astype(np.float32))
            level = learned_level(store, door, 1.0, mark="first")
            assert starting_level(store, door, normal, "first") == level
            assert starting_level(store, door, normal, "second").source == "training"
            with pytest.raises(DataError):  # the scores until now were the first one's
                learned_level(store, door, 1.0, mark="second")
        finally:
            store.close()

    def test_stillness_does_not_look_under_a_mask(self):
        still = Stillness((BELOW,))
        image = np.zeros((100, 100, 3), np.uint8)
        assert not still.found(image, 0.0)
        moved = image.copy()
        moved[80:] = 255
        assert still.found(moved, 0.1)
        moved[:20] = 255
        assert not still.found(moved, 0.2)


class TestSettings:
    def test_they_are_written_for_people_and_read_again(self, tmp_path: Path):
        zone = Zone("drive", ((0.1, 0.5), (0.6, 0.5), (0.6, 1.0)))
        gate = camera("rtsp://gate/1", masks=(BAND,), zones=(zone,), event_hours=("mon 1:00-2:00",))
        settings = scene_settings(tmp_path, gate)
        write_settings(settings, tmp_path / "v.toml")
        text = (tmp_path / "v.toml").read_text()
        assert "masks = [[[0.0, 0.3], [1.0, 0.3], [1.0, 0.7], [0.0, 0.7]]]" in text
        assert '[[camera.zones]]\nname = "drive"\n' in text
        assert read_settings(tmp_path / "v.toml").cameras == (gate,)
        write_settings(replace(settings, cameras=(replace(gate, zones=()),)), tmp_path / "v.toml")
        assert read_settings(tmp_path / "v.toml").cameras == (replace(gate, zones=()),)

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("masks = [[[0, 0], [1, 1]]]", "3 to 64 corners"),
            ("masks = [[[0, 0], [1, 1], [2, 2]]]", "corners \\[x, y\\] in \\[0, 1\\]"),
            ("masks = 3", "a list of polygons"),
            (f"masks = {[list(map(list, BAND))] * 33}", "at most 32"),
            ('zones = [{ name = "a" }]', "entries name, corners"),
            (
                'zones = [{ name = "a", corners = [[0, 0], [0, 1], [1, 1]], x = 1 }]',
                "name, corners",
            ),
            ('zones = [{ name = "A", corners = [[0, 0], [0, 1], [1, 1]] }]', "a-z, 0-9"),
            ("zones = [3]", "tables with a name"),
            ('event_hours = ["noon"]', "such as 'mon-fri"),
            ("least_size = 2", "at most 1"),
            (
                'zones = [{ name = "a", corners = [[0, 0], [0, 1], [1, 1]] }, '
                '{ name = "a", corners = [[0, 0], [0, 1], [1, 1]] }]',
                "a name of its own",
            ),
        ],
    )
    def test_what_cannot_be_is_refused_in_a_line(self, tmp_path: Path, line: str, expected: str):
        (tmp_path / "v.toml").write_text(f'[[camera]]\nname = "a"\nsource = "x.mp4"\n{line}\n')
        with pytest.raises(ConfigError, match=expected) as error:
            read_settings(tmp_path / "v.toml")
        assert len(str(error.value)) < 400 and "\n" not in str(error.value)


def test_the_api_takes_and_shows_them(home: Path):
    hub = Hub(scene_settings(home, camera("calm.mp4", loop=True)), path=home / "v.toml")
    hub.start()
    ask = {"X-Requested-With": "vadistill"}
    try:
        with served(hub) as server, httpx.Client(base_url=server.url, headers=ask) as client:
            zones = [{"name": "way", "corners": BAND}]
            entries = {"masks": [BELOW], "zones": zones, "only_zones": True, "least_size": 0.1}
            shown = client.patch("/api/cameras/door", json=entries).json()
            assert shown["masks"] == [[list(corner) for corner in BELOW]]
            assert shown["zones"] == [{"name": "way", "corners": [list(c) for c in BAND]}]
            assert shown["only_zones"] is True and shown["least_size"] == 0.1
            for wrong in (
                {"masks": [[[0, 0], [1, 1]]]},
                {"masks": [[[0, 0], [1, 1], [3, 0]]]},
                {"masks": 3},
                {"zones": [*zones, *zones]},
                {"zones": [{"name": "Way", "corners": BAND}]},
                {"event_hours": ["noon"]},
                {"least_size": -1},
            ):
                answer = client.patch("/api/cameras/door", json=wrong)
                assert answer.status_code == 422, wrong
                assert "\n" not in answer.json()["error"]["message"]
            assert client.get("/api/cameras/door").json()["zones"] == shown["zones"]
            until(lambda: client.get("/api/cameras/door/picture.jpg?boxes=0").status_code == 200)
    finally:
        hub.stop()


def test_a_job_learns_with_its_mask_and_so_do_the_verbs(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    videos = [home / "normal0.mp4", home / "normal1.mp4"]
    jobs = Jobs(home / "jobs")
    try:
        masks = (BAND,)
        job = jobs.fit(name="a", system="motion", videos=videos, out=home / "a.vad", masks=masks)
        until(lambda: (found := jobs.get(job.id)) and found.finished, 120)
        assert (found := jobs.get(job.id)) and found.state == "done", found and found.error
        shutil.copy(home / "rush.mp4", home / "upload.mp4")
        job = jobs.score(video=home / "upload.mp4", title="rush", model=home / "a.vad")
        until(lambda: (found := jobs.get(job.id)) and found.finished, 120)
        uploaded = jobs.scores(job.id)
    finally:
        jobs.close()
    footage = vadistill.load(home / "a.vad").footage
    assert footage and footage["hidden"] == [[list(corner) for corner in BAND]]
    (home / "mask.json").write_text(json.dumps(masks))
    train = home / "both" / "train"
    train.mkdir(parents=True)
    for video in videos:
        (train / video.name).symlink_to(video.resolve())
    mask = ["--mask", str(home / "mask.json")]
    fit = ["fit", "motion", str(home / "both"), "--out", str(home / "b.vad"), "--selftest", "no"]
    assert main([*fit, *mask]) == 0
    assert f"VIDEO --report report.html --mask {mask[1]}\n" in capsys.readouterr().out
    assert main(fit) == 2 and "other footage" in capsys.readouterr().err
    scored = {}
    for name, more in (("masked", mask), ("plain", [])):
        out = home / f"{name}.csv"
        assert (
            main(["score", str(home / "b.vad"), str(home / "rush.mp4"), "--out", str(out), *more])
            == 0
        )
        warned = "fit one with the same mask" in capsys.readouterr().err
        assert warned == (name == "plain")
        scored[name] = np.loadtxt(out, delimiter=",", skiprows=1, usecols=3)
    rush = slice(RUSH.start, RUSH.stop)
    assert scored["masked"][rush].max() < scored["plain"][rush].max() / 2
    assert uploaded and max(uploaded["scores"]) < scored["plain"][rush].max() / 2
    (train.parent / "test").mkdir()
    (train.parent / "test" / "rush.mp4").symlink_to((home / "rush.mp4").resolve())
    (train.parent / "labels.csv").write_text("file,start,end\nrush.mp4,60,99\n")
    figures = []
    for more in (mask, []):
        labelled = ["--data", str(train.parent), "--protocol", "micro/raw", "--json"]
        assert main(["evaluate", str(home / "b.vad"), *labelled, *more]) == 0
        said = capsys.readouterr()
        assert ("fit one with the same mask" in said.err) == (not more)
        figures.append(said.out)
    assert figures[0] != figures[1]
    watch = ["watch", str(home / "b.vad"), str(home / "rush.mp4"), "--fast"]
    for more, found in ((mask, 0), ([], 1)):
        assert main([*watch, "--folder", str(home / f"d{found}"), *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum(json.loads(line)["kind"] == "opened" for line in lines) == found


def test_a_model_tells_another_mask_than_its_own(tmp_path: Path):
    video = Video("normal", film(tmp_path / "normal.mp4", 0))
    data = Dataset("scene", "train", (video,))
    info = open_video(tmp_path / "normal.mp4").info
    for own in ((), (BAND,)):
        model = Motion().fit(data.hiding(own), out=tmp_path / f"{len(own)}.vad")
        footage = vadistill.load(tmp_path / f"{len(own)}.vad").footage
        assert unlike(model.footage, info, hidden=own) == unlike(footage, info, hidden=own) == ""
        for other in {(), (BAND,), (BELOW,)} - {own}:
            assert "fit one with the same mask" in unlike(footage, info, hidden=other)
