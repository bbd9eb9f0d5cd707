"""Names with markup, escapes, line breaks and bytes that are no UTF-8, through every verb."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from support import scenes
from support.tiny_clip import tiny_clip
from vadistill.cli import VERBS, main
from vadistill.datasets import Splits
from vadistill.detector import Detector
from vadistill.score_tables import read_scores
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems import cafe, fit

NAME = f"[red]\x1b[2J\n{os.fsdecode(bytes([0xE9]))}"
SHOWN = "[red]\\x1b[2J\\n\\xe9"
OUT = f"o[/x]{NAME}"
"""A closing tag of markup lies across folders."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a folder of such a name: ``set``, a model, a run, pictures of two classes, a walkway."""
    root = tmp_path_factory.mktemp("names") / NAME
    videos = root / NAME
    for split in ("train", "test"):
        (videos / split).mkdir(parents=True)
    film = scenes.film(root / "film.mp4", 0, frames=24)
    shutil.copy(film, videos / "train" / f"{NAME}.mp4")
    shutil.copy(film, videos / "test" / f"{NAME}.mp4")
    shutil.copy(film, videos / "test" / "plain.mp4")
    (videos / "labels.csv").write_text("file,start,end\nplain.mp4,6,12\n")
    (root / f"{NAME}.json").write_text("[[[0, 0], [0.1, 0], [0, 0.1]]]")
    rng = np.random.default_rng(0)
    for name in (NAME, "plain"):
        folder = root / "images" / name
        folder.mkdir(parents=True)
        for index in range(12):
            _, data = cv2.imencode(".png", rng.integers(0, 255, (32, 32, 3), np.uint8))
            (folder / f"{index}.png").write_bytes(data.tobytes())
    rows = [f"{v},{frame},{frame % 7}" for v in (f'"{SHOWN}"', "plain") for frame in range(24)]
    (root / "theirs.csv").write_text("video,frame,score\n" + "\n".join(rows) + "\n")
    fit("motion", videos, out=root / f"{NAME}.vad")
    shutil.copytree(root / f"{NAME}.vad", root / "other.vad")
    # Made elsewhere: open_clip logs where, which the runner cannot pass on.
    shutil.copytree(tiny_clip(tmp_path_factory.mktemp("clip")), root / "clip")
    cafe.Cafe(SMALL, device="cpu").fit(videos, out=root / "cafe.vad")
    return root


SMALL = cafe.Config(epochs=1, consistency_after=1, frames=20)

COMMANDS = {
    "data check": ["data", "check", "{n}", "--full"],
    "data walkway": [
        *("data", "walkway", "{o}-walk", "--train-clips", "1", "--test-clips", "1"),
        *("--frames", "24", "--width", "160", "--height", "120"),
    ],
    "data features": ["data", "features", "{o}-features", "--videos", "190", "--longest", "40"],
    "fit": ["fit", "motion", "{n}", "--out", "{o}-new.vad"],
    "fit blend": ["fit", "blend", "{n}", "--of", "motion", "{n}.vad", "--out", "{o}-blend.vad"],
    "fit auto": ["fit", "auto", "{n}", "--out", "{o}-auto.vad"],
    "info of a model": ["info", "{n}.vad"],
    "all of a model": ["info", "{n}.vad", "--all"],
    "info of a video": ["info", "{n}/train/{n}.mp4"],
    "selftest": ["selftest", "{n}.vad", "--data", "{n}", "--plants", "1"],
    "score to csv": [
        *("score", "{n}.vad", "{n}/train/{n}.mp4", "film.mp4", "--out", "{o}-table.csv"),
        *("--report", "{o}-page.html", "--video", "{o}-films"),
    ],
    "score to json": [
        *("score", "{n}.vad", "{n}/train/{n}.mp4", "--out", "{o}-table.json"),
        *("--video", "{o}-film.mp4"),
    ],
    "score to parquet": ["score", "{n}.vad", "{n}/train/{n}.mp4", "--out", "{o}-table.parquet"],
    "score on Ray": [
        *("score", "{n}.vad", "{n}/train/{n}.mp4", "film.mp4", "--ray", "--workers", "1"),
        *("--out", "{o}-tables"),
    ],
    "score by prompts": [
        *("score", "{n}/train/{n}.mp4", "--prompts", "{n}, a fall", "--clip", "clip"),
        *("--out", "{o}-prompts.csv", "--report", "{o}-prompts.html"),
    ],
    "name events": ["score", "{n}.vad", "film.mp4", "--prompts", "a=b, {n}", "--clip", "clip"],
    "evaluate": [
        *("evaluate", "{n}.vad", "other.vad", "--data", "{n}", "--out", "{o}-runs"),
        *("--report", "{o}-evaluation.html", "--mask", "{n}.json"),
    ],
    "evaluate scores": [
        *("evaluate", "--scores", "{n}=theirs.csv", "--data", "{n}", "--out", "{o}-others"),
        *("--report", "{o}-others.html"),
    ],
    "compare": ["compare", "{o}-runs/{s}", "{o}-runs/other"],
    "bench": [
        *("bench", "{n}.vad", "other.vad", "--video", "{n}/train/{n}.mp4", "--frames", "6"),
        *("--out", "{o}-speed.json"),
    ],
    "export": ["export", "cafe.vad", "--data", "{n}", "--out", "{o}-onnx.vad", "--frames", "12"],
    "extract": ["extract", "{n}", "--backbones", "flow", "--out", "{o}-store"],
    "extract on Ray": [
        *("extract", "{n}", "--backbones", "flow", "--ray", "--workers", "1"),
        *("--out", "{o}-ray-store"),
    ],
    "pretrain": [
        *("pretrain", "cafe", "--data", "images", "--out", "{o}-teacher.safetensors"),
        *("--architecture", "narrow9", "--epochs", "1", "--batch", "8"),
    ],
    "reproduce": ["reproduce", "cafe", "--data", "{n}", "--out", "{o}-rows", "--only", "cafe"],
    "weights": ["weights"],
    "demo": ["demo", "--quick", "--out", "{o}-demo"],
}
"""{n} stands for the name, {s} for how it is written, {o} for how outputs begin."""

LIVE = {"watch", "serve"}
"""Their names are those of cameras, which have an alphabet."""


def rendered(out: Path, scene: WalkwayConfig) -> Splits:
    """Pictures of the least size, and fewer of them."""
    return render_walkway(out, replace(scene, width=160, height=120, frames=30))


def test_every_verb_is_among_them() -> None:
    assert {argv[0] for argv in COMMANDS.values()} | LIVE == set(VERBS)


@pytest.mark.parametrize("what", COMMANDS)
def test_every_output_is_written_and_names_stand_on_one_line(
    what: str, made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--ray" in COMMANDS[what] and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (the extra 'cluster')")
    monkeypatch.chdir(made)
    for recipe in ("default", "ped2"):
        monkeypatch.setitem(cafe.RECIPES, recipe, lambda: SMALL)

    def fitted(name: str, train: Any, out: Path, *_: object) -> Detector:
        return fit("motion", train, out=out / f"{name}.vad", overwrite=True)

    monkeypatch.setattr("vadistill.cli.demo.fitted", fitted)
    monkeypatch.setattr("vadistill.cli.demo.render_walkway", rendered)
    argv = [word.format(n=NAME, s=SHOWN, o=OUT) for word in COMMANDS[what]]
    # 24 frames show no object for a second, which the self-test says.
    usual = (2,) if what == "selftest" else (0, None)
    assert main(argv) in usual, capsys.readouterr().err
    said = "".join(capsys.readouterr())
    assert "\x1b[2J" not in said
    assert all(line.strip() != NAME[-1] for line in said.splitlines())
    options = ("--out", "--report", "--video")
    outputs = [value for option, value in pairwise(argv) if option in options]
    outputs += [word for word in argv[2:3] if argv[0] == "data" and word.startswith(OUT)]
    assert all((made / output).exists() for output in outputs)
    if what == "score to csv":
        assert list(read_scores(made / argv[5])) == [SHOWN, "film"]
        assert {p.name for p in (made / f"{OUT}-films").iterdir()} == {f"{SHOWN}.mp4", "film.mp4"}
    if what == "score on Ray":
        tables = (made / f"{OUT}-tables").rglob("*.parquet")
        assert {v for table in tables for v in read_scores(table)} == {SHOWN, "film"}
    if what == "evaluate":
        runs = made / f"{OUT}-runs"
        assert {path.name for path in runs.iterdir()} == {SHOWN, "other"}
