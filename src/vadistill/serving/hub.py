"""Everything that runs behind the console and the command line: cameras, models, events, sinks."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.errors import ConfigError, DataError, StorageError
from vadistill.serving.config import (
    CameraSettings,
    ModelSettings,
    Settings,
    changed,
    write_settings,
)
from vadistill.serving.jobs.queue import Job, Jobs
from vadistill.serving.live import models
from vadistill.serving.live.announcing import Announcer, Subscription
from vadistill.serving.live.calibrating import begin_anew, learned_level, starting_level
from vadistill.serving.live.camera import Camera
from vadistill.serving.live.reader import Reader
from vadistill.serving.live.trial import try_source
from vadistill.serving.sinks import Dispatcher, build_sink
from vadistill.serving.storage import footage
from vadistill.serving.storage.clips import ClipWriter, mend
from vadistill.serving.storage.recorder import Recorder
from vadistill.serving.storage.store import Event, Store, Verdict
from vadistill.video.live import is_live

if TYPE_CHECKING:
    pass

log = logging.getLogger("vadistill.serving")

TICK = 0.25
"""Seconds between two messages with new scores."""

PRUNE_EVERY = 600.0
"""Seconds between two looks at what is too old."""

DRAIN = 3.0
"""Seconds that the last messages have at the end."""


class Hub:
    """Runs cameras as ``settings`` say; ``path`` is the file that changes are written to.

    Raises ConfigError and WeightsError for models that cannot be used, StorageError for the folder
    of events.
    """

    def __init__(self, settings: Settings, *, path: Path | None = None) -> None:
        self.settings, self.path = settings, path
        self._models = models.Models()
        for camera in settings.cameras:  # before anything is written
            self._models.get(settings, camera.model)
        self.folder = settings.located(settings.storage.folder)
        self.sink_objects = [build_sink(sink) for sink in settings.sinks]
        self.store = Store(self.folder, sinks=[sink.name for sink in settings.sinks])
        self.announcer = Announcer()
        self.jobs = Jobs(self.folder, changed=self._job_changed)
        self.started = time.time()
        self._clips = ClipWriter(self.store.media)
        self._cameras: dict[str, Camera] = {}
        self._lock, self._changing = threading.RLock(), threading.RLock()
        """Of ``_cameras``, held for a moment; of changes, which may take long."""
        self._stop = threading.Event()
        self._dispatcher = Dispatcher(self.store, self.sink_objects)
        self._ticker = threading.Thread(target=self._tick, name="ticker", daemon=True)

    def start(self) -> None:
        """Close what a former process left open, then start cameras and sinks."""
        mend(self.store.media)
        self.store.recover()
        for stored in self.store.pending():
            if stored not in self.store.sinks:
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
            camera.close_refused()
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

    # -- cameras -------------------------------------------------------------------------------

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras as the API describes them, in the settings' order."""
        return [camera.as_json() for camera in self.running()]

    def running(self) -> list[Camera]:
        """The cameras themselves."""
        with self._lock:
            return [self._cameras[c.name] for c in self.settings.cameras if c.name in self._cameras]

    def camera(self, name: str) -> dict[str, Any] | None:
        found = self._camera(name)
        return None if found is None else found.as_json()

    def _camera(self, name: str) -> Camera | None:
        with self._lock:
            return self._cameras.get(name)

    def add_camera(self, camera: CameraSettings) -> None:
        """Watch another camera; raises ConfigError, WeightsError."""
        with self._changing:
            settings = replace(self.settings, cameras=(*self.settings.cameras, camera))
            self._models.get(settings, camera.model)
            begin_anew(self.store, camera.name)
            self._keep(settings)
            self._open(camera)

    def change_camera(self, name: str, **changes: Any) -> bool:
        """Change some settings and begin the camera anew; False: no such camera."""
        with self._changing:
            old = self._camera(name)
            if old is None:
                return False
            new = changed(old.settings, **changes)
            cameras = tuple(new if c.name == name else c for c in self.settings.cameras)
            settings = replace(self.settings, cameras=cameras)
            self._models.get(settings, new.model)
            self._keep(settings)
            old.stop()
            if (new.model, new.source) != (old.settings.model, old.settings.source):
                begin_anew(self.store, name)
            elif new.false_alarms_per_day != old.settings.false_alarms_per_day:
                with suppress(DataError):
                    learned_level(self.store, new, 24.0)
            self._open(new)
            return True

    def remove_camera(self, name: str) -> bool:
        """Stop watching it; its events stay.  False: no such camera."""
        with self._changing:
            old = self._camera(name)
            if old is None:
                return False
            cameras = tuple(c for c in self.settings.cameras if c.name != name)
            self._keep(replace(self.settings, cameras=cameras))
            with self._lock:
                del self._cameras[name]
            old.stop()
            return True

    def _keep(self, settings: Settings) -> None:
        """Settings from now on, also in the file."""
        if self.path is not None:
            write_settings(settings, self.path)
        self.settings = settings
        self._dispatcher.announce([camera.name for camera in settings.cameras])

    def _open(self, camera: CameraSettings) -> None:
        loaded = self._models.get(self.settings, camera.model)
        recorder = None
        if camera.record_hours > 0:
            recorder = Recorder(self.recordings, camera=camera.name, hours=camera.record_hours)
        reader = Reader(
            camera.source if is_live(camera.source) else str(self.settings.located(camera.source)),
            name=camera.name,
            fps=camera.fps,
            skip_idle=camera.skip_idle,
            fast=camera.fast,
            loop=camera.loop,
            recorder=recorder,
        )
        made = Camera(
            camera,
            reader=reader,
            recorder=recorder,
            detector=loaded.detector,
            batching=loaded.batching,
            store=self.store,
            clips=self._clips,
            level=starting_level(self.store, camera, loaded.detector.require_fitted()),
            publish=self.announcer,
        )
        with self._lock:
            self._cameras[camera.name] = made
        made.start()

    @property
    def uploads(self) -> Path:
        """Where uploads lie until they are scored."""
        return self.folder / "uploads"

    @property
    def recordings(self) -> Path:
        """Where cameras are recorded."""
        return self.folder / "recordings"

    def test_source(self, address: str) -> dict[str, Any]:
        """Size, rate and a picture of an address; raises VideoError."""
        return try_source(address)

    def picture(self, name: str, *, map: bool = False) -> bytes | None:
        """The last scored picture of a camera with its boxes, as a JPEG."""
        found = self._camera(name)
        return None if found is None else found.picture(map=map)

    def pictures(self, name: str, map: bool = False) -> Iterator[bytes]:
        """New pictures of a camera as they are scored, until it ends."""
        found = self._camera(name)
        return iter(()) if found is None else found.pictures(map=map)

    def recent_scores(self, name: str, seconds: float) -> dict[str, Any]:
        """The curve of the last ``seconds``, and the camera's level."""
        found = self._camera(name)
        if found is None:
            return {"times": [], "scores": [], "level": None}
        found.write_scores()
        now = time.time()
        times, scores = self.store.scores(name, now - seconds, now)
        level = found.level.as_json()
        return {"times": times.tolist(), "scores": scores.tolist(), "level": level}

    # -- levels --------------------------------------------------------------------------------

    def calibrate(
        self, name: str, hours: float = 24.0, false_alarms_per_day: float | None = None
    ) -> dict[str, Any] | None:
        """Learn the level anew from the camera's last hours; None: no such camera.

        Raises DataError for less than a minute of normal footage.
        """
        camera = self._camera(name)
        if camera is None:
            return None
        camera.write_scores()
        learned_level(self.store, camera.settings, hours, false_alarms_per_day)
        level = starting_level(self.store, camera.settings, camera.calibration)
        camera.set_level(level)
        return level.as_json()

    def set_verdict(self, id: int, verdict: Verdict | None) -> Event | None:
        """What a person says of an event; None: no such event."""
        event = self.store.set_verdict(id, verdict)
        if event is not None:
            self.announcer("event", event.as_json())
        return event

    # -- models, jobs, sinks -------------------------------------------------------------------

    def models(self) -> list[dict[str, Any]]:
        """Fitted models as the API describes them."""
        return models.described(self.settings)

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
        videos = footage.chosen(self.settings, self.store, self.recordings, source)
        out = self.folder / "models" / f"{name}.vad"
        return self.jobs.fit(name=name, system=system, videos=videos, out=out)

    def score_upload(self, path: Path, title: str, model: str) -> Job:
        """Score an uploaded video in the background; raises ConfigError for an unknown model."""
        found = models.named(self.settings, model)
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

    def _tick(self) -> None:
        pruned, told = time.monotonic(), 0.0
        while not self._stop.wait(TICK):
            for camera in self.running():
                points = camera.take_points()
                if points:
                    self.announcer("scores", {"camera": camera.name, "points": points})
            if len(self.announcer) and time.monotonic() - told >= 1:
                told = time.monotonic()
                self.announcer("cameras", {"cameras": self.cameras()})
            if time.monotonic() - pruned >= PRUNE_EVERY:
                pruned = time.monotonic()
                self._prune()

    def _prune(self) -> None:
        storage = self.settings.storage
        keep = int(storage.keep_gb * 1e9)
        try:
            self.store.prune(time.time(), keep_days=storage.keep_days, keep_bytes=keep)
        except StorageError as error:
            log.warning("old events stay: %s", error)
        for camera in self.running():
            if camera.recorder is not None:
                camera.recorder.prune(time.time())
