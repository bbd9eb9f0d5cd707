"""What the store keeps, as it hands it out: events, messages to sinks, what retention removed."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

Verdict = Literal["real", "false"]
Kind = Literal["opened", "closed", "clip", "lost", "back", "failing", "working", "test"]
"""Of an event, the third once its clip is there; of a camera that sees nothing, and does again; of
another part of the server; a test of a sink."""


@dataclass(frozen=True)
class Place:
    """Where in the picture an event is highest, and why, as far as a detector tells."""

    box: tuple[float, float, float, float] | None = None
    """x1, y1, x2, y2 as shares of the picture's width and height."""
    zone: str | None = None
    """The camera's first zone that the foot of the box lies in."""
    reason: str | None = None
    traits: tuple[float, ...] = ()
    """Those of the object with the box, as ``FrameScore`` has them."""


class Step(NamedTuple):
    """Where an event's highest object was for some frames, and how high."""

    box: tuple[float, ...]
    """x1, y1, x2, y2 as shares of the picture."""
    score: float
    """The highest of these frames."""
    traits: tuple[float, ...]
    """As for ``Place``."""


@dataclass(frozen=True)
class Trail:
    """What an event looked like from its first frame to its last."""

    steps: tuple[Step, ...]
    reasons: tuple[str, ...]
    """Kinds of reasons of its frames."""
    of: str = ""
    """Stands for the model and the view that it was seen by."""

    def has(self, kind: str) -> bool:
        """Whether a kind of reason is one of its own; none is ('') where no frame had any."""
        return kind in self.reasons if kind else not any(self.reasons)

    def as_text(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def from_text(cls, text: str) -> Trail:
        """The inverse of ``as_text``."""
        found = json.loads(text)
        steps = (Step(tuple(box), score, tuple(traits)) for box, score, traits in found["steps"])
        return cls(tuple(steps), tuple(found["reasons"]), found["of"])


@dataclass(frozen=True)
class FalseAlarm:
    """An event that a person called a false alarm, which holds back those that are like it."""

    event: int
    camera: str
    trail: Trail
    """With the scores above which something is no longer like each of its steps."""
    start: float
    held: int
    """How often it has held something back."""
    last: float | None
    """When it did last."""

    def as_json(self) -> dict[str, Any]:
        facts = {name: value for name, value in vars(self).items() if name != "trail"}
        highest = max((step.score for step in self.trail.steps), default=None)
        boxes = [list(step.box) for step in self.trail.steps]
        return {**facts, "highest": highest, "boxes": boxes, "reasons": list(self.trail.reasons)}


@dataclass(frozen=True)
class Event:
    """An anomaly at a camera; times are Unix seconds, files are names inside ``Store.media``."""

    id: int
    camera: str
    start: float
    end: float | None
    """None while it is open."""
    last: float
    """The last frame that is known to belong to it."""
    peak: float
    level: float
    """The score at which it opened."""
    frames: int
    verdict: Verdict | None
    """What a person said of it."""
    interrupted: bool
    """Whether it was open when the process died."""
    clip: str | None
    thumbnail: str | None
    cause: str | None = None
    """Why it ended otherwise than by calm: how the stream was lost, say."""
    box: tuple[float, float, float, float] | None = None
    zone: str | None = None
    reason: str | None = None
    """As for ``Place``."""
    trail: Trail | None = None
    begins: float | None = None
    """Seconds of the video at its first frame, of a stream since it was connected."""
    ends: float | None = None
    """Those at its last frame so far."""

    def as_json(self) -> dict[str, Any]:
        """The event as the console, the API and sinks see it."""
        return {
            "id": self.id,
            "camera": self.camera,
            "start": self.start,
            "end": self.end,
            "duration": round((self.last if self.end is None else self.end) - self.start, 3),
            "begins": self.begins,
            "ends": self.ends,
            "peak": self.peak,
            "level": self.level,
            "frames": self.frames,
            "state": "open" if self.end is None else "closed",
            "verdict": self.verdict,
            "interrupted": self.interrupted,
            "cause": self.cause,
            "box": None if self.box is None else [round(x, 4) for x in self.box],
            "zone": self.zone,
            "reason": self.reason,
            "clip": self.clip is not None,
            "thumbnail": self.thumbnail is not None,
        }


@dataclass(frozen=True)
class Message:
    """What a sink must be told; ``key`` is the same however often it is sent."""

    id: int
    sink: str
    key: str
    kind: Kind
    body: dict[str, Any]
    attempts: int
    created: float
    event: int = 0
    """What it is of: the event's id, or a number below 0 of a camera or another part."""

    @property
    def of_event(self) -> bool:
        """Whether it tells of an event, not of how a part of the server fares."""
        return self.kind in ("opened", "closed", "clip")


@dataclass(frozen=True)
class Pruned:
    """What retention removed: events, media files, and the files' bytes."""

    events: int
    files: int
    bytes: int


def event(row: sqlite3.Row) -> Event:
    """The event that a row of the table ``events`` holds."""
    box = None if row["box"] is None else tuple(json.loads(row["box"]))
    trail = None if row["trail"] is None else Trail.from_text(row["trail"])
    facts = {"interrupted": bool(row["interrupted"]), "box": box, "trail": trail}
    return Event(**{**dict(row), **facts})


def message(row: sqlite3.Row) -> Message:
    """The message that a row of the table ``messages`` holds."""
    names = ("id", "sink", "key", "kind", "attempts", "created", "event")
    return Message(**{name: row[name] for name in names}, body=json.loads(row["body"]))


def places(place: Place | None) -> tuple[str | None, str | None, str | None]:
    """What the columns ``box``, ``zone`` and ``reason`` of a place hold."""
    place = place or Place()
    return place.box and json.dumps(place.box), place.zone, place.reason


def plain(name: str | None) -> str | None:
    """A file's name inside ``media``; never a path."""
    assert name is None or name == Path(name).name, name
    return name


def conditions(
    camera: str | None,
    since: float | None,
    until: float | None,
    verdict: str | None,
    before: int | None,
) -> tuple[str, tuple[Any, ...]]:
    """The condition that events must meet, and its values."""
    given = {
        "camera = ?": camera,
        'coalesce("end", last) >= ?': since,
        "start <= ?": until,
        "id < ?": before,
        "verdict = ?": None if verdict == "none" else verdict,
    }
    kept = {condition: value for condition, value in given.items() if value is not None}
    unjudged = ["verdict IS NULL"] if verdict == "none" else []
    return " AND ".join(["1", *kept, *unjudged]), tuple(kept.values())
