"""What the wheel and the sdist hold, and what the errors say that name an extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from vadistill import errors

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

ALONE = """
import sys
from pathlib import Path
import vadistill
from vadistill.errors import installing
from vadistill.evaluation.measuring import published
assert published("ucsd_ped2")
print(Path(vadistill.__file__).parent, installing("serve"), sep="\\n")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built as ``python -m build`` does."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_has_every_file_of_the_package_and_no_other(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    source = ROOT / "src"
    files = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    held = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert held == files
    assert {"index.html", "console.css", "app.js"} <= {
        n.rpartition("/")[2] for n in held if "/serving/static/" in n
    }
    assert "vadistill/backbones/weights/compact.safetensors" in held
    assert wheel.stat().st_size < 5_000_000


def test_the_sdist_has_what_tests_and_docs_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"src/vadistill/__init__.py", "tests/conftest.py", "docs/live.md", "Makefile"} <= held
    assert {"README.md", "LICENSE", "pyproject.toml", "constraints.txt"} <= held


def test_the_wheel_alone_runs_and_says_what_an_extra_needs(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    run = [sys.executable, "-c", ALONE]
    found = subprocess.run(
        run, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True, capture_output=True
    )
    place, command = found.stdout.decode().splitlines()
    assert Path(place) == tmp_path / "vadistill"
    assert command.startswith("pip install ") and "uvicorn" in command
    assert all(repr(requirement) in command for requirement in EXTRAS["serve"])


def test_from_the_source_an_extra_is_installed_by_its_folder() -> None:
    assert errors.installing("serve") == f"pip install -e '{ROOT}[serve]'"
    assert "serve" in (metadata.metadata("vadistill").get_all("Provides-Extra") or [])


def test_no_page_and_no_module_names_a_command_that_cannot_work() -> None:
    """The package is on no index: its name alone installs nothing."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py")]
    wrong = re.compile(r"pip install '?vadistill(?!-)\b")
    assert [p for p in pages if wrong.search(p.read_text(encoding="utf-8"))] == []


def test_every_extra_is_one_that_the_code_asks_for() -> None:
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py"))
    asked = {extra for extra in EXTRAS if re.search(rf"""["'\[]{extra}["'\]]""", code)}
    assert set(EXTRAS) - {"docs", "test"} <= asked
