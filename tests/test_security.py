"""docs/security.md: its limits are those of the code, and what it promises has tests."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from vadistill import limits

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
LIMITS = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \|", TEXT, re.M))
UNITS = {"": 1, "s": 1, "h": 3600, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def found(name: str) -> Any:
    """What a dotted name of the package is."""
    parts = name.split(".")
    depth = next(i for i, part in enumerate(parts) if part[0].isupper())
    value: Any = importlib.import_module(".".join(["vadistill", *parts[:depth]]))
    for part in parts[depth:]:
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_as_the_document_says(name: str) -> None:
    number, _, unit = LIMITS[name].partition(" ")
    assert float(number.replace(",", "")) * UNITS[unit] == found(name)


def test_every_limit_is_in_the_document() -> None:
    known = {f"limits.{name}" for name in vars(limits) if name.isupper()}
    assert known == {name for name in LIMITS if name.startswith("limits.")}
    assert len(LIMITS) > len(known)


def test_the_tests_that_it_names_are_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", TEXT))
    assert len(named) > 10
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_every_promise_names_a_test() -> None:
    promises = TEXT[: TEXT.index("## What is not promised")]
    rows = [line for line in promises.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| promise")]
    assert len(rows) > 15
    assert all(re.search(r"\| `tests/[^|]+\|$", row) for row in rows)


def test_nothing_that_others_wrote_becomes_html_in_the_console() -> None:
    pages = list((ROOT / "src/vadistill/serving/static").glob("*.js"))
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    assert len(pages) > 10 and "textContent" in text
    made = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    assert not re.findall(made, text)
