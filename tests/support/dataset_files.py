"""Small files of data sets for tests, and what is wrong with a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from vadistill.datasets import open_dataset
from vadistill.datasets.check import check
from vadistill.errors import DataError


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def problem(path: Path) -> str:
    """The one problem of a data set, which also stops it from being opened."""
    (line,) = open_dataset(path, tolerant=True).problems
    with pytest.raises(DataError, match="data check") as caught:
        open_dataset(path)
    assert line in str(caught.value) and "\n" not in str(caught.value)
    assert line in check(path).problems
    return line
