"""Every script in benchmarks runs, small, on data made here, and writes its rows."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from support import scenes
from support.bars import write_bars
from support.rtsp_server import missing
from vadistill.reproduce.records import load_records
from vadistill.systems import fit

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

LIBRARIES = {"rows", "scatter", "together"}
"""What the scripts import."""

SECONDS = [pytest.mark.slow, pytest.mark.timeout(600)]

COMMANDS = {
    "cafe_speed": "--data set --model m.vad",
    "cafe_terms": "--data bars --work work",
    "dakd_attention": "--data {data}/pets2009_i3d --recipes default --work work",
    "dakd_committee": "--data {data}/pets2009_i3d",
    "dakd_dense": "--data {data}/pets2009_i3d",
    "dakd_lengths": "--data {data}/pets2009_i3d",
    "dakd_live": "",
    "dakd_mil": "--data {data}/pets2009_i3d",
    "dakd_speed": "--work work",
    "extraction": "--data set",
    "fast_aed_gates": "--data set --work work",
    "fast_aed_maps": "--data set m.vad",
    "fast_aed_speed": "--video set/test/b.mp4",
    "fast_aed_student": "--data bars --work work",
    "fights": "--data fights --work work",
    "labelled_videos": "--fights fights --falls falls --work work",
    "live_faults": "",
    "live_load": "--model m.vad --video set/test/b.mp4",
    "live_ped2": "--data set --model m.vad",
    "localisers": "--data set --detector {weights}/yolox_nano_coco.onnx",
    "motion": "--data set --work work",
    "one_pass": "--data set",
    "parity": "--data set --work work",
    "ray_archive": "--model m.vad --videos set/test",
    "region_speed": "",
    "remembered": "--data set --models m.vad",
    "selftest_study": "--data bars --work work",
    "soak": "",
    "training_memory": "",
    "walkway": "--work work",
}
"""By script, its arguments beside --smoke and --out."""

RTSP = {"live_faults", "live_load", "live_ped2"}
SLOW = {
    "dakd_attention",
    "dakd_committee",
    "dakd_dense",
    "dakd_lengths",
    "dakd_mil",
    "dakd_speed",
    "fast_aed_gates",
    "fast_aed_student",
    "fights",
    "labelled_videos",
    "live_faults",
    "live_load",
    "live_ped2",
    "ray_archive",
}
SLOW |= {"cafe_terms", "one_pass", "selftest_study", "training_memory", "walkway"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``set`` with labels and masks, ``bars``, ``fights``, ``falls``, and ``m.vad``."""
    root = tmp_path_factory.mktemp("benchmarks")
    for folder in ("set/train", "set/test", "set/test_masks/b"):
        (root / folder).mkdir(parents=True)
    for seed, name in enumerate(("train/a", "test/b")):
        rush = range(16, 32) if name == "test/b" else None
        scenes.film(root / "set" / f"{name}.mp4", seed, frames=40, rush=rush)
    for index in range(40):
        mask = np.zeros((scenes.HEIGHT, scenes.WIDTH), np.uint8)
        mask[30:60, 40:80] = 255 * (16 <= index < 32)
        cv2.imwrite(str(root / "set" / "test_masks" / "b" / f"{index:03}.png"), mask)
    (root / "set" / "labels.csv").write_text("file,start,end\nb.mp4,16,32\n")
    write_bars(root / "bars")
    rows, falls = [("file", "fight", "source")], [("file", "start", "end")]
    for seed in range(16):
        abnormal = seed % 2 == 1
        rush = range(4, 28) if abnormal else None
        for folder, name in (
            ("fights", f"{seed:02}.mp4"),
            (f"falls/t{seed % 2}", f"v{seed:02}.mp4"),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            scenes.film(root / folder / name, seed, frames=48, rush=rush)
        rows.append((f"{seed:02}.mp4", str(int(abnormal)), f"source{seed // 2}"))
        if abnormal:
            falls.append((f"v{seed:02}.mp4", "4", "28"))
    for folder, lines in (("fights", rows), ("falls", falls)):
        with (root / folder / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    fit("motion", root / "set", out=root / "m.vad")
    return root


def test_every_script_is_among_them() -> None:
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")}
    assert set(COMMANDS) == scripts - LIBRARIES


@pytest.mark.parametrize(
    "script", [pytest.param(s, marks=SECONDS if s in SLOW else []) for s in COMMANDS]
)
def test_every_benchmark_runs_and_writes_its_rows(
    script: str, made: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if script in RTSP and missing():
        pytest.skip(missing())
    if script == "ray_archive" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (the extra 'cluster')")
    folders = {"data": "shared_data", "weights": "detector_files"}
    real = {
        n: request.getfixturevalue(f) for n, f in folders.items() if f"{{{n}}}" in COMMANDS[script]
    }
    words = COMMANDS[script].format(**real).split()
    words = [str(made / word) if (made / word).exists() else word for word in words]
    out = tmp_path / ("maps.png" if script == "fast_aed_maps" else "rows.json")
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), *words, "--smoke", "--out", str(out)],
        cwd=tmp_path,
        env={**os.environ, "VADISTILL_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    if script == "fast_aed_maps":
        assert cv2.imread(str(out)) is not None
    else:
        records = load_records(out)
        assert records and all(np.isfinite(record.value) for record in records)
        assert str(tmp_path) not in out.read_text()
