"""Facts of a run: on what device, by what command, from what commit and when it was made."""

from __future__ import annotations

import datetime
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TypedDict

from vadistill import __version__


class RunFacts(TypedDict):
    """What a run knows of itself, beside its figures."""

    device: str
    """Such as ``cpu x2``."""
    command: str
    commit: str
    date: str
    """YYYY-MM-DD."""


def run_facts(*, device: str, command: str) -> RunFacts:
    """``device``, ``command``, ``commit`` and ``date`` of a run that goes on now.

    ``device`` is auto, cpu or cuda, and becomes ``cpu x2`` or the GPU's name.  Absolute paths in
    ``command`` become their last part, since they mean nothing elsewhere.
    """
    return {
        "device": device_name(device),
        "command": portable_command(command),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }


def device_name(device: str) -> str:
    """``cpu x2`` (the cores that this process may use) or the GPU's name."""
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return f"cpu x{len(os.sched_getaffinity(0))}"


def portable_command(command: str) -> str:
    """``command`` with every absolute path cut to its last part."""
    folder = r"(^|[:=,])(?:~/|/(?!/))[^:=,]*?([^/:=,]+)/?(?=,|$)"
    return shlex.join(re.sub(folder, r"\1\2", word) for word in shlex.split(command))


def commit() -> str:
    """Short hash of the checkout this package runs from, ``-dirty`` when its code was changed.

    ``v`` and the version where it is installed without a checkout.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return f"v{__version__}"

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "src")
        return git("rev-parse", "--short", "HEAD") + "-dirty" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return f"v{__version__}"
