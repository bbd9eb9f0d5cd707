"""Notebooks: they run from top to bottom, and are kept without what they showed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


SHOWN = {
    "own_footage.ipynb": ("image/png", "2 normal videos", "micro", "walkway.html"),
    "compare.ipynb": ("text/plain", "cafe – motion: ", "macro-skip", "compared.html"),
    "own_detector.ipynb": ("application/vnd.plotly.v1+json", "change", "micro/gaussian3", ""),
}
"""What each shows: a kind of output, words, and the file that it writes last."""


def test_every_one_is_told_of() -> None:
    assert set(NOTEBOOKS) == set(SHOWN)
    page = (FOLDER.parent / "docs" / "start.md").read_text(encoding="utf-8")
    assert all(f"](../notebooks/{name})" in page for name in NOTEBOOKS)
    assert "jupyter lab notebooks/" in page


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_stripped(name: str) -> None:
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(shutil.copy(FOLDER / name, tmp_path), as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    text = "".join(out.get("text", "") for out in shown)
    kind, *words, report = SHOWN[name]
    assert all(word in text for word in words), text
    assert kind == "text/plain" or any(kind in out.get("data", {}) for out in shown)
    assert not report or (tmp_path / report).stat().st_size > 100_000
