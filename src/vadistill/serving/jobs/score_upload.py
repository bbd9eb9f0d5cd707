"""``python -m vadistill.serving.jobs.score_upload MODEL VIDEO FOLDER``: score for the console.

Into FOLDER go, while it runs, ``scores.jsonl`` with a line ``{"t": seconds, "s": score}`` a frame
and ``latest.jpg``, the frame scored last with its boxes; at the end ``result.json``.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import VadistillError, VideoError
from vadistill.events import Tracker
from vadistill.files import DISK_ERRORS, write_json
from vadistill.levels import training_level
from vadistill.progress import progress
from vadistill.serving.config import CameraSettings
from vadistill.serving.jobs.job import PICTURE, RESULT, SCORES
from vadistill.video import Frame, VideoSource, covered, open_video

if TYPE_CHECKING:
    from vadistill.drawing import Scale
    from vadistill.scores import FrameScore

PICTURE_EVERY = 0.25
"""Seconds between two pictures."""

PICTURE_WIDTH = 1280
"""Pixels; wider pictures are made smaller."""

FLUSH_EVERY = 0.1
"""Seconds between two writes of scores."""

REMEMBERED = 256 << 20
"""Bytes of frames that are kept until their score is known."""


class Remembered(VideoSource):
    """A source that keeps its last frames, whose scores come later, and draws frames now and then.

    With more ``latency`` than memory, frames are drawn as they are read and without boxes.
    """

    def __init__(
        self, source: VideoSource, path: Path, scale: Scale, latency: int | None = 0
    ) -> None:
        self.source, self.info = source, source.info
        self.path, self.scale, self._drawn = path, scale, 0.0
        room = REMEMBERED // max(1, 3 * self.info.width * self.info.height)
        self.early = latency is None or latency + 2 > room
        self._frames: deque[Frame] = deque(maxlen=max(1, room))

    def __iter__(self) -> Iterator[Frame]:
        from vadistill.scores import FrameScore

        for frame in self.source:
            self._frames.append(frame)
            if self.early:
                self.draw(FrameScore(frame.index, frame.time, 0.0))
            yield frame
        self.corrupt_frames = self.source.corrupt_frames

    def draw(self, frame: FrameScore) -> None:
        """Write the picture of a frame, unless one was written just now; forget those before."""
        while self._frames and self._frames[0].index < frame.index:
            self._frames.popleft()
        due = time.monotonic() - self._drawn >= PICTURE_EVERY
        if due and self._frames and self._frames[0].index == frame.index:
            write_picture(self.path, self._frames[0].image, frame, self.scale)
            self._drawn = time.monotonic()


def write_picture(
    path: Path, image: UInt8[np.ndarray, "h w 3"], frame: FrameScore, scale: Scale
) -> None:
    """A JPEG of a frame with its map and boxes, in the place of the one before."""
    import cv2

    from vadistill.drawing import draw_frame

    picture = draw_frame(image, frame, scale)
    height, width = picture.shape[:2]
    if width > PICTURE_WIDTH:
        size = (PICTURE_WIDTH, max(1, round(height * PICTURE_WIDTH / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", colours, [cv2.IMWRITE_JPEG_QUALITY, 80])
    part = path.with_suffix(".part")
    part.write_bytes(data.tobytes())
    part.replace(path)


def score(model: Path, video: Path, folder: Path) -> None:
    """Score all of ``video`` under the mask of the model's footage; raises VadistillError.

    Events open and close as a camera's do at the level of the model's training footage.
    """
    from vadistill.datasets.footage import hidden_of
    from vadistill.drawing import scale_of
    from vadistill.scores import Scores
    from vadistill.systems import load

    detector = load(model)
    source = covered(open_video(video), hidden_of(detector.footage))
    calibration = detector.require_fitted()
    scale = scale_of([Scores(video.name, [], source.info.fps, calibration=calibration)])
    watched = Remembered(source, folder / PICTURE, scale, detector.latency)
    level = training_level(calibration, CameraSettings.false_alarms_per_day)
    tracker, changes, frames, flushed = Tracker(level), [], 0, 0.0
    lost: VideoError | None = None
    with (
        (folder / SCORES).open("w") as lines,
        progress("scoring", source.info.frames) as advance,
    ):
        try:
            for frame in detector.stream(watched):
                lines.write(json.dumps({"t": round(frame.time, 4), "s": float(frame.score)}) + "\n")
                if time.monotonic() - flushed >= FLUSH_EVERY:
                    lines.flush()
                    flushed = time.monotonic()
                if not watched.early:
                    watched.draw(frame)
                changes.append(tracker.push(frame.time, float(frame.score)))
                frames += 1
                advance()
        except VideoError as error:  # cut short, as a rule: what was scored of it counts
            lost = error
    changes.append(tracker.close())
    step = 1 / source.info.fps
    events = [
        {"start": change.event.start, "end": change.event.last + step, "peak": change.event.peak}
        for change in changes
        if change is not None and change.kind == "closed"
    ]
    told = {"frames": frames, "fps": source.info.fps, "level": level.on, "note": level.note}
    write_json(folder / RESULT, {**told, "events": events})
    if lost is not None:
        raise lost


def main(argv: list[str]) -> int:
    """The exit status is 0, or 2 for an error that is told in one line."""
    try:
        score(*map(Path, argv))
    except VadistillError as error:
        wrong = str(error)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        wrong = f"{error.filename or 'the disk'}: {error.strerror}"
    else:
        return 0
    print(f"vadistill: error: {wrong}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
