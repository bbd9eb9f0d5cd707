"""The benchmark of DAKD's attention: what its statistics say, and a run of it."""

from __future__ import annotations

import math
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vadistill.reproduce.records import load_records
from vadistill.simulated.features import SimulatedConfig, simulate_features

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

dakd_attention: Any = import_module("dakd_attention")


class Attending(nn.Module):
    """Weights of two rows: equal ones, and three quarters for the first of four."""

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        return torch.softmax(torch.tensor([[1.0, 1, 1, 1], [9, 1, 1, 1]]).log(), dim=-1)


def test_statistics_by_hand() -> None:
    found = dakd_attention.statistics(Attending(), [torch.zeros(1, 32, 2)])
    assert found["largest_weight"] == pytest.approx((1 + 3) / 2)
    assert found["equal_weights"] == 0.5
    assert found["logit_deviation"] == pytest.approx(math.log(9) * (3 / 16) ** 0.5 / 2)


def test_it_attends_in_both_precisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "simulated"
    simulate_features(data, SimulatedConfig(videos=24))
    out = tmp_path / "results.json"
    words = ["--data", data, "--recipes", "default", "--smoke", "--work", tmp_path, "--out", out]
    monkeypatch.setattr(sys, "argv", ["dakd_attention.py", *map(str, words)])
    dakd_attention.main()
    records = load_records(out)
    assert len(records) == 2 * 2 * 3
    largest = {r.variant: r.value for r in records if r.metric == "largest_weight"}
    assert len(largest) == 4 and min(largest.values()) > 2
    assert max(r.value for r in records if r.metric == "equal_weights") < 0.05
