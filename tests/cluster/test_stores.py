"""Videos in stores and on the web: listed, named without secrets, fetched, deleted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile
from fsspec.registry import _registry, known_implementations

from support import scenes
from support.guarded_server import SECRET, guarded
from support.ray_archive import lines, rows
from vadistill.addresses import STORES, Address
from vadistill.cli import main
from vadistill.datasets import Video
from vadistill.datasets.places import place_of
from vadistill.datasets.stores import (
    FETCHED,
    SETTLED,
    _before,
    at_hand,
    listed,
    named,
    sweep,
    told,
)
from vadistill.errors import ConfigError, VideoError
from vadistill.systems import fit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``archive`` of two cameras with a file that is none, and ``m.vad``."""
    root = tmp_path_factory.mktemp("stored")
    for camera in ("cam1", "cam2", "normal"):
        (root / "archive" / camera).mkdir(parents=True)
    for seed, name in enumerate(("cam1/a", "cam1/same", "cam2/same")):
        scenes.film(root / "archive" / f"{name}.mp4", seed, frames=48)
    (root / "archive" / "cam1" / "bad.mp4").write_bytes(b"no video" * 100)
    (root / "archive" / "cam1" / "notes.txt").write_text("none")
    shutil.move(root / "archive" / "normal", root / "normal")
    scenes.film(root / "normal" / "n.mp4", 20, frames=48)
    fit("motion", root / "normal", out=root / "m.vad")
    return root


@pytest.fixture
def place(
    made: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of ``made`` that is the working folder."""
    place = tmp_path_factory.mktemp("place")
    shutil.copytree(made, place, dirs_exist_ok=True)
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def memory(made: Path) -> Iterator[str]:
    """The archive in fsspec's store of this process's memory."""
    store = fsspec.filesystem("memory")
    for path in sorted((made / "archive").rglob("*.*")):
        store.pipe(f"/bucket/{path.relative_to(made / 'archive')}", path.read_bytes())
    yield "memory://bucket"
    store.rm("/bucket", recursive=True)


@pytest.fixture
def web(place: Path) -> Iterator[str]:
    """The address of ``archive`` in a web server, with its password."""
    pytest.importorskip("aiohttp")
    with guarded(place / "archive") as address:
        yield address


def fetched() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).glob(f"{FETCHED}*"))


def test_an_archive_on_the_web_has_the_rows_of_its_files(
    place: Path,
    web: str,
    cluster: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = fetched()
    command = ["score", "m.vad", f"{web}/cam1/*.mp4", f"{web}/cam2/same.mp4?token={SECRET}"]
    command += ["--ray", "--workers", "2", "--out", "scores"]
    assert main(command) == 2
    said = capsys.readouterr()
    assert "4 videos: 3 scored, 1 failed" in said.out
    assert "error: bad: cannot open http://127.0.0.1" in said.err.splitlines()[-1]
    host, kept = web.rpartition("@")[2], lines(place / "scores")
    assert {line["source"] for line in kept} == {f"http://{host}/…"}
    tables = sorted(p.relative_to(place / "scores") for p in (place / "scores").rglob("*.parquet"))
    assert {path.parts[:2] for path in tables} == {("http", host)}
    assert sorted(p.name for p in tables) == ["a.mp4.parquet"] + ["same.mp4.parquet"] * 2
    everything = "".join([*said, (place / "scores" / "_manifest.jsonl").read_text()])
    assert SECRET not in everything and "Traceback" not in everything
    assert SECRET not in "".join(map(str, (place / "scores").rglob("*")))
    assert main(["score", "m.vad", "archive/cam1/a.mp4", "--out", "plain.parquet"]) == 0
    (table,) = [path for path in tables if path.name == "a.mp4.parquet"]
    assert rows(place / "scores" / table).equals(rows(place / "plain.parquet"))
    assert fetched() == before, "what was fetched is deleted"
    # A run again asks for what failed alone, and for what has changed.
    capsys.readouterr()
    shutil.copy("archive/cam1/same.mp4", "archive/cam2/same.mp4")
    shutil.copy("archive/cam1/a.mp4", "archive/cam1/bad.mp4")
    assert main(command) == 0
    assert "4 videos: 2 scored, 2 scored before" in capsys.readouterr().out


def test_features_of_an_archive_on_the_web_are_those_of_its_files(
    place: Path, web: str, cluster: int, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ["--backbones", "flow", "--device", "cpu"]
    assert main(["extract", "archive/cam1", *how, "--out", "plain"]) == 2
    capsys.readouterr()
    assert main(["extract", f"{web}/cam1/*.mp4", *how, "--ray", "--out", "store"]) == 2
    said = capsys.readouterr()
    assert "holds 2 of 3 videos" in said.out and "error: bad: cannot open http" in said.err
    plain, stored = (
        {path.name for path in (place / name).glob("*/[!.]*.safetensors")}
        for name in ("plain", "store")
    )
    assert len(stored) == 2 and stored == plain
    everything = "".join([*said, (place / "store" / "_manifest.jsonl").read_text()])
    assert SECRET not in everything and "Traceback" not in everything


def test_what_cannot_be_fetched_is_a_line_without_secrets(
    place: Path, web: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = web.replace(SECRET, f"wrong{SECRET}")
    for source, said in {
        f"{wrong}/cam1/a.mp4": "HTTP 401",
        f"{web}/cam1/{SECRET}.mp4": "HTTP 404",
        f"{web}/live": "tells no length",
        "http://127.0.0.1:1/a.mp4": "Cannot connect",
    }.items():
        with pytest.raises(VideoError, match=said) as caught, at_hand(Video("a", Path(source))):
            pytest.fail("it is not there")
        assert SECRET not in str(caught.value)
    command = ["score", "m.vad", f"{wrong}/*.mp4", "--ray", "--out", "scores"]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "HTTP 401" in line and SECRET not in line


def test_a_store_is_listed_fetched_and_told_by_its_content(memory: str, made: Path) -> None:
    found = listed([Path(f"{memory}/cam1/*"), Path("here.mp4"), Path(f"{memory}/cam2/*.mp4")])
    assert [str(each) for each in found] == [
        "memory:/bucket/cam1/a.mp4",
        "memory:/bucket/cam1/bad.mp4",
        "memory:/bucket/cam1/same.mp4",
        "here.mp4",
        "memory:/bucket/cam2/same.mp4",
    ]
    with pytest.raises(VideoError, match="no video matches"):
        listed([Path(f"{memory}/cam3/*.mp4")])
    videos = [each for each in named(found) if isinstance(each, Video)]
    assert [each.name for each in videos] == [
        *("a", "bad", "memory/bucket/cam1/same.mp4", "memory/bucket/cam2/same.mp4"),
    ]
    size, content = told(videos[0])
    assert size == (made / "archive" / "cam1" / "a.mp4").stat().st_size
    assert told(videos[0])[1] == content != told(videos[2])[1]
    with at_hand(videos[0]) as video:
        assert isinstance(video.source, Path) and video.name == "a"
        path = video.source
        assert path.read_bytes() == (made / "archive" / "cam1" / "a.mp4").read_bytes()
        assert video.open().info.width == scenes.WIDTH
    assert not path.parent.exists()
    gone = Video("gone", Path(f"{memory}/gone.mp4"))
    with pytest.raises(VideoError, match="no such file"), at_hand(gone):
        pytest.fail("it is not there")
    with pytest.raises(VideoError, match=r"memory://bucket/… is bad"), at_hand(videos[1]) as bad:
        raise VideoError(f"{bad.source} is bad", expected="a video", fix="mend it")


PLACES = {
    "s3://bucket/cam1/a.mp4": "s3/bucket/cam1/a.mp4",
    "s3:/bucket/cam1/../a b.mp4": "s3/bucket/cam1/a b.mp4",
    f"s3://key:{SECRET}@bucket/a@b?.mp4": "s3/bucket/a@b?.mp4",
    "gs://bucket//a": "gs/bucket/a",
    "abfs://c1@acct.dfs.core.windows.net/a.mp4": "abfs/acct.dfs.core.windows.net/c1/a.mp4",
    "abfs://c2@acct.dfs.core.windows.net/a.mp4": "abfs/acct.dfs.core.windows.net/c2/a.mp4",
    "az://c1/cam#1/a.mp4": "az/c1/cam#1/a.mp4",
}


def test_results_lie_where_their_videos_do() -> None:
    assert {source: place_of(Path(source)) for source in PLACES} == PLACES
    web = [
        f"https://me:{SECRET}@host:8080/{SECRET}/a.mp4?token={SECRET}&X-Amz-Date=1",
        f"https://host:8080/{SECRET}/a.mp4",
        f"https://host:8080/{SECRET}/{SECRET}",
        f"https://host:8080/other/a.mp4#{SECRET}",
    ]
    found = [place_of(Path(each)).split("/") for each in web]
    assert found[0] == found[1] and found[1][:3] == found[2][:3] != found[3][:3]
    assert found[0][:2] == ["https", "host:8080"] and found[0][3] == "a.mp4"
    assert SECRET not in str(found) and all(len(each) == 4 for each in found)
    with pytest.raises(ConfigError, match="told from a password") as caught:
        place_of(Path(f"https://me:{SECRET}/@host/a.mp4"))
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match="told from a password") as caught:
        listed([Path(f"s3://AKIA:{SECRET}/{SECRET}@bucket/*.mp4")])
    assert SECRET not in str(caught.value) and "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    "source", [f"s3://bucket/{SECRET}//b.mp4", f"https://me:{SECRET}@h/b.mp4?sig={SECRET}//b"]
)
def test_two_strokes_that_a_path_would_lose_are_refused(
    source: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "m.vad", source, "--ray", "--out", "scores"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'//' behind its host" in line and SECRET not in line
    assert not (place / "scores").exists()


def test_matches_with_two_strokes_are_refused(memory: str) -> None:
    fsspec.filesystem("memory").store["/bucket/cam1//a.mp4"] = MemoryFile(None, "", b"1")
    with pytest.raises(ConfigError, match="'//' behind its host"):
        listed([Path(f"{memory}/**/a.mp4")])


def test_a_query_that_asks_for_another_file_has_another_place() -> None:
    asked = [f"https://h/{name}?{query}" for name in ("get", "a.mp4") for query in ("id=1", "id=2")]
    places = [place_of(Path(each)) for each in (*asked, "https://h/get", "https://h/a.mp4")]
    assert len(set(places)) == 6 and "id=" not in "".join(places)
    assert all(place.endswith(".mp4") for place in (*places[2:4], places[5]))
    signed = place_of(Path(f"{asked[2]}&sig={SECRET}&Expires=7"))
    assert signed == places[2], "a signature changes, and the file does not"


def test_a_files_own_name_is_no_pattern(memory: str) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/cam1/a[1].mp4", b"1")
    store.pipe("/bucket/cam1/b#1.mp4", b"1")
    literal = Path(f"{memory}/cam1/a[1].mp4")
    assert listed([literal]) == [literal]
    assert [path.name for path in listed([Path(f"{memory}/cam1/[ab].mp4")])] == ["a.mp4"]
    found = [path.name for path in listed([Path(f"{memory}/cam1/*")])]
    assert found == ["a.mp4", "a[1].mp4", "b#1.mp4", "bad.mp4", "same.mp4"]


def test_all_stores_are_known_to_fsspec_and_to_addresses() -> None:
    assert known_implementations.keys() >= STORES
    assert all(Address(f"{scheme}:/a/b").scheme == scheme for scheme in STORES)


@pytest.mark.parametrize("on_ray", [True, False])
@pytest.mark.parametrize(
    ("missing", "source", "said"),
    [
        ("fsspec", "s3://bucket/a.mp4", "the extra 'stores'"),
        ("fsspec.implementations.http", f"https://me:{SECRET}@host/*.mp4", "the extra 'stores'"),
        ("s3fs", f"s3://bucket/{SECRET}/*.mp4", "s3fs"),
    ],
)
def test_a_missing_package_is_said_in_a_line(
    missing: str,
    source: str,
    said: str,
    on_ray: bool,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for scheme in ("s3", "https"):
        monkeypatch.delitem(_registry, scheme, raising=False)
    ray = ["--ray"] if on_ray else []
    out = "scores" if on_ray else "scores.csv"
    for command in (
        ["score", "m.vad", source, "--out", out],
        ["extract", source, "--out", "store"],
    ):
        assert main([*command, *ray]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line and "pip" in line and SECRET not in line
    assert not list(place.glob("s*"))


def test_what_a_killed_worker_had_fetched_is_deleted(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, new = tmp_path / f"{FETCHED}left", tmp_path / f"{FETCHED}new"
    for folder in (left, new):
        folder.mkdir()
        (folder / "a.mp4").touch()
    os.utime(left, (0, 0))
    with at_hand(Video("a", Path(f"{memory}/cam1/a.mp4"))) as video:
        assert isinstance(video.source, Path) and video.source.is_relative_to(tmp_path)
        os.utime(video.source.parent, (0, 0))
        sweep()
        assert video.source.exists() and not left.exists() and new.exists()


def test_matches_keep_the_container_of_their_pattern() -> None:
    long = Address("abfs://c1@acct.dfs.core.windows.net/cam1/*.mp4")
    assert _before(long, "c1/cam1/*.mp4") == ("abfs://c1@acct.dfs.core.windows.net/", "c1/")
    assert _before(Address("abfs://c1/cam1/*.mp4"), "c1/cam1/*.mp4") == ("abfs://", "")


HOLDER = """
import sys, tempfile
from pathlib import Path
from vadistill.datasets import stores
tempfile.tempdir = sys.argv[1]
with stores._folder() as folder:
    (folder / "a.mp4").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_deleted_soon_after_its_worker_was_killed_and_never_before(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        past = time.time() - SETTLED - 1
        os.utime(folder, (past, past))
        with at_hand(Video("a", Path(f"{memory}/cam1/a.mp4"))):
            assert (folder / "a.mp4").exists(), "its worker lives"
        holder.kill()
        holder.wait()
    with at_hand(Video("a", Path(f"{memory}/cam1/a.mp4"))):
        assert not folder.exists(), "deleted before the next video is fetched"
    assert SETTLED < 10
