"""Video files, decoded by PyAV."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from vadistill.errors import VideoError
from vadistill.video.base import PICTURES, Frame, VideoInfo, VideoSource
from vadistill.video.bounds import LISTED, PROBING, bound_memory, formats, too_large
from vadistill.video.decoding import Decoder, video_stream
from vadistill.video.endings import lacks_end
from vadistill.video.reading import Upright

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


class FileSource(VideoSource):
    """Any file that FFmpeg reads: mp4, avi, mkv, mov, webm, …; raises VideoError.

    Pictures that cannot be decoded are left out and counted in ``corrupt_frames``.  A file that is
    cut short yields what is there, then raises VideoError.
    """

    def __init__(
        self, path: Path, *, name: str | None = None, fps: float | int | None = None
    ) -> None:
        decoder = _decoder(path, fps)
        _, first = next(iter(decoder), (0.0, None))
        if first is None:
            raise VideoError(
                f"no picture of {path} can be decoded",
                expected="at least one",
                fix="the file is damaged or cut off: copy it again from its source",
            )
        self.path, self._size, self._upright = path, (first.width, first.height), Upright(first)
        width, height = self._upright.size(*self._size)
        self.info = VideoInfo(name or path.stem, width, height, decoder.fps, decoder.frames, path)

    def __iter__(self) -> Iterator[Frame]:
        from av.video.reformatter import VideoReformatter

        # One converter a pass: a new one for every frame costs more than the conversion itself.
        convert = VideoReformatter().reformat
        decoder = _threaded(self.path, self.info.fps)
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

    def is_short(self) -> bool:
        """Whether the file lacks bytes that its container tells of, from its index alone.

        The index may be what is missing: then no frame is, and ``count`` goes through.
        """
        container, stream = _open_stream(self.path)
        with container:
            is_mov = container.format.name.startswith("mov")
            ends = (entry.pos + entry.size for entry in (stream.index_entries if is_mov else ()))
            return max(ends, default=0) > self.path.stat().st_size or lacks_end(self.path)

    def count(self) -> int:
        """The number of frames, damaged ones too; see ``count_frames``."""
        decoder = _threaded(self.path, self.info.fps)
        if decoder.one_picture_a_packet:
            for _ in decoder.packets():
                pass
            if not decoder.lost and not decoder.cut:
                return decoder.sent
            decoder = _threaded(self.path, self.info.fps)
        count = sum(1 for _ in decoder)
        self._check_whole(decoder)
        return count + decoder.lost

    def times(self) -> Float64[np.ndarray, " t"]:
        """Seconds of each frame, those of ``Frame.time``, without converting the pictures.

        Packets are read without decoding them where each holds one picture and has its stamp (a
        damaged picture inside then counts too).
        """
        decoder = _threaded(self.path, self.info.fps)
        if decoder.one_picture_a_packet:
            stamps = [packet.pts for packet in decoder.packets() if not packet.is_discard]
            known = sorted(stamp for stamp in stamps if stamp is not None)
            if len(known) == len(stamps) and not decoder.lost and not decoder.cut:
                return np.array([decoder.timeline.seconds(stamp) for stamp in known], np.float64)
            decoder = _threaded(self.path, self.info.fps)
        times = np.array([time for time, _ in decoder], np.float64)
        self._check_whole(decoder)
        return times

    def _check_whole(self, decoder: Decoder) -> None:
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


def _decoder(path: Path, fps: float | int | None) -> Decoder:
    return Decoder(*_open_stream(path), fps=fps)


def _threaded(path: Path, fps: float) -> Decoder:
    """A pass with threads, which is faster but for its start."""
    container, stream = _open_stream(path)
    again = functools.partial(_decoder, path, fps)
    short = lacks_end(path)
    return Decoder(container, stream, threads="AUTO", fps=fps, short=short, again=again)


def _open_stream(path: Path) -> tuple[InputContainer, VideoStream]:
    """The container and its first real video stream; raises VideoError."""
    import av
    from av.error import ArgumentError, FFmpegError

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
        bound_memory()
        allowed = {"protocol_whitelist": "file", "format_whitelist": formats()}
        container = av.open(f"file:{path}", options={**PROBING, **allowed})
    except (FFmpegError, ValueError) as error:
        reason = LISTED if isinstance(error, ArgumentError) else getattr(error, "strerror", None)
        raise VideoError(
            f"cannot open {path} as a video ({reason or error})",
            expected="a whole mp4, avi, mkv or other video file",
            fix="check what it is; a recording cut off before its index was written needs repair",
        ) from error
    stream = video_stream(container)
    if stream is not None:
        context = stream.codec_context
        if reason := too_large(context.width, context.height):
            raise VideoError(
                f"{path} has {reason}", expected="smaller ones", fix="scale the video down"
            )
        return container, stream
    kinds = sorted({stream.type for stream in container.streams} - {"video"})
    raise VideoError(
        f"{path} holds no video that can be decoded (only {' and '.join(kinds) or 'text'})",
        expected="a video stream",
        fix="check what it is, or convert it to H.264",
    )
