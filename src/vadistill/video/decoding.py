"""One pass over a stream's pictures, the same for files, recordings over HTTP and live streams."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from vadistill.video.base import DEFAULT_FPS
from vadistill.video.bounds import DECODING
from vadistill.video.reading import UNTIMED, Timeline

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.error import FFmpegError
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

LATE = 0.5
"""Seconds by which a Matroska's last packet may end before the end that its header tells."""
DAMAGED = 1000
"""Errors in a row after which a live stream is lost."""


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first real video stream that can be decoded, with bounds on its pictures."""
    from av.stream import Disposition

    for stream in container.streams.video:
        # FFmpeg plays plain text as 'ansi' video, and cover art as a video of one picture.
        decodable = stream.codec_context is not None and stream.codec_context.name != "ansi"
        if decodable and not stream.disposition & Disposition.attached_pic:
            stream.codec_context.options = dict(DECODING)
            return stream
    return None


class Decoder:
    """One pass over the pictures of a stream, and what went wrong on the way.

    ``threads``: PyAV's name for who decodes.  ``fps`` is for streams that do not tell it.
    ``live`` streams have no end that is known: damage between packets does not end them, their
    faults are raised, and they are timed as ``Timeline`` says.  Of a file that is ``short``, which
    lacks bytes at its end (``endings``), no frame may be missing there.  ``heed`` is called with
    every packet of the container as it arrives.  ``again`` opens another pass without threads.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        threads: str = "NONE",
        fps: float | None = None,
        live: bool = False,
        short: bool = False,
        heed: Callable[[Packet], None] | None = None,
        again: Callable[[], Decoder] | None = None,
    ) -> None:
        self.container, self.stream, self.live, self.short = container, stream, live, short
        self._heed, self._again = heed, again
        stream.thread_type = threads
        self.read = self.sent = self.shown = self.lost = 0
        self.end, self.cut = 0.0, False
        self.fault: FFmpegError | None = None
        """What ended a recording too early, if FFmpeg told."""
        self.is_mov = container.format.name.startswith("mov")
        self.is_mkv = container.format.name.startswith("matroska")
        codecs = ("h264", "mjpeg", "ffv1", "vp9", "av1", "libdav1d")
        self.one_picture_a_packet = (
            self.is_mov or self.is_mkv
        ) and stream.codec_context.name in codecs
        # Matroska's nominal rate may be its clock's (1000); no camera films at that.
        made_up = live and container.format.name in UNTIMED
        rates = () if made_up else (stream.average_rate, stream.guessed_rate)
        self.rate = next((r for r in rates if r and 0 < r <= 240), None)
        self.fps = float(self.rate or fps or DEFAULT_FPS)
        self.timeline = Timeline(container, stream, self.fps, live=live)
        # An MP4's index knows what an edit list leaves out; its header does not.
        self.declared = stream.frames and (
            len(stream.index_entries) if self.is_mov else stream.frames
        )
        self.length = (container.duration or 0) / 1e6
        self.seconds = float((stream.duration or 0) * self.timeline.unit) or self._shown_seconds()
        self.frames = self.declared or round(self.seconds * self.fps) or None
        """Number of frames if the container tells, else None (it may be an estimate)."""

    def _shown_seconds(self) -> float:
        """Seconds from the first picture to the container's end; sound may come before it."""
        begin, ahead = self.container.start_time, 0.0
        if begin is not None and self.stream.start_time is not None:
            ahead = max(0.0, float(self.stream.start_time * self.timeline.unit) - begin / 1e6)
        return max(0.0, (self.container.duration or 0) / 1e6 - ahead)

    def packets(self) -> Iterator[Packet]:
        """Packets of the stream.  At their end ``cut`` is whether a recording ends too early."""
        for packet in self._demuxed():
            if self._heed is not None:
                self._heed(packet)
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
        self.cut |= self._ends_early()

    def _demuxed(self) -> Iterator[Packet]:
        """Packets of the container as they come."""
        from av.error import FFmpegError, InvalidDataError

        errors = 0
        while True:
            try:
                # A Matroska's header tells how long the longest of its streams is.
                for packet in self.container.demux(None if self.is_mkv else self.stream):
                    errors = 0 if packet.size else errors
                    yield packet
                return
            except FFmpegError as error:
                if not self.live:
                    self.fault = error
                    return
                if not isinstance(error, InvalidDataError) or errors > DAMAGED:
                    raise
                # Damage between packets: reading on finds the next sound one.
                self.lost += errors == 0
                errors += 1

    def _ends_early(self) -> bool:
        if self.fault is not None:
            return True
        if self.is_mov:
            return self.read < len(self.stream.index_entries)
        if self.is_mkv:
            late = 0.5 / self.fps if self.short else LATE + 1 / (self.rate or 25)
            return self.end < self.length - late
        # An AVI's header counts repeated frames too, which have no picture of their own.
        return self.read < (1 if self.short else 0.9) * self.declared

    def __iter__(self) -> Iterator[tuple[float, VideoFrame]]:
        """Pictures with their times in seconds."""
        last = None
        with self.container:
            for packet in itertools.chain(self.packets(), (None,)):
                for picture in self._decode(packet):
                    if self.live and picture.is_corrupt:
                        self.lost += 1
                        continue
                    time = self.timeline.time(picture)
                    self.shown, last = self.shown + 1, picture.pts
                    yield time, picture
        if self._again is not None and self.shown + self.lost < self.sent and last is not None:
            yield from self._rest(self._again(), last)
        if self.one_picture_a_packet and not self.live:
            self.lost = self.sent - self.shown

    def _rest(self, again: Decoder, last: int) -> Iterator[tuple[float, VideoFrame]]:
        """The pictures behind a stamp, from a pass without threads.

        A damaged picture near the end stops the draining of the decoder's threads, and sound ones
        behind it are lost.
        """
        from av.error import FFmpegError

        with contextlib.suppress(FFmpegError):
            # Where stamps started again, a stamp does not tell a place.
            if not self.timeline.shift:
                again.container.seek(last, stream=again.stream)
            for _, picture in again:
                if picture.pts is not None and picture.pts > last:
                    self.shown += 1
                    yield self.timeline.seconds(picture.pts), picture
        self.lost = min(self.lost + again.lost, self.sent - self.shown)

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
