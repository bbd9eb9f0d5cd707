"""Object detectors as localisers: run here, or by another program that wrote their boxes.

All classes count as foreground: what a detector calls a skateboard may be the anomaly.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from vadistill.backbones.detection import load_network
from vadistill.errors import ConfigError, DataError
from vadistill.objects.base import NO_BOXES, Boxes, Localiser, clip_boxes, merge

if TYPE_CHECKING:
    from vadistill.video import VideoInfo
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


COLUMNS = ("video", "frame", "x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class BoxesFileSettings:
    """Settings of ``BoxesFile``."""

    paths: tuple[str, ...] = ()
    """CSV files with the columns video, frame (0-based), x1, y1, x2, y2 in pixels."""

    def __post_init__(self) -> None:
        if not self.paths:
            raise ConfigError(
                "localiser 'boxes' without a file",
                expected="one or more CSV files",
                fix="write boxes:train.csv,test.csv",
            )


class BoxesFile(Localiser):
    """The boxes that the files hold for the video of this name, cut to the picture.

    A frame without a row has no boxes; a video without a row is a DataError, for it is most likely
    misnamed.
    """

    name = "boxes"
    Settings = BoxesFileSettings
    ARGUMENT = "paths"

    def __init__(self, settings: BoxesFileSettings) -> None:
        self.settings = settings
        self._videos: dict[str, dict[int, Boxes]] | None = None
        self._frames: dict[int, Boxes] = {}

    def start(self, info: VideoInfo) -> None:
        """Look up ``info.name``; raises DataError for unreadable files or a missing video."""
        if self._videos is None:
            self._videos = {}
            for path in self.settings.paths:
                self._videos |= read_boxes(Path(path))
        if info.name not in self._videos:
            names = sorted(self._videos)
            shown = ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
            raise DataError(
                f"no boxes for video '{info.name}' in {', '.join(self.settings.paths)}",
                expected=f"one of its videos: {shown or 'it has none'}",
                fix="rename the video or write its boxes into the file",
            )
        self._frames = self._videos[info.name]

    def boxes(self, window: Triplet) -> Boxes:
        height, width = window.current.image.shape[:2]
        return clip_boxes(self._frames.get(window.current.index, NO_BOXES), width, height)


def read_boxes(path: Path) -> dict[str, dict[int, Boxes]]:
    """Boxes by video and frame; raises DataError that names the file and the line."""
    found: dict[str, dict[int, list[list[float]]]] = {}
    line = 1
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if missing := [c for c in COLUMNS if c not in (rows.fieldnames or ())]:
                raise ValueError(f"no column {', '.join(missing)}")
            for row in rows:
                line = rows.line_num
                box = [float(row[c]) for c in COLUMNS[2:]]
                if not np.isfinite(box).all():
                    raise ValueError("a coordinate is not finite")
                found.setdefault(row["video"], {}).setdefault(int(row["frame"]), []).append(box)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path} is not a table of boxes (line {line}: {reason})",
            expected=f"CSV with the columns {','.join(COLUMNS)}, frame counted from 0",
            fix="correct the file",
        ) from error
    return {
        video: {frame: np.asarray(boxes, np.float32) for frame, boxes in frames.items()}
        for video, frames in found.items()
    }
