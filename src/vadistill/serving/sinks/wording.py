"""Messages as people read them."""

from __future__ import annotations

from datetime import datetime

from vadistill.serving.storage.records import Message


def told(message: Message, left_out: int = 0) -> tuple[str, str]:
    """A message's title and text; ``left_out`` events of its camera were not told."""
    body = message.body
    if message.kind == "opened":
        event = body["event"]
        text = (
            f"Something unusual at {body['camera']} since {_clock(event['start'])}: score "
            f"{event['peak']:.3g}, events open at {event['level']:.3g}."
        )
        if left_out:
            text += f" {left_out} more since the last message {'were' if left_out > 1 else 'was'}"
            text += " not told."
        return f"{body['camera']}: unusual", text
    if message.kind == "closed":
        event = body["event"]
        text = f"It is over after {event['duration']:.1f} s, with a highest score of"
        return f"{body['camera']}: over", f"{text} {event['peak']:.3g} ({body['camera']})."
    if message.kind == "clip":
        return f"{body['camera']}: clip", f"The clip of event {body['event']['id']} is there."
    part = "the level of" if body["part"] == "level" else body["part"]
    subject = f"{part} {body['name']}"
    words = {
        "lost": f"{subject} sees nothing since {_clock(body['since'])}: {body['cause']}",
        "back": f"{subject} sees again",
        "failing": f"{subject} fails since {_clock(body['since'])}: {body['cause']}",
        "working": f"{subject} works again",
        "test": "This is a test: messages arrive.",
    }
    return f"vadistill: {subject} ({message.kind})", words[message.kind]


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
