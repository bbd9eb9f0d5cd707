"""The cameras that run: added, changed and removed while others go on, and what each shows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vadistill.addresses import Address
from vadistill.errors import DataError, StorageError, VadistillError, WeightsError, in_a_line
from vadistill.serving.config import CameraSettings, Settings, changed
from vadistill.serving.live.batching import Loaded, Models
from vadistill.serving.live.camera import Camera
from vadistill.serving.live.learned import begin_anew, counted, learned_level
from vadistill.serving.live.news import Announcer
from vadistill.serving.live.reader import Reader
from vadistill.serving.live.session import try_source
from vadistill.serving.settings_file import SettingsFile
from vadistill.serving.storage.clips import ClipWriter
from vadistill.serving.storage.recorder import Recorder
from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")


class Cameras:
    """Runs cameras as ``settings`` say; ``path`` is the file that changes are written to.

    A model that cannot be used fails its cameras, and others run.  Raises its ConfigError or
    WeightsError where no camera would run and, without a ``path``, nobody could change that;
    StorageError for the folder of events.
    """

    def __init__(self, settings: Settings, path: Path | None) -> None:
        self.settings, self.path = settings, path
        self._file = None if path is None else SettingsFile(path)
        self._models = Models()
        models = [
            self._model(settings, camera.model) for camera in settings.cameras if camera.model
        ]
        errors = [model for model in models if isinstance(model, VadistillError)]
        if path is None and errors and len(errors) == len(models):  # before anything is written
            self._models.close()
            raise errors[0]
        self.folder = settings.located(settings.storage.folder)
        self.store = Store(self.folder, sinks=[sink.name for sink in settings.sinks])
        self.announcer = Announcer()
        self._clips = ClipWriter(self.store.media)
        self._cameras: dict[str, Camera] = {}
        self._retired: list[Camera] = []
        """Cameras that were stopped, with something that a full disk has refused."""
        self._begin_anew: set[str] = set()
        """Names of those whose levels it has refused to forget."""
        self._lock, self._changing = threading.RLock(), threading.RLock()
        """Of ``_cameras``, held for a moment; of changes, which may take long."""
        self._remembering = threading.RLock()
        """Held from a change of remembered false alarms until its camera knows of it."""

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras as the API describes them, in the settings' order."""
        return [camera.as_json() for camera in self.running()]

    def running(self) -> list[Camera]:
        """The cameras themselves."""
        with self._lock:
            return [self._cameras[c.name] for c in self.settings.cameras if c.name in self._cameras]

    def model_troubles(self) -> dict[str, str]:
        """Why each model that cameras use cannot be used; '' for those that can."""
        return {
            camera.settings.model: camera.model_trouble
            for camera in self.running()
            if camera.settings.model
        }

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
            if camera.model:
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
            if new.model:
                self._models.get(settings, new.model)
            self._keep(settings)
            self._retire(old)
            if counted(new) != counted(old.settings):
                self._begin_anew.add(name)
                self.settle()
            elif new.false_alarms_per_day != old.settings.false_alarms_per_day:
                with suppress(DataError, StorageError):
                    learned_level(self.store, new, 24.0, mark=old.mark)
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
            self._retire(old)
            return True

    def _retire(self, camera: Camera) -> None:
        camera.stop()
        with self._lock:
            self._retired.append(camera)

    def settle(self) -> None:
        """Write what a full disk has refused so far, also of cameras that were stopped."""
        with self._lock:
            retired = tuple(self._retired)
        for camera in (*self.running(), *retired):
            camera.events.close_refused()
        for camera in retired:
            camera.write_scores()
            if camera.settled:
                with self._lock:
                    self._retired.remove(camera)
        for name in tuple(self._begin_anew):
            with suppress(StorageError):
                begin_anew(self.store, name)
                self._begin_anew.discard(name)

    def _keep(self, settings: Settings) -> None:
        """Settings from now on, also in the file."""
        if self._file is not None:
            self._file.keep(settings)
        self.settings = settings

    def _open(self, camera: CameraSettings) -> None:
        model = self._model(self.settings, camera.model) if camera.model else None
        if isinstance(model, VadistillError):
            log.warning("camera %s fails: %s", camera.name, model)
            model = self._shown(model)
        recorder = None
        if camera.record_hours > 0:
            recorder = Recorder(self.recordings, camera=camera.name)
        reader = Reader(
            self.settings.source(camera),
            name=camera.name,
            transport=camera.rtsp_transport,
            fps=camera.fps,
            skip_idle=camera.skip_idle,
            fast=camera.fast,
            loop=camera.loop,
            recorder=recorder,
            masks=camera.masks,
        )
        made = Camera(
            camera,
            reader=reader,
            recorder=recorder,
            model=model,
            store=self.store,
            clips=self._clips,
            publish=self.announcer,
        )
        with self._remembering:
            made.memory.learn(self.store.remembered(camera.name, made.of))
            with self._lock:
                self._cameras[camera.name] = made
        if made.usable:
            made.start()

    def _model(self, settings: Settings, name: str) -> Loaded | VadistillError:
        """A model, or why it cannot be used: for reasons that nobody foresaw, too."""
        try:
            return self._models.get(settings, name)
        except VadistillError as error:
            return error
        except Exception as error:
            log.exception("model %s cannot be loaded", name)
            got = f"model '{name}' ({in_a_line(error)})"
            return WeightsError(got, expected="one that loads", fix="fit it anew")

    def _shown(self, error: VadistillError) -> str:
        """An error for the API: paths are the server's own affair."""
        return str(error).replace(str(self.settings.base), "…")

    @property
    def recordings(self) -> Path:
        """Where cameras are recorded."""
        return self.folder / "recordings"

    def test_source(self, address: str | Address, transport: str = "tcp") -> dict[str, Any]:
        """Size, rate and a picture of an address; raises VideoError."""
        return try_source(Address(address), transport)

    def picture(self, name: str, *, map: bool = False, boxes: bool = True) -> bytes | None:
        """The last scored picture of a camera as a JPEG, with its boxes."""
        found = self._camera(name)
        return None if found is None else found.screen.picture(map=map, boxes=boxes)

    def pictures(self, name: str, map: bool = False) -> Iterator[bytes]:
        """New pictures of a camera as they are scored, until it ends."""
        found = self._camera(name)
        return iter(()) if found is None else found.screen.pictures(map=map)

    def recent_scores(self, name: str, seconds: float) -> dict[str, Any]:
        """The curve of the last ``seconds``, and the camera's level."""
        found = self._camera(name)
        if found is None:
            return {"times": [], "scores": [], "level": None}
        found.write_scores()
        now = time.time()
        times, scores = self.store.scores(name, now - seconds, now)
        return {
            "times": times.tolist(),
            "scores": scores.tolist(),
            "level": found.as_json()["level"],
        }

    def calibrate(
        self, name: str, hours: float = 24.0, false_alarms_per_day: float | None = None
    ) -> dict[str, Any] | None:
        """Learn the level anew from the camera's last hours; None: no such camera.

        Raises DataError for less than a minute of normal footage.
        """
        camera = self._camera(name)
        if camera is None:
            return None
        mark = camera.model.mark  # without a model there is nothing to learn for
        camera.write_scores()
        learned_level(self.store, camera.settings, hours, false_alarms_per_day, mark=mark)
        camera.standards.learn()
        return camera.level.as_json()

    def accept_view(self, name: str) -> None:
        """Take what a camera sees from now on for its scene."""
        if camera := self._camera(name):
            camera.scene.accept()

    def mute(self, name: str, minutes: float) -> bool:
        """Tell nobody of a camera's events that begin within so many minutes from now; 0: tell
        again.  They are kept all the same.  False: no such camera."""
        if self._camera(name) is None:
            return False
        now = time.time()
        self.store.mute(name, now, now + 60 * minutes)
        return True
