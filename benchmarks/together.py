"""Fitted models that score a video in one pass, and do once what several of them do alike.

Boxes, flow and networks' outputs of a frame are computed by the first model that asks for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from vadistill.datasets import Dataset
from vadistill.datasets.holdout import hold_out
from vadistill.detector import Detector
from vadistill.errors import DataError
from vadistill.evaluation.auto import trial_of
from vadistill.evaluation.selftest import Trial
from vadistill.files import content_hash, replacing
from vadistill.objects.base import Boxes, Localiser
from vadistill.objects.patches import Cut, FramePatches, frame_patches
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
    """A localiser whose boxes several models of one pass take; ``begin`` comes before each pass.

    Models look for objects in threads of their own: whichever is ahead finds a frame's.
    """

    name = "shared"

    def __init__(self, inner: Localiser) -> None:
        super().__init__()
        self.inner, self.lock = inner, Lock()
        self.begin()

    def clone(self) -> SharedBoxes:
        """Itself: what one model found is there for the others."""
        return self

    def begin(self) -> None:
        """Forget the pass before."""
        self.known: dict[int, Boxes] = {}
        self.started = False

    def start(self, info: Any) -> None:
        with self.lock:
            if not self.started:
                self.inner.start(info)
            self.started = True

    def boxes(self, window: Triplet) -> Boxes:
        index = window.current.index
        with self.lock:
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


class Group(Cafe):
    """``cafe`` models that cut the same patches: cut once, and once through each network.

    It streams all their scores of a frame, as a member of ``lock_step``, and can do nothing else.
    """

    def __init__(self, models: Mapping[str, Cafe]) -> None:
        self.models = dict(models)

    def stream(self, source: VideoSource) -> Iterator[Any]:
        """Of each frame, every model's score."""
        first, *_ = self.models.values()
        frames = frame_patches(source, first.localiser, first.cut)
        while some := list(islice(frames, first.config.batch_frames)):
            yield from self._scores(some)

    def _scores(self, frames: Sequence[FramePatches]) -> Iterator[dict[str, float]]:
        patches, flow, boxes, moves = (
            np.concatenate([getattr(frame, part) for frame in frames])
            for part in ("patches", "flow", "boxes", "moves")
        )
        ends = np.cumsum([len(frame.boxes) for frame in frames])[:-1]
        parts: dict[str, np.ndarray] = {}
        found: list[dict[str, float]] = [{} for _ in frames]
        for name, model in self.models.items():
            network = model.config.training_settings()
            if network not in parts:
                (parts[network],) = model.runtime(*model.inputs(patches, flow))
            own = model.with_attributes(parts[network], boxes, moves)
            values = model.scaled(model.object_values(own)).astype(np.float32)
            for scores, each in zip(np.split(values, ends), found, strict=True):
                each[name] = float(scores.max()) if len(scores) else model.empty
        yield from found


class Together:
    """Several fitted ``motion`` and ``cafe`` models, by name."""

    name = "all models"

    def __init__(self, models: Mapping[str, Detector]) -> None:
        self.models = dict(models)
        self.localisers: dict[str, SharedBoxes] = {}
        flows: dict[str, SharedFlow] = {}
        groups: dict[tuple[str, Cut], dict[str, Cafe]] = {}
        self.members: dict[str, Motion | Group] = {}
        for name, model in self.models.items():
            assert isinstance(model, Motion | Cafe)
            spec = model.config.localiser
            model.localiser = self.localisers.setdefault(spec, SharedBoxes(model.localiser))
            if isinstance(model, Motion):
                model.flow = flows.setdefault(model.config.flow, SharedFlow(model.flow))
                self.members[name] = model
            else:
                groups.setdefault((spec, model.cut), {})[name] = model
        self.members |= {
            f"group {number}": Group(own) for number, own in enumerate(groups.values())
        }

    def score(self, source: VideoSource) -> np.ndarray:
        """Raw scores (frames, models) of a video."""
        for localiser in self.localisers.values():
            localiser.begin()
        rows = []
        members: Any = list(self.members.values())
        for row in lock_step(members, source):
            found: dict[str, float] = {}
            for name, said in zip(self.members, row, strict=True):
                found |= said if isinstance(said, dict) else {name: said.score}
            rows.append([found[name] for name in self.models])
        return np.array(rows)


def trial_in(name: str, train: Dataset, plants: int) -> tuple[Dataset, Dataset, Trial]:
    """What is learned from, what is held out, and the self-test in that; raises DataError."""
    kept, held = hold_out(train)
    trial = trial_of(kept, held, plants)
    if isinstance(trial, str):
        raise DataError(
            f"{name}: {trial}",
            expected="normal footage into which something can be planted",
            fix="leave the data set out",
        )
    return kept, held, trial


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
