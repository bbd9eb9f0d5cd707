"""The command line: help, typos, one-line errors, exit codes, and that help stays light."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import vadistill
from vadistill.cli import VERBS, main
from vadistill.datasets import open_dataset
from vadistill.errors import DataError
from vadistill.score_tables import read_scores
from vadistill.video import VideoWriter

HEAVY = ("torch", "cv2", "av", "plotly", "sklearn", "onnxruntime", "pyarrow")


def python(code: str) -> str:
    """Output of ``code`` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("vadistill: error: ")
    return lines[0]


@pytest.mark.parametrize("argv", [["--help"], [], ["--version"], ["fit", "--help"], ["data"]])
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    out = python(
        f"import sys; from vadistill.cli import main; main({argv!r}); "
        f"print('heavy:', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert out.endswith("heavy: []\n")


def test_import_loads_nothing_heavy_and_names_resolve() -> None:
    assert (
        python(f"import sys, vadistill; print([m for m in {HEAVY!r} if m in sys.modules])")
        == "[]\n"
    )
    for name in vadistill.__all__:
        assert getattr(vadistill, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        vadistill.lode  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb, line in VERBS.items():
        assert f"  {verb}" in out
        assert line in out


@pytest.mark.parametrize(
    "argv",
    [[verb] for verb in VERBS]
    + [
        ["fit", "cafe"],
        ["fit", "motion"],
        ["fit", "blend"],
        ["fit", "auto"],
        ["data", "check"],
        ["data", "walkway"],
    ],
    ids=" ".join,
)
def test_every_verb_has_help_with_examples(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "--help"]) == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert f"  vadistill {argv[0]}" in out
    assert main(["help", *argv]) == 0 or len(argv) > 1


@pytest.mark.parametrize(
    ("argv", "nearest"),
    [
        (["scroe"], "score"),
        (["evalute", "x"], "evaluate"),
        (["fit", "caffe", "x"], "cafe"),
        (["data", "chek"], "check"),
        (["fit", "cafe", "x", "--out", "y", "--recipe", "avenu"], "avenue"),
    ],
)
def test_typo_of_a_name_is_answered_with_the_nearest(
    argv: list[str], nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert f"did you mean '{nearest}'?" in error_line(capsys)


@pytest.mark.parametrize(
    ("argv", "nearest"),
    [
        (["fit", "cafe", "x", "--out", "y", "--epoch", "3"], "--epochs"),
        (["fit", "motion", "x", "--out", "y", "--percentil", "3"], "--percentile"),
        (["score", "m", "v", "--reprot", "x.html"], "--report"),
        (["demo", "--quik"], "--quick"),
    ],
)
def test_typo_of_an_option_is_answered_with_the_nearest(
    argv: list[str], nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    line = error_line(capsys)
    assert f"; did you mean '{nearest}'?; see 'vadistill {argv[0]}" in line and argv[-2] in line


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["score"], "missing from vadistill score: MODEL A folder that 'vadistill fit' wrote"),
        (["fit", "cafe", "x", "--out"], "missing value for argument '--out'"),
        (["fit", "cafe", "x", "--out", "y", "--epochs", "a"], "cannot read --epochs: invalid"),
        (["evaluate", "x", "--data", "y", "--device", "gpu"], "invalid choice 'gpu' for argument"),
        (["reproduce", "cafe", "--data", "x", "--seeds", "a"], "cannot read --seeds: "),
    ],
)
def test_wrong_options_get_one_line(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    line = error_line(capsys)
    assert told in line and f"; see 'vadistill {argv[0]}" in line and "─" not in line


def test_recipe_sets_the_defaults_of_fit(capsys: pytest.CaptureFixture[str]) -> None:
    def epochs(*recipe: str) -> str:
        assert main(["fit", "cafe", "--help", *recipe]) == 0
        out = " ".join(capsys.readouterr().out.replace("│", " ").split())
        return out.split("--epochs INT")[1].split(")")[0]

    assert epochs() != epochs("--recipe", "demo")


@pytest.mark.parametrize(
    "argv",
    [
        ["fit", "motion", "MISSING", "--out", "OUT"],
        ["data", "check", "MISSING"],
        ["score", "MISSING", "MISSING"],
        ["evaluate", "MISSING", "--data", "MISSING"],
        ["reproduce", "cafe", "--data", "MISSING"],
        ["pretrain", "cafe", "--data", "MISSING", "--out", "OUT"],
        ["info", "MISSING"],
    ],
    ids=lambda argv: argv[0],
)
def test_missing_path_is_one_line_and_exit_2(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "nothing-here")
    swap = {"MISSING": missing, "OUT": str(tmp_path / "out")}
    assert main([swap.get(word, word) for word in argv]) == 2
    assert "nothing-here" in error_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [
        (lambda: DataError("x", expected="y", fix="z"), 2, "vadistill: error: x: expected y; z"),
        (KeyboardInterrupt, 130, "run the same command again"),
        (lambda: OSError(28, "No space left on device", "/full/x"), 2, "/full/x: No space left"),
    ],
    ids=["error", "interrupt", "disk"],
)
def test_failures_become_one_line_and_a_code(
    failure: Callable[[], BaseException],
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(arguments: list[str]) -> int:
        raise failure()

    monkeypatch.setattr("vadistill.cli.dispatch", fail)
    assert main(["fit"]) == code
    shown = capsys.readouterr().err.strip()
    assert text in shown
    assert len(shown.splitlines()) == 1


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("vadistill.cli.dispatch", fail)
    with pytest.raises(ZeroDivisionError):
        main(["fit"])


def test_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        f"{sys.executable} -m vadistill --help | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""


def test_info_names_versions_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert vadistill.__version__ in out
    assert "system cafe" in out
    assert "quick" in out


# -- the verbs at work, on a square that moves --------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two normal videos and two with a second, faster square in frames 10 to 19."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    scene = rng.integers(80, 120, (96, 128, 3), dtype=np.uint8)
    for split, names in {"train": ("n0", "n1"), "test": ("a0", "a1")}.items():
        (root / split).mkdir()
        for name in names:
            with VideoWriter(root / split / f"{name}.mp4", 128, 96, 10) as writer:
                for t in range(30):
                    frame = scene.copy()
                    frame[20:45, 10 + 2 * t : 25 + 2 * t] = 220
                    if split == "test" and 10 <= t < 20:
                        frame[60:85, 8 * (t - 10) : 8 * (t - 10) + 15] = 30
                    writer.write(frame)
    (root / "labels.csv").write_text("file,start,end\na0.mp4,10,20\na1.mp4,10,20\n")
    return root


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "motion.vad"
    assert main(["fit", "motion", str(data), "--out", str(path)]) == 0
    return path


def test_fit_takes_settings_as_options(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.vad"
    argv = ["fit", "motion", str(data), "--out", str(out), "--percentile", "80"]
    assert main([*argv, "--localiser", "motion"]) == 0
    config = json.loads((out / "config.json").read_text())["config"]
    assert config["percentile"] == 80
    assert config["localiser"] == "motion"


def test_fit_says_what_tensorboard_needs_before_it_learns(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    argv = ["fit", "motion", str(data), "--out", str(tmp_path / "m.vad")]
    assert main([*argv, "--tensorboard", str(tmp_path / "board")]) == 2
    assert "[tensorboard]" in capsys.readouterr().err
    assert not (tmp_path / "m.vad").exists()


def test_fit_needs_nothing_but_the_videos(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "motion", "--data", str(data)]) == 0
    assert vadistill.load(tmp_path / "motion.vad").name == "motion"
    capsys.readouterr()
    other = ["fit", "motion", str(data), "--percentile", "80"]
    assert main(other) == 2, "a finished model is not replaced unasked"
    error = capsys.readouterr().err
    assert "motion.vad holds a finished motion model of other settings" in error
    assert "choose another folder" in error
    assert main(["fit", "motion", "--data"]) == 2
    assert "--data without a folder" in capsys.readouterr().err


def test_fit_replaces_no_other_model_unasked(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, out = tmp_path / "mine", tmp_path / "m.vad"
    shutil.copytree(data / "train", mine)
    fit = ["fit", "motion", str(mine), "--out", str(out)]

    def refused(*argv: str) -> str:
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        capsys.readouterr()
        assert main([*argv, "--out", str(out)]) == 2
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
        line = error_line(capsys)
        assert "--overwrite" in line
        return line

    assert main(fit) == 0
    assert "percentile 95" in refused("fit", "motion", str(mine), "--percentile", "80")
    other = refused("fit", "cafe", str(mine), "--recipe", "demo")
    assert "holds a finished motion model" in other
    (mine / "n1.mp4").unlink()
    assert "of other footage" in refused(*fit[:3])
    assert main([*fit, "--overwrite"]) == 0
    with pytest.raises(vadistill.ConfigError, match="overwrite=True"):
        vadistill.fit("motion", mine, out=out, percentile=80)
    vadistill.fit("motion", mine, out=out, percentile=80, overwrite=True)

    facts = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**facts, "footage": None}))
    assert "does not tell its footage" in refused(*fit[:3], "--percentile", "80")
    (out / "config.json").write_text("{}")
    assert "is not a config of this version" in refused(*fit[:3])
    (out / "config.json").unlink()
    (out / ".fit").mkdir()
    assert main(fit) == 0, "what an interrupted fit left is gone on with"


def test_a_fit_that_has_ended_is_not_done_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, out, boxes = tmp_path / "mine", tmp_path / "m.vad", tmp_path / "a+b@c" / "boxes.csv"
    shutil.copytree(data / "train", mine)
    boxes.parent.mkdir()
    names = [path.stem for path in sorted(mine.iterdir())]

    def fits(*argv: str | Path) -> bool:
        """Whether a command that ends well has fitted, as it says."""
        before = (out / "config.json").stat().st_mtime_ns if out.exists() else 0
        capsys.readouterr()
        assert main(["fit", "motion", *map(str, argv), "--out", str(out)]) == 0
        said = capsys.readouterr().out
        told, *_, last = said.splitlines()
        again = f"{out} was fitted before, to this footage with these settings"
        assert told.startswith(again) != said.startswith("motion learns from")
        assert last.startswith("next: vadistill score")
        fitted = (out / "config.json").stat().st_mtime_ns != before
        assert fitted == ("wrote" in said) == (again not in said)
        untested = "no self-test: 0:06.0 of normal video is too short" in said
        assert untested == (fitted and "--localiser" not in argv)
        return fitted

    assert fits(mine) and not fits(mine)
    copied = tmp_path / "copied"
    shutil.copytree(mine, copied, copy_function=shutil.copyfile)  # with dates of their own
    assert not fits(copied) and fits(copied, "--overwrite")
    model = vadistill.fit("motion", mine, out=out)
    assert model.calibration is not None and not fits(mine), "nor from Python"

    facts = json.loads((out / "config.json").read_text())
    made = {**facts["made"], "vadistill": "0.0.1"}
    (out / "config.json").write_text(json.dumps({**facts, "made": made}))
    assert fits(mine), "another version may do better"
    (out / "weights.safetensors").write_bytes(b"half")
    assert fits(mine), "what is damaged is made anew"
    (out / ".fit").mkdir()
    assert fits(mine), "what has not ended goes on"

    def write(box: str) -> None:
        rows = [f"{name},{frame},{box}" for name in names for frame in range(1, 20)]
        boxes.write_text("\n".join(["file,frame,x1,y1,x2,y2", *rows]) + "\n")

    write("4,4,24,24")
    given = [mine, "--localiser", f"boxes:{boxes}"]
    assert fits(*given, "--overwrite") and not fits(*given)
    write("8,8,24,24")
    assert fits(*given), "boxes are others"


def info_of(model: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    """What ``info`` shows of a model, by name, in order."""
    capsys.readouterr()
    assert main(["info", str(model), *options]) == 0
    shown, name = {}, ""
    for cells in (line.split("│") for line in capsys.readouterr().out.splitlines()):
        if len(cells) == 4:  # a long fact goes on in the next row, without a name
            name = cells[1][1:].rstrip() or name
            shown[name] = f"{shown.get(name, '')} {cells[2].strip()}".strip()
    return shown


def test_info_tells_first_what_is_asked_and_only_settings_that_were_changed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.vad"
    changed = ["--localiser", "motion", "--percentile", "90"]
    assert main(["fit", "motion", str(data), "--out", str(out), *changed]) == 0
    shown = info_of(out, capsys)
    assert list(shown) == [
        *("model", "system", "recipe", "fitted", "command", "learned from", "level", "localiser"),
        *("latency", "size", "settings", "  localiser", "  percentile"),
    ]
    assert shown["system"] == "motion, which learns from normal video"
    assert shown["recipe"] == "default, but for 2 settings"
    assert shown["learned from"].startswith("2 videos, 0:06.0, 128x96 at 10 frames/s, 60 frames")
    assert "raw score" in shown["level"] and "too short to tell 1 false alarm" in shown["level"]
    assert shown["localiser"] == "motion" and shown["latency"].endswith(" s at 10 frames/s")
    settings = json.loads((out / "config.json").read_text())["config"]
    rest = f"2 changed, {len(settings) - 2} others as in the default recipe (--all shows them)"
    assert shown["settings"] == rest
    assert shown["  percentile"] == "90.0 (default: 95.0)"
    every = info_of(out, capsys, "--all")
    assert {f"config.{name}" for name in settings} <= every.keys()
    # Another package's system, or another version's settings, are told as far as they are known.
    facts = json.loads((out / "config.json").read_text())
    for changes in ({"system": "elsewhere"}, {"config": {**settings, "colour": 1}}):
        (out / "config.json").write_text(json.dumps({**facts, **changes}))
        shown = info_of(out, capsys)
        assert shown["recipe"].startswith("unknown: ") and "--all" in shown["settings"]
        assert shown["fitted"].endswith(vadistill.__version__)


def test_info_tells_how_a_model_came_to_be(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.vad"
    assert main(["fit", "motion", str(data), "--out", str(out)]) == 0
    facts = json.loads((out / "config.json").read_text())
    assert facts["made"]["command"] == f"vadistill fit motion {data.name} --out m.vad"
    today = facts["made"]["date"]
    assert facts["footage"]["dates"] == [today, today]
    shown = info_of(out, capsys, "--all")
    assert shown["footage.sizes"] == "128x96"
    assert shown["footage.rates"] == "10.0"
    assert shown["footage.videos"] == "2"
    assert shown["footage.seconds"] == "0:06.0"
    assert len(shown["footage.hash"]) == len(shown["weights"]) == 16
    assert shown["made.vadistill"] == vadistill.__version__
    assert {"made.command", "made.date", "config.percentile"} <= shown.keys()
    loaded = vadistill.load(out)
    loaded.save(tmp_path / "again.vad")
    again = json.loads((tmp_path / "again.vad" / "config.json").read_text())
    assert again["made"] == facts["made"] and again["footage"] == facts["footage"]


def test_score_writes_what_is_asked_for(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, page, video = tmp_path / "s.csv", tmp_path / "r.html", tmp_path / "v.mp4"
    argv = ["score", str(model), str(data / "test" / "a0.mp4"), "--out", str(table)]
    argv += ["--report", str(page), "--video", str(video), "--smoothing", "raw"]
    assert main(argv) == 0
    scores = read_scores(table)["a0"]
    assert len(scores) == 30
    assert 10 <= scores.argmax() <= 20
    text = page.read_text()
    assert "<html" in text[:500].lower() and ">Events</h2>" in text
    facts = json.loads((model / "config.json").read_text())
    told = f"2 videos, 0:06.0, 128x96 at 10 frames/s; weights: {facts['weights']}"
    assert told in text and "<summary>settings</summary>" in text
    assert sum(1 for _ in vadistill.open_video(video)) == 30
    out = capsys.readouterr().out
    assert page.as_uri() in out
    assert "a0: 30 frames" in out


def test_score_goes_on_behind_a_video_that_ends_too_early(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "short"
    short.mkdir()
    scene = np.zeros((96, 128, 3), np.uint8)
    for index, side in enumerate((96, 96, 80)):
        assert cv2.imwrite(str(short / f"{index}.png"), scene[:side])
    table = tmp_path / "s.csv"
    good = data / "test" / "a0.mp4"
    assert main(["score", str(model), str(short), str(good), "--out", str(table)]) == 2
    assert list(read_scores(table)) == ["a0"]
    assert "vadistill: error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--out", "s.xls"], ".csv, .parquet, .json"),
        (["--report", "r.pdf"], ".html"),
        (["--smoothing", "averge10"], "average10"),
        (["--video", "v.avi"], ".mp4"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_score_refuses_before_it_scores(
    extra: list[str],
    said: str,
    data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["score", "no-model", str(data / "test" / "a0.mp4"), *extra]) == 2
    assert said in error_line(capsys)


def test_evaluate_prints_figures_and_json(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "e.html"
    capsys.readouterr()
    argv = ["evaluate", str(model), "--data", str(data), "--report", str(page)]
    assert main([*argv, "--out", str(tmp_path / "runs")]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    kept = json.loads((run / "run.json").read_text())["facts"]["models"]["motion"]
    facts = json.loads((model / "config.json").read_text())
    assert kept["weights"] == facts["weights"] and kept["settings"] == facts["config"]
    out = capsys.readouterr().out
    assert "/micro/gaussian3" in out
    assert "/macro-skip/raw" in out
    assert "For operators" in page.read_text()
    argv = ["evaluate", str(model), "--data", str(data), "--protocol", "micro/raw", "--json"]
    assert main(argv) == 0
    (figure,) = json.loads(capsys.readouterr().out)
    assert figure["model"] == "motion"
    assert (figure["dataset"], figure["protocol"]) == (open_dataset(data).test.name, "micro/raw")
    assert figure["value"] > 0.8


def test_data_check_exits_2_for_a_broken_set(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(data), "--full"]) == 0
    assert "train: 2 videos, 60 frames" in capsys.readouterr().out
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    (broken / "labels.csv").write_text("file,start,end\na0.mp4,10,99\n")
    assert main(["data", "check", str(broken)]) == 2
    assert "a0" in capsys.readouterr().out


def test_info_of_a_model_and_a_video(
    data: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert info_of(model, capsys)["settings"].startswith("all ")
    assert main(["info", str(data / "test" / "a0.mp4")]) == 0
    shown = capsys.readouterr().out
    assert "128 x 96 pixels" in shown and "30 by its header" in shown and "problem" not in shown


def test_info_of_a_video_that_was_cut(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(cases / "truncated_mkv" / "cut.mkv")]) == 0
    assert "is cut short: it ends after 36 of 60 frames" in " ".join(
        capsys.readouterr().out.split()
    )


def test_demo_keeps_to_its_own_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").touch()
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "demo.json").write_text('{"seed": 7, "quick": false}')
    assert main(["demo", "--out", str(other)]) == 2
    assert "another demo (seed 7" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo_ends_with_a_report_and_runs_again_from_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--quick", "--out", str(out)]) == 0
    first = capsys.readouterr().out
    assert (out / "report.html").as_uri() in first
    assert {p.name for p in out.iterdir()} >= {"annotated.mp4", "demo.png", "report.json"}
    before = (out / "cafe.vad" / "weights.safetensors").stat().st_mtime_ns
    assert main(["demo", "--quick", "--out", str(out)]) == 0
    assert (out / "cafe.vad" / "weights.safetensors").stat().st_mtime_ns == before
    figures = [line for line in first.splitlines() if line.startswith("  cafe ")]
    again = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  cafe ")]
    assert figures[0].split(";")[:2] == again[0].split(";")[:2]


def test_a_video_unlike_the_training_footage_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grain = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for name, rate, step in (("known", 25, 1), ("slow", 5, 1), ("small", 25, 2)):
        picture = grain[::step, ::step]
        height, width = picture.shape[:2]
        with VideoWriter(tmp_path / f"{name}.mp4", width, height, rate) as writer:
            for i in range(30):
                writer.write(np.roll(picture, i, axis=1))
    model = tmp_path / "model.vad"
    (tmp_path / "train").mkdir()
    (tmp_path / "known.mp4").rename(tmp_path / "train" / "known.mp4")
    assert main(["fit", "motion", str(tmp_path / "train"), "--out", str(model)]) == 0
    footage = json.loads((model / "config.json").read_text())["footage"]
    facts = {"sizes": [[96, 64]], "rates": [25.0], "videos": 1, "frames": 30, "seconds": 1.2}
    assert {name: footage[name] for name in facts} == facts
    capsys.readouterr()
    told = {}
    for path in ("train/known", "slow", "small"):
        assert main(["score", str(model), str(tmp_path / f"{path}.mp4")]) == 0
        lines = capsys.readouterr().err.splitlines()
        told[path] = [line for line in lines if "the model knows 96x64 at 25" in line]
    assert [len(lines) for lines in told.values()] == [0, 1, 1]
    assert "slow has 96x64 pixels at 5 frames/s" in told["slow"][0]

    (tmp_path / "test").mkdir()
    for name in ("slow", "small"):
        (tmp_path / f"{name}.mp4").rename(tmp_path / "test" / f"{name}.mp4")
    (tmp_path / "labels.csv").write_text("file,start,end\nslow,3,9\n")
    argv = ["evaluate", str(model), "--data", str(tmp_path), "--protocol", "micro/raw"]
    assert main(argv) == 0
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if "the model knows 96x64 at 25" in line]
    assert line.startswith("vadistill: warning: model: 2 of 2 videos, slow has 96x64 pixels")
