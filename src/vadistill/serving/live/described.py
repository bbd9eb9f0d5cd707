"""Fitted models as the console shows them, and what it offers to fit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from vadistill.errors import VadistillError
from vadistill.report import SELF_TEST_PAGE
from vadistill.saved import read_config
from vadistill.serving.config import Settings
from vadistill.serving.log_limit import Repeats

_unread = Repeats()
"""Files beside models, which each page that lists models reads again."""

SYSTEMS = {
    "auto": "several are fitted, and the one is kept that finds most of what is planted as a test",
    "motion": "speed of moving things; the baseline, fitted in seconds",
    "cafe": "a small network that imitates features of normal objects",
    "blend": "both of them together, each on the scale of its own normal footage",
    "fast_aed": "one small network for whole frames, taught by two others; fits for minutes",
}
"""What the console offers to fit from normal footage, in a line each."""


def described(settings: Settings) -> list[dict[str, Any]]:
    """Each model of the settings as the API shows it."""
    from vadistill.systems import detector_class

    shown = []
    for model in settings.models:
        cameras = [camera.name for camera in settings.cameras if camera.model == model.name]
        entry: dict[str, Any] = {"name": model.name, "cameras": cameras, "built_in": False}
        try:
            facts = read_config(settings.located(model.path))
            entry |= {
                "system": facts["system"],
                "supervision": detector_class(facts["system"]).supervision,
                "latency_frames": facts.get("latency"),
                "self_test": _self_test(settings.located(model.path)),
                "choice": _choice(settings.located(model.path)),
                "error": None,
            }
        except VadistillError as error:
            entry |= {
                "system": "",
                "supervision": "",
                "latency_frames": None,
                "self_test": None,
                "choice": None,
                # The path is the server's own affair.
                "error": str(error).replace(str(settings.base), "…"),
            }
        shown.append(entry)
    return shown


def _self_test(folder: Path) -> dict[str, Any] | None:
    """What is kept of a model's self-test; None where there is none, or it cannot be read."""
    from vadistill.evaluation.selftest import read_self_test
    from vadistill.evaluation.selftest.kinds import CONTROL

    try:
        test = read_self_test(folder)
    except VadistillError as error:
        _unread.warning(str(error), "%s", error)
        return None
    if test is None:
        return None
    kept = ("auc", "found", "false_alarms_per_day", "seconds", "held_out", "left_out")
    return {
        **{name: getattr(test, name) for name in kept},
        "kinds": [{**asdict(kind), "control": kind.kind == CONTROL} for kind in test.kinds],
        "pictures": _page(folder) is not None,
    }


def _choice(folder: Path) -> dict[str, Any] | None:
    """What 'auto' kept and why; None of a model that it did not choose, or where that is lost."""
    from vadistill.evaluation.choice import read_choice

    try:
        found = read_choice(folder)
    except VadistillError as error:
        _unread.warning(str(error), "%s", error)
        return None
    return found and {"kept": found["kept"], "reason": found["reason"]}


def self_test_page(settings: Settings, name: str) -> Path | None:
    """The page with pictures of a model's self-test, if there is one; None for an unknown model."""
    paths = [settings.located(model.path) for model in settings.models if model.name == name]
    return _page(paths[0]) if paths and _self_test(paths[0]) else None


def _page(folder: Path) -> Path | None:
    # A link in a folder that came from elsewhere could lead to any file of the server.
    path = folder / SELF_TEST_PAGE
    return path if path.is_file() and not path.is_symlink() else None


def systems() -> list[dict[str, str]]:
    """What can be fitted from normal footage."""
    return [{"name": n, "line": line, "supervision": "one-class"} for n, line in SYSTEMS.items()]
