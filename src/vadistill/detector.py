"""The contract that every system keeps: fit, stream, score, save and load."""

from __future__ import annotations

import copy
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from vadistill.devices import (
    keep_freed_memory,
    subnormals_as_zero,
)
from vadistill.errors import ConfigError, DataError
from vadistill.files import (
    DISK_ERRORS,
    unwritable,
)
from vadistill.loss_log import join_logs, opened_logs
from vadistill.saved import Saved
from vadistill.scores import FrameScore, Scores

if TYPE_CHECKING:
    import numpy as np

    from vadistill.datasets import Dataset, Splits, Video, Videos
    from vadistill.video import VideoInfo, VideoSource

WORK = ".fit"
"""Folder inside a model's that holds what an unfinished ``fit`` has computed."""

D = TypeVar("D", bound="Detector")

Merge = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes one call of a function out of those that several threads make of it at the same time.

The functions take arrays and give an array or a tuple of them, each with one row an item.
"""


class Detector(Saved, ABC):
    """A video anomaly detector: one finite score a frame, higher is more anomalous.

    A subclass gives its ``name`` and ``RECIPES``, learns in ``learn`` and scores in ``stream``; it
    says what a saved model holds of it by ``modules`` and ``facts`` (see ``Saved``).
    """

    supervision: ClassVar[Literal["one-class", "weak"]] = "one-class"
    lookahead: int | None = 0
    """Frames after t that the score of frame t needs at most; None: all of the video."""

    @property
    def latency(self) -> int | None:
        """Frames from a frame's arrival to its score in ``stream``, never fewer than lookahead.

        None: it is known at the video's end.
        """
        return self.lookahead

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
        self.footage = footage_of(train)
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
        if hasattr(self.config, "batch_frames"):
            twin.config = replace(self.config, batch_frames=1)
        twin.attach_batching(merge)
        return twin

    def attach_batching(self, merge: Merge) -> None:
        """Take state of its own where streams change it, and networks through ``merge``.

        ``for_camera`` calls it on a shallow copy.
        """

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
        known = (name for name, recipe in self.RECIPES.items() if recipe() == self.config)
        recipe = next(known, "settings of its own")
        return f"{type(self).__name__}({fitted}, {recipe})"

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


def footage_of(videos: Iterable[Video]) -> dict[str, Any] | None:
    """Sizes, rates and number of frames of some videos; None if they are features.

    Raises VideoError.
    """
    infos = [video.open().info for video in videos]
    seen = [info for info in infos if info.width]
    if not seen:
        return None
    return {
        "sizes": sorted({(info.width, info.height) for info in seen}),
        "rates": sorted({round(info.fps, 3) for info in seen}),
        "frames": sum(info.frames or 0 for info in seen),
    }


def unlike(footage: dict[str, Any] | None, info: VideoInfo) -> str | None:
    """A line on a video of another rate or size than a model's footage; None where it is alike."""
    if footage is None or not info.width:
        return None
    sizes, rates = [tuple(size) for size in footage["sizes"]], footage["rates"]
    like = any(abs(info.fps - rate) <= 0.1 * rate for rate in rates)
    if like and (info.width, info.height) in sizes:
        return None
    known = " or ".join(f"{width}x{height}" for width, height in sizes[:3])
    return (
        f"{info.name} has {info.width}x{info.height} pixels at {info.fps:.3g} frames/s, the model "
        f"knows {known} at {' or '.join(f'{rate:.3g}' for rate in rates[:3])}: scores and events "
        "may be wrong"
    )
