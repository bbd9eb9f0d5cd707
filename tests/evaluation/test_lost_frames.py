"""Frames that cannot be decoded take their labels, masks and tracks along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import vadistill
from vadistill.cli import main
from vadistill.datasets import Dataset, Video, open_dataset
from vadistill.datasets.base import Track
from vadistill.datasets.tracks import Tracks
from vadistill.errors import DataError
from vadistill.evaluation.lost_frames import leave_out_lost
from vadistill.evaluation.runs import load_run
from vadistill.scores import FrameScore, Scores


def encode(path: Path, codec: str = "libx264") -> Path:
    """40 pictures, of which number i is grey level 6 i, and a square that moves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, 25, {"g": "10", "bf": "0", "sc_threshold": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(40):
            picture = np.full((64, 96, 3), 6 * i, np.uint8)
            picture[20:40, 2 * i : 2 * i + 15] = 255 - 6 * i
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        file.mux(stream.encode(None))
    return path


def damage(path: Path, *indices: int) -> None:
    """Overwrite whole packets with bytes that no decoder accepts."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        found = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    for index in indices:
        position, size = data.index(found[index]), len(found[index])
        data[position : position + size] = (b"\xff\x03" * size)[:size]
    path.write_bytes(data)


def numbers(path: Path) -> list[int]:
    """What pictures these are, told by their levels."""
    frames = vadistill.open_video(path)
    return [round(float(np.median(frame.image[:8])) / 6) for frame in frames]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    encode(tmp_path / "train/normal.mp4")
    encode(tmp_path / "test/odd.mp4")
    encode(tmp_path / "test/sound.mp4")
    (tmp_path / "labels.csv").write_text("file,start,end\nodd.mp4,20,30\n")
    return tmp_path


@pytest.mark.parametrize("bad", [(7, 26), (0,), (29, 30, 39)])
def test_an_evaluation_measures_the_frames_that_are_left(
    labelled: Path, bad: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(labelled / "test/odd.mp4", *bad)
    model = vadistill.fit("motion", labelled, out=tmp_path / "m.vad")
    results = vadistill.evaluate({"a": model, "b": model}, labelled, bootstrap=0)
    shown = numbers(labelled / "test/odd.mp4")
    assert len(shown) < 40
    video = results.dataset["odd"]
    assert video.frame_labels is not None
    assert video.frame_labels.tolist() == [int(20 <= number < 30) for number in shown]
    (note,) = [note for note in results.notes if "cannot be decoded" in note]
    assert note.startswith(f"odd: {40 - len(shown)} frame")
    vadistill.write_report(results, tmp_path / "page.html")
    argv = ["evaluate", str(tmp_path / "m.vad"), "--data", str(labelled)]
    assert main(argv) == 0
    assert "left out, with labels" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264")])
def test_masks_and_tracks_follow(name: str, codec: str, tmp_path: Path) -> None:
    path = encode(tmp_path / name, codec)
    damage(path, 39)
    labels = (np.arange(40) >= 36).astype(np.uint8)
    frames, boxes = np.arange(36, 40), np.arange(16).reshape(4, 4).astype(np.float32)
    track = Track(1, "car", frames, boxes)
    video = Video("a", path, labels, lambda index: np.full((2, 2), index == 38), tracks=(track,))
    shown = list(video.open())
    assert len(shown) == 39
    scores = {"a": Scores("a", [FrameScore(f.index, f.time, 0.0) for f in shown], 25)}
    given = {"a": Tracks.of([track])}
    (found,), tracks, notes = leave_out_lost(Dataset("d", "test", (video,)), scores, given)
    assert found.frame_labels is not None and found.frame_labels.tolist() == [0] * 36 + [1] * 3
    assert found.mask is not None and [bool(found.mask(i).any()) for i in (37, 38)] == [False, True]
    assert found.tracks[0].frames.tolist() == [36, 37, 38] and len(found.tracks[0].boxes) == 3
    assert tracks is not None and tracks["a"].frame.tolist() == [36, 37, 38]
    assert notes == ["a: 1 frame that cannot be decoded left out, with labels"]


def test_other_lengths_stay_unequal(labelled: Path) -> None:
    test = open_dataset(labelled).test
    short = {v.name: Scores(v.name, [FrameScore(i, 0.0, 0.0) for i in range(9)], 25) for v in test}
    found, _, notes = leave_out_lost(test, short)
    assert [
        len(video.frame_labels if video.frame_labels is not None else ()) for video in found
    ] == [40, 40] and not notes


@pytest.mark.parametrize("bad", [(7,), (7, 26), (0,)])
def test_labels_of_an_avi_go_by_the_numbers_of_its_frames(
    bad: tuple[int, ...], tmp_path: Path
) -> None:
    encode(tmp_path / "train/normal.avi", "mpeg4")
    damage(encode(tmp_path / "test/odd.avi", "mpeg4"), *bad)
    (tmp_path / "labels.csv").write_text("file,start,end\nodd.avi,20,30\n")
    (video,) = open_dataset(tmp_path).test
    assert video.frame_labels is not None and len(video.frame_labels) == 40
    left = [number for number in range(40) if number not in bad]
    times = [frame.time for frame in video.open()]
    assert times == pytest.approx([number / 25 for number in left], abs=1e-3)
    model = vadistill.fit("motion", tmp_path, out=tmp_path / "m.vad")
    found = vadistill.evaluate(model, tmp_path, bootstrap=0).dataset["odd"].frame_labels
    assert found is not None and found.tolist() == [int(20 <= number < 30) for number in left]


def test_what_a_model_found_is_kept_where_the_next_one_fails(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vadistill.fit("motion", labelled, out=tmp_path / "m.vad")
    other = vadistill.load(tmp_path / "m.vad")

    def fail(*_: object) -> Iterator[FrameScore]:
        raise DataError("a frame", expected="another", fix="look at it")

    monkeypatch.setattr(other, "stream", fail)
    with pytest.raises(DataError, match="a frame"):
        vadistill.evaluate(
            {"first": model, "second": other}, labelled, bootstrap=0, out=tmp_path / "runs"
        )
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["first"]
    run = load_run(tmp_path / "runs/first")
    assert run.frames.names == ("odd", "sound") and "micro/raw" in run.protocols
