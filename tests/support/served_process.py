"""``vadistill serve`` as a process of its own, with limits of its own."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.waiting import until

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class ServedProcess:
    """A console that runs: where, and what it logs."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def served_process(
    settings: Path, *, descriptors: int | None = None, source: Path = ROOT / "src"
) -> Iterator[ServedProcess]:
    """The console of a settings file on a free port, which may open so many descriptors."""
    log = settings.with_suffix(".log")

    def limited() -> None:
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    command = [sys.executable, "-m", "vadistill", "serve", "--settings", str(settings)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
            preexec_fn=limited,
        )
    try:

        def address() -> str | None:
            assert process.poll() is None, log.read_text()
            found = re.search(r"the console is at (http\S+)", log.read_text())
            return found and found[1]

        yield ServedProcess(until(address, 90), process, log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
