"""Boxes that another program found and wrote into a file, as a localiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vadistill.datasets.sources import frame_count
from vadistill.datasets.tracks import box_checks, far_outside, first_fault, normalised
from vadistill.errors import ConfigError, DataError, printable
from vadistill.objects.base import NO_BOXES, Boxes, Localiser, clip_boxes
from vadistill.tables import number, read_table, whole_number

if TYPE_CHECKING:
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet

COLUMNS = ("video", "frame", "x1", "y1", "x2", "y2")
"""The first may be called file, as ``tables`` tells."""


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

    Of a part of a video they are those of its frames in the whole.  A frame without a row has no
    boxes; a video without a row is a DataError, for it is most likely misnamed.
    """

    name = "boxes"
    Settings = BoxesFileSettings
    ARGUMENT = "paths"

    def __init__(self, settings: BoxesFileSettings) -> None:
        self.settings = settings
        self._videos: dict[str, dict[int, Boxes]] | None = None
        self._frames: dict[int, Boxes] = {}
        self._first = 0

    def start(self, info: VideoInfo) -> None:
        """Look up ``info.name``; raises DataError for unreadable files or a missing video."""
        videos = self._read()
        if info.name not in videos:
            names = sorted(videos)
            shown = ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
            raise DataError(
                f"no boxes for video '{info.name}' in {', '.join(self.settings.paths)}",
                expected=f"one of its videos: {shown or 'it has none'}",
                fix="rename the video or write its boxes into the file",
            )
        self._frames, self._first = videos[info.name], info.first or 0
        self._require_fit(info)

    def clone(self) -> BoxesFile:
        self._read()  # once for all clones
        return super().clone()

    def _read(self) -> dict[str, dict[int, Boxes]]:
        """The boxes by video and frame, from the files unless they are read already."""
        if self._videos is None:
            self._videos = _read_all(self.settings.paths)
        return self._videos

    def _require_fit(self, info: VideoInfo) -> None:
        """Raises DataError for boxes of frames that the video lacks, or far beyond its picture."""
        last = max(self._frames)
        if info.first is None and info.frames is not None and last >= info.frames:
            # A header may count too few frames: only a count of what is there can accuse boxes.
            counted = frame_count(info.path) if info.path else info.frames
            if last >= counted:
                raise DataError(
                    f"boxes of video '{info.name}' reach frame {last}",
                    expected=f"frames from 0 to {counted - 1}",
                    fix="count frames from 0, or check that the boxes are of this very video",
                )
        for frame, boxes in sorted(self._frames.items()):
            outside = far_outside(boxes, (info.width, info.height))
            if outside.any():
                box = ", ".join(f"{each:g}" for each in boxes[outside.argmax()])
                raise DataError(
                    f"a box of video '{info.name}' in frame {frame} is ({box})",
                    expected=f"x1,y1,x2,y2 in a picture of {info.width}x{info.height} pixels",
                    fix="write boxes in pixels of this video's size",
                )

    def boxes(self, window: Triplet) -> Boxes:
        height, width = window.current.image.shape[:2]
        own = self._frames.get(self._first + window.current.index, NO_BOXES)
        return clip_boxes(own, width, height)


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
            if (index := whole_number(frame)) is None:
                raise ValueError(f"{frame[:60]!r} is no frame number")
            boxes.append([number(coordinate) for coordinate in box])
        except ValueError as error:
            raise DataError(
                f"{path} line {row.line}: {error}", expected=expected, fix="correct that line"
            ) from error
        videos.append(printable(video))
        frames.append(index)
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
        if normalised(every[rows]):
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
