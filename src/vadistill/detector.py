"""The contract that every system keeps: fit, stream, score, save and load."""

from __future__ import annotations

import copy
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from vadistill import __version__
from vadistill.calibrating import widened
from vadistill.devices import keep_freed_memory, subnormals_as_zero
from vadistill.errors import ConfigError, DataError, VadistillError
from vadistill.files import DISK_ERRORS, content_hash, unwritable
from vadistill.loss_log import join_logs, opened_logs
from vadistill.objects.likeness import learned_radius
from vadistill.saved import Saved, read_config
from vadistill.scores import FrameScore, Scores
from vadistill.soundness import refusing

if TYPE_CHECKING:
    import numpy as np

    from vadistill.datasets import Dataset, Splits, Video, Videos
    from vadistill.program import Program
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
    tells_where: ClassVar[bool] = True
    """Whether scores have boxes or a map."""
    GRAPH: ClassVar[Mapping[str, str]] = {}
    """What ``program`` takes and gives, by name, and what is done ``before`` and ``after``."""
    level: float | None = None
    """What raw scores of events are above, of a detector that has no calibration."""
    lookahead: int | None = 0
    """Frames after t that the score of frame t needs at most; None: all of the video."""
    lookback: int | None = None
    """Frames before t that it needs at most; None: it may depend on all of them."""

    findings: tuple[str, ...] = ()
    """What training found out that people should know, a line each; not saved."""

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
        command: str = "vadistill.fit",
        part: bool = False,
    ) -> D:
        """Learn from ``train`` and save to the folder ``out``, with the losses (``losses_of``).

        ``train``: a data set or its path, of which the training split counts, or videos.  A model
        in ``out`` is replaced: ask ``check_replaced`` before.  ``command``: what is fitting, which
        the model remembers.  ``part``: of another model, which alone needs a ``radius``.

        What is computed on the way lies in ``work`` (default: ``out``/.fit, removed at the end), so
        that a run that was killed goes on where it was (on a CPU to an unbroken one's result).
        ``val`` is only ever used as the recipe says; test labels never reach this method.
        Raises DataError for the wrong kind of supervision, WeightsError when the disk is full.
        """
        from vadistill.datasets import split_of
        from vadistill.datasets.footage import footage_of

        train = split_of(train, "train")
        self.check_supervision(train)
        keep_freed_memory()
        out = Path(out)
        folder, read = work or out / WORK, self._read_beside()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with subnormals_as_zero(), opened_logs() as logs:
                self.learn(train, folder, val)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise unwritable(folder, error) from error
        self.footage = footage_of(train)
        known = self.require_fitted()
        if self.supervision == "one-class" and not part:
            known = widened(known, self.stream, train, (self.lookback, self.lookahead))
        self.calibration = known.of(self.footage)
        self.radius = learned_radius(self.stream, train) if self.tells_traits and not part else None
        self.made = {"command": command, "date": str(date.today()), "vadistill": __version__}
        if read:
            self.made["read"] = read
        self.save(out)
        join_logs(logs, out)
        if work is None:
            shutil.rmtree(folder)
        return self

    def _read_beside(self) -> list[str]:
        """Hashes of what a fit with these settings reads beside the videos."""
        heads = (folder / "config.json" for folder in self.config.models)
        return self.config.files_read() + [content_hash(h) for h in heads if h.is_file()]

    def check_replaced(self, out: str | Path, train: Dataset) -> bool:
        """Whether ``out`` holds what this fit would end with: there is nothing to be done.

        A fit of the same that has not ended may be gone on with; one of another version, or of
        files that the settings name and that are others now, may be fitted once more.
        Raises ConfigError for a finished model of other settings or footage.
        """
        from vadistill.datasets.footage import footage_hash

        if not (Path(out) / "config.json").exists():
            return False
        own = footage_hash(train)
        try:
            with refusing(Path(out)):
                facts = read_config(Path(out))
                footage = facts.get("footage") or {}
                same = footage.get("hash") == own
                mine = facts["system"] == self.name
                changed = self._changed_settings(facts["config"]) if mine else ""
            if not mine:
                there = f"a finished {facts['system']} model"
            elif changed:
                there = f"a finished {self.name} model of other settings ({changed})"
            elif "hash" not in footage:
                there = f"a finished {self.name} model that does not tell its footage"
            elif not same:
                there = f"a finished {self.name} model of other footage"
            else:
                read = (facts.get("made") or {}).get("read", [])
                return is_ended(Path(out), facts) and read == self._read_beside()
        except VadistillError as error:
            there = f"what cannot be read ({error.got})"
        raise in_the_way(out, there)

    def _changed_settings(self, saved: dict[str, Any]) -> str:
        """Up to three settings of a saved config that are others here, with both values."""
        # As the file has both: tuples are lists there.
        before, now = (
            json.loads(json.dumps(asdict(config)))
            for config in (type(self.config).from_saved(saved), self.config)
        )
        changed = [f"{key} {before[key]}, not {now[key]}" for key in now if before[key] != now[key]]
        return "; ".join(changed[:3]) + "; …" * (len(changed) > 3)

    @abstractmethod
    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        """The system's own part of ``fit``; everything it keeps for a resume is in ``work``."""

    @abstractmethod
    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        """Raw scores in frame order, in constant memory on endless video; raises NotFittedError."""

    def program(self, int8: bytes | Iterable[Any] = ()) -> Program:
        """The network that scores, for ``vadistill export``; raises ConfigError without one."""
        raise ConfigError(
            f"a {self.name} model, which has no network of its own to export",
            expected="cafe, fast_aed, aed, ssmtl or dakd",
            fix="use its folder as it is, or export the models that it is made of",
        )

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

        Scores of one video, which is a file, a folder of pictures, pixels (t, h, w, 3), an open
        source, or an address such as s3://bucket/a.mp4; of a data set, a folder of videos or a
        pattern of addresses those of each by name.  See ``open_source``.
        """
        from vadistill.datasets import Dataset, open_source

        with open_source(source) as found:
            if isinstance(found, Dataset):
                return {video.name: self.score(video) for video in found}
            return self.collect(found.info, self.stream(found))

    def collect(self, info: VideoInfo, frames: Iterable[FrameScore]) -> Scores:
        """The scores of a video of which ``stream`` gave these frames."""
        known = {"calibration": self.calibration, "level": self.level}
        return Scores(info.name, list(frames), info.fps, self.name, **known)

    def __repr__(self) -> str:
        fitted = "not fitted" if self.calibration is None else "fitted"
        known = (name for name, recipe in self.RECIPES.items() if recipe() == self.config)
        return f"{type(self).__name__}({fitted}, {next(known, 'settings of its own')})"

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
        if self.supervision == "weak" and (lacking := train.lacking_labels()):
            raise DataError(
                lacking,
                expected=f"a video label for each, and both normal and abnormal ones,"
                f" which {self.name} tells apart",
                fix="label them 0 (normal) or 1 (abnormal), and add videos of the other kind",
            )


def is_ended(out: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a fit by this version has ended in ``out``, and its model is whole.

    ``facts``: its config.json.
    """
    made, weights = facts.get("made") or {}, out / "weights.safetensors"
    return (
        not (out / WORK).exists()
        and made.get("vadistill") == __version__
        and weights.is_file()
        and facts.get("weights") == content_hash(weights)
    )


def in_the_way(out: str | Path, there: str, again: str = "the same fit") -> ConfigError:
    """What is said of work that would replace what is finished, such as a model by another fit."""
    return ConfigError(
        f"{out} holds {there}",
        expected=f"a new folder, or {again} again",
        fix="choose another folder, or replace it with --overwrite (overwrite=True in Python)",
    )
