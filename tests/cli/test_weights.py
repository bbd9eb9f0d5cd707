"""What can be named, and how it comes onto this machine, from a server of files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from support.file_server import FileServer
from vadistill.backbones import named
from vadistill.backbones.detectors import PUBLISHED
from vadistill.cli import main
from vadistill.fetching import Published


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a network that may be asked."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("VADISTILL_OFFLINE", raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_all_names_are_listed_with_source_licence_and_hash(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights"]) == 0
    out = capsys.readouterr().out
    for name in (*PUBLISHED, "imagenet", "s3d", "compact", "clip", "i3d", "raft_small"):
        assert re.search(rf"^│? *{name} ", out, re.MULTILINE), name
        assert f"{name}: " in out
    for file in PUBLISHED.values():
        assert file.address in out and file.sha256[:16] in out
    assert "resnet34-" in out and "BSD-3-Clause" in out
    known = named.named_weights()
    assert [name for name, each in known.items() if each.is_here] == ["compact"]
    card = Path(named.__file__).parent / "weights" / "compact.safetensors"
    assert known["compact"].sha256 == hashlib.sha256(card.read_bytes()).hexdigest()


def test_offline_one_line_says_what_to_put_where(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VADISTILL_OFFLINE", "1")
    assert main(["weights", "fetch", "yolox_tiny"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert PUBLISHED["yolox_tiny"].address in line and str(home / "yolox_tiny.onnx") in line


def test_wrong_names_and_what_others_fetch_are_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, said in (
        (["fetch", "yolox_nan"], "did you mean 'yolox_nano'"),
        (["fetch", "clip"], "huggingface.co"),
        (["fetch"], "no name"),
        (["list", "s3d"], "weights fetch s3d"),
    ):
        assert main(["weights", *words]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert said in line


def test_what_is_fetched_is_checked_and_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytes(range(256)) * 40
    digest = hashlib.sha256(data).hexdigest()
    with FileServer({"yolox_nano.onnx": data}) as server:
        file = Published(f"{server.address}/yolox_nano.onnx", digest, len(data))
        known = named.named_weights()
        known["yolox_nano"] = replace(known["yolox_nano"], file=file)
        monkeypatch.setattr(named, "named_weights", lambda: known)
        assert main(["weights", "fetch", "yolox_nano", "compact"]) == 0
    out = capsys.readouterr().out
    assert digest in out and known["compact"].sha256 in out
    assert (home / "yolox_nano.onnx").read_bytes() == data
    assert main(["weights", "fetch", "yolox_nano"]) == 0  # the server is gone: it is here
