"""Video in and out: counts, indices, times, pixels, and one clear line for every bad input."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from support.scenes import film
from vadistill.datasets.sources import frame_times
from vadistill.errors import ConfigError, VideoError
from vadistill.video import VideoSource, VideoWriter, count_frames, natural_key, open_video
from vadistill.video.files import FileSource

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
CONTAINERS = {
    "clip.mp4": ("libx264", "yuv420p", {}),
    "clip.mkv": ("libx264", "yuv420p", {}),
    "clip.avi": ("mpeg4", "yuv420p", {}),
    "b_frames.avi": ("mpeg4", "yuv420p", {"bf": "2"}),
    "motion.avi": ("mjpeg", "yuvj420p", {}),
    "lossless.mkv": ("ffv1", "bgr0", {}),
}


def quadrants(width: int, height: int, level: int) -> np.ndarray:
    """A red, green, blue and grey quarter; the grey one tells the frame's number."""
    image = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    image[:top, :left], image[:top, left:], image[top:, :left] = RED, GREEN, BLUE
    image[top:, left:] = level
    return image


def encode(
    path: Path,
    frames: int = 40,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    times: list[int] | None = None,
    rotation: tuple = (),
    noise: bool = False,
) -> Path:
    """Write a clip whose frame i is grey level 4 i in its last quarter."""
    width, height = size
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, 25, {"g": "10", "sc_threshold": "0", **(options or {})})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(*rotation)
        for i in range(frames):
            image = quadrants(width, height, 4 * i % 256)
            if noise:
                grain = np.random.default_rng(i).integers(0, 60, (height, width, 1), np.uint8)
                image = np.maximum(image, grain)
            picture = av.VideoFrame.from_ndarray(image)
            if times:
                picture.pts, picture.time_base = times[i], Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def with_sound(path: Path, frames: int, late: int) -> Path:
    """Write a clip with silence of its length, whose picture starts ``late`` frames later."""
    with av.open(str(path), "w") as file:
        sound, video = file.add_stream("pcm_s16le", 8000), file.add_stream("libx264", 25)
        assert isinstance(sound, av.AudioStream) and isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for i in range(late + frames):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), "s16", "mono")
            silence.sample_rate, silence.pts = 8000, 320 * i
            file.mux(sound.encode(silence))
            if i < late:
                continue
            picture = av.VideoFrame.from_ndarray(quadrants(96, 64, 4 * i % 256))
            picture.pts, picture.time_base = i, Fraction(1, 25)
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))
    return path


def levels(source: VideoSource) -> list[int]:
    """The frame numbers that the pixels of each frame tell."""
    images = [frame.image for frame in source]
    return [round(float(i[i.shape[0] * 3 // 4, i.shape[1] * 3 // 4].mean()) / 4) for i in images]


def packets(path: Path) -> list[tuple[int, int]]:
    """Where in the file the data of each packet is, and its size."""
    data = path.read_bytes()
    with av.open(str(path)) as file:
        return [(data.index(bytes(p)), p.size) for p in file.demux(video=0) if p.size]


def damage(path: Path, *indices: int) -> None:
    """Overwrite whole packets with bytes that no decoder accepts."""
    data = bytearray(path.read_bytes())
    for position, size in [packets(path)[i] for i in indices]:
        data[position : position + size] = (b"\xff\x03" * size)[:size]
    path.write_bytes(data)


def one_line(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message and "expected" in message
    return message


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_frame_of_a_file_comes_once_in_order_with_its_time(name: str, tmp_path: Path) -> None:
    codec, pixels, options = CONTAINERS[name]
    source = open_video(encode(tmp_path / name, 40, (96, 64), codec, pixels, options))
    frames = list(source)
    assert [f.index for f in frames] == list(range(40))
    assert [f.time for f in frames] == pytest.approx([i / 25 for i in range(40)], abs=1e-3)
    assert levels(source) == pytest.approx(range(40), abs=1)
    assert source.info.frames == count_frames(source) == 40
    assert (source.info.name, source.info.fps) == (Path(name).stem, 25)
    assert (source.info.width, source.info.height) == (96, 64)
    assert source.corrupt_frames == 0


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_variable_rate_keeps_the_recorded_times(name: str, tmp_path: Path) -> None:
    times = np.cumsum([500] + [40, 40, 120, 20] * 10)[:40].tolist()
    source = open_video(encode(tmp_path / name, times=times))
    assert [f.time for f in source] == pytest.approx([(t - 500) / 1000 for t in times], abs=1e-3)


@pytest.mark.parametrize("size", [(97, 65), (97, 64), (96, 65), (1, 1), (5, 3)])
def test_odd_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    path = encode(tmp_path / "odd.mkv", 3, size, "ffv1", "bgr0")
    source = open_video(path)
    assert (source.info.width, source.info.height) == size
    for i, frame in enumerate(source):
        assert np.array_equal(frame.image, quadrants(*size, 4 * i))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_container_rotation_is_applied(degrees: int, mirrored: bool, tmp_path: Path) -> None:
    source = open_video(encode(tmp_path / "phone.mp4", 2, rotation=(degrees, mirrored)))
    upright = np.rot90(quadrants(96, 64, 0), degrees // 90)
    upright = upright[:, ::-1] if mirrored else upright
    assert (source.info.height, source.info.width) == upright.shape[:2]
    difference = np.abs(next(iter(source)).image.astype(int) - upright)
    assert np.median(difference) <= 4 and difference.mean() < 8


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", options={"bf": "0"})
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as before, av.open(str(trimmed), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.pts is not None and packet.dts is not None:
                shift = round(4 / 25 / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                after.mux(packet)
    source = open_video(trimmed)
    assert levels(source) == pytest.approx(range(4, 40), abs=1)
    assert [f.index for f in source] == list(range(36))
    assert count_frames(source) == 36
    assert source.corrupt_frames == 0


def test_a_change_of_size_midway_keeps_the_first_size(tmp_path: Path) -> None:
    parts = [
        encode(tmp_path / f"{i}.h264", 5, size).read_bytes()
        for i, size in enumerate([(96, 64), (64, 48)])
    ]
    path = tmp_path / "joined.h264"
    path.write_bytes(b"".join(parts))
    source = open_video(path)
    assert {f.image.shape for f in source} == {(64, 96, 3)}
    assert count_frames(source) == 10


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mp4", 300, (320, 240))
    tracemalloc.start()
    for _ in open_video(path):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 320 * 240 * 3


def test_an_abandoned_pass_does_not_disturb_the_next(tmp_path: Path) -> None:
    source = open_video(encode(tmp_path / "clip.mp4"))
    first = iter(source)
    assert [next(first).index for _ in range(3)] == [0, 1, 2]
    assert len(list(source)) == 40
    assert next(first).index == 3


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", 3).rename(tmp_path / "cam: 2026-01-01 08:00.mp4")
    assert len(list(open_video(path))) == 3
    assert open_video(path, name="morning").info.name == "morning"


def test_b_frames_in_an_avi_are_shown_in_order(tmp_path: Path) -> None:
    options = {"bf": "2", "b-adapt": "0"}
    source = open_video(encode(tmp_path / "clip.avi", options=options))
    assert [f.time for f in source] == pytest.approx([i / 25 for i in range(40)])
    assert levels(source) == pytest.approx(range(40), abs=1)


@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_times_go_on_where_joined_files_start_again(ending: str, tmp_path: Path) -> None:
    codec = "mpeg2video" if ending == "mpg" else "libx264"
    part = encode(tmp_path / f"part.{ending}", codec=codec)
    joined = tmp_path / f"joined.{ending}"
    joined.write_bytes(part.read_bytes() * 3)
    times = [frame.time for frame in open_video(joined)]
    assert len(times) >= 120 - 3
    assert times[-1] == pytest.approx(119 / 25, abs=0.05)
    assert np.diff(times) == pytest.approx(0.04, abs=0.041)
    assert frame_times(joined) == pytest.approx(times)


def test_sound_that_starts_before_the_picture_counts(tmp_path: Path) -> None:
    path = with_sound(tmp_path / "clip.mkv", 40, 75)
    times = [frame.time for frame in open_video(path)]
    # Matroska starts at the decoding time of the first picture, which lies before its own.
    assert times == pytest.approx([3 + i / 25 for i in range(40)], abs=0.15)
    assert np.diff(times) == pytest.approx(0.04, abs=1e-3)
    assert frame_times(path) == pytest.approx(times)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("concat_ts/joined.ts", 0, 7.96),
        ("concat_ts/joined.mpg", 0, 7.96),
        ("start_offset/late_video.mp4", 3, 6.96),
        ("start_offset/late_video.mkv", 3.128, 7.088),
        ("vfr/motion_gap.mp4", 0, 23.96),
        ("damaged/dmg.mp4", 0, 3.96),
        ("truncated_mkv/whole.mkv", 0.023, 2.383),
    ],
)
def test_case_files_keep_their_timeline(name: str, first: float, last: float, cases: Path) -> None:
    times = [frame.time for frame in open_video(cases / name)]
    assert (times[0], times[-1]) == pytest.approx((first, last), abs=1e-3)
    assert (np.diff(times) > 0).all()
    if not name.startswith("damaged"):  # Damage inside a packet is not seen without decoding it.
        assert frame_times(cases / name) == pytest.approx(times)


# -- damaged files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize("bad", [(25,), (7, 26), (39,), (37,), (36, 38), (37, 38, 39)])
def test_damaged_pictures_are_left_out_and_counted(
    name: str, bad: tuple[int, ...], tmp_path: Path
) -> None:
    path = encode(tmp_path / name, options={"bf": "0"})
    damage(path, *bad)
    source = open_video(path)
    frames = list(source)
    assert [f.index for f in frames] == list(range(40 - len(bad)))
    assert source.corrupt_frames == len(bad)
    kept = [i / 25 for i in range(40) if i not in bad]
    assert [f.time for f in frames] == pytest.approx(kept, abs=1e-3)


def test_damage_is_told_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = encode(tmp_path / "clip.mp4", options={"bf": "0"})
    damage(path, 7, 26)
    for _ in range(2):
        list(open_video(path))
    assert [r.getMessage().split(";")[0] for r in caplog.records] == [
        f"{path}: 2 frames left out that cannot be decoded"
    ]


def test_pictures_that_hang_on_a_damaged_one_count_too(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4")
    damage(path, 0)
    source = open_video(path)
    frames = list(source)
    assert len(frames) + source.corrupt_frames == 40
    assert 0 < source.corrupt_frames <= 12
    assert frames[0].index == 0
    assert frames[0].time == pytest.approx(source.corrupt_frames / 25)


def test_damaged_pictures_in_an_avi_do_not_stop_it(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.avi", codec="mpeg4")
    damage(path, 15, 39)
    source = open_video(path)
    assert len(list(source)) == 38
    assert source.corrupt_frames == 2
    assert count_frames(source) == 40  # labels go by the file's numbers
    left = [number for number in range(39) if number != 15]
    assert isinstance(source, FileSource)
    assert source.times() == pytest.approx([number / 25 for number in left], abs=1e-3)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "motion.avi"])
@pytest.mark.parametrize("spare", [0, 10], ids=["between packets", "inside a packet"])
def test_a_file_cut_short_yields_what_is_there_then_says_so(
    name: str, spare: int, tmp_path: Path
) -> None:
    codec, pixels, _ = CONTAINERS[name]
    faststart = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = encode(tmp_path / name, 60, codec=codec, pixels=pixels, container=faststart, noise=True)
    position, _ = packets(path)[20]
    whole = open_video(path)
    assert isinstance(whole, FileSource) and not whole.is_short()
    path.write_bytes(path.read_bytes()[: position + spare])
    source = open_video(path)
    assert isinstance(source, FileSource) and source.is_short()
    frames = []
    with pytest.raises(VideoError) as error:
        for frame in source:
            frames.append(frame)
    assert 19 <= len(frames) <= 20
    assert f"ends after {len(frames)} of 60 frames" in one_line(error)
    with pytest.raises(VideoError, match="cut short"):
        count_frames(source)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.8])
def test_a_matroska_cut_short_is_noticed_with_sound(keep: float, tmp_path: Path) -> None:
    path = with_sound(tmp_path / "clip.mkv", 100, 0)
    assert count_frames(open_video(path)) == 100
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(VideoError, match="cut short"):
        list(open_video(path))


def test_the_matroska_of_the_cases_is_told_as_cut_short(cases: Path) -> None:
    assert count_frames(open_video(cases / "truncated_mkv" / "whole.mkv")) == 60
    with pytest.raises(VideoError, match="cut short: it ends after 36 of 60"):
        list(open_video(cases / "truncated_mkv" / "cut.mkv"))


def test_every_cut_of_an_mp4_is_noticed(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", 12, container={"movflags": "faststart"}, noise=True)
    first, last = packets(whole)[1][0], sum(packets(whole)[-1])
    data, path = whole.read_bytes(), tmp_path / "cut.mp4"
    for end in range(first, last, (last - first) // 40):
        path.write_bytes(data[:end])
        with pytest.raises(VideoError, match=r"cut short|no picture"):
            list(open_video(path))


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """A file or folder for each mistake, and what its line must say."""
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    (folder / "notes.txt").write_text("this is no video\n" * 50)
    (folder / "subtitles.mp4").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 5)
    (folder / "playlist.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n"
    )
    (folder / "nothing").mkdir()
    (folder / "videos").mkdir()
    encode(folder / "videos" / "clip.mp4", 2)
    no_index = encode(folder / "no_index.mp4")
    no_index.write_bytes(no_index.read_bytes()[: sum(packets(no_index)[-1])])
    damage(encode(folder / "garbage.mp4", 10), *range(10))
    with av.open(str(folder / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", 16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        file.mux(stream.encode(sound))
        file.mux(stream.encode(None))
    cv2.imwrite(str(folder / "still.png"), quadrants(8, 8, 0))
    says = {
        "missing.mp4": "cannot find .*No such file",
        "empty.mp4": "is empty",
        "text.mp4": "cannot open|no video",
        "notes.txt": "cannot open|no video",
        "subtitles.mp4": "no video",
        "playlist.mp4": "cannot open",
        "nothing": "no pictures in",
        "videos": "no pictures in .* or a video file",
        "no_index.mp4": "cannot open .* index",
        "garbage.mp4": "no picture of",
        "sound.mp4": "only audio",
        "still.png": "is a picture",
        "null\0byte.mp4": "cannot find",
        "x" * 300: "cannot find",
    }
    return {name: (folder / name, message) for name, message in says.items()}


def test_each_bad_path_has_its_line(tmp_path: Path) -> None:
    for path, message in bad_files(tmp_path).values():
        with pytest.raises(VideoError, match=message) as error:
            list(open_video(path))
        one_line(error)


def test_an_empty_path_is_not_the_working_folder() -> None:
    with pytest.raises(VideoError):
        open_video("")


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_rates(fps: float) -> None:
    with pytest.raises(ConfigError):
        open_video(np.zeros((2, 4, 4), np.uint8), fps=fps)


# -- folders -----------------------------------------------------------------------------------


def test_natural_order() -> None:
    names = ["f10.png", "f2.png", "F1.png", "f02.png", "10.png", "9.png", "a.png"]
    expected = ["9.png", "10.png", "a.png", "F1.png", "f02.png", "f2.png", "f10.png"]
    assert sorted(names, key=natural_key) == expected


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "png", "tif", "tiff", "bmp", "PNG"])
def test_folder_of_pictures(ending: str, tmp_path: Path) -> None:
    folder = tmp_path / "Test.001"
    folder.mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"{i}.{ending}"), quadrants(17, 11, 4 * i)[..., ::-1])
    (folder / f"._3.{ending}").write_bytes(b"left by another system")
    (folder / "Thumbs.db").write_bytes(b"no picture")
    source = open_video(folder)
    assert levels(source) == pytest.approx(range(12), abs=1)
    assert [f.index for f in source] == list(range(12))
    assert [f.time for f in source] == pytest.approx([i / 25 for i in range(12)])
    assert (source.info.name, source.info.frames, count_frames(source)) == ("Test.001", 12, 12)
    assert (source.info.width, source.info.height, source.info.path) == (17, 11, folder)
    assert np.abs(next(iter(source)).image[2, 2].astype(int) - RED).max() < 60
    assert [f.time for f in open_video(folder, fps=10)][1] == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["grey", "grey16", "colour16", "palette", "alpha", "bits"])
def test_every_kind_of_picture_becomes_8_bit_rgb(kind: str, tmp_path: Path) -> None:
    from PIL import Image

    ramp = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    colour = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1)
    expected = np.repeat(ramp[..., None], 3, 2) if kind.startswith("grey") else colour
    path = tmp_path / "1.png"
    if kind == "grey":
        cv2.imwrite(str(path), ramp)
    elif kind == "grey16":
        cv2.imwrite(str(path), ramp.astype(np.uint16) * 256)
    elif kind == "colour16":
        cv2.imwrite(str(path), colour[..., ::-1].astype(np.uint16) * 256)
    elif kind == "palette":
        Image.fromarray(colour).convert("P", palette=Image.Palette.ADAPTIVE, colors=24).save(path)
    elif kind == "alpha":
        cv2.imwrite(str(path), np.dstack([colour[..., ::-1], np.full_like(ramp, 255)]))
    else:
        expected = np.repeat((ramp > 100)[..., None], 3, 2) * np.uint8(255)
        Image.fromarray(ramp > 100).save(path)
    (frame,) = open_video(tmp_path)
    assert frame.image.dtype == np.uint8
    assert np.abs(frame.image.astype(int) - expected).max() <= 1


def test_pictures_of_two_sizes_name_the_first_offender(tmp_path: Path) -> None:
    for i in range(12):
        size = (20, 10) if i < 10 else (22, 10)
        cv2.imwrite(str(tmp_path / f"{i}.png"), quadrants(*size, 0))
    with pytest.raises(VideoError) as error:
        list(open_video(tmp_path))
    message = one_line(error)
    assert "10.png is 22x10" in message and "20x10 like 0.png" in message


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "bmp"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.6])
def test_a_damaged_picture_is_named(ending: str, keep: float, tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.{ending}"), quadrants(64, 48, 50 * i))
    path = tmp_path / f"1.{ending}"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(VideoError, match=f"1.{ending} cannot be read") as error:
        list(open_video(tmp_path))
    one_line(error)


# -- arrays ------------------------------------------------------------------------------------


def test_arrays_of_colour_and_grey() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)
    source = open_video(colour, fps=10)
    assert np.array_equal([f.image for f in source], colour)
    assert [f.time for f in source] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert (source.info.name, source.info.frames, count_frames(source)) == ("array", 5, 5)
    assert (source.info.width, source.info.height) == (7, 6)
    grey = colour[..., 0]
    for pixels in (grey, list(grey)):
        assert np.array_equal([f.image for f in open_video(pixels)], np.stack([grey] * 3, -1))
    assert np.array_equal([f.image for f in open_video(list(colour), name="a")], colour)
    next(iter(source)).image[:] = 0
    assert colour[0].any()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 4, 4, 3), np.uint8),
        np.zeros((2, 0, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.float32),
        np.zeros((2, 4, 4, 4), np.uint8),
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((4, 5), np.uint8),
        np.zeros(4, np.uint8),
        [],
        [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)],
    ],
    ids=lambda pixels: str(getattr(pixels, "shape", len(pixels))),
)
def test_arrays_that_are_no_video(pixels: np.ndarray | list[np.ndarray]) -> None:
    with pytest.raises(VideoError) as error:
        open_video(pixels)
    one_line(error)


# -- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [25, 12.5, Fraction(30000, 1001)])
@pytest.mark.parametrize("size", [(96, 64), (97, 65)])
def test_what_is_written_is_read_back(
    size: tuple[int, int], fps: float | Fraction, tmp_path: Path
) -> None:
    path = tmp_path / "new folder" / "out.mp4"
    with VideoWriter(path, *size, fps) as writer:
        for i in range(10):
            writer.write(quadrants(*size, 4 * i))
        assert not path.exists()
    source = open_video(path)
    frames = list(source)
    assert [f.time for f in frames] == pytest.approx([i / float(fps) for i in range(10)], abs=1e-4)
    assert (source.info.width, source.info.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    for y, x, colour in [(8, 8, RED), (8, 80, GREEN), (-1, 8, BLUE), (-1, -1, (36, 36, 36))]:
        assert np.abs(frames[9].image[y, x].astype(int) - colour).max() <= 8
    assert [p.name for p in path.parent.iterdir()] == ["out.mp4"]


def test_the_same_pictures_make_the_same_file(tmp_path: Path) -> None:
    made = {film(tmp_path / f"{i}.mp4", 0).read_bytes() for i in range(12)}
    assert len(made) == 1


def test_browsers_can_play_it(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, 25) as writer:
        writer.write(quadrants(64, 48, 0))
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (1, 1)


@pytest.mark.parametrize(
    "error", [RuntimeError("stop"), FileNotFoundError("mine"), KeyboardInterrupt()]
)
def test_nothing_is_left_of_a_failed_block(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"what was there before")
    with pytest.raises(type(error)) as raised, VideoWriter(path, 64, 48, 25) as writer:
        writer.write(quadrants(64, 48, 0))
        raise error
    assert raised.value is error
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"what was there before"


def test_writing_goes_wrong_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with (
        pytest.raises(VideoError, match=r"frame 0 for out\.mp4") as error,
        VideoWriter(path, 64, 48, 25) as writer,
    ):
        writer.write(quadrants(48, 64, 0))
    one_line(error)
    with pytest.raises(VideoError, match="no frames"), VideoWriter(path, 64, 48, 25):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(VideoError, match="cannot write") as error,
        VideoWriter(tmp_path / "file" / "out.mp4", 64, 48, 25),
    ):
        pass
    one_line(error)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    for name, width, fps in [("a.avi", 8, 25), ("a.mp4", 0, 25), ("a.mp4", 8, 0)]:
        with pytest.raises(ConfigError):
            VideoWriter(tmp_path / name, width, 8, fps)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = np.random.default_rng(0)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with (
            pytest.raises(VideoError, match="cannot write") as error,
            VideoWriter(tmp_path / "out.mp4", 320, 240, 25) as writer,
        ):
            for _ in range(30):
                writer.write(noise.integers(0, 256, (240, 320, 3), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    one_line(error)
    assert not list(tmp_path.iterdir())


# -- real video --------------------------------------------------------------------------------

REAL = {
    "avenue_sample/testing_videos/08.avi": (36, 25.0),
    "avenue_sample/testing_videos/21.avi": (76, 25.0),
    "avenue_sample/training_videos/12.avi": (145, 25.0),
    "sample_videos/car-detection.mp4": (377, 12.5),
    "surveillance_fights/fi149.mp4": (30, 30000 / 1001),
    "surveillance_fights/fi122.mp4": (52, 25.0),
    "surveillance_fights/nofi049.mp4": (31, 15.008),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(name: str, shared_data: Path) -> None:
    count, fps = REAL[name]
    source = open_video(shared_data / name)
    reference = cv2.VideoCapture(str(shared_data / name))
    times = []
    for frame in source:
        found, bgr = reference.read()
        assert found and frame.index == len(times)
        assert cv2.absdiff(frame.image, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).mean() < 2
        times.append(frame.time)
    assert not reference.read()[0]
    assert len(times) == source.info.frames == count_frames(source) == count
    assert times == pytest.approx([i / fps for i in range(count)], abs=1e-3)
    assert source.info.fps == pytest.approx(fps)
    assert source.corrupt_frames == 0


def test_real_folder(shared_data: Path) -> None:
    source = open_video(shared_data / "ucsd" / "UCSDped2" / "Test" / "Test001", fps=10)
    assert (source.info.width, source.info.height, source.info.frames) == (360, 240, 180)
    assert [f.index for f in source] == list(range(180))
