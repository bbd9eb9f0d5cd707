"""The settings file: TOML that people and the console write.

The console keeps comments and order of what it does not change.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from vadistill.errors import ConfigError
from vadistill.files import replacing
from vadistill.serving.config import LISTS, TABLES, Settings, entry


def read_settings(path: Path) -> Settings:
    """Settings of a TOML file; raises ConfigError that names the file and the entry."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read {path} ({getattr(error, 'strerror', None) or error})",
            expected="a TOML file of cameras, models and sinks",
            fix="start from the example in docs/live.md",
        ) from error
    unknown = sorted(set(document) - set(TABLES) - set(LISTS))
    if unknown:
        raise ConfigError(
            f"[{unknown[0]}] in {path}",
            expected=f"one of {', '.join([*TABLES, *LISTS])}",
            fix="correct it",
        )
    parts: dict[str, Any] = {
        name: entry(kind, document.get(name, {}), f"[{name}] in {path}")
        for name, kind in TABLES.items()
    }
    for name, (attribute, kind) in LISTS.items():
        given = document.get(name, [])
        blocks = given if isinstance(given, list) else [given]
        parts[attribute] = tuple(
            entry(kind, block, f"[[{name}]] {number} in {path}")
            for number, block in enumerate(blocks, 1)
        )
    return Settings(**parts, base=path.resolve().parent)


class EditedError(ConfigError):
    """The file was edited since it was read."""


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes; empty where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(
            f"cannot read {path} ({error.strerror})", expected="a TOML file", fix="check it"
        ) from error


def change_settings(settings: Settings, path: Path, known: str) -> str:
    """Write all but [server] into the file if its ``digest`` is ``known``; the new one.

    Raises EditedError, and leaves the file, where it was edited meanwhile.
    """
    if digest(path) != known:
        raise EditedError(
            f"{path.name} was edited since the server read it",
            expected="the file as it was",
            fix="restart the server to take the edits over, then change it again",
        )
    write_settings(settings, path, tables=("storage",))
    return digest(path)


def write_settings(settings: Settings, path: Path, tables: Iterable[str] = TABLES) -> None:
    """Write what changed into the file, atomically; other lines and comments stay as they are.

    Of single tables only ``tables`` are written.  A symbolic link to the file stays one.
    """
    try:
        import tomlkit
        from tomlkit.items import Table
    except ImportError as error:
        raise ConfigError(
            "writing settings needs tomlkit",
            expected="the 'serve' extra",
            fix="pip install 'vadistill[serve]'",
        ) from error

    document = tomlkit.parse(path.read_text()) if path.exists() else tomlkit.document()
    for name in tables:
        table = document.get(name, tomlkit.table())
        _update(table, getattr(settings, name))
        if len(table):
            document[name] = table
    for name, (attribute, _) in LISTS.items():
        group = getattr(settings, attribute)
        there = document.get(name, [])
        old = {block["name"]: block for block in (there if isinstance(there, list) else [there])}
        blocks = tomlkit.aot()
        for item in group:
            block = old.get(item.name)
            if not isinstance(block, Table):  # new, or written inline
                block = tomlkit.table()
            _update(block, item)
            blocks.append(block)
        if group:
            document[name] = blocks
        elif name in document:
            del document[name]
    with replacing(path.resolve(), private=True) as temporary:  # passwords of cameras are in there
        temporary.write_text(tomlkit.dumps(document))


def _update(block: Any, item: Any) -> None:
    """Put the entries of a dataclass into a table; what is right there already stays as it is."""
    for f in fields(item):
        value = getattr(item, f.name)
        plain = list(value) if isinstance(value, tuple) else value
        if plain is None:
            block.pop(f.name, None)
        elif f.name in block:
            if block[f.name] != plain:
                block[f.name] = plain
        elif value != f.default:
            block[f.name] = plain
