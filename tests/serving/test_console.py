"""The console in a real browser, over a real server: what people see, press and type."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from support import serving_scene
from support.browser import Browser
from support.mjpeg_server import MjpegServer, part
from support.scenes import FPS, film
from support.serving_scene import fitted, scene_settings, served
from support.waiting import until
from vadistill.addresses import Address
from vadistill.serving.config import (
    CameraSettings,
    FootageSettings,
    ServerSettings,
    Settings,
    SinkSettings,
    StorageSettings,
)
from vadistill.serving.hub import Hub
from vadistill.serving.live.drift import sentence
from vadistill.serving.settings_file import read_settings
from vadistill.serving.storage import later
from vadistill.serving.web.auth import hash_password
from vadistill.serving.web.schemas import EDITABLE
from vadistill.video import open_video

FRAMES, RUSH = 80, range(20, 45)
LOST = "rtsp://guard:hunter2@127.0.0.1:9/stream"
PASSWORD = "an open sesame"
ROUTES = (
    "#/",
    "#/cameras/door",
    "#/cameras/door/areas",
    "#/cameras/door/learn",
    "#/add",
    "#/events",
    "#/upload",
    "#/models",
    "#/status",
)
EVENT = "document.querySelector('li.event:not(.open)')"
READY = "document.querySelector('#main h1') && !document.querySelector('.problem')"


@dataclass
class Site:
    """A console, and what is behind it."""

    folder: Path
    hub: Hub
    url: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A camera with events every few seconds, one that is away, and a sink that is down."""
    folder = tmp_path_factory.mktemp("console")
    serving_scene.tested(fitted(folder))
    film(folder / "rush.mp4", 10, frames=FRAMES, rush=RUSH)
    (folder / "normal").mkdir()
    (folder / "normal" / "one.mp4").symlink_to(folder / "normal0.mp4")
    door = CameraSettings("door", Address("rush.mp4"), "scene", loop=True, seconds_to_close=0.5)
    away = CameraSettings("away", Address(LOST), "scene")
    sinks = (SinkSettings("bell", "webhook", Address("http://127.0.0.1:9/ring?key=hunter2")),)
    footage = (FootageSettings("normal", "normal"),)
    hub = Hub(
        scene_settings(
            folder,
            door,
            away,
            sinks=sinks,
            footage=footage,
            server=ServerSettings(upload_mb=500),
        ),
        path=folder / "vadistill.toml",
    )
    hub.start()
    try:
        with served(hub) as server:
            yield Site(folder, hub, server.url)
    finally:
        hub.stop()


@pytest.fixture
def browser(chromium: Browser, site: Site) -> Iterator[Browser]:
    """A browser whose page must neither complain nor ask anybody else for anything."""
    yield chromium
    assert all(url.startswith(site.url) for url in chromium.requests())
    # The picture of an open event may be replaced while it is read; the page asks again.
    assert [p for p in chromium.problems() if "thumbnail.jpg" not in p] == []


def show(browser: Browser, site: Site, route: str, width: int = 1280, height: int = 800) -> None:
    browser.open(site.url + route, width, height, touch=width < 500)
    browser.until(READY)


def press(browser: Browser, words: str, inside: str = "#main") -> None:
    """Click the button that says ``words``, once it is there."""
    found = (
        f"[...document.querySelectorAll('{inside} button')].find(b => b.textContent==='{words}')"
    )
    # At once: it may say something else a moment later.
    browser.until(f"(b => b?.disabled === false && (b.click(), true))({found})")


def close_dialog(browser: Browser) -> None:
    """Close the open dialog; it leaves the page only a task later, as its focus handling does."""
    browser.run("document.querySelector('dialog[open]').close()")
    browser.until("!document.querySelector('dialog')")


def write(browser: Browser, label: str, value: str) -> None:
    """Fill in a field by its label, once it is there."""
    browser.until(f"[...document.querySelectorAll('label')].some(l => l.textContent === {label!r})")
    browser.run(
        f"""(() => {{ const label = [...document.querySelectorAll('label')].find(
        l => l.textContent === {label!r}); document.getElementById(label.htmlFor).value = {value!r};
        }})()"""
    )


def first_event(site: Site) -> int:
    """A closed event with its clip; waits for one."""
    found: list[int] = []
    until(lambda: found.extend(e.id for e in site.hub.store.events() if e.clip) or found)
    return found[0]


class TestCameras:
    def test_tiles_show_picture_curve_and_state(self, browser: Browser, site: Site):
        show(browser, site, "#/")
        door, away = (f"document.querySelector('[data-camera={n}]')" for n in ("door", "away"))
        browser.until(f"{away} && {door}?.querySelector('.picture canvas.has')")
        assert browser.run(f"{door}.querySelector('.picture canvas').width") >= 144
        middle = f"""Array.from({door}.querySelector('.picture canvas').getContext('2d')
            .getImageData(4, 4, 1, 1).data)"""
        assert 60 < browser.run(middle)[0] < 140  # the scene's floor
        browser.until(f"{door}.querySelector('.curve').curve.series.length > 20")
        browser.until(f"Number({door}.querySelector('.numbers b').textContent) > 0")
        assert "events open at" in browser.run(f"{door}.textContent")
        browser.until(f"{away}.querySelector('.badge').textContent === 'lost, trying again'")
        browser.until(f"{away}.textContent.includes('next try in')")
        assert "hunter2" not in browser.run("document.documentElement.outerHTML")
        # An event is plain to see, and counted beside the page's name.
        browser.until(f"{door}.matches('.open')")
        browser.until("document.querySelector('#nav .count').textContent === '1'")

    @pytest.mark.parametrize("width", [1280, 390])
    def test_tiles_say_that_a_levels_footage_is_too_short(
        self, browser: Browser, site: Site, width: int
    ):
        show(browser, site, "#/", width)
        words = "too short to tell 1 false alarm a day"
        assert words in (site.hub.camera("door") or {})["level"]["note"]
        short = "document.querySelector('[data-camera=door] .short')"
        browser.until(f"{short}?.checkVisibility() && {short}.textContent.includes('{words}')")
        tile = browser.run(f"{short}.parentElement.textContent")
        assert tile.count("false alarm") == 1 and tile.endswith(f", {words}")
        assert browser.run("document.documentElement.scrollWidth") <= width

    def test_a_curve_forgets_what_is_old(self, browser: Browser, site: Site):
        show(browser, site, "#/")
        browser.until("document.querySelector('.curve')?.curve")
        series = browser.run(
            """(() => { const { curve } = document.querySelector('.curve');
            for (let t = 1; t <= 50000; t++) curve.add([[4e9 + t, 1], [4e9 + t + 0.5, null]]);
            return [curve.series.times.length, curve.series.length]; })()"""
        )
        assert series[0] < 20_000 and 0 < series[1] <= series[0]

    def test_its_own_page_streams_and_keeps_settings(self, browser: Browser, site: Site):
        show(browser, site, "#/cameras/door")
        browser.until("document.querySelector('.picture img.has')?.naturalWidth >= 144")
        browser.until("document.querySelector('.curve.tall').curve.series.length > 20")
        press(browser, "map")
        browser.until("document.querySelector('.picture img').src.endsWith('map=1')")
        press(browser, "map")
        write(browser, "Wanted false alarms a day", "2")
        press(browser, "Save changes")
        until(lambda: site.hub.settings.cameras[0].false_alarms_per_day == 2)
        browser.until("document.querySelector('#toasts').textContent.includes('door is saved')")
        assert "hunter2" in (site.folder / "vadistill.toml").read_text()
        # The stream ends with the page, or the six connections of a browser would be used up.
        for _ in range(7):
            browser.run("location.hash = '#/status'")
            browser.until("document.querySelector('h1').textContent === 'Status'")
            browser.run("location.hash = '#/cameras/door'")
            browser.until("document.querySelector('.picture img.has')")

    def test_a_camera_is_tested_added_and_removed(self, browser: Browser, site: Site):
        frames = [part(frame.image) for frame in open_video(site.folder / "rush.mp4")]
        with MjpegServer(lambda: frames * 50, pause=1 / FPS) as camera:
            show(browser, site, "#/add")
            write(browser, "Name", "porch")
            write(browser, "Address", LOST.replace("hunter2", "swordfish"))
            press(browser, "Test")
            browser.until("document.querySelector('.problem .remedy')?.textContent.length > 10")
            assert "swordfish" not in browser.run("document.querySelector('.problem').textContent")
            assert len(browser.problems()) == 1 and "422" in browser.problems()[0]
            browser.events.clear()
            write(browser, "Address", camera.address("me:swordfish@"))
            press(browser, "Test")
            browser.until("document.querySelector('.test img')?.naturalWidth === 144")
            assert "144 × 96" in browser.run("document.querySelector('.test').textContent")
            press(browser, "Save the camera")
            browser.until("location.hash === '#/cameras/porch'")
            browser.until("document.querySelector('.picture img.has')")
            assert "swordfish" not in browser.run("document.documentElement.outerHTML")
            press(browser, "Remove the camera")
            press(browser, "Remove", "dialog")
            browser.until("location.hash === '#/'")
            browser.until("!document.querySelector('[data-camera=porch]')")
            assert site.hub.camera("porch") is None

    def test_one_is_muted_for_an_hour(self, browser: Browser, site: Site):
        show(browser, site, "#/cameras/door")
        press(browser, "mute for an hour")
        muted = "[...document.querySelectorAll('#main button')].find(b => b.ariaPressed === 'true' "
        muted += "&& b.textContent.startsWith('muted until'))"
        browser.until(muted)
        assert (site.hub.camera("door") or {})["muted_until"] > time.time() + 3500
        show(browser, site, "#/")
        tile = "document.querySelector('[data-camera=door]')?.textContent"
        browser.until(f"{tile}?.includes('muted until')")
        show(browser, site, "#/cameras/door")
        browser.until(muted)
        browser.run(f"{muted}.click()")
        until(lambda: (site.hub.camera("door") or {})["muted_until"] is None)

    def test_one_unlike_the_models_footage_has_a_warning(self, browser: Browser, site: Site):
        slow = CameraSettings("slow", Address("rush.mp4"), "scene", loop=True, fps=6.0)
        site.hub.add_camera(slow)
        try:
            show(browser, site, "#/")
            warning = "document.querySelector('[data-camera={}] .warning')"
            browser.until(f"{warning.format('slow')}?.textContent.includes('at 6 frames/s')")
            assert browser.run(f"{warning.format('door')}.hidden")
            show(browser, site, "#/cameras/slow")
            browser.until("document.querySelector('#main .warning:not([hidden])')")
            words = browser.run("document.querySelector('#main .warning').textContent")
            assert words.startswith("Camera slow has") and "the model knows" in words
            show(browser, site, "#/status")  # the wall would ask for a picture of one that is gone
        finally:
            site.hub.remove_camera("slow")

    def test_one_whose_scores_drift_has_a_warning_and_the_ways_out(
        self, browser: Browser, site: Site
    ):
        door = next(c for c in site.hub.running() if c.name == "door")
        door.standards.drift.told = sentence(0.12, "hour")
        try:
            for route, inside in (("#/", "[data-camera=door]"), ("#/cameras/door", "#main")):
                show(browser, site, route)
                browser.until(f"document.querySelector('{inside} .warning:not([hidden])')")
                words = browser.run(f"document.querySelector('{inside} .warning').textContent")
                assert words.startswith("Scores have drifted: 12 % of the last hour's frames")
                press(browser, "calibrate", inside)
                browser.until("document.querySelector('dialog[open]')")
                close_dialog(browser)
                links = f"[...document.querySelectorAll('{inside} a.button:not([hidden])')]"
                browser.run(f"{links}.find(a => a.textContent === 'fit again').click()")
                browser.until("location.hash === '#/cameras/door/learn'")
                browser.until("document.querySelector('#main .warning:not([hidden])')")
        finally:
            door.standards.drift.told = ""
        show(browser, site, "#/cameras/door")
        browser.until("document.querySelector('#main .warning').hidden")
        links = "[...document.querySelectorAll('#main a.button')]"
        assert browser.run(f"{links}.some(a => a.textContent === 'set up')")

    def test_the_form_says_the_defaults_and_keeps_what_is_new(self, browser: Browser, site: Site):
        show(browser, site, "#/cameras/away")
        told = browser.run("import('/static/camera_settings.js').then((module) => module.DEFAULTS)")
        usual = vars(CameraSettings("x", Address("y"), "z"))
        as_json = {name: list(v) if isinstance(v, tuple) else v for name, v in usual.items()}
        assert told == {name: as_json[name] for name in told} and len(told) > 6
        assert {"name", "source", "model", *told} == {"name", *EDITABLE}
        write(browser, "Frames in a row that open an event", "4")
        write(browser, "Seconds below the level that close it", "1.5")
        write(browser, "Seconds of picture before an event in its clip", "7")
        write(browser, "Hours in which events may open", "mon-fri 18:00-06:00; sun 00:00-24:00")
        press(browser, "Save changes")
        kept = {"frames_to_open": 4, "seconds_to_close": 1.5, "pre_roll": 7.0}
        kept |= {"event_hours": ("mon-fri 18:00-06:00", "sun 00:00-24:00")}
        until(lambda: kept.items() <= (site.hub.camera("away") or {}).items())


class TestAreas:
    """Masks and zones drawn on the picture; each camera is left without any."""

    @pytest.fixture(autouse=True)
    def none_left(self, site: Site) -> Iterator[None]:
        # What the test before took back has started the camera anew.
        until(lambda: site.hub.picture("door", map=False, boxes=False))
        yield
        site.hub.change_camera("door", masks=(), zones=(), only_zones=False)

    def at(self, browser: Browser, x: float, y: float) -> tuple[float, float]:
        browser.until("document.querySelector('.draw img')?.naturalWidth > 0")
        browser.run("document.querySelector('.draw').scrollIntoView({block: 'center'})")
        box = browser.settled(
            "(({x, y, width, height}) => [x, y, width, height])"
            "(document.querySelector('.draw').getBoundingClientRect())"
        )
        return box[0] + x * box[2], box[1] + y * box[3]

    @pytest.mark.parametrize("width", [1280, 390])
    def test_a_mask_is_drawn_moved_undone_and_saved(self, browser: Browser, site: Site, width: int):
        show(browser, site, "#/cameras/door/areas", width)
        press(browser, "New mask")
        for x, y in ((0.1, 0.1), (0.5, 0.1), (0.5, 0.6), (0.3, 0.9)):
            browser.click(*self.at(browser, x, y))
        browser.until("document.querySelectorAll('.handle').length === 4")
        press(browser, "Undo")
        browser.until("document.querySelectorAll('.handle').length === 3")
        browser.click(*self.at(browser, 0.1, 0.1))  # the first corner again
        browser.until("document.querySelector('.areas polygon.mask.chosen')")
        # A corner goes into the nearest side once the shape is whole.
        browser.click(*self.at(browser, 0.3, 0.1))
        browser.until("document.querySelectorAll('.handle').length === 4")
        press(browser, "Save")
        until(lambda: site.hub.settings.cameras[0].masks)
        (mask,) = site.hub.settings.cameras[0].masks
        wanted = [(0.1, 0.1), (0.3, 0.1), (0.5, 0.1), (0.5, 0.6)]
        assert all(
            abs(a - b) < 0.02
            for m, w in zip(mask, wanted, strict=True)
            for a, b in zip(m, w, strict=True)
        )
        assert "masks = [[[0." in (site.folder / "vadistill.toml").read_text()
        show(browser, site, "#/cameras/door", width)
        browser.until("document.querySelector('.picture .areas polygon.mask')")

    def test_a_zone_is_drawn_with_keys_alone_and_named(self, browser: Browser, site: Site):
        show(browser, site, "#/cameras/door/areas")
        press(browser, "New zone")
        for _ in range(3):
            press(browser, "Add a corner")
        for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
            browser.key(key)
        press(browser, "Done")
        browser.run(
            """(() => { const name = document.querySelector('.shapes input'); name.value = 'Drive';
            name.dispatchEvent(new Event('change')); })()"""
        )
        press(browser, "Save")
        browser.until("document.querySelector('.problem')?.textContent.includes('Small letters')")
        browser.run(
            """(() => { const name = document.querySelector('.shapes input'); name.value = 'drive';
            name.dispatchEvent(new Event('change'));
            document.querySelector('.card input[type=checkbox]').click(); })()"""
        )
        press(browser, "Save")
        until(lambda: site.hub.settings.cameras[0].zones)
        assert site.hub.settings.cameras[0].only_zones
        (zone,) = site.hub.settings.cameras[0].zones
        assert zone.name == "drive" and len(zone.corners) == 3
        browser.run("document.querySelector('.shapes .danger').click()")
        press(browser, "Save")
        until(lambda: not site.hub.settings.cameras[0].zones)

    def test_what_is_drawn_while_it_is_saved_is_not_taken_for_saved(
        self, browser: Browser, site: Site
    ):
        show(browser, site, "#/cameras/door/areas")
        press(browser, "New zone")
        for _ in range(3):
            press(browser, "Add a corner")
        press(browser, "Done")
        browser.run("""(() => {
            const real = window.fetch;
            window.held = Promise.withResolvers();
            window.fetch = async (path, sent) => {
                const answer = await real(path, sent);
                if (sent?.method === 'PATCH') {
                    window.fetch = real;
                    await window.held.promise;
                }
                return answer;
            };
        })()""")
        press(browser, "Save")
        until(lambda: site.hub.settings.cameras[0].zones)
        browser.run("document.querySelector('.shapes .danger').click()")
        browser.run("held.resolve()")
        browser.until("document.querySelector('.good')")
        press(browser, "Save")
        until(lambda: not site.hub.settings.cameras[0].zones)


class TestMemory:
    def test_a_false_alarm_is_listed_and_forgotten(self, browser: Browser, site: Site):
        number = first_event(site)
        site.hub.set_verdict(number, "false")
        try:
            show(browser, site, "#/cameras/door")
            figure = f"document.querySelector('figure:has(a[href=\"#/events?event={number}\"])')"
            browser.until(f"{figure}?.querySelector('img').naturalWidth > 0")
            assert "held back" in browser.run(f"{figure}.textContent")
            browser.run(f"{figure}.querySelector('button').click()")
            browser.until(f"!{figure}")
            assert site.hub.remembered("door") == []
            event = site.hub.store.event(number)
            assert event and event.verdict == "false"
        finally:
            site.hub.set_verdict(number, None)


class TestEvents:
    def test_new_ones_come_by_themselves(self, browser: Browser, site: Site):
        show(browser, site, "#/events")
        known = browser.run("document.querySelectorAll('li.event').length")
        browser.until(f"document.querySelectorAll('li.event').length > {known}")
        browser.until("document.querySelector('li.event.open')")
        # Its picture comes a moment later.
        browser.until("document.querySelector('li.event img')?.naturalWidth > 0")
        browser.until("!document.querySelector('li.event.open')")

    def test_clips_play_and_marks_are_kept(self, browser: Browser, site: Site):
        number = first_event(site)
        show(browser, site, f"#/events?event={number}")
        browser.until("document.querySelector('dialog video')?.readyState >= 2")
        assert browser.run("document.querySelector('dialog video').videoWidth") >= 144
        browser.key("f")
        until(lambda: getattr(site.hub.store.event(number), "verdict", 0) == "false")
        close_dialog(browser)
        browser.until("!document.querySelector('.offer').hidden")
        assert "1 false alarm marked on door" in browser.run(
            "document.querySelector('.offer').textContent"
        )
        browser.until(f"document.activeElement.dataset.event === '{number}'")
        press(browser, "Calibrate", ".offer")
        browser.until("document.querySelector('dialog input')")
        # What was marked a false alarm counts, and so does what nobody has looked at.
        unmarked = "document.querySelector('dialog .warning')"
        browser.until(f"{unmarked} && !{unmarked}.hidden")
        assert "will count as normal" in browser.run(f"{unmarked}.textContent")
        assert "that you marked as real" in browser.run(
            "document.querySelector('dialog').textContent"
        )
        close_dialog(browser)
        browser.until(f"document.activeElement.dataset.event === '{number}'")
        browser.key("u")
        until(lambda: getattr(site.hub.store.event(number), "verdict", 0) is None)
        browser.until("document.querySelector('.offer').hidden")

    def test_keys_walk_through_the_list(self, browser: Browser, site: Site):
        until(lambda: site.hub.store.count_events() > 1)
        show(browser, site, "#/events")
        browser.until("document.querySelectorAll('li.event').length > 1")
        browser.key("j")
        first = browser.run("document.activeElement.dataset.event")
        browser.key("j")
        assert int(browser.run("document.activeElement.dataset.event")) < int(first)
        browser.key("k")
        assert browser.run("document.activeElement.dataset.event") == first
        browser.key("r")
        until(lambda: getattr(site.hub.store.event(int(first)), "verdict", 0) == "real")
        browser.key("Enter")
        browser.until("document.querySelector('dialog[open]')")
        close_dialog(browser)

    def test_filters_stand_in_the_address(self, browser: Browser, site: Site):
        first_event(site)
        show(browser, site, "#/events")
        browser.until(EVENT)
        browser.run(
            """(() => { const camera = document.querySelector('.filters select');
            camera.value = 'away'; camera.dispatchEvent(new Event('change')); })()"""
        )
        browser.until("document.querySelector('.empty')?.textContent.includes('No events match')")
        assert browser.run("location.hash") == "#/events?camera=away"
        press(browser, "Show all events")
        browser.until(EVENT)
        browser.until("document.querySelectorAll('.strip .bar').length > 0")


class TestJobs:
    def test_an_upload_is_watched_being_scored(self, browser: Browser, site: Site):
        show(browser, site, "#/upload")
        browser.until("document.querySelector('#video')")
        browser.choose_files("#video", site.folder / "rush.mp4")
        browser.until("document.querySelector('.drop').textContent.includes('rush.mp4')")
        press(browser, "Score it")
        browser.until("location.hash.startsWith('#/jobs/')")
        browser.until("document.querySelector('.picture canvas.has')")
        browser.until("document.querySelector('.job .badge')?.textContent === 'done'")
        browser.until("document.querySelector('table')")
        words = browser.run("document.querySelector('#main').textContent")
        assert f"1 event in {FRAMES} frames" in words
        assert "of training footage, too short to tell 1 false alarm a day." in words
        assert browser.run("document.querySelector('.curve').curve.series.length") == FRAMES
        press(browser, "remove")
        browser.until("location.hash === '#/upload'")

    def test_what_is_no_video_is_refused_with_a_remedy(self, browser: Browser, site: Site):
        (site.folder / "notes.mp4").write_text("no video at all " * 100)
        show(browser, site, "#/upload")
        browser.until("document.querySelector('#video')")
        browser.choose_files("#video", site.folder / "notes.mp4")
        press(browser, "Score it")
        browser.until("document.querySelector('.problem .remedy')")
        assert len(browser.problems()) == 1 and "415" in browser.problems()[0]
        browser.events.clear()

    def test_a_fit_is_followed_and_stopped(self, browser: Browser, site: Site):
        show(browser, site, "#/models")
        browser.until("document.querySelector('[data-model=scene]')")
        write(browser, "Name of the new model", "second")
        press(browser, "Fit the model")
        browser.until("document.querySelector('.job')?.textContent.includes('second')")
        press(browser, "stop", ".job")
        press(browser, "Stop", "dialog")
        browser.until("document.querySelector('.job .badge').textContent === 'cancelled'")
        press(browser, "remove", ".job")
        browser.until("!document.querySelector('.job')")


class TestModels:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_a_models_self_test_is_told_by_kind(self, browser: Browser, site: Site, width: int):
        show(browser, site, "#/models", width)
        browser.until("document.querySelector('[data-model=scene]')")
        row = browser.run("document.querySelector('[data-model=scene]').closest('tr').textContent")
        assert "52 % found, AUC 74.0" in row
        test = "document.querySelector('[data-self-test=scene]')"
        assert browser.run(f"{test}.querySelector('table').checkVisibility()") is False
        browser.run(f"{test}.querySelector('summary').click()")
        words = browser.run(f"{test}.innerText")
        assert "3 times as fast" in words and "7 of 8" in words and "88.0 to 97.0" in words
        assert "unchanged (should not be found)" in words and "at 1 false alarm a day" in words
        assert "falls: not planted, no object of this footage lends itself" in words
        blind = browser.run(f"[...{test}.querySelectorAll('.bad')].map(e => e.textContent)")
        assert blind == ["1 of 6"]
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        browser.run(f"location.href = {test}.querySelector('a').href")
        browser.until("document.querySelector('figure img')?.naturalWidth === 80")
        assert "Self-test of motion" in browser.run("document.body.innerText")


class TestFrame:
    def test_status_tells_what_waits_for_a_sink(self, browser: Browser, site: Site):
        first_event(site)
        show(browser, site, "#/status")
        browser.until("document.querySelector('[data-sink=bell]')")
        words = browser.run("document.querySelector('[data-sink=bell]').textContent")
        assert "http://127.0.0.1:9/" in words and "hunter2" not in words
        before = site.hub.store.pending()["bell"]
        press(browser, "test")
        until(lambda: site.hub.store.pending()["bell"] > before)
        browser.until("document.querySelector('#toasts').textContent.includes('to bell')")

    @pytest.mark.parametrize("width", [1280, 390])
    def test_a_receiver_is_added_changed_turned_off_and_removed(
        self, browser: Browser, site: Site, width: int
    ):
        card = "document.querySelector('[data-sink=home]')"

        def settled() -> SinkSettings | None:
            return next((s for s in site.hub.settings.sinks if s.name == "home"), None)

        show(browser, site, "#/status", width)
        press(browser, "Add a receiver")
        write(browser, "Name", "home")
        write(browser, "Address", "http://127.0.0.1:9/ring?key=swordfish")
        write(browser, "Secret that signs messages", "a long random text")
        assert browser.run("document.documentElement.scrollWidth") <= width
        press(browser, "Save", "dialog")
        browser.until(card)
        browser.until(f"{card}.textContent.includes('signed')")
        assert (sink := settled()) and sink.secret.reveal() == "a long random text"
        press(browser, "change", "[data-sink=home]")
        browser.until("document.querySelector('dialog input[placeholder^=unchanged]')")
        page = browser.run("document.documentElement.outerHTML")
        assert "swordfish" not in page and "a long random" not in page
        write(browser, "Address", "nowhere")
        press(browser, "Save changes", "dialog")
        browser.until("document.querySelector('dialog .problem')?.textContent.includes('https://')")
        assert [p for p in browser.problems() if "422" not in p] == []
        browser.events.clear()
        write(browser, "Address", "http://127.0.0.1:9/other")
        press(browser, "Save changes", "dialog")
        until(lambda: (s := settled()) and s.url.reveal().endswith("/other"))
        assert (sink := settled()) and sink.secret.reveal() == "a long random text"
        press(browser, "turn off", "[data-sink=home]")
        browser.until(f"{card}.querySelector('.badge').textContent === 'off'")
        assert "enabled = false" in (site.folder / "vadistill.toml").read_text()
        press(browser, "turn on", "[data-sink=home]")
        browser.until(f"{card}.querySelector('.badge').textContent !== 'off'")
        press(browser, "remove", "[data-sink=home]")
        press(browser, "Remove", "dialog")
        browser.until(f"!{card}")
        assert settled() is None

    def test_a_look_that_a_change_overtook_is_taken_anew(self, browser: Browser, site: Site):
        show(browser, site, "#/status")
        names = browser.run("""(async () => {
            const server = await import('/static/server.js');
            const real = window.fetch;
            const held = Promise.withResolvers(), answered = Promise.withResolvers();
            let looks = 0;
            window.fetch = async (path, sent) => {
                const answer = await real(path, sent);
                if (path !== '/api/sinks' || sent.method !== 'GET' || looks++) return answer;
                answered.resolve();
                await held.promise;
                return answer;
            };
            try {
                const look = server.get('/api/sinks');
                await answered.promise;
                await server.post('/api/sinks', {name: 'late', kind: 'stdout'});
                held.resolve();
                const names = (await look).sinks.map((sink) => sink.name);
                await server.remove('/api/sinks/late');
                return names;
            } finally {
                window.fetch = real;
            }
        })()""")
        assert "late" in names

    def test_news_that_a_change_overtook_are_left_out(self, browser: Browser, site: Site):
        show(browser, site, "#/status")
        heard = browser.run("""(async () => {
            const server = await import('/static/server.js');
            const page = new AbortController();
            const real = window.EventSource;
            let stream;
            window.EventSource = class extends EventTarget {
                constructor() { super(); stream = this; }
                close() {}
            };
            try {
                const { cameras } = await server.get('/api/cameras');
                const { disk, clockwork } = await server.get('/healthz');
                const health = { disk, clockwork };
                const tell = (asked, cameras) => {
                    const data = JSON.stringify({ asked, cameras, health });
                    stream.dispatchEvent(new MessageEvent('cameras', { data }));
                };
                server.stop();
                server.start();
                const heard = [];
                server.on('cameras', (news) => heard.push(news.cameras.length), page.signal);
                tell(0, cameras);
                await server.post('/api/cameras/door/mute', { minutes: 0 });
                tell(0, [...cameras, cameras[0]]);
                heard.push((await server.allCameras(page.signal)).length);
                tell(1e12, cameras.slice(1));
                return heard;
            } finally {
                page.abort();
                window.EventSource = real;
                server.stop();
                server.start();
            }
        })()""")
        assert heard == [2, 2, 1]

    def test_a_disk_that_hangs_is_told_on_every_page(
        self, browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
    ):
        with monkeypatch.context() as hanging:
            hanging.setattr(later, "HANGS", -1.0)
            show(browser, site, "#/")
            browser.until("!banner.hidden && banner.textContent.includes('hangs')")
        browser.until("banner.hidden")

    def test_status_tells_what_the_server_goes_by(self, browser: Browser, site: Site):
        show(browser, site, "#/status")
        browser.until(
            "document.querySelector('#main').textContent.includes('keep_gb, the default')"
        )
        words = browser.run("document.querySelector('#main').textContent")
        assert "vadistill serve --new-token" in words and "proxies, the default" in words
        assert "upload_mb, default: 2048 MB" in words and "500 MB" in words

    def test_every_page_fits_a_phone_and_names_its_controls(self, browser: Browser, site: Site):
        for route in ROUTES:
            show(browser, site, route, 360)
            assert browser.settled("document.documentElement.scrollWidth") <= 360, route
            unnamed = browser.run(
                """[...document.querySelectorAll('button, a, input, select, canvas, img')]
                .filter(e => !e.textContent.trim() && !e.ariaLabel && !e.labels?.length)
                .filter(e => e.alt === undefined).map(e => e.outerHTML)"""
            )
            assert unnamed == [], route

    def test_themes(self, browser: Browser, site: Site):
        browser.prefer(color_scheme="dark")
        show(browser, site, "#/status")
        ground = "getComputedStyle(document.body).backgroundColor"
        assert browser.run(ground) == "rgb(21, 23, 26)"
        browser.run("theme.click()")
        assert browser.run(ground) == "rgb(251, 251, 250)"
        browser.run("localStorage.clear()")
        browser.prefer(color_scheme="light")

    def test_nothing_of_a_page_stays_behind(self, browser: Browser, site: Site):
        show(browser, site, "#/")

        def left() -> tuple[int, int]:
            browser.call("HeapProfiler.collectGarbage")
            found = browser.call("Memory.getDOMCounters")
            return found["nodes"], found["jsEventListeners"]

        def walk() -> None:
            for route in (*ROUTES[1:], ROUTES[0]):
                browser.run(f"location.hash = '{route}'")
                browser.until(READY)
            browser.until("document.querySelector('.tile')")

        walk()
        walk()
        before = left()
        for _ in range(4):
            walk()
        # What pages still wait for goes a moment later.
        until(lambda: (n := left())[0] < before[0] + 400 and n[1] < before[1] + 40)

    def test_an_unknown_page(self, browser: Browser, site: Site):
        show(browser, site, "#/nowhere/<b>")
        assert browser.run("document.querySelector('h1').textContent") == "Not found"


def test_signing_in_and_out(chromium: Browser, site: Site, tmp_path: Path):
    server = ServerSettings(password=hash_password(PASSWORD))
    hub = Hub(
        replace(scene_settings(site.folder), server=server, storage=StorageSettings(str(tmp_path)))
    )
    hub.start()
    try:
        with served(hub) as console:
            chromium.open(console.url + "#/models")
            chromium.until("document.querySelector('input[type=password]')")
            assert chromium.run("getComputedStyle(nav).display") == "none"
            write(chromium, "Password", "guess")
            press(chromium, "Sign in")
            chromium.until("document.querySelector('.problem')?.textContent.includes('wrong')")
            write(chromium, "Password", PASSWORD)
            press(chromium, "Sign in")
            chromium.until("document.querySelector('[data-model=scene]')")
            press(chromium, "sign out", "#tools")
            chromium.until("document.querySelector('input[type=password]')")
    finally:
        hub.stop()


def test_empty_pages_say_what_to_do_and_a_lost_connection_is_told(
    chromium: Browser, tmp_path: Path
):
    hub = Hub(replace(scene_settings(tmp_path), models=()))
    hub.start()
    try:
        with served(hub) as console:
            port = console.port
            for route, words in (
                ("#/", "No cameras yet"),
                ("#/add", "Without one the camera keeps footage"),
                ("#/events", "No events yet"),
                ("#/upload", "needs a model"),
                ("#/models", "no footage to fit"),
                ("#/status", "sent nowhere yet"),
            ):
                chromium.open(console.url + route)
                chromium.until(f"document.querySelector('#main').textContent.includes('{words}')")
        chromium.until("!document.querySelector('#banner').hidden")
        with served(hub, port=port):
            chromium.until("document.querySelector('#banner').hidden")
    finally:
        hub.stop()


STATES = "[...document.querySelectorAll('.steps > li')].map(step => step.dataset.state)"
"""Where each step of the way stands: picture, masks, footage, fit, self-test, level, watching."""


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.slow), 390])
def test_an_address_alone_is_a_way_to_alarms(chromium: Browser, tmp_path: Path, width: int):
    calm = [part(f.image) for f in open_video(film(tmp_path / "calm.mp4", 1, frames=FRAMES))]
    settings, path = replace(scene_settings(tmp_path), models=()), tmp_path / "vadistill.toml"
    words = "document.querySelector('#main').textContent"
    with MjpegServer(lambda: calm * 500, pause=1 / FPS) as camera:
        with running(settings, path) as (hub, url):
            here = Site(tmp_path, hub, url)
            show(chromium, here, "#/add", width)
            write(chromium, "Name", "porch")
            write(chromium, "Address", camera.address())
            assert "none yet" in chromium.run("document.querySelector('form select').textContent")
            press(chromium, "Save the camera")
            chromium.until("location.hash === '#/cameras/porch/learn'")
            chromium.until("document.querySelector('.picture canvas.has')")
            (porch,) = hub.cameras()
            assert porch["model"] == "" and porch["record_hours"] == 12 and porch["level"] is None
            assert porch["status"]["state"] == "running" and porch["status"]["scored"] == 0
            chromium.until(f"{STATES}.join() === 'done,open,now,open,later,later,later'")
            assert "0 masks, 0 zones" in chromium.run(words)
            assert "from 2 min on a model can be tested" in chromium.run(words)
            chromium.until(f"/Footage: ([89]\\.\\d|\\d\\d) s|Footage: \\d+ min/.test({words})")
            chromium.until(f"/second: [1-9]\\d*, in \\d+ % of the pictures/.test({words})")
            assert chromium.run("document.documentElement.scrollWidth") <= width
            show(chromium, here, "#/", width)
            chromium.until("document.querySelector('[data-camera=porch] canvas.has')")
            assert "no model yet" in chromium.run(words)
            show(chromium, here, "#/cameras/porch", width)
            chromium.until(f"{words}.includes('Nothing is scored yet')")
        # The server starts anew: what was collected is there, and the way goes on at its place.
        with running(read_settings(path), path) as (hub, url):
            here = Site(tmp_path, hub, url)
            before = hub.learning("porch")
            assert before["seconds"] > 5
            assert sum(before["by_hour"]) == pytest.approx(before["seconds"])
            assert before["objects"] >= before["busy"] > 0
            show(chromium, here, "#/cameras/porch/learn", width)
            chromium.until(f"{STATES}[2] === 'now'")
            chromium.until(
                "[...document.querySelectorAll('option')].some(o => o.value === 'motion')"
            )
            assert "the one is kept that finds most" in chromium.run(words)
            write(chromium, "System", "motion")
            press(chromium, "Fit a model")
            chromium.until(f"{STATES}[3] === 'now' && document.querySelector('.job')")
            until(lambda: hub.cameras()[0]["model"] == "porch", 90)
            chromium.until(f"{STATES}.join() === 'done,open,done,done,open,now,done'")
            chromium.until(f"{words}.includes('The model is porch (motion)')")
            assert "where there are 2 min of footage or more" in chromium.run(words)
            until(lambda: hub.cameras()[0]["status"]["scored"] > 10, 60)
            write(chromium, "Wanted false alarms a day", "3")
            press(chromium, "Set")
            until(lambda: hub.settings.cameras[0].false_alarms_per_day == 3)
            chromium.until(f"{words}.includes('for 3 false alarms a day')")
            assert hub.cameras()[0]["level"]["source"] == "training"
            assert chromium.run("document.documentElement.scrollWidth") <= width


@contextmanager
def running(settings: Settings, path: Path) -> Iterator[tuple[Hub, str]]:
    """A hub behind a console, and where that is."""
    hub = Hub(settings, path=path)
    hub.start()
    try:
        with served(hub) as console:
            yield hub, console.url
    finally:
        hub.stop()
