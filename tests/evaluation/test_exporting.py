"""Exported models: every system in every runtime scores as before, the graph alone too."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vadistill
from support import scenes
from vadistill import int8
from vadistill.cli import main
from vadistill.datasets import Dataset, Splits
from vadistill.errors import ConfigError
from vadistill.evaluation.exporting import Exported, To, export
from vadistill.int8 import kept_of
from vadistill.runtime import OnnxRuntime
from vadistill.score_tables import read_scores
from vadistill.systems import aed, cafe, dakd, detector_class, fast_aed, ssmtl

ROOT = Path(__file__).parents[2]

SMALL: dict[str, Any] = {
    "cafe": cafe.Config(epochs=1, consistency_after=1, frames=30, batch=32),
    "aed": aed.Config(epochs=1, classifier_epochs=1, frames=30, batch=16),
    "ssmtl": ssmtl.Config(epochs=1, batch=8, frames=12),
    "fast_aed": fast_aed.Config(teachers=("motion",), autoencoder_epochs=0, epochs=1, batch=8),
    "dakd": dakd.Config(epochs=2, segments=3, half_width=0, folds=0),
}


def installed(to: str) -> To:
    if to == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed (extra export)")
    return to  # pyright: ignore[reportReturnType]


TO = ("onnx", "openvino")


@dataclass
class Fitted:
    """A small model, and what it is exported with."""

    path: Path
    splits: Splits
    _exported: dict[str, Exported] = field(default_factory=dict)

    def exported(self, to: str) -> Exported:
        """In fp32, once for all tests."""
        if to not in self._exported:
            out = self.path.with_name(f"{to}.vad")
            self._exported[to] = export(self.path, out, self.splits, to=installed(to), frames=96)
        return self._exported[to]


@pytest.fixture(scope="module", params=list(SMALL))
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    detector = detector_class(request.param)(SMALL[request.param], device="cpu")  # pyright: ignore
    train = scenes.training(detector.supervision)
    path = tmp_path_factory.mktemp(request.param) / "model.vad"
    detector.fit(train, out=path)
    test = Dataset("planted", "test", (scenes.planted(10), scenes.planted(11)))
    return Fitted(path, Splits(train, test, "folder"))


@pytest.mark.parametrize("to", TO)
def test_an_exported_model_scores_as_before(to: str, fitted: Fitted) -> None:
    made = fitted.exported(to)
    assert made.parity.frames == 96 and made.parity.share <= 1e-3
    before, after = vadistill.load(fitted.path), vadistill.load(made.folder)
    assert after.config.runtime == to and after.runtime.name == to
    video = fitted.splits.test.videos[0]
    one, other = before.score(video.open()), after.score(video.open())
    np.testing.assert_allclose(other.raw, one.raw, atol=1e-3 * made.parity.range + 1e-9)
    assert made.parity.auc is not None
    signature = json.loads((made.folder / "graph.json").read_text())
    assert made.graph.is_file() and signature["graph"] == made.graph.name
    assert all(each["is"] for each in signature["inputs"] + signature["outputs"])
    if to == "onnx":
        names = {i.name: i.shape for i in OnnxRuntime(made.graph).session.get_inputs()}
        written = {each["name"]: each["shape"] for each in signature["inputs"]}
        assert set(names) <= set(written)
        assert all(names[name][1:] == written[name][1:] for name in names)


@pytest.mark.parametrize("to", TO)
def test_eight_bits_take_their_ranges_from_normal_footage(
    to: str, fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, splits = fitted.path, fitted.splits
    if "dakd" in str(model):
        with pytest.raises(ConfigError, match="runtime"):
            export(model, tmp_path / "new.vad", splits, to=installed(to), int8=True)
        return
    if model.parent.name.startswith(("aed", "ssmtl")):
        monkeypatch.setattr(int8, "LARGEST", np.inf)  # trials of three networks take a minute
    made = export(
        model, tmp_path / "new.vad", splits, to=installed(to), int8=True, frames=32, force=True
    )
    after = vadistill.load(tmp_path / "new.vad")
    assert after.runtime.precision == "int8" and np.isfinite(made.parity.largest)
    assert made.kept is not None and made.kept.difference is not None
    assert made.kept.difference <= int8.LARGEST and made.kept.convolutions > made.kept.last
    told = json.loads((tmp_path / "new.vad" / "graph.json").read_text())["int8"]
    assert after.runtime.int8 is not None and kept_of(after.runtime.int8) == made.kept
    assert told["convolutions"] == made.kept.convolutions
    # Networks that hardly learned may give other scores in 8 bits; then it takes --force.
    if made.parity.share > 0.1 and to == "onnx":
        with pytest.raises(ConfigError, match="--force"):
            export(model, tmp_path / "refused.vad", splits, to=installed(to), int8=True, frames=32)
        assert not (tmp_path / "refused.vad").exists()
    graph = made.graph if to == "onnx" else made.graph.with_suffix(".bin")
    plain = fitted.exported(to).graph
    other = plain if to == "onnx" else plain.with_suffix(".bin")
    assert graph.read_bytes() != other.read_bytes()


def test_scores_that_differ_too_much_are_refused_unless_forced(
    fitted: Fitted, tmp_path: Path
) -> None:
    model, splits = fitted.path, fitted.splits
    if "cafe" not in str(model):
        pytest.skip("one system is enough")
    with pytest.raises(ConfigError, match="--force"):
        export(model, tmp_path / "new.vad", splits, frames=24, tolerance=-1.0)
    assert not (tmp_path / "new.vad").exists()
    export(model, tmp_path / "new.vad", splits, frames=24, tolerance=-1.0, force=True)
    assert (tmp_path / "new.vad" / "network.onnx").is_file()


def test_another_model_is_replaced_only_if_asked_for(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, splits = fitted.path, fitted.splits
    if "cafe" not in str(model):
        pytest.skip("one system is enough")
    monkeypatch.setattr(int8, "LARGEST", np.inf)
    out = tmp_path / "new.vad"
    for _ in range(2):  # the same again is no other
        export(model, out, splits, frames=8, force=True)
    before = (out / "weights.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"holds another model.*--overwrite"):
        export(model, out, splits, int8=True, frames=8, force=True)
    assert (out / "weights.safetensors").read_bytes() == before
    kept = (out / "config.json").read_text()
    (out / "config.json").write_text(kept + "\n")  # as of a model that was fitted there since
    with pytest.raises(ConfigError, match=r"holds another model.*--overwrite"):
        export(model, out, splits, frames=8, force=True)
    (out / "config.json").write_text(kept)
    made = export(model, out, splits, int8=True, frames=8, force=True, overwrite=True)
    assert vadistill.load(made.folder).runtime.precision == "int8"
    shutil.copytree(model, tmp_path / "fitted.vad")
    with pytest.raises(ConfigError, match="holds another model"):
        export(model, tmp_path / "fitted.vad", splits, frames=8)


@pytest.mark.parametrize("to", TO)
def test_the_example_scores_without_pytorch(
    to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(to)
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        Path("set", split).mkdir(parents=True)
        scenes.film(Path("set", split, f"{split}.mp4"), 0, frames=24)
    short = {"autoencoder_epochs": 0, "epochs": 8, "batch": 8, "average": 0.0}
    config = fast_aed.Config(teachers=("motion",), **short)  # pyright: ignore[reportArgumentType]
    fast_aed.FastAed(config, device="cpu").fit("set", out="m.vad")
    argv = ["export", "m.vad", "--to", to, "--data", "set", "--out", "new.vad", "--frames", "24"]
    assert main(argv) == 0
    assert "24 frames: largest difference" in capsys.readouterr().out
    assert main(["score", "m.vad", "set/test/test.mp4", "--out", "scores.csv"]) == 0
    example = ROOT / "examples" / "score_without_torch.py"
    assert len(example.read_text().splitlines()) <= 42
    code = "import runpy, sys; sys.modules['torch'] = sys.modules['vadistill'] = None; "
    code += "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(example), "new.vad", "set/test/test.mp4"],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    header, *rows = done.stdout.split()
    assert header == "frame,score" and len(rows) == 24
    values = [float(row.partition(",")[2]) for row in rows]
    np.testing.assert_allclose(values, read_scores(Path("scores.csv"))["test"], atol=1e-4)


def test_a_model_without_a_network_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("set/train").mkdir(parents=True)
    scenes.film(Path("set/train/a.mp4"), 0, frames=24)
    vadistill.fit("motion", "set", out="m.vad")
    capsys.readouterr()
    assert main(["export", "m.vad", "--data", "set", "--out", "new.vad"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no network of its own" in line and not Path("new.vad").exists()


def test_without_openvino_the_runtime_says_what_to_install(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, splits = fitted.path, fitted.splits
    if "cafe" not in str(model):
        pytest.skip("one system is enough")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"the extra .export."):
        export(model, tmp_path / "new.vad", splits, to="openvino", frames=8)
