"""Blocks of the settings from plain values; what is wrong with one, in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from vadistill.errors import ConfigError

T = TypeVar("T")
WORDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list of texts",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "at most {le:g}",
    "finite_number": "a number",
    "literal_error": "{expected}",
    "string_too_short": "{min_length} characters or more",
    "string_too_long": "{max_length} characters at most",
    "text": "text without control characters",
    "string_pattern_mismatch": "up to 40 of a-z, 0-9 and '-', a letter or digit first",
}
"""What was expected where pydantic found an error of this type, in TOML's terms."""

INSIDE = {"zones": "name, corners"}
"""Entries that are tables, and what those have."""

LISTS = {
    "masks": "a list of polygons [[x, y], …]",
    "zones": "tables with a name and corners [[x, y], …]",
}

SECRET = ("password", "token", "secret", "url", "source")
"""Entries whose values are in no error."""


@cache
def _adapter(kind: type) -> Any:
    return TypeAdapter(kind)


def entry(kind: type[T], given: Any, where: str) -> T:
    """One dataclass of ``config`` from plain values; raises ConfigError naming ``where``."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} is {given!r}", expected="a table", fix="correct it")
    try:
        return _adapter(kind).validate_python(dict(given))
    except ValidationError as error:
        raise _in_a_line(error.errors()[0], kind, where) from None  # it repeats all values


def _in_a_line(error: ErrorDetails, kind: type, where: str) -> ConfigError:
    """What pydantic found wrong with an entry of a block."""
    name, what = str(error["loc"][0]), error["type"]
    if what in ("missing", "unexpected_keyword_argument"):
        last = error["loc"][-1]
        inside = "" if last == name else f"one of the {name} of "
        got = f"{inside}{where} " + (f"lacks '{last}'" if what == "missing" else f"has '{last}'")
        if inside:
            return ConfigError(got, expected=f"the entries {INSIDE[name]}", fix="correct it")
        known = ", ".join(f.name for f in fields(kind))  # pyright: ignore[reportArgumentType]
        return ConfigError(got, expected=f"the entries {known}", fix="correct it")
    value = error["input"]
    shown = type(value).__name__ if name in SECRET else f"{value!r:.80}"
    in_a_list = len(error["loc"]) > 1 and what == "string_type" and name not in INSIDE
    expected = WORDS.get("tuple_type" if in_a_list else what, error["msg"])
    expected = LISTS.get(name, expected) if what.endswith("_type") else expected
    expected = expected.format(**error.get("ctx", {}))
    if what.endswith("_type") or what == "sink_kind":
        return ConfigError(f"{name} of {where} is {shown}", expected=expected, fix="correct it")
    if what == "string_pattern_mismatch":
        return ConfigError(f"{where}: {name} {shown}", expected=expected, fix="rename it")
    return ConfigError(f"{where}: {name} = {shown}", expected=expected, fix="correct it")
