"""What entries of the settings may be: names, addresses, numbers and their bounds."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from vadistill.addresses import Address, Secret
from vadistill.limits import (
    FEWEST_ALARMS,
    LEAST_FPS,
    LEAST_KEPT,
    LONGEST_CLIP,
    MOST_FPS,
    POLYGONS,
)
from vadistill.serving.networks import proxy_network
from vadistill.serving.schedule import hours
from vadistill.video.polygons import Polygon, flaw, tidy

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""What cameras, models, sinks and footage folders may be called; also their id in addresses."""

SINKS = ("webhook", "mqtt", "apprise", "stdout")
SINK_PLUGINS = "vadistill.sinks"
"""Kinds of sink that ship, and the group of entry points by which others add theirs."""


def sink_kinds() -> list[str]:
    """Kinds of sink there are."""
    return [*SINKS, *(point.name for point in entry_points(group=SINK_PLUGINS))]


def _sink_kind(kind: str) -> str:
    kinds = sink_kinds()
    if kind not in kinds:
        raise PydanticCustomError("sink_kind", "one of {kinds}", {"kinds": ", ".join(kinds)})
    return kind


def _hidden(kind: type[Secret], **bounds: Any) -> GetPydanticSchema:
    """Text that is kept as a secret as soon as it is read, and stays one."""

    def plain(value: Any) -> Any:
        return value.reveal() if isinstance(value, Secret) else value

    def schema(_: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(kind, core_schema.str_schema(**bounds))
        return core_schema.no_info_before_validator_function(plain, text)

    return GetPydanticSchema(schema)


def _proxy(text: str) -> str:
    try:
        proxy_network(text)
    except ValueError:
        raise PydanticCustomError(
            "network", "addresses or networks of proxies, such as 192.0.2.1 or 10.1.0.0/16"
        ) from None
    return text


def _printable(text: str) -> str:
    if any(ord(char) < 32 for char in text):
        raise PydanticCustomError("text", "text without control characters")
    return text


Text = Annotated[str, AfterValidator(_printable)]
"""Paths and hosts."""
Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$", examples=["door"])]
Source = Annotated[
    Address,
    _hidden(Address, min_length=1, max_length=2048),
    Field(examples=["rtsp://192.0.2.7/stream", "webcam:0"]),
]
Transport = Literal["tcp", "udp"]
Url = Annotated[Address, _hidden(Address)]
SecretText = Annotated[Secret, _hidden(Secret)]
Rate = Annotated[float, Field(ge=LEAST_FPS, le=MOST_FPS, allow_inf_nan=False, strict=True)]
Alarms = Annotated[float, Field(ge=FEWEST_ALARMS, le=100_000, allow_inf_nan=False, strict=True)]
Hours = Annotated[float, Field(ge=0, le=24 * 366, allow_inf_nan=False, strict=True)]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Keeping = Annotated[float, Field(ge=LEAST_KEPT, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
PreRoll = Annotated[float, Field(ge=0, le=LONGEST_CLIP, allow_inf_nan=False, strict=True)]
Port = Annotated[int, Field(ge=0, le=65535, strict=True)]
Count = Annotated[int, Field(gt=0, strict=True)]
"""Numbers are strict: true and "1" are none."""


def _polygon(corners: Any) -> Polygon:
    if expected := flaw(corners):
        raise PydanticCustomError("shape", "{what}", {"what": expected})
    return tidy(corners)


def _event_hours(text: str) -> str:
    try:
        hours(text)
    except ValueError:
        raise PydanticCustomError(
            "hours", "such as 'mon-fri 18:00-06:00' or 'sat,sun 00:00-24:00'"
        ) from None
    return text


Corners = Annotated[
    Polygon,
    BeforeValidator(_polygon),
    Field(examples=[[[0.1, 0.0], [0.4, 0.0], [0.4, 0.3]]]),
]
Masks = Annotated[tuple[Corners, ...], Field(max_length=POLYGONS)]
EventHours = Annotated[str, AfterValidator(_event_hours)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]

SinkKind = Annotated[str, AfterValidator(_sink_kind)]
Proxy = Annotated[str, AfterValidator(_proxy)]
