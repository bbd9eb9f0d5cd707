"""Continuous recording of a camera: its own packets in short files, without encoding anew."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vadistill.errors import WeightsError, in_a_line
from vadistill.files import replacing
from vadistill.serving.log_limit import Repeats
from vadistill.serving.storage.late_file import UNFINISHED, LateFile
from vadistill.serving.storage.later import Later
from vadistill.video.reading import UNTIMED

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

log = logging.getLogger("vadistill.serving")

NAME = "%Y%m%dT%H%M%SZ"
"""Files are called by when they begin, in UTC."""
PAUSE = 60.0
"""Seconds without recording after a file could not be written."""
GAP = 10.0
"""Seconds by which time stamps may leap within a file."""
TICK = Fraction(1, 90000)
"""Unit of the time stamps, in seconds; that of RTP."""
REPAIR = WRITTEN = 5.0
"""Seconds that a start may wait for what a dead process left unfinished, and an end for its own."""
UNSTAMPED = 50
"""Packets in a row without time stamps after which the wall clock gives them."""


class Recorder:
    """Writes a camera's packets to ``folder/camera/*.mkv``, one file about every
    ``segment_seconds``; ``recordings`` removes those that are too old or too much.

    A file begins with a picture that stands alone, and ends in .part while it is written.  What a
    dead process left unfinished is finished first, or beside it where that takes long; what another
    recorder of this process still works at is left to it.  Nothing is
    raised: a disk that is full, or so slow that much waits for it, pauses the recording.
    """

    def __init__(self, folder: Path, *, camera: str, segment_seconds: float = 60.0) -> None:
        self._folder, self._camera = folder / camera, camera
        self._seconds = segment_seconds
        self._lock, self._later = threading.Lock(), Later(f"record-{camera}")
        self._segment: _Segment | None = None
        self._unstamped = 0
        self._paused_until, self._pausing, self._failures = 0.0, threading.Lock(), Repeats()
        self.refused = False
        """Whether its pictures are not compressed: nothing of them is recorded."""
        self._repair()

    def _repair(self) -> None:
        parts: list[Path] = []
        with contextlib.suppress(OSError):
            parts = [p for p in sorted(self._folder.glob("*.part")) if p not in UNFINISHED]
            others = tuple(f".{path.stem}." for path in tuple(UNFINISHED))
            for rest in self._folder.glob("*.whole"):  # of a repair that was cut off
                if not rest.name.startswith(others):
                    rest.unlink(missing_ok=True)
        UNFINISHED.update(parts)
        if parts:
            thread = threading.Thread(target=_repair, args=(parts,), name="repair", daemon=True)
            thread.start()
            thread.join(REPAIR)

    def packet(self, packet: Packet, stream: VideoStream) -> None:
        """Record a packet; called in the thread that decodes, before decoding."""
        from av.error import FFmpegError

        with self._lock:
            if time.monotonic() < self._paused_until:
                return
            try:
                self._write(packet, stream)
            except (FFmpegError, OSError, ValueError) as error:
                self._pause(error)
                segment, self._segment = self._segment, None
                if segment is not None:
                    segment.discard()

    def close(self) -> None:
        """Finish the file; a packet that still comes begins another."""
        with self._lock:
            self._finish()
        self._later.flush(WRITTEN)

    def end(self) -> None:
        """No packet will come any more."""
        self._later.end()

    def _pause(self, error: Exception) -> None:
        """Also in the thread that writes, whose error the one that decodes may be told, too."""
        with self._pausing:
            if time.monotonic() < self._paused_until:
                return
            self._paused_until = time.monotonic() + PAUSE
        reason = getattr(error, "strerror", None) or str(error)
        line = f"{self._camera}: cannot record ({reason}); next try in {PAUSE:.0f} s"
        self._failures.warning(line, "%s", line)

    def _write(self, packet: Packet, stream: VideoStream) -> None:
        stamps = self._stamps(packet, stream)
        segment = self._segment
        if segment is not None and not segment.fits(stream, stamps):
            self._finish()
            segment = None
        if segment is not None and packet.is_keyframe and segment.age >= self._seconds:
            self._finish()
            segment = None
        if segment is None:
            if not packet.is_keyframe or stamps is None or self._raw(stream):
                return
            file = LateFile(_free(self._folder, time.time()), self._later, self._pause)
            segment = self._segment = _Segment(file, stream, stamps[0])
        if stamps is not None:
            segment.write(packet, *stamps)

    def _stamps(self, packet: Packet, stream: VideoStream) -> tuple[float, float] | None:
        """Presentation and decoding time in seconds; None if the packet has to be left out."""
        self._unstamped = self._unstamped + 1 if packet.pts is None else 0
        if stream.container.format.name in UNTIMED or self._unstamped > UNSTAMPED:
            now = time.monotonic()
            return now, now
        if packet.pts is None or packet.dts is None:
            return None
        unit = float(packet.time_base)
        return packet.pts * unit, packet.dts * unit

    def _raw(self, stream: VideoStream) -> bool:
        raw = stream.codec_context.name == "rawvideo"
        if raw and not self.refused:
            self.refused = True
            log.warning("%s: not recorded: its pictures are not compressed", self._camera)
        return raw

    def _finish(self) -> None:
        from av.error import FFmpegError

        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.finish()
            except (FFmpegError, OSError) as error:
                log.warning("%s: a recording is lost (%s)", self._camera, error.strerror)
                segment.discard()


class _Segment:
    """One file that is being written."""

    def __init__(self, file: LateFile, stream: VideoStream, start: float) -> None:
        import av

        self._file = file
        self._stream, self._size = stream, _size(stream)
        self._start, self._last = start, float("-inf")
        self._begun = time.monotonic()
        self._container: OutputContainer = av.open(file, "w", format="matroska")
        self._out = self._container.add_stream_from_template(stream, opaque=True)

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self._begun

    def fits(self, stream: VideoStream, stamps: tuple[float, float] | None) -> bool:
        """Whether the next packet goes on where this file is."""
        same = stream is self._stream and _size(stream) == self._size and not self._file.over
        if stamps is None or self._last == float("-inf"):
            return same
        return same and 0 <= stamps[1] - self._last < GAP

    def write(self, packet: Packet, shown: float, decoded: float) -> None:
        """Append a copy of ``packet``, with these times in seconds."""
        from av.packet import Packet

        self._last = decoded
        # Pictures in front of the first one need others that are not in this file.
        if shown < self._start:
            return
        copy = Packet(bytes(packet))
        copy.stream, copy.time_base = self._out, TICK
        copy.pts = round((shown - self._start) / TICK)
        copy.dts = min(round((decoded - self._start) / TICK), copy.pts)
        copy.is_keyframe = packet.is_keyframe
        self._container.mux(copy)

    def finish(self) -> None:
        """Complete the file and give it its name."""
        self._container.close()
        self._file.take(partial(_name, self._file.path))

    def discard(self) -> None:
        """Give up, and free what was written."""
        from av.error import FFmpegError

        with contextlib.suppress(FFmpegError, OSError):
            self._container.close()
        self._file.discard()


def _free(folder: Path, start: float) -> Path:
    """Where a file that begins then is written; as if later where this process writes another."""
    while (path := folder / f"{_stem(start)}.part") in UNFINISHED:
        start += 1
    return path


def _name(part: Path) -> Path:
    """By when it begins, to the second; later where others have that name."""
    start = begun(part)
    while (path := part.with_name(f"{_stem(start)}.mkv")).exists():
        start += 1
    return path


def _stem(start: float) -> str:
    return datetime.fromtimestamp(start, UTC).strftime(NAME)


def _size(stream: VideoStream) -> tuple[int, int]:
    return stream.codec_context.width, stream.codec_context.height


def _repair(parts: Sequence[Path]) -> None:
    """Make whole files of what a dead process left; those with nothing in them are removed."""
    from av.error import FFmpegError

    for part in parts:
        try:
            with contextlib.suppress(FileNotFoundError, FFmpegError, IndexError, ValueError):
                _make_whole(part)
            part.unlink(missing_ok=True)
        except (OSError, WeightsError) as error:  # the next start tries again
            log.warning("%s is not whole (%s)", part.name, in_a_line(error))
        finally:
            UNFINISHED.discard(part)


def _make_whole(part: Path) -> None:
    stat = part.stat()
    # By Python's own files: PyAV's would hold up all threads while the disk hangs.
    # In place first: what is being made goes by the part's own name, which no other recorder takes.
    with part.open("rb") as old, replacing(part, suffix=".whole") as whole:
        with whole.open("wb", buffering=0) as new:
            _copy(old, new)
        os.utime(whole, (stat.st_atime, stat.st_mtime))
    part.replace(_name(part))


def _copy(old: BinaryIO, new: RawIOBase) -> None:
    """Copy what can be read of a recording; raises ValueError, FFmpegError for nothing."""
    import av
    from av.error import FFmpegError

    packets = 0
    with av.open(old, "r") as source, av.open(new, "w", format="matroska") as target:
        stream = source.streams.video[0]
        out = target.add_stream_from_template(stream, opaque=True)
        with contextlib.suppress(FFmpegError):
            for packet in source.demux(stream):
                if packet.size and not packet.is_corrupt:
                    packet.stream = out
                    target.mux(packet)
                    packets += 1
    if not packets:
        raise ValueError("nothing in it")


def segments(folder: Path, camera: str, since: float, until: float) -> list[tuple[float, Path]]:
    """Whole recordings that overlap ``since`` to ``until``, with when each begins; unix seconds."""
    found = []
    for path in sorted((folder / camera).glob("*.mkv")):
        with contextlib.suppress(ValueError, OSError):
            start = begun(path)
            if start < until and path.stat().st_mtime > since:
                found.append((start, path))
    return found


def begun(path: Path) -> float:
    """When a recording begins, in unix seconds, by its name; raises ValueError."""
    return datetime.strptime(path.stem, NAME).replace(tzinfo=UTC).timestamp()
