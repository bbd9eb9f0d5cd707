"""Scores drawn on a picture: boxes coloured by score, anomaly map, ground-truth outline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vadistill.scores import FrameScore, Scores

Rgb = UInt8[np.ndarray, "h w 3"]

LOW, MIDDLE, HIGH = (70, 170, 230), (250, 205, 60), (235, 45, 45)
"""Box colours from calm to anomalous."""

SHARES = (0.5, 0.95, 1.0)
"""Shares of normal training frames that score lower, at which calibrated boxes have the colours."""

TRUTH = (235, 80, 200)
"""Ground truth: no colour of the scale."""

MAP_WEIGHT = 0.6
"""How much of a map's colour covers the picture where it is highest."""

ENLARGE_BELOW = 480
"""Pictures narrower than this many pixels are drawn at twice their size."""


class Scale(NamedTuple):
    """The raw scores at which boxes are blue, yellow and red; colours between run linearly."""

    low: float
    middle: float
    high: float
    calibrated: bool = False
    """Whether these are the shares ``SHARES`` of normal training frames."""

    @property
    def names(self) -> tuple[str, str, str]:
        """What the three colours mean, in a few words each."""
        if self.calibrated:
            median, most, every = (f"{100 * share:g} %" for share in SHARES)
            return f"{median} of normal frames score lower", most, f"{every} or more"
        return f"{self.low:.3g}: the median", f"{self.middle:.3g}", f"{self.high:.3g}: the top 1 %"

    def level(self, scores: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Where scores lie on the scale: 0 for ``low`` or less, 0.5 for ``middle``, at most 1."""
        between = np.interp(scores, [self.low, self.middle, self.high], [0.0, 0.5, 1.0])
        return np.where(scores <= self.low, 0.0, between)

    def colour(self, score: float) -> tuple[int, int, int]:
        """RGB of a score."""
        level = float(self.level(np.array(score, np.float64)))
        red, green, blue = (
            round(float(np.interp(level, [0, 0.5, 1], ends)))
            for ends in zip(LOW, MIDDLE, HIGH, strict=True)
        )
        return red, green, blue


def scale_of(scores: Sequence[Scores]) -> Scale:
    """One scale for some videos of a system.

    Calibrated scores run over shares of normal training footage: a box is red when it scores at
    least as high as all of it.  Others run from the videos' median to their 99th percentile.
    """
    calibrations = [s.calibration for s in scores]
    if calibrations and calibrations[0] is not None and None not in calibrations:
        low, middle, high = np.quantile(calibrations[0].quantiles, SHARES)
        return Scale(float(low), float(middle), float(high), True)
    values = np.concatenate([np.zeros(0), *(s.raw for s in scores)])
    low, high = np.quantile(values, [0.5, 0.99]) if len(values) else (0.0, 1.0)
    return Scale(float(low), float(low + high) / 2, float(high))


def share_of_normal(share: float) -> str:
    """A calibrated score in words: ``99.9 % of normal`` or ``all normal``."""
    return f"{math.floor(1000 * share) / 10:g} % of normal" if share < 1 else "all normal"


def contours(mask: Bool[np.ndarray, "h w"], width: int, height: int) -> list[np.ndarray]:
    """Outer outlines of a mask that is drawn ``width`` by ``height`` pixels; (n, 1, 2) points."""
    import cv2

    large = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return list(cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0])


def enlargement(width: int) -> int:
    """How many times larger a picture of ``width`` pixels is drawn."""
    return 2 if width < ENLARGE_BELOW else 1


def draw_frame(
    image: Rgb,
    frame: FrameScore,
    scale: Scale,
    *,
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> UInt8[np.ndarray, "drawn_h drawn_w 3"]:
    """A copy of ``image``, enlarged if small, with the frame's map, boxes and true outline."""
    import cv2

    height, width = image.shape[:2]
    factor = enlargement(width)
    size = (width * factor, height * factor)
    picture = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) if factor > 1 else image.copy()
    line = max(1, round(size[0] / 500))
    if frame.map is not None:
        picture = _blend(picture, np.asarray(frame.map, np.float32), scale)
    if mask is not None and mask.any():
        cv2.drawContours(picture, contours(mask, *size), -1, TRUTH, line)
    order = np.argsort(frame.box_scores)
    for rank, index in enumerate(order):  # the highest on top
        x1, y1, x2, y2 = (round(float(v) * factor) for v in frame.boxes[index])
        score = float(frame.box_scores[index])
        top = rank == len(order) - 1
        cv2.rectangle(
            picture, (x1, y1), (x2 - 1, y2 - 1), scale.colour(score), line + top, cv2.LINE_AA
        )
        if top:
            _tag(picture, f"{score:.3g}", x1, y1, y2, scale.colour(score))
    return picture


def mask_at(mask: object, index: int) -> Bool[np.ndarray, "h w"] | None:
    """A clip's mask of frame ``index``, or None where the data set has none."""
    return np.asarray(mask(index), bool) if callable(mask) else None


def text(
    picture: Rgb, words: str, x: int, y: int, colour: tuple[int, int, int], height: int
) -> None:
    """Write ``words`` onto ``picture``, capitals ``height`` pixels high, baseline at (x, y)."""
    import cv2

    cv2.putText(
        picture, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, height / 22, colour, 1, cv2.LINE_AA
    )


def text_width(words: str, height: int) -> int:
    """Pixels that ``text`` takes."""
    import cv2

    return cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, height / 22, 1)[0][0]


def _tag(
    picture: Rgb, words: str, x: int, top: int, bottom: int, colour: tuple[int, int, int]
) -> None:
    import cv2

    size = 10
    width, tall = text_width(words, size) + 6, size + 6
    x = int(np.clip(x, 0, max(0, picture.shape[1] - width)))
    y = top - tall if top >= tall else min(bottom, picture.shape[0] - tall)
    cv2.rectangle(picture, (x, y), (x + width, y + tall), colour, -1)
    text(picture, words, x + 3, y + tall - 4, (0, 0, 0), size)


def _blend(picture: Rgb, values: Float[np.ndarray, "_ _"], scale: Scale) -> Rgb:
    import cv2

    height, width = picture.shape[:2]
    large = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    weight = MAP_WEIGHT * scale.level(large)[..., None]
    return (picture * (1 - weight) + weight * np.array(HIGH)).astype(np.uint8)


def to_jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int = 85) -> bytes:
    """An RGB picture as a JPEG of ``quality`` 1 to 100."""
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def from_jpeg(jpeg: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """The inverse of ``to_jpeg``, but for what it loses."""
    import cv2

    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
