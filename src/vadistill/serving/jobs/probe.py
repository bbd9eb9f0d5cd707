"""Whether an upload is a video, found out by a process with little memory and time of its own.

The server decodes nothing that strangers send.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from vadistill import limits
from vadistill.errors import VadistillError, VideoError

EXPECTED, FIX = "a video whose pictures can be decoded", "check that it plays, or convert it"


def probe(path: Path) -> None:
    """Raise VideoError unless the first picture of a file can be decoded within the limits."""
    allowed = [str(limits.PROBE_BYTES), str(math.ceil(limits.PROBE_SECONDS))]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "vadistill.serving.jobs.probe", str(path), *allowed],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limits.PROBE_SECONDS,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        got = f"{path} (no picture within {limits.PROBE_SECONDS:g} s)"
        raise VideoError(got, expected=EXPECTED, fix=FIX) from None
    if ended.returncode == 0:
        return
    with suppress(ValueError, TypeError):
        raise VideoError(**json.loads(ended.stdout))
    got = f"{path} (its decoder ended with status {ended.returncode})"
    raise VideoError(got, expected=f"{EXPECTED} in {limits.PROBE_BYTES >> 20} MiB", fix=FIX)


def restrict(size: int, seconds: int) -> None:
    """Take no more memory (bytes) and processor time than this, from now on."""
    with suppress(OSError):
        os.nice(10)
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def main(path: str, size: str, seconds: str) -> int:
    """Print why a file is no video as JSON; the status says whether it is one."""
    from vadistill.video import open_video

    restrict(int(size), int(seconds))
    try:
        open_video(Path(path))
    except VadistillError as error:
        print(json.dumps({"got": error.got, "expected": error.expected, "fix": error.fix}))
        return 2
    except MemoryError:
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
