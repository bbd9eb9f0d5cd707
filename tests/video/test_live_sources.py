"""Live sources: real streams over loopback, what goes wrong with them, and what is recorded."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from test_video import encode, levels

from support.file_server import FileServer
from support.folder_server import FolderServer
from support.mjpeg_server import BOUNDARY, MjpegServer, level, part
from support.rtsp_proxy import FlippingProxy
from support.rtsp_server import RtspServer, missing
from support.waiting import stood_still, until
from vadistill.errors import VideoError
from vadistill.serving.live.reader import Reader, Session
from vadistill.serving.live.session import RateCap, Stillness
from vadistill.serving.live.status import State
from vadistill.serving.storage import late_file
from vadistill.serving.storage import recorder as recording
from vadistill.serving.storage.recorder import Recorder, segments
from vadistill.serving.storage.recordings import prune_recordings
from vadistill.video import Frame, LiveSource, VideoInfo, open_video
from vadistill.video.reading import Timeline

rtsp = pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")
QUICK = (0.05, 0.2)
"""Seconds between tries in tests."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    ours = ("live ", "read ")
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith(ours)], 5)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", 50, (320, 240), noise=True)


@contextlib.contextmanager
def reading(address: str | Path, **options) -> Iterator[tuple[Reader, Iterator[Session]]]:
    """A reader that runs while the block does."""
    reader = Reader(str(address), name="gate", backoff=QUICK, **{"timeout": 2.0, **options})
    reader.start()
    try:
        yield reader, reader.sessions()
    finally:
        began = time.monotonic()
        reader.stop()
        assert time.monotonic() - began < 2
        assert reader.status.state in ("stopped", "ended")


def plain(count: int, size: tuple[int, int] = (64, 48)) -> list[bytes]:
    """Multipart pictures of grey levels 0, 4, 8, …"""
    return [part(level(4 * i % 256, size)) for i in range(count)]


def pictures(folder: Path, count: int, change: int = 4) -> Path:
    """A frame folder of grey levels; 25 frames a second."""
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"{i:03}.png"), level(change * i % 256))
    return folder


# -- addresses ---------------------------------------------------------------------------------


REFUSED = {
    "ftp://me:hunter2@host/a": "can be watched",
    "file:///etc/passwd": "can be watched",
    "rtsp:///me:hunter2@host/a": "cannot open",
    "me:hunter2@host/a": "cannot find '…@host/…'",
    "concat://hunter2@a|b": "can be watched",
    "rtsp://me:hunter2@127.0.0.1:1/a": "Connection refused",
    "http://me:hunter2@127.0.0.1:1/a?key=hunter2": "Connection refused",
    "webcam:987": "cannot open webcam:987",
}


@pytest.mark.parametrize("address", REFUSED)
def test_what_cannot_be_opened_says_so_and_no_password(address: str) -> None:
    for source in (address, Path(address)):
        if "webcam" in address and isinstance(source, Path):
            continue
        with pytest.raises(VideoError, match=REFUSED[address]) as error:
            open_video(source)
        assert "hunter2" not in "".join(traceback.format_exception(error.value))
        assert len(str(error.value).splitlines()) == 1


def test_a_stream_cannot_have_a_file_opened(tmp_path: Path, clip: Path) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{clip}\n#EXT-X-ENDLIST\n"
    kind = "application/vnd.apple.mpegurl"
    with (
        MjpegServer(lambda: [playlist.encode()], kind=kind) as camera,
        pytest.raises(VideoError, match="cannot open"),
    ):
        LiveSource(camera.address(), timeout=1.0)


# -- RTSP --------------------------------------------------------------------------------------


@rtsp
def test_rtsp_gives_the_frames_of_its_file(clip: Path) -> None:
    with RtspServer(gate=clip) as server:
        source = open_video(server.address("gate", "me:hunter2@"), name="gate")
        frames = list(source)
    assert source.info == VideoInfo("gate", 320, 240, 25.0, None)
    direct = list(open_video(clip))
    assert [f.index for f in frames] == list(range(50)) and source.corrupt_frames == 0
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, direct, strict=True))
    assert np.allclose([f.time for f in frames], np.arange(50) / 25, rtol=0, atol=1e-3)


@rtsp
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_is_over_what_is_chosen(tmp_path: Path, transport: str) -> None:
    other = {"tcp": "udp", "udp": "tcp"}[transport]
    with RtspServer(gate=encode(tmp_path / "small.mp4", 50), over=transport) as server:
        address = server.address("gate")
        with reading(address, transport=transport) as (_, sessions):
            frames = list(itertools.islice(next(sessions), 20))
        assert [f.time for f in frames] == pytest.approx(np.arange(20) / 25, abs=1e-3)
        with pytest.raises(VideoError, match="cannot open"):
            LiveSource(address, transport=other, timeout=3)


@rtsp
def test_a_camera_that_dies_is_taken_up_again(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with (
        RtspServer(gate=clip) as server,
        reading(server.address("gate", "me:hunter2@")) as (reader, sessions),
    ):
        first = next(sessions)
        taken = [f.index for f in itertools.islice(first, 3)]
        assert reader.status.state == "running" and reader.status.input_fps > 5
        server.kill()
        taken += [f.index for f in first]
        assert taken == list(range(len(taken)))
        until(lambda: "Connection refused" in reader.status.detail)
        status = reader.status
        assert status.state == "retrying" or status.state == "connecting"
        server.start()
        second = next(sessions)
        assert next(iter(second)).index == 0 and second is not first
        assert (reader.status.state, reader.status.detail) == ("running", "")
        assert reader.status.reconnects == 1
    assert "next try in" in caplog.text and "connected again" in caplog.text
    assert "hunter2" not in caplog.text + repr(reader.status)


@rtsp
def test_flipped_bits_are_left_out_and_counted(clip: Path) -> None:
    with RtspServer(gate=clip) as server, FlippingProxy(server.port, every=9) as proxy:
        source = LiveSource(f"rtsp://127.0.0.1:{proxy.port}/gate", timeout=3)
        frames = list(source)
    assert proxy.flipped > 3
    assert 5 < len(frames) < 50 and source.corrupt_frames > 0
    assert all(a.time <= b.time for a, b in itertools.pairwise(frames))


# -- MJPEG over HTTP ---------------------------------------------------------------------------


def drained(source: LiveSource) -> list[Frame]:
    """All frames of a camera that hangs up at the end."""
    frames = []
    with contextlib.suppress(VideoError):
        for frame in source:
            frames.append(frame)
    return frames


def test_mjpeg_over_http_is_timed_by_the_wall_clock() -> None:
    with MjpegServer(lambda: plain(30), pause=0.03) as camera:
        source = LiveSource(camera.address("me:hunter2@", "?key=hunter2"), timeout=2)
        frames = drained(source)
    assert levels_of(frames) == [4 * i for i in range(30)]
    assert 0.6 < frames[-1].time < 3 and source.info.name == "127.0.0.1"


def shades() -> Iterator[np.ndarray]:
    return (level(4 * i) for i in range(30))


WRAPPINGS = {
    "no first boundary": lambda: (
        part(image).removeprefix(b"" if i else BOUNDARY) for i, image in enumerate(shades())
    ),
    "image/jpg": lambda: (part(image, kind="image/jpg") for image in shades()),
    "no type": lambda: (part(image, kind="") for image in shades()),
    "an empty line first": lambda: (
        b"\r\n" + part(image).removesuffix(b"\r\n") for image in shades()
    ),
    "pictures alone": lambda: (part(image).partition(b"\r\n\r\n")[2] for image in shades()),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_mjpeg_opens_however_its_parts_are_wrapped(wrapping: str) -> None:
    with MjpegServer(WRAPPINGS[wrapping], pause=0.03) as camera:
        source = LiveSource(camera.address(), timeout=3)
        frames = drained(source)
    assert levels_of(frames) == [4 * i for i in range(30)] and source.corrupt_frames == 0
    assert frames[-1].time > 0  # by the wall clock


@pytest.mark.parametrize("name", ["snap.jpg", "snap.JPEG?user=me", "snap.cgi", "snap.png"])
def test_a_still_picture_is_named_as_that(name: str) -> None:
    kind = ".png" if name.endswith(".png") else ".jpg"
    picture = cv2.imencode(kind, np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    with (
        FileServer({name: picture}) as server,
        pytest.raises(VideoError, match="a single picture, not a stream") as told,
    ):
        list(LiveSource(f"{server.address}/{name}", timeout=5))
    assert "RTSP, or MJPEG over HTTP" in str(told.value) and "me" not in str(told.value).split()


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_user_and_password_are_named_where_they_were_refused(status: int) -> None:
    with (
        MjpegServer(list, status=status) as camera,
        pytest.raises(VideoError, match="cannot open") as error,
    ):
        LiveSource(camera.address("me:hunter2@"), timeout=2)
    assert ("check the user and password" in str(error.value)) == (status in (401, 403))
    assert "hunter2" not in str(error.value)


@rtsp
def test_a_password_that_rtsp_refuses_is_named(tmp_path: Path) -> None:
    path = encode(tmp_path / "small.mp4", 10)
    with RtspServer(password="swordfish", gate=path) as server:
        with pytest.raises(VideoError, match="check the user and password"):
            LiveSource(server.address("gate", "me:hunter2@"), timeout=3)
        assert len(list(LiveSource(server.address("gate", "me:swordfish@"), timeout=3))) == 10
        with pytest.raises(VideoError, match="check the address"):
            LiveSource(server.address("yard", "me:swordfish@"), timeout=3)


def levels_of(frames: list[Frame]) -> list[int]:
    return [round(float(f.image.mean())) for f in frames]


def test_garbage_between_pictures_ends_nothing() -> None:
    chance = random.Random(1)

    def chunks() -> Iterator[bytes]:
        for i, chunk in enumerate(plain(60)):
            yield chunk
            if i % 10 == 9:
                yield chance.randbytes(500)

    with MjpegServer(chunks, pause=0.005) as camera:
        source = LiveSource(camera.address(), timeout=2)
        frames = drained(source)
    assert len(frames) >= 50 and source.corrupt_frames >= 5
    assert levels_of(frames)[-1] == 4 * 59


def test_another_resolution_is_scaled_to_the_first(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sizes = [(64, 48), (96, 80), (64, 48)]
    chunks = list(itertools.chain(*(plain(15, size) for size in sizes)))
    with (
        MjpegServer(lambda: chunks, pause=0.01, silent=9) as camera,
        reading(camera.address()) as (reader, sessions),
    ):
        seen = set()
        for frame in itertools.islice(next(sessions), 42):
            assert frame.image.shape == (48, 64, 3)
            seen.add((reader.status.width, reader.status.height))
    assert seen == {(64, 48), (96, 80)}
    assert "96x80 now, scaled to 64x48" in caplog.text


def test_silence_is_the_loss_of_the_stream() -> None:
    with MjpegServer(lambda: plain(5), silent=9) as camera:
        source = LiveSource(camera.address(), timeout=0.5)
        began, frames = time.monotonic(), []
        with pytest.raises(VideoError, match=r"nothing arrived for 0\.5 s"):
            for frame in source:
                frames.append(frame)
    assert len(frames) == 5 and time.monotonic() - began < 2


def test_closing_ends_a_silent_stream_at_once() -> None:
    with MjpegServer(lambda: plain(3), silent=9) as camera:
        source = LiveSource(camera.address(), timeout=4)
        frames = iter(source)
        list(itertools.islice(frames, 3))
        threading.Timer(0.1, source.close).start()
        began = time.monotonic()
        assert list(frames) == []
        assert time.monotonic() - began < 1


def test_stopping_does_not_wait_for_a_host_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/a"
        with reading(address, timeout=3.0) as (reader, sessions):
            until(lambda: reader.status.state == "connecting")
        assert list(sessions) == []


def test_a_stream_without_pictures_is_tried_again() -> None:
    with (
        MjpegServer(lambda: [b"no video here"] * 3) as camera,
        reading(camera.address()) as (reader, _),
    ):
        until(lambda: camera.clients > 2)
        until(lambda: reader.status.state == "retrying")
        assert "cannot open" in reader.status.detail


def test_pictures_that_are_not_wanted_are_not_converted() -> None:
    with MjpegServer(lambda: plain(20), pause=0.005) as camera:
        source = LiveSource(camera.address(), timeout=2)
        count = itertools.count()
        source.wanted = lambda _: next(count) % 2 == 0
        frames = drained(source)
    assert levels_of(frames) == [8 * i for i in range(10)]


def timed(clip: Path, stamps: list[int | None]) -> list[float]:
    """Times of a live stream's packets with these stamps in milliseconds."""
    with av.open(str(clip)) as container:
        (stream,) = container.streams.video
        timeline = Timeline(container, stream, 25.0, live=True)
        times = []
        for stamp in stamps:
            packet = av.Packet(1)
            unit = Fraction(1, 1000) / timeline.unit
            packet.pts = packet.dts = None if stamp is None else round(stamp * unit)
            time.sleep(0.06 if stamp == 40 else 0)  # A network is not to be heard in the times.
            timeline.follow(packet)
            times.append(timeline.seconds(packet.pts))
    return times


def test_times_of_a_live_stream_go_on_when_stamps_do_not(clip: Path) -> None:
    stamps = [None, 40, 80, None, 160, 90_000_000, 90_000_040, 5, 45, 44]
    expected = [0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28, 0.32, 0.32]
    assert timed(clip, stamps) == pytest.approx(expected, abs=0.01)
    # Some come late over a network; a second is none too many, and their time is not theirs.
    assert timed(clip, [0, 800, 40, 840]) == pytest.approx([0, 0.8, 0.8, 0.84])
    assert timed(clip, [None] * 26)[-1] < 1.1 and timed(clip, [None] * 90)[-1] < 1.1


def test_made_up_stamps_of_a_live_stream_are_none(tmp_path: Path) -> None:
    raw = encode(tmp_path / "clip.h264", 3)
    assert timed(raw, [0, 9_000_000, 9_900_000])[-1] < 1


# -- files and folders -------------------------------------------------------------------------


def test_a_missing_and_an_empty_file_are_tried_until_they_are_there(
    tmp_path: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "late.mp4"
    with reading(path, fast=True) as (reader, sessions):
        until(lambda: "cannot find" in reader.status.detail)
        path.touch()
        until(lambda: "is empty" in reader.status.detail)
        assert reader.status.next_try is not None
        shutil.copy(clip, tmp_path / "whole.mp4")
        (tmp_path / "whole.mp4").replace(path)
        assert len(list(next(sessions))) == 50
        assert list(sessions) == []
        until(lambda: reader.status.state == "ended")
        assert reader.status.frames == 50 and reader.status.dropped == 0
    assert "next try in" in caplog.text


def test_tries_come_ever_less_often_and_each_reason_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video at all " * 100)
    reader, waits = Reader(str(path), name="gate", backoff=(0.02, 0.1)), []
    stop, wait = reader._stop, reader._stop.wait
    monkeypatch.setattr(stop, "wait", lambda seconds: waits.append(seconds) or wait(seconds))
    reader.start()
    until(lambda: len(waits) > 5)
    assert [r.getMessage().count("next try in") for r in caplog.records] == [1]
    path.write_bytes(b"")
    until(lambda: "is empty" in reader.status.detail)
    until(lambda: len(waits) > 12)
    reader.stop()
    assert waits[0] <= 0.02 and max(waits) <= 0.1 and min(waits[3:]) >= 0.07
    first, second = (record.getMessage() for record in caplog.records)
    assert "notes.mp4" in first and "is empty" not in first and "is empty" in second


@pytest.mark.parametrize("loop", [False, True])
def test_a_file_that_is_cut_short_ends_its_session(tmp_path: Path, clip: Path, loop: bool) -> None:
    whole = tmp_path / "whole.mkv"
    encode(whole, 100, noise=True)
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with reading(path, fast=True, loop=loop) as (reader, sessions):
        assert 20 < len(list(next(sessions))) < 80
        state = "retrying" if loop else "ended"
        until(lambda: reader.status.state == state)
        assert "cut short" in reader.status.detail
        assert len(list(next(sessions, ()))) == (0 if not loop else pytest.approx(50, abs=30))


def test_a_file_that_is_played_again_runs_on(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states, say = [], Reader._say

    def noted(self: Reader, state: State, detail: str, **more: Any) -> None:
        states.append(state)
        say(self, state, detail, **more)

    monkeypatch.setattr(Reader, "_say", noted)
    with reading(clip, fast=True, loop=True) as (reader, sessions):
        for session in itertools.islice(sessions, 3):
            assert len(list(session)) == 50 and reader.trouble == ""
    assert states[:4] == ["connecting", "running", "running", "running"]


def test_a_file_is_played_at_its_own_speed(tmp_path: Path) -> None:
    with reading(pictures(tmp_path / "frames", 26)) as (reader, sessions):
        began, walls = time.monotonic(), []
        session = next(sessions)
        for frame in session:
            arrival = session.arrival(frame.index)
            assert arrival is not None and arrival.frame is frame
            walls.append(arrival.moment)
            if frame.index == 20:
                assert 20 < reader.status.input_fps < 30
        assert 0.9 < time.monotonic() - began < 2
    assert np.allclose(np.subtract(walls, walls[0]), np.arange(26) / 25, atol=0.1)


@pytest.mark.parametrize("lengths", [True, False], ids=["told length", "untold length"])
def test_a_file_over_http_is_played_at_its_own_speed(lengths: bool, tmp_path: Path) -> None:
    encode(tmp_path / "day.mp4", 50, container={"movflags": "faststart"})
    with (
        FolderServer(tmp_path, lengths=lengths) as server,
        reading(server.address("day.mp4"), queue=4) as (reader, sessions),
    ):
        began = time.monotonic()
        frames = list(next(sessions))
        assert [frame.index for frame in frames] == list(range(50))
        assert 1.9 < time.monotonic() - began < 4
        assert reader.status.dropped == 0
        assert next(sessions).info.width == frames[0].image.shape[1], "it is played again"


def test_a_loop_starts_again_in_a_session_of_its_own(tmp_path: Path) -> None:
    with reading(pictures(tmp_path / "frames", 5), loop=True) as (reader, sessions):
        for session in itertools.islice(sessions, 3):
            frames = list(session)
            assert [f.index for f in frames] == list(range(5)) and frames[0].time == 0
    assert reader.status.reconnects == 0


def test_the_queue_drops_its_oldest_frames_and_counts_them(tmp_path: Path) -> None:
    with reading(pictures(tmp_path / "frames", 40), queue=4) as (reader, sessions):
        session = next(sessions)
        until(lambda: reader.status.frames == 40)
        frames = list(session)
        assert levels_of(frames) == [4 * i for i in range(36, 40)]
        assert [f.index for f in frames] == [0, 1, 2, 3]
        assert [f.time for f in frames] == pytest.approx([0, 0.04, 0.08, 0.12])
        assert reader.status.dropped == 36


def test_nothing_is_dropped_when_a_file_is_read_fast(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "frames", 40)
    with reading(folder, queue=2, fast=True, loop=True) as (reader, sessions):
        for session in itertools.islice(sessions, 3):
            for frame in session:
                if frame.index % 13 == 0:
                    time.sleep(0.02)
            assert frame.index == 39  # pyright: ignore[reportPossiblyUnboundVariable]
    assert reader.status.dropped == 0


@pytest.mark.parametrize(("fps", "cap"), [(25.0, 6.0), (30.0, 10.0), (25.0, 24.0), (10.0, 50.0)])
def test_a_capped_rate_is_kept_on_average(fps: float, cap: float) -> None:
    rate, chance = RateCap(cap), random.Random(0)
    times = [i / fps + chance.uniform(-0.003, 0.003) for i in range(round(60 * fps))]
    kept = sum(rate.keeps(t) for t in times)
    assert kept / 60 == pytest.approx(min(fps, cap), rel=0.01)
    assert sum(rate.keeps(1000 + t) for t in times) == pytest.approx(kept, abs=2)


def test_capped_frames_are_counted(tmp_path: Path) -> None:
    with reading(pictures(tmp_path / "frames", 50), fps=5.0, fast=True) as (reader, sessions):
        session = next(sessions)
        frames = list(session)
        assert session.info.fps == 5.0
        assert [f.time for f in frames] == pytest.approx(np.arange(10) / 5)
        assert reader.status.capped == 40 and reader.status.frames == 50


def test_pictures_without_motion_are_left_out_but_one_a_second(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "frames", 60, change=0)
    cv2.imwrite(str(folder / "040.png"), level(90))
    with reading(folder, skip_idle=True, fast=True) as (reader, sessions):
        times = [f.time for f in next(sessions)]
        assert times == pytest.approx([0, 1, 1.6, 1.64])
        assert reader.status.idle == 56


def test_a_small_thing_that_moves_is_motion() -> None:
    still, chance = Stillness(), np.random.default_rng(0)
    scene = chance.integers(60, 200, (360, 640, 3)).astype(np.uint8)
    for i in range(10):
        noisy = scene + chance.integers(0, 6, scene.shape).astype(np.uint8)
        assert still.found(noisy, i / 25) == (i > 0)
    walker = scene.copy()
    walker[100:140, 300:316] = 0
    assert not still.found(walker, 0.5)


def test_arrivals_are_forgotten(tmp_path: Path) -> None:
    with reading(pictures(tmp_path / "frames", 30), fast=True) as (_, sessions):
        session = next(sessions)
        assert session.arrival(0) is None and not session.over
        list(itertools.islice(session, 4))
        assert next(iter(session)).index == 4
        list(session)
        assert session.over
        session.forget(before=10)
        known = [i for i in range(-1, 40) if session.arrival(i) is not None]
        assert known == list(range(10, 30))


def test_old_arrivals_are_kept_small():
    session = Session(
        VideoInfo("door", 64, 48, 25.0, None), queue=999, blocking=False, stop=threading.Event()
    )
    shades = [level(i) for i in range(200)]
    for i, shade in enumerate(shades):
        assert session.put(Frame(i, i / 25, shade), 100 + i / 1000) == 0
    session.end()
    assert len(list(session)) == 200
    for i in (0, 100, 199):
        arrival = session.arrival(i)
        assert arrival is not None and arrival.moment == 100 + i / 1000
        assert abs(arrival.frame.image.astype(int) - shades[i]).max() <= 3
    session.forget(50)
    assert session.arrival(49) is None and session.arrival(50) is not None


def test_frames_that_wait_too_long_or_are_too_large_are_dropped():
    def put(info: VideoInfo, walls: list[float]) -> list[int]:
        session = Session(info, queue=64, blocking=False, stop=threading.Event())
        return [session.put(Frame(i, wall, level(0)), wall) for i, wall in enumerate(walls)]

    small = VideoInfo("door", 64, 48, 25.0, None)
    assert sum(put(small, [0.0] * 64)) == 0  # a burst, as streams begin with
    assert put(small, [0.0] * 64 + [0.1])[-1] == 1
    assert put(small, [0.0, 0.5, 1.4, 1.6])[-1] == 1 and put(small, [0.0, 0.5, 9.0])[-1] == 2
    # 100 MB each: two wait.
    assert sum(put(VideoInfo("wall", 7680, 4320, 25.0, None), [0.0] * 20)) == 18


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_stays_flat_over_many_connections() -> None:
    chunks = plain(20, (640, 480))
    with (
        MjpegServer(lambda: chunks, pause=0.0) as camera,
        reading(camera.address(), queue=4) as (reader, sessions),
    ):
        sizes = []
        for session in itertools.islice(sessions, 12):
            for _ in session:
                pass
            sizes.append(resident())
        assert reader.status.frames > 150
    # A connection's pictures are 18 MB.
    assert sizes[-1] - sizes[5] < 20e6


# -- recording ---------------------------------------------------------------------------------


def record(recorder: Recorder, clip: Path) -> None:
    """All of a file, as fast as it is read."""
    with av.open(str(clip)) as file:
        for packet in file.demux(video=0):
            if packet.size:
                recorder.packet(packet, file.streams.video[0])


@rtsp
def test_what_is_recorded_can_be_read_again(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mp4", 50)
    # A file for each picture that stands alone: on a busy machine they may all come in a moment.
    recorder = Recorder(tmp_path, camera="gate", segment_seconds=0.0)
    began = time.time()
    with (
        RtspServer(gate=path) as server,
        reading(server.address("gate"), recorder=recorder) as (_, sessions),
    ):
        session = next(sessions)
        next(iter(session))
        until(lambda: len(list((tmp_path / "gate").glob("*.part"))) == 1)
        list(session)
    found = segments(tmp_path, "gate", began - 2, time.time() + 9)
    assert len(found) > 1 and [s for s, _ in found] == sorted(s for s, _ in found)
    assert began - 2 < found[0][0] < time.time()
    read = [open_video(p) for _, p in found]
    # RTSP's first picture comes without its time, so that the first group is left out.
    assert list(itertools.chain(*map(levels, read))) == list(range(10, 50))
    assert all(source.info.fps == pytest.approx(25, rel=0.1) for source in read)
    assert not list((tmp_path / "gate").glob("*.part"))
    assert segments(tmp_path, "gate", 0, began - 60) == []


def test_mjpeg_is_recorded_at_the_speed_it_came(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, camera="gate")
    with MjpegServer(lambda: plain(20), pause=0.05) as camera:
        source = LiveSource(camera.address(), timeout=2)
        source.packets = recorder.packet
        seconds = drained(source)[-1].time
        recorder.close()
    [(_, path)] = segments(tmp_path, "gate", 0, 1e12)
    frames = list(open_video(path))
    assert levels_of(frames) == [4 * i for i in range(20)]
    assert frames[-1].time == pytest.approx(seconds, abs=0.15)


def test_old_recordings_go(tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    now = time.time()
    for hours in (0, 1, 3, 5):
        start = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - 3600 * hours))
        (folder / f"{start}.mkv").touch()
        os.utime(folder / f"{start}.mkv", (now, now - 3600 * hours + 60))
    (folder / "holiday.mkv").touch()
    assert prune_recordings(tmp_path, {"gate": 2.0}, now) == 2
    assert len(segments(tmp_path, "gate", 0, now + 1)) == 2
    assert (folder / "holiday.mkv").exists()


def test_a_recording_that_was_cut_off_is_repaired(tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    whole = encode(tmp_path / "a.mkv", 80, noise=True).read_bytes()
    (folder / "20260102T030405Z.part").write_bytes(whole[: len(whole) * 3 // 4])
    (folder / "20260102T030505Z.part").write_bytes(b"")
    Recorder(tmp_path, camera="gate")
    [(start, path)] = segments(tmp_path, "gate", 0, 1e12)
    assert [p.name for p in folder.iterdir()] == ["20260102T030405Z.mkv"]
    assert start == 1767323045 and 40 < len(list(open_video(path))) < 80


def test_a_recording_that_cannot_be_repaired_holds_up_neither_start_nor_camera(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a pipe that nobody writes to: the system's call to open it hangs."""
    monkeypatch.setattr(recording, "REPAIR", 0.5)
    folder = tmp_path / "gate"
    folder.mkdir()
    part, pipe = folder / "20260102T030505Z.part", folder / "20260102T030405Z.part"
    part.write_bytes(encode(tmp_path / "a.mkv", 40).read_bytes())
    (folder / ".20260102T030405Z.x.whole").touch()
    os.mkfifo(pipe)
    made: list[Recorder] = []
    took, longest = stood_still(lambda: made.append(Recorder(tmp_path, camera="gate")))
    assert 0.4 < took < 3 and longest < 0.4
    record(made[0], clip)
    made[0].close()
    [(_, path)] = segments(tmp_path, "gate", time.time() - 60, 1e12)
    assert len(list(open_video(path))) == 50 and part.exists()
    os.close(os.open(pipe, os.O_WRONLY))  # there is nothing in it
    until(lambda: not list(folder.glob("*.part")))
    assert len(segments(tmp_path, "gate", 0, 1e12)) == 2 and not list(folder.glob("*.whole"))


def test_what_another_recorder_works_at_is_left_to_it(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a changed camera's recorder begins while its former one waits for the disk."""
    monkeypatch.setattr(recording, "REPAIR", 0.2)
    folder = tmp_path / "gate"
    folder.mkdir()
    pipe = folder / "20260102T030405Z.part"  # a repair of it hangs
    os.mkfifo(pipe)
    old = Recorder(tmp_path, camera="gate")
    record(old, clip)
    assert old._later.flush(10)
    part = next(path for path in folder.glob("*.part") if path != pipe)
    whole, rest = folder / f".{pipe.stem}.x.whole", folder / ".20260102T020405Z.x.whole"
    whole.touch()
    rest.touch()
    Recorder(tmp_path, camera="gate")
    assert part.exists() and whole.exists() and not rest.exists()
    old.close()
    [(_, path)] = segments(tmp_path, "gate", time.time() - 60, 1e12)
    assert len(list(open_video(path))) == 50 and not part.exists()
    os.close(os.open(pipe, os.O_WRONLY))
    until(lambda: not pipe.exists() and not late_file.UNFINISHED)


def test_a_repair_is_left_to_itself_where_its_name_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a pipe, which gives the recording's bytes later."""
    monkeypatch.setattr(recording, "REPAIR", 0.2)
    folder = tmp_path / "gate"
    folder.mkdir()
    taken, pipe = folder / "20260102T030405Z.mkv", folder / "20260102T030405Z.part"
    taken.touch()
    os.mkfifo(pipe)
    Recorder(tmp_path, camera="gate")
    with pipe.open("wb") as writer:
        until(lambda: list(folder.glob("*.whole")))
        [whole] = folder.glob("*.whole")
        Recorder(tmp_path, camera="gate")
        assert whole.exists()
        writer.write(encode(tmp_path / "a.mkv", 40).read_bytes())
    until(lambda: not late_file.UNFINISHED)
    assert sorted(folder.iterdir()) == [taken, later := folder / "20260102T030406Z.mkv"]
    assert len(list(open_video(later))) == 40 and not taken.stat().st_size


def test_recorders_that_begin_in_the_same_second_write_files_of_their_own(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1767323045.5  # 2026-01-02 03:04:05
    monkeypatch.setattr(time, "time", lambda: now)
    old, new = (Recorder(tmp_path, camera="gate") for _ in range(2))
    record(old, clip)
    assert old._later.flush(10)
    record(new, clip)
    assert new._later.flush(10)
    stems = [f"20260102T03040{second}Z" for second in (5, 6)]
    assert sorted(p.name for p in (tmp_path / "gate").iterdir()) == [f"{s}.part" for s in stems]
    old.close()
    new.close()
    found = segments(tmp_path, "gate", now - 60, 1e12)
    assert [path.name for _, path in found] == [f"{stem}.mkv" for stem in stems]
    assert [len(list(open_video(path))) for _, path in found] == [50, 50]


def test_a_repair_takes_no_name_of_another_recording(tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    (folder / "20260102T030405Z.mkv").write_bytes(b"whole")
    (folder / "20260102T030405Z.part").write_bytes(encode(tmp_path / "a.mkv", 40).read_bytes())
    Recorder(tmp_path, camera="gate")
    names = [f"20260102T03040{second}Z.mkv" for second in (5, 6)]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert (folder / names[0]).read_bytes() == b"whole"


def test_a_full_disk_leaves_a_recording_for_the_next_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    (folder / "20260102T030405Z.part").write_bytes(encode(tmp_path / "a.mkv", 40).read_bytes())
    with monkeypatch.context() as full:
        full.setattr(
            recording, "replacing", lambda *_, **__: contextlib.nullcontext(Path("/dev/full"))
        )
        Recorder(tmp_path, camera="gate")
    assert [p.name for p in folder.iterdir()] == ["20260102T030405Z.part"]
    assert "No space left on device" in caplog.text
    Recorder(tmp_path, camera="gate")
    assert [p.name for p in folder.iterdir()] == ["20260102T030405Z.mkv"]


def test_a_disk_that_is_full_stops_the_recording_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gate").write_text("a file where the folder should be")
    recorder = Recorder(tmp_path, camera="gate")
    with MjpegServer(lambda: plain(10), pause=0.005) as camera:
        source = LiveSource(camera.address(), timeout=2)
        source.packets = recorder.packet
        assert len(drained(source)) == 10
    recorder.close()
    assert caplog.text.count("cannot record") == 1


@pytest.mark.parametrize("most", [32 << 20, 20_000])
def test_a_disk_that_hangs_holds_up_no_camera(
    tmp_path: Path,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    most: int,
) -> None:
    """A recording is a pipe that nobody reads: the system's call to open it hangs."""
    monkeypatch.setattr(recording, "PAUSE", 0.2)
    recorder, pipe = Recorder(tmp_path, camera="gate"), tmp_path / "gate" / "20260102T030405Z.part"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    with monkeypatch.context() as hanging:
        hanging.setattr(recording, "WRITTEN", 0.5)
        hanging.setattr(late_file, "MOST", most)
        hanging.setattr(recording, "_stem", lambda _: pipe.stem)
        took, longest = stood_still(lambda: record(recorder, clip))
        assert took < 1 and longest < 0.5 and 0 < recorder._later.waiting <= most
        assert caplog.text.count("the disk does not keep up") == (most < 1 << 20)
        took, longest = stood_still(recorder.close)
        assert took < 2 and longest < 0.5
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    until(lambda: recorder._later.flush(0.1) or os.read(reader, 1 << 20))
    until(lambda: recorder._later.flush(0.1))
    os.close(reader)
    time.sleep(0.3)
    record(recorder, clip)  # the disk is well again
    recorder.close()
    assert recorder._later.waiting == 0
    [(_, path)] = segments(tmp_path, "gate", time.time() - 60, 1e12)
    assert len(list(open_video(path))) == 50 and not pipe.exists()


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path, clip: Path) -> None:
    recorder = Recorder(tmp_path, camera="gate")
    for _ in range(3):
        record(recorder, clip)
        recorder.close()
    found = segments(tmp_path, "gate", 0, 1e12)
    assert len(found) == 3 and [len(list(open_video(path))) for _, path in found] == [50] * 3


FULL = """
import resource, sys, threading, time
from pathlib import Path
import av
from vadistill.serving.storage import recorder as recording

recording.PAUSE = 0.3
recorder = recording.Recorder(Path(sys.argv[2]), camera="gate")

def record():
    with av.open(sys.argv[1]) as file:
        for packet in file.demux(video=0):
            if packet.size:
                recorder.packet(packet, file.streams.video[0])
    recorder.close()

resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, -1))
record()
print(len(list(Path(sys.argv[2]).rglob("*.*"))))
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
time.sleep(0.35)
record()
"""


def test_recording_goes_on_when_there_is_space_again(tmp_path: Path, clip: Path) -> None:
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL, str(clip), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0"] and done.stderr.count("cannot record") == 1
    [(_, path)] = segments(tmp_path, "gate", 0, 1e12)
    assert len(list(open_video(path))) == 50
