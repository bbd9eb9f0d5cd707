"""Bodies and answers of the API on models: footage, fits, self-tests, jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from vadistill.evaluation.selftest.results import KindFigure, SelfTest
from vadistill.serving.entries import Name
from vadistill.serving.jobs.job import Job as JobFacts
from vadistill.serving.web.schemas import SINCE, Body, described


class FolderFootage(Body):
    """A folder of videos that the settings name."""

    folder: Name


class CameraFootage(Body):
    """The last hours that a camera's recorder kept, without real events."""

    camera: Name
    hours: SINCE


class NewModel(Body):
    """A model to be fitted on normal footage; with ``use`` the camera of the footage gets it."""

    name: Name
    system: Annotated[str, Field(pattern="^[a-z0-9_]{1,40}$", examples=["motion"])]
    footage: FolderFootage | CameraFootage
    use: bool = False


class PlantedKind(described(KindFigure)):
    """A kind of planted anomaly; the control should not be found."""

    control: bool


class ModelSelfTest(described(SelfTest, "false_alarms_per_day", "seconds", "held_out", "left_out")):
    """What a model found of anomalies planted into normal footage; null where none could be.

    ``found`` and ``auc`` are means over all kinds but the control; ``pictures``: it has a page.
    """

    kinds: list[PlantedKind]
    found: float | None
    auc: float | None
    pictures: bool


class Choice(BaseModel):
    """Which system 'auto' kept of those that it fitted, and why."""

    kept: str
    reason: str


class Model(BaseModel):
    """A fitted model and the cameras that use it; ``error`` when its files cannot be used.

    ``choice``: what 'auto' kept, and why.
    """

    name: str
    system: str
    supervision: str
    latency_frames: int | None
    cameras: list[str]
    built_in: bool
    self_test: ModelSelfTest | None
    choice: Choice | None
    error: str | None


class System(BaseModel):
    """A kind of model that can be fitted."""

    name: str
    line: str
    supervision: str


class Models(BaseModel):
    """Models, and the systems that new ones may be of."""

    models: list[Model]
    systems: list[System]


class Folder(BaseModel):
    """A folder of the settings, and how many videos it has."""

    name: str
    videos: int


class Recording(BaseModel):
    """What a camera's recorder has kept."""

    name: str
    hours: float
    segments: int


class Footage(BaseModel):
    """What models can be fitted from."""

    folders: list[Folder]
    cameras: list[Recording]


class Job(described(JobFacts)):
    """Fitting a model or scoring an upload; ``progress`` from 0 to 1, null while unknown."""


class Jobs(BaseModel):
    """All jobs."""

    jobs: list[Job]


class JobEnded(BaseModel):
    """What became of a job: a running one is cancelled, any other is removed."""

    id: str
    action: Literal["cancelled", "removed"]


class JobScores(BaseModel):
    """Scores of an upload from a number on; ``next`` is the number to ask for then."""

    times: list[float]
    scores: list[float | None]
    next: int


class Learning(BaseModel):
    """What a camera has shown so far to learn from.

    ``seconds`` of footage; from ``least`` on a fit puts a part aside for a self-test, ``advised``
    are better.  ``by_hour``: seconds of each hour of the day, by the server's clock.  ``objects``
    were seen in ``busy`` of the pictures that were ``looked`` at, one a second.  ``job``: the last
    fit for this camera.
    """

    seconds: float
    least: float
    advised: float
    by_hour: list[float]
    looked: int
    busy: int
    objects: int
    job: Job | None
