"""What tests of archives on Ray look at, and a worker that dies in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import parquet

from vadistill.cluster.manifest import NAME


def lines(folder: Path) -> list[dict[str, Any]]:
    """The list of a folder of results."""
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()]


def rows(path: Path) -> Any:
    """A table, or a folder's tables as one, by video and frame."""
    return parquet.read_table(path).sort_by([("video", "ascending"), ("frame", "ascending")])


@contextlib.contextmanager
def worker_killed(folder: Path) -> Iterator[None]:
    """Kill the worker that ends the first video, once, which then has another."""

    def kill() -> None:
        while not (folder / NAME).is_file() or not (done := lines(folder)):
            time.sleep(0.01)
        os.kill(int(done[0]["worker"].rpartition(":")[2]), signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    yield
    killer.join(10)
    assert not killer.is_alive()
