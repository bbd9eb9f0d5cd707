"""Fitted models, each loaded once for all of its cameras, with one inference loop each.

What several cameras ask of a network at a time goes through it once.  Every camera waits for its
own answer before it asks again, so a batch has at most one request of each, and all get the same
share.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vadistill.datasets.footage import unlike
from vadistill.errors import ConfigError, VadistillError
from vadistill.saved import read_config

if TYPE_CHECKING:
    from vadistill.detector import Detector
    from vadistill.serving.config import CameraSettings, ModelSettings, Settings
    from vadistill.video import VideoInfo

log = logging.getLogger("vadistill.serving")

ROWS = 256
"""A batch of more rows than this is run in several parts, each of whole requests."""


@dataclass(frozen=True, eq=False)
class Request:
    """One call of a network that waits for others to join."""

    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    answer: Future[Any] = field(default_factory=Future)

    @property
    def kind(self) -> tuple[Any, ...]:
        """Requests of one kind can be one call."""
        shapes = [(array.shape[1:], array.dtype.str) for array in self.arrays]
        return (self.function, *shapes)

    @property
    def rows(self) -> int:
        return len(self.arrays[0])


class Batching:
    """Runs the networks of one model in a thread: ``merge(function)`` is called like the function.

    The functions take arrays with one row an item and give an array, or a tuple of arrays, with as
    many rows.  Their errors are raised where they were called.
    """

    def __init__(self, name: str = "") -> None:
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self.calls = self.requests = 0
        """Calls of networks so far, and the requests that they answered."""
        self._thread = threading.Thread(target=self._run, name=f"model-{name}", daemon=True)
        self._thread.start()

    def merge(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, run in this model's thread together with other threads' calls of it."""

        def merged(*arrays: np.ndarray) -> Any:
            if len(arrays[0]) == 0:
                return function(*arrays)
            request = Request(function, arrays)
            with self._lock:
                if self._closed:
                    raise RuntimeError("the model was closed")
                self._queue.put(request)
            return request.answer.result()

        return merged

    @property
    def alive(self) -> bool:
        """Whether what is asked will be answered."""
        return self._closed or self._thread.is_alive()

    def close(self) -> None:
        """End the thread after what was asked so far."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            waiting = [self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get())
            open_ = None not in waiting
            groups: dict[tuple[Any, ...], list[Request]] = {}
            for request in waiting:
                if request is not None:
                    groups.setdefault(request.kind, []).append(request)
            for group in groups.values():
                for part in in_parts(group):
                    self._answer(part)

    def _answer(self, requests: Sequence[Request]) -> None:
        self.calls += 1
        self.requests += len(requests)
        try:
            count = len(requests[0].arrays)
            columns = [[r.arrays[i] for r in requests] for i in range(count)]
            joined = [np.concatenate(c) if len(c) > 1 else c[0] for c in columns]
            made = requests[0].function(*joined)
        except BaseException as error:  # it belongs to those who asked
            for request in requests:
                request.answer.set_exception(error)
            return
        ends = np.cumsum([r.rows for r in requests])[:-1]
        several = isinstance(made, tuple)
        split = [np.split(array, ends) for array in (made if several else [made])]
        answers: list[Any] = list(zip(*split, strict=True)) if several else split[0]
        for request, answer in zip(requests, answers, strict=True):
            request.answer.set_result(answer)


def in_parts(requests: Sequence[Request]) -> list[list[Request]]:
    """Runs of whole requests of at most ``ROWS`` rows each, where one has no more itself."""
    parts: list[list[Request]] = [[]]
    rows = 0
    for request in requests:
        if parts[-1] and rows + request.rows > ROWS:
            parts.append([])
            rows = 0
        parts[-1].append(request)
        rows += request.rows
    return parts


def named(settings: Settings, name: str) -> ModelSettings:
    """The settings of a model; raises ConfigError."""
    for model in settings.models:
        if model.name == name:
            return model
    raise ConfigError(
        f"model '{name}'",
        expected=f"one of {', '.join(m.name for m in settings.models) or '(none yet)'}",
        fix="fit one, or add it to the settings",
    )


class Loaded:
    """A detector and the loop that its cameras' frames go through together."""

    def __init__(self, settings: ModelSettings, path: Path) -> None:
        from vadistill.systems import load

        self.settings = settings
        self.detector: Detector = load(path, device=settings.device)
        self.mark: str = read_config(path).get("weights", "")  # of a model fitted anew another one
        self.batching = Batching(settings.name)
        try:
            self.detector.for_camera(self.batching.merge)  # not every one can be live
        except VadistillError:
            self.batching.close()
            raise
        self._warned: set[tuple[str, int, int]] = set()
        self.unlike: dict[str, str] = {}
        """By camera, how its pictures differ from the model's footage; '' where they do not."""

    def for_camera(self, camera: CameraSettings, info: VideoInfo) -> Detector:
        """The detector for a camera of this size and rate.

        Logs a line, once, where they are unlike the model's footage, and where the model does not
        tell places that the camera asks for.
        """
        name = camera.name
        shown = replace(info, name=f"camera {name}")
        line = unlike(self.detector.footage, shown, camera.fps, camera.masks)
        if (camera.only_zones or camera.least_size) and not self.detector.tells_where:
            asked = f"camera {name} has zones or a least size, its model does not tell where"
            line = "; ".join(filter(None, [line, f"{asked}: everything counts"]))
        self.unlike[name] = line
        key = name, info.width, info.height
        if line and key not in self._warned:
            self._warned.add(key)
            log.warning("%s", line)
        return self.detector.for_camera(self.batching.merge)


class Models:
    """Models by name; raises ConfigError and WeightsError on the first use of a broken one."""

    def __init__(self) -> None:
        self._loaded: dict[str, Loaded] = {}
        self._lock = threading.Lock()

    def get(self, settings: Settings, name: str) -> Loaded:
        """The model of this name, loaded if need be."""
        with self._lock:
            if name not in self._loaded:
                found = named(settings, name)
                self._loaded[name] = Loaded(found, settings.located(found.path))
            return self._loaded[name]

    def close(self) -> None:
        """End all loops."""
        with self._lock:
            for loaded in self._loaded.values():
                loaded.batching.close()
            self._loaded.clear()

    def calls(self) -> dict[str, tuple[int, int]]:
        """Calls of networks and the requests that they answered, by model."""
        return {n: (m.batching.calls, m.batching.requests) for n, m in self._loaded.items()}
