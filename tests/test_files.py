"""What is written survives kills and full disks: the old file or the new one, never half of one."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from vadistill import files
from vadistill.datasets import Dataset, Video
from vadistill.errors import VadistillError, WeightsError
from vadistill.files import (
    content_hash,
    files_named,
    read_safetensors,
    replacing,
    write_json,
    write_safetensors,
)
from vadistill.systems import cafe, load, motion


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 20 kB: the kernel refuses the write as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def train() -> Dataset:
    """A bright square that moves over a dark floor."""
    video = np.full((30, 96, 128, 3), 60, np.uint8)
    for t in range(30):
        video[t, 40:64, 2 + 3 * t : 26 + 3 * t] = 200
    return Dataset("square", "train", (Video("a", video, fps=10), Video("b", video[::-1], fps=10)))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"old": 1})
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of")
        raise KeyboardInterrupt
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]


def test_tensors_and_metadata_go_round(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"a": torch.arange(6).reshape(2, 3).T}, {"system": "cafe"})
    tensors, metadata = read_safetensors(path)
    assert tensors["a"].tolist() == [[0, 3], [1, 4], [2, 5]] and metadata == {"system": "cafe"}
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        read_safetensors(path)
    with pytest.raises(WeightsError, match="no weight file"):
        read_safetensors(tmp_path / "absent.safetensors")


def test_full_disk_while_saving_keeps_the_old_weights(tmp_path: Path, full_disk: None) -> None:
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"a": torch.zeros(10)}, {})
    before = path.read_bytes()
    with pytest.raises(WeightsError, match=r"cannot write .* free some space"):
        write_safetensors(path, {"a": torch.zeros(10_000)}, {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_full_disk_while_fitting_is_one_line_and_the_fit_goes_on_later(
    train: Dataset, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = cafe.Config(epochs=1, frames=20)
    request.getfixturevalue("full_disk")
    with pytest.raises(VadistillError, match="cannot write") as error:
        cafe.Cafe(config, device="cpu").fit(train, out=tmp_path / "m.vad")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "m.vad" / "config.json").exists()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    cafe.Cafe(config, device="cpu").fit(train, out=tmp_path / "m.vad")
    assert load(tmp_path / "m.vad", device="cpu").score(train.videos[0].open()).raw.shape == (30,)


def test_full_disk_while_a_model_is_replaced_keeps_the_old_one(
    train: Dataset, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "m.vad"
    motion.Motion().fit(train, out=path)
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    detector = motion.Motion().fit(train, out=tmp_path / "other.vad")
    request.getfixturevalue("full_disk")
    with pytest.raises(WeightsError, match="cannot write"):
        detector.save(path)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before


@pytest.mark.parametrize(
    "name", ["a.csv", "a+b/c.csv", "a,b.csv", "camera@1/a.csv", "a?b=c&d.csv", "a:b.csv"]
)
def test_files_are_found_in_settings_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    file, other = tmp_path / name, tmp_path / "other.pth"
    file.parent.mkdir(exist_ok=True)
    file.write_text("boxes")
    other.write_text("weights")
    first, second = content_hash(file), content_hash(other)
    assert files_named(f"all:boxes:{file}+motion:avenue") == [first]
    assert files_named(f"boxes:{other},{file}?x=1") == [second, first]
    assert files_named(f"detector:resnet?weights={file}&score=0.5") == [first]
    assert files_named({"inner": {"paths": (str(file),)}, "parts": [str(other), 3]}) == [
        *(first, second)
    ]
    assert files_named("x" * 5000) == files_named("") == files_named(None) == []


def test_folders_are_other_ones_as_their_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGE", 8)
    folder = tmp_path / "a+b"
    (folder / "c").mkdir(parents=True)
    seen = []
    for file, held in (("1.png", "one"), ("1.png", "two"), ("c/2.png", "two"), ("3", "9 letters")):
        (folder / file).write_text(held)
        seen += files_named(f"clip:{folder}", folders=True)
    os.utime(folder / "3", (0, 0))
    seen += files_named(str(folder), folders=True)
    (folder / "1.png").rename(folder / "c" / "1.png")
    seen += files_named(str(folder), folders=True)
    assert len(set(seen)) == len(seen) == 6
    os.utime(folder / "c" / "1.png", (0, 0))
    assert files_named(str(folder), folders=True) == seen[-1:], "what it holds is the same"
    assert files_named(str(folder)) == []


def test_hash_tells_parts_apart(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    assert content_hash("ab", "c") != content_hash("a", "bc")
    assert content_hash(file) == content_hash(file) != content_hash("abc")
