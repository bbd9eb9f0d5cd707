"""Which of several runtimes is the fastest here: half a second's race, remembered.

A race is run once for a network, a machine and the libraries' versions.  What it found lies beside
weights that were fetched, in PyTorch's cache (``TORCH_HOME`` moves it), and decides from then on.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vadistill.devices import asked_threads
from vadistill.errors import WeightsError
from vadistill.files import content_hash, read_json, write_json

Arrays = tuple[np.ndarray, ...]
Run = Callable[..., Arrays]

VARIABLE = "VADISTILL_RUNTIME"
"""In the environment: the runtime that ``auto`` is, without a race."""

SECONDS = 0.5
"""Of running, in all."""

FASTER = 1.1
"""How many times as fast as the first another must be to win: a close race says nothing."""

LEAST = 3
"""Calls of each, however long they take."""

LIBRARIES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""By runtime, the distribution that it needs."""


@dataclass(frozen=True)
class Race:
    """What a race found."""

    winner: str
    rates: Mapping[str, float]
    """Rows a second of each that took part."""
    left_out: Mapping[str, str]
    """Why another did not."""

    @property
    def words(self) -> str:
        """In a line."""
        told = [f"{name} {rate:,.0f}" for name, rate in self.rates.items()]
        out = [f"{name} left out ({why})" for name, why in self.left_out.items()]
        if not told:
            return f"{self.winner}, without a race: PyTorch's cache cannot be written"
        return "; ".join([f"{self.winner}, by a race (rows a second: {', '.join(told)})", *out])


def present() -> list[str]:
    """The runtimes that are installed, the default first."""
    found = {"onnx": "onnxruntime", "torch": "torch", "openvino": "openvino"}
    return [name for name, module in found.items() if importlib.util.find_spec(module)]


def settled(
    network: str, opened: Mapping[str, Callable[[], Run]], inputs: Arrays, tolerance: float
) -> Race:
    """The race of ``opened``, from memory or run now; without a place to remember, the first wins.

    Args:
        network: a hash of it.
        opened: by name, what opens it; one that cannot be opened or run is left out, and so is one
            whose outputs differ from the first's by more than ``tolerance`` of their range.
        inputs: of rows as they come.
    """
    first = next(iter(opened))
    folder = _folder()
    facts = [network, machine(), repr(sorted(opened)), *map(_version, LIBRARIES.values())]
    file = folder / f"{content_hash(*facts)}.json"
    known = _remembered(file, opened)
    if known is not None:
        return known
    try:
        # Before the race: what is not remembered would be another one's the next time.
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return Race(first, {}, {})
        found = race(opened, inputs, tolerance)
        known = _remembered(file, opened)  # of another process, meanwhile
        if known is None:
            write_json(file, asdict(found) | {"machine": machine(), "network": network})
    except (OSError, WeightsError):
        return Race(first, {}, {})
    return known or found


def race(opened: Mapping[str, Callable[[], Run]], inputs: Arrays, tolerance: float) -> Race:
    """Run them one after the other, each for its share of ``SECONDS``; the best call counts."""
    rates, left_out, wanted = dict[str, float](), dict[str, str](), None
    for name, opener in opened.items():
        try:
            run = opener()
            made = run(*inputs)
        except Exception as error:  # each library has a dozen classes of its own
            if wanted is None:
                raise  # the default's, which is told as ever
            left_out[name] = type(error).__name__
            continue
        wanted = wanted or made
        if made is not wanted and not alike(wanted, made, tolerance):
            left_out[name] = "its outputs are others"
            continue
        rates[name] = len(inputs[0]) / _least_seconds(run, inputs, SECONDS / len(opened))
    first, fastest = next(iter(rates)), max(rates, key=rates.__getitem__)
    return Race(fastest if rates[fastest] > FASTER * rates[first] else first, rates, left_out)


def alike(one: Sequence[np.ndarray], other: Sequence[np.ndarray], tolerance: float) -> bool:
    """Whether no two numbers differ by more than ``tolerance`` of their output's range.

    Of an output that is almost the same everywhere, a hundredth of it is taken for its range.
    """

    def near(a: np.ndarray, b: np.ndarray) -> bool:
        extent = max(float(np.ptp(a)), 0.01 * float(np.abs(a).max()))
        return float(np.abs(a - b).max()) <= tolerance * extent

    return all(near(a, b) for a, b in zip(one, other, strict=True) if a.size)


def _least_seconds(run: Run, inputs: Arrays, seconds: float) -> float:
    """Of a call, among those of so many seconds."""
    least, calls, begun = float("inf"), 0, time.perf_counter()
    while calls < LEAST or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        run(*inputs)
        least, calls = min(least, time.perf_counter() - start), calls + 1
    return max(least, 1e-9)


def machine() -> str:
    """What of this machine and process decides how fast a runtime is."""
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {asked_threads() or cores} threads"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _folder() -> Path:
    from torch import hub

    return Path(hub.get_dir()) / "vadistill-races"


def _remembered(file: Path, opened: Mapping[str, object]) -> Race | None:
    """What lies there, unless it is none of these runtimes' or damaged."""
    try:
        held = read_json(file)
        rates = {str(name): float(rate) for name, rate in held["rates"].items()}
        left_out = {str(name): str(why) for name, why in held["left_out"].items()}
        found = Race(str(held["winner"]), rates, left_out)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if found.winner in opened and found.winner in found.rates else None
