"""Video files, decoded by PyAV."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import VideoError
from vadistill.video.base import DEFAULT_FPS, PICTURES, Frame, VideoInfo, VideoSource

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class FileSource(VideoSource):
    """Any file that FFmpeg reads: mp4, avi, mkv, mov, webm, …; raises VideoError.

    Pictures that cannot be decoded are left out and counted in ``corrupt_frames``.  A file that is
    cut short yields what is there, then raises VideoError.
    """

    def __init__(
        self, path: Path, *, name: str | None = None, fps: float | int | None = None
    ) -> None:
        decoder = _Decoder(path, "NONE")
        first = next(iter(decoder), None)
        if first is None:
            raise VideoError(
                f"no picture of {path} can be decoded",
                expected="at least one",
                fix="the file is damaged or cut off: copy it again from its source",
            )
        self.path, self._size, self._turn = path, (first.width, first.height), _orientation(first)
        width, height = self._size[::-1] if self._turn[0] else self._size
        rate = float(decoder.rate or fps or DEFAULT_FPS)
        frames = decoder.declared or round(decoder.seconds * rate) or None
        self.info = VideoInfo(name or path.stem, width, height, rate, frames, path)

    def __iter__(self) -> Iterator[Frame]:
        from av.video.reformatter import VideoReformatter

        # One converter a pass: a new one for every frame costs more than the conversion itself.
        convert = VideoReformatter().reformat
        decoder = _Decoder(self.path, "AUTO")
        width, height = self._size
        start = time = None
        for index, picture in enumerate(decoder):
            self.corrupt_frames = decoder.lost
            stamp = picture.pts
            if start is None:
                start = stamp
            if stamp is None or start is None:
                time = 0.0 if time is None else time + 1 / self.info.fps
            else:
                time = max(float((stamp - start) * decoder.unit), time or 0.0)
            # A stream may change its size midway; frames keep the first one's.
            rgb = convert(picture, width=width, height=height, format="rgb24", threads=1)
            yield Frame(index, time, _turned(rgb.to_ndarray(), self._turn))
        self.corrupt_frames = decoder.lost
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

    def _check_whole(self, decoder: _Decoder) -> None:
        if decoder.cut:
            total = self.info.frames or "an unknown number of"
            raise VideoError(
                f"{self.path} is cut short: it ends after {decoder.shown} of {total} frames",
                expected="a whole file",
                fix="copy it again from its source, or re-encode the part that can be read",
            )


class _Decoder:
    """One pass over the pictures of a file, and what went wrong on the way."""

    def __init__(self, path: Path, threads: str) -> None:
        self.path, self.threads = path, threads
        self.container, self.stream = container, stream = _open_stream(path)
        stream.thread_type = threads
        self.read = self.sent = self.shown = self.lost = 0
        self.end, self.cut = 0.0, False
        self.unit = stream.time_base or Fraction(1)
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
        self.seconds = float((stream.duration or 0) * self.unit) or (container.duration or 0) / 1e6

    def packets(self) -> Iterator[Packet]:
        """Packets of the stream.  At their end ``cut`` is whether the file ends too early."""
        from av.error import FFmpegError

        with contextlib.suppress(StopIteration):
            packets = self.container.demux(self.stream)
            while True:
                try:
                    packet = next(packets)
                except FFmpegError:
                    self.cut = True
                    return
                self.read += packet.dts is not None or packet.size > 0
                # A packet without data would end the decoder; AVI has them for repeated frames.
                if packet.size:
                    self.sent += not packet.is_discard
                    self.lost += packet.is_corrupt
                    self.cut = packet.is_corrupt
                    self.end = max(self.end, float((packet.pts or 0) * self.unit))
                    yield packet
        if self.is_mov:
            self.cut |= self.read < len(self.stream.index_entries)
        elif self.is_mkv:
            alone = len(self.container.streams) == 1
            self.cut |= alone and self.end < self.seconds - 1 - 1 / (self.rate or 25)
        else:
            # An AVI's header counts repeated frames too, which have no picture of their own.
            self.cut |= self.read < 0.9 * self.declared

    def __iter__(self) -> Iterator[VideoFrame]:
        from av.error import FFmpegError

        last = None
        with self.container:
            for packet in itertools.chain(self.packets(), (None,)):
                for picture in self._decode(packet):
                    self.shown, last = self.shown + 1, picture.pts
                    yield picture
        if self.threads != "NONE" and self.shown + self.lost < self.sent and last is not None:
            # A damaged picture near the end stops the draining of the decoder's threads, and sound
            # ones behind it are lost: decode the last stretch again without threads.
            again = _Decoder(self.path, "NONE")
            with contextlib.suppress(FFmpegError):
                again.container.seek(last, stream=again.stream)
                for picture in again:
                    if picture.pts is not None and picture.pts > last:
                        self.shown += 1
                        yield picture
            self.lost = min(self.lost + again.lost, self.sent - self.shown)
        if self.one_picture_a_packet:
            self.lost = self.sent - self.shown

    def _decode(self, packet: Packet | None) -> list[VideoFrame]:
        from av.error import FFmpegError

        if packet is not None and packet.is_corrupt:
            return []
        try:
            return self.stream.decode(packet)
        except FFmpegError:
            self.lost += packet is not None
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


def _orientation(picture: VideoFrame) -> tuple[bool, bool, bool]:
    """Whether to swap the axes, then flip the rows, then the columns, to see a picture upright."""
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return (True, b < 0, c < 0) if abs(b) > abs(a) else (False, d < 0, a < 0)


def _turned(
    image: UInt8[np.ndarray, "h w 3"], turn: tuple[bool, bool, bool]
) -> UInt8[np.ndarray, "h2 w2 3"]:
    swap, rows, columns = turn
    image = image.swapaxes(0, 1) if swap else image
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])
