"""An MP4 to show someone: the video with its scored boxes, and the score curve below."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from vadistill.datasets.base import Video
from vadistill.drawing import (
    HIGH,
    LOW,
    MIDDLE,
    TRUTH,
    Rgb,
    Scale,
    draw_frame,
    enlargement,
    mask_at,
    scale_of,
    share_of_normal,
    text,
    text_width,
)
from vadistill.errors import DataError
from vadistill.evaluation.alignment import check_lengths, min_max
from vadistill.files import replacing
from vadistill.progress import clock, progress
from vadistill.scores import FrameScore, Scores
from vadistill.video import VideoSource, VideoWriter, open_video

STRIP = 88
"""Height in pixels of the curve under the picture."""

HEAD = 44
"""Height in pixels of the two lines of text above the curve: the frame's, and the colours'."""

LINE = HEAD // 2

INK, SOFT, PAPER, CURVE = (235, 235, 235), (160, 166, 174), (24, 26, 30), (110, 190, 245)
BAND = (84, 40, 74)


def annotate(
    video_or_source: Video | VideoSource,
    scores: Scores,
    path: Path,
    *,
    labels: UInt8[np.ndarray, " t"] | None = None,
) -> None:
    """Write an MP4 of the video with boxes coloured by score over a curve of its frame scores.

    Picture i is frame i, shown at the frame's own time (the first from 0 on).  Colours are those of
    ``scale_of``, by calibrated score where there is a calibration; the video says what they mean.
    The curve shows ``scores.values`` with their smoothing; abnormal frames of ``labels`` (default:
    the video's) are a band behind it and a frame around the picture, masks an outline.  Sources
    narrower than 480 pixels are drawn at twice their size.  Decodes as it writes: constant memory.

    Raises DataError when scores, labels and frames differ in number, VideoError, WeightsError when
    the file cannot be written.
    """
    video = video_or_source if isinstance(video_or_source, Video) else None
    source = video_or_source.open() if isinstance(video_or_source, Video) else video_or_source
    if labels is None and video is not None:
        labels = video.frame_labels
    if labels is not None:
        check_lengths(scores.video, len(scores), len(labels))
    info, scale, values = source.info, scale_of([scores]), scores.values
    known_shares = None if scores.calibration is None else scores.calibrated
    factor = enlargement(info.width)
    width, height = info.width * factor, info.height * factor
    strip, columns = draw_strip(values, labels, width), columns_of(len(values), width)
    has_boxes = any(len(frame.boxes) for frame in scores)
    legend = _legend(scale, width)[: None if has_boxes else 0]
    count = 0
    with (
        VideoWriter(path, width, height + LINE + len(legend) + STRIP, info.fps) as writer,
        progress("annotating", len(scores)) as advance,
    ):
        for frame in source:
            if frame.index < len(scores):
                known = scores.frames[frame.index]
                mask = mask_at(video.mask, frame.index) if video is not None else None
                picture = draw_frame(frame.image, known, scale, mask=mask)
                abnormal = labels is not None and bool(labels[frame.index])
                if abnormal:
                    _outline(picture)
                foot = strip.copy()
                _now(foot, int(columns[frame.index]), float(values[frame.index]), values)
                share = None if known_shares is None else float(known_shares[frame.index])
                head = _headline(scores, frame.index, frame.time, share, width, abnormal)
                shown = frame.time if count else 0.0
                writer.write(np.concatenate([picture, head, legend, foot]), shown)
                advance()
            count += 1
        if count != len(scores):
            raise DataError(
                f"video {scores.video} has {count} frames and {len(scores)} scores",
                expected="one score a frame",
                fix="score this very video again",
            )


def write_still(path: Path, annotated: Path, video: Video, scores: Scores) -> None:
    """Write a frame of the annotated video as PNG: the highest of ``catches``, or of all."""
    hits = catches(video, scores)
    wanted = max(hits or range(len(scores)), key=lambda index: scores.values[index])
    for frame in open_video(annotated):
        if frame.index == wanted:
            _, data = cv2.imencode(".png", frame.image[..., ::-1])
            with replacing(path) as temporary:
                temporary.write_bytes(data.tobytes())
            break


def catches(video: Video, scores: Scores) -> list[int]:
    """The frames whose highest box is an anomaly's: it covers it, and hardly anything else."""
    return [frame.index for frame in scores if _on_target(video, frame)]


def _on_target(video: Video, frame: FrameScore) -> bool:
    """Whether most of a true outline lies in the frame's highest box, and fills much of it."""
    mask = mask_at(video.mask, frame.index)
    if mask is None or len(frame.boxes) == 0:
        return False
    x1, y1, x2, y2 = frame.boxes[frame.box_scores.argmax()].round().astype(int)
    inside = np.count_nonzero(mask[max(0, y1) : y2, max(0, x1) : x2])
    least = max(0.7 * np.count_nonzero(mask), 0.3 * (x2 - x1) * (y2 - y1))
    return bool(inside > least)


def columns_of(frames: int, width: int) -> Int[np.ndarray, " n"]:
    """The pixel column of each frame in a strip of ``width`` pixels."""
    return np.arange(frames) * (width - 1) // max(1, frames - 1)


def draw_strip(
    values: Float[np.ndarray, " n"], labels: UInt8[np.ndarray, " n"] | None, width: int
) -> Rgb:
    """The whole video's curve, highest score of each column, with bands for abnormal frames."""
    import cv2

    strip = np.full((STRIP, width, 3), PAPER, np.uint8)
    if len(values) == 0:
        return strip
    columns = columns_of(len(values), width)
    if labels is not None:
        # A band ends where the next frame's column starts, so that short videos have no gaps.
        ends = np.append(columns[1:], width)
        for start, end in zip(columns[labels > 0], ends[labels > 0], strict=True):
            strip[:, start : max(end, start + 1)] = BAND
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    tops = np.maximum.reduceat(values, starts)
    points = np.stack([columns[starts], _rows(tops, values)], axis=1).astype(np.int32)
    cv2.polylines(strip, [points], False, CURVE, 1, cv2.LINE_AA)
    return strip


def _rows(values: Float[np.ndarray, " m"], all_values: Float[np.ndarray, " n"]) -> np.ndarray:
    """Pixel rows of scores in a strip: the video's lowest at the bottom, its highest at the top."""
    ends = np.array([all_values.min(), all_values.max()])
    level = min_max(np.concatenate([ends, values]))[2:]
    return np.round((1 - level) * (STRIP - 13) + 6).astype(int)


def _now(strip: Rgb, column: int, value: float, values: Float[np.ndarray, " n"]) -> None:
    import cv2

    strip[:, column] = INK
    row = int(_rows(np.array([value]), values)[0])
    cv2.circle(strip, (column, row), 4, INK, -1, cv2.LINE_AA)


def _headline(
    scores: Scores, index: int, time: float, share: float | None, width: int, abnormal: bool
) -> Rgb:
    """Frame, time and score, as many of the words as there is room for."""
    head = np.full((LINE, width, 3), PAPER, np.uint8)
    left = f"{clock(time)}  frame {index}"
    text(head, left, 6, LINE - 7, INK, 10)
    end, start = 6 + text_width(left, 10), width
    value = f"score {scores.values[index]:.3g} ({scores.smoothing.name})"
    above = "" if share is None else f", raw above {share_of_normal(share)}"
    for right in (value + above, value):
        at = width - 6 - text_width(right, 10)
        if at > end + 12:
            text(head, right, at, LINE - 7, INK, 10)
            start = at
            break
    if abnormal and end + 18 + text_width("abnormal", 10) < start:
        text(head, "abnormal", end + 18, LINE - 7, TRUTH, 10)
    return head


def _legend(scale: Scale, width: int) -> Rgb:
    """What the colours of boxes mean, in a line."""
    import cv2

    line = np.full((LINE, width, 3), PAPER, np.uint8)
    x = 6
    for colour, words in zip((LOW, MIDDLE, HIGH), scale.names, strict=True):
        cv2.rectangle(line, (x, 6), (x + 9, 15), colour, -1)
        text(line, words, x + 14, LINE - 7, SOFT, 9)
        x += 14 + text_width(words, 9) + 12
    return line


def _outline(picture: Rgb) -> None:
    picture[:3], picture[-3:] = TRUTH, TRUTH
    picture[:, :3], picture[:, -3:] = TRUTH, TRUTH
