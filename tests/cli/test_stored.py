"""Videos in stores and on the web, without Ray: ``score``, ``extract``, and in Python."""

from __future__ import annotations

import _thread
import contextlib
import http.server
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.registry import _registry
from safetensors.numpy import load_file

from support import scenes
from support.folder_server import FolderServer
from support.guarded_server import SECRET, guarded
from vadistill.cli import main
from vadistill.datasets import Dataset, open_source
from vadistill.datasets.places import is_file
from vadistill.datasets.stores import FETCHED, named
from vadistill.errors import VadistillError
from vadistill.score_tables import read_scores
from vadistill.scores import Scores
from vadistill.systems import fit, load
from vadistill.video import FileSource


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``archive`` with two videos and a file that is none, and ``m.vad``."""
    root = tmp_path_factory.mktemp("stored")
    (root / "archive").mkdir()
    (root / "normal").mkdir()
    for seed, name in enumerate(("archive/a", "archive/b", "normal/n")):
        scenes.film(root / f"{name}.mp4", seed, frames=48)
    (root / "archive" / "bad.mp4").write_bytes(b"no video" * 100)
    fit("motion", root / "normal", out=root / "m.vad")
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of ``made`` that is the working folder; what is fetched lies in ``fetched``."""
    shutil.copytree(made, tmp_path / "place")
    (tmp_path / "fetched").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "fetched"))
    monkeypatch.chdir(tmp_path / "place")
    yield tmp_path / "place"
    assert not fetched(), "what was fetched is deleted"


@pytest.fixture
def memory(made: Path) -> Iterator[str]:
    """The archive in fsspec's store of this process's memory."""
    store = fsspec.filesystem("memory")
    for path in sorted((made / "archive").iterdir()):
        store.pipe(f"/stored/{path.name}", path.read_bytes())
    yield "memory://stored"
    store.rm("/stored", recursive=True)


@pytest.fixture
def web(place: Path) -> Iterator[str]:
    """The archive on the web, with its password."""
    pytest.importorskip("aiohttp")
    with guarded(place / "archive") as address:
        yield address


def fetched() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).glob(f"{FETCHED}*"))


def scored(table: Path) -> dict[str, list[float]]:
    return {video: values.tolist() for video, values in read_scores(table).items()}


def test_rows_are_those_of_the_files(
    place: Path, memory: str, web: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "m.vad", "archive/*.mp4", "--out", "plain.csv"]) == 2
    plain = capsys.readouterr().err.splitlines()[-1]
    for source in (memory, web):
        assert main(["score", "m.vad", f"{source}/*.mp4", "--out", "stored.csv"]) == 2
        said = capsys.readouterr()
        line = said.err.splitlines()[-1]
        assert line.startswith(f"vadistill: error: bad: cannot open {source.partition(':')[0]}")
        assert line.rpartition("expected")[2] == plain.rpartition("expected")[2]
        assert scored(place / "stored.csv") == scored(place / "plain.csv")
        assert SECRET not in said.out + said.err and FETCHED not in said.out + said.err
    sources = [f"{memory}/a.mp4", f"{web}/b.mp4?token={SECRET}", "archive/b.mp4"]
    assert main(["score", "m.vad", *sources, "--out", "mixed.csv"]) == 0
    found, wanted = scored(place / "mixed.csv"), scored(place / "plain.csv")
    assert list(found.values()) == [wanted[name] for name in "abb"]
    assert SECRET not in "".join([*capsys.readouterr(), (place / "mixed.csv").read_text()])


def test_reports_films_and_masks_are_made_of_fetched_videos(
    place: Path, memory: str, web: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [f"{memory}/a.mp4", f"{web}/b.mp4", f"{web}/bad.mp4", f"{web}/{SECRET}.mp4"]
    (place / "mask.json").write_text("[[[0, 0], [0.2, 0], [0, 0.2]]]")
    outputs = ["--report", "page.html", "--video", "films", "--mask", "mask.json"]
    assert main(["score", "m.vad", *sources, *outputs]) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if "error" in line]
    assert len(lines) == 2 and "HTTP 404" in lines[0], lines
    assert "error: bad: cannot open http://127.0.0.1" in lines[1] and FETCHED not in said.err
    assert {path.name for path in (place / "films").iterdir()} == {"a.mp4", "b.mp4"}
    page = (place / "page.html").read_text()
    assert page.count("data:image") > 2 and FETCHED not in page


def test_an_error_of_a_model_names_no_video(
    place: Path, memory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "m.vad" / "selftest.json").write_text("{")
    sources = [f"{memory}/a.mp4", f"{memory}/b.mp4"]
    assert main(["score", "m.vad", *sources, "--report", "page.html"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("vadistill: error: m.vad/selftest.json is not a self-test"), line


def test_features_are_those_of_the_files(
    place: Path, memory: str, web: str, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ["--backbones", "flow", "--device", "cpu", "--out"]
    assert main(["extract", "archive", *how, "plain"]) == 2
    capsys.readouterr()
    for source, new in ((f"{memory}/*.mp4", 6), (f"{web}/*", 0)):
        assert main(["extract", source, *how, "store"]) == 2
        said = capsys.readouterr()
        assert f"holds 2 of 3 videos of videos; {new} snippets were new" in said.out
        (line,) = (each for each in said.err.splitlines() if "error" in each)
        assert "error: bad: cannot open " in line and FETCHED not in line
        assert SECRET not in said.out + said.err
    held = [sorted((place / name).glob("*/[!.]*.safetensors")) for name in ("plain", "store")]
    assert len(held[0]) == 2
    for one, other in zip(*held, strict=True):
        assert one.name == other.name
        assert load_file(one)["features"].tolist() == load_file(other)["features"].tolist()
    for sources in (["archive", f"{memory}/a.mp4"], ["archive", "normal"], []):
        assert main(["extract", *sources, *how, "store"]) == 2
        assert "expected one, or addresses" in capsys.readouterr().err
    assert main(["extract", f"{memory}//a.mp4", *how, "strokes"]) == 2
    assert "has '//' behind its host" in capsys.readouterr().err
    assert not (place / "strokes").exists()


def test_what_the_web_gives_without_a_length_is_scored_as_it_comes(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["score", "m.vad", "archive/a.mp4", "--out", "plain.csv"]) == 0
    shutil.copy("archive/a.mp4", "archive/day")
    model = load("m.vad", device="cpu")
    wanted = model.score("archive/a.mp4").raw.tolist()
    with FolderServer(place / "archive", lengths=False) as server:
        for name in ("a.mp4", "day"):
            assert main(["score", "m.vad", server.address(name), "--out", f"{name}.csv"]) == 0
            assert model.score(server.address(name)).raw.tolist() == wanted
        assert main(["extract", server.address("a.mp4"), "--out", "store"]) == 2
    assert "a: http://127.0.0.1" in (said := capsys.readouterr().err) and "no length" in said
    plain = scored(place / "plain.csv")
    assert scored(place / "a.mp4.csv") == plain
    assert list(scored(place / "day.csv").values()) == list(plain.values())
    # Where nothing can fetch it, too.
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with FolderServer(place / "archive") as server:
        assert main(["score", "m.vad", server.address("a.mp4"), "--out", "bare.csv"]) == 0
        assert model.score(server.address("a.mp4")).raw.tolist() == wanted
    assert scored(place / "bare.csv") == plain


def test_python_scores_addresses_as_it_scores_files(place: Path, memory: str, web: str) -> None:
    model = load("m.vad", device="cpu")
    wanted = {name: model.score(f"archive/{name}.mp4").raw.tolist() for name in "ab"}
    for source in (f"{memory}/a.mp4", Path(f"{memory}/a.mp4"), f"{web}/a.mp4?token={SECRET}"):
        found = model.score(source)
        assert isinstance(found, Scores) and found.raw.tolist() == wanted["a"]
        assert found.video == "a" and SECRET not in repr(found)
    for pattern, names in ((f"{memory}/[ab].mp4", "ab"), (f"{web}/a*", "a")):
        found = {name: each.raw.tolist() for name, each in model.score(pattern).items()}
        assert found == {name: wanted[name] for name in names}
    with open_source(f"{memory}/[ab].mp4") as videos:
        assert isinstance(videos, Dataset) and not fetched()
        for video in videos:
            with open_source(video) as frames:
                assert isinstance(frames, FileSource) and len(fetched()) == 1, "one at a time"


def test_what_python_cannot_score_is_a_line_without_secrets(
    place: Path, memory: str, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load("m.vad", device="cpu")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    for source, said in {
        f"{web}/none.mp4?token={SECRET}": "none: http://127.0.0.1",
        f"{web.replace(SECRET, f'wrong{SECRET}')}/a.mp4": "HTTP 401",
        f"{web}/[ab]*{SECRET}.mp4": "no video matches a pattern at http://127.0.0.1",
        f"{memory}/none.mp4": "there is no such file",
        f"{memory}/bad.mp4": "bad: cannot open memory://stored/…",
        f"{memory}/*.mp4": "bad: cannot open memory://stored/…",
        f"{memory}//{SECRET}.mp4": "'//' behind its host",
        f"s3://AKIA:{SECRET}/{SECRET}@bucket/a.mp4": "told from a password",
        f"s3://key:{SECRET}@bucket/a.mp4": "without its package",
    }.items():
        with pytest.raises(VadistillError) as caught:
            model.score(source)
        line = str(caught.value)
        assert said in line and "\n" not in line, line
        assert SECRET not in line and "AKIA" not in line and FETCHED not in line
    with pytest.raises(KeyboardInterrupt), open_source(f"{memory}/a.mp4"):
        assert len(fetched()) == 1
        raise KeyboardInterrupt


def test_an_interrupted_fetch_ends(place: Path) -> None:
    """In Python the thread that fetches lives on."""
    ended = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000000")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(b"begin")
            _thread.interrupt_main()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"more" * 1000)
                    time.sleep(0.05)
            ended.set()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            load("m.vad", device="cpu").score(f"http://127.0.0.1:{server.server_port}/a.mp4")
        assert not fetched() and ended.wait(10)
        server.shutdown()


def test_what_may_be_a_camera_is_left_as_it_is() -> None:
    cameras = ["http://camera/video.mjpg", "https://camera/live?file=a.mp4", "rtsp://camera/a.mp4"]
    files = ["https://host/a.MP4?sig=1", "http://host/cam*/", "s3://bucket/live", "memory://x/y"]
    assert not any(map(is_file, [*map(Path, cameras), *cameras]))
    assert all(map(is_file, [*map(Path, files), *files]))
    assert named([*map(Path, cameras)], streams=True) == [*map(Path, cameras)]
