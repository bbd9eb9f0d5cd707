"""The rooms of the package: who may import whom, how long a module may be, what a package says.

All imports of ``src/vadistill`` are read, those inside functions and those for type checkers too.
They go one way, down ``ROOMS``.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"

ROOMS: tuple[tuple[str, ...], ...] = (
    ("vadistill.cli", "vadistill.__main__"),
    ("vadistill.serving.web", "vadistill.serving"),
    ("vadistill.serving.watching",),
    ("vadistill.serving.hub", "vadistill.serving.demo"),
    ("vadistill.serving.lookout", "vadistill.serving.pruning", "vadistill.serving.sending"),
    ("vadistill.serving.fitting",),
    ("vadistill.serving.remembering",),
    ("vadistill.serving.live", "vadistill.serving.jobs", "vadistill.serving.sinks"),
    ("vadistill.serving.storage",),
    (
        "vadistill.serving.entries",
        "vadistill.serving.config",
        "vadistill.serving.settings_file",
        "vadistill.serving.faults",
        "vadistill.serving.log_limit",
        "vadistill.serving.networks",
        "vadistill.serving.schedule",
        "vadistill.serving.validating",
    ),
    ("vadistill",),
    ("vadistill.reproduce", "vadistill.cluster"),
    ("vadistill.report",),
    ("vadistill.evaluation",),
    ("vadistill.systems",),
    ("vadistill.systems.object_centric",),
    ("vadistill.detector", "vadistill.distill", "vadistill.training"),
    ("vadistill.saved", "vadistill.calibrating"),
    ("vadistill.config",),
    ("vadistill.objects",),
    ("vadistill.backbones",),
    ("vadistill.simulated",),
    ("vadistill.datasets",),
    ("vadistill.video", "vadistill.windows"),
    (
        "vadistill.runtime",
        "vadistill.program",
        "vadistill.race",
        "vadistill.devices",
        "vadistill.int8",
        "vadistill.flow",
        "vadistill.drawing",
        "vadistill.scores",
        "vadistill.events",
        "vadistill.levels",
        "vadistill.score_tables",
        "vadistill.tables",
        "vadistill.soundness",
        "vadistill.batches",
        "vadistill.loss_log",
        "vadistill.files",
        "vadistill.fetching",
        "vadistill.progress",
        "vadistill.plugins",
        "vadistill.limits",
        "vadistill.torchvision_cpu",
        "vadistill.errors",
        "vadistill.addresses",
    ),
)
"""From the top; a module belongs to the longest name that begins its own."""

TABLE = "vadistill.systems"
"""The one module that imports upwards: the table that names the systems."""

STANDING = {}
"""Faults that still stand; what is mended is taken off here."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((SOURCE / "vadistill").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    """The package's modules that ``module`` imports anywhere, or names in a 'module:name'."""
    return frozenset(_imported(module)) - {module}


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides where it goes"
            ours = (node.module or "").partition(".")[0] == "vadistill"
            assert not ours or node.module in MODULES, f"{module}: no {node.module}"
            for alias in node.names:
                if f"{node.module}.{alias.name}" in MODULES:
                    yield f"{node.module}.{alias.name}"
                elif node.module in MODULES and alias.name != "__version__":
                    yield node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named, colon, _ = node.value.partition(":")
            if colon and named in MODULES:
                yield named


def room(module: str) -> int:
    """The place of its room in ``ROOMS``."""
    places = {name: place for place, names in enumerate(ROOMS) for name in names}
    parts = module.split(".")
    while len(parts) > 1 or module == "vadistill":
        if ".".join(parts) in places:
            return places[".".join(parts)]
        parts.pop()
    raise AssertionError(f"{module} is in no room")


def upward() -> list[str]:
    return [
        f"{module} imports {other}"
        for module in MODULES
        if module != TABLE
        for other in sorted(imports(module))
        if room(other) < room(module)
    ]


def between_systems() -> list[str]:
    def system(module: str) -> str | None:
        return module.split(".")[2] if module.startswith("vadistill.systems.") else None

    return [
        f"{module} imports {other}"
        for module in MODULES
        if system(module)
        for other in sorted(imports(module))
        if system(other) not in (None, system(module), "object_centric")
    ]


def cycles() -> list[str]:
    """Groups of modules each of which reaches all others (Tarjan 1972), but for the table."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in imports(module) - {TABLE}:
            if other not in order:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(f"{min(group)}: cycle of {', '.join(sorted(group)[1:])}")

    for module in sorted(MODULES.keys() - {TABLE}):
        if module not in order:
            visit(module)
    return found


def unsaid() -> list[str]:
    """Packages whose docstring does not say what they may import."""
    return [
        f"{module} does not say what it may import"
        for module, path in MODULES.items()
        if path.name == "__init__.py"
        and not re.search(r"\bimports?\b", ast.get_docstring(tree(module)) or "", re.IGNORECASE)
    ]


def long() -> list[str]:
    lengths = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in MODULES.items()}
    return [f"{module} is longer than 300 lines" for module, n in lengths.items() if n > 300]


def test_imports_go_down_the_rooms_without_a_cycle_and_no_module_is_long() -> None:
    found = {*upward(), *between_systems(), *cycles(), *unsaid(), *long()}
    standing = {fault for fault in found if fault.partition(" of ")[0] in STANDING}
    assert sorted(found - standing) == []


def test_every_room_is_there() -> None:
    rooms = [name for names in ROOMS for name in names]
    assert len(set(rooms)) == len(rooms)
    assert set(rooms) <= MODULES.keys()


def test_the_systems_import_nothing_that_measures() -> None:
    measuring = ("vadistill.evaluation", "vadistill.report", "vadistill.reproduce")
    reached: dict[str, set[str]] = defaultdict(set)
    for module in MODULES:
        if module.startswith("vadistill.systems."):
            waiting = [module]
            while waiting:
                for other in imports(waiting.pop()) - reached[module] - {TABLE}:
                    reached[module].add(other)
                    waiting.append(other)
    assert reached
    assert not [m for found in reached.values() for m in found if m.startswith(measuring)]


def test_what_the_architecture_page_names_is_there() -> None:
    page = SOURCE.parent / "docs" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", text))
    named -= {"vadistill-data/"}
    assert len(named) > 30
    package = SOURCE / "vadistill"
    beside = [folder for folder in package.iterdir() if folder.is_dir()]
    known = (SOURCE.parent, package, package / "serving", package / "systems" / "dakd", *beside)
    assert [n for n in sorted(named) if not any((place / n).exists() for place in known)] == []
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links and [link for link in links if not (page.parent / link).exists()] == []
