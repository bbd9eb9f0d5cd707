"""``vadistill watch ADDRESS --learn TIME``: from an address alone to events, through any end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import pytest

from support.mjpeg_server import MjpegServer, level, part
from support.scenes import FPS, pixels
from support.waiting import until
from vadistill.cli import main
from vadistill.cli.watch_learn import Fit, _fit, planned, span
from vadistill.errors import ConfigError
from vadistill.serving.storage.recorder import NAME, Recorder
from vadistill.serving.watching import camera_for, collect_footage


@contextmanager
def watching(*words: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a folder; what it says is in ``said``."""
    with (folder / "said").open("wb") as said, (folder / "told").open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "vadistill", "watch", *words],
            cwd=folder,
            stdout=told,
            stderr=said,
            env=os.environ | {"VADISTILL_OFFLINE": "1"},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def ended_after_a_while() -> Iterator[None]:
    """What would wait for ever is interrupted."""
    timer = threading.Timer(30, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    yield
    timer.cancel()


def test_it_goes_on_where_it_was_after_an_end_in_each_stage(
    tmp_path: Path,
) -> None:
    calm = [part(image) for image in pixels(1, 400, None)]

    def said(words: str) -> bool:
        text = (tmp_path / "said").read_text()
        assert "Traceback" not in text
        return words in text

    def interrupted() -> int:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        return process.wait(60)

    with MjpegServer(lambda: calm * 100, pause=1 / FPS) as camera:
        asked = [camera.address("me:hunter2@"), "--learn", "14s", "--out", "gate.vad"]
        asked += ["--false-alarms-per-day", "2", "--system", "motion"]
        name = camera_for(asked[0]).name
        recordings = tmp_path / "vadistill-data" / "recordings" / name
        with watching(*asked, folder=tmp_path) as process:
            until(lambda: said("4.") or said("5."), 90)
            assert interrupted() == 130
        assert said("the same command goes on") and not said("learning from it")
        before = sorted(recordings.glob("*.mkv"))
        assert before and not (tmp_path / "gate.vad").exists()
        with watching(*asked, folder=tmp_path) as process:
            until(lambda: said("motion learns from"), 90)
            assert interrupted() == 130
        assert said("learning from it (motion)")
        assert said("go on where it was") or said("goes on where it was")
        assert set(before) < set(recordings.glob("*.mkv"))
        (data,) = (tmp_path / "vadistill-data" / "learn").iterdir()
        kept = sorted(path.name for path in (data / "train").iterdir())
        assert len(kept) >= 2
        with watching(*asked, folder=tmp_path) as process:
            until(lambda: said("events open at a raw score of"), 90)
            assert not said("collected") and said("to tell 2 false alarms a day")
            assert not data.exists()
            assert interrupted() == 0
            assert said("frames scored")
        with watching(*asked, folder=tmp_path) as process:
            until(lambda: said("gate.vad is there: watching with it"), 60)
            until(lambda: said("events open at a raw score of"), 60)
            assert interrupted() == 0
        assert (tmp_path / "told").read_bytes() == b""
        assert not said("hunter2")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("rtsp://127.0.0.1:9/x --learn soon --out m.vad", "--learn soon"),
        ("rtsp://127.0.0.1:9/x --learn 0s --out m.vad", "a time such as"),
        ("rtsp://127.0.0.1:9/x --learn 2h", "--learn without --out"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --system cofe", "cofe"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --system dakd", "labelled videos"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --secret x", "--secret without --webhook"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --mqtt broker", "mqtt://"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --mqtt mqtt://", "mqtt"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --false-alarms-per-day 0", "false_alarms"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --fast", "--fast beside --learn"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --fps 6", "--fps beside --learn"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out m.vad --model n.vad", "--model beside --learn"),
        ("rtsp://127.0.0.1:9/x --out m.vad", "without --learn"),
        ("rtsp://127.0.0.1:9/x --learn 2h --out other", "no model"),
        ("rtsp://127.0.0.1:9/x webcam:0 --learn 2h --out m.vad", "the address of one camera"),
        ("film.mp4 --learn 2h --out m.vad", "vadistill fit auto FOLDER"),
        ("--learn 2h --out m.vad", "no camera"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_a_line(
    words: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert main(["watch", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_gpu_that_is_missing_is_said_before_hours_of_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    asked = "rtsp://127.0.0.1:9/x --learn 2h --out m.vad --device cuda"
    assert main(["watch", *asked.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "PyTorch sees no GPU" in line and not any(tmp_path.iterdir())


@pytest.mark.usefixtures("ended_after_a_while")
def test_what_is_collected_stays_whatever_else_the_folder_holds(tmp_path: Path) -> None:
    camera, now = camera_for("rtsp://127.0.0.1:9/x"), time.time()
    recordings = tmp_path / "recordings"
    for name, size in ((camera.name, 1000), ("other", 11 * 10**9)):
        begun = datetime.fromtimestamp(now - 100, UTC).strftime(NAME)
        path = recordings / name / f"{begun}.mkv"
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.truncate(size)  # takes no room itself
    (found,) = collect_footage(camera, tmp_path, 50) or ["nothing"]
    assert found == recordings / camera.name / f"{begun}.mkv"
    assert path.exists()


@pytest.mark.usefixtures("ended_after_a_while")
def test_pictures_that_cannot_be_recorded_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw.nut"
    with av.open(str(raw), "w") as file:
        stream = file.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(level(9), format="rgb24")))
    with av.open(str(raw)) as file:
        recorder = Recorder(tmp_path, camera="gate")
        assert not recorder.refused
        stream = file.streams.video[0]
        for packet in file.demux(stream):
            recorder.packet(packet, stream)
            uncompressed = stream
        assert recorder.refused and not (tmp_path / "gate").exists()
        take = Recorder.packet
        # A webcam's driver gives such a stream.
        monkeypatch.setattr(Recorder, "packet", lambda self, p, _: take(self, p, uncompressed))
        with MjpegServer(lambda: [part(level(9))] * 900) as camera:
            watched = camera_for(camera.address("me:hunter2@"))
            with pytest.raises(ConfigError, match="not compressed") as error:
                collect_footage(watched, tmp_path, 3600)
    assert "hunter2" not in str(error.value)


def test_cameras_of_a_host_do_not_share_their_footage() -> None:
    def name(address: str) -> str:
        return camera_for(address).name

    one = name("rtsp://me:hunter2@nvr/1")
    assert one.startswith("nvr-") and one == name("rtsp://you:swordfish@nvr/1")
    assert one != name("rtsp://me:hunter2@nvr/2")
    real = "rtsp://nvr/cam/realmonitor?channel={}&subtype=0&password={}"
    assert name(real.format(1, "a")) == name(real.format(1, "b")) != name(real.format(2, "a"))
    assert len(name(f"rtsp://{'a' * 60}.example/1")) <= 40


def test_a_fit_has_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vadistill.devices.keep_freed_memory", lambda: pytest.fail("in this one"))
    assert _fit(tmp_path / "data", Fit("motion", tmp_path / "m.vad", None, "cpu")) == 2
    out, err = capfd.readouterr()
    assert out == "" and "learning from it (motion)" in err and "error" in err


def test_an_end_while_the_data_set_is_removed_leaves_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fitted(data: Path, how: Fit) -> int:
        how.out.mkdir()
        (how.out / "config.json").write_text("{}")
        return 0

    def killed(folder: Path, **_: object) -> None:
        if folder.exists():
            (folder / "train" / "a.mkv").unlink()
            raise KeyboardInterrupt

    camera, out = camera_for("rtsp://127.0.0.1:9/x"), tmp_path / "m.vad"
    data = tmp_path / "learn" / f"{camera.name}-m.vad-7200s"
    (data / "train").mkdir(parents=True)
    (data / "train" / "a.mkv").touch()
    options: dict[str, Any] = {"system": "motion", "out": out, "folder": tmp_path, "camera": {}}
    learn = planned(("rtsp://127.0.0.1:9/x",), "2h", **options, mask=None, device="cpu")
    monkeypatch.setattr("vadistill.cli.watch_learn._fit", fitted)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", killed)
        learn()
    assert learn() == 0
    assert "watching with it" in capsys.readouterr().err
    assert not any((tmp_path / "learn").iterdir())


def test_times() -> None:
    assert [span(text) for text in ("20s", "90min", "2h", "1.5 h", "1d")] == [
        *(20, 5400, 7200, 5400, 86400)
    ]
    for text in ("", "2", "h", "-1h", "2h30", "900d", "nan h"):
        with pytest.raises(ConfigError):
            span(text)
