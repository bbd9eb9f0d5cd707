"""That calls of the package under test are checked, by jaxtyping or by what stands in for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float

import typechecking
from vadistill.levels import Calibration

checked = jaxtyping.jaxtyped(typechecker=typechecking.check)


@checked
def plain(count: int) -> str:
    return "one" if count == 1 else count  # pyright: ignore[reportReturnType]


@checked
def dot(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> Float[np.ndarray, ""]:
    return np.asarray(a @ b) if len(a) > 1 else a


@checked
def dots(*rows: Float[np.ndarray, " n"]) -> list[Float[np.ndarray, ""]]:
    return [dot(row, row) for row in rows]


@checked
def zeros(count: int) -> Float[np.ndarray, " {count}"]:
    return np.zeros(min(count, 3))


@checked
def halves(values: Float[np.ndarray, " n"]) -> Iterator[float]:
    yield from values / 2


@checked
@dataclass
class Pair:
    a: Float[np.ndarray, " n"]
    b: Float[np.ndarray, " n"]

    @classmethod
    @checked
    def same(cls, a: Float[np.ndarray, " n"], times: int = 1, *, more: float = 0) -> Pair:
        return cls(a, times * a + more)


def of(length: int) -> np.ndarray:
    return np.ones(length)


def test_what_is_right_passes() -> None:
    assert plain(1) == "one" and dot(of(2), of(2)) == 2 and len(dots(of(2), of(2))) == 2
    assert len(zeros(2)) == 2 and list(halves(of(2))) == [0.5, 0.5]
    assert Pair.same(of(2), more=1).b.tolist() == [2, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: plain("1"),  # pyright: ignore[reportArgumentType]
        lambda: plain(2),
        lambda: dot(of(2), of(3)),
        lambda: dot(of(1), of(1)),
        lambda: dot(of(2), np.ones(2, int)),
        lambda: dots(of(2), np.ones((2, 2))),
        lambda: zeros(4),
        lambda: halves(np.ones((2, 2))),
        lambda: Pair(of(2), of(3)),
        lambda: Pair.same(of(2), times=0.5),  # pyright: ignore[reportArgumentType]
        lambda: Calibration(np.ones((2, 2))),
    ],
)
def test_what_is_wrong_raises(wrong: Callable[[], object]) -> None:
    with pytest.raises(Exception, match=r"(?i)violates|type-check error"):
        wrong()
