"""A headless Chromium that tests drive over its debugging pipe; nothing to install but Chromium."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

WAIT = 60.0
"""Seconds until a page that does not do what it should has failed."""


START = """
import os, sys
commands, answers = (os.dup2(int(n), int(n) + 100) for n in sys.argv[1:3])
os.dup2(commands, 3), os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and answers on 4, each ended by a zero byte."""


class Browser:
    """One page of a fresh Chromium: ``with Browser() as browser: browser.open(path)``."""

    def __init__(self) -> None:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("no chromium here: this test looks at the page in a real browser")
        self.touch = False
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
            f"--user-data-dir={self.profile}",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(theirs_in), str(theirs_out), program, *flags],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.session, self.rest = 0, None, b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self.session = None
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what happens meanwhile goes to ``events``."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            more = os.read(self.into, 1 << 20)
            if not more:
                raise EOFError("chromium ended")
            self.rest += more
        first, _, self.rest = self.rest.partition(b"\0")
        return json.loads(first)

    def open(
        self, page: Path | str, width: int = 1280, height: int = 900, *, touch: bool = False
    ) -> None:
        """Load a local file, or an address, in a window of some size, and wait until its scripts
        have run."""
        self.touch = touch
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.call("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        self.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def prefer(self, **features: str) -> None:
        """Media features, such as ``color_scheme="dark"`` or ``reduced_motion="reduce"``."""
        wanted = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=wanted)

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Put files into a page's file field."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        field = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=field, files=[str(p) for p in paths])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait for a JavaScript expression to be true."""
        end = time.monotonic() + WAIT
        while not self.run(f"Boolean({condition})"):
            thrown = any(e.get("method") == "Runtime.exceptionThrown" for e in self.events)
            late = time.monotonic() > end
            assert not thrown and not late, f"never happened: {condition}; {self.problems()}"
            time.sleep(0.05)

    def settled(self, script: str) -> Any:
        """The value of a JavaScript expression once it has stopped changing."""
        before, found = None, self.run(script)
        while found != before:
            time.sleep(0.15)
            before, found = found, self.run(script)
        return found

    def click(self, x: float, y: float) -> None:
        """A mouse click, or a tap where the page is a phone's, at a place of the window."""
        if self.touch:
            point = [{"x": x, "y": y}]
            self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=point)
            self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def swipe(self, x: float, y: float, by: float) -> None:
        """Move a finger from a place of the window ``by`` pixels up or down."""
        points = [{"x": x, "y": y + by * step / 10} for step in range(11)]
        for kind, point in zip(["touchStart", *["touchMove"] * 10], points, strict=True):
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[point])
            time.sleep(0.02)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def key(self, name: str) -> None:
        """Press a key such as ArrowRight."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def problems(self) -> list[str]:
        """What the page complained about: exceptions, errors, and refused requests."""
        self.run("0")
        found = []
        for event in self.events:
            kind, more = event.get("method"), event.get("params", {})
            if kind == "Runtime.exceptionThrown":
                details = more["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif kind == "Log.entryAdded" and more["entry"]["level"] == "error":
                found.append(f"{more['entry']['text']} {more['entry'].get('url', '')}".strip())
        return found

    def requests(self) -> list[str]:
        """Addresses that the page asked for, but for itself and what it made itself."""
        self.run("0")
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
