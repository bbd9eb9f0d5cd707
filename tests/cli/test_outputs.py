"""Outputs are checked before work begins: none replaces an input or another output."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import vadistill
from vadistill.cli import VERBS, data, main
from vadistill.datasets import Video
from vadistill.errors import VideoError, WeightsError
from vadistill.report.annotate import annotate
from vadistill.score_tables import read_scores, write_scores
from vadistill.scores import Scores
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
    "weights of CLIP": "score b/a.mp4 --prompts fire --clip m.vad --out m.vad/config.json",
    "a video by prompts": "score normal/a.mp4 --prompts fire --video linked/a.mp4",
    "a model's file": "score m.vad normal/a.mp4 --out m.vad/config.json",
    "tables over videos": "score m.vad normal/a.mp4 --ray --out normal/a.mp4",
    "tables over a model": "score m.vad normal/a.mp4 --ray --out m.vad/../m.vad",
    "tables over a folder of frames": "score m.vad linked --ray --out normal",
    "model of a run's name": "evaluate runs/m --data set --out runs",
    "two models of one name": "evaluate m.vad b/m.vad --data set --out new",
    "the set": "evaluate m.vad --data m --out .",
    "scores of a run's name": "evaluate --scores m=runs/m --data set --out runs",
    "fit over its data": "fit motion normal --out linked",
    "board in the model": "fit motion normal --out x.vad --tensorboard x.vad",
    "auto over its data": "fit auto normal --out linked",
    "fit over a file": "fit motion normal --out normal/a.mp4",
    "extract over its data": "extract normal --out linked",
    "extract on Ray over its data": "extract normal --ray --out linked",
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


INPUTS: dict[str, set[str]] = {
    "data check": {"path"},
    "score": {"model", "videos", "clip", "mask"},
    "selftest": {"model", "data", "mask"},
    "evaluate": {"models", "data", "tracks", "clip", "mask"},
    "compare": {"runs"},
    "bench": {"models", "video"},
    "export": {"model", "data"},
    "extract": {"data"},
    "fit motion": {"data", "mask"},
    "fit auto": {"data", "mask"},
    "pretrain": {"data"},
    "reproduce": {"data"},
    "watch": {"model", "settings", "mask"},
    "serve": {"settings", "model", "footage"},
}
"""Paths that a verb reads; the settings of serve are what the console writes, too."""

OUTPUTS: dict[str, tuple[str, dict[str, str]]] = {
    "score": (
        "score m.vad normal/a.mp4",
        {"out": "new.csv", "report": "new.html", "video": "new.mp4"},
    ),
    "score on Ray": ("score m.vad normal/a.mp4 --ray", {"out": "new"}),
    "evaluate": (
        "evaluate m.vad --data set --tracks tracks",
        {"out": "new", "report": "new.html"},
    ),
    "bench": ("bench m.vad --video normal/a.mp4 --frames 4", {"out": "new.json"}),
    "export": ("export m.vad --data set", {"out": "new"}),
    "extract": ("extract set --backbones flow", {"out": "new"}),
    "extract on Ray": ("extract set --backbones flow --ray", {"out": "new"}),
    "fit motion": ("fit motion set", {"out": "new", "tensorboard": "board"}),
    "fit auto": ("fit auto set", {"out": "new"}),
    "pretrain": ("pretrain cafe --data normal/a.mp4", {"out": "new.safetensors"}),
    "reproduce": ("reproduce cafe --data set", {"out": "new"}),
    "watch": ("watch normal/a.mp4 --model m.vad", {"folder": "new", "out": "new.vad"}),
    "demo": ("demo", {"out": "new"}),
    "data walkway": ("data walkway", {"out": "new"}),
    "data features": ("data features", {"out": "new"}),
}
"""Of each verb a command, and the paths that it writes by option; score writes a folder on Ray."""


def paths_of(verb: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The options and arguments of a verb that are paths, from what is handed to the parser."""
    found: list[Any] = []

    def cli(function: Any, **_: Any) -> None:
        found.append(function)
        raise SystemExit(0)

    with monkeypatch.context() as patch:
        patch.setattr("vadistill.cli.terminal.tyro.cli", cli)
        main(verb.split())

    def paths(kind: Any) -> Iterator[str]:
        for name, hint in get_type_hints(kind).items():
            if Path in (hint, *get_args(hint), *(a for h in get_args(hint) for a in get_args(h))):
                yield name
            elif dataclasses.is_dataclass(hint):
                yield from paths(hint)

    return set(paths(found[0])) - {"return"}


def test_every_path_of_every_verb_is_known_as_input_or_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verbs = (set(VERBS) - {"data", "fit", "info"}) | {"fit motion", "fit auto"}
    verbs |= {f"data {verb}" for verb in data.VERBS}
    for verb in sorted(verbs):
        outputs = set(OUTPUTS[verb][1]) if verb in OUTPUTS else set()
        assert paths_of(verb, monkeypatch) == INPUTS.get(verb, set()) | outputs, verb


def argv_of(command: str, outputs: dict[str, str]) -> list[str]:
    """A command with its outputs."""
    if command.startswith("data "):
        return [*command.split(), outputs["out"]]
    return [*command.split(), *(word for o, path in outputs.items() for word in (f"--{o}", path))]


@pytest.mark.parametrize("verb", OUTPUTS)
def test_no_output_of_any_verb_replaces_an_input_or_another_output(
    verb: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, outputs = OUTPUTS[verb]
    (place / "tracks").mkdir()
    (place / "tracks" / "test.txt").write_text("track,frame,x1,y1,x2,y2\n")
    inputs = [word for word in command.split() if (place / word).exists()] or ["normal"]
    for option, usual in outputs.items():
        # Endings are asked for, so a link that has one leads to what must not be written.
        for number, other in enumerate([*inputs, *(o for o in outputs.values() if o != usual)]):
            link = place / f"link{number}{Path(usual).suffix}"
            link.unlink(missing_ok=True)
            link.symlink_to(place / other)
            before = contents(place)
            assert main(argv_of(command, {**outputs, option: link.name})) == 2, (option, other)
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


def test_results_are_saved_again_where_they_were(place: Path) -> None:
    for _ in range(2):
        vadistill.evaluate("m.vad", "set").save("runs")
    assert (place / "runs" / "m" / "run.json").is_file()


@pytest.mark.parametrize("other", ["a model", "scores", "labels", "what is no run"])
def test_a_run_of_something_else_is_replaced_only_if_asked_for(
    other: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = ["evaluate", "m.vad", "--data", "set", "--out", "kept"]
    assert main(evaluate) == 0
    assert main([*evaluate, "--protocol", "ap/raw"]) == 0, "the same scores"
    if other == "a model":
        fit = ["fit", "motion", "normal", "--smoothing", "average10", "--out", "other/m.vad"]
        assert main(fit) == 0
        evaluate[1] = "other/m.vad"
    elif other == "scores":
        (place / "theirs.csv").write_text(
            "video,frame,score\n" + "".join(f"test,{frame},{frame}\n" for frame in range(12))
        )
        evaluate[1:2] = ["--scores", "m=theirs.csv"]
    elif other == "labels":
        (place / "set" / "labels.csv").write_text("file,start,end\ntest.mp4,4,7\n")
    else:
        (place / "kept" / "m" / "run.json").write_text("[]")
    before = contents(place)
    capsys.readouterr()
    assert main(evaluate) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "kept/m holds" in line and "--overwrite" in line
    if other != "what is no run":
        assert "vadistill evaluate m.vad --data set" in line
    assert contents(place) == before
    assert main([*evaluate, "--overwrite"]) == 0
    assert main(evaluate) == 0
    assert contents(place / "kept") != before


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
    assert "vadistill: error: tiny: pictures that are 2 x 2 pixels" in error


KILLED = """
import json, os, signal, sys
from vadistill.cli import main, score
from vadistill.detector import Detector
from vadistill.evaluation import facts, runs, scoring, selftest
from vadistill.systems import detector_class, prompted

detector_class("motion")

collect = Detector.collect

def run(name, folder, said, *argv):
    def collected(self, info, frames):
        if info.name == "c":
            os.kill(os.getpid(), getattr(signal, name))
        return collect(self, info, frames)

    Detector.collect = collected
    os.chdir(folder)
    os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    os.dup2(2, 1)
    sys.exit(main(argv))

for line in iter(sys.stdin.readline, ""):
    child = os.fork()
    if not child:
        run(*json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Each run is a process of its own; what all of them import is imported once."""


@pytest.fixture(scope="module")
def runner() -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", KILLED], stdin=pipe, stdout=pipe, text=True) as it:
        yield it


@pytest.fixture
def killed(
    runner: subprocess.Popen[str], place: Path, tmp_path: Path
) -> Callable[[str, list[str]], str]:
    """What a run says that is sent a signal when it begins to score the video c."""
    said = tmp_path / "said"

    def run(signal: str, argv: list[str]) -> str:
        assert runner.stdin is not None and runner.stdout is not None
        runner.stdin.write(json.dumps([signal, str(place), str(said), *argv]) + "\n")
        runner.stdin.flush()
        assert int(runner.stdout.readline()) == (-9 if signal == "SIGKILL" else 130)
        return said.read_text()

    return run


@pytest.mark.parametrize("table", ["s.csv", "s.json", "s.parquet"])
def test_a_killed_run_keeps_the_videos_that_were_done(
    place: Path, killed: Callable[[str, list[str]], str], table: str
) -> None:
    argv = ["score", "m.vad", "normal/a.mp4", "link.mp4", "b/c.mp4", "hard.mp4", "--out", table]
    killed("SIGKILL", argv)
    assert names_in(place / table) == ["a", "link"]
    assert main(argv) == 0
    assert names_in(place / table) == ["a", "link", "c", "hard"]
    whole = (place / table).read_bytes()
    argv.insert(2, "b/a.mp4")
    killed("SIGKILL", argv)
    assert (place / table).read_bytes() == whole, "an older table stays until the new one is whole"
    partial = Path(table).with_suffix(f".partial{Path(table).suffix}")
    assert names_in(place / partial) == ["b/a.mp4", "normal/a.mp4", "link"]
    assert str(partial) in killed("SIGINT", argv)
    assert main(argv) == 0
    assert len(names_in(place / table)) == 5 and not (place / partial).exists()


def names_in(table: Path) -> list[str]:
    if table.suffix == ".json":
        return [video["video"] for video in json.loads(table.read_text())["videos"]]
    return list(read_scores(table))


def test_what_fails_with_one_video_is_told_at_the_end_and_costs_no_other(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "text.mp4").write_text("no video")

    def annotated(video: Video, scores: Scores, path: Path) -> None:
        if video.name == "link":
            raise VideoError("a frame", expected="another", fix="mend it")
        annotate(video, scores, path)

    def report(*_: object, **__: object) -> None:
        raise WeightsError("cannot write r.html", expected="room", fix="free some")

    monkeypatch.setattr("vadistill.report.annotate.annotate", annotated)
    monkeypatch.setattr("vadistill.report.report.write_report", report)
    argv = "score m.vad text.mp4 gone.mp4 link.mp4 hard.mp4 link.mp4"
    argv += " --out s.csv --report r.html --video films"
    assert main(argv.split()) == 2
    assert list(read_scores(place / "s.csv")) == ["link", "hard"]
    assert [path.name for path in (place / "films").iterdir()] == ["hard.mp4"]
    lines = capsys.readouterr().err.strip().splitlines()[-4:]
    told = ["text.mp4", "gone.mp4", "r.html", "link: a frame"]
    assert all(what in line for what, line in zip(told, lines, strict=True)), lines


def test_a_disk_that_is_full_for_a_while_costs_no_rows(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, scores: list[Scores]) -> None:
        if len(scores) < least:
            raise WeightsError(f"cannot write {path}", expected="room", fix="free some")
        write_scores(path, scores)

    monkeypatch.setattr("vadistill.score_tables.write_scores", full)
    argv = ["score", "m.vad", "link.mp4", "hard.mp4", "--out", "s.csv"]
    least = 2
    assert main(argv) == 0
    assert list(read_scores(place / "s.csv")) == ["link", "hard"]
    least = 3
    assert main(argv) == 2
    assert "cannot write s.partial.csv" in capsys.readouterr().err
    assert list(read_scores(place / "s.csv")) == ["link", "hard"]
