"""The settings file: TOML that people and the console write.

The console keeps comments and order of what it does not change.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import threading
import tomllib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from vadistill.addresses import Secret
from vadistill.errors import ConfigError, lacking
from vadistill.files import replacing
from vadistill.serving.config import LISTS, TABLES, ServerSettings, Settings
from vadistill.serving.validating import entry

SECRETS = re.compile(
    r"^\s*(password|token|secret)\s*=\s*[\"']+[^\"'\s]|^[^#]*://[^\"'\s]*@", re.MULTILINE
)
"""Lines of a file that hold one."""


def read_settings(path: Path) -> Settings:
    """Settings of a TOML file; raises ConfigError that names the file and the entry."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
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
    try:
        return Settings(**parts, base=path.resolve().parent)
    except ConfigError as error:  # of blocks that do not go together
        got = f"{path}: {error.got}"
        raise ConfigError(got, expected=error.expected, fix=error.fix) from None


def exposed(path: Path) -> str | None:
    """What to warn of where others may read a settings file with secrets."""
    try:
        mode, text = path.stat().st_mode, path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    if os.name != "posix" or not mode & 0o077 or not SECRETS.search(text):
        return None
    return f"others may read {path} and the secrets in it: chmod 600 {shlex.quote(str(path))}"


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


class SettingsFile:
    """The file that a running server writes its changes to, and looks at for new secrets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen = self._digest = digest(path)
        self._known = self._read()

    def _read(self) -> Settings:
        if self.path.exists():
            return read_settings(self.path)
        return Settings(base=self.path.resolve().parent)

    def keep(self, settings: Settings) -> None:
        """As ``change_settings`` does, for a file as it was at the last look."""
        with self._lock:
            self._seen = self._digest = change_settings(settings, self.path, self._digest)
            self._known = self._read()

    def changed_secrets(self) -> ServerSettings | None:
        """[server] of the file once its password or token was changed since the last look.

        If nothing else was, ``keep`` goes on.  Raises ConfigError for a file that cannot be read.
        """
        with self._lock:
            now = digest(self.path)
            if now in (self._seen, ""):
                return None
            found = self._read()
            self._seen = now
            secrets = {"password": found.server.password, "token": found.server.token}
            known = replace(self._known, server=replace(self._known.server, **secrets))
            if known == self._known:
                return None
            self._known = known
            if found == known:
                self._digest = now
            return found.server


def write_settings(settings: Settings, path: Path, tables: Iterable[str] = TABLES) -> None:
    """Write what changed into the file, atomically; other lines and comments stay as they are.

    Of single tables only ``tables`` are written.  A symbolic link to the file stays one.
    """
    try:
        import tomlkit
        from tomlkit.items import Table
    except ImportError as error:
        raise lacking("writing settings needs tomlkit", "serve") from error

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


def _plain(value: Any) -> Any:
    """An entry as TOML has it."""
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.reveal() if isinstance(value, Secret) else value


def _update(block: Any, item: Any) -> None:
    """Put the entries of a dataclass into a table; what is right there already stays as it is."""
    for f in fields(item):
        value = getattr(item, f.name)
        plain = _plain(value)
        if plain is None:
            block.pop(f.name, None)
        elif f.name in block:
            if block[f.name] != plain:
                block[f.name] = plain
        elif value != f.default:
            block[f.name] = plain
