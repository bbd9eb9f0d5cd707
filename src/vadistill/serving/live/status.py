"""What a camera's reader is doing, as the API tells it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["connecting", "running", "retrying", "ended", "stopped"]


@dataclass
class ReaderStatus:
    """What a reader is doing; counts are since its start."""

    state: State = "connecting"
    detail: str = ""
    """One line, without credentials."""
    since: float = 0.0
    """When the state began, in unix seconds."""
    frames: int = 0
    """Decoded pictures."""
    dropped: int = 0
    """Left out because the queue was full."""
    capped: int = 0
    """Left out by the cap of the rate."""
    idle: int = 0
    """Left out because nothing moved."""
    corrupt: int = 0
    """Could not be decoded."""
    reconnects: int = 0
    input_fps: float = 0.0
    """Decoded pictures a second, over the last seconds."""
    width: int = 0
    height: int = 0
    next_try: float | None = None
    """When the next connection is tried, in unix seconds."""

    def as_json(self, failure: str, sight: str, detail: str) -> dict[str, Any]:
        """As the API has it, with why nothing can be scored, and what the camera sees wrong."""
        taken = self.frames - self.capped - self.idle
        sight = sight if self.state == "running" else ""
        return {
            **asdict(self),
            "state": "failed" if failure else sight or self.state,
            "detail": failure or self.detail or (detail if sight else ""),
            "drop_share": self.dropped / taken if taken > 0 else 0.0,
        }
