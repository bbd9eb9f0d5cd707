"""What the runtime ``auto`` becomes: by a race that is run once, remembered, and told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from support.scenes import film, training
from vadistill import race
from vadistill.cli import main
from vadistill.errors import ConfigError
from vadistill.program import Program
from vadistill.race import Arrays, Race, settled
from vadistill.runtime import open_runtime, saved_int8
from vadistill.systems import cafe, load

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one; races are of a moment."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(race.VARIABLE)
    monkeypatch.setattr(race, "SECONDS", 0.02)
    return tmp_path / "cache"


@dataclass(frozen=True)
class Taking:
    """What takes so long a call by a clock that no other work on the machine moves."""

    seconds: float
    times: float = 1.0

    def __call__(self, rows: np.ndarray) -> Arrays:
        return (self.times * rows,)


def taking(seconds: float, *, times: float = 1.0) -> Callable[[], Callable[..., Arrays]]:
    return lambda: Taking(seconds, times)


ROWS = (np.linspace(0, 1, 4, dtype=np.float32),)


def held(**opened: Callable[[], Callable[..., Arrays]]) -> Race:
    return settled("a network", opened, ROWS, 1e-3)


def never() -> Callable[..., Arrays]:
    raise AssertionError("there was a race")


class TestRaces:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(race, "_least_seconds", lambda run, *_: run.seconds)

    def test_the_fastest_wins_and_goes_on_winning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = held(onnx=taking(0.02), torch=taking(0.002))
        assert found.winner == "torch" and found.rates == {"onnx": 200.0, "torch": 2000.0}
        assert found.words == "torch, by a race (rows a second: onnx 200, torch 2,000)"
        assert held(onnx=never, torch=never) == found
        monkeypatch.setattr(race, "machine", lambda: "another")
        assert held(onnx=taking(0.002), torch=taking(0.02)).winner == "onnx"
        monkeypatch.setattr(race, "_version", lambda name: "another")
        assert held(onnx=taking(0.02), torch=taking(0.002)).winner == "torch"

    def test_a_close_race_leaves_the_default(self) -> None:
        assert held(onnx=taking(0.0218), torch=taking(0.02)).winner == "onnx"

    def test_what_gives_other_scores_or_cannot_run_is_left_out(self) -> None:
        def broken() -> Callable[..., Arrays]:
            raise RuntimeError("no such operator")

        found = held(onnx=taking(0.02), torch=taking(0.01, times=1.01), openvino=broken)
        assert found.winner == "onnx" and list(found.rates) == ["onnx"]
        assert set(found.left_out) == {"torch", "openvino"} and "RuntimeError" in found.words
        with pytest.raises(RuntimeError, match="no such operator"):
            settled("another network", {"onnx": broken, "torch": taking(0.01)}, ROWS, 1e-3)

    def test_without_a_place_to_remember_there_is_no_race(self, cache: Path) -> None:
        cache.write_text("no folder")
        found = held(onnx=never, torch=never)
        assert found.winner == "onnx" and "without a race" in found.words

    @pytest.mark.parametrize("text", ["", "[]", '{"winner": "onnx-int9"}', '{"rates": 3}'])
    def test_a_damaged_memory_is_a_new_race(self, text: str, cache: Path) -> None:
        held(onnx=taking(0.01), torch=taking(0.02))
        (file,) = cache.rglob("*.json")
        file.write_text(text)
        assert held(onnx=taking(0.02), torch=taking(0.01)).winner == "torch"
        assert json.loads(file.read_text())["winner"] == "torch"


def test_the_best_of_some_calls_counts() -> None:
    pauses, taken = [0.05, 0.001, 0.05], list[float]()

    def run(rows: np.ndarray) -> Arrays:
        taken.append(pauses[len(taken) % 3])
        time.sleep(taken[-1])
        return (rows,)

    assert 0.001 <= race._least_seconds(run, ROWS, 0.02) < 0.05 and len(taken) == race.LEAST
    assert race._least_seconds(run, ROWS, 0.3) >= 0.001 and len(taken) > 2 * race.LEAST


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.conv(pictures.float() / 255).mean((1, 2, 3))


def small(**settings: Any) -> Program:
    examples = {"pictures": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}
    return Program(Small(), examples, ("mean",), **settings)


def pictures(count: int) -> Arrays:
    return (np.random.default_rng(count).integers(0, 256, (count, 3, 8, 8), np.uint8),)


class TestAuto:
    def test_is_the_winner_among_what_is_installed(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = open_runtime(small(), "auto", CPU)
        assert opened.race is not None and opened.race.winner == opened.name
        assert {*opened.race.rates, *opened.race.left_out} == set(race.present())
        monkeypatch.setattr(race, "race", lambda *_: never())
        again = open_runtime(small(), "auto", CPU)
        assert again.race == opened.race and again.name == opened.name
        np.testing.assert_array_equal(again(*pictures(5))[0], opened(*pictures(5))[0])
        with pytest.raises(AssertionError, match="there was a race"):
            other = small()
            with torch.no_grad():
                other.module.conv.bias += 1  # pyright: ignore
            open_runtime(other, "auto", CPU)
        assert len(list(cache.rglob("*.json"))) == 1

    @pytest.mark.parametrize("winner", race.present())
    def test_scores_are_the_same_whoever_wins(
        self, winner: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vadistill.runtime.settled", lambda *_: Race(winner, {winner: 1.0}, {}))
        made = open_runtime(small(), "auto", CPU)
        assert made.name == winner
        wanted = open_runtime(small(), "torch", CPU)
        np.testing.assert_allclose(made(*pictures(9))[0], wanted(*pictures(9))[0], atol=1e-6)

    def test_eight_bits_take_part_where_a_model_has_them_and_stay_with_it(self) -> None:
        graph = saved_int8(open_runtime(small(int8=[pictures(8)]), "onnx-int8", CPU).saved())
        opened = open_runtime(small(int8=graph), "auto", CPU)
        assert opened.race is not None
        assert "onnx-int8" in {*opened.race.rates, *opened.race.left_out}
        assert saved_int8(opened.saved()) == graph
        plain = open_runtime(small(), "auto", CPU)
        assert plain.race and not [name for name in plain.race.rates if "int8" in name]

    def test_the_environment_may_say_what_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(race.VARIABLE, "torch")
        opened = open_runtime(small(), "auto", CPU)
        assert opened.name == "torch" and opened.race is None
        monkeypatch.setenv(race.VARIABLE, "onyx")
        with pytest.raises(ConfigError, match="did you mean 'onnx'"):
            open_runtime(small(), "auto", CPU)

    @pytest.mark.parametrize("name", ["torch", "onnx"])
    def test_eight_bits_stay_with_a_model_where_there_is_no_race(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = saved_int8(open_runtime(small(int8=[pictures(8)]), "onnx-int8", CPU).saved())
        monkeypatch.setenv(race.VARIABLE, name)
        opened = open_runtime(small(int8=graph), "auto", CPU)
        assert (opened.name, saved_int8(opened.saved())) == (name, graph)

    def test_the_race_is_of_rows_as_they_come(self) -> None:
        program = small(rows=5)
        (given,) = program.usual()
        assert given.shape == (5, 3, 8, 8) and given.dtype == np.uint8
        assert given[0].max() < given[-1].max() and program.key() == small(rows=5).key()
        (row,) = small(free=(1,)).usual()
        assert row.shape == (2, 3, 8, 8)


def test_a_model_is_exported_with_a_race_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        film(tmp_path / "set" / split / f"{split}.mp4", 0, frames=24)
    config = cafe.Config(epochs=1, consistency_after=1, frames=20, localiser="motion")
    cafe.Cafe(config, device="cpu").fit(training("one-class"), out=tmp_path / "m.vad")
    argv = ["export", "m.vad", "--to", "auto", "--int8", "--data", "set", "--out", "new.vad"]
    assert main([*argv, "--frames", "8", "--force"]) == 0
    said = capsys.readouterr().out
    assert "8 frames: largest difference" in said and "\n8 bits  " in said
    assert (tmp_path / "new.vad" / "network.onnx").is_file()
    model = load(tmp_path / "new.vad", device="cpu")
    assert model.config.runtime == "auto" and model.runtime.int8 and model.runtime.race
    assert main(["bench", "new.vad", "--video", "set/test/test.mp4", "--frames", "6"]) == 0
    assert f"new.vad: auto is {model.runtime.race.words}" in capsys.readouterr().out
    assert main(["info", "new.vad"]) == 0
    said = capsys.readouterr().out
    assert "auto here" in said and f" {model.runtime.name}, by a race" in said
    (tmp_path / "new.vad" / "weights.safetensors").unlink()
    assert main(["info", "new.vad"]) == 0
    assert " unknown: " in capsys.readouterr().out
