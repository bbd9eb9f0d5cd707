"""Outputs are checked before work begins: none replaces an input or another output."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vadistill.cli import main
from vadistill.score_tables import read_scores
from vadistill.video import VideoWriter


def write_video(path: Path, frames: int = 12) -> Path:
    """A grey square that moves over noise."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 96, 64, 25) as writer:
        for index in range(frames):
            picture = rng.integers(0, 40, (64, 96, 3)).astype(np.uint8)
            picture[20:40, 3 * index : 3 * index + 16] = 200
            writer.write(picture)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``normal/a.mp4``, ``set/`` with labels, and ``m.vad``."""
    root = tmp_path_factory.mktemp("outputs")
    video = write_video(root / "normal" / "a.mp4")
    for split in ("train", "test"):
        (root / "set" / split).mkdir(parents=True)
        shutil.copy(video, root / "set" / split / f"{split}.mp4")
    (root / "set" / "labels.csv").write_text("file,start,end\ntest.mp4,3,7\n")
    assert main(["fit", "motion", str(root / "normal"), "--out", str(root / "m.vad")]) == 0
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``made`` that is the working folder, with another spelling and links of a.mp4."""
    root = tmp_path / "place"
    shutil.copytree(made, root)
    (root / "link.mp4").symlink_to(root / "normal" / "a.mp4")
    (root / "hard.mp4").hardlink_to(root / "normal" / "a.mp4")
    (root / "linked").symlink_to(root / "normal")
    (root / "b").mkdir()
    shutil.copy(root / "normal" / "a.mp4", root / "b" / "a.mp4")
    shutil.copy(root / "normal" / "a.mp4", root / "b" / "c.mp4")
    shutil.copytree(root / "m.vad", root / "runs" / "m")
    shutil.copytree(root / "m.vad", root / "b" / "m.vad")
    monkeypatch.chdir(root)
    return root


def contents(root: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with its bytes."""
    return {
        str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in root.rglob("*")
    }


SAME = {
    "itself": "score m.vad normal/a.mp4 --video normal/a.mp4",
    "spelling": "score m.vad normal/a.mp4 --video normal/../normal//a.mp4",
    "link": "score m.vad normal/a.mp4 --video link.mp4",
    "hard link": "score m.vad normal/a.mp4 --video hard.mp4",
    "linked folder": "score m.vad normal/a.mp4 --video linked/a.mp4",
    "link as input": "score m.vad link.mp4 --video normal/a.mp4",
    "folder of inputs": "score m.vad b/a.mp4 b/c.mp4 --video b",
    "two inputs of one name": "score m.vad normal/a.mp4 b/a.mp4 --video films",
    "a model's file": "score m.vad normal/a.mp4 --out m.vad/config.json",
    "model of a run's name": "evaluate runs/m --data set --out runs",
    "two models of one name": "evaluate m.vad b/m.vad --data set --out new",
    "the set": "evaluate m.vad --data m --out .",
    "fit over its data": "fit motion normal --out linked",
    "board in the model": "fit motion normal --out x.vad --tensorboard x.vad",
    "fit over a file": "fit motion normal --out normal/a.mp4",
    "extract over its data": "extract normal --out linked",
    "reproduce over its data": "reproduce cafe --data set --out set/../set",
    "pretrain over its data": "pretrain cafe --data normal/a.mp4 --out link.mp4",
    "demo over videos": "demo --out linked",
    "walkway over videos": "data walkway linked",
    "features over videos": "data features linked",
}


@pytest.mark.parametrize("command", SAME.values(), ids=SAME.keys())
def test_no_output_is_an_input_or_another_output(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if " m --out" in command:
        shutil.copytree(place / "set", place / "m")
    before = contents(place)
    assert main(command.split()) == 2
    assert contents(place) == before
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "expected" in line


def test_two_tables_of_one_name_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "page.html").symlink_to(place / "s.csv")
    argv = "score m.vad normal/a.mp4 --out s.csv --report page.html"
    assert main(argv.split()) == 2
    assert "which are the same" in capsys.readouterr().err


UNWRITABLE: dict[str, Callable[[Path], Path]] = {
    "below a file": lambda root: root / "normal" / "a.mp4" / "s.csv",
    "a folder": lambda root: root / "folder.csv",
    "too long a name": lambda root: root / f"{'n' * 247}.csv",
    "no such file system": lambda root: Path("/proc/nothing/s.csv"),
}


@pytest.mark.parametrize("path", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_an_output_that_cannot_be_written_is_said_before_scoring(
    path: Callable[[Path], Path], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "folder.csv").mkdir()
    # There is no such model: whatever is said before that is said before all work.
    assert main(["score", "none.vad", "normal/a.mp4", "--out", str(path(place))]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "none.vad" not in line


def test_outputs_of_an_earlier_run_are_replaced(place: Path) -> None:
    score = "score m.vad normal/a.mp4 link.mp4 --out o/s.csv --report r.html --video films"
    evaluate = "evaluate m.vad --data set --out set/runs --report set/e.html"
    for command in (score, evaluate, score, evaluate):
        assert main(command.split()) == 0
    assert sorted(p.name for p in (place / "films").iterdir()) == ["a.mp4", "link.mp4"]


def test_names_are_shown_on_one_line_and_every_output_is_written(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["cam [/x].mp4", "cam [back].mp4", "esc\x1b[2J.mp4", "line\nbreak.mp4"]
    (place / "cam [").mkdir()
    for name in names:
        shutil.copy(place / "normal" / "a.mp4", place / name)
    for table in ("s.csv", "s.json", "s.parquet"):
        argv = ["score", "m.vad", *names, "--out", table, "--report", "r.html", "--video", "films"]
        assert main(argv) == 0
    out = capsys.readouterr().out
    assert "x]: 12 frames" in out
    assert "cam [back]: 12 frames" in out
    assert "esc\\x1b[2J: 12 frames" in out and "\x1b[2J" not in out
    assert "line\\nbreak: 12 frames" in out
    assert len(list((place / "films").iterdir())) == len(names)
    assert len(read_scores(place / "s.csv")) == len(names)


def test_a_video_that_cannot_be_scored_costs_itself_alone(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with VideoWriter(place / "tiny.mp4", 2, 2, 25) as writer:
        for _ in range(8):
            writer.write(np.zeros((2, 2, 3), np.uint8))
    argv = "score m.vad tiny.mp4 normal/a.mp4 --out s.csv --video films --report r.html"
    assert main(argv.split()) == 2
    assert list(read_scores(place / "s.csv")) == ["a"]
    assert [p.name for p in (place / "films").iterdir()] == ["a.mp4"]
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "vadistill: error: pictures that are 2 x 2 pixels" in error
