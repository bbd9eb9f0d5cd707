"""Published files, such as weights: fetched once from their official address, checked and kept.

They lie where PyTorch's hub keeps its own (the variable TORCH_HOME moves it): what torchvision has
fetched before is not fetched again, and what is put there by hand is found.
"""

from __future__ import annotations

import hashlib
import http.client
import math
import os
import queue
import textwrap
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vadistill import __version__
from vadistill.errors import WeightsError, in_a_line
from vadistill.files import replacing
from vadistill.limits import FETCH_SECONDS, FETCHED_BYTES
from vadistill.progress import progress

OFFLINE = "VADISTILL_OFFLINE"
"""Environment variable: with anything but 0 or nothing in it, no file is fetched."""

SWITCHED_OFF = f"fetching is switched off by {OFFLINE}"
"""What messages say of a file that was not asked for."""

BLOCK = 1 << 16
MEGABYTE = 1_000_000


def is_offline() -> bool:
    """Whether fetching is forbidden."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


def or_allow(fix: str) -> str:
    """How to mend that something is missing: also by letting it be fetched, where that is off."""
    return f"unset {OFFLINE}, or {fix}" if is_offline() else fix


@dataclass(frozen=True)
class Published:
    """A file at its official address."""

    address: str
    sha256: str
    """In hexadecimal, all of it or its beginning; '' where nobody published it."""
    size: int = FETCHED_BYTES
    """Bytes that it has at most."""

    @property
    def path(self) -> Path:
        """Where it is kept, whether it is there or not."""
        from torch import hub

        return Path(hub.get_dir()) / "checkpoints" / self.address.rpartition("/")[2]

    def is_cached(self) -> bool:
        """Whether it lies there whole."""
        path = self.path
        if not path.is_file() or path.stat().st_size > self.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().startswith(self.sha256)


def fetched(
    published: Published,
    *,
    what: str,
    instead: str,
    patience: float = FETCH_SECONDS,
    within: float = math.inf,
) -> Path:
    """The file's path, once it is there and whole; raises WeightsError.

    Args:
        published: What is wanted.
        what: Its name, for the error and the bar.
        instead: What else may be done, for the error.
        patience: Seconds without an answer or a byte after which it is given up.
        within: Seconds that it may take in all.
    """
    path = published.path
    if published.is_cached():
        return path
    there = f", and what lies at {path} is another file" if path.exists() else ""
    if is_offline():
        got = f"{what} is not on this machine, and {SWITCHED_OFF}{there}"
        raise _missing(published, got, instead)
    total = published.size / MEGABYTE if published.size < FETCHED_BYTES else None
    try:
        with (
            replacing(path) as temporary,
            temporary.open("wb") as file,
            progress(f"fetch {what} (MB)", total) as advance,
        ):
            for block in _blocks(published, patience, time.monotonic() + within):
                file.write(block)
                advance(len(block) / MEGABYTE)
    except _Unfetched as error:
        reason = textwrap.shorten(str(error), 120, placeholder=" …")
        got = f"{what} could not be fetched ({reason}){there}"
        raise _missing(published, got, instead) from error
    return path


class _Unfetched(Exception):
    """Why a file did not arrive."""


def _blocks(published: Published, patience: float, end: float) -> Iterator[bytes]:
    """The file's bytes; raises _Unfetched unless they are those that were published."""
    digest, size = hashlib.sha256(), 0
    try:
        with _answer(published.address, patience) as answer:
            while block := answer.read1(BLOCK):
                size += len(block)
                if size > published.size:
                    raise _Unfetched(f"it is larger than the {published.size:,} bytes published")
                if time.monotonic() > end:
                    raise _Unfetched("the network is too slow")
                digest.update(block)
                yield block
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Unfetched(in_a_line(error)) from error
    found = digest.hexdigest()
    if not found.startswith(published.sha256):
        raise _Unfetched(f"its SHA-256 is {found[:16]}…, not {published.sha256[:16]}…")


def _answer(address: str, patience: float) -> Any:
    """The answer to a request; raises OSError.

    It is waited for beside a thread: looking a name up has no time-out of its own.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    request = urllib.request.Request(address, headers={"User-Agent": f"vadistill/{__version__}"})

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=patience))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=patience)
    except queue.Empty:
        raise TimeoutError(f"no answer in {patience:g} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _missing(published: Published, got: str, instead: str) -> WeightsError:
    fix = f"download {published.address} on another machine and put it at {published.path}"
    return WeightsError(
        got,
        expected="the file itself" if is_offline() else "network access, or the file itself",
        fix=or_allow(f"{fix}, or {instead}"),
    )
