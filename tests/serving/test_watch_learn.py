"""``vadistill watch ADDRESS --learn TIME``: from an address alone to events, through any end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.mjpeg_server import MjpegServer, part
from support.scenes import FPS, pixels
from support.waiting import until
from vadistill.cli import main
from vadistill.cli.watch_learn import span
from vadistill.errors import ConfigError
from vadistill.systems.motion import Motion


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
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def interrupt(*_: object, **__: object) -> None:
    """Ctrl-C in a fit."""
    raise KeyboardInterrupt


def test_it_goes_on_where_it_was_after_an_end_in_each_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calm = [part(image) for image in pixels(1, 400, None)]

    def said(words: str) -> bool:
        text = (tmp_path / "said").read_text()
        assert "Traceback" not in text
        return words in text

    def interrupted() -> int:
        process.send_signal(signal.SIGINT)
        return process.wait(60)

    with MjpegServer(lambda: calm * 100, pause=1 / FPS) as camera:
        asked = [camera.address("me:hunter2@"), "--learn", "14s", "--out", "gate.vad"]
        asked += ["--false-alarms-per-day", "2", "--system", "motion"]
        recordings = tmp_path / "vadistill-data" / "recordings" / "127-0-0-1"
        with watching(*asked, folder=tmp_path) as process:
            until(lambda: said("4.") or said("5."), 90)
            assert interrupted() == 130
        assert said("the same command goes on") and not said("learning from it")
        before = sorted(recordings.glob("*.mkv"))
        assert before and not (tmp_path / "gate.vad").exists()
        monkeypatch.chdir(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(Motion, "fit", interrupt)
            assert main(["watch", *asked]) == 130
        last = capfd.readouterr().err
        assert "learning from it (motion)" in last and "go on where it was" in last
        assert set(before) < set(recordings.glob("*.mkv"))
        (data,) = (tmp_path / "vadistill-data" / "learn").iterdir()
        kept = sorted(path.name for path in (data / "train").iterdir())
        assert len(kept) >= 2
        with watching(*asked, folder=tmp_path) as process:
            until(lambda: said("events open at a score of"), 90)
            assert not said("collected") and said("for 2 false alarms a day")
            assert not data.exists()
            assert interrupted() == 0
            assert said("frames scored")
        with watching(*asked, folder=tmp_path) as process:
            until(lambda: said("gate.vad is there: watching with it"), 60)
            until(lambda: said("events open at a score of"), 60)
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


def test_times() -> None:
    assert [span(text) for text in ("20s", "90min", "2h", "1.5 h", "1d")] == [
        *(20, 5400, 7200, 5400, 86400)
    ]
    for text in ("", "2", "h", "-1h", "2h30", "900d", "nan h"):
        with pytest.raises(ConfigError):
            span(text)
