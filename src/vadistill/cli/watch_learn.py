"""``vadistill watch --learn``: a camera's own footage is collected and learned from, then watched.

What is there tells where it stands: the model, the data set of a fit that has begun, recordings.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from vadistill.addresses import Address
from vadistill.cli.outputs import check_outputs
from vadistill.detector import WORK, in_the_way
from vadistill.errors import ConfigError, one_of

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of each unit."""


def span(text: str) -> float:
    """Seconds of text such as ``90min`` or ``2h``; raises ConfigError.

    >>> span("1.5h")
    5400.0
    """
    found = SPAN.fullmatch(text.strip())
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 1 <= seconds <= 366 * UNITS["d"]:
        raise ConfigError(
            f"--learn {text}", expected="a time such as 30min, 2h or 1d", fix="correct it"
        )
    return seconds


def learn(
    sources: tuple[str, ...],
    wanted: str,
    *,
    system: str,
    out: Path | None,
    folder: Path,
    camera: dict[str, Any],
    mask: Path | None,
    device: str,
) -> int:
    """Have a model of the camera in ``out``; the exit status, 0 once it is there.

    ``camera``: its settings.  Raises ConfigError.
    """
    from vadistill.serving.jobs.fit_footage import data_set
    from vadistill.serving.watching import camera_for, collect_footage
    from vadistill.systems import DETECTORS

    seconds = span(wanted)
    one_of("--system", system, ("auto", *DETECTORS))
    if out is None:
        raise ConfigError("--learn without --out", expected="where the model goes", fix="add one")
    check_outputs(filter(None, [mask]), folders=[("--out", out), ("--folder", folder)])
    if len(sources) != 1 or not Address(sources[0]).is_live:
        raise ConfigError(
            f"--learn of {', '.join(str(Address(s)) for s in sources) or 'no camera'}",
            expected="the address of one camera",
            fix="name one; of files, fit a model first: vadistill fit auto FOLDER --out MODEL",
        )
    watched = camera_for(sources[0], **camera)
    data = folder / "learn" / f"{watched.name}-{out.name}-{seconds:g}s"
    if not data.exists() and _is_there(out):
        _say(f"{out} is there: watching with it")
        return 0
    if not data.exists():
        videos = collect_footage(watched, folder, seconds)
        if videos is None:
            _say("interrupted; what was collected is kept, and the same command goes on")
            return 130
        part = data.with_name(f".{data.name}")
        shutil.rmtree(part, ignore_errors=True)
        data_set(part, videos)
        part.rename(data)
    status = _fit(system, data, out, mask, device)
    if status == 0:
        shutil.rmtree(data)
    return status


def _is_there(out: Path) -> bool:
    """Whether a model is in ``out``; raises ConfigError for something else."""
    if (out / "config.json").exists():
        return not (out / WORK).exists()
    if out.is_dir() and any(out.iterdir()) and not (out / WORK).exists():
        raise in_the_way(out, "something that is no model")
    return False


def _fit(system: str, data: Path, out: Path, mask: Path | None, device: str) -> int:
    """Fit to the data set, or go on with that, as 'vadistill fit' does; its exit status.

    What it tells goes to stderr: stdout is for events.
    """
    from vadistill.cli import main

    _say(f"learning from it ({system}); Ctrl-C, and the same command goes on")
    masked = [] if mask is None else ["--mask", str(mask)]
    command = ["fit", system, str(data), "--out", str(out), "--device", device, *masked]
    with contextlib.redirect_stdout(sys.stderr):
        return main(command)


def _say(words: str) -> None:
    print(f"vadistill: {words}", file=sys.stderr)
