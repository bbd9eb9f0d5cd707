"""Clocks that progress and verbs print."""

from __future__ import annotations

import pytest

from vadistill.progress import clock


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0:00.0"),
        (59.94, "0:59.9"),
        (59.97, "1:00.0"),
        (119.96, "2:00.0"),
        (3599.97, "1:00:00.0"),
        (3723.4, "1:02:03.4"),
    ],
)
def test_clocks_never_show_sixty_of_anything(seconds: float, words: str) -> None:
    assert clock(seconds) == words
