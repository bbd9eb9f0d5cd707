"""Everything that runs behind the console and the command line: cameras, models, events, sinks."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vadistill.errors import ConfigError, StorageError
from vadistill.serving.config import ModelSettings, Settings
from vadistill.serving.faults import Faults
from vadistill.serving.jobs.leftovers import prune_jobs
from vadistill.serving.jobs.queue import Job, Jobs
from vadistill.serving.live.batching import described, named
from vadistill.serving.live.cameras import Cameras
from vadistill.serving.live.events import Subscription
from vadistill.serving.sinks import Dispatcher, build_sink
from vadistill.serving.storage import footage
from vadistill.serving.storage.clips import recover_clips
from vadistill.serving.storage.clock import Clock
from vadistill.serving.storage.recorder import prune_recordings
from vadistill.serving.storage.store import Event, Verdict

log = logging.getLogger("vadistill.serving")

TICK = 0.25
"""Seconds between two messages with new scores."""

PRUNE_EVERY = 600.0
"""Seconds between two looks at what is too old."""

RETRY = 30.0
"""Seconds to the next look where one has failed."""

DRAIN = 3.0
"""Seconds that the last messages have at the end."""


class Hub(Cameras):
    """Runs cameras as ``settings`` say; ``path`` is the file that changes are written to.

    One that is ``visiting`` leaves what the folder has of other settings: messages of their sinks,
    recordings of their cameras.  Raises what ``Cameras`` does.
    """

    def __init__(
        self, settings: Settings, *, path: Path | None = None, visiting: bool = False
    ) -> None:
        sinks = [build_sink(sink) for sink in settings.sinks]
        super().__init__(settings, path)
        self.jobs = Jobs(self.folder, changed=self._job_changed)
        self.started = time.time()
        self._visiting = visiting
        self._stop = threading.Event()
        self._clock, self._faults = Clock(self.store), Faults()
        self._dispatcher = Dispatcher(self.store, sinks)
        self._ticker = threading.Thread(target=self._tick, name="ticker", daemon=True)

    def start(self) -> None:
        """Close what a former process left open, then start cameras and sinks."""
        recover_clips(self.store.media)
        self.store.recover()
        for stored in self.store.pending():
            if stored not in self.store.sinks and not self._visiting:
                self.store.forget_sink(stored)
        shutil.rmtree(self.uploads, ignore_errors=True)  # of a server that was killed
        for job in self.jobs.all():
            self._adopt(job)
        self._prune()
        self._dispatcher.announce([camera.name for camera in self.settings.cameras])
        self._dispatcher.start()
        for camera in self.settings.cameras:
            self._open(camera)
        self._ticker.start()

    def stop(self) -> dict[str, int]:
        """End cameras, write what is open, and let go of everything.

        Returns how many messages wait for each sink, which the next start sends.
        """
        self._stop.set()
        with self._lock:
            cameras = list(self._cameras.values())
        for camera in cameras:
            camera.stop()
        if self._ticker.is_alive():
            self._ticker.join(5)
        self._clips.stop()
        for camera in cameras:
            camera.events.close_refused()
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

    def _keep(self, settings: Settings) -> None:
        super()._keep(settings)
        self._dispatcher.announce([camera.name for camera in settings.cameras])

    # -- models, jobs, sinks -------------------------------------------------------------------

    @property
    def uploads(self) -> Path:
        """Where uploads lie until they are scored."""
        return self.folder / "uploads"

    def set_verdict(self, id: int, verdict: Verdict | None) -> Event | None:
        """What a person says of an event; None: no such event."""
        event = self.store.set_verdict(id, verdict)
        if event is not None:
            self.announcer("event", event.as_json())
        return event

    def models(self) -> list[dict[str, Any]]:
        """Fitted models as the API describes them."""
        return described(self.settings)

    def fit_model(self, name: str, system: str, source: dict[str, Any]) -> Job:
        """Fit a model in the background to a named folder, or to a camera's last hours.

        Raises ConfigError for a name that is taken or a folder that is unknown, DataError where
        there is no footage.
        """
        if name in [model.name for model in self.settings.models]:
            raise ConfigError(
                f"a second model '{name}'", expected="a new name", fix="choose another one"
            )
        ModelSettings(name, "")
        videos = footage.videos_for(self.settings, self.store, self.recordings, source)
        out = self.folder / "models" / f"{name}.vad"
        return self.jobs.fit(name=name, system=system, videos=videos, out=out)

    def score_upload(self, path: Path, title: str, model: str) -> Job:
        """Score an uploaded video in the background; raises ConfigError for an unknown model."""
        found = named(self.settings, model)
        return self.jobs.score(video=path, title=title, model=self.settings.located(found.path))

    def footage(self) -> dict[str, Any]:
        """What models can be fitted to."""
        return {
            "folders": footage.folders(self.settings),
            "cameras": footage.cameras(self.settings, self.recordings),
        }

    def sinks(self) -> list[dict[str, Any]]:
        """Where events are sent, and how that goes."""
        return self._dispatcher.status()

    def _job_changed(self, job: Job) -> None:
        self._adopt(job)
        self.announcer("job", job.as_json())

    def _adopt(self, job: Job) -> None:
        """Put the model of a finished fit into the settings."""
        path = self.folder / "models" / f"{job.title}.vad"
        with self._changing:
            known = [model.name for model in self.settings.models]
            new = job.kind == "fit" and job.state == "done" and job.title not in known
            if new and path.exists():
                made = ModelSettings(job.title, str(path.resolve()))
                self._keep(replace(self.settings, models=(*self.settings.models, made)))

    # -- the clockwork -------------------------------------------------------------------------

    def subscribe(self) -> Subscription:
        """Messages of kind cameras, scores, event and job from now on."""
        return self.announcer.subscribe()

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
        }

    def health(self) -> dict[str, Any]:
        """How the ``ticker``, the ``store``, the ``sinks`` and the ``cameras`` fare: ``ok`` and
        ``detail`` each, without names; ``ok`` of all is that of the ticker and the store."""
        fails = "" if self._ticker.is_alive() else "it does not run"
        if self._faults:
            fails = f"fails: {', '.join(self._faults.parts())}"
        store = ""
        try:
            self.store.pending()
        except StorageError:
            store = "cannot be read"
        states = [camera.as_json()["status"]["state"] for camera in self.running()]
        away = sum(state in ("failed", "retrying") for state in states)
        sinks = self._dispatcher.states()
        failing = sum(state != "ok" for state in sinks)
        details = {
            "ticker": fails,
            "store": store,
            "sinks": f"{failing} of {len(sinks)} fail" if failing else "",
            "cameras": f"{away} of {len(states)} are failed or lost" if away else "",
        }
        parts = {name: {"ok": not detail, "detail": detail} for name, detail in details.items()}
        return {"ok": not fails and not store, **parts}

    def _tick(self) -> None:
        pruned, told = time.monotonic(), 0.0
        while not self._stop.wait(TICK):
            with self._faults.of("pages"):
                for camera in self.running():
                    points = camera.take_points()
                    if points:
                        self.announcer("scores", {"camera": camera.name, "points": points})
                if len(self.announcer) and time.monotonic() - told >= 1:
                    told = time.monotonic()
                    self.announcer("cameras", {"cameras": self.cameras()})
            pause = min(PRUNE_EVERY, RETRY) if self._faults else PRUNE_EVERY
            if time.monotonic() - pruned >= pause:
                self._prune()
                pruned = time.monotonic()

    def _prune(self) -> None:
        """Remove what is too old or too much; a step that fails keeps no other from its work."""
        settings = self.settings
        keep = int(settings.storage.keep_gb * 1e9)
        hours = {c.name: c.record_hours for c in settings.cameras if c.record_hours > 0}
        now: float | None = None
        with self._faults.of("the clock"):
            now = self._clock.look()
        if now is not None:
            with self._faults.of("pruning of events"):
                self.store.prune(now, keep_days=settings.storage.keep_days, keep_bytes=keep)
            with self._faults.of("pruning of recordings"):
                prune_recordings(self.recordings, hours, now, others=not self._visiting)
        with self._faults.of("pruning of uploads"):
            prune_jobs(self.jobs.folder, self.jobs.all())
