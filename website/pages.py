"""Pages that are made of the code: what it can do is described there, and nowhere twice."""

from __future__ import annotations

import ast
import inspect
import io
import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]


def all_pages() -> dict[str, str]:
    """Markdown by the name of its page."""
    return {
        **{f"{page}.md": beside(name) for name, page in BESIDE.items()},
        "commands.md": commands(),
        "settings.md": settings(),
        "events.md": events(),
        "http.md": http(),
    }


BESIDE = {"README": "index", "CONTRIBUTING": "contributing", "CHANGELOG": "changelog"}
"""Pages of the repository's root by name, and what they are called on the site."""


def beside(name: str) -> str:
    """A page of the repository's root, with links as they are from docs/."""
    text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?:docs/)([^)]+)\)", r"](\1)", text)


def with_links_inside(markdown: str) -> str:
    """``markdown`` with links to pages of the repository's root as the site has them.

    >>> with_links_inside("[a](../README.md#install), [b](CHANGELOG.md), [c](b.md)")
    '[a](index.md#install), [b](changelog.md), [c](b.md)'
    """
    for name, page in BESIDE.items():
        markdown = re.sub(rf"\]\((\.\./)?{name}\.md", f"]({page}.md", markdown)
    return markdown


def without_links_outside(markdown: str) -> str:
    """``markdown`` with links to files beside docs/ as plain words.

    >>> without_links_outside("[a](../src/a.py), [b](b.md), [c](LICENSE), [d](https://d.org)")
    'a, [b](b.md), c, [d](https://d.org)'
    """
    return re.sub(r"\[([^\]]+)\]\((?:\.\./[^)]+|src/[^)]+|LICENSE)\)", r"\1", markdown)


# -- commands ------------------------------------------------------------------------------------


def commands() -> str:
    """Every verb's help, as the command line prints it."""
    from vadistill.cli import EXAMPLES, VERBS, data
    from vadistill.systems import DETECTORS

    firsts = {"data": tuple(data.VERBS), "fit": ("auto", *DETECTORS)}
    parts = ["# Commands\n\nWhat `vadistill VERB --help` says, of this version.\n"]
    parts.append(f"```text\n{EXAMPLES}\n```\n")
    for verb, line in VERBS.items():
        parts.append(f"## {verb}\n\n{line[0].upper()}{line[1:]}.\n\n{shown([verb])}")
        parts += [f"### {verb} {first}\n\n{shown([verb, first])}" for first in firsts.get(verb, ())]
    return "\n".join(parts)


def shown(words: Sequence[str]) -> str:
    """The help of a verb as a block; raises ValueError where there is none."""
    from vadistill.cli import main

    said = io.StringIO()
    plain = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    with mock.patch.dict(os.environ, plain), redirect_stdout(said), suppress(SystemExit):
        main([*words, "--help"])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue()).strip().splitlines()
    text = "\n".join(line.rstrip() for line in lines)
    if not text:
        raise ValueError(f"'vadistill {' '.join(words)} --help' says nothing")
    return f"```text\n{text}\n```\n"


# -- settings and events -------------------------------------------------------------------------


def settings() -> str:
    """The blocks of the settings file, by their dataclasses and what pydantic knows of them."""
    from vadistill.serving import config

    blocks = [(f"[{name}]", kind) for name, kind in config.TABLES.items()]
    blocks += [(f"[[{name}]]", kind) for name, (_, kind) in config.LISTS.items()]
    parts = [
        "# Settings file\n\n`vadistill serve` reads and writes `vadistill.toml`; `vadistill watch"
        " --settings` runs the same file. [Live scoring](live.md#settings) has an example."
        " Blocks with two brackets may stand there more than once.\n"
    ]
    for title, kind in blocks:
        parts.append(f"## {title}\n\n{inspect.getdoc(kind)}\n\n{entries(kind)}")
    return "\n".join(parts)


def events() -> str:
    """What an event, a message to a sink and a row of a score table hold."""
    from vadistill.scores import Scores
    from vadistill.serving.storage import records

    event = openapi()["components"]["schemas"]["Event"]
    said = field_docs(records.Event)
    parts = [
        "# Events and tables\n",
        f"## An event\n\n{inspect.getdoc(records.Event)}\n\n{properties(event, said)}",
        "## A message\n\nWhat a sink is told: `key`, the same however often it is sent; `kind`,"
        " one of opened, closed, lost, back, failing, working; `camera`; `event`."
        " [Live scoring](live.md#sinks) has examples, and says when and how often.\n",
        f"## A score table\n\n{inspect.getdoc(Scores.columns)}\n",
        f"## A table of boxes\n\n{inspect.getdoc(Scores.box_columns)}\n",
    ]
    return "\n".join(parts)


def properties(schema: dict[str, Any], said: dict[str, str]) -> str:
    """A table of a JSON object's entries."""
    rows = [
        f"| `{key}` | {in_words(value)} | {said.get(key, value.get('description', ''))} |"
        for key, value in schema.get("properties", {}).items()
    ]
    return "\n".join(["| entry | is | |", "| --- | --- | --- |", *rows]) + "\n"


def entries(kind: type) -> str:
    """A table of a dataclass's fields: what they may be, their default, what they are for."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(kind).json_schema()
    said = field_docs(kind)
    rows = ["| entry | is | default | |", "| --- | --- | --- | --- |"]
    for name, facts in schema["properties"].items():
        needed = name in schema.get("required", ())
        default = f"`{facts['default']!r}`" if "default" in facts else "none"
        default = "must be given" if needed else default
        rows.append(f"| `{name}` | {in_words(facts)} | {default} | {said.get(name, '')} |")
    return "\n".join(rows) + "\n"


BOUNDS = {
    "minimum": "{} or more",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters at most",
    "pattern": "`{}`",
}

KINDS = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "none"}


def in_words(schema: dict[str, Any]) -> str:
    """What a JSON schema allows.

    >>> in_words({"type": "integer", "minimum": 1})
    'whole number, 1 or more'
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(in_words, schema["anyOf"])))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {in_words(schema.get('items', {}))}"
    bounds = [said.format(schema[key]) for key, said in BOUNDS.items() if key in schema]
    return ", ".join([KINDS.get(kind, kind), *bounds]).replace("|", "\\|")


def field_docs(kind: type) -> dict[str, str]:
    """The texts below a dataclass's fields, each on one line."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(made, ast.ClassDef)
    return dict(_docs(made.body))


def _docs(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(said))):
                    yield field.target.id, " ".join(said.replace("``", "`").split())


# -- the HTTP API --------------------------------------------------------------------------------


def http() -> str:
    """Every address of the console's API, by its OpenAPI document."""
    document = openapi()
    parts = [
        "# HTTP API\n\nWhat the console does, scripts can do. The server describes all of this at"
        " `/openapi.json`; [Live scoring](live.md#the-console) says how scripts sign in.\n"
    ]
    for path, methods in document["paths"].items():
        for method, facts in methods.items():
            parts.append(f"## {method.upper()} `{path}`\n\n{operation(facts)}")
    parts.append("## Bodies\n")
    for name, schema in document["components"]["schemas"].items():
        said = " ".join(schema.get("description", "").split())
        body = properties(schema, {}) if "properties" in schema else in_words(schema)
        parts.append(f"### {name}\n\n{said}\n\n{body}\n")
    return "\n".join(parts)


@cache
def openapi() -> dict[str, Any]:
    """The document of a server without cameras."""
    from vadistill.serving.config import Settings
    from vadistill.serving.hub import Hub
    from vadistill.serving.web.server import build_app

    with TemporaryDirectory() as folder:
        hub = Hub(Settings(base=Path(folder)))
        try:
            return build_app(hub).openapi()
        finally:
            hub.stop()


def operation(facts: dict[str, Any]) -> str:
    """One address and method: what it does, takes and answers."""
    said = [facts.get("description") or f"{facts.get('summary', '')}."]
    for each in facts.get("parameters", ()):
        needed = "" if each.get("required") else ", may be left out"
        where = f"in the {each['in']}{needed}"
        said.append(f"- `{each['name']}` {where}: {in_words(each.get('schema', {}))}")
    body = facts.get("requestBody", {}).get("content", {})
    said += [f"- Body: {kind}, {in_words(v.get('schema', {}))}" for kind, v in body.items()]
    errors = []
    for status, answer in facts.get("responses", {}).items():
        for kind, v in (answer.get("content") or {"": {}}).items():
            schema = in_words(v["schema"]) if v.get("schema") else ""
            if "ErrorAnswer" in schema:
                errors.append(status)
            else:
                said.append(f"- {status}: {', '.join(part for part in (kind, schema) if part)}")
    if errors:
        said.append(f"- {', '.join(errors)}: [ErrorAnswer](#erroranswer)")
    return said[0] + "\n\n" + "\n".join(said[1:]) + "\n"
