"""The console's way from an RTSP address alone to an alert with a picture, as a film strip.

    python tests/support/film_strip.py --out strip [--system motion] [--seconds 138] [--films films]

Renders ``--seconds`` of the simulated walkway, serves them by a GStreamer RTSP server as a camera
would, starts ``vadistill serve``'s hub in an empty folder, and goes the way in Chromium, on a page
of a phone's size with taps alone: add, look, mask, collect, fit, self-test, level, watch; then a
runner comes.  Of each step there are two pictures, a phone's and a desk's.  Prints what a person
has to do: taps, characters, and the seconds that these take by the keystroke-level model (Card,
Moran and Newell, 1980).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.browser import Browser
from support.rtsp_server import RtspServer
from support.serving_scene import served
from support.waiting import until
from vadistill.serving.config import Settings, StorageSettings
from vadistill.serving.hub import Hub
from vadistill.serving.storage.records import Event
from vadistill.simulated.walkway import WalkwayConfig, render_walkway

PHONE, DESK = (390, 844), (1280, 800)
SEED = 8
"""A place where people pass near enough for ``motion`` to tell a runner from a walker."""
MAIN = "document.querySelector('#main').innerText"
STATES = "[...document.querySelectorAll('.steps > li')].map(step => step.dataset.state)"
THINK, POINT, PRESS, KEY = 1.35, 1.1, 0.2, 0.28
"""Seconds: to make up one's mind, to move to a place, to press there, to type a character."""


@dataclass
class Effort:
    """What a person has done so far."""

    taps: int = 0
    typed: int = 0
    waited: float = 0.0
    """Seconds before a page that was not ready for what comes next."""

    @property
    def seconds(self) -> float:
        return self.taps * (THINK + POINT + PRESS) + self.typed * KEY + self.waited


class Strip:
    """A phone's page, and what is done on it; pictures go to ``out``."""

    def __init__(self, browser: Browser, url: str, out: Path) -> None:
        self.browser, self.out, self.effort, self._shots = browser, out, Effort(), 0
        out.mkdir(parents=True, exist_ok=True)
        browser.open(url, *PHONE, touch=True)
        browser.until("document.querySelector('#main h1')")

    def tap(self, words: str, inside: str = "#main") -> None:
        """Tap the button, link, summary or label that says ``words``; it must be in sight."""
        found = (
            f"[...document.querySelectorAll(`{inside} :is(button, a, summary, label, input)`)]"
            f".find(e => (e.labels?.[0] ?? e).textContent.trim() === `{words}` && !e.disabled)"
        )
        self._wait(f"{found}?.checkVisibility()")
        self.press(found, words)

    def press(self, found: str, words: str) -> None:
        self.browser.run(f"{found}.scrollIntoView({{block: 'center'}})")
        x, y = self.browser.settled(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"({found}.getBoundingClientRect())"
        )
        over = f"document.elementFromPoint({x}, {y})"
        hit = f"{found}.contains({over}) || {over}?.contains({found})"
        assert self.browser.run(f"Boolean({hit})"), f"something lies over '{words}'"
        self.browser.click(x, y)
        self.effort.taps += 1

    def at(self, x: float, y: float) -> None:
        """Tap a place of the picture that is drawn on, in shares of it."""
        box = self.browser.settled(
            "(({x, y, width, height}) => [x, y, width, height])"
            "(document.querySelector('.draw').getBoundingClientRect())"
        )
        self.browser.click(box[0] + x * box[2], box[1] + y * box[3])
        self.effort.taps += 1

    def type(self, label: str, words: str) -> None:
        """Tap a field and type into it, in the place of what is there."""
        name = f"[...document.querySelectorAll('label')].find(l => l.textContent === `{label}`)"
        self._wait(name)
        self.press(f"document.getElementById({name}.htmlFor)", label)
        self.browser.run("document.activeElement.select?.()")
        self.browser.call("Input.insertText", text=words)
        self.effort.typed += len(words)

    def choose(self, label: str, value: str) -> None:
        """Choose from a list: two taps."""
        name = f"[...document.querySelectorAll('label')].find(l => l.textContent === `{label}`)"
        self.browser.run(
            f"(e => {{ e.value = `{value}`; e.dispatchEvent(new Event('change')); }})"
            f"(document.getElementById({name}.htmlFor))"
        )
        self.effort.taps += 2

    def sees(self, condition: str) -> None:
        """Wait for what the next tap needs, as a person sits and waits."""
        began = time.monotonic()
        self._wait(condition)
        self.effort.waited += time.monotonic() - began

    def _wait(self, condition: str) -> None:
        self.browser.until(condition)

    def shot(self, name: str, at: str = "document.body") -> None:
        """Pictures of the window with ``at`` in sight, on a phone and on a desk."""
        self._shots += 1
        for kind, size in (("desk", DESK), ("phone", PHONE)):
            self._resize(*size)
            self.browser.run(f"{at}.scrollIntoView({{block: 'start'}})")
            time.sleep(0.5)
            wide = self.browser.run("document.documentElement.scrollWidth")
            assert wide <= size[0], f"{name}: the page is {wide} pixels wide on a {kind}"
            self.browser.screenshot(self.out / f"{self._shots:02d}-{name}-{kind}.png")
        print(f"{self._shots:02d} {name}: {self.effort.taps} taps", flush=True)

    def _resize(self, width: int, height: int) -> None:
        phone = (width, height) == PHONE
        self.browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        self.browser.call("Emulation.setTouchEmulationEnabled", enabled=phone)


def step(number: int) -> str:
    """One of the steps on the page "Set up", from 1."""
    return f"document.querySelectorAll('.steps > li')[{number - 1}]"


def go(strip: Strip, hub: Hub, address: str, runs: Callable[[], None], system: str) -> None:
    """The whole way; ``runs`` lets a runner come."""
    strip.shot("start")
    strip.tap("Add a camera")
    strip.type("Name", "walkway")
    strip.type("Address", address)
    strip.tap("Test")
    strip.sees("document.querySelector('.test img')?.naturalWidth > 0")
    strip.shot("add")
    strip.tap("Save the camera")
    strip.sees("document.querySelector('.picture canvas.has')")
    strip.shot("look")
    strip.tap("draw masks and zones")
    strip.sees("document.querySelector('.draw img')?.naturalWidth > 0")
    strip.tap("New mask")
    strip.browser.run("document.querySelector('.draw').scrollIntoView({block: 'center'})")
    for x, y in ((0.02, 0.03), (0.4, 0.03), (0.4, 0.18), (0.02, 0.18), (0.02, 0.03)):
        strip.at(x, y)
    strip.shot("mask")
    strip.tap("Save")
    until(lambda: hub.settings.cameras[0].masks)
    strip.tap("Go on setting up walkway")
    strip.sees(f"{step(2)}?.dataset.state === 'done'")
    collect(strip, hub)
    fit(strip, hub, system)
    strip.type("Wanted false alarms a day", "2")
    strip.tap("Set")
    until(lambda: hub.settings.cameras[0].false_alarms_per_day == 2)
    strip.sees(f"{MAIN}.includes('for 2 false alarms a day')")
    strip.shot("level", step(6))
    until(lambda: hub.cameras()[0]["score"] is not None)
    strip.shot("watching", step(7))
    strip.tap("See the camera")
    strip.browser.until("document.querySelector('.picture img.has')?.naturalWidth > 0")
    strip.shot("camera")
    runs()
    alert(strip, hub, time.time())


def collect(strip: Strip, hub: Hub) -> None:
    """Nobody sits before it: the page need not stay open."""
    until(lambda: hub.learning("walkway")["seconds"] > 30, 120)
    strip.shot("collect", step(3))
    enough = hub.learning("walkway")["least"] + 3
    until(lambda: hub.learning("walkway")["seconds"] > enough, 600)
    strip.browser.until(f"{MAIN}.includes('enough to try')")
    strip.shot("enough", step(3))


def fit(strip: Strip, hub: Hub, system: str) -> None:
    strip.choose("System", system)
    strip.shot("system", step(4))
    strip.tap("Fit a model")
    strip.browser.until("document.querySelector('.job')")
    strip.shot("fit", step(4))
    until(lambda: hub.cameras()[0]["model"] == "walkway", 1800)
    strip.browser.until(f"{STATES}[4] === 'done'")
    strip.shot("fitted", step(4))
    strip.shot("self-test", step(5))


def alert(strip: Strip, hub: Hub, since: float) -> None:
    """The runner's event, and its clip."""

    def runner() -> Event | None:
        events = hub.store.events(since=since)[::-1]
        return next((event for event in events if event.start > since and event.clip), None)

    event = until(runner, 600)
    print(f"alert {event.start - since:.0f} s after the runner's film began", flush=True)
    # The link of the page's name has a count beside it.
    strip.press("document.querySelector('#nav a[href=\"#/events\"]')", "Events")
    row = f"document.querySelector('li[data-event=\"{event.id}\"]')"
    strip.browser.until(f"{row}?.querySelector('img')?.naturalWidth > 0")
    strip.shot("alert")
    strip.press(f"{row}.querySelector('button:has(img)')", "the picture")
    strip.browser.until("document.querySelector('dialog video')?.readyState > 2")
    strip.shot("clip")


@contextlib.contextmanager
def walkway(folder: Path, seconds: float) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a camera that shows the walkway, and what lets a runner come."""
    calm = WalkwayConfig(SEED, train_clips=1, test_clips=0, frames=round(15 * seconds))
    away = replace(calm, train_clips=0, test_clips=1, frames=240, anomalies=("runner",))
    films = {name: render_walkway(folder / name, each) for name, each in (("c", calm), ("a", away))}
    usual, rush = films["c"].train.videos[0].source, films["a"].test.videos[0].source
    assert isinstance(usual, Path) and isinstance(rush, Path)
    link = folder / "camera.mp4"
    link.unlink(missing_ok=True)
    link.symlink_to(usual.resolve())
    with RtspServer(walkway=link) as server:

        def runs() -> None:
            link.unlink()
            link.symlink_to(rush.resolve())
            server.kill()  # the camera starts anew
            server.start()

        yield server.address("walkway"), runs


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--system", default="motion")
    parser.add_argument("--seconds", type=float, default=138.0)
    parser.add_argument("--films", type=Path, help="where the rendered walkways are kept")
    arguments = parser.parse_args(given)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as place,
        walkway(arguments.films or Path(place), arguments.seconds) as (address, runs),
    ):
        settings = Settings(storage=StorageSettings(folder="data"), base=Path(place))
        hub = Hub(settings, path=Path(place) / "vadistill.toml")
        hub.start()
        try:
            with served(hub) as server, Browser() as browser:
                strip = Strip(browser, server.url, arguments.out)
                go(strip, hub, address, runs, arguments.system)
                problems = [p for p in browser.problems() if "thumbnail.jpg" not in p]
                assert problems == [], problems
        finally:
            hub.stop()
    effort = strip.effort
    print(
        f"{effort.taps} taps, {effort.typed} characters, {effort.waited:.0f} s of waiting before "
        f"the page: {effort.seconds / 60:.1f} minutes of {(time.monotonic() - began) / 60:.1f}"
    )


if __name__ == "__main__":
    main()
