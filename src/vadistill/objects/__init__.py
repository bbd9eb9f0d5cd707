"""Localisers: where the foreground objects of a frame are.

Imports ``backbones``, ``datasets``, ``video`` and what lies below them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from vadistill.errors import ConfigError, one_of
from vadistill.objects.base import Boxes, Localiser, clip_boxes, merge
from vadistill.objects.combined import Union, UnionSettings, Whole, WholeSettings
from vadistill.plugins import added

__all__ = [
    "LOCALISERS",
    "Boxes",
    "Localiser",
    "build",
    "build_for_patches",
    "clip_boxes",
    "merge",
]

KEEP_ALL = "all:"
"""Before a localiser's text: slivers at the picture's edge are cut out, too."""

ONLY = "only:"
"""Before a localiser's text: nothing is added to what it finds."""


def _background() -> type[Localiser]:
    from vadistill.objects.background import Background

    return Background


def _motion() -> type[Localiser]:
    from vadistill.objects.motion_gradients import MotionGradients

    return MotionGradients


def _detector() -> type[Localiser]:
    from vadistill.objects.detector import ObjectDetector

    return ObjectDetector


def _boxes() -> type[Localiser]:
    from vadistill.objects.boxes_file import BoxesFile

    return BoxesFile


def _auto() -> type[Localiser]:
    from vadistill.objects.auto import Auto

    return Auto


LOCALISERS: dict[str, Callable[[], type[Localiser]]] = {
    "background": _background,
    "motion": _motion,
    "detector": _detector,
    "boxes": _boxes,
    "auto": _auto,
}
"""The localisers that ship with the package; each is imported on first use."""

ENTRY_POINTS = "vadistill.localisers"
"""Group of entry points by which other packages add their localisers; each names a class."""


def localisers() -> dict[str, Callable[[], type[Localiser]]]:
    """All localisers by name: those that ship and those that entry points add."""
    return {**added(ENTRY_POINTS), **LOCALISERS}


def build(spec: str | dict[str, Any]) -> Localiser:
    """Make a localiser from text, or from what ``describe`` gave; raises ConfigError.

    Text is ``name``, ``name:argument`` or either with settings behind a question mark:
    ``background?threshold=18``, ``motion:avenue``, ``boxes:train.csv,test.csv``,
    ``detector:yolox_nano?score=0.25``, ``detector:FILE.onnx?tiles=3x2``.  Localisers joined by
    ``+`` each add what those before missed: ``detector:yolox_nano+motion:avenue``.  A detector
    that is named, rather than a file, is joined by ``background``, whose moving regions need no
    class, unless ``only:`` stands before it.
    """
    if isinstance(spec, dict):
        return _from_dict(spec)
    parts = _parts(spec.removeprefix(ONLY))
    if len(parts) == 1 and not spec.startswith(ONLY):
        name, argument, _ = _parse(parts[0])
        parts += _class(name).joined_by(argument)
    if len(parts) > 1:
        return _from_dict({"name": "union", "parts": [f"{ONLY}{part}" for part in parts]})
    name, argument, settings = _parse(parts[0])
    if argument:
        option = _class(name).ARGUMENT
        if not option:
            raise ConfigError(
                f"localiser '{name}:{argument}'",
                expected=f"'{name}' without an argument",
                fix=f"write '{name}', or settings as in {name}?key=value",
            )
        settings = {**_class(name).suggested(argument), **settings, option: argument}
    return _from_dict({"name": name, **settings})


def build_for_patches(spec: str) -> Localiser:
    """What systems take their patches from: ``build``'s, without slivers at the picture's edge.

    ``all:`` before the text keeps them.  Raises ConfigError.
    """
    if spec.startswith(KEEP_ALL):
        return build(spec.removeprefix(KEEP_ALL))
    return Whole(build(spec))


def _from_dict(described: dict[str, Any]) -> Localiser:
    settings = {key: value for key, value in described.items() if key != "name"}
    name = str(described.get("name", ""))
    if name == "whole":
        inner = build(settings.pop("inner"))
        return Whole(inner, _settings(WholeSettings, settings, name))
    if name == "auto":
        from vadistill.objects.auto import Auto

        for key in settings:
            one_of("auto setting", key, ("inner", "why"))
        inner = settings.get("inner")
        return Auto(build, inner and build(inner), settings.get("why", ""))
    if name == "union":
        parts = [build(part) for part in settings.pop("parts", ())]
        return Union(parts, _settings(UnionSettings, settings, name))
    made = _class(name)
    return made(_settings(made.Settings, settings, name))


def _parts(spec: str) -> list[str]:
    """Split at ``+``, except where the text behind it goes on with a file's name."""
    parts: list[str] = []
    for piece in spec.split("+"):
        continues = parts and ":" in parts[-1] and _parse(piece)[0] not in localisers()
        if continues:
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def _parse(text: str) -> tuple[str, str, dict[str, Any]]:
    head, _, tail = text.strip().partition("?")
    name, _, argument = head.partition(":")
    settings: dict[str, Any] = {}
    for pair in tail.split("&") if tail else ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(
                f"'{pair}' in localiser '{text}'",
                expected="settings as key=value joined by '&'",
                fix=f"write {head}?key=value",
            )
        settings[key.strip()] = value.strip()
    return name.strip(), argument.strip(), settings


def _class(name: str) -> type[Localiser]:
    known = localisers()
    return known[one_of("localiser", name, known, fix="choose one, or several joined by '+'")]()


def _settings(kind: type[Any], values: dict[str, Any], name: str) -> Any:
    """A settings dataclass from JSON or text values; raises ConfigError."""
    types = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    for key in values:
        one_of(f"{name} setting", key, names)
    return kind(
        **{key: _typed(value, types[key], f"{name}.{key}") for key, value in values.items()}
    )


def _typed(value: Any, wanted: Any, where: str) -> Any:
    """``value`` as the type that a settings field states."""
    try:
        if wanted in (int, float):
            return wanted(value)
        if wanted is bool:
            if str(value).lower() not in ("true", "false", "1", "0"):
                raise ValueError
            return str(value).lower() in ("true", "1")
        if wanted is str:
            return str(value)
        if wanted == tuple[str, ...]:
            return tuple(value.split(",") if isinstance(value, str) else value)
        if wanted == tuple[int, int]:
            columns, rows = value.split("x") if isinstance(value, str) else value
            return int(columns), int(rows)
    except (TypeError, ValueError):
        kind = "3x2" if wanted == tuple[int, int] else getattr(wanted, "__name__", str(wanted))
        raise ConfigError(
            f"{where} = {value!r}", expected=f"a value such as {kind}", fix="correct the setting"
        ) from None
    choices = get_args(wanted)
    return one_of(f"{where} =", value, choices) if choices else value
