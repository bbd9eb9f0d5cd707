"""One camera's frames: a thread that connects, decodes, paces, drops, and tries again for ever."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vadistill.addresses import Address, without_addresses
from vadistill.errors import VideoError
from vadistill.serving.live.session import Arrival, RateCap, Session, Stillness
from vadistill.serving.live.status import ReaderStatus, State
from vadistill.serving.log_limit import Repeats
from vadistill.video import LiveSource, Polygon, VideoSource, open_video

if TYPE_CHECKING:
    from vadistill.serving.storage.recorder import Recorder

__all__ = ["Arrival", "Reader", "ReaderStatus", "Session"]

log = logging.getLogger("vadistill.serving")

RATE_WINDOW = 5.0
"""Seconds over which the rate of incoming frames is measured."""
QUIET = 25.0
"""Seconds without a picture after which a camera is lost; some send a whole one every 20."""
BEHIND = 1.0
"""Seconds that a file's playing may be late before its clock is set anew."""


class Reader:
    """Reads ``address`` in a thread of its own, in sessions: one for each connection.

    ``address``: a live one, or a file or frame folder, which is played at its own speed or, with
    ``fast``, as fast as it is taken, and from its start again with ``loop``.  A file over HTTP is
    played at its own speed, too, and again and again.  ``fps`` caps the rate.  The ``queue`` drops
    its oldest frame (``fast``: it waits).  ``skip_idle`` leaves out pictures in which nothing
    moves outside of ``masks``, all but one a second.  ``transport`` is RTSP's.  What is lost or
    cannot be opened is tried again for ever, after ``backoff[0]`` to ``backoff[1]`` seconds.
    Nothing is raised.
    """

    def __init__(
        self,
        address: str | Address,
        *,
        name: str,
        fps: float | None = None,
        queue: int = 64,
        skip_idle: bool = False,
        fast: bool = False,
        loop: bool = False,
        transport: str = "tcp",
        timeout: float = 10.0,
        backoff: tuple[float, float] = (1.0, 30.0),
        recorder: Recorder | None = None,
        masks: Sequence[Polygon] = (),
    ) -> None:
        self.address, self.name = Address(address), name
        self._live = self.address.is_live
        self._fps, self._queue, self._skip_idle = fps, queue, skip_idle
        self._fast, self._loop = fast and not self._live, loop and not self._live
        self._transport, self._timeout = transport, timeout
        self._backoff, self._recorder, self._masks = backoff, recorder, masks
        self._changed, self._stop = threading.Condition(), threading.Event()
        self._thread: threading.Thread | None = None
        self._status = ReaderStatus(since=time.time())
        self._decoded: deque[float] = deque()
        self._began = self._seen = -math.inf
        """When the session began, and when its last picture was decoded, in monotonic seconds."""
        self._next: Session | None = None
        self._finished, self._losses = False, Repeats()
        self._cap = RateCap(fps)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._recorder is not None and not self._live:
            log.info("%s: not recorded: it is a file already", self.name)
        self._thread = threading.Thread(target=self._run, name=f"read {self.name}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End, and let every session end; returns within ``timeout`` seconds."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @property
    def status(self) -> ReaderStatus:
        """What it does now, as a copy."""
        with self._changed:
            now, times = time.monotonic(), self._decoded
            while times and times[0] < now - RATE_WINDOW:
                times.popleft()
            # Between two pictures the pace of those that came stands.
            pace = (times[-1] - times[0]) / max(len(times) - 1, 1) if times else 0.0
            span = max(now - times[0] - pace, times[-1] - times[0]) if times else 0.0
            rate = (len(times) - 1) / span if span > 0 else 0.0
            return replace(self._status, input_fps=rate)

    @property
    def trouble(self) -> str | None:
        """Why no pictures come; '' if they do, None while that is not known yet."""
        with self._changed:
            status, now = self._status, time.monotonic()
            if status.state in ("connecting", "retrying"):
                return status.detail or "it has not answered yet"
            if status.state != "running":
                return None
            if not self._live or self._began <= self._seen > now - QUIET:
                return ""
            waited = now - max(self._began, self._seen)
            return f"no picture for {waited:.0f} s" if waited > QUIET else None

    def sessions(self) -> Iterator[Session]:
        """Each connection's frames, the next one once there is one; ends after ``stop`` and, if it
        is not looped, after a file's end."""
        while True:
            with self._changed:
                while self._next is None and not self._finished and not self._stop.is_set():
                    self._changed.wait(0.5)
                session, self._next = self._next, None
            if session is None or self._stop.is_set():
                return
            yield session

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        delay, failed = self._backoff[0], False
        while not self._stop.is_set():
            began, session, reason = time.monotonic(), None, ""
            if self._status.state != "running":  # a file that starts again goes on
                self._say("connecting", self._status.detail)
            try:
                source = self._open()
                session = self._begin(source, failed)
                self._read(source, session)
            except VideoError as error:
                reason = str(error)
            except Exception as error:
                # Whatever a broken stream brings up must not end the watching.
                reason = f"{type(error).__name__}: {error}"
            if self._live:
                reason = reason or "the stream ended"
            if session is not None:
                session.end(self._shown(reason) or "the source ended")
            if self._stop.is_set():
                break
            if not self._live and session is not None:
                if self._fast:
                    session.wait_until_empty()
                if not self._loop:
                    self._end(reason)
                    break
            failed = bool(reason)
            if failed:
                if session is not None and time.monotonic() - began > delay:
                    delay = self._backoff[0]
                self._retry(reason, delay)
                delay = min(2 * delay, self._backoff[1])
        if self._stop.is_set():
            self._say("stopped", "")
        if self._recorder is not None:
            self._recorder.end()
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _open(self) -> VideoSource:
        if not self._live:
            return open_video(self.address, name=self.name)
        source = LiveSource(
            self.address,
            name=self.name,
            timeout=self._timeout,
            transport=self._transport,
            ended=self._stop,
        )
        if self._recorder is not None:
            source.packets = self._recorder.packet
        source.wanted = self._counted
        return source

    def _begin(self, source: VideoSource, again: bool) -> Session:
        info = source.info
        fps = min(self._fps or info.fps, info.fps)
        session = Session(
            replace(info, fps=fps, name=self.name),
            queue=self._queue,
            blocking=self._fast,
            stop=self._stop,
        )
        self._cap = RateCap(self._fps)
        with self._changed:
            self._decoded.clear()
            self._status.width, self._status.height = info.width, info.height
            self._status.reconnects += again
            self._began = time.monotonic()
            self._next = session
            self._changed.notify_all()
        self._say("running", "")
        if again:
            self._losses.works("%s: connected again, %dx%d", self.name, info.width, info.height)
        return session

    def _read(self, source: VideoSource, session: Session) -> None:
        still = Stillness(self._masks) if self._skip_idle else None
        corrupt, size, start = self._status.corrupt, (source.info.width, source.info.height), None
        began = time.monotonic() - (source.info.frames or 0) / source.info.fps
        paced = not isinstance(source, LiveSource) or source.is_recording
        try:
            for frame in source:
                if paced:
                    start = self._pace(frame.time, start)
                if self._stop.is_set():
                    return
                size = self._noted_size(source, size)
                if not self._live and not self._counted(frame.time):
                    continue
                idle = still is not None and still.found(frame.image, frame.time)
                # A file that is read fast has its own clock, as if it ended now.
                moment = began + frame.time if self._fast else time.monotonic()
                dropped = 0 if idle else session.put(frame, moment)
                with self._changed:
                    self._status.idle += idle
                    self._status.dropped += dropped
                    self._status.corrupt = corrupt + source.corrupt_frames
            if start is not None and self._loop:
                self._stop.wait(1 / source.info.fps)
        finally:
            with self._changed:
                self._status.corrupt = corrupt + source.corrupt_frames
            if isinstance(source, LiveSource):
                source.close()
                if self._recorder is not None:
                    self._recorder.close()

    def _pace(self, seconds: float, start: float | None) -> float | None:
        """Wait until a file's frame is due; when its playing began, in monotonic seconds."""
        if self._fast:
            return None
        now = time.monotonic()
        # A machine that slept, or is too slow, goes on from here at the file's own speed.
        if start is None or now - start - seconds > BEHIND:
            return now - seconds
        self._stop.wait(max(0.0, start + seconds - now))
        return start

    def _counted(self, seconds: float) -> bool:
        """Count a decoded picture; whether the cap of the rate keeps it."""
        keeps = self._cap.keeps(seconds)
        with self._changed:
            self._seen = time.monotonic()
            self._decoded.append(self._seen)
            self._status.frames += 1
            self._status.capped += not keeps
        return keeps

    def _noted_size(self, source: VideoSource, last: tuple[int, int]) -> tuple[int, int]:
        first = (source.info.width, source.info.height)
        size = (isinstance(source, LiveSource) and source.resized) or first
        if size != last:
            with self._changed:
                self._status.width, self._status.height = size
            log.info("%s: pictures are %dx%d now, scaled to %dx%d", self.name, *size, *first)
        return size

    def _retry(self, reason: str, delay: float) -> None:
        # Cameras behind one switch would otherwise all come back in the same moment.
        delay *= random.uniform(0.75, 1.0)
        reason = self._shown(reason)
        self._losses.warning(reason, "%s: %s; next try in %.1f s", self.name, reason, delay)
        self._say("retrying", reason, next_try=time.time() + delay)
        self._stop.wait(delay)

    def _end(self, reason: str) -> None:
        reason = self._shown(reason)
        self._say("ended", reason)
        if reason:
            log.warning("%s: %s", self.name, reason)

    def _shown(self, reason: str) -> str:
        """A reason in one line, without credentials."""
        return " ".join(without_addresses(reason).split())

    def _say(self, state: State, detail: str, next_try: float | None = None) -> None:
        with self._changed:
            status = self._status
            if state != status.state:
                status.since = time.time()
            status.state, status.detail, status.next_try = state, detail, next_try
