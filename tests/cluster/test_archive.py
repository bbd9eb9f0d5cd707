"""Archives on Ray: rows of the plain loop, each once, whoever dies; what is done is left out."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from support import scenes
from support.ray_archive import lines, rows, worker_killed
from vadistill.cli import main
from vadistill.cli.score_archive import expanded
from vadistill.cluster import stretches
from vadistill.cluster.manifest import NAME, Manifest
from vadistill.cluster.run import places_of
from vadistill.cluster.stretches import part_of, ranges, within
from vadistill.datasets import Video
from vadistill.errors import ConfigError, VideoError
from vadistill.systems import fast_aed, fit
from vadistill.systems.fast_aed.detector import FastAed

SMALL = fast_aed.Config(
    teachers=("motion",), frames=24, epochs=1, batch=8, batch_frames=4, precision="fp32"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``archive`` of two cameras with seven videos and a file that is none, and ``m.vad``."""
    root = tmp_path_factory.mktemp("archive")
    for camera in ("cam1", "cam2", "normal"):
        (root / "archive" / camera).mkdir(parents=True)
    names = ["cam1/a", "cam1/b", "cam1/same", "cam2/c", "cam2/d", "cam2/same"]
    for seed, name in enumerate(names):
        rush = range(20, 40) if seed % 2 else None
        scenes.film(root / "archive" / f"{name}.mp4", seed, frames=48, rush=rush)
    (root / "archive" / "cam1" / "bad.mp4").write_bytes(b"no video" * 100)
    shutil.move(root / "archive" / "normal", root / "normal")
    scenes.film(root / "normal" / "n.mp4", 20, frames=48)
    fit("motion", root / "normal", out=root / "m.vad")
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``made`` that is the working folder."""
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


ON_RAY = ["score", "m.vad", "archive/**/*.mp4", "--ray", "--workers", "2", "--out", "scores"]


def test_rows_are_the_plain_loops_and_a_run_again_does_nothing(
    place: Path, cluster: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["score", "m.vad", "archive/**/*.mp4", "--out", "plain.parquet"]) == 2
    plain = capsys.readouterr().err.splitlines()[-1]
    assert main(ON_RAY) == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == plain and "bad.mp4" in plain
    assert "7 videos: 6 scored, 1 failed" in said.out
    assert rows(place / "plain.parquet").equals(rows(place / "scores"))
    kept = lines(place / "scores")
    assert sorted(line["source"] for line in kept) == sorted(map(str, Path().glob("archive/*/*")))
    assert [line["video"] for line in kept if "error" in line] == ["bad"]

    def no_cluster(*_: object) -> None:
        pytest.fail("all is done")

    with monkeypatch.context() as patch:
        patch.setattr("vadistill.cluster.run.connected", no_cluster)
        assert main(ON_RAY) == 2
    said = capsys.readouterr()
    assert "0 scored, 6 scored before, 1 failed" in said.out
    assert said.err.splitlines()[-1] == plain and lines(place / "scores") == kept
    # Another smoothing is another table; a video that is mended, and one that is new, are scored.
    shutil.copy("archive/cam1/a.mp4", "archive/cam1/bad.mp4")
    assert main(ON_RAY) == 0
    assert "1 scored, 6 scored before" in capsys.readouterr().out
    assert main([*ON_RAY, "--smoothing", "average10"]) == 0
    assert "7 scored" in capsys.readouterr().out


def test_tables_by_another_model_or_mask_are_not_lost(
    place: Path, cluster: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", "m.vad", "archive/cam2/*.mp4", "--ray", "--out", "scores"]
    assert main(command) == 0
    before = {path: path.read_bytes() for path in (place / "scores").rglob("*.*")}
    fit("motion", place / "normal", out=place / "other.vad", smoothing="average10")
    (place / "mask.json").write_text("[[[0, 0], [0.2, 0], [0, 0.2]]]")
    for other in (
        ["score", "other.vad", *command[2:]],
        [*command, "--mask", "mask.json"],
    ):
        capsys.readouterr()
        assert main(other) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "by another model or mask: expected" in line
    assert {path: path.read_bytes() for path in (place / "scores").rglob("*.*")} == before
    # Earlier versions did not list of which model a table is.
    listed = place / "scores" / NAME
    listed.write_text(re.sub('"origin": "[^"]*", ', "", listed.read_text()))
    assert main([*command, "--smoothing", "average10"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "by another model or mask, or by an earlier version: expected" in line
    assert main([*command[:-1], "other"]) == 0


def test_a_killed_workers_video_is_done_again_and_none_twice(
    place: Path, cluster: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        shutil.copy("archive/cam1/b.mp4", f"archive/cam2/more{number}.mp4")

    with worker_killed(place / "scores"):
        assert main(ON_RAY) == 2
    assert "1 died and their videos were done again" in capsys.readouterr().out.replace("\n", " ")
    kept = lines(place / "scores")
    assert len(kept) == len({line["video"] for line in kept}) == 13
    assert main(["score", "m.vad", "archive/**/*.mp4", "--out", "plain.parquet"]) == 2
    assert rows(place / "plain.parquet").equals(rows(place / "scores"))


@pytest.fixture(scope="module")
def student(made: Path) -> FastAed:
    model = FastAed(SMALL, device="cpu").fit(made / "normal", out=made / "student.vad")
    assert isinstance(model, FastAed)
    return model


@pytest.mark.parametrize("count", [2, 3, 4])
def test_stretches_have_the_scores_of_the_whole_video(
    count: int, made: Path, student: FastAed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "SHORTEST", 8)
    video = Video("a", made / "archive" / "cam1" / "a.mp4", hidden=(((0, 0), (0.2, 0), (0, 0.2)),))
    whole = list(student.score(video))
    cut = ranges(video, student, count)
    assert len(cut) == count and cut[0][0] == 0
    found = [f for each in cut for f in within(list(student.score(part_of(video, student, each))), each)]  # noqa: E501  # fmt: skip
    assert [(f.index, f.time, f.score) for f in found] == [
        (f.index, f.time, f.score) for f in whole
    ]


def test_a_video_stays_whole_where_a_cut_would_change_it(made: Path, student: FastAed) -> None:
    video = Video("a", made / "archive" / "cam1" / "a.mp4")
    assert ranges(video, student, 4) == []  # too short
    from vadistill.systems import load

    assert load(made / "m.vad").lookback is None  # its empty scene follows the video


def test_a_long_video_is_cut_and_joined(
    place: Path,
    student: FastAed,
    cluster: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(stretches, "SHORTEST", 8)
    shutil.copytree("archive/cam1", "long")
    scenes.film(place / "long" / "a.mp4", 0, frames=160)
    Path("long/bad.mp4").unlink()
    assert main(["score", "student.vad", "long/*.mp4", "--out", "plain.parquet"]) == 0
    assert main(["score", "student.vad", "long/*.mp4", "--ray", "--out", "scores"]) == 0
    assert "3 videos: 3 scored" in capsys.readouterr().out
    assert rows(place / "plain.parquet").equals(rows(place / "scores"))
    assert {line["video"]: line["frames"] for line in lines(place / "scores")}["a"] == 160


def test_without_ray_one_line_says_what_to_install(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(ON_RAY) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the extra 'cluster'" in line and "pip install" in line
    assert not (place / "scores").exists()


WRONG = {
    "two addresses": (["--ray", "auto", "b", "--out", "s"], "one address"),
    "no folder": (["--ray"], "--out"),
    "an address that is none": (["--ray", "ray://user:secret@host:1", "--out", "s"], "HOST:PORT"),
    "a report": (["--ray", "--out", "s", "--report", "a.html"], "without --ray"),
    "workers alone": (["--workers", "2"], "--ray"),
    "no workers": (["--ray", "--workers", "0", "--out", "s"], "1 or more"),
    "a file as folder": (["--ray", "--out", "m.vad/config.json"], "an input"),
}


@pytest.mark.parametrize(("words", "expected"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_said_in_a_line(
    words: list[str], expected: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "m.vad", "archive/cam1/a.mp4", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line and "secret" not in line


def test_a_command_that_ray_cannot_be_told_is_said_in_a_line(
    place: Path, cluster: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vadistill", os.fsdecode(b"\xe9.mp4")])
    assert main(ON_RAY) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not UTF-8" in line and "a pattern" in line


def test_patterns_stand_for_the_videos_that_match(place: Path) -> None:
    (place / "archive" / "notes.txt").write_text("none")
    found = expanded([Path("archive/**"), Path("m.vad")])
    assert len(found) == 8 and found[-1] == Path("m.vad") and found[0].name == "a.mp4"
    stream = Path("http://camera/live?user=[me]")
    assert expanded([stream]) == (stream,), "an address is no pattern"
    assert expanded([found[0].parent])[0] == found[0], "a folder of films is its films"
    with pytest.raises(VideoError, match="no video matches"):
        expanded([Path("archive/*.avi")])


def test_tables_have_the_paths_of_their_videos(place: Path) -> None:
    paths = [Path("archive/a.mp4"), Path("/mnt/a.mp4"), Path("./archive/b/a.mp4")]
    found = places_of([Video(str(path), path) for path in paths], ".parquet")
    assert found == ["archive/a.mp4.parquet", "mnt/a.mp4.parquet", "archive/b/a.mp4.parquet"]
    with pytest.raises(ConfigError, match="each video once"):
        places_of([Video("a", Path("/x/a.mp4")), Video("b", Path("/x/y/../a.mp4"))])


def test_a_manifest_survives_half_a_line_and_has_one_writer(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").touch()
    with Manifest(tmp_path) as manifest:
        manifest.add({"file": "a.parquet", "key": "1"})
        with pytest.raises(ConfigError, match="one at a time"):
            Manifest(tmp_path)
    with (tmp_path / NAME).open("a") as file:
        file.write('{"file": "b.pa')
    with Manifest(tmp_path) as manifest:
        kept = {"file": "a.parquet", "key": "1", "sizes": [0]}
        assert manifest.done("a.parquet", "1") == kept
        assert manifest.done("a.parquet", "2") is None
        manifest.add({"file": "c.parquet", "error": "x", "key": "3"})
    with Manifest(tmp_path) as manifest:
        assert set(manifest.lines) == {"a.parquet", "c.parquet"}
        assert manifest.has_failed("c.parquet", "3")
        manifest.add({"file": "d.mp4", "key": "4", "files": ["a.parquet", "d.parquet"]})
    with Manifest(tmp_path) as manifest:
        assert manifest.done("d.mp4", "4") is None, "one of its files is not there"
        (tmp_path / "d.parquet").touch()
        assert manifest.done("d.mp4", "4") is not None
        (tmp_path / "a.parquet").write_bytes(b"damaged")
        assert manifest.done("d.mp4", "4") is None, "one of its files has another size"
        manifest.lines["a.parquet"].pop("sizes")
        assert manifest.done("a.parquet", "1") is not None, "as lists were that have no sizes"
