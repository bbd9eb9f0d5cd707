"""What can be chosen about a simulated walkway."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from vadistill.errors import ConfigError

Anomaly = Literal["cyclist", "cart", "skateboarder", "runner", "wrong_way", "loitering", "thrown"]
ANOMALIES: tuple[str, ...] = get_args(Anomaly)
"""Kinds of abnormal events; each is the ``kind`` of its tracks."""

# Two per test clip, in this order. Events whose looks give them away come most often, as on real
# walkways; what only time gives away (wrong way, loitering) is a minority.
_MIX: tuple[Anomaly, ...] = (
    *("cyclist", "cart"),
    *("thrown", "cyclist"),
    *("cart", "loitering"),
    *("skateboarder", "runner"),
    *("wrong_way", "cyclist"),
    *("cart", "thrown"),
)


@dataclass(frozen=True)
class WalkwayConfig:
    """A simulated walkway; equal settings give equal pixels.  Raises ConfigError."""

    seed: int = 0
    """Everything random: the place, the people, the light, the events."""
    train_clips: int = 6
    """Clips of normal life."""
    test_clips: int = 6
    """Clips with two abnormal events each: one that ends early, one that begins late."""
    frames: int = 150
    """Frames of each clip."""
    width: int = 360
    height: int = 240
    fps: float = 15.0
    pedestrians: tuple[int, int] = (3, 7)
    """Fewest and most people in view at a time, on average over a clip."""
    anomalies: tuple[Anomaly, ...] = _MIX
    """Kinds of the test clips' events, two per clip, from the start again when used up."""

    def __post_init__(self) -> None:
        few, most = self.pedestrians
        allowed = {
            "seed": (self.seed >= 0, "0 or more"),
            "train_clips": (0 <= self.train_clips <= 99, "0 to 99"),
            "test_clips": (0 <= self.test_clips <= 99, "0 to 99"),
            "frames": (self.frames >= 2, "2 or more"),
            "width": (self.width >= 160 and self.width % 2 == 0, "an even number from 160"),
            "height": (self.height >= 120 and self.height % 2 == 0, "an even number from 120"),
            "fps": (math.isfinite(self.fps) and 1 <= self.fps <= 120, "1 to 120"),
            "pedestrians": (0 <= few <= most <= 40, "fewest and most, 0 to 40"),
            "anomalies": (
                len(self.anomalies) > 0 and set(self.anomalies) <= set(ANOMALIES),
                f"some of {', '.join(ANOMALIES)}",
            ),
        }
        for name, (good, expected) in allowed.items():
            if not good:
                raise ConfigError(
                    f"walkway {name} {getattr(self, name)}", expected=expected, fix="correct it"
                )

    def events(self, clip: int) -> tuple[str, str]:
        """Kinds of the early and the late event of test clip ``clip`` (0-based)."""
        kinds = self.anomalies
        return kinds[2 * clip % len(kinds)], kinds[(2 * clip + 1) % len(kinds)]
