"""Whether a camera's scores still are those that its level was made from, or have drifted.

What counts is the share of time, outside events, that scores last above what ``SHARE`` of the
level's normal footage did, over the last hour and the last day that were scored; they last for as
many frames as open an event.  Frames in a row are alike, so minutes are counted: whatever happens
within them, the share of n independent minutes passes its ``band`` by chance once in
1 / ``CHANCE`` windows at most.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vadistill.errors import StorageError
from vadistill.levels import FRAMES, Calibration, lasting
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.store import Store

SHARE = 0.01
"""Of normal footage, in its busiest hour, that lasts above the score which is watched."""

CHANCE, WITHIN = 1e-4, 0.05
"""How often normal scores leave the band by which drift begins, and that by which it ends."""

MINUTE = 60.0
"""Seconds of scores that are counted together."""

WINDOWS = (("hour", 60), ("day", 1440))
"""Minutes of each; half of them must be there to tell anything."""

PAUSE = 10.0
"""Seconds without a score that are not counted: the slowest rate has one in so many."""

STORM = 0.9
"""Share of the time that is no exception any more, if events take it."""

SAVED = 10
"""Minutes after which the counts are kept for the camera's next start."""

FORGOTTEN = 86_400.0
"""Seconds after which what was kept no longer counts."""


class Usual(NamedTuple):
    """What is watched."""

    score: float
    """What ``SHARE`` of a level's normal footage lasted above."""
    frames: int
    """In a row that make a score last."""


class Minute(NamedTuple):
    """Seconds of scores, and those of them above the usual score, outside events and in them."""

    calm: float = 0.0
    calm_high: float = 0.0
    event: float = 0.0
    event_high: float = 0.0


class Drift:
    """Of one camera; ``note`` each score in order.

    ``of`` stands for what gives its scores; counts are kept ``later``.  Where nothing ``usual`` is
    known, nothing is watched; where that is for a light that the level does not know, ``unseen``
    says so, and is told.
    """

    def __init__(
        self,
        store: Store,
        camera: str,
        of: Sequence[str],
        usual: Usual | None,
        later: Later | None = None,
        unseen: str = "",
    ) -> None:
        self.unseen = bool(unseen)
        self.told: str | None = unseen or None
        """The drift in one sentence; '' where there is none, None where that is not known yet."""
        self._store, self._key, self._of, self._usual = store, key(camera), list(of), usual
        self._later = later
        self._minutes: deque[Minute] = deque(maxlen=WINDOWS[-1][1])
        self._now = [0.0, 0.0, 0.0, 0.0]
        """Of the minute that goes on."""
        self._scores: deque[float] = deque(maxlen=usual.frames if usual else 1)
        self._last, self._unsaved = math.inf, 0
        self._out: set[str] = set()
        """Windows whose share has left its band."""
        self._restore()

    def same(self, other: Drift) -> bool:
        """Whether both count the same."""
        own, its = ([*d._of, d._key, d._usual, d.unseen] for d in (self, other))
        return own == its

    def note(self, seconds: float, score: float, *, event: bool) -> None:
        """The next frame's score, ``seconds`` into the stream, and whether an event is open."""
        passed, self._last = seconds - self._last, seconds
        if not 0 < passed <= PAUSE:  # the first one, or a new stream's
            self._scores.clear()
            passed = 0.0
        self._scores.append(score)
        if self._usual is None:
            return
        lasts = len(self._scores) == self._usual.frames
        high = lasts and min(self._scores) > self._usual.score
        self._now[2 * event] += passed
        self._now[2 * event + 1] += passed * high
        if self._now[0] + self._now[2] < MINUTE:
            return
        self._minutes.append(Minute(*self._now))
        self._now, self._unsaved = [0.0, 0.0, 0.0, 0.0], self._unsaved + 1
        self._look()
        if self._unsaved >= SAVED:
            self.save()

    def _look(self) -> None:
        """Tell whether the last hour, or the last day, is out of its band."""
        shares: dict[str, float] = {}
        for word, length in WINDOWS:
            share, minutes = above(list(self._minutes)[-length:])
            if minutes < length / 2:
                continue
            shares[word] = share
            outside = word in self._out
            self._out.discard(word)
            if share > band(minutes, WITHIN if outside else CHANCE):
                self._out.add(word)
            elif outside:  # what was before has been told
                self._minutes = deque(list(self._minutes)[-length:], self._minutes.maxlen)
                self._out.intersection_update(shares)
        worst = next((word for word, _ in WINDOWS if word in self._out), None)
        if worst in shares:
            self.told = sentence(shares[worst], worst)
        elif worst is None:
            self.told = "" if shares else None

    def save(self) -> None:
        """Keep the counts for the camera's next start; a full disk is asked again next time."""
        if not self._unsaved:
            return
        self._unsaved = 0
        minutes = [[round(seconds, 2) for seconds in minute] for minute in self._minutes]
        kept = {"of": self._of, "usual": self._usual, "at": time.time()}
        write = partial(self._write, {**kept, "minutes": minutes, "out": [*self._out]})
        if self._later is None:
            write()
        else:
            self._later.put(write)

    def _write(self, counts: dict[str, Any]) -> None:
        with suppress(StorageError):
            self._store.save_value(self._key, counts)

    def _restore(self) -> None:
        kept = self._store.value(self._key)
        usual = list(self._usual) if self._usual else None
        if kept is None or [kept["of"], kept["usual"]] != [self._of, usual]:
            return
        if time.time() - kept["at"] < FORGOTTEN:
            self._minutes.extend(Minute(*minute) for minute in kept["minutes"])
            self._out = set(kept["out"])
            self._look()


def above(minutes: Sequence[Minute]) -> tuple[float, float]:
    """The share of time above the usual score, and of how many minutes that is told.

    Events are left out, where they do not take nearly all of the time.
    """
    calm, calm_high, event, event_high = np.sum([Minute(), *minutes], axis=0).tolist()
    if event > STORM * (calm + event):
        calm, calm_high = calm + event, calm_high + event_high
    return calm_high / max(calm, 1e-6), calm / MINUTE


def band(minutes: float, chance: float) -> float:
    """The share that so many independent minutes pass with at most this ``chance``, if ``SHARE``
    is to be expected of each; 1 where they are too few to pass any.

    The x with ``minutes`` KL(x, SHARE) = ln(1 / ``chance``), for shares that lie anyhow in [0, 1]:
    Hoeffding 1963, theorem 1 (2.1).
    """
    low, high = SHARE, 1.0
    for _ in range(40):
        x = (low + high) / 2
        apart = x * math.log(x / SHARE) + (1 - x) * math.log((1 - x) / (1 - SHARE))
        low, high = (x, high) if minutes * apart < -math.log(chance) else (low, x)
    return high


def sentence(share: float, window: str) -> str:
    """Such as "scores have drifted: 12 % of the last hour lie above …"."""
    percent = f"{100 * share:.{0 if share >= 0.1 else 1}f} %"
    return (
        f"scores have drifted: {percent} of the last {window}'s frames lie above what "
        f"{100 * SHARE:g} % of the normal footage did; calibrate, or fit again"
    )


def usual_in(
    chunks: Sequence[tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]], frames: int
) -> Usual:
    """Of normal footage, in its busiest hour.

    ``chunks``: times in seconds and scores, unbroken and one at least of so many ``frames``.  Hours
    with less than half of the fullest one's frames do not count by themselves.
    """
    long = [(times[frames - 1 :], lasting(v, frames)) for times, v in chunks if len(v) >= frames]
    times, scores = (np.concatenate(column) for column in zip(*long, strict=True))
    hours = np.split(scores, np.searchsorted(times, np.arange(times[0] + 3600, times[-1], 3600)))
    fullest = max(map(len, hours))
    counted = [scores, *(hour for hour in hours if 2 * len(hour) >= fullest)]
    return Usual(max(float(np.quantile(part, 1 - SHARE)) for part in counted), frames)


def usual_of(calibration: Calibration, frames: int) -> Usual:
    """Of training frames, where so many open an event."""
    lasted = calibration.lasting if frames >= FRAMES else None
    quantiles = calibration.quantiles if lasted is None else lasted
    score = float(np.quantile(quantiles, 1 - SHARE))
    return Usual(score, 1 if lasted is None else FRAMES)


def key(camera: str) -> str:
    """Of a camera's counts, in the store's values."""
    return f"drift:{camera}"
