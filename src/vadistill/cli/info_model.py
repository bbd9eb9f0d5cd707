"""What a fitted model's folder says of itself: first what a person asks, then its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.errors import VadistillError
from vadistill.progress import clock

if TYPE_CHECKING:
    from vadistill.detector import Detector

LEARNS = {"one-class": "normal video", "weak": "videos with labels"}

ALL = "--all shows them"


def model(path: Path, *, everything: bool = False) -> dict[str, Any]:
    """Facts by name; raises WeightsError.

    Of its settings those that differ from the system's default recipe; ``everything`` of
    config.json instead.
    """
    from vadistill.saved import read_config
    from vadistill.soundness import refusing

    facts = read_config(path)
    with refusing(path):
        rows: dict[str, Any] = {"model": path, **dict(_asked_first(path, facts))}
        if everything:
            rest = {name: words(name, value) for name, value in flat("", facts)}
            return rows | {name: value for name, value in rest.items() if name not in rows}
        rows |= dict(_settings(facts))
        for name, member in facts.get("members", {}).items():
            rows |= dict(_settings(member, f"{name} "))
    return rows


def _asked_first(path: Path, facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    known = _known(facts)
    if isinstance(known, str):
        yield from (("system", facts["system"]), ("recipe", known))
    else:
        kind, own = known
        yield "system", f"{kind.name}, which learns from {LEARNS[kind.supervision]}"
        yield "recipe", _recipe(kind, own)
    made = facts.get("made") or {}
    if made:
        yield "fitted", f"{made.get('date')} by vadistill {made.get('vadistill')}"
        yield "command", made.get("command")
    if facts.get("footage"):
        yield "learned from", _footage(facts["footage"])
    yield from _in_use(path)
    yield from _localisers(facts)
    if isinstance(facts.get("widths"), dict):
        yield "backbones", ", ".join(facts["widths"])
    yield "latency", _latency(facts)
    yield from _tested(path)
    yield from _choice(path)
    size = sum(f.stat().st_size for f in path.iterdir() if f.is_file())
    yield "size", f"{size / 1e6:.1f} MB"


def _known(facts: Mapping[str, Any]) -> tuple[type[Detector], dict[str, Any]] | str:
    """Class and settings; why not, where another package's or version's are not known here."""
    from vadistill.systems import detector_class

    try:
        kind = detector_class(facts["system"])
        return kind, asdict(type(kind.default_config()).from_saved(facts["config"]))
    except VadistillError as error:
        return f"unknown: {error.got}"


def _recipe(kind: type[Detector], own: Mapping[str, Any]) -> str:
    """The recipes that have these settings, or the nearest one."""
    others = {}
    for name, make in kind.RECIPES.items():
        usual = asdict(make())
        others[name] = sum(own[key] != usual.get(key) for key in own)
    name, *same = [name for name, count in others.items() if count == min(others.values())]
    if others[name]:
        return f"{name}, but for {others[name]} setting{'s' * (others[name] > 1)}"
    return f"{name}, which is also {', '.join(same)}" if same else name


def _footage(footage: Mapping[str, Any]) -> str:
    from vadistill.datasets.footage import footage_words

    dates = list(dict.fromkeys(footage.get("dates", ())))
    parts = [footage_words(footage), f"{footage.get('frames', 0):,} frames"]
    parts += [f"files of {' to '.join(dates)}"] * bool(dates)
    return ", ".join(parts + ["a part of the picture masked"] * ("hidden" in footage))


def _in_use(path: Path) -> Iterator[tuple[str, str]]:
    """At which level its events open, and what ``auto`` is of its runtimes on this machine."""
    from vadistill.evaluation.speed import chosen
    from vadistill.levels import training_level
    from vadistill.systems import load

    try:
        detector = load(path)
        level = training_level(detector.require_fitted(), 1.0)
        told = f"events open at a raw score of {level.on:.3g}, for 1 false alarm a day"
        yield "level", f"{told} ({level.note})"
        if runtime := chosen(detector):
            yield "auto here", runtime
    except VadistillError as error:
        yield "level", f"unknown: {error.got}"


def _localisers(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from vadistill.objects.auto import in_words

    for name, each in {"": facts, **facts.get("members", {})}.items():
        if "localiser" in each:
            yield f"localiser{' of ' * bool(name)}{name}", in_words(each["localiser"])


def _latency(facts: Mapping[str, Any]) -> str:
    frames, rates = facts["latency"], (facts.get("footage") or {}).get("rates", ())
    if frames is None:
        return "scores come at a video's end"
    seconds = [f"{frames / rate:.1f} s at {rate:g} frames/s" for rate in rates if rate > 0]
    told = f"{frames} frame{'s' * (frames != 1)}"
    return ", ".join([told, *(seconds if frames and len(seconds) == 1 else ())])


def _tested(path: Path) -> Iterator[tuple[str, str]]:
    from vadistill.evaluation.selftest import read_self_test

    tested = read_self_test(path)
    if tested is not None:
        yield "self-test", tested.words
        for kind in tested.kinds:
            yield f"  {kind.kind}", f"{kind.found} of {kind.plants}, AUC {100 * kind.auc:.1f}"


def _choice(path: Path) -> Iterator[tuple[str, str]]:
    """What ``auto`` kept, and its candidates."""
    from vadistill.evaluation.choice import read_choice

    found = read_choice(path)
    if found is None:
        return
    yield "chosen by auto", f"{found['kept']}: {found['reason']}"
    for each in found["candidates"]:
        auc, low, high = (100 * each[key] for key in ("auc", "auc_low", "auc_high"))
        speed = f"{each['frames_per_second']:.0f} frames/s"
        figures = f"AUC {auc:.1f} ({low:.1f} to {high:.1f}), {each['found']:.0%} found"
        yield f"  {each['name']}", f"{figures}, {speed}"


def _settings(facts: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """How many settings are at their default, and all others."""
    known = _known(facts)
    if isinstance(known, str):
        yield f"{of}settings", f"not compared ({ALL})"
        return
    kind, own = known
    usual = asdict(kind.default_config())
    changed = [name for name in own if own[name] != usual.get(name)]
    rest = len(own) - len(changed)
    told = f"{len(changed)} changed, {rest} others" if changed else f"all {rest}"
    yield f"{of}settings", f"{told} as in the default recipe ({ALL})"
    for name in changed:
        default = words(name, usual.get(name))
        yield f"  {of}{name}", f"{words(name, own[name])} (default: {default})"


def flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a fact holds, each by its name: ``config.smoothing``."""
    if not isinstance(value, dict) or not value:
        yield name, value
        return
    if name.rpartition(".")[2] == "localiser":
        from vadistill.objects.auto import in_words

        yield name, in_words(value)  # and its settings below
    for key, inner in value.items():
        yield from flat(f"{name}.{key}" if name else key, inner)


def words(name: str, value: Any) -> str:
    """A fact of a model for people: ``96x64`` for a size, a clock for seconds, no brackets."""
    if name.endswith("footage.sizes") and all(isinstance(size, list) for size in value):
        return ", ".join("x".join(map(str, size)) for size in value)
    if name.endswith("footage.seconds") and isinstance(value, float | int):
        return clock(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
