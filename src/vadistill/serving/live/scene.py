"""Whether a camera still sees its scene: dark, covered, frozen or turned away, and not an anomaly;
and by which light it does.

Each picture is looked at in small.  What is only suspected opens no event already; it is told once
it has lasted.  The scene is learned from the camera's first seconds and followed slowly.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.serving.live.light import EVERY, Daylight, Light
from vadistill.serving.live.session import Session
from vadistill.video import Frame, VideoSource

log = logging.getLogger("vadistill.serving")

Sight = Literal["", "dark", "covered", "frozen", "moved"]

TOLD: dict[Sight, str] = {
    "dark": "the picture is dark",
    "covered": "the picture has one colour: the camera may be covered",
    "frozen": "the picture is frozen",
    "moved": "the camera sees another view than before: it may have been moved",
}

SIZE = (64, 36)
"""Width and height in which pictures are compared."""
LASTS = 3.0
"""Seconds that a suspicion must last to be told, and that the scene must be back to be told so."""
AFTER = 2.0
"""Seconds after a suspicion in which no event opens: detectors remember that long."""
STILL = 60.0
"""Seconds without any change in a single pixel after which a picture is frozen."""
LEARNED = 10.0
"""Seconds of pictures that a scene is learned from before another one can be told from it."""
SLOW = 300.0
"""Seconds in which the learned scene follows the pictures: daylight comes and goes."""
FLAT, PART = 3.0, 0.2
"""Grey levels of deviation below which a picture shows nothing, and the part of the scene's own."""
DARK = 40.0
"""Mean grey level below which a picture that shows nothing is dark."""
EDGE, EDGES = 5.0, 40
"""Grey levels of an edge of the scene, and how many pixels of them tell it from others."""
ANOTHER, SAME = 0.45, 0.6
"""Likeness of edges (cosine) below which a view is another one, and above which it is back."""


class Scene:
    """What one camera sees; ``look`` at each picture with its time in monotonic seconds.

    Without a ``check`` it is only asked by which light it is seen.
    """

    def __init__(self, camera: str, check: bool = True) -> None:
        self._camera, self._check = camera, check
        self.sight: Sight = ""
        """What is wrong, once it is certain."""
        self._suspect: Sight = ""
        self._since = self._doubted = self._changed = -np.inf
        """When the suspicion, or its end, began; when there was one last; when a pixel changed."""
        self._pixels: UInt8[np.ndarray, "_ _ 3"] | None = None
        self._anew = False
        self._daylight, self._looked = Daylight(), -np.inf
        self._begin()

    def accept(self) -> None:
        """Learn the scene anew: what is seen from the next picture on is as it should be."""
        self._anew = True

    def _begin(self) -> None:
        self._mean: Float32[np.ndarray, "h w"] | None = None
        self._spread = np.zeros(SIZE[::-1], np.float32)
        self._began = self._last = -np.inf
        self._contrast = 0.0

    @property
    def light(self) -> Light:
        """By which light it is seen."""
        return self._daylight.now

    @property
    def detail(self) -> str:
        """What is wrong, in words; '' where nothing is."""
        return TOLD[self.sight] if self.sight else ""

    def holds(self, moment: float) -> bool:
        """Whether no event may open at a frame of that time: something is wrong, or may be, or
        day or night begins."""
        return bool(self.sight) or moment <= self._doubted + AFTER

    def watching(self, session: Session) -> VideoSource:
        """The session's frames; each is looked at as it is taken, before it is scored."""
        return _Watched(session, self)

    def look(self, image: UInt8[np.ndarray, "h w 3"], moment: float) -> None:
        """The next picture."""
        import cv2

        lit = moment - self._looked >= EVERY
        if not (lit or self._check):
            return
        colours = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
        if lit:
            self._looked = moment
            if self._daylight.look(colours, moment):
                self._doubted = moment
        if self._check:
            self._examine(image, colours, moment)

    def _examine(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        colours: UInt8[np.ndarray, "_ _ 3"],
        moment: float,
    ) -> None:
        """Whether a picture is of the scene; ``colours`` are it in small."""
        import cv2

        if self._anew:
            self._anew, self.sight, self._suspect = False, "", ""
            self._begin()
        pixels = image[::7, ::7]
        if self._pixels is None or not np.array_equal(pixels, self._pixels):
            self._pixels, self._changed = pixels.copy(), moment
        small = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY).astype(np.float32)
        found = self._found(small, moment)
        if found:
            self._doubted = moment
        if found != self._suspect:
            self._suspect, self._since = found, moment
        lasted = moment - self._since >= LASTS
        if found != self.sight and (lasted or found == "frozen"):
            log.warning("camera %s: %s", self._camera, TOLD.get(found) or "it sees its scene again")
            self.sight = found
        if not found and not self.sight:
            self._follow(small, moment)

    def _found(self, small: Float32[np.ndarray, "h w"], moment: float) -> Sight:
        contrast = float(small.std())
        if contrast < max(FLAT, PART * self._contrast):
            return "dark" if small.mean() < DARK else "covered"
        if moment - self._changed >= STILL:
            return "frozen"
        if moment - self._began < LEARNED or self._mean is None:
            return ""
        alike = likeness(self._mean, self._spread, small)
        if alike is None:
            return ""
        return "moved" if alike < (SAME if self._suspect == "moved" else ANOTHER) else ""

    def _follow(self, small: Float32[np.ndarray, "h w"], moment: float) -> None:
        """Let the learned scene follow a picture of it."""
        if self._mean is None:
            self._mean, self._began, self._last = small, moment, moment
            return
        age, step = moment - self._began, moment - self._last
        self._last = moment
        part = float(np.clip(step / min(max(age, step, 1e-3), SLOW), 0.0, 1.0))
        self._mean = self._mean + part * (small - self._mean)
        self._spread = self._spread + part * (np.abs(small - self._mean) - self._spread)
        self._contrast += part * (float(small.std()) - self._contrast)


def edges(
    picture: Float32[np.ndarray, "h w"],
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Differences of the neighbours to the right and left, and below and above, of each pixel."""
    y, x = np.gradient(picture)
    return 2 * x, 2 * y


def likeness(
    mean: Float32[np.ndarray, "h w"],
    spread: Float32[np.ndarray, "h w"],
    picture: Float32[np.ndarray, "h w"],
) -> float | None:
    """Cosine of a scene's edges and a picture's at the same places, in [-1, 1].

    Only edges count that stand out of how much the scene changes there.  None where there are too
    few.  Light alone makes edges weaker or stronger, and keeps where they are.
    """
    x, y = edges(mean)
    size = np.hypot(x, y)
    counts = (size > EDGE) & (size > 2 * spread)
    if counts.sum() < EDGES:
        return None
    own_x, own_y = edges(picture)
    a = np.concatenate([x[counts], y[counts]])
    b = np.concatenate([own_x[counts], own_y[counts]])
    return float(a @ b / max(1e-6, np.linalg.norm(a) * np.linalg.norm(b)))


class _Watched(VideoSource):
    """A session whose frames a scene sees first."""

    def __init__(self, session: Session, scene: Scene) -> None:
        self.info, self._session, self._scene = session.info, session, scene

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._session:
            arrival = self._session.arrival(frame.index)
            if arrival is not None:
                self._scene.look(frame.image, arrival.moment)
            yield frame
