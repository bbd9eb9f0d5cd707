"""The contract that every system keeps: fit, stream, score, save and load."""

from __future__ import annotations

import copy
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from vadistill.devices import keep_freed_memory, subnormals_as_zero, without_subnormals
from vadistill.errors import ConfigError, DataError, NotFittedError, WeightsError
from vadistill.files import (
    DISK_ERRORS,
    content_hash,
    read_safetensors,
    unwritable,
    write_json,
    write_safetensors,
)
from vadistill.loss_log import join_logs, opened_logs
from vadistill.scores import Calibration, FrameScore, Scores

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vadistill.datasets import Dataset, Splits, Video, Videos
    from vadistill.devices import Device
    from vadistill.objects import Localiser
    from vadistill.video import VideoSource

WORK = ".fit"
"""Folder inside a model's that holds what an unfinished ``fit`` has computed."""

FORMAT = 1
"""Version of the saved folder's layout."""


D = TypeVar("D", bound="Detector")

Merge = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes one call of a function out of those that several threads make of it at the same time.

The functions take arrays and give an array or a tuple of them, each with one row an item.
"""


class Detector(ABC):
    """A video anomaly detector: one finite score a frame, higher is more anomalous.

    A subclass has a frozen ``config`` dataclass, and keeps what it learns in ``tensors()``.
    """

    name: ClassVar[str]
    supervision: ClassVar[Literal["one-class", "weak"]]
    lookahead: int | None
    """Frames after t that the score of frame t needs at most; None: all of the video."""

    config: Any
    calibration: Calibration | None = None

    RECIPES: ClassVar[Mapping[str, Callable[[], Any]]]
    """Named configs, the default first."""

    @property
    def latency(self) -> int | None:
        """Frames from a frame's arrival to its score in ``stream``, never fewer than lookahead.

        None: it is known at the video's end.
        """
        return self.lookahead

    @abstractmethod
    def __init__(self, config: Any = None, *, device: Device = "auto") -> None:
        """An unfitted detector; ``config`` defaults to the first recipe.  Raises ConfigError."""

    def fit(
        self: D,
        train: Videos,
        *,
        out: str | Path,
        val: Dataset | None = None,
        work: Path | None = None,
    ) -> D:
        """Learn from ``train`` and save to the folder ``out``, with the losses (``losses_of``).

        ``train``: a data set or its path, of which the training split counts, or videos.

        What is computed on the way lies in ``work`` (default: ``out``/.fit, removed at the end), so
        that a run that was killed goes on where it was (on a CPU to the result of an unbroken
        one).
        ``val`` is only ever used as the recipe says; test labels never reach this method.
        Raises DataError for the wrong kind of supervision, WeightsError when the disk is full.
        """
        from vadistill.datasets import split_of

        train = split_of(train, "train")
        self.check_supervision(train)
        keep_freed_memory()
        out = Path(out)
        folder = work or out / WORK
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with subnormals_as_zero(), opened_logs() as logs:
                self.learn(train, folder, val)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise unwritable(folder, error) from error
        self.save(out)
        join_logs(logs, out)
        if work is None:
            shutil.rmtree(folder)
        return self

    @abstractmethod
    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        """The system's own part of ``fit``; everything it keeps for a resume is in ``work``."""

    @abstractmethod
    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        """Raw scores in frame order, in constant memory on endless video; raises NotFittedError."""

    def teach(self, source: VideoSource) -> Iterator[FrameScore]:
        """What ``stream`` gives, without what is done to maps for scoring alone; for students."""
        yield from self.stream(source)

    def for_camera(self: D, merge: Merge) -> D:
        """This detector for one live video among others that are streamed at the same time.

        It shares what was learned, scores each frame as soon as it can, and calls its networks
        through ``merge``, so that frames of all cameras go through them together.  Raises
        ConfigError where scores are only known at a video's end.
        """
        if self.latency is None:
            raise ConfigError(
                f"this {self.name} detector knows its scores at a video's end",
                expected="one that scores as frames come",
                fix="fit it with --scoring live or dense",
            )
        twin = copy.copy(self)
        if is_dataclass(self.config) and hasattr(self.config, "batch_frames"):
            twin.config = replace(self.config, batch_frames=1)  # pyright: ignore[reportArgumentType, reportCallIssue]
        twin.attach_batching(merge)
        return twin

    @abstractmethod
    def attach_batching(self, merge: Merge) -> None:
        """Take state of its own where streams change it, and networks through ``merge``.

        ``for_camera`` calls it on a shallow copy.
        """

    @abstractmethod
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``save`` keeps: named tensors and plain JSON facts."""

    @classmethod
    @abstractmethod
    def restore(
        cls: type[D], tensors: dict[str, Tensor], facts: dict[str, Any], *, device: str, path: Path
    ) -> D:
        """The inverse of ``state``; raises WeightsError."""

    @overload
    def score(self, source: VideoSource | Video | np.ndarray | Sequence[np.ndarray]) -> Scores: ...
    @overload
    def score(self, source: Dataset | Splits) -> dict[str, Scores]: ...
    @overload
    def score(self, source: str | Path) -> Any: ...
    def score(self, source: Any) -> Scores | dict[str, Scores]:
        """All of ``stream``, collected: offline and live cannot disagree.

        Scores of one video, which is a file, a folder of pictures, pixels (t, h, w, 3) or an open
        source; of a data set or a folder of videos those of each by name.  See ``open_source``.
        """
        from vadistill.datasets import Dataset, open_source

        found = open_source(source)
        if isinstance(found, Dataset):
            return {video.name: self.score(video) for video in found}
        return Scores(
            video=found.info.name,
            frames=list(self.stream(found)),
            fps=found.info.fps,
            system=self.name,
            calibration=self.calibration,
        )

    def __repr__(self) -> str:
        fitted = "not fitted" if self.calibration is None else "fitted"
        return f"<{type(self).__name__}, {fitted}>"

    def check_supervision(self, train: Dataset) -> None:
        """Raise DataError unless ``train`` carries the labels that this system learns from."""
        if len(train) == 0:
            raise DataError(
                f"data set {train.name} has no training video",
                expected="at least one normal video",
                fix="check the folder with 'vadistill data check'",
            )
        if self.supervision == "one-class" and train.supervision == "weak":
            raise DataError(
                f"data set {train.name} labels whole videos as normal or abnormal",
                expected=f"normal videos only, which is what {self.name} learns from",
                fix="leave the abnormal videos out of the training folder",
            )
        if self.supervision == "weak" and train.supervision != "weak":
            raise DataError(
                f"data set {train.name} has normal videos only",
                expected=f"normal and abnormal videos with video-level labels for {self.name}",
                fix="add a labels.csv (file,label)",
            )
        if self.supervision == "weak":
            lacking = train.lacking_labels()
            if lacking:
                raise DataError(
                    lacking,
                    expected=f"a video label for each, and both normal and abnormal ones,"
                    f" which {self.name} tells apart",
                    fix="label them 0 (normal) or 1 (abnormal), and add videos of the other kind",
                )

    def require_fitted(self) -> Calibration:
        """The calibration of a fitted detector; raises NotFittedError."""
        if self.calibration is None:
            raise NotFittedError(
                f"this {self.name} detector is not fitted",
                expected="a fitted or loaded detector",
                fix="call fit(…) or load(…) first",
            )
        return self.calibration

    def save(self, path: Path) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into folder ``path``, each atomically.

        Raises NotFittedError, and WeightsError when the folder cannot be written.
        """
        import torch

        calibration = self.require_fitted()
        tensors, facts = self.state()
        tensors = {name: without_subnormals(tensor) for name, tensor in tensors.items()}
        tensors = {**tensors, "calibration": torch.from_numpy(calibration.quantiles.copy())}
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(
                f"cannot write {path} ({error.strerror})",
                expected="a folder that can be written",
                fix="choose another path",
            ) from error
        weights = path / "weights.safetensors"
        write_safetensors(weights, tensors, {"system": self.name})
        head = {"format": FORMAT, "system": self.name, "latency": self.latency}
        write_json(path / "config.json", {**head, "weights": content_hash(weights), **facts})

    @classmethod
    def load(cls: type[D], path: Path, *, device: str = "auto") -> D:
        """Read a folder that ``save`` wrote; raises WeightsError, also for another system's."""
        path = Path(path)
        facts = read_config(path)
        if facts["system"] != cls.name:
            raise WeightsError(
                f"{path} holds a '{facts['system']}' detector",
                expected=f"a '{cls.name}' detector",
                fix="use vadistill.load(path), which reads any system",
            )
        weights = path / "weights.safetensors"
        tensors, metadata = read_safetensors(weights)
        if metadata.get("system") != cls.name or facts.get("weights") != content_hash(weights):
            raise WeightsError(
                f"config.json and weights.safetensors in {path} do not belong together",
                expected="both files of one save",
                fix="fit or copy the model again",
            )
        quantiles = tensors.pop("calibration").double().numpy()
        try:
            detector = cls.restore(tensors, facts, device=device, path=path)
        except RuntimeError as error:
            if "loading state_dict" not in str(error):
                raise
            raise WeightsError(
                f"the weights in {path} are not those of this version's networks",
                expected="a model of this version",
                fix="fit it again",
            ) from error
        detector.calibration = Calibration(quantiles)
        return detector


def read_config(path: Path) -> dict[str, Any]:
    """``config.json`` of a saved detector; raises WeightsError."""
    file = path / "config.json"
    if not file.is_file():
        raise WeightsError(
            f"no saved detector at {path}",
            expected="a folder with config.json and weights.safetensors",
            fix="make one with 'vadistill fit'",
        )
    try:
        facts = json.loads(file.read_text())
        known = facts["format"] == FORMAT and isinstance(facts["system"], str)
    except (OSError, ValueError, KeyError, TypeError):
        known, facts = False, {}
    if not known:
        raise WeightsError(
            f"{file} is not a config of this version",
            expected=f"format {FORMAT} and the name of a system",
            fix="fit again, or install the vadistill version that wrote it",
        )
    return facts


LOCALISER = "localiser/"


def below(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors whose names begin with ``prefix``, without it: a part of ``state``."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def pack_localiser(localiser: Localiser) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a localiser learned, as named tensors, and how to build it again."""
    import torch

    arrays = {f"{LOCALISER}{k}": torch.from_numpy(v) for k, v in localiser.arrays().items()}
    return arrays, localiser.describe()


def unpack_localiser(tensors: dict[str, Tensor], described: dict[str, Any]) -> Localiser:
    """The inverse of ``pack_localiser``; takes its tensors out of ``tensors``."""
    from vadistill import objects

    localiser = objects.build(described)
    mine = [key for key in tensors if key.startswith(LOCALISER)]
    localiser.restore({key.removeprefix(LOCALISER): tensors.pop(key).numpy() for key in mine})
    return localiser
