"""Fitted models that score a video in one pass, and do once what several of them do alike.

Boxes, flow and networks' outputs of a frame are computed by the first model that asks for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vadistill.detector import Detector
from vadistill.files import content_hash, replacing
from vadistill.objects.base import Boxes, Localiser
from vadistill.runtime import Arrays, Runtime
from vadistill.systems.blend.merging import lock_step
from vadistill.systems.cafe import Cafe
from vadistill.systems.motion import Motion
from vadistill.video import VideoSource
from vadistill.windows import Triplet

HELD = 128
"""Frames whose boxes are kept for the models that are behind."""

PAIRS = 32
"""Pairs of frames whose flow is kept for them."""


class SharedBoxes(Localiser):
    """A localiser whose boxes several models of one pass take; ``begin`` comes before each pass."""

    name = "shared"

    def __init__(self, inner: Localiser) -> None:
        super().__init__()
        self.inner = inner
        self.begin()

    def begin(self) -> None:
        """Forget the pass before."""
        self.known: dict[int, Boxes] = {}
        self.started = False

    def start(self, info: Any) -> None:
        if not self.started:
            self.inner.start(info)
        self.started = True

    def boxes(self, window: Triplet) -> Boxes:
        index = window.current.index
        if index not in self.known:
            self.known[index] = self.inner.boxes(window)
            self.known.pop(index - HELD, None)
        return self.known[index]


class SharedFlow:
    """A flow between two pictures, computed once for all that hand in the same two."""

    def __init__(self, inner: Callable[..., np.ndarray]) -> None:
        self.inner = inner
        self.known: deque[tuple[Any, Any, np.ndarray]] = deque(maxlen=PAIRS)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        for one, other, field in reversed(self.known):
            if one is a and other is b:
                return field
        field = self.inner(a, b)
        self.known.append((a, b, field))
        return field


class SharedRuntime:
    """A network whose outputs are taken again by models that come right after with equal inputs."""

    def __init__(self, inner: Runtime) -> None:
        self.inner = inner
        self.inputs: Arrays = ()
        self.outputs: Arrays = ()

    def __call__(self, *inputs: np.ndarray) -> Arrays:
        same = len(inputs) == len(self.inputs) and all(map(np.array_equal, inputs, self.inputs))
        if not same:
            self.inputs, self.outputs = inputs, self.inner(*inputs)
        return self.outputs


class Together:
    """Several fitted ``motion`` and ``cafe`` models, by name."""

    name = "all models"

    def __init__(self, models: Mapping[str, Detector]) -> None:
        self.models = dict(models)
        self.localisers: dict[str, SharedBoxes] = {}
        flows: dict[str, SharedFlow] = {}
        networks: dict[str, SharedRuntime] = {}
        for model in self.models.values():
            assert isinstance(model, Motion | Cafe)
            spec = model.config.localiser
            boxes = self.localisers.setdefault(spec, SharedBoxes(model.localiser))
            model.localiser = boxes
            if isinstance(model, Motion):
                name = model.config.flow
                model.flow = flows.setdefault(name, SharedFlow(model.flow))
            else:
                key = spec + model.config.training_settings()
                runtime = networks.setdefault(key, SharedRuntime(model.runtime))
                model.runtime = runtime  # pyright: ignore[reportAttributeAccessIssue]

    def score(self, source: VideoSource) -> np.ndarray:
        """Raw scores (frames, models) of a video."""
        for localiser in self.localisers.values():
            localiser.begin()
        rows = lock_step(list(self.models.values()), source)
        return np.array([[each.score for each in row] for row in rows])


class Kept:
    """Scores of all models, which are computed once; arrays of (frames, models)."""

    def __init__(self, together: Together, folder: Path) -> None:
        self.together, self.name = together, together.name
        self.folder = folder / content_hash(*(repr(m.config) for m in together.models.values()))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.number = 0

    def score(self, source: VideoSource) -> np.ndarray:
        """Of the next video, in an order that is the same every time."""
        path = self.folder / f"{self.number}.npy"
        self.number += 1
        if not path.exists():
            rows = self.together.score(source)
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.save(file, rows)
        return np.load(path)
