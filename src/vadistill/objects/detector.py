"""Object detectors as localisers.

All classes count as foreground: what a detector calls a skateboard may be the anomaly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vadistill.backbones.detection import load_network
from vadistill.errors import ConfigError
from vadistill.objects.base import Boxes, Localiser, clip_boxes, merge

if TYPE_CHECKING:
    from vadistill.windows import Triplet


@dataclass(frozen=True)
class DetectorSettings:
    """Settings of ``ObjectDetector``."""

    model: str = ""
    """An ``.onnx`` file (FastestDet or YOLOX), or a torchvision detector's name."""
    weights: str = ""
    """State dict for a torchvision detector; without it torchvision downloads its COCO weights."""
    score: float = 0.5
    """Least score; CAFE takes 0.5 for Ped2 and ShanghaiTech, 0.25 for Avenue."""
    iou: float = 0.5
    """Of two boxes that overlap by more than this, of whatever class, the better one stays."""
    inside: float = 0.6
    """Share of a box inside a larger one above which it is dropped."""
    tiles: tuple[int, int] = (1, 1)
    """Columns and rows of overlapping tiles, each seen on its own: for small objects."""
    overlap: float = 0.25
    """Share of a tile that its neighbour sees too; make it wider than an object."""
    scale: float = 0.0
    """If positive, tiles are chosen so that a video pixel becomes this many network pixels."""
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError(
                "localiser 'detector' without a model",
                expected="an .onnx file or a torchvision detector",
                fix="write detector:yolox_nano.onnx or detector:fasterrcnn_resnet50_fpn",
            )
        for name in ("score", "iou", "inside"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} {getattr(self, name):g}", expected="a share in (0, 1]", fix="lower it"
                )
        if min(self.tiles) < 1 or not 0 <= self.overlap < 0.9 or self.scale < 0:
            raise ConfigError(
                f"tiles {self.tiles[0]}x{self.tiles[1]}, overlap {self.overlap:g}, "
                f"scale {self.scale:g}",
                expected="at least 1x1 tiles, an overlap in [0, 0.9) and a scale of 0 or more",
                fix="use tiles=3x2 and leave the others out",
            )


class ObjectDetector(Localiser):
    """Boxes of a detector's objects, whatever their class.

    Raises WeightsError for a missing or damaged file and ConfigError for one of an unknown family,
    both when it is made.
    """

    name = "detector"
    Settings = DetectorSettings
    ARGUMENT = "model"

    def __init__(self, settings: DetectorSettings) -> None:
        self.settings = settings
        self.network = load_network(settings.model, settings.weights, settings.device)

    def boxes(self, window: Triplet) -> Boxes:
        """Boxes of the current frame by ascending area."""
        import cv2

        picture = window.current.image
        height, width = picture.shape[:2]
        boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
        for x1, y1, x2, y2 in self._tiles(width, height):
            found, score = self.network(np.ascontiguousarray(picture[y1:y2, x1:x2]))
            good = score >= self.settings.score
            boxes.append(found[good] + np.array([x1, y1, x1, y1], np.float32))
            scores.append(score[good])
        every, values = np.concatenate(boxes), np.concatenate(scores)
        sides = np.concatenate([every[:, :2], every[:, 2:] - every[:, :2]], axis=1)
        kept = cv2.dnn.NMSBoxes(sides.tolist(), values.tolist(), 0.0, self.settings.iou)
        best = every[np.asarray(kept, np.int64).reshape(-1)]
        return merge(clip_boxes(best, width, height), self.settings.inside)

    def _tiles(self, width: int, height: int) -> list[tuple[int, int, int, int]]:
        columns, rows = self.settings.tiles
        if self.settings.scale > 0:
            wide, tall = (side / self.settings.scale for side in self.network.side)
            overlap = self.settings.overlap
            columns = max(1, int(np.ceil((width / wide - overlap) / (1 - overlap))))
            rows = max(1, int(np.ceil((height / tall - overlap) / (1 - overlap))))
        across = spans(width, columns, self.settings.overlap)
        down = spans(height, rows, self.settings.overlap)
        return [(x1, y1, x2, y2) for y1, y2 in down for x1, x2 in across]


def spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """``count`` equal stretches that cover ``length``; neighbours share ``overlap`` of one."""
    size = length / (count - (count - 1) * overlap)
    starts = (i * size * (1 - overlap) for i in range(count))
    return [(int(start), min(length, int(np.ceil(start + size)))) for start in starts]
