"""Features made on Ray: the plain loop's store, each video once, whoever dies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from support import scenes
from support.ray_archive import lines, worker_killed
from vadistill.backbones.store import MANIFEST
from vadistill.cli import main
from vadistill.cluster.extraction import extract_archive
from vadistill.cluster.manifest import Manifest
from vadistill.errors import ConfigError

EXTRACT = ["extract", "set", "--backbones", "flow", "--device", "cpu"]
ON_RAY = [*EXTRACT, "--ray", "--workers", "2", "--out", "store"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: ``set`` of four videos, two of one name, and a file that is none."""
    for number, name in enumerate(("train/a", "train/b", "test/a", "test/c")):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        scenes.film(tmp_path / "set" / f"{name}.mp4", number, frames=40 + 16 * (number == 1))
    (tmp_path / "set" / "train" / "bad.mp4").write_bytes(b"no video" * 100)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def held(store: Path) -> dict[str, list[object]]:
    """Rows of a store by its files."""
    files = sorted(store.glob("*/[!.]*.safetensors"))
    return {str(path.relative_to(store)): load_file(path)["features"].tolist() for path in files}


def facts(store: Path) -> dict[str, object]:
    return json.loads((store / MANIFEST).read_text())


def test_the_store_is_the_plain_loops_and_a_run_again_does_nothing(
    place: Path, cluster: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*EXTRACT, "--out", "plain"]) == 2
    plain = capsys.readouterr()
    assert main(ON_RAY) == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == plain.err.splitlines()[-1] and "bad.mp4" in said.err
    assert "holds 4 of 5 videos" in said.out and "9 snippets were new" in said.out
    assert "by 2 workers" in said.out
    assert held(place / "store") == held(place / "plain") and len(held(place / "store")) == 4
    assert facts(place / "store") == facts(place / "plain")
    kept = {line["file"]: "error" in line for line in lines(place / "store")}
    assert kept == {str(p): p.stem == "bad" for p in Path().glob("set/*/*.mp4")}

    def no_cluster(*_: object) -> None:
        pytest.fail("all is done")

    (place / "store" / MANIFEST).unlink()  # which is made anew of what is listed
    with monkeypatch.context() as patch:
        patch.setattr("vadistill.cluster.run.connected", no_cluster)
        assert main(ON_RAY) == 2
    said = capsys.readouterr()
    assert "holds 4 of 5 videos" in said.out and "0 snippets were new" in said.out
    assert "flow │ 192 │ 9 " in " ".join(said.out.split()), "rows are told as before"
    assert facts(place / "store") == facts(place / "plain")
    # It goes on where the plain loop was; what is damaged or mended is made again.
    shutil.copy("set/train/b.mp4", "set/train/bad.mp4")
    next((place / "plain").glob("*/*.safetensors")).write_bytes(b"damaged")
    assert main([*ON_RAY[:-1], "plain"]) == 0
    said = capsys.readouterr()
    assert "holds 5 of 5 videos" in said.out and "1 damaged entries were made again" in said.out
    assert held(place / "plain") == held(place / "store")
    # So is what was damaged after Ray had made it.
    next((place / "plain").glob("*/*.safetensors")).write_bytes(b"damaged")
    assert main([*ON_RAY[:-1], "plain"]) == 0
    assert "1 damaged entries were made again" in capsys.readouterr().out
    assert held(place / "plain") == held(place / "store")


def test_a_killed_workers_video_is_done_again_and_none_twice(
    place: Path, cluster: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(10):
        scenes.film(place / "set" / "train" / f"more{number}.mp4", 10 + number, frames=64)
    with worker_killed(place / "store"):
        assert main(ON_RAY) == 2
    assert "1 died and their videos were done again" in capsys.readouterr().out.replace("\n", " ")
    kept = lines(place / "store")
    assert len(kept) == len({line["file"] for line in kept}) == 15
    assert main([*EXTRACT, "--out", "plain"]) == 2
    assert held(place / "store") == held(place / "plain")
    assert facts(place / "store") == facts(place / "plain")


def test_the_stores_manifest_is_written_while_the_run_holds_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []

    def no_cluster(*_: object) -> None:
        raise ConfigError("no cluster", expected="one", fix="start it")

    def end(_: object) -> None:
        with pytest.raises(ConfigError, match="one at a time"):
            Manifest(place / "store")
        ended.append(True)

    monkeypatch.setattr("vadistill.cluster.run.connected", no_cluster)
    monkeypatch.setattr("vadistill.cluster.extraction._Extraction.end", end)
    with pytest.raises(ConfigError, match="no cluster"):
        extract_archive(Path("set"), Path("store"), backbones=("flow",), device="cpu")
    assert ended == [True]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--ray", "a", "b"], "one address"),
        (["--ray", "--workers", "0"], "1 or more"),
        (["--workers", "2"], "--ray"),
        (["--ray", "--backbones", "flwo"], "did you mean 'flow'"),
    ],
)
def test_wrong_requests_are_one_line(
    extra: list[str], said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "set", "--out", "store", *extra]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line and not (place / "store").exists()
