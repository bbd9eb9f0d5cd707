"""Everything that runs behind the console and the command line: cameras, models, events, sinks."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vadistill.errors import StorageError
from vadistill.serving.config import ServerSettings, Settings
from vadistill.serving.faults import Faults
from vadistill.serving.live.news import Subscription
from vadistill.serving.lookout import GRACE, Lookout, Part, glances
from vadistill.serving.pruning import Pruner
from vadistill.serving.sending import Sending
from vadistill.serving.storage.clips import recover_clips
from vadistill.serving.storage.disk import Disk

log = logging.getLogger("vadistill.serving")

TICK = 0.25
"""Seconds between two messages with new scores."""

PRUNE_EVERY = 600.0
"""Seconds between two looks at what is too old."""

RETRY = 30.0
"""Seconds to the next look where one has failed."""

DRAIN = 3.0
"""Seconds that the last messages have at the end."""

HANGS = 300.0
"""Seconds without a turn after which the clockwork hangs."""

WORDS = {
    "camera": "are failed or lost",
    "level": "no longer fit",
    "model": "cannot be used",
    "sink": "fail",
}
CLOCKWORK = Part("clockwork", "ticker")


class Hub(Sending):
    """Runs cameras as ``settings`` say; ``path`` is the file that changes are written to.

    One that is ``visiting`` leaves what the folder has of other settings: messages of their sinks,
    recordings of their cameras.  Raises what ``Cameras`` does.
    """

    def __init__(
        self, settings: Settings, *, path: Path | None = None, visiting: bool = False
    ) -> None:
        super().__init__(settings, path)
        self.started = time.time()
        self._visiting = visiting
        self._stop = threading.Event()
        self._faults = Faults()
        self._pruner = Pruner(self.folder, self.store, self.jobs, self._faults, visiting=visiting)
        self._ticker = threading.Thread(target=self._tick, name="ticker", daemon=True)
        self._beat = time.monotonic()
        """When the ticker last had a turn, in monotonic seconds."""
        self._disk = Disk(self.store, self.settle)

        def show(seen: Mapping[str, bool]) -> None:
            self._dispatcher.show(glances(self.running(), seen))

        self._lookout = Lookout(self.store, self._look, show, self._faults)

    def start(self) -> None:
        """Close what a former process left open, then start cameras and sinks."""
        recover_clips(self.store.media)
        self.store.recover()
        for stored in self.store.pending():
            if stored not in self.store.sinks and not self._visiting:
                self.store.forget_sink(stored)
        shutil.rmtree(self.uploads, ignore_errors=True)  # of a server that was killed
        self._pruner.prune(self.settings)
        self._dispatcher.announce([camera.name for camera in self.settings.cameras])
        self._dispatcher.start()
        for camera in self.settings.cameras:
            self._open(camera)
        for job in self.jobs.all():
            self._adopt(job)
        self._ticker.start()
        self._lookout.start()

    def stop(self) -> dict[str, int]:
        """End cameras, write what is open, and let go of everything.

        Returns how many messages wait for each sink, which the next start sends.
        """
        self._stop.set()
        self._lookout.stop()
        self._disk.stop()
        with self._lock:
            cameras = list(self._cameras.values())
        for camera in cameras:
            camera.stop()
        if self._ticker.is_alive():
            self._ticker.join(5)
        self._clips.stop()
        self.settle()
        self.jobs.close()
        self._drain()
        self._dispatcher.stop()
        self._models.close()
        waiting: dict[str, int] = {}
        with suppress(StorageError):
            waiting = self.store.pending()
        self.store.close()
        return waiting

    def _drain(self) -> None:
        """Let the last messages go to sinks that work; others keep theirs for the next start."""
        end = time.monotonic() + DRAIN
        with suppress(StorageError):
            while time.monotonic() < end and any(
                sink["pending"] and sink["state"] == "ok" for sink in self.sinks()
            ):
                time.sleep(0.02)

    def changed_secrets(self) -> ServerSettings | None:
        """[server] of the file where its password or token was changed; raises ConfigError."""
        return None if self._file is None else self._file.changed_secrets()

    # -- uploads -------------------------------------------------------------------------------

    @property
    def uploads(self) -> Path:
        """Where uploads lie until they are scored."""
        return self.folder / "uploads"

    def upload_room(self) -> int:
        """Bytes that a further upload may have."""
        return self._pruner.upload_room(self.settings)

    # -- the clockwork -------------------------------------------------------------------------

    def subscribe(self) -> Subscription:
        """Messages of kind cameras, scores, event and job from now on."""
        return self.announcer.subscribe()

    def camera_news(self) -> dict[str, Any]:
        """The message of kind cameras: all of them, the server's ``health``, and when, in monotonic
        seconds, that was ``asked``; a change that was answered before is in it."""
        asked = time.monotonic()
        return {"asked": asked, "cameras": self.cameras(), "health": self.health()}

    def metrics(self) -> dict[str, Any]:
        """Numbers for monitoring."""
        return {
            "uptime": time.time() - self.started,
            "cameras": self.cameras(),
            "events": self.store.count_events(),
            "pending": self.store.pending(),
            "sinks": self.sinks(),
            "networks": self._models.calls(),
            "clips_left_out": self._clips.left_out,
            "health": self.health(),
            "troubles": self._parts(),
        }

    def health(self) -> dict[str, Any]:
        """How cameras, their levels, models, sinks, the disk and the clockwork fare, ``ok`` and
        ``detail`` each, without names; ``ok`` of all is whether each is."""
        causes: dict[str, list[bool]] = {kind: [] for kind in GRACE}
        parts = self._parts()
        for part, cause in parts.items():
            causes[part.kind].append(bool(cause))
        details = {
            f"{kind}s": f"{sum(causes[kind])} of {len(causes[kind])} {words}"
            if any(causes[kind])
            else ""
            for kind, words in WORDS.items()
        }
        details["disk"] = (
            "it cannot be written, hangs, or is nearly full" if any(causes["disk"]) else ""
        )
        details["clockwork"] = parts[CLOCKWORK] or ""
        shown = {name: {"ok": not detail, "detail": detail} for name, detail in details.items()}
        return {"ok": not any(details.values()), **shown}

    def _look(self) -> dict[Part, str | None]:
        self._disk.look()
        return self._parts()

    def _parts(self) -> dict[Part, str | None]:
        """Why each part fails; '' for those that work, None for those of which nothing is known."""
        return {
            **{Part("camera", camera.name): camera.trouble for camera in self.running()},
            **{Part("level", camera.name): camera.level_trouble for camera in self.running()},
            **{Part("model", name): why for name, why in self.model_troubles().items()},
            **{Part("sink", name): why for name, why in self._dispatcher.troubles().items()},
            Part("disk", "storage"): self._disk.trouble,
            CLOCKWORK: self._clockwork(),
        }

    def _clockwork(self) -> str:
        if self._faults:
            return f"fails: {', '.join(self._faults.parts())}"
        late = time.monotonic() - min(self._beat, self._lookout.beat) > HANGS
        if late or not self._ticker.is_alive():
            return "it hangs" if late else "it does not run"
        return ""

    def _tick(self) -> None:
        pruned, told = time.monotonic(), 0.0
        while not self._stop.wait(TICK):
            self._beat = time.monotonic()
            with self._faults.of("pages"):
                for camera in self.running():
                    points = camera.curve.take_points()
                    if points:
                        self.announcer("scores", {"camera": camera.name, "points": points})
                if len(self.announcer) and time.monotonic() - told >= 1:
                    told = time.monotonic()
                    self.announcer("cameras", self.camera_news())
            pause = min(PRUNE_EVERY, RETRY) if self._faults else PRUNE_EVERY
            if time.monotonic() - pruned >= pause:
                self._pruner.prune(self.settings)
                pruned = time.monotonic()
