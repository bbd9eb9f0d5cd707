"""Models of a server: which there are, what they may be fitted to, and fits in the background."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from vadistill.datasets.holdout import ADVISED, LEAST, SHARE
from vadistill.errors import ConfigError, in_a_line
from vadistill.serving.config import ModelSettings, Settings
from vadistill.serving.jobs.queue import Job, Jobs
from vadistill.serving.live.batching import named
from vadistill.serving.live.census import seen
from vadistill.serving.live.described import described, self_test_page
from vadistill.serving.remembering import Remembering
from vadistill.serving.storage import footage

log = logging.getLogger("vadistill.serving")


class Fitting(Remembering):
    """Cameras, and the jobs that fit their models; raises what ``Cameras`` does."""

    def __init__(self, settings: Settings, path: Path | None) -> None:
        super().__init__(settings, path)
        self.jobs = Jobs(self.folder, changed=self._job_changed)

    def models(self) -> list[dict[str, Any]]:
        """Fitted models as the API describes them."""
        return described(self.settings)

    def self_test_page(self, name: str) -> Path | None:
        """The page of a model's self-test, if there is one."""
        return self_test_page(self.settings, name)

    def fit_model(
        self, name: str, system: str, source: dict[str, Any], *, use: bool = False
    ) -> Job:
        """Fit a model in the background to a named folder, or to a camera's last hours; with
        ``use`` the camera then has it.

        Raises ConfigError for a name that is taken or a folder that is unknown, DataError where
        there is no footage.
        """
        if name in [model.name for model in self.settings.models]:
            raise ConfigError(
                f"a second model '{name}'", expected="a new name", fix="choose another one"
            )
        ModelSettings(name, "")
        own = self._camera(source.get("camera", ""))
        if own is not None and own.recorder is not None:
            own.recorder.close()  # what it has so far counts, too
        videos = footage.videos_for(self.settings, self.store, self.recordings, source)
        out = self.folder / "models" / f"{name}.vad"
        masks = () if own is None else own.settings.masks
        camera = own.name if use and own is not None else None
        return self.jobs.fit(
            name=name, system=system, videos=videos, out=out, masks=masks, camera=camera
        )

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

    def learning(self, name: str) -> dict[str, Any]:
        """What a camera has shown so far to learn from, and the fit of a model for it.

        ``seconds`` of footage, ``by_hour`` of the day, what was seen in them (``live.census``), and
        the last ``job``, None where there is none.
        """
        hours = next((c.record_hours for c in self.settings.cameras if c.name == name), 0.0)
        jobs = [job.as_json() for job in self.jobs.all() if job.camera == name]
        found = footage.collected(self.recordings, name, time.time())
        advice = {"least": LEAST / SHARE, "advised": ADVISED}
        return {
            **found,
            **advice,
            **seen(self.store, name, hours),
            "job": jobs[0] if jobs else None,
        }

    def _job_changed(self, job: Job) -> None:
        try:
            self._adopt(job, ended_now=True)
        finally:
            self.announcer("job", job.as_json())

    def _adopt(self, job: Job, *, ended_now: bool = False) -> None:
        """Put the model of a finished fit into the settings, and give it to its camera.

        A fit of an earlier server gives it only to one that has none.
        """
        path = self.folder / "models" / f"{job.title}.vad"
        with self._changing:
            known = [model.name for model in self.settings.models]
            new = job.kind == "fit" and job.state == "done" and job.title not in known
            if not (new and path.exists()):
                return
            made = ModelSettings(job.title, str(path.resolve()))
            self._keep(replace(self.settings, models=(*self.settings.models, made)))
            own = self._camera(job.camera or "")
            if own is not None and (ended_now or not own.settings.model):
                try:
                    self.change_camera(own.name, model=made.name)
                except Exception as error:  # the model is there, and can be chosen by hand
                    log.warning(
                        "camera %s does not get model %s: %s", own.name, made.name, in_a_line(error)
                    )
