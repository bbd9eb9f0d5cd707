"""When something may happen: hours of the day, on days of the week, in the machine's local time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
"""Minutes."""

SPAN = re.compile(r"(?:(?P<days>[a-z,-]+) )?(?P<from>\d\d?:\d\d)-(?P<to>\d\d?:\d\d)")


def hours(text: str) -> tuple[frozenset[int], int, int]:
    """Days (0 is Monday) on which a span begins, and its first and last minute of the day.

    Such as "mon-fri 18:00-06:00", "sat,sun 00:00-24:00" or "08:00-17:30", which is every day.  A
    span whose end is not after its start ends on the next day.  Raises ValueError.
    """
    found = SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(text)
    days = frozenset(range(7)) if found["days"] is None else _days(found["days"])
    return days, _minutes(found["from"]), _minutes(found["to"])


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin = DAYS.index(first)
        end = DAYS.index(last or first)
        found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return frozenset(found)


def _minutes(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or 60 * hour + minute > DAY:
        raise ValueError(text)
    return 60 * hour + minute


def within(spans: Sequence[str], moment: float) -> bool:
    """Whether a moment (Unix seconds) lies in one of these hours; without any, always."""
    if not spans:
        return True
    local = datetime.fromtimestamp(moment)
    today, minute = local.weekday(), 60 * local.hour + local.minute
    for days, begin, end in map(hours, spans):
        if begin < end:
            if today in days and begin <= minute < end:
                return True
        elif (today in days and minute >= begin) or ((today - 1) % 7 in days and minute < end):
            return True
    return False
