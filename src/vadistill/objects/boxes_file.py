"""Boxes that another program found, read from CSV."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vadistill.errors import ConfigError, DataError
from vadistill.objects.base import NO_BOXES, Boxes, Localiser, clip_boxes

if TYPE_CHECKING:
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet

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
