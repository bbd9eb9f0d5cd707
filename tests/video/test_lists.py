"""Files that name others, as playlists do: nothing that they name is opened."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import cv2
import pytest
from test_video import encode, quadrants

import vadistill
from support.folder_server import FolderServer
from support.mjpeg_server import MjpegServer
from vadistill.cli import main
from vadistill.errors import VideoError
from vadistill.video import LiveSource, open_video
from vadistill.video.bounds import formats


def playlist(*parts: str) -> str:
    lines = "".join(f"#EXTINF:1.6,\n{part}\n" for part in parts)
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n"


SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
LISTS = {
    "by_name.m3u8": playlist("part.ts"),
    "by_path.m3u8": playlist("{folder}/part.ts"),
    "by_protocol.m3u8": playlist("file:{folder}/part.ts"),
    "called_a_video.mp4": playlist("part.ts"),
    "of_lists.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\nby_name.m3u8\n",
    "joined.ffconcat": "ffconcat version 1.0\nfile part.ts\n",
    "joined.txt": "ffconcat version 1.0\nfile 'part.ts'\n",
    "session.sdp": f"{SDP}m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_files_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    encode(tmp_path / "part.ts")
    (tmp_path / "by_name.m3u8").write_text(LISTS["by_name.m3u8"])
    (tmp_path / name).write_text(LISTS[name].replace("{folder}", str(tmp_path)))
    with pytest.raises(VideoError, match=f"cannot open .*{name} as a video") as error:
        open_video(tmp_path / name)
    # FFmpeg itself takes no playlist for one that is called otherwise.
    assert ("it only names other files" in str(error.value)) == (not name.endswith(".mp4"))
    assert len(str(error.value).splitlines()) == 1


def test_a_pattern_of_pictures_is_no_video(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"frame{i:02}.ppm"), quadrants(32, 24, 0))
    shutil.copy(tmp_path / "frame00.ppm", tmp_path / "frame%02d.ppm")
    try:
        assert len(list(open_video(tmp_path / "frame%02d.ppm"))) == 1  # the one of that name
    except VideoError as error:
        assert "cannot open" in str(error)


def test_score_reads_nothing_that_a_playlist_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = encode(tmp_path / "part.ts")
    vadistill.fit("motion", part, out=tmp_path / "m.vad")
    path = tmp_path / "day.m3u8"
    path.write_text(playlist("part.ts"))
    assert (
        main(["score", str(tmp_path / "m.vad"), str(path), "--out", str(tmp_path / "s.csv")]) == 2
    )
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "day.m3u8" in line]
    assert "only names other files" in line
    assert not (tmp_path / "s.csv").exists()


def test_what_opens_other_files_or_devices_is_left_out() -> None:
    local, web = set(formats().split(",")), set(formats("dash", "hls").split(","))
    assert {"mov", "matroska", "avi", "mpegts", "mjpeg", "h264"} <= local
    opening = {"concat", "hls", "dash", "sdp", "image2", "lavfi", "rtsp", "rtp", "mlv", "vobsub"}
    assert not local & opening and web & opening == {"hls", "dash"}


# -- over HTTP ---------------------------------------------------------------------------------


def test_hls_over_http_is_its_parts(tmp_path: Path) -> None:
    part = encode(tmp_path / "part.ts")
    (tmp_path / "live.m3u8").write_text(playlist("part.ts"))
    with FolderServer(tmp_path) as server:
        frames = list(open_video(server.address("live.m3u8")))
    assert "/part.ts" in server.asked
    assert [f.time for f in frames] == pytest.approx([f.time for f in open_video(part)], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("live.m3u8", playlist("file://{folder}/part.ts")),
        ("live.m3u8", playlist("tcp://127.0.0.1:{port}/part.ts")),
        ("live.m3u8", playlist("crypto+file://{folder}/part.ts")),
        ("live.ffconcat", "ffconcat version 1.0\nfile part.ts\n"),
        ("live.sdp", f"{SDP}m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"),
    ],
)
def test_what_is_served_opens_no_file_and_no_other_protocol(
    name: str, text: str, tmp_path: Path
) -> None:
    encode(tmp_path / "part.ts")
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)
        port = str(other.getsockname()[1])
        text = text.replace("{folder}", str(tmp_path)).replace("{port}", port)
        (tmp_path / name).write_text(text)
        with FolderServer(tmp_path) as server, pytest.raises(VideoError, match="cannot open"):
            LiveSource(server.address(name), timeout=2.0)
        assert "/part.ts" not in server.asked
        with pytest.raises(TimeoutError):
            other.accept()


def test_a_camera_of_another_kind_is_told_as_that() -> None:
    with (
        MjpegServer(lambda: [LISTS["joined.txt"].encode()], kind="text/plain") as camera,
        pytest.raises(VideoError, match="only names other files or streams"),
    ):
        LiveSource(camera.address(), timeout=2.0)
