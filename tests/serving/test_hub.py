"""Cameras end to end: decoded, scored, events kept with clips, levels learned, settings written."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from PIL import Image

import vadistill
from support.rtsp_server import RtspServer, missing
from support.scenes import FPS, film
from support.serving_scene import RUSH, camera, scene_settings, served
from support.waiting import stood_still, until
from support.webhook_receiver import Receiver
from vadistill.addresses import Address
from vadistill.cli import main
from vadistill.datasets import Dataset, Video
from vadistill.errors import ConfigError, VideoError, WeightsError
from vadistill.serving.config import (
    CameraSettings,
    FootageSettings,
    ModelSettings,
    Settings,
    SinkSettings,
)
from vadistill.serving.hub import Hub
from vadistill.serving.jobs.job import Job, write_job
from vadistill.serving.live.times import WallTimes
from vadistill.serving.settings_file import (
    EditedError,
    change_settings,
    digest,
    read_settings,
    write_settings,
)
from vadistill.serving.storage import clips
from vadistill.serving.storage.clock import Clock
from vadistill.serving.storage.store import Store
from vadistill.serving.web.errors import from_user_error
from vadistill.systems.motion import Config, Motion


def played(hub: Hub) -> None:
    """Run a hub whose cameras are files until they have ended and all is kept."""
    hub.start()
    try:
        until(lambda: all(c.ended.is_set() for c in hub.running()))
    finally:
        hub.stop()


def clip_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(f.time or 0.0) for f in container.decode(video=0)]


class TestEvents:
    def test_a_file_played_live_gets_its_offline_scores_and_one_event_with_a_clip(self, home: Path):
        offline = vadistill.load(home / "scene.vad").score(vadistill.open_video(home / "rush.mp4"))
        hub = Hub(scene_settings(home, camera("rush.mp4", pre_roll=0.5)))
        played(hub)
        store = Store(home / "data")
        times, scores = store.scores("door", 0, time.time())
        np.testing.assert_array_equal(scores, offline.raw.astype(np.float32))
        np.testing.assert_allclose(np.diff(times).mean(), 1 / FPS, rtol=0.05)
        (event,) = store.events()
        start = times[RUSH.start]
        assert event.end is not None and not event.interrupted
        # The frame before may be above the level, too: noise comes near it.
        assert times[RUSH.start - 1] <= event.start <= start + 0.3
        assert times[RUSH.stop - 1] - 0.3 <= event.end <= times[RUSH.stop] + 0.2
        assert event.peak == pytest.approx(float(scores.max()))
        shown = clip_times(store.media / f"{event.id}.mp4")
        # Half a second before, the event, and what follows until it counts as over.
        length = 0.5 + (event.end - event.start) + 2.0
        assert shown[0] == 0 and abs(shown[-1] - length) < 0.4
        assert all(b > a for a, b in pairwise(shown))
        picture = Image.open(store.media / f"{event.id}.jpg")
        assert picture.size == (288, 192)  # small pictures are drawn at twice their size
        assert not list(store.media.glob("*.part.*"))
        store.close()

    def test_an_end_is_told_while_its_clip_waits(self, home: Path):
        film(home / "short.mp4", 10, frames=80, rush=range(20, 45))
        hub = Hub(scene_settings(home, camera("short.mp4", loop=True, seconds_to_close=0.5)))
        disk, news = threading.Event(), []
        hub._clips.put(lambda: news.append(disk.wait()))  # as a disk that hangs
        hub.start()
        try:
            until(lambda: any(event.end for event in hub.store.events()))
            until(lambda: len(hub.store.events()) > 1)
            first = hub.store.events()[-1]
            assert first.end and first.clip is None and not news
            disk.set()
            until(lambda: (e := hub.store.event(first.id)) and e.clip)
        finally:
            disk.set()
            hub.stop()
        assert all(event.clip and not event.interrupted for event in Store(home / "data").events())

    @pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.slow)])
    def test_ends_are_sent_within_a_second_while_writing_clips_blocks(
        self, home: Path, seconds: float
    ):
        """The first clip is a pipe that nobody reads: the system's call to open it hangs."""
        film(home / "short.mp4", 10, frames=80, rush=range(20, 45))
        watched, receiver = camera("short.mp4", loop=True, seconds_to_close=0.5), Receiver()
        sink = SinkSettings("hook", "webhook", Address(receiver.url))
        hub = Hub(scene_settings(home, watched, sinks=(sink,)))
        late: list[float] = []

        def told(body: dict[str, Any]) -> int:
            if body["kind"] == "closed":
                late.append(time.time() - body["event"]["end"] - watched.seconds_to_close)
            return 204

        receiver.status = told
        pipe = hub.store.media / "1.part.mp4"
        hub.start()
        os.mkfifo(pipe)
        try:
            until(hub.store.events)
            time.sleep(seconds)
            until(lambda: len(late) >= 2)
            assert not list(hub.store.media.glob("*.mp4.*")) and not hub._clips._queue.empty()
            assert not any(event.clip for event in hub.store.events())
            print(f"sent {np.median(late):.2f} s after the ends, at most {max(late):.2f} s", *late)
            assert np.median(late) < 1  # others have this machine's processors, too
        finally:
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
            hub.stop()
            receiver.close()

    def test_a_clip_that_cannot_be_made_whole_holds_up_its_thread_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """What it is made in is a pipe that nobody reads: the system's call to open it hangs."""
        film(tmp_path / "1.part.mp4", 10, frames=20)
        pipe = tmp_path / "1.mp4"
        os.mkfifo(pipe)
        monkeypatch.setattr(clips, "replacing", contextlib.nullcontext)
        reader = subprocess.Popen(["sh", "-c", 'sleep 3; cat "$0" > /dev/null', pipe])

        def make() -> None:
            with contextlib.suppress(OSError, ValueError):  # pipes cannot be gone back in
                clips.whole(tmp_path / "1.part.mp4", pipe)

        took, longest = stood_still(make)
        assert reader.wait() == 0 and took > 2 and longest < 1

    def test_calm_video_has_no_event(self, home: Path):
        played(hub := Hub(scene_settings(home, camera("calm.mp4", fast=True))))
        assert hub.running()[0].as_json()["status"]["state"] == "ended"
        store = Store(home / "data")
        assert store.events() == [] and len(store.scores("door", 0, time.time())[0]) == 120
        store.close()

    @pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")
    def test_a_camera_that_sends_over_udp_alone_is_watched(self, home: Path):
        with RtspServer(over="udp", gate=home / "calm.mp4") as server:
            source = Address(server.address("gate"))
            hub = Hub(
                scene_settings(home, replace(camera(""), source=source, rtsp_transport="udp"))
            )
            hub.start()
            try:
                until(lambda: hub.running()[0].scored > 5)
                assert hub.test_source(source, "udp")["width"] == 144
                with pytest.raises(VideoError, match="cannot open"):
                    hub.test_source(source)
            finally:
                hub.stop()

    def test_a_lost_stream_closes_its_event(self, home: Path):
        film(home / "cut.mp4", 12, frames=80, rush=range(40, 80))
        played(Hub(scene_settings(home, camera("cut.mp4"))))
        store = Store(home / "data")
        (event,) = store.events()
        assert event.end is not None and event.clip and not event.interrupted
        store.close()

    def test_events_open_late_when_the_disk_was_full_at_first(self, home: Path):
        film(home / "long.mp4", 13, frames=160, rush=range(20, 140))
        hub = Hub(scene_settings(home, camera("long.mp4")))
        connection = hub.store._database._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        hub.start()
        until(lambda: hub.running()[0].scored > 60)
        connection.execute("PRAGMA max_page_count = 1000000")
        until(lambda: hub.running()[0].ended.is_set())
        hub.stop()
        store = Store(home / "data")
        (event,) = store.events()
        assert event.clip is not None
        assert len(store.scores("door", 0, time.time())[0]) == 160
        store.close()

    @pytest.mark.parametrize("what", ["changed", "removed", "lost"])
    def test_on_a_full_disk_a_camera_that_goes_leaves_no_event_open(self, home: Path, what: str):
        film(home / "long.mp4", 13, frames=100)
        always = replace(camera("long.mp4", loop=what != "lost"), on=-1.0, off=-1.0)
        hub = Hub(scene_settings(home, always), path=home / "v.toml")
        hub.start()
        try:
            until(lambda: hub.store.events())
            (event,) = hub.store.events()
            connection = hub.store._database._connection
            # Not a page more, and none that is free in what there is.
            connection.execute("PRAGMA query_only = 1")
            if what == "changed":
                assert hub.change_camera(
                    "door", model="scene", source="calm.mp4", on=None, off=None
                )
                until(lambda: hub.running()[0].scored > 5)
            elif what == "removed":
                assert hub.remove_camera("door")
            else:
                until(lambda: hub.running()[0].ended.is_set())
            time.sleep(1)
            assert (left := hub.store.event(event.id)) and left.end is None
            connection.execute("PRAGMA query_only = 0")
            until(lambda: (e := hub.store.event(event.id)) and e.end)
            until(lambda: (e := hub.store.event(event.id)) and e.clip)
            closed = hub.store.event(event.id)
            assert closed and closed.cause and not closed.interrupted
            until(lambda: not hub._retired)
        finally:
            hub.stop()

    def test_an_event_that_found_the_disk_full_is_kept_afterwards(self, home: Path):
        hub = Hub(scene_settings(home, camera("rush.mp4")))
        connection = hub.store._database._connection
        hub.start()
        connection.execute("PRAGMA query_only = 1")
        try:
            until(lambda: hub.running()[0].ended.is_set())
            connection.execute("PRAGMA query_only = 0")
            (event,) = until(lambda: [e for e in hub.store.events() if e.end])
            assert event.end - event.start == pytest.approx(len(RUSH) / FPS, abs=1)
            assert event.peak > event.level and event.frames > 20
        finally:
            hub.stop()

    def test_a_detector_that_fails_is_told_and_ends_no_other_camera(
        self, home: Path, caplog: pytest.LogCaptureFixture
    ):
        # Boxes from a file know other videos only: an error when the stream begins.
        (home / "boxes.csv").write_text("video,frame,x1,y1,x2,y2\nnormal0,0,1,1,9,9\n")
        clips = (Video("normal0", home / "normal0.mp4"),)
        boxes = Config(localiser=f"boxes:{home / 'boxes.csv'}")
        Motion(boxes).fit(Dataset("scene", "train", clips), out=home / "boxes.vad")
        settings = scene_settings(home, camera("calm.mp4", "good"))
        bad = replace(camera("calm.mp4", "bad", loop=True), model="boxes")
        models = (*settings.models, ModelSettings("boxes", "boxes.vad"))
        hub = Hub(replace(settings, models=models, cameras=(*settings.cameras, bad)))
        hub.start()
        try:
            good, failed = hub.running()
            until(lambda: good.ended.is_set())
            status = failed.as_json()["status"]
            assert good.scored == 120 and failed.scored == 0
            assert status["state"] == "failed" and "no boxes for video" in status["detail"]
            assert "no boxes for video" in caplog.text
        finally:
            hub.stop()


class TestHub:
    @pytest.fixture
    def hub(self, home: Path) -> Iterator[Hub]:
        path = home / "vadistill.toml"
        path.write_text("# mine\n[storage]\nfolder = 'data'\n")
        settings = scene_settings(
            home,
            camera("rush.mp4", loop=True),
            footage=(FootageSettings("normal", "."),),
        )
        write_settings(settings, path)
        made = Hub(read_settings(path), path=path)
        made.start()
        yield made
        made.stop()

    def test_cameras_come_and_go_and_the_file_says_so(self, hub: Hub, home: Path):
        hub.add_camera(camera("calm.mp4", "yard", loop=True, fps=5.0))
        until(lambda: (hub.camera("yard") or {})["status"]["scored"] > 5)
        assert hub.change_camera("yard", fps=None, skip_idle=True)
        assert not hub.change_camera("nobody", fps=1.0)
        kept = read_settings(home / "vadistill.toml")
        assert [c.name for c in kept.cameras] == ["door", "yard"]
        assert kept.cameras[1].skip_idle and kept.cameras[1].fps is None
        assert (home / "vadistill.toml").read_text().startswith("# mine")
        assert (home / "vadistill.toml").stat().st_mode & 0o777 == 0o600
        assert hub.remove_camera("yard") and not hub.remove_camera("yard")
        assert [c["name"] for c in hub.cameras()] == ["door"]
        with pytest.raises(ConfigError, match="names model 'nothing'"):
            hub.add_camera(CameraSettings("new", Address("calm.mp4"), "nothing"))
        with pytest.raises(ConfigError, match="two cameras named 'door'"):
            hub.add_camera(camera("calm.mp4"))
        with pytest.raises(ConfigError, match="fps = -1"):
            hub.change_camera("door", fps=-1.0)
        assert [c.name for c in read_settings(home / "vadistill.toml").cameras] == ["door"]

    def test_what_was_edited_by_hand_is_not_overwritten(self, hub: Hub, home: Path):
        path = home / "vadistill.toml"
        assert hub.change_camera("door", skip_idle=True)
        edited = path.read_text() + "# by hand\n[server]\nport = 9000\n"
        path.write_text(edited)
        with pytest.raises(EditedError, match="was edited since") as error:
            hub.change_camera("door", skip_idle=False)
        assert from_user_error(error.value).status == 409
        with pytest.raises(EditedError):
            hub.remove_camera("door")
        assert path.read_text() == edited and hub.running()[0].settings.skip_idle

    def test_what_was_added_by_hand_outlives_every_change_in_the_console(
        self, hub: Hub, home: Path
    ):
        path = home / "vadistill.toml"
        edited = path.read_text() + (
            '# the yard, by hand\n[[camera]]\nname = "yard"\nsource = "calm.mp4"\nmodel = "scene"\n'
            '[[sink]]\nname = "bell"\nkind = "webhook"\nurl = "http://127.0.0.1:9/ring"\n'
        )
        path.write_text(edited)
        new = {"name": "new", "source": "rtsp://127.0.0.1:9/x", "model": "scene"}
        with served(hub) as server:
            asked = {"X-Requested-With": "vadistill"}
            with httpx.Client(base_url=server.url, headers=asked, timeout=20) as client:
                for answer in (
                    client.patch("/api/cameras/door", json={"skip_idle": True}),
                    client.post("/api/cameras", json=new),
                    client.delete("/api/cameras/door"),
                ):
                    assert answer.status_code == 409 and answer.json()["error"]["remedy"]
                    assert path.read_text() == edited
        hub.stop()
        again = Hub(read_settings(path), path=path)  # with the edits
        again.start()
        again.change_camera("door", skip_idle=True)
        again.stop()
        kept = read_settings(path)
        assert [c.name for c in kept.cameras] == ["door", "yard"] and kept.cameras[0].skip_idle
        assert [s.name for s in kept.sinks] == [
            "bell"
        ] and "# the yard, by hand" in path.read_text()

    def test_the_server_table_is_left_alone_and_a_link_is_followed(self, home: Path):
        (home / "real.toml").write_text("[server]\nport = 9000  # mine\n[storage]\nfolder = 'd'\n")
        link = home / "link.toml"
        link.symlink_to("real.toml")
        settings = scene_settings(home, camera("calm.mp4"))
        change_settings(settings, link, digest(link))
        assert link.is_symlink() and "port = 9000  # mine" in (home / "real.toml").read_text()
        assert read_settings(home / "real.toml").cameras == settings.cameras

    def test_pictures_scores_and_news(self, hub: Hub):
        with hub.subscribe() as news:
            until(lambda: hub.picture("door"))
            picture = Image.open(io.BytesIO(hub.picture("door") or b""))
            assert picture.size == (288, 192) and hub.picture("nobody") is None
            kinds: dict[str, dict] = {}
            until(lambda: ((m := news.get(0.2)) and kinds.update([m])) or len(kinds) == 3)
        assert set(kinds) == {"cameras", "scores", "event"}
        assert kinds["event"]["camera"] == "door"
        (shown,) = kinds["cameras"]["cameras"]
        assert shown["status"]["latency_ms"]["median"] < 1000
        recent = until(lambda: len((r := hub.recent_scores("door", 60))["scores"]) > 60 and r)
        assert len(recent["scores"]) == len(recent["times"])
        assert recent["level"]["source"] == "training"
        shots = hub.pictures("door")
        assert next(filter(None, shots)) != next(filter(None, shots))

    def test_false_alarms_move_the_level(self, hub: Hub):
        until(lambda: hub.store.events())
        (event,) = hub.store.events()[-1:]
        until(lambda: (e := hub.store.event(event.id)) and e.end)
        now = time.time()
        # Ten minutes of calm before, as if it had run so long.
        hub.store.add_scores(
            "door",
            now - 900 + np.arange(6000) / 10,
            np.random.default_rng(0).normal(1.5, 0.2, 6000).astype(np.float32),
        )
        assert hub.set_verdict(event.id, "real") is not None
        strict = hub.calibrate("door", 1.0)
        assert strict and strict["source"] == "camera" and strict["on"] < event.peak
        assert hub.set_verdict(event.id, "false") is not None
        loose = hub.calibrate("door", 1.0, 0.5)
        assert loose and loose["on"] > strict["on"]
        assert hub.camera("door")["level"] == loose  # pyright: ignore
        assert hub.calibrate("nobody") is None and hub.set_verdict(10**6, "real") is None

    def test_a_model_is_fitted_and_used(self, hub: Hub, home: Path):
        with pytest.raises(ConfigError, match="second model 'scene'"):
            hub.fit_model("scene", "motion", {"folder": "normal"})
        with pytest.raises(ConfigError, match="folder 'other'"):
            hub.fit_model("new", "motion", {"folder": "other"})
        job = hub.fit_model("new", "motion", {"folder": "normal"})
        until(lambda: (j := hub.jobs.get(job.id)) and j.finished, 90)
        done = hub.jobs.get(job.id)
        assert done and done.state == "done", done
        until(lambda: [m["name"] for m in hub.models()] == ["scene", "new"])
        assert hub.change_camera("door", model="new")
        assert read_settings(home / "vadistill.toml").cameras[0].model == "new"

    def test_a_source_is_tried(self, hub: Hub, home: Path):
        found = hub.test_source(str(home / "calm.mp4"))
        assert (found["width"], found["height"], found["fps"]) == (144, 96, FPS)
        assert found["picture"].startswith("data:image/jpeg;base64,")


class TestBrokenModels:
    def test_with_none_that_works_there_is_one_line(self, home: Path):
        settings = scene_settings(home, camera("calm.mp4"))
        (home / "scene.vad").unlink()
        with pytest.raises(WeightsError, match="no saved detector"):
            Hub(settings)
        assert not (home / "data").exists()

    def broken(self, home: Path) -> Settings:
        """Settings of a camera that works, and of two whose models are newer, and no model."""
        shutil.copytree(home / "scene.vad", home / "newer.vad")
        config = json.loads((home / "newer.vad" / "config.json").read_text())
        (home / "newer.vad" / "config.json").write_text(json.dumps({**config, "format": 99}))
        (home / "odd.vad").mkdir()
        (home / "odd.vad" / "config.json").write_text("[]")
        settings = scene_settings(home, camera("calm.mp4", "good", fast=True))
        names = ("newer", "odd", "gone")
        models = (*settings.models, *(ModelSettings(n, f"{n}.vad") for n in names))
        cameras = (*settings.cameras, *(replace(camera("calm.mp4", n), model=n) for n in names))
        return replace(settings, models=models, cameras=cameras)

    def test_their_cameras_fail_and_others_run(self, home: Path):
        path = home / "v.toml"
        write_settings(self.broken(home), path)
        hub = Hub(read_settings(path), path=path)
        hub.start()
        try:
            shown = {c["name"]: c for c in hub.cameras()}
            for name in ("newer", "odd", "gone"):
                assert shown[name]["status"]["state"] == "failed" and shown[name]["level"] is None
                detail = shown[name]["status"]["detail"]
                assert f"{name}.vad" in detail and str(home) not in detail
                assert hub.picture(name) is None and list(hub.pictures(name)) == []
                assert hub.recent_scores(name, 60)["level"] is None
                with pytest.raises(ConfigError, match=f"camera '{name}' has no model"):
                    hub.calibrate(name)
            good = hub.running()[0]
            until(good.ended.is_set)
            assert good.scored == 120
            assert hub.change_camera("gone", model="scene")
            assert hub.running()[3].usable and hub.remove_camera("odd")
        finally:
            hub.stop()

    def test_a_fit_whose_model_is_broken_ends_no_start_and_is_told(
        self, home: Path, caplog: pytest.LogCaptureFixture
    ):
        for name in ("early", "late"):
            (home / "data" / "models" / f"{name}.vad").mkdir(parents=True)
            (home / "data" / "models" / f"{name}.vad" / "config.json").write_text("[]")
        job = Job("a", "fit", "early", state="done", created=time.time(), camera="porch")
        (home / "data" / "jobs" / "a").mkdir(parents=True)
        write_job(home / "data" / "jobs" / "a", job)
        porch = CameraSettings("porch", Address("rtsp://127.0.0.1:9/x"))
        hub = Hub(scene_settings(home, porch), path=home / "v.toml")
        hub.start()
        try:
            with hub.subscribe() as news:
                hub.jobs._tell(replace(job, id="b", title="late"))
                until(lambda: (got := news.get(1)) and got[0] == "job" and got[1]["id"] == "b")
            assert [model.name for model in hub.settings.models] == ["scene", "early", "late"]
            for name in ("early", "late"):
                assert f"camera porch does not get model {name}: " in caplog.text
        finally:
            hub.stop()

    def test_where_all_are_broken_the_console_still_comes(self, home: Path):
        (home / "scene.vad").unlink()
        hub = Hub(scene_settings(home, camera("calm.mp4")), path=home / "v.toml")
        hub.start()
        assert hub.cameras()[0]["status"]["state"] == "failed"
        hub.stop()

    def test_watch_ends_with_those_that_run(self, home: Path, capfd: pytest.CaptureFixture[str]):
        write_settings(self.broken(home), home / "v.toml")
        assert main(["watch", "--settings", str(home / "v.toml")]) == 2
        error = capfd.readouterr().err
        assert "good: 120 of 120 frames scored" in error and "Traceback" not in error
        assert "camera gone fails: no saved detector" in error


class TestRetention:
    @pytest.mark.parametrize("days", [1, 1.1, 40, 3650, -40, -3650])
    def test_a_clock_that_leapt_deletes_nothing(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, days: float
    ):
        now, clock = time.time(), time.time
        store = Store(home / "data")
        old = store.open_event("door", now - 86400, peak=1.0, level=0.5)
        store.close_event(old.id, end=now - 3600, peak=1.0, frames=9)
        store.add_scores("door", now - 3600 + np.arange(3.0), np.ones(3, np.float32))
        store.close()
        tape = home / "data" / "recordings" / "door" / "20260101T000000Z.mkv"
        tape.parent.mkdir(parents=True)
        tape.touch()
        settings = scene_settings(home, camera("calm.mp4", fast=True, record_hours=12.0))
        settings = replace(settings, storage=replace(settings.storage, keep_days=0.5))
        monkeypatch.setattr(time, "time", lambda: clock() + 86400 * days)
        for _ in range(2):  # what the first has stored does not make the second believe it
            played(hub := Hub(settings))
            assert tape.exists()
            hub.store = Store(home / "data")
            assert old.id in [event.id for event in hub.store.events()]
            assert len(hub.store.scores("door", now - 3600, now)[0]) == 3
            hub.store.close()

    @pytest.mark.parametrize("hours", [1, -1])
    def test_a_clock_that_is_set_in_an_event_leaves_it_whole(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, hours: int
    ):
        clock, offset, before = time.time, [0.0], time.time()
        monkeypatch.setattr(time, "time", lambda: clock() + offset[0])
        film(home / "long.mp4", 14, frames=100)
        hub = Hub(scene_settings(home, camera("long.mp4", on=-1.0, off=-1.0, pre_roll=0.5)))
        hub.start()
        try:
            until(lambda: hub.running()[0].scored > 30)
            offset[0] = 3600.0 * hours
            until(lambda: hub.running()[0].ended.is_set())
        finally:
            hub.stop()
        store = Store(home / "data")
        (event,) = store.events()
        assert event.end is not None and before - 1 < event.start < before + 30
        assert event.end - event.start == pytest.approx(100 / FPS, abs=1)
        shown = clip_times(store.media / (event.clip or ""))
        assert shown[-1] == pytest.approx(100 / FPS, abs=1)
        assert len(shown) > 90
        store.close()

    def test_a_clock_that_is_set_between_events_is_followed(self, monkeypatch: pytest.MonkeyPatch):
        offset = [0.0]
        monkeypatch.setattr(time, "time", lambda: time.monotonic() + 1e9 + offset[0])
        times = WallTimes("door")
        assert times.of(5.0, steady=False) == pytest.approx(1e9 + 5, abs=0.01)
        offset[0] = 3600.0
        assert times.of(6.0, steady=True) == pytest.approx(1e9 + 6, abs=0.01)
        assert times.of(7.0, steady=False) == pytest.approx(1e9 + 3607, abs=0.01)

    def test_a_clock_is_believed_once_it_has_run_for_a_day(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ):
        store = Store(home / "data")
        times = {"wall": 1e9, "ran": 0.0}
        monkeypatch.setattr(time, "time", lambda: times["wall"])
        monkeypatch.setattr(time, "monotonic", lambda: times["ran"])
        clock = Clock(store)
        assert clock.look() == 1e9
        times.update(wall=1e9 + 40 * 86400, ran=600.0)
        assert clock.look() == 1e9 + 600
        for hour in range(1, 24):
            times.update(wall=1e9 + 40 * 86400 + 3600 * hour, ran=600.0 + 3600 * hour)
            assert clock.look() == 1e9 + 600 + 3600 * hour
        times.update(wall=1e9 + 41 * 86400, ran=600.0 + 86400)
        assert clock.look() == times["wall"] == store.value("clock")
        store.close()

    def test_recordings_and_uploads_that_nothing_needs_go(self, home: Path):
        for name in ("gone", "door"):
            place = home / "data" / "recordings" / name
            place.mkdir(parents=True)
            (place / "20260101T000000Z.mkv").touch()
            (place / "20260101T000100Z.part").touch()
        job = home / "data" / "jobs" / "abcdefghijkl"
        job.mkdir(parents=True)
        write_job(job, Job(job.name, "score", "x.mp4", state="done", created=time.time()))
        (job / "upload.mp4").touch()
        played(Hub(scene_settings(home, camera("calm.mp4", fast=True))))
        assert list((home / "data" / "recordings").iterdir()) == []
        assert not (job / "upload.mp4").exists() and (job / "job.json").exists()

    @pytest.mark.parametrize("code", [errno.EMFILE, errno.ESTALE, errno.EIO])
    @pytest.mark.parametrize(
        "step",
        [
            "storage.store.Store.prune",
            "storage.clock.Clock.look",
            "pruning.prune_recordings",
            "pruning.prune_jobs",
            "hub.Hub.cameras",
        ],
    )
    def test_the_ticker_outlives_a_failing_disk_and_says_so(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str
    ):
        monkeypatch.setattr("vadistill.serving.hub.PRUNE_EVERY", 0.1)
        hub = Hub(scene_settings(home))
        hub.start()
        try:
            with hub.subscribe():
                until(lambda: hub.health()["ok"])
                with monkeypatch.context() as broken:

                    def fail(*_: object, **__: object) -> None:
                        raise OSError(code, os.strerror(code))

                    broken.setattr(f"vadistill.serving.{step}", fail)
                    until(lambda: not hub.health()["ok"])
                    part = hub.health()["clockwork"]
                    assert not part["ok"] and "fails: " in part["detail"]
                until(lambda: hub.health()["ok"])
        finally:
            hub.stop()


class TestWatch:
    @pytest.mark.parametrize("video", ["calm.mp4", "rush.mp4"])
    def test_messages_of_sinks_that_it_was_not_given_stay(self, home: Path, video: str):
        store = Store(home / "data", sinks=["hook", "home"])
        for number in range(20):
            store.open_event("door", 100.0 + number, peak=1.0, level=0.5)
        store.close()
        tape = home / "data" / "recordings" / "door" / "20260101T000000Z.mkv"
        tape.parent.mkdir(parents=True)
        tape.touch()
        asked = [str(home / video), "--model", str(home / "scene.vad"), "--fast"]
        assert main(["watch", *asked, "--folder", str(home / "data")]) == 0
        assert tape.exists()
        store = Store(home / "data", sinks=["hook", "home"])
        assert store.pending() == {"hook": 20, "home": 20}
        store.close()

    def test_events_are_lines_of_json(self, home: Path, capfd: pytest.CaptureFixture[str]):
        asked = [str(home / "rush.mp4"), "--model", str(home / "scene.vad"), "--fast"]
        assert main(["watch", *asked, "--folder", str(home / "data")]) == 0
        out, err = capfd.readouterr()
        told = [json.loads(line) for line in out.splitlines()]
        assert [t["kind"] for t in told] == ["opened", "closed", "clip"]
        assert [t["event"]["clip"] for t in told] == [False, False, True]
        assert told[0]["camera"] == "rush"
        assert "rush: 200 of 200 frames scored, 0 dropped" in err

    def test_the_model_may_come_first(self, home: Path, capfd: pytest.CaptureFixture[str]):
        asked = [str(home / "scene.vad"), str(home / "calm.mp4"), "--fast"]
        assert main(["watch", *asked, "--folder", str(home / "data")]) == 0
        assert capfd.readouterr().out == ""

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ([], "no model and no source"),
            (["rtsp://camera/1"], "no model: "),
            (["scene.vad"], "no source"),
            (["calm.mp4", "--model", "nowhere.vad"], "no saved detector at"),
            (["a.mp4", "--settings", "none.toml"], "other options beside --settings"),
            (["--settings", "none.toml", "--fps", "3"], "other options beside --settings"),
            (["scene.vad", "none.mp4"], "cannot find"),
            (["scene.vad", "rtmp://x/y"], "source 'rtmp://x/…'"),
            (["scene.vad", "webcam:abc"], "source 'webcam:abc'"),
            (["scene.vad", "calm.mp4", "--on", "nan"], "camera 'calm': on = nan"),
            (["scene.vad", "calm.mp4", "--secret", "x"], "--secret without --webhook"),
            (["--settings", "none.toml"], "cannot read none.toml"),
            (["scene.vad", "calm.mp4", "--fps", "-3"], "fps = -3"),
            (["scene.vad", "calm.mp4", "--fps", "1e-300"], "fps = 1e-300"),
            (["scene.vad", "calm.mp4", "--mqtt", "http://x"], "address of sink 'mqtt'"),
        ],
    )
    def test_what_cannot_be_is_one_line(
        self,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        asked: list[str],
        said: str,
    ):
        monkeypatch.chdir(home)
        assert main(["watch", *asked]) == 2
        error = capfd.readouterr().err
        (line,) = error.splitlines()
        assert said in line and line.startswith("vadistill: error: ")
        assert not (home / "vadistill-data").exists()

    def test_ctrl_c_closes_and_a_kill_is_mended(self, home: Path):
        settings = scene_settings(
            home,
            camera("rush.mp4", loop=True),
            sinks=(SinkSettings("stdout", "stdout"),),
        )
        write_settings(settings, home / "v.toml")
        command = [sys.executable, "-m", "vadistill", "watch", "--settings", "v.toml"]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        for end in (signal.SIGKILL, signal.SIGINT):
            process = subprocess.Popen(
                command,
                cwd=home,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            kinds = []
            while "opened" not in kinds:  # the second run first tells how the first event ended
                kinds.append(json.loads(process.stdout.readline())["kind"])
            time.sleep(1.2)
            process.send_signal(end)
            out, err = process.communicate(timeout=20)
            if end == signal.SIGINT:
                assert process.returncode == 0, err
                assert "event 1 of camera door was open when the process ended" in err
                rest = [json.loads(line)["kind"] for line in out.splitlines()]
                assert kinds[0] == "closed" and rest[-2:] == ["closed", "clip"]
        store = Store(home / "data")
        first, second = sorted(store.events(), key=lambda e: e.id)[:2]
        assert first.interrupted and first.clip and first.end and first.end > first.start
        assert clip_times(store.media / first.clip)
        assert not second.interrupted and second.end and second.clip
        store.close()


class TestSettings:
    def test_round_trip_keeps_comments(self, tmp_path: Path):
        path = tmp_path / "v.toml"
        path.write_text(
            "# cameras of the hall\n[[model]]\nname = 'm'  # fitted in May\npath = 'm.vad'\n"
            "[[camera]]\nname = 'hall'\nsource = 'rtsp://a:b@c/1'\nmodel = 'm'\nfps = 6\n"
        )
        settings = read_settings(path)
        assert settings.cameras[0].fps == 6.0 and settings.base == tmp_path
        write_settings(settings, path)
        assert "# fitted in May" in path.read_text() and read_settings(path) == settings

    @pytest.mark.parametrize(
        "models",
        [
            "[model]\nname = 'm'\npath = 'm.vad'\n",
            "model = [{name = 'm', path = 'm.vad'}]\n",
            "[[model]]\nname = 'm'\npath = 'm.vad'\n",
        ],
    )
    def test_every_way_of_writing_a_list_can_be_changed(self, tmp_path: Path, models: str):
        path = tmp_path / "v.toml"
        path.write_text(models + "[server]\nport = 8765  # open in the firewall\n")
        settings = read_settings(path)
        added = camera("rtsp://a:b@c/1", "hall")
        changed = replace(settings, cameras=(replace(added, model="m"),))
        write_settings(changed, path)
        assert read_settings(path) == changed
        assert "port = 8765  # open in the firewall" in path.read_text()
        write_settings(settings, path)
        assert read_settings(path) == settings

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = 1", r"\[x\]"),
            ("[[camera]]\nname = 'a'", "lacks 'source'"),
            ("[[model]]\nname = 'a'\npath = 'x'\nbad = 1", "has 'bad'"),
            ("[[model]]\nname = 'A b'\npath = 'x'", "name 'A b'"),
            ("[[model]]\nname = 'a'\npath = 3", "path of .* is 3"),
            (
                "[[model]]\nname = 'm'\npath = 'x'\n[[camera]]\nname = 'a'\nsource = 'a'\n"
                "model = 'm'\nfps = 1e-300",
                "fps = 1e-300: expected 0.001 or more",
            ),
            (
                "[[model]]\nname = 'm'\npath = 'x'\n[[camera]]\nname = 'a'\nsource = 'a'\n"
                "model = 'm'\npre_roll = 1e300",
                "pre_roll = 1e\\+300: expected at most 120",
            ),
            (
                "[[model]]\nname = 'm'\npath = 'x'\n[[camera]]\nname = 'a'\nsource = 'a'\n"
                "model = 'm'\nfalse_alarms_per_day = 1e-300",
                "expected 0.0001 or more",
            ),
            (
                "[[model]]\nname = 'm'\npath = 'x'\n[[camera]]\nname = 'a'\nsource = 'a'\n"
                "model = 'm'\nrtsp_transport = 'sctp'",
                "rtsp_transport = 'sctp': expected 'tcp' or 'udp'",
            ),
            ("[storage]\nkeep_days = 1e-300", "keep_days = 1e-300: expected 0.001 or more"),
            ("[[sink]]\nname = 'a'\nkind = 'fax'", "kind of .* is 'fax'"),
            ("[[sink]]\nname = 'a'\nkind = 'mqtt'\nurl = 'x'", "begins with mqtt"),
            ("[server]\nport = true", "port of .* is True"),
            ("[storage]\nkeep_days = 0", "keep_days = 0"),
            ("model = 3", r"\[\[model\]\] 1 in .* is 3"),
            ("=", "cannot read"),
            ("[storage]\nkeep_gb = inf", "keep_gb = inf"),
            ("[server]\npassword = 12345", "password of .* is int"),
        ],
    )
    def test_what_cannot_be_is_named(self, tmp_path: Path, text: str, said: str):
        path = tmp_path / "v.toml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_settings(path)

    def test_secrets_are_not_in_errors(self, tmp_path: Path):
        url = Address("ftp://me:hidden@host/")
        with pytest.raises(ConfigError) as caught:
            scene_settings(tmp_path, sinks=(SinkSettings("w", "webhook", url),))
        assert "hidden" not in str(caught.value)
        assert ModelSettings("m", "p").device == "auto"
