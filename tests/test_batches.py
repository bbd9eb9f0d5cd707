"""The order of batches and who makes them."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from vadistill.batches import AHEAD, prepared, shuffled

DEVICES = ("cpu", "cuda")  # no GPU is asked: the device only says who makes the batches


@pytest.mark.parametrize("device", DEVICES)
def test_batches_come_in_order_whoever_makes_them(device: str) -> None:
    def make(item: int) -> int:
        time.sleep(0.002 * (item % 3))  # later ones may be ready earlier
        return item * item

    for count in (0, 1, AHEAD, 3 * AHEAD + 1):
        got = list(prepared(make, range(count), torch.device(device)))
        assert got == [i * i for i in range(count)]


def test_a_gpu_s_batches_are_made_by_others_and_not_far_ahead() -> None:
    made: list[int] = []
    makers: set[int] = set()

    def make(item: int) -> int:
        makers.add(threading.get_ident())
        made.append(item)
        return item

    batches = prepared(make, range(100), torch.device("cuda"))
    assert next(batches) == 0
    time.sleep(0.05)
    assert len(made) <= AHEAD + 1 and threading.get_ident() not in makers
    batches.close()
    assert len(made) <= AHEAD + 1


@pytest.mark.parametrize("device", DEVICES)
def test_an_error_reaches_the_loop_in_its_turn(device: str) -> None:
    def make(item: int) -> float:
        return 1 / (item - 2)

    batches = prepared(make, range(9), torch.device(device))
    assert [next(batches), next(batches)] == [-0.5, -1]
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_an_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    order = shuffled(10, 4, seed=3)
    first, second = order(0), order(1)
    assert [len(rows) for rows in first] == [4, 4, 2]
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(10))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    np.testing.assert_array_equal(
        np.concatenate(shuffled(10, 4, seed=3)(1)), np.concatenate(second)
    )
    assert [len(rows) for rows in shuffled(9, 4, seed=3, least=2)(0)] == [4, 4]
