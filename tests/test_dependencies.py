"""What the package needs: bounds that its pinned versions keep, and that leave known faults out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def pinned() -> dict[str, str]:
    """Versions of constraints.txt by name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.partition("==") for line in lines if "==" in line]
    return {name.lower().replace("_", "-"): version for name, _, version in pairs}


def needed() -> Iterator[Requirement]:
    for line in (*PROJECT["dependencies"], *(word for extra in EXTRAS.values() for word in extra)):
        yield Requirement(line)


def test_what_is_pinned_keeps_the_bounds() -> None:
    versions = pinned()
    for requirement in needed():
        version = versions.get(requirement.name.lower().replace("_", "-"))
        assert version is None or requirement.specifier.contains(version), requirement


def test_no_starlette_that_a_range_header_holds_up() -> None:
    """CVE-2025-62727: 0.39.0 to 0.49.0; clips and pictures are files that it sends."""
    for extra in ("serve", "test"):
        bounds = {r.name: r.specifier for r in map(Requirement, EXTRAS[extra])}
        for version in ("0.39.0", "0.48.0", "0.49.0"):
            assert not bounds["starlette"].contains(version)
        assert bounds["starlette"].contains("0.49.1")
        # FastAPI 0.120.0 takes no Starlette that is sound.
        assert not bounds["fastapi"].contains("0.120.0") and bounds["fastapi"].contains("0.120.1")
