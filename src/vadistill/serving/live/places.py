"""Where in the picture objects are, and which of them count for a camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from vadistill.levels import Level
from vadistill.scores import FrameScore
from vadistill.serving.config import CameraSettings
from vadistill.serving.live.memory import Memory
from vadistill.serving.storage.records import Place
from vadistill.video import inside


class Counting:
    """What of a frame's score counts where ``camera`` has masks, zones, a least size or a memory.

    A frame's score is that of its highest object; where only others count, it is lower by as much
    as the highest of those is, and at least ``quiet``.  Of a map without boxes its highest place
    stands for an object.  What has no place at all counts, what
    has its middle under a mask never does: a model that does not know the mask finds it foreign.
    """

    def __init__(self, camera: CameraSettings, quiet: float, memory: Memory | None = None) -> None:
        self._camera, self._quiet, self._memory = camera, quiet, memory

    def __call__(
        self, score: FrameScore, size: tuple[int, int], level: Level, wall: float
    ) -> tuple[FrameScore, Place | None]:
        """The score of a frame of that width and height as it counts, and where it is highest.

        Events open at ``level``; ``wall`` is the frame's time in Unix seconds.
        """
        width, height = size
        boxes, values, sized = score.boxes, score.box_scores, True
        if not len(boxes):
            boxes, values, sized = *_highest(score.map), False
        if not len(boxes):
            return score, Place(reason=score.reason or None) if score.reason else None
        if sized:
            boxes = boxes / np.array([width, height, width, height], np.float32)
        counts, alike = self._counts(boxes, width / height, sized), []
        if self._memory and sized and score.score >= level.off:
            alike = self._hold_back(self._memory, counts, boxes, score, level)
        made, place = self._highest_of(counts, boxes, score, values, sized)
        if alike and self._memory and made.score < level.on:
            self._memory.held(alike, wall)
        return made, place

    def _hold_back(
        self,
        memory: Memory,
        counts: Bool[np.ndarray, " n"],
        boxes: Float32[np.ndarray, "n 4"],
        score: FrameScore,
        level: Level,
    ) -> list[int]:
        """Clear ``counts`` of what is like false alarms; the events of those that it would open."""
        values = score.box_scores
        highest, scores = int(values.argmax()), score.score - (values.max() - values)
        opened = []
        for number in np.flatnonzero(counts & (scores >= level.off)):
            traits = score.traits[number] if len(score.traits) else np.zeros(0, np.float32)
            reason = score.reason if number == highest else ""
            event = memory.like(boxes[number], float(scores[number]), traits, reason)
            if event is not None:
                counts[number] = False
                if scores[number] >= level.on:
                    opened.append(event)
        return opened

    def _highest_of(
        self,
        counts: Bool[np.ndarray, " n"],
        boxes: Float32[np.ndarray, "n 4"],
        score: FrameScore,
        values: Float32[np.ndarray, " n"],
        sized: bool,
    ) -> tuple[FrameScore, Place | None]:
        """A frame's score by the objects that count, and the place of the highest of them."""
        if not counts.any():
            return replace(score, score=min(score.score, self._quiet), reason=""), None
        best = int(np.where(counts, values, -np.inf).argmax())
        below = float(values.max() - values[best])
        reason = score.reason if below == 0 else ""
        made = max(score.score - below, min(score.score, self._quiet))
        x1, y1, x2, y2 = (float(np.clip(x, 0, 1)) for x in boxes[best])
        place = Place(zone=self._zone(boxes[best]), reason=reason or None)
        if sized:
            traits = score.traits[best].tolist() if len(score.traits) else ()
            place = replace(place, box=(x1, y1, x2, y2), traits=tuple(traits))
        return replace(score, score=made, reason=reason), place

    def _counts(
        self, boxes: Float32[np.ndarray, "n 4"], aspect: float, sized: bool
    ) -> Bool[np.ndarray, " n"]:
        counts = np.array([not self._masked(box) for box in boxes])
        if self._camera.only_zones:
            counts &= [self._zone(box) is not None for box in boxes]
        if self._camera.least_size and sized:
            sides = np.maximum((boxes[:, 2] - boxes[:, 0]) * aspect, boxes[:, 3] - boxes[:, 1])
            counts &= sides >= self._camera.least_size
        return counts

    def _masked(self, box: Float32[np.ndarray, "4"]) -> bool:
        x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
        return any(inside(x, y, mask) for mask in self._camera.masks)

    def _zone(self, box: Float32[np.ndarray, "4"]) -> str | None:
        """The first zone that the middle of a box's lower edge lies in."""
        x, y = float(box[0] + box[2]) / 2, min(float(box[3]), 1 - 1e-6)
        found = (zone.name for zone in self._camera.zones if inside(x, y, zone.corners))
        return next(found, None)


def _highest(
    shown: Float32[np.ndarray, "h w"] | None,
) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]]:
    """The cell of a map's highest value as a box in [0, 1], and that value; none without a map."""
    if shown is None or not shown.size:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    y, x = np.unravel_index(int(shown.argmax()), shown.shape)
    rows, columns = shown.shape
    cell = [x / columns, y / rows, (x + 1) / columns, (y + 1) / rows]
    return np.array([cell], np.float32), np.array([shown[y, x]], np.float32)
