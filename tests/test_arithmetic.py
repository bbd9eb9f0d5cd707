"""Numbers that are too small to be worth their time."""

from __future__ import annotations

import pytest
import torch

from vadistill.devices import subnormals_as_zero, without_subnormals

SUBNORMAL = 1e-39


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="no x86 or Arm processor")
def test_subnormal_numbers_are_zero_inside_alone() -> None:
    number = torch.tensor([SUBNORMAL])
    assert number * 2 > 0
    with pytest.raises(KeyboardInterrupt), subnormals_as_zero():
        assert number * 2 == 0
        with subnormals_as_zero():
            pass
        assert number * 2 == 0
        raise KeyboardInterrupt
    assert number * 2 > 0


def test_weights_without_subnormals() -> None:
    weights = torch.tensor([SUBNORMAL, -SUBNORMAL, 1e-37, -1.0, float("nan")])
    kept = without_subnormals(weights)
    assert kept.view(torch.int32)[:2].tolist() == [0, 0]
    assert torch.equal(kept[2:4], weights[2:4]) and kept[4].isnan()
    for other in (torch.tensor([1e-7], dtype=torch.float16), torch.tensor([3, 0])):
        assert without_subnormals(other) is other
