"""A connection to a live stream: a thread that owns all of FFmpeg's, and its pictures' times."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from vadistill.addresses import PROTOCOLS, Address, without_addresses
from vadistill.errors import VideoError
from vadistill.limits import ALLOCATION_BYTES
from vadistill.video.base import DEFAULT_FPS
from vadistill.video.bounds import (
    LISTED,
    PROBING,
    WEB_LISTS,
    bound_memory,
    formats,
    too_large,
    unfit,
)
from vadistill.video.decoding import Decoder, video_stream
from vadistill.video.reading import Upright
from vadistill.video.webcam import open_webcam

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

HANDED = 2
"""Pictures that wait to be taken."""

STILL = "it is a single picture, not a stream"
PICTURE = re.compile(r"\.(jpe?g|png|bmp|gif|webp)(\?|$)", re.IGNORECASE)
"""How the addresses of still pictures end, which FFmpeg would open as numbered files."""


class Connection:
    """Connects, then hands over pictures with their times.

    Neither the look-up of a host nor a read can be interrupted; in a thread of their own they hold
    up nobody.  It ends within the time-out once any event of ``ended`` is set or ``close`` called.
    """

    def __init__(
        self, address: Address, timeout: float, transport: str, ended: tuple[threading.Event, ...]
    ) -> None:
        self.size, self.fps = (0, 0), DEFAULT_FPS
        self.resized: tuple[int, int] | None = None
        self.is_recording = False
        self._address, self._timeout = address, timeout
        self._transport, self._ended, self._closed = transport, ended, False
        self._web = address.scheme in ("http", "https")
        self._changed = threading.Condition()
        self._open, self._over, self._reason = False, False, ""
        self._wanted: Callable[[float], bool] | None = None
        self._tap: Callable[[Packet, VideoStream], None] | None = None
        self._refused, self._reading = False, False
        self._single = False
        """Whether one picture has come that may be all there is."""
        self._decoder: Decoder | None = None
        self._early: list[Packet] = []
        self._pictures: deque[tuple[float, np.ndarray]] = deque()
        self._heard = self._seen = time.monotonic()
        threading.Thread(target=self._run, name=f"live {self._address}", daemon=True).start()
        deadline = self._heard + timeout + 1
        with self._changed:
            while not (self._open or self._over or self.ended) and time.monotonic() < deadline:
                self._changed.wait(0.1)
            # Some cameras send a whole picture so seldom that the first one is not waited for.
            self._open |= self.size != (0, 0) and not self._over
        if self.ended or not self._open:
            self.close()
            raise VideoError(
                f"cannot open {self._address} ({self._reason or f'no answer in {timeout:g} s'})",
                expected="a camera or stream that answers",
                fix=self._remedy(),
            )

    def _remedy(self) -> str:
        """How what cannot be opened may be put right."""
        if self._refused:
            return "check the user and password"
        if self._reason == STILL:
            return "use the address of the camera's stream: RTSP, or MJPEG over HTTP"
        if self._address.host or self._address.is_webcam:
            return "check the address, and that the camera is on"
        return "write '/', '?', '#' and '@' in a password as %2F, %3F, %23 and %40"

    @property
    def ended(self) -> bool:
        """Whether nobody waits for this connection any more."""
        return self._closed or any(event.is_set() for event in self._ended)

    @property
    def corrupt(self) -> int:
        """How many pictures could not be decoded until now."""
        return self._decoder.lost if self._decoder else 0

    def close(self) -> None:
        """Let the thread end."""
        self._closed = True
        with self._changed:
            self._pictures.clear()
            self._changed.notify_all()

    def pictures(
        self,
        size: tuple[int, int],
        tap: Callable[[Packet, VideoStream], None] | None = None,
        wanted: Callable[[float], bool] | None = None,
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Times and RGB pictures until the stream ends; raises VideoError when it is lost."""
        self.size, self._tap, self._wanted = size, tap, wanted
        with self._changed:
            self._heard = self._seen = time.monotonic()
            self._reading = True
            self._changed.notify_all()
        while True:
            with self._changed:
                began = time.monotonic()
                while not (self._pictures or self._over or self.ended):
                    self._reason = self._silence(began)
                    if self._reason:
                        break
                    self._changed.wait(0.1)
                if self.ended or (self._over and not self._pictures and not self._reason):
                    return
                if not self._pictures:
                    raise VideoError(
                        f"{self._address} was lost ({self._reason})",
                        expected="a stream that goes on",
                        fix=self._remedy()
                        if self._reason == STILL
                        else "check the camera and the network",
                    )
                picture = self._pictures.popleft()
                self._changed.notify_all()
            yield picture

    def _silence(self, since: float) -> str:
        """Why waiting since then is in vain, '' if it is not; FFmpeg's own time-outs come first."""
        now, patience = time.monotonic(), max(3 * self._timeout, 30.0)
        if now - max(since, self._heard) > self._timeout + 2:
            return f"nothing arrived for {self._timeout:g} s"
        # Cameras may send a whole picture as seldom as every 20 seconds.
        if now - max(since, self._seen) > patience:
            return f"no picture could be decoded for {patience:g} s"
        return ""

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        reason = ""
        try:
            for picture in self._read():
                with self._changed:
                    while len(self._pictures) >= HANDED and not self.ended:
                        self._changed.wait(0.1)
                    self._pictures.append(picture)
                    self._changed.notify_all()
                if self.ended:
                    break
        except Exception as error:
            # Whatever a broken stream brings up ends this connection and nothing else.
            reason = self._explained(error)
        with self._changed:
            self._over, self._reason = True, STILL if self._single else reason
            self._changed.notify_all()

    def _read(self) -> Iterator[tuple[float, np.ndarray]]:
        """Wanted pictures, once ``pictures`` is called."""
        from av.error import InvalidDataError

        try:
            yield from self._read_as(None)
        except InvalidDataError:
            if self._open or self.ended or not self._web:
                raise
            # Cameras leave out the boundary before the first part, or call their parts image/jpg,
            # which FFmpeg refuses; where JPEGs begin and end can be seen without any of that.
            yield from self._read_as("mjpeg")

    def _container(self, kind: str | None) -> InputContainer:
        import av

        scheme, times = self._address.scheme, (self._timeout, self._timeout)
        if self._address.is_webcam:
            return open_webcam(self._address, times)
        bound_memory()
        options = {
            **PROBING,
            "protocol_whitelist": PROTOCOLS[scheme],
            "format_whitelist": formats(*WEB_LISTS) if self._web else "rtsp",
            "timeout": str(round(self._timeout * 1e6)),
            # Streams that tell what they are at once do not take that long.
            "analyzeduration": str(round(min(5.0, self._timeout / 2) * 1e6)),
        }
        if scheme in ("rtsp", "rtsps"):
            options |= {"rtsp_transport": self._transport, "allowed_media_types": "video"}
        return av.open(self._address.url, format=kind, options=options, timeout=times)

    def _stream(self, container: InputContainer) -> VideoStream:
        stream = video_stream(container)
        if stream is None:
            raise ValueError("it has no video that can be decoded")
        context = stream.codec_context
        if not (context.width > 0 and context.height > 0):
            first = next((packet for packet in container.demux(stream) if packet.size), b"")
            raise ValueError(unfit(bytes(first)) or "no picture arrived")
        if reason := too_large(context.width, context.height):
            raise ValueError(reason)
        return stream

    def _read_as(self, kind: str | None) -> Iterator[tuple[float, np.ndarray]]:
        """Pictures in FFmpeg's format ``kind``; the first one tells their size."""
        from av.video.reformatter import VideoReformatter

        with self._container(kind) as container:
            stream, convert = self._stream(container), VideoReformatter().reformat
            # What tells its length has an end, and is read as the same file is.
            told = self._web and (container.size > 0 or container.duration)
            live = not told or kind is not None or container.format.name == "mpjpeg"
            self.is_recording = not live
            decoder = self._decoder = Decoder(container, stream, live=live, heed=self._heed)
            self.size, self.fps, self._early = (stream.width, stream.height), decoder.fps, []
            pictures = iter(decoder)
            first = next(pictures, None)
            if first is None:
                raise ValueError("no picture of it can be decoded")
            upright = Upright(first[1])
            with self._changed:
                if not self._open:
                    self.size, self._open = upright.size(first[1].width, first[1].height), True
                self._changed.notify_all()
                while not (self._reading or self.ended):
                    self._changed.wait(0.5)
            self._single = container.format.name.endswith("_pipe")
            for number, (seconds, picture) in enumerate(itertools.chain([first], pictures)):
                self._single &= number == 0
                self._hand_on()
                self._seen = time.monotonic()
                now = upright.size(picture.width, picture.height)
                self.resized = None if now == self.size else now
                if self._wanted is None or self._wanted(seconds):
                    width, height = upright.size(*self.size)
                    rgb = convert(picture, width=width, height=height, format="rgb24", threads=1)
                    yield seconds, upright(rgb.to_ndarray())
            if decoder.cut and not live:
                raise decoder.fault or ValueError("cut short")

    def _heed(self, packet: Packet) -> None:
        """Note that a packet came; what records them gets it once somebody reads."""
        if self.ended:
            raise EOFError
        self._heard = time.monotonic()
        if packet.size and self._decoder and packet.stream.index == self._decoder.stream.index:
            self._early.append(packet)
        self._hand_on()

    def _hand_on(self) -> None:
        if self._reading and self._decoder:
            packets, self._early = self._early, []
            for packet in packets:
                if self._tap is not None:
                    self._tap(packet, self._decoder.stream)

    def _explained(self, error: Exception) -> str:
        from av.error import (
            ArgumentError,
            ExitError,
            FFmpegError,
            HTTPForbiddenError,
            HTTPUnauthorizedError,
            InvalidDataError,
        )

        self._refused = isinstance(error, HTTPForbiddenError | HTTPUnauthorizedError)
        decoder = self._decoder
        if decoder is not None and decoder.cut and isinstance(error, InvalidDataError | ValueError):
            return f"it ends after {decoder.shown} of {decoder.frames} frames"
        if isinstance(error, ArgumentError) and self._decoder is None:
            return STILL if PICTURE.search(self._address.url) else LISTED
        if isinstance(error, ExitError):
            return f"nothing arrived for {self._timeout:g} s"
        if isinstance(error, MemoryError):
            return f"it sends more than {ALLOCATION_BYTES >> 20} MB at once"
        reason = (error.strerror if isinstance(error, FFmpegError) else str(error)) or ""
        return " ".join(without_addresses(reason).split()) or type(error).__name__
