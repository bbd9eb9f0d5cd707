"""``vadistill watch --learn``: a camera's own footage is collected and learned from, then watched.

What is there tells where it stands: the model, the data set of a fit that has begun, recordings.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vadistill.addresses import Address
from vadistill.cli.outputs import check_outputs
from vadistill.detector import WORK, in_the_way
from vadistill.errors import ConfigError, one_of

if TYPE_CHECKING:
    from vadistill.serving.config import CameraSettings

GRACE = 5.0
"""Seconds that an interrupted fit has to end by itself; one that is killed goes on as well."""
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of each unit."""


class Fit(NamedTuple):
    """What is fitted, where to and how."""

    system: str
    out: Path
    mask: Path | None
    device: str


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


def planned(
    sources: tuple[str, ...],
    wanted: str,
    *,
    system: str,
    out: Path | None,
    folder: Path,
    camera: dict[str, Any],
    mask: Path | None,
    device: str,
) -> Callable[[], int]:
    """What has a model of the camera in ``out``; it gives the exit status, 0 once that is there.

    ``camera``: its settings.  All that can be is checked here, before hours of recording.  Raises
    ConfigError.
    """
    from vadistill.devices import pick_device
    from vadistill.serving.watching import camera_for
    from vadistill.systems import DETECTORS, detector_class

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
    if system != "auto" and detector_class(system).supervision != "one-class":
        raise ConfigError(
            f"--system {system}, which learns from labelled videos",
            expected="one that learns from normal video",
            fix="choose another, or leave it out",
        )
    pick_device(device)
    watched = camera_for(sources[0], **camera)
    data = folder / "learn" / f"{watched.name}-{out.name}-{seconds:g}s"
    return partial(_learn, watched, seconds, data, folder, Fit(system, out, mask, device))


def _learn(camera: CameraSettings, seconds: float, data: Path, folder: Path, how: Fit) -> int:
    """Collect, fit, and remove the data set ``data``, from where it stands; the exit status."""
    from vadistill.serving.jobs.fit_footage import data_set
    from vadistill.serving.watching import collect_footage

    hidden = data.with_name(f".{data.name}")  # while it is made or removed, and so not whole
    shutil.rmtree(hidden, ignore_errors=True)
    if not data.exists() and _is_there(how.out):
        _say(f"{how.out} is there: watching with it")
        return 0
    if not data.exists():
        videos = collect_footage(camera, folder, seconds)
        if videos is None:
            _say("interrupted; what was collected is kept, and the same command goes on")
            return 130
        data_set(hidden, videos)
        hidden.rename(data)
    status = _fit(data, how)
    if status == 0:
        data.rename(hidden)
        shutil.rmtree(hidden)
    return status


def _is_there(out: Path) -> bool:
    """Whether a model is in ``out``; raises ConfigError for something else."""
    if (out / "config.json").exists():
        return not (out / WORK).exists()
    if out.is_dir() and any(out.iterdir()) and not (out / WORK).exists():
        raise in_the_way(out, "something that is no model")
    return False


def _fit(data: Path, how: Fit) -> int:
    """Fit to the data set, or go on with that, as 'vadistill fit' does; its exit status.

    It has a process of its own, whose memory goes with it.  What it tells goes to stderr: stdout
    is for events.
    """
    from vadistill.serving.watching import stopped_by_signals

    _say(f"learning from it ({how.system}); Ctrl-C, and the same command goes on")
    command = ["fit", how.system, str(data), "--out", str(how.out), "--device", how.device]
    command += [] if how.mask is None else ["--mask", str(how.mask)]
    with stopped_by_signals() as stop:
        process = subprocess.Popen([sys.executable, "-m", "vadistill", *command], stdout=2)
        try:
            while process.poll() is None and not stop.wait(0.25):
                pass
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)  # a terminal has told it, too
        finally:
            process.kill()
            status = process.wait()
        if stop.is_set():
            if status != 130:
                _say("interrupted; the same command goes on where it was")
            return 130
    if status < 0:
        _say(f"the fit was ended by signal {-status}; the same command goes on where it was")
    return status if status >= 0 else 128 - status


def _say(words: str) -> None:
    print(f"vadistill: {words}", file=sys.stderr)
