"""Bodies of requests, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,39}$", examples=["door"])]
"""What cameras, models, sinks and folders are called."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Address = Annotated[
    str,
    Field(min_length=1, max_length=2048, examples=["rtsp://192.0.2.7/stream", "webcam:0"]),
]
"""rtsp://, rtsps://, http:// or https:// (MJPEG), webcam:N or /dev/videoN."""

Alarms = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=24 * 366, allow_inf_nan=False)]
Verdict = Literal["real", "false"]


class Body(BaseModel):
    """A body of a request: nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


class SignIn(Body):
    """A password, or the token where there is no password."""

    password: Annotated[str, Field(min_length=1, max_length=1024)]


class NewCamera(Body):
    """A camera to be watched."""

    name: Name
    source: Address
    model: Name
    fps: Rate | None = None
    skip_idle: bool = False
    false_alarms_per_day: Alarms = 1.0
    record_hours: Annotated[float, Field(ge=0, le=24 * 366, allow_inf_nan=False)] = 0.0


class CameraChange(Body):
    """Entries of a camera that change; those left out stay."""

    source: Address = ""
    model: Name = ""
    fps: Rate | None = None
    skip_idle: bool = False
    false_alarms_per_day: Alarms = 1.0
    record_hours: Annotated[float, Field(ge=0, le=24 * 366, allow_inf_nan=False)] = 0.0


class SourceTest(Body):
    """An address to be tried."""

    source: Address


class Calibration(Body):
    """Footage of the last ``hours`` that counts as normal, and the alarms it should raise."""

    hours: Hours = 24.0
    false_alarms_per_day: Alarms | None = None


class EventChange(Body):
    """What somebody who looked at an event says of it; null takes that back."""

    verdict: Verdict | None


class FolderFootage(Body):
    """A folder of videos that the settings name."""

    folder: Name


class CameraFootage(Body):
    """The last hours that a camera's recorder kept, without real events."""

    camera: Name
    hours: Hours


class NewModel(Body):
    """A model to be fitted on normal footage."""

    name: Name
    system: Annotated[str, Field(pattern="^[a-z0-9_]{1,40}$", examples=["motion"])]
    footage: FolderFootage | CameraFootage
