"""Video files, decoded by PyAV."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from vadistill.errors import VideoError
from vadistill.video.base import DEFAULT_FPS, PICTURES, Frame, VideoInfo, VideoSource
from vadistill.video.reading import Timeline, Upright

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


LATE = 0.5
"""Seconds by which a Matroska's last packet may end before the end that its header tells."""


class FileSource(VideoSource):
    """Any file that FFmpeg reads: mp4, avi, mkv, mov, webm, …; raises VideoError.

    Pictures that cannot be decoded are left out and counted in ``corrupt_frames``.  A file that is
    cut short yields what is there, then raises VideoError.
    """

    def __init__(
        self, path: Path, *, name: str | None = None, fps: float | int | None = None
    ) -> None:
        decoder = _Decoder(path, "NONE")
        _, first = next(iter(decoder), (0.0, None))
        if first is None:
            raise VideoError(
                f"no picture of {path} can be decoded",
                expected="at least one",
                fix="the file is damaged or cut off: copy it again from its source",
            )
        self.path, self._size, self._upright = path, (first.width, first.height), Upright(first)
        width, height = self._size[::-1] if self._upright.swapped else self._size
        rate = float(decoder.rate or fps or DEFAULT_FPS)
        frames = decoder.declared or round(decoder.seconds * rate) or None
        self.info = VideoInfo(name or path.stem, width, height, rate, frames, path)

    def __iter__(self) -> Iterator[Frame]:
        from av.video.reformatter import VideoReformatter

        # One converter a pass: a new one for every frame costs more than the conversion itself.
        convert = VideoReformatter().reformat
        decoder = _Decoder(self.path, "AUTO", self.info.fps)
        width, height = self._size
        for index, (time, picture) in enumerate(decoder):
            self.corrupt_frames = decoder.lost
            # A stream may change its size midway; frames keep the first one's.
            rgb = convert(picture, width=width, height=height, format="rgb24", threads=1)
            yield Frame(index, time, self._upright(rgb.to_ndarray()))
        self.corrupt_frames = decoder.lost
        if decoder.lost:
            _warn_of_damage(self.path, decoder.lost)
        self._check_whole(decoder)

    def count(self) -> int:
        """The number of frames; see ``count_frames``."""
        decoder = _Decoder(self.path, "AUTO")
        if decoder.one_picture_a_packet:
            for _ in decoder.packets():
                pass
            if not decoder.lost and not decoder.cut:
                return decoder.sent
            decoder = _Decoder(self.path, "AUTO")
        count = sum(1 for _ in decoder)
        self._check_whole(decoder)
        return count

    def times(self) -> Float64[np.ndarray, " t"]:
        """Seconds of each frame, those of ``Frame.time``, without converting the pictures.

        Packets are read without decoding them where each holds one picture and has its stamp (a
        damaged picture inside then counts too).
        """
        decoder = _Decoder(self.path, "AUTO", self.info.fps)
        if decoder.one_picture_a_packet:
            stamps = [packet.pts for packet in decoder.packets() if not packet.is_discard]
            known = sorted(stamp for stamp in stamps if stamp is not None)
            if len(known) == len(stamps) and not decoder.lost and not decoder.cut:
                return np.array([decoder.timeline.seconds(stamp) for stamp in known], np.float64)
            decoder = _Decoder(self.path, "AUTO", self.info.fps)
        times = np.array([time for time, _ in decoder], np.float64)
        self._check_whole(decoder)
        return times

    def _check_whole(self, decoder: _Decoder) -> None:
        if decoder.cut:
            total = self.info.frames or "an unknown number of"
            raise VideoError(
                f"{self.path} is cut short: it ends after {decoder.shown} of {total} frames",
                expected="a whole file",
                fix="copy it again from its source, or re-encode the part that can be read",
            )


@functools.cache
def _warn_of_damage(path: Path, lost: int) -> None:
    """One line a file, however often it is read."""
    frames = "frame" if lost == 1 else "frames"
    logging.getLogger(__name__).warning(
        "%s: %d %s left out that cannot be decoded; check or replace the file", path, lost, frames
    )


class _Decoder:
    """One pass over the pictures of a file, and what went wrong on the way."""

    def __init__(self, path: Path, threads: str, fps: float = DEFAULT_FPS) -> None:
        self.path, self.threads, self.fps = path, threads, fps
        self.container, self.stream = container, stream = _open_stream(path)
        stream.thread_type = threads
        self.read = self.sent = self.shown = self.lost = 0
        self.end, self.cut = 0.0, False
        self.timeline = Timeline(container, stream, fps)
        self.unit = self.timeline.unit
        self.is_mov = container.format.name.startswith("mov")
        self.is_mkv = container.format.name.startswith("matroska")
        codecs = ("h264", "mjpeg", "ffv1", "vp9", "av1", "libdav1d")
        self.one_picture_a_packet = (
            self.is_mov or self.is_mkv
        ) and stream.codec_context.name in codecs
        # Matroska's nominal rate may be its clock's (1000); no camera films at that.
        rates = (stream.average_rate, stream.guessed_rate)
        self.rate = next((r for r in rates if r and 0 < r <= 240), None)
        # An MP4's index knows what an edit list leaves out; its header does not.
        self.declared = stream.frames and (
            len(stream.index_entries) if self.is_mov else stream.frames
        )
        self.length = (container.duration or 0) / 1e6
        self.seconds = float((stream.duration or 0) * self.unit) or self._shown_seconds()

    def _shown_seconds(self) -> float:
        """Seconds from the first picture to the container's end; sound may come before it."""
        begin, ahead = self.container.start_time, 0.0
        if begin is not None and self.stream.start_time is not None:
            ahead = max(0.0, float(self.stream.start_time * self.unit) - begin / 1e6)
        return max(0.0, (self.container.duration or 0) / 1e6 - ahead)

    def packets(self) -> Iterator[Packet]:
        """Packets of the stream.  At their end ``cut`` is whether the file ends too early."""
        from av.error import FFmpegError

        with contextlib.suppress(StopIteration):
            # A Matroska's header tells how long the longest of its streams is.
            packets = self.container.demux(None if self.is_mkv else self.stream)
            while True:
                try:
                    packet = next(packets)
                except FFmpegError:
                    self.cut = True
                    return
                if packet.pts is not None and packet.time_base is not None:
                    self.end = max(
                        self.end, float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    )
                if packet.stream.index != self.stream.index:
                    continue
                self.read += packet.dts is not None or packet.size > 0
                # A packet without data would end the decoder; AVI has them for repeated frames.
                if packet.size:
                    self.sent += not packet.is_discard
                    self.lost += packet.is_corrupt
                    self.cut = packet.is_corrupt
                    self.timeline.follow(packet)
                    yield packet
        if self.is_mov:
            self.cut |= self.read < len(self.stream.index_entries)
        elif self.is_mkv:
            self.cut |= self.end < self.length - LATE - 1 / (self.rate or 25)
        else:
            # An AVI's header counts repeated frames too, which have no picture of their own.
            self.cut |= self.read < 0.9 * self.declared

    def __iter__(self) -> Iterator[tuple[float, VideoFrame]]:
        """Pictures with their times in seconds."""
        from av.error import FFmpegError

        last = None
        with self.container:
            for packet in itertools.chain(self.packets(), (None,)):
                for picture in self._decode(packet):
                    time = self.timeline.time(picture)
                    self.shown, last = self.shown + 1, picture.pts
                    yield time, picture
        if self.threads != "NONE" and self.shown + self.lost < self.sent and last is not None:
            # A damaged picture near the end stops the draining of the decoder's threads, and sound
            # ones behind it are lost: decode the last stretch again without threads.
            again = _Decoder(self.path, "NONE", self.fps)
            with contextlib.suppress(FFmpegError):
                # Where stamps started again, a stamp does not tell a place.
                if not self.timeline.shift:
                    again.container.seek(last, stream=again.stream)
                for _, picture in again:
                    if picture.pts is not None and picture.pts > last:
                        self.shown += 1
                        yield self.timeline.seconds(picture.pts), picture
            self.lost = min(self.lost + again.lost, self.sent - self.shown)
        if self.one_picture_a_packet:
            self.lost = self.sent - self.shown

    def _decode(self, packet: Packet | None) -> list[VideoFrame]:
        from av.error import FFmpegError

        if packet is not None and packet.is_corrupt:
            self.timeline.lose(packet)
            return []
        try:
            return self.stream.decode(packet)
        except FFmpegError:
            if packet is not None:
                self.lost += 1
                self.timeline.lose(packet)
            return []


def _open_stream(path: Path) -> tuple[InputContainer, VideoStream]:
    """The container and its first real video stream; raises VideoError."""
    import av
    from av.error import FFmpegError
    from av.stream import Disposition

    if path.suffix.lower() in PICTURES:
        raise VideoError(f"{path} is a picture", expected="a video", fix="give its folder")
    if not path.is_file() or path.stat().st_size == 0:
        raise VideoError(
            f"{path} is {'empty' if path.is_file() else 'no file'}",
            expected="a video file",
            fix="check the path, or copy the file again",
        )
    try:
        # 'file:' keeps a colon in a name from being read as a protocol.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (FFmpegError, ValueError) as error:
        raise VideoError(
            f"cannot open {path} as a video ({getattr(error, 'strerror', None) or error})",
            expected="a whole mp4, avi, mkv or other video file",
            fix="check what it is; a recording cut off before its index was written needs repair",
        ) from error
    for stream in container.streams.video:
        # FFmpeg plays plain text as 'ansi' video, and cover art as a video of one picture.
        decodable = stream.codec_context is not None and stream.codec_context.name != "ansi"
        if decodable and not stream.disposition & Disposition.attached_pic:
            return container, stream
    kinds = sorted({stream.type for stream in container.streams} - {"video"})
    raise VideoError(
        f"{path} holds no video that can be decoded (only {' and '.join(kinds) or 'text'})",
        expected="a video stream",
        fix="check what it is, or convert it to H.264",
    )
