"""What is decoded has its limits: pixels of a picture, and memory that a stream can ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from support import bombs
from support.bombs import SdpServer, memory
from support.mjpeg_server import BOUNDARY, MjpegServer, level, part
from vadistill.datasets.check import check
from vadistill.datasets.masks import read_mask
from vadistill.errors import ConfigError, DataError, VideoError
from vadistill.limits import ALLOCATION_BYTES, FRAME_PIXELS
from vadistill.objects import build
from vadistill.systems.aed.pseudo import open_pictures
from vadistill.systems.cafe.data import open_images
from vadistill.video import LiveSource, decode_picture, open_video, read_picture
from vadistill.video.pictures import ORIENTATION

SIZES = ((8000, 8000), (16000, 16000), (30000, 30000))
MOST = 1000
"""Megabytes above idle."""


def encoded(data: bytes) -> bytes:
    """One picture of a multipart stream."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    return BOUNDARY + head + data + b"\r\n"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["jpg", "png", "16 bit"])
def test_pictures_with_too_many_pixels_are_told(
    tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    data = bombs.jpeg(*size) if kind == "jpg" else bombs.png(*size, 16 if "16" in kind else 8)
    path = tmp_path / f"frame.{kind[:3].replace('16 ', 'png')}"
    path.write_bytes(data)
    with memory() as grown:
        with pytest.raises(VideoError, match="36 million"):
            open_video(tmp_path)
        with pytest.raises(DataError, match="36 million"):
            read_mask(path)
        with pytest.raises(ValueError, match="36 million"):
            decode_picture(np.frombuffer(data, np.uint8))
        assert not check(tmp_path).sound
    assert grown[0] < 300


def test_pictures_up_to_the_limit_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((6000, 6000), np.uint8))
    assert read_picture(path).shape == (6000, 6000, 3) and FRAME_PIXELS == 6000**2


def test_pictures_cut_short_or_of_another_kind_are_told(tmp_path: Path) -> None:
    for ending in ("png", "jpg"):
        _, data = cv2.imencode(f".{ending}", np.random.default_rng(0).integers(0, 255, (64, 64)))
        assert decode_picture(data).shape == (64, 64, 3)
        assert decode_picture(np.append(data, np.zeros(500, np.uint8))).shape == (64, 64, 3)
        with pytest.raises(ValueError, match="cut short"):
            decode_picture(data[:-200])
    for odd in (b"", b"text", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(ValueError, match="no picture"):
            decode_picture(np.frombuffer(odd, np.uint8))


def test_names_that_are_no_utf8_are_read_everywhere(tmp_path: Path) -> None:
    _, data = cv2.imencode(".png", np.full((32, 32, 3), (0, 0, 200), np.uint8))
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(10):
            odd = os.path.join(os.fsencode(folder), b"caf\xe9%d.png" % number)
            with open(odd, "wb") as file:
                file.write(data.tobytes())
    images = open_images(tmp_path)
    assert len(images.train) == 18 and tuple(images.train[0, 0, 0]) == (200, 0, 0)
    assert len(open_pictures(tmp_path, 16)) == 20
    first = next(iter(open_video(tmp_path / "a")))
    assert first.image[0, 0, 0] == 200
    assert read_mask(next((tmp_path / "a").iterdir())).all()


def test_what_cannot_be_read_among_pictures_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(12):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / "a" / "1.png").write_bytes(bombs.png(9000, 9000))
    assert len(open_images(tmp_path).train) == 21
    assert "1 files" in caplog.text and "9000x9000" in caplog.text
    assert len(open_pictures(tmp_path, 16)) == 23
    assert "1 pictures left out" in caplog.text


def test_a_pipe_among_frames_is_one_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 8), np.uint8))
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(VideoError, match=r"1\.png cannot be read as a picture \(a folder, pipe"):
        list(open_video(tmp_path))
    with pytest.raises(DataError, match="a folder, pipe or device"):
        read_mask(tmp_path / "1.png")
    report = check(tmp_path)
    assert any("unreadable pictures, such as 1.png" in line for line in report.problems)


@pytest.mark.parametrize("spec", ["background?blur=1000001", "background?close=1000001"])
def test_a_kernel_wider_than_any_picture_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"1000001: expected .*999"):
        build(spec)
    with pytest.raises(ConfigError, match=r"1000001: expected .*999"):
        build("motion?blur=1000001")


# -- live -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_camera_with_too_many_pixels_is_told(size: tuple[int, int]) -> None:
    parts = [encoded(bombs.jpeg(*size))] * 5
    with (
        MjpegServer(lambda: parts, silent=3.0) as camera,
        memory() as grown,
        pytest.raises(VideoError, match=r"cannot open .*36 million"),
    ):
        LiveSource(camera.address(), timeout=4.0)
    assert grown[0] < MOST / 2


def test_pictures_that_grow_too_large_are_left_out() -> None:
    parts = [part(level(100))] * 3 + [encoded(bombs.jpeg(16000, 16000))] * 3 + [part(level(90))] * 3
    with MjpegServer(lambda: parts, pause=0.05) as camera, memory() as grown:
        source = LiveSource(camera.address(), timeout=2.0)
        frames = []
        with pytest.raises(VideoError, match="lost"):
            for frame in source:
                frames.append(frame)
    assert len(frames) >= 5 and source.corrupt_frames >= 2
    assert grown[0] < MOST / 2


def endless(head: bytes) -> Iterator[bytes]:
    """A picture that does not end."""
    yield part(level(100))
    yield BOUNDARY + head + b"\r\n\r\n" + bombs.jpeg(64, 64)[:-2]
    block = bytes(1 << 20)
    for _ in range(1500):
        yield block


@pytest.mark.slow
@pytest.mark.parametrize(
    "head", [b"Content-Type: image/jpeg", b"Content-Type: image/jpeg\r\nContent-Length: 2000000000"]
)
def test_a_picture_without_an_end_fails_its_camera(head: bytes) -> None:
    with (
        MjpegServer(lambda: endless(head), pause=0.0, silent=9.0) as camera,
        memory() as grown,
        pytest.raises(VideoError) as error,
    ):
        list(LiveSource(camera.address(), timeout=9.0))
    if b"Length" not in head:
        assert f"more than {ALLOCATION_BYTES >> 20} MB at once" in str(error.value)
    assert grown[0] < MOST


@pytest.mark.slow
def test_a_description_of_two_gigabytes_fails_its_camera() -> None:
    with (
        SdpServer(2_000_000_000) as camera,
        memory() as grown,
        pytest.raises(VideoError, match=f"more than {ALLOCATION_BYTES >> 20} MB at once"),
    ):
        LiveSource(camera.address, timeout=9.0)
    assert grown[0] < MOST


@pytest.mark.slow
@pytest.mark.parametrize("size", [(8000, 8000), (16000, 16000)])
@pytest.mark.parametrize("bits", [8, 16])
def test_whole_pictures_and_videos_of_many_pixels_take_little_memory(
    tmp_path: Path, size: tuple[int, int], bits: int
) -> None:
    import av

    data = bombs.png(*size, bits, whole=True)
    (tmp_path / "a.png").write_bytes(data)
    video = tmp_path / "a.mov"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("png", rate=5)
        stream.width, stream.height, stream.pix_fmt = *size, "rgba64be" if bits == 16 else "rgba"
        packet = av.Packet(data)
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        container.mux(packet)
    with memory() as grown:
        for path in (video, tmp_path):
            with pytest.raises(VideoError):
                list(open_video(path))
        with pytest.raises(DataError):
            read_mask(tmp_path / "a.png")
    assert grown[0] < MOST


@pytest.mark.parametrize("told", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_masks_are_turned_as_frames_are(told: int, kind: str, tmp_path: Path) -> None:
    grey = np.zeros((32, 48), np.uint8)
    grey[:16, :16] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = told
    path = tmp_path / f"1.{kind.lower()}"
    Image.fromarray(grey).save(path, kind, exif=exif)
    frame, mask = read_picture(path), read_mask(path)
    assert mask.shape == frame.shape[:2] == ((32, 48) if told < 5 else (48, 32))
    assert np.array_equal(mask, frame[..., 0] > 127)


def test_a_png_with_a_wrong_checksum_is_damaged(tmp_path: Path) -> None:
    data = bytearray(bombs.png(6, 4, whole=True))
    data[data.index(b"IDAT") + 12] ^= 1
    (tmp_path / "1.png").write_bytes(data)
    with pytest.raises(VideoError, match="checksum"):
        read_picture(tmp_path / "1.png")
