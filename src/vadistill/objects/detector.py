"""Object detectors as localisers: run here, or by another program that wrote their boxes.

All classes count as foreground: what a detector calls a skateboard may be the anomaly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from vadistill.backbones.detection import load_network
from vadistill.datasets.sources import frame_count
from vadistill.datasets.tables import read_table, whole_number
from vadistill.datasets.tracks import box_checks, first_fault
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


COLUMNS = ("file", "frame", "x1", "y1", "x2", "y2")
"""The first may be called video, as ``tables`` tells."""

BEYOND = 0.25
"""Part of the picture's side by which a box may reach beyond it; what does is cut off."""


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
            self._videos = _read_all(self.settings.paths)
        if info.name not in self._videos:
            names = sorted(self._videos)
            shown = ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
            raise DataError(
                f"no boxes for video '{info.name}' in {', '.join(self.settings.paths)}",
                expected=f"one of its videos: {shown or 'it has none'}",
                fix="rename the video or write its boxes into the file",
            )
        self._frames = self._videos[info.name]
        self._require_fit(info)

    def _require_fit(self, info: VideoInfo) -> None:
        """Raises DataError for boxes of frames that the video lacks, or far beyond its picture."""
        last = max(self._frames)
        if info.frames is not None and last >= info.frames:
            # A header may count too few frames: only a count of what is there can accuse boxes.
            counted = frame_count(info.path) if info.path else info.frames
            if last >= counted:
                raise DataError(
                    f"boxes of video '{info.name}' reach frame {last}",
                    expected=f"frames from 0 to {counted - 1}",
                    fix="count frames from 0, or check that the boxes are of this very video",
                )
        size = np.array([info.width, info.height] * 2, np.float32)
        for frame, boxes in sorted(self._frames.items()):
            over = np.maximum(boxes / size - 1, -boxes / size).max(1)
            if over.max() > BEYOND:
                box = ", ".join(f"{each:g}" for each in boxes[over.argmax()])
                raise DataError(
                    f"a box of video '{info.name}' in frame {frame} is ({box})",
                    expected=f"x1,y1,x2,y2 in a picture of {info.width}x{info.height} pixels",
                    fix="write boxes in pixels of this video's size",
                )

    def boxes(self, window: Triplet) -> Boxes:
        height, width = window.current.image.shape[:2]
        return clip_boxes(self._frames.get(window.current.index, NO_BOXES), width, height)


def _read_all(paths: Sequence[str]) -> dict[str, dict[int, Boxes]]:
    """The videos of all files; raises DataError for one that two of them hold."""
    found: dict[str, dict[int, Boxes]] = {}
    for path in paths:
        boxes = read_boxes(Path(path))
        if twice := sorted(found.keys() & boxes.keys()):
            raise DataError(
                f"boxes for video '{twice[0]}' are in {path} and in a file before it",
                expected="each video's boxes in one file",
                fix="join the files, or leave one out",
            )
        found |= boxes
    return found


def read_boxes(path: Path) -> dict[str, dict[int, Boxes]]:
    """Boxes by video and frame; raises DataError that names the file and the line.

    It is also raised for what is not x1, y1, x2, y2 in pixels: an end before its start, as of
    x, y, width, height, and videos whose boxes all lie within 0 to 1.
    """
    table = read_table(path)
    columns = table.columns(COLUMNS)
    expected = f"CSV with the columns {','.join(COLUMNS)}, frame counted from 0, boxes in pixels"
    videos, frames, boxes = [], [], []
    for row in table.rows:
        video, frame, *box = table.cells(row, columns, ",".join(COLUMNS))
        try:
            if (number := whole_number(frame)) is None:
                raise ValueError(f"{frame[:60]!r} is no frame number")
            boxes.append([float(coordinate) for coordinate in box])
        except ValueError as error:
            raise DataError(
                f"{path} line {row.line}: {error}", expected=expected, fix="correct that line"
            ) from error
        videos.append(video)
        frames.append(number)
    every = np.array(boxes, np.float64).reshape(-1, 4)
    fault = first_fault(box_checks(np.array(frames, np.int64), every, None))
    if fault is not None:
        raise DataError(
            f"{path} line {table.rows[fault.row].line}: {fault.got}",
            expected=f"x1,y1,x2,y2 in pixels, {fault.expected}",
            fix="correct that line, or if its columns are x, y, width, height add the first two",
        )
    found: dict[str, dict[int, list[int]]] = {}
    for row, (video, frame) in enumerate(zip(videos, frames, strict=True)):
        found.setdefault(video, {}).setdefault(frame, []).append(row)
    for video, by_frame in found.items():
        rows = [row for each in by_frame.values() for row in each]
        if np.abs(every[rows]).max() <= 1:
            raise DataError(
                f"{path} line {table.rows[rows[0]].line}: all boxes of video '{video}' lie within 0"
                " to 1",
                expected="x1,y1,x2,y2 in pixels",
                fix="multiply x by the video's width and y by its height",
            )
    pixels = every.astype(np.float32)
    return {
        video: {frame: pixels[rows] for frame, rows in by_frame.items()}
        for video, by_frame in found.items()
    }
