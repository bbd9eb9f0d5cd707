"""Scores drawn on a picture: boxes coloured by score, anomaly map, ground-truth outline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vadistill.scores import FrameScore, Scores

Rgb = UInt8[np.ndarray, "h w 3"]

LOW, MIDDLE, HIGH = (70, 170, 230), (250, 205, 60), (235, 45, 45)
"""Box colours from calm to anomalous."""

TRUTH = (235, 80, 200)
"""Ground truth: no colour of the scale."""

ENLARGE_BELOW = 480
"""Pictures narrower than this many pixels are drawn at twice their size."""


class Scale(NamedTuple):
    """The raw scores between which colours run from calm to anomalous."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Float[np.ndarray, " n"]) -> Scale:
        """From the median to the 99th percentile of frame scores."""
        low, high = np.quantile(values, [0.5, 0.99]) if len(values) else (0.0, 1.0)
        return cls(float(low), float(high))

    def level(self, score: float) -> float:
        """Where a score lies on the scale, in [0, 1]."""
        if self.high <= self.low:
            return float(score > self.low)
        return float(np.clip((score - self.low) / (self.high - self.low), 0, 1))

    def colour(self, score: float) -> tuple[int, int, int]:
        """RGB of a score."""
        level = 2 * self.level(score)
        start, end = (LOW, MIDDLE) if level < 1 else (MIDDLE, HIGH)
        part = level if level < 1 else level - 1
        red, green, blue = (round(a + part * (b - a)) for a, b in zip(start, end, strict=True))
        return red, green, blue


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
        large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, outlines, -1, TRUTH, line)
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


def scale_of(scores: Scores) -> Scale:
    """Colours for one video's raw scores; calibrated scores start at normal footage's median."""
    if scores.calibration is None:
        return Scale.of(scores.raw)
    quantiles = scores.calibration.quantiles
    normal, most = float(np.median(quantiles)), float(quantiles[-1])
    return Scale(normal, max(most, float(np.quantile(scores.raw, 0.99))) if len(scores) else most)


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
    span = max(scale.high - scale.low, 1e-12)
    weight = 0.6 * np.clip((large - scale.low) / span, 0, 1)[..., None]
    return (picture * (1 - weight) + weight * np.array(HIGH)).astype(np.uint8)
