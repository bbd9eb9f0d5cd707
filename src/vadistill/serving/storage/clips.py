"""Clips of events: some seconds before one, and the event itself, as an MP4 that browsers play.

Pictures are encoded as they come, in a thread of their own, into fragments that can be played even
if the process is killed; an event's end turns them into a plain MP4.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from vadistill.drawing import Scale, draw_frame, from_jpeg
from vadistill.errors import WeightsError
from vadistill.files import DISK_ERRORS, replacing
from vadistill.limits import LONGEST_CLIP
from vadistill.scores import FrameScore
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.records import Place

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

log = logging.getLogger("vadistill.serving")

STOP = 30.0
"""Seconds that the last clips may take."""

CLOCK = Fraction(1, 1000)
"""Times in clips are whole milliseconds."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A scored picture as it waits for an event."""

    moment: float
    """Arrival, monotonic seconds."""
    jpeg: bytes
    score: FrameScore
    """Without its map."""
    place: Place | None = None
    """Where it is highest."""

    def image(self) -> UInt8[np.ndarray, "h w 3"]:
        """RGB."""
        return from_jpeg(self.jpeg)


class ClipWriter(Later):
    """Writes the clips of all cameras' events, one thread for all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out = 0
        """Pictures that came too fast to be encoded."""
        self._clips: dict[int, _Clip] = {}
        super().__init__("clips")

    def open(self, event: int, before: Sequence[Shot], scale: Scale) -> None:
        """Begin an event's clip with the pictures ``before`` it."""
        self.put(lambda: self._begin(event, before, scale))

    def add(self, event: int, shot: Shot) -> None:
        """The event's next picture."""
        if self.crowded:
            self.left_out += 1
        else:
            self.put(lambda: self._append(event, shot))

    def close(self, event: int, done: Callable[[str | None], None]) -> None:
        """End the event's clip; ``done`` is called in this thread with its file name in ``folder``.

        None where it could not be written.
        """
        self.put(lambda: done(self._end(event)))

    def stop(self) -> None:
        """Write what is waiting, then end."""
        self.end()
        self.ended(STOP)

    def _begin(self, event: int, before: Sequence[Shot], scale: Scale) -> None:
        self._clips[event] = _Clip(self.folder / f"{event}.part.mp4", scale)
        for shot in before:
            self.get_on()
            self._clips[event].write(shot)

    def _append(self, event: int, shot: Shot) -> None:
        if event in self._clips:
            self._clips[event].write(shot)

    def _end(self, event: int) -> str | None:
        clip = self._clips.pop(event, None)
        if clip is None:
            return None
        try:
            clip.close()
            return whole(clip.path, self.folder / f"{event}.mp4")
        except Exception as error:
            log.warning("the clip of event %d was not written: %s", event, _reason(error))
            return clip.path.name if clip.path.exists() else None


def whole(part: Path, path: Path) -> str | None:
    """Turn fragments into a plain MP4 with its index at the front; its name, or None if empty."""
    import av

    if not part.exists() or part.stat().st_size == 0:
        part.unlink(missing_ok=True)
        return None
    # By Python's own files: PyAV's would hold up all threads while the disk hangs.
    with (
        replacing(path) as temporary,
        part.open("rb") as fragments,
        temporary.open("wb", buffering=0) as made,
        av.open(fragments, "r") as source,
        av.open(
            made,
            "w",
            format="mp4",
            options={"movflags": "faststart"},
            io_open=lambda *_: temporary.open("rb"),  # what the index is put before
        ) as target,
    ):
        given = source.streams.video[0]
        stream = target.add_stream_from_template(given)
        for packet in source.demux(given):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    part.unlink(missing_ok=True)
    return path.name


def recover_clips(folder: Path) -> None:
    """Make what a killed process left of its clips whole; what cannot be played is removed."""
    for part in folder.glob("*.part.mp4"):
        rest = folder / f"{part.name}.rest.mp4"
        part.replace(rest)
        try:
            whole(rest, part)
        except Exception as error:
            log.warning("%s is not whole (%s)", part.name, _reason(error))
            if isinstance(error, WeightsError) or getattr(error, "errno", None) in DISK_ERRORS:
                rest.replace(part)  # no room: it can be played as it is
            else:
                rest.unlink(missing_ok=True)


class _Clip:
    """One clip that is being written; the size is its first picture's."""

    def __init__(self, path: Path, scale: Scale) -> None:
        self.path, self.scale = path, scale
        self._file: RawIOBase | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream
        self._start = 0.0
        self._last = -1
        self._broken = False

    def write(self, shot: Shot) -> None:
        """Append a picture with its boxes; a full disk ends the clip and is told once."""
        if self._broken or (self._container and shot.moment - self._start > LONGEST_CLIP):
            return
        try:
            self._encode(shot)
        except Exception as error:
            self._broken = True
            log.warning("%s ends early: %s", self.path.name, _reason(error))

    def _encode(self, shot: Shot) -> None:
        import av

        picture = draw_frame(shot.image(), shot.score, self.scale)
        height, width = (side - side % 2 for side in picture.shape[:2])
        if self._container is None:
            self._open(width, height)
            self._start = shot.moment
        pts = max(self._last + 1, round((shot.moment - self._start) * 1000))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]))
        frame = frame.reformat(self._stream.width, self._stream.height, "yuv420p", threads=1)
        frame.pts, frame.time_base, self._last = pts, CLOCK, pts
        self._mux(self._stream.encode(frame))

    def _open(self, width: int, height: int) -> None:
        import av

        # Flushed, so that a killed process leaves all but the last half second.
        flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
        # By Python's own file: PyAV's would hold up all threads while the disk hangs.
        self._file = self.path.open("wb", buffering=0)
        self._container = av.open(self._file, "w", format="mp4", options=flags)
        options = {"preset": "veryfast", "crf": "25", "tune": "zerolatency"}
        self._stream = self._container.add_stream("libx264", 25, options)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base, context.gop_size = CLOCK, 12
        context.thread_count = 1

    def _mux(self, packets: Any) -> None:
        assert self._container is not None
        self._container.mux(packets)

    def close(self) -> None:
        if self._container is None:
            return
        try:
            if not self._broken:
                self._mux(self._stream.encode(None))
        finally:
            with contextlib.suppress(Exception):
                self._container.close()
            if self._file is not None:
                self._file.close()


def _reason(error: Exception) -> str:
    full = getattr(error, "errno", None) in DISK_ERRORS
    return getattr(error, "strerror", None) or ("no space" if full else str(error))
