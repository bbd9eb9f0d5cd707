"""How fast fitted models are on this machine, from one video: by part, end to end, and live.

All parts of a row are measured in the same run, one after another, each after a warm-up.  CPU work
is synchronous; scores that come from a GPU are waited for, since each is a number when it comes.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from vadistill.detector import Detector
from vadistill.errors import DataError, one_of
from vadistill.objects import Boxes, Localiser
from vadistill.systems import load
from vadistill.video import Frame, VideoInfo, VideoSource, open_video
from vadistill.windows import Triplet, triplets

WARM = 8
"""Frames that go through a part before its time counts."""

CAMERA_FPS = 6.0
"""Frames a second that a camera is scored at where cameras are counted."""

HELD_BYTES = 1 << 30
"""Of decoded frames that are held at most."""

ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
"""Microjoules that the processor has used, where a machine tells them."""


@dataclass(frozen=True)
class Speed:
    """What one model takes with one runtime; rates are in frames a second."""

    model: str
    system: str
    runtime: str
    """What runs its network; '' where it has none."""
    frames: int
    decode: float
    """Decoding alone."""
    localise: float | None
    """Finding objects alone, on decoded frames; None where it looks for none."""
    rest: float
    """All else on decoded frames whose objects are known: flow, cropping, network, scores."""
    whole: float
    """From the file to scores."""
    latency_ms: float | None
    """Median milliseconds of work on a frame as cameras' frames are scored, one at a time; None
    where it cannot score live."""
    latency_95_ms: float | None
    """The same, 95 %."""
    cpu_ms: float
    """Milliseconds of one core that a frame takes, from the file to its score."""
    cameras: float
    """Of ``CAMERA_FPS`` that ``cores`` carry, by ``cpu_ms``."""
    cores: int
    memory_mb: float
    """Of the process, at most so far."""
    joules: float | None
    """Of the processor a frame, where the machine tells it."""
    auto: str = ""
    """Where the runtime was ``auto``, what it is here and by what race."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Taken:
    """What a loop over frames took."""

    frames: int
    seconds: float
    cpu: float
    joules: float | None

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Held(VideoSource):
    """Frames that are decoded already."""

    def __init__(self, source: VideoSource, frames: Sequence[Frame]) -> None:
        self.info, self._frames = replace(source.info, frames=len(frames)), frames

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)


def measure_speed(
    folder: str | Path,
    video: str | Path,
    *,
    runtimes: Sequence[str] = (),
    frames: int = 300,
    cores: int,
    device: str = "cpu",
) -> Iterator[Speed]:
    """One row for each of ``runtimes`` of a saved model, as it is measured; () is its own alone.

    ``cores`` is what ``cameras`` are counted for.  Raises WeightsError, VideoError, ConfigError for
    a runtime that the model does not have, and DataError for a video of fewer than three frames.
    """
    source = open_video(video)
    most = HELD_BYTES // max(1, 3 * source.info.width * source.info.height)
    kept = list(islice(source, min(frames, max(most, 3))))
    if len(kept) < 3:
        raise DataError(
            f"{source.info.name} has {len(kept)} frames", expected="3 or more", fix="name another"
        )
    decode = taken(islice(open_video(video), len(kept)))
    name = Path(folder).name
    for runtime in runtimes or ("",):
        yield _row(name, opened(folder, runtime, device), Held(source, kept), video, decode, cores)


def opened(folder: str | Path, runtime: str, device: str) -> Detector:
    """A saved model with another runtime; '' is its own."""
    model = load(folder, device=device)
    if runtime:
        hints = get_type_hints(type(model.config))
        known = get_args(hints["runtime"]) if "runtime" in hints else ("",)
        one_of("runtime", runtime, known, expected=f"one that {model.name} has", fix="leave it out")
        graph = model.runtime.int8 or ()
        model.config = replace(model.config, runtime=runtime)
        model.open_runtime(graph)
    return model


def taken(steps: Iterable[object]) -> Taken:
    """What it takes to go through some steps, one a frame."""
    joules, cpu, start, count = _energy(), time.process_time(), time.perf_counter(), 0
    for _ in steps:
        count += 1
    seconds = time.perf_counter() - start
    used, after = time.process_time() - cpu, _energy()
    known = joules is not None and after is not None and after >= joules
    return Taken(count, seconds, used, after - joules if known else None)  # pyright: ignore


def _row(
    name: str, model: Detector, held: Held, video: str | Path, decode: Taken, cores: int
) -> Speed:
    count = held.info.frames or 0
    _warm(model.stream(Held(held, list(islice(held, WARM)))))
    localiser = getattr(model, "localiser", None)
    found, boxes = None, list[Boxes]()
    if isinstance(localiser, Localiser):
        found = taken(map(boxes.append, _boxes(localiser, held)))
        model.localiser = Found(boxes)
    rest = taken(model.stream(held))
    if isinstance(localiser, Localiser):
        model.localiser = localiser
    whole = taken(model.stream(_first(video, count)))
    pauses = _pauses(model, held)
    cpu = whole.cpu / whole.frames
    return Speed(
        model=name,
        system=model.name,
        runtime=model.runtime.name if hasattr(model.config, "runtime") else "",
        frames=count,
        decode=decode.rate,
        localise=found.rate if found else None,
        rest=rest.rate,
        whole=whole.rate,
        latency_ms=None if pauses is None else 1000 * float(np.median(pauses)),
        latency_95_ms=None if pauses is None else 1000 * float(np.quantile(pauses, 0.95)),
        cpu_ms=1000 * cpu,
        cameras=cores / (cpu * CAMERA_FPS),
        cores=cores,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        joules=None if whole.joules is None else whole.joules / whole.frames,
        auto=chosen(model),
    )


def chosen(model: Detector) -> str:
    """What ``auto`` is here of a model that has this runtime, in words; '' of others."""
    if getattr(model.config, "runtime", "") != "auto":
        return ""
    return model.runtime.race.words if model.runtime.race else model.runtime.name


class Found(Localiser):
    """What another localiser found in the same frames, at no cost."""

    name = "found"

    def __init__(self, boxes: Sequence[Boxes]) -> None:
        super().__init__()
        self._known, self._left = boxes, iter(boxes)

    def start(self, info: VideoInfo) -> None:
        self._left = iter(self._known)

    def boxes(self, window: Triplet) -> Boxes:
        return next(self._left)


def _boxes(localiser: Localiser, held: Held) -> Iterator[Boxes]:
    own = localiser.clone()
    own.start(held.info)
    for window in triplets(held):
        yield own.boxes(window)


def _pauses(model: Detector, held: Held) -> np.ndarray | None:
    """Seconds of work behind each score of a stream that is scored frame by frame."""
    if model.latency is None:
        return None
    live = model.for_camera(lambda network: network)
    _warm(live.stream(Held(held, list(islice(held, WARM)))))
    before, pauses = time.perf_counter(), []
    for _ in live.stream(held):
        now = time.perf_counter()
        pauses.append(now - before)
        before = now
    # The first waits for as many frames as the model looks ahead.
    return np.array(pauses[1:] or pauses)


def _first(video: str | Path, count: int) -> VideoSource:
    from vadistill.video.base import Stretch

    return Stretch(open_video(video), 0, count)


def _warm(steps: Iterable[object]) -> None:
    for _ in steps:
        pass


def _energy() -> float | None:
    """Joules so far; None where they are not told."""
    try:
        return int(ENERGY.read_text()) / 1e6
    except (OSError, ValueError):
        return None
