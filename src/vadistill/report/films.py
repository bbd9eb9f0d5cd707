"""What a report needs to show any frame of its videos: films, and what is drawn over them.

Bytes, frames and pixels are budgets of the whole page: long videos keep every k-th frame and
those of its moments, and the page says so.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vadistill.datasets.base import Video
from vadistill.drawing import Scale, contours, mask_at
from vadistill.errors import VideoError
from vadistill.progress import progress
from vadistill.report.timelines import BySystem, packed, scores_of
from vadistill.scores import FrameScore, Scores
from vadistill.video import Frame, VideoInfo

WIDEST = 360
"""Films are at most this many pixels wide."""

GROUP = 12
"""Frames from one key frame to the next: what a browser decodes at most to show one frame."""

QUALITY = 24
"""x264's constant rate factor, where the bytes allow it."""

BYTES = 4_500_000
"""Bytes of all films of a page; a third more as text."""

BYTES_A_PIXEL = 0.01
"""Fewest bytes that a picture is worth showing with."""

FRAMES = 20_000
"""Most frames of all films together, but for those of moments."""

MAP_BYTES = 1_200_000
"""Bytes of all anomaly maps of a page."""

MAP_WIDTHS = (8, 48)
"""Fewest and most columns of an anomaly map."""

BOXES = 40
"""Most boxes of a frame and system, the highest ones."""

STEPS = 16
"""Boxes are kept in this part of a film's pixel."""


@dataclass(frozen=True)
class Plan:
    """What is kept of one video."""

    width: int
    height: int
    """Of the film, in pixels."""
    shrunk: tuple[float, float]
    """The film's width and height as parts of the video's."""
    rate: Fraction
    """Frames of the film a second."""
    kept: Int[np.ndarray, " _"]
    """Frames of the video that are in the film, in order."""
    size: int
    """Bytes of the film."""


def plan(
    videos: Sequence[Video],
    scores_by_system: BySystem,
    wanted: Mapping[str, Collection[int]],
    budget: int = BYTES,
) -> tuple[int, dict[str, Plan]]:
    """Every how many frames one is kept, and the plan of each video that can be opened.

    ``wanted`` are frames of each video to keep whatever the budget says.
    """
    found: dict[str, tuple[VideoInfo, int, int, int]] = {}
    for video in videos:
        try:
            info = video.open().info
        except VideoError:
            continue
        if not info.width:  # features without pictures
            continue
        length = len(next(scores_of(video, scores_by_system))[1])
        found[video.name] = (info, *film_size(info.width, info.height), length)
    pixels = sum(width * height * length for _, width, height, length in found.values())
    frames = sum(length for *_, length in found.values())
    stride = max(1, math.ceil(pixels * BYTES_A_PIXEL / budget), math.ceil(frames / FRAMES))
    kept = {
        name: np.unique([*range(0, length, stride), *wanted.get(name, ())]).astype(int)
        for name, (*_, length) in found.items()
    }
    total = sum(found[name][1] * found[name][2] * len(k) for name, k in kept.items())
    plans = {}
    for name, (info, width, height, _) in found.items():
        rate = Fraction(min(60.0, max(4.0, info.fps / stride))).limit_denominator(1001)
        size = int(budget * width * height * len(kept[name]) / max(1, total))
        shrunk = (width / info.width, height / info.height)
        plans[name] = Plan(width, height, shrunk, rate, kept[name], size)
    return stride, plans


def record(
    videos: Sequence[Video],
    plans: Mapping[str, Plan],
    scores_by_system: BySystem,
    scales: Sequence[Scale],
    see: Callable[[Video, Frame], None] = lambda video, frame: None,
) -> list[dict[str, Any] | None]:
    """For every video its film, boxes, maps and true outlines as the page's script takes them.

    Each video is decoded once, and ``see`` is shown its kept frames.  None for a video of which no
    frame can be read again: its scores were paid for, and a page without a film is better than
    none.
    """
    mapped = [
        any(f.map is not None for s in scores.values() for f in s)
        for scores in scores_by_system.values()
    ]
    cells = MAP_BYTES / max(1, sum(mapped) * sum(len(p.kept) for p in plans.values()))
    found: list[dict[str, Any] | None] = []
    with progress("films", sum(len(p.kept) for p in plans.values())) as advance:
        for video in videos:
            made = None
            if video.name in plans and len(plans[video.name].kept):
                one = plans[video.name]

                def saw(frame: Frame, video: Video = video) -> None:
                    see(video, frame)
                    advance(note=video.name)

                kept, film = _film(video, one, saw)
                if film:
                    made = {
                        "film": base64.b64encode(film).decode(),
                        "width": one.width,
                        "height": one.height,
                        "rate": float(one.rate),
                        "kept": packed(kept, "i4"),
                        "truth": _truth(video, kept, one),
                        "systems": {
                            str(number): _overlay(given, kept, one, scales[number], cells)
                            for number, given in scores_of(video, scores_by_system)
                        },
                    }
            found.append(made)
    return found


def _film(video: Video, one: Plan, saw: Callable[[Frame], None]) -> tuple[np.ndarray, bytes]:
    """The frames of the video that could be read, and their film; no bytes if there is none."""
    film, read = Film(one.width, one.height, one.rate, len(one.kept), one.size), []
    wanted = set(one.kept.tolist())
    try:
        for frame in video.open():
            if frame.index in wanted:
                film.write(frame.image)
                saw(frame)
                read.append(frame.index)
            if len(read) == len(wanted):
                break
    except VideoError:
        pass  # what came before the damage is shown
    return np.array(read, int), film.close() if read else b""


def _truth(video: Video, kept: np.ndarray, one: Plan) -> dict[str, list[list[int]]]:
    """Outlines x, y, x, y, … in the film's pixels, by the film's frames that have any."""
    import cv2

    found = {}
    for j, index in enumerate(kept.tolist()):
        abnormal = video.frame_labels is None or video.frame_labels[index]
        mask = mask_at(video.mask, index) if abnormal else None
        if mask is not None and mask.any():
            outlines = contours(mask, one.width, one.height)
            short = (cv2.approxPolyDP(outline, 0.7, True) for outline in outlines)
            found[str(j)] = [points.ravel().tolist() for points in short]
    return found


def _overlay(
    given: Scores, kept: np.ndarray, one: Plan, scale: Scale, cells: float
) -> dict[str, Any]:
    """Scores, boxes and maps of one system at the film's frames."""
    frames = [given.frames[index] for index in kept.tolist()]
    factor = STEPS * np.array(one.shrunk * 2)
    top = [np.sort(np.argsort(-f.box_scores, kind="stable")[:BOXES]) for f in frames]
    boxes = [f.boxes[order] for f, order in zip(frames, top, strict=True)]
    values = [f.box_scores[order] for f, order in zip(frames, top, strict=True)]
    known = given.calibration
    raw = given.raw[kept]
    made: dict[str, Any] = {
        "time": packed(given.times[kept], "f4"),
        "value": packed(given.values[kept], "f4"),
        "raw": packed(raw, "f4"),
        "share": None if known is None else packed(known(raw), "f4"),
        "counts": packed(np.array([len(b) for b in boxes]), "u1"),
        "left_out": int(sum(len(f.boxes) for f in frames) - sum(map(len, boxes))),
        "boxes": packed(np.round(np.concatenate(boxes) * factor).clip(-32768, 32767), "i2"),
        "scores": packed(np.concatenate(values), "f4"),
    }
    if any(f.map is not None for f in frames):
        width = int(np.clip(math.sqrt(cells * one.width / one.height), *MAP_WIDTHS))
        height = max(1, round(width * one.height / one.width))
        maps = [_small_map(f, scale, width, height) for f in frames]
        made["map"] = {"width": width, "height": height, "levels": packed(np.stack(maps), "u1")}
    return made


def _small_map(frame: FrameScore, scale: Scale, width: int, height: int) -> np.ndarray:
    """Levels of a map on the colour scale, 0 to 255; zeros where there is none."""
    import cv2

    if frame.map is None:
        return np.zeros((height, width))
    small = cv2.resize(
        np.asarray(frame.map, np.float32), (width, height), interpolation=cv2.INTER_AREA
    )
    return np.round(255 * scale.level(small))


def film_size(width: int, height: int) -> tuple[int, int]:
    """Even width and height of the film of a video."""
    factor = min(1.0, WIDEST / width)
    even = (max(2, 2 * round(side * factor / 2)) for side in (width, height))
    wide, tall = even
    return wide, tall


class Film:
    """Frame j is shown from j / rate seconds on: no edit list, no frames out of order.

    ``size`` bytes are kept for ``frames`` frames by a rate limit (VBV), which only noise that is
    coarser at x264's lowest quality can break.
    """

    def __init__(self, width: int, height: int, rate: Fraction, frames: int, size: int) -> None:
        import av

        self.width, self.height, self.rate, self.frames = width, height, rate, 0
        self._bytes = io.BytesIO()
        self._container = av.open(self._bytes, "w", format="mp4")
        # A buffer of one group may be spent at once, so it counts as frames of its own.
        limit = max(1000, int(8 * size / (frames + GROUP) * float(rate)))
        options = {
            "crf": str(QUALITY),
            "preset": "fast",
            "bf": "0",
            "g": str(GROUP),
            "maxrate": str(limit),
            "bufsize": str(max(1000, int(limit * GROUP / float(rate)))),
        }
        self._stream = self._container.add_stream("libx264", rate, options)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        # One thread: the same frames give the same bytes.
        self._stream.codec_context.thread_count = 1
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1

    def write(self, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
        """Append one picture of any size."""
        import av
        import cv2

        size = (self.width, self.height)
        if rgb.shape[1::-1] != size:
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb)).reformat(
            format="yuv420p", dst_colorspace="itu709", dst_color_range="MPEG", threads=1
        )
        picture.pts, picture.time_base = self.frames, 1 / self.rate
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def close(self) -> bytes:
        """The whole MP4."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._bytes.getvalue()
