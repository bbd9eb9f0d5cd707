"""The docs site: its commands parse, and its generated pages tell all that there is."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tyro
from website import pages

from vadistill.cli import VERBS, main
from vadistill.reproduce import cafe, fast_aed
from vadistill.serving.config import CameraSettings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]


class Parsed(Exception):
    """Options were understood; nothing runs."""


def commands() -> list[str]:
    """Every ``$ vadistill …`` of a console block, without comments, once."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^ *```console\n(.*?)```", text, re.DOTALL | re.MULTILINE):
            lines = re.sub(r"\\\n\s*", " ", block).splitlines()
            found += [line.strip()[2:].partition(" #")[0].strip() for line in lines]
    found += gpu_commands()
    return sorted({command for command in found if command.startswith("vadistill ")})


def gpu_commands() -> list[str]:
    """What ``benchmarks/gpu.sh`` would run."""
    stages = ["teacher", "cafe", "fast_aed", "dakd"]
    script = [str(ROOT / "benchmarks" / "gpu.sh"), "--dry-run", *stages]
    return subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()


def test_rows_for_a_gpu_are_rows_of_the_tables() -> None:
    paper = cafe.base_config("ucsd_ped2", "paper", quick=False, teacher="t.safetensors")
    known = {"cafe": set(cafe.variants(paper))}
    student = fast_aed.base_config("ucsd_ped2", "paper", quick=False)
    known["fast_aed"] = set(fast_aed.variants(student))
    for words in map(shlex.split, gpu_commands()):
        if words[2] in known and "--only" in words:
            asked = words[words.index("--only") + 1 : words.index("--seeds")]
            assert asked and set(asked) <= known[words[2]]


def test_there_are_commands_of_most_verbs() -> None:
    named = {shlex.split(command)[1] for command in commands()}
    assert len(set(VERBS) - named) <= 2, set(VERBS) - named


@pytest.mark.parametrize("command", commands())
def test_every_command_of_a_page_is_one_that_parses(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, parse = shlex.split(command)[1:], tyro.cli
    if "--help" in words:
        assert main(words) == 0
        return

    def parsed(*arguments: Any, **options: Any) -> None:
        parse(*arguments, **options)
        raise Parsed

    monkeypatch.setattr("vadistill.cli.terminal.tyro.cli", parsed)
    with pytest.raises(Parsed):
        code = main(words)
        pytest.fail(f"exit status {code}: {capsys.readouterr()}")


@pytest.mark.parametrize("kind", ["dataset", "detector", "localiser", "sink"])
def test_pages_show_the_files_that_tests_run(kind: str) -> None:
    folder = "examples/detector_package" if kind == "detector" else "tests/support"
    file = (ROOT / folder / f"own_{kind}.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / f"add_{kind}.md").read_text(encoding="utf-8")
    assert f"```python\n{file}```\n" in page
    assert not re.search(r"--8\s*<\s*--", page), "only the site would show it"


def anchors(page: Path) -> set[str]:
    """What a page's headings can be linked by."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_in_the_repository(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        # The site makes python.md's out of the code.
        assert not anchor or file.name == "python.md" or anchor in anchors(file), target


def test_links_on_the_site_are_to_its_pages() -> None:
    written = {page.name: page.read_text() for page in PAGES if page.parent != ROOT}
    made = {**pages.all_pages(), **written}
    for name, text in made.items():
        shown = pages.without_links_outside(pages.with_links_inside(text))
        for target in re.findall(r"\]\(([^)#:\s]+\.md)", shown):
            assert target in made, (name, target)


def test_generated_pages_have_all_of_it() -> None:
    assert doctest.testmod(pages).failed == 0
    settings, http = pages.settings(), pages.http()
    assert all(f"| `{field.name}` |" in settings for field in fields(CameraSettings))
    assert "| `frames_to_open` | whole number, above 0 | `3` |" in settings
    assert all(f"`{path}`" in http for path in pages.openapi()["paths"])
    assert "| `cause` |" in pages.events() and "smoothed" in pages.events()


def test_the_commands_page_has_every_verb() -> None:
    text = pages.commands()
    assert all(f"## {verb}\n" in text for verb in VERBS)
    assert "--localiser" in text and "--false-alarms" in text
