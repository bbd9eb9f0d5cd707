"""Videos, pictures and masks: as many frames as before and told which are not, or one line."""

from __future__ import annotations

import tempfile
import zlib
from functools import cache
from pathlib import Path
from random import Random

import av
import cv2
import numpy as np

from fuzz.judging import Reader
from fuzz.mutations import bytes_of
from vadistill.datasets.masks import PictureMasks
from vadistill.serving.jobs.probe import probe
from vadistill.video import FileSource, count_frames, open_video, read_picture

FRAMES, WIDTH, HEIGHT = 12, 48, 32

FILMS = {
    "a.mp4": ("libx264", "yuv420p", {"bf": "0", "g": "4"}),
    "mpeg4.mp4": ("mpeg4", "yuv420p", {"g": "4"}),
    "a.avi": ("mjpeg", "yuvj420p", {}),
    "eight.avi": ("mjpeg", "yuvj420p", {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "4"}),
    "a.mkv": ("libx264", "yuv420p", {"g": "4"}),
    "ffv1.mkv": ("ffv1", "yuv420p", {}),
    "a.ts": ("mpeg2video", "yuv420p", {"g": "4"}),
    "a.webm": ("libvpx", "yuv420p", {"g": "4"}),
    "a.mov": ("mjpeg", "yuvj420p", {}),
}


def picture(index: int) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 16 * index, np.uint8)
    image[8:24, 2 * index : 2 * index + 12] = 250 - 16 * index
    return image


@cache
def films() -> dict[str, bytes]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (codec, pixels, options) in FILMS.items():
            path = Path(folder) / name
            with av.open(str(path), "w", options={"fflags": "+bitexact"}) as file:
                stream = file.add_stream(codec, 25, options)
                assert isinstance(stream, av.VideoStream)
                stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
                for index in range(8 if name == "eight.avi" else FRAMES):
                    file.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index))))
                file.mux(stream.encode(None))
            found[name] = path.read_bytes()
    return found


def video(path: Path) -> None:
    """Frames in order and of one size, as many as are counted and timed."""
    source = open_video(path)
    assert isinstance(source, FileSource)
    info, times, index = source.info, [], -1
    assert info.width > 0 and info.height > 0 and 0 < info.fps < 1e9
    for index, frame in enumerate(source):
        assert frame.index == index and frame.image.shape == (info.height, info.width, 3)
        times.append(frame.time)
        assert index < 1000, "frames without an end"
    assert index >= 0, "not a frame, and no word"
    assert np.isfinite(times).all() and (np.diff(times) >= 0).all() and times[0] >= 0
    lost = source.corrupt_frames
    assert lost >= 0
    counted = count_frames(source)
    # A damaged picture inside counts too, where pictures are counted without decoding them.
    assert len(times) <= counted <= len(times) + lost, f"{counted} of {len(times)} and {lost} lost"
    assert len(times) <= len(source.times()) <= len(times) + lost
    # A container whose head is sound tells that its end is missing.
    made, held = films().get(path.name, b""), path.read_bytes()
    if path.suffix != ".ts" and held[:100] == made[:100] and len(held) < len(made):
        whole = 8 if path.name == "eight.avi" else FRAMES
        assert lost or len(times) >= whole, f"{len(times)} frames of a cut file, and no word"


def upload(path: Path) -> None:
    """What its process finds is what is found here."""
    probe(path)
    open_video(path)


def encoded() -> dict[str, bytes]:
    grey, colour = np.zeros((8, 6), np.uint8), picture(3)[:8, :12]
    grey[2:5, 1:4] = 255
    alpha = np.dstack([np.zeros((8, 6, 3), np.uint8), grey])
    made = {
        "a.png": cv2.imencode(".png", grey),
        "sixteen.png": cv2.imencode(".png", (grey // 255).astype(np.uint16)),
        "alpha.png": cv2.imencode(".png", alpha),
        "a.bmp": cv2.imencode(".bmp", colour),
        "a.tif": cv2.imencode(".tif", grey),
        "a.jpg": cv2.imencode(".jpg", np.kron(grey, np.ones((8, 8), np.uint8))),
    }
    return {name: data.tobytes() for name, (_, data) in made.items()}


def place_picture(folder: Path, name: str, data: bytes) -> Path:
    (folder / "frames").mkdir()
    (folder / "frames" / name).write_bytes(data)
    return folder / "frames" / name


def read_mask_or_frame(path: Path) -> None:
    """The same size for all that read it, and the pixels that its checksums tell."""
    mask = PictureMasks(path.parent)
    image = read_picture(path)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.size
    found = mask(0)
    assert found.dtype == bool and found.shape == image.shape[:2]
    frames = list(open_video(path.parent))
    assert len(frames) == 1 and np.array_equal(frames[0].image, image)
    data = path.read_bytes()
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        assert sound_png(data), "a PNG whose checksums are wrong is read"
    if data[:2] == b"BM" and path.suffix == ".bmp":
        assert len(data) >= image.size, "a BMP that is cut short is read"


def sound_png(data: bytes) -> bool:
    """Whether every chunk up to the end is whole and has its checksum."""
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 4 : at + 8 + length]
        told = data[at + 8 + length : at + 12 + length]
        if zlib.crc32(body).to_bytes(4, "big") != told:
            return kind[:1].islower()  # not needed to show it
        if kind == b"IEND":
            return True
        at += 12 + length
    return False


def cut_or_changed(random: Random, data: bytes, other: bytes) -> bytes:
    """Bytes changed anywhere: of a film the packets are most."""
    if random.random() < 0.3:
        at = random.randrange(len(data))
        return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
    return bytes_of(random, data, other)


READERS = (
    Reader("videos", video, slots=9, mutate=cut_or_changed, made=films),
    Reader(
        "pictures",
        read_mask_or_frame,
        slots=7,
        mutate=cut_or_changed,
        made=encoded,
        place=place_picture,
    ),
    Reader("uploads", upload, slots=1, mutate=cut_or_changed, made=films),
)
