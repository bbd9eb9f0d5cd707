"""Video over HTTP: what is served is read as the same file is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from test_video import damage, encode, packets, with_sound

import vadistill
from support.folder_server import FolderServer
from support.waiting import until
from vadistill.errors import VideoError
from vadistill.video import LiveSource, VideoSource, open_video


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("live ")], 5)


def joined(path: Path, codec: str = "libx264") -> Path:
    part = encode(path.with_name(f"part{path.suffix}"), codec=codec)
    path.write_bytes(part.read_bytes() * 3)
    return path


def damaged(path: Path) -> Path:
    damage(encode(path, options={"bf": "0"}), 7, 26)
    return path


def trimmed(path: Path) -> Path:
    """Its edit list hides the first four frames."""
    whole = encode(path.with_name("whole.mp4"), options={"bf": "0"})
    with av.open(str(whole)) as before, av.open(str(path), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.pts is not None and packet.dts is not None:
                shift = round(4 / 25 / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                after.mux(packet)
    return path


TIMES = np.cumsum([500] + [40, 40, 120, 20] * 10)[:40].tolist()
FILES: dict[str, Callable[[Path], Path]] = {
    "plain.mp4": encode,
    "index_first.mp4": lambda path: encode(path, container={"movflags": "faststart"}),
    "turned.mp4": lambda path: encode(path, rotation=(90, False)),
    "upside_down.mp4": lambda path: encode(path, rotation=(180, False)),
    "turned_and_mirrored.mp4": lambda path: encode(path, rotation=(-90, True)),
    "b_frames.mkv": lambda path: encode(path, options={"bf": "2"}),
    "b_frames.avi": lambda path: encode(path, options={"bf": "2", "b-adapt": "0"}),
    "b_frames.ts": lambda path: encode(path, options={"bf": "2"}),
    "sound_first.mkv": lambda path: with_sound(path, 40, 75),
    "sound_first.mov": lambda path: with_sound(path, 40, 75),
    "joined.ts": joined,
    "joined.mpg": lambda path: joined(path, "mpeg2video"),
    "variable.mkv": lambda path: encode(path, times=TIMES),
    "damaged.mp4": damaged,
    "trimmed.mp4": trimmed,
    "raw.h264": encode,
    "slow.mjpeg": lambda path: encode(path, codec="mjpeg", pixels="yuvj420p"),
    "motion.avi": lambda path: encode(path, codec="mjpeg", pixels="yuvj420p"),
}


def read_alike(served: VideoSource, file: VideoSource) -> None:
    """Fail unless both give the same frames at the same times."""
    a, b = served.info, file.info
    assert (a.width, a.height, a.fps) == (b.width, b.height, b.fps)
    there, here = list(served), list(file)
    assert [f.index for f in there] == [f.index for f in here]
    assert [f.time for f in there] == pytest.approx([f.time for f in here], abs=1e-6)
    assert all(np.array_equal(x.image, y.image) for x, y in zip(there, here, strict=True))
    assert served.corrupt_frames == file.corrupt_frames


@pytest.mark.parametrize("name", FILES)
def test_a_file_over_http_is_read_as_the_file(name: str, tmp_path: Path) -> None:
    path = FILES[name](tmp_path / name)
    with FolderServer(tmp_path) as server:
        served = open_video(server.address(name))
        assert isinstance(served, LiveSource)
        read_alike(served, open_video(path))
        assert len(list(served)) == len(list(open_video(path)))  # It connects again.


STREAMED = ["index_first.mp4", "b_frames.mkv", "sound_first.mkv", "b_frames.ts", "joined.ts"]


@pytest.mark.parametrize("name", STREAMED)
def test_a_file_of_untold_length_is_read_as_the_file(name: str, tmp_path: Path) -> None:
    path = FILES[name](tmp_path / name)
    with FolderServer(tmp_path, lengths=False) as server:
        read_alike(open_video(server.address(name)), open_video(path))


@pytest.mark.parametrize("name", ["turned.mp4", "sound_first.mkv", "joined.ts", "variable.mkv"])
def test_scores_and_their_times_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    path = FILES[name](tmp_path / name)
    model = vadistill.fit("motion", path, out=tmp_path / "m.vad")
    with FolderServer(tmp_path) as server:
        there, here = model.score(server.address(name)), model.score(path)
    assert np.array_equal(there.values, here.values)
    assert there.times == pytest.approx(here.times, abs=1e-6)


@pytest.mark.parametrize("name", ["index_first.mp4", "b_frames.mkv", "motion.avi"])
def test_a_file_cut_short_is_told_over_http(name: str, tmp_path: Path) -> None:
    path = FILES[name](tmp_path / name)
    position, _ = packets(path)[20]
    path.write_bytes(path.read_bytes()[:position])
    with FolderServer(tmp_path) as server:
        source, frames = open_video(server.address(name)), []
        with pytest.raises(VideoError, match="it ends after") as error:
            for frame in source:
                frames.append(frame)
    assert f"ends after {len(frames)} of 40 frames" in str(error.value)
    assert 18 <= len(frames) <= 20 and len(str(error.value).splitlines()) == 1


def test_a_connection_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.ts", 60, (320, 240), noise=True)
    with FolderServer(tmp_path, ends=path.stat().st_size // 2) as server:
        source = open_video(server.address("long.ts"))
        with pytest.raises(VideoError, match="was lost"):
            list(source)
