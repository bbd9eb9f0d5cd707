"""``blend``: several fitted detectors as one.

Each member's scores are scaled by its own on normal footage, so that their median is 0 and 99 % of
frames lie below 1; a frame's score is the members' mean or maximum.  They read one decoded video in
lock-step, and the slowest of them decides on the latency.

No paper: members that err at different frames are better together (measured in docs/blend.md).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vadistill.datasets.footage import footage_hash
from vadistill.datasets.sampling import length, pieces
from vadistill.detector import Detector, Merge
from vadistill.devices import Device, pick_device
from vadistill.errors import ConfigError
from vadistill.loss_log import adopt_log
from vadistill.progress import progress
from vadistill.saved import FITTED, part, take_calibration
from vadistill.scores import Calibration, FrameScore, Scores
from vadistill.systems import detector_class, fitted_or_new
from vadistill.systems.blend.merging import Merging, lock_step
from vadistill.systems.blend.recipes import RECIPES, Combine, Config

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource

log = logging.getLogger("vadistill")


class Blend(Detector):
    """Several fitted detectors as one."""

    name = "blend"
    supervision = "one-class"
    RECIPES: ClassVar = RECIPES

    config: Config
    members: dict[str, Detector]
    """By their systems' names, a second one of a system as ``cafe-2``; in the order of ``of``."""
    normal: Float[np.ndarray, "n m"]
    """The members' scores of the same normal frames, which scales and calibration are taken of."""
    runs: Int[np.ndarray, " p"]
    """Numbers of these that follow each other; none, in a model that is older than this."""
    merging: Merging

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        self.config = config or Config()
        self._asked: Device = device
        self.device = pick_device(device)
        self.members = {}

    @property
    def latency(self) -> int:
        """Frames from a frame's arrival to its score: the largest of the members'."""
        return max((member.latency or 0 for member in self.members.values()), default=0)

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        opened = [self._opened(name, train, work) for name in self.config.of]
        members: dict[str, Detector] = {}
        for asked, (member, folder) in zip(self.config.of, opened, strict=True):
            if member.calibration is None:
                member.fit(train, out=folder, work=work, part=True)
            elif (member.footage or {}).get("hash") != footage_hash(train):
                log.warning("member %s was fitted on other footage than this", asked)
            again = sum(other.name == member.name for other in members.values())
            name = f"{member.name}-{again + 1}" if again else member.name
            adopt_log(folder, work / f"log-{name}", name)
            members[name] = member
        self._take(members, *self._scores_of_normal(members, train))

    def _opened(self, name: str, train: Dataset, work: Path) -> tuple[Detector, Path]:
        """A member and its folder, fitted or to be fitted to there; raises ConfigError."""
        member, folder = fitted_or_new(
            name, train, work, what="member", localiser=self.config.localiser, device=self._asked
        )
        if member.supervision != self.supervision or isinstance(member, Blend):
            raise ConfigError(
                f"a blend of {name}",
                expected="members that learn from normal video, none of them a blend",
                fix="leave it out",
            )
        return member, folder

    def _scores_of_normal(
        self, members: dict[str, Detector], train: Dataset
    ) -> tuple[Float[np.ndarray, "n m"], Int[np.ndarray, " p"]]:
        lengths = [length(video) for video in train]
        share = self.config.frames / max(1, sum(lengths))
        rows: list[list[float]] = []
        runs: list[int] = []
        shares = [max(1, round(share * frames)) for frames in lengths]
        with progress("scales of members", sum(shares)) as advance:
            for video, frames, wanted in zip(train, lengths, shares, strict=True):
                for piece in pieces(video.open(), frames, wanted):
                    for scores in lock_step(list(members.values()), piece):
                        rows.append([score.score for score in scores])
                        advance(note=video.name)
                    runs.append(len(rows) - sum(runs))
        normal = np.array(rows, np.float64).reshape(-1, len(members))
        return normal, np.array(runs, np.int64)

    def _take(
        self,
        members: dict[str, Detector],
        normal: Float[np.ndarray, "n m"],
        runs: Int[np.ndarray, " p"],
    ) -> None:
        config = self.config
        self.members, self.normal, self.runs = members, normal, runs
        self.tells_traits = any(member.tells_traits for member in members.values())
        self.lookahead = max(member.lookahead or 0 for member in members.values())
        self.merging = Merging.fit(
            normal, tuple(members), combine=config.combine, overlap=config.overlap
        )
        self.calibration = Calibration.fit(self.merging.scores(normal), runs=runs.tolist())

    def combined(self, combine: Combine) -> Blend:
        """The same members by their mean or maximum; nothing is fitted for it."""
        twin = copy.copy(self)
        twin.config = replace(self.config, combine=combine)
        twin._take(self.members, self.normal, self.runs)
        return twin

    def of_members(self, scores: Sequence[Scores]) -> Scores:
        """What ``score`` gives of a video, from the members' scores of it, in their order."""
        frames = [self.merging(each) for each in zip(*scores, strict=True)]
        return Scores(
            scores[0].video, frames, scores[0].fps, self.name, calibration=self.calibration
        )

    # -- scoring -------------------------------------------------------------------------------

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        for frames in lock_step(list(self.members.values()), source):
            yield self.merging(frames)

    def teach(self, source: VideoSource) -> Iterator[FrameScore]:
        """Boxes alone, which a student paints by the calibration: a map is of some members only."""
        for frame in self.stream(source):
            yield replace(frame, map=None)

    def attach_batching(self, merge: Merge) -> None:
        self.members = {name: member.for_camera(merge) for name, member in self.members.items()}

    # -- saving --------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """With each member's under its name, as ``NAME/…`` and in ``members``."""
        tensors, facts = super().state()
        tensors["normal"] = torch.from_numpy(self.normal.copy())
        if len(self.runs):
            tensors["runs"] = torch.from_numpy(self.runs.copy())
        facts["members"] = {}
        for name, member in self.members.items():
            own, described = member.state()
            kept = member.require_fitted().arrays()
            own |= {key: torch.from_numpy(values) for key, values in kept.items()}
            tensors |= {f"{name}/{key}": value for key, value in own.items()}
            made = {key: getattr(member, key) for key in FITTED}
            facts["members"][name] = {"system": member.name, **made, **described}
        return tensors, facts

    @classmethod
    def restore(
        cls, tensors: dict[str, Tensor], facts: dict[str, Any], *, device: str, path: Path
    ) -> Blend:
        own = {name: facts.get(name) for name in ("config", *FITTED)}
        blend = super().restore({}, own, device=device, path=path)
        members: dict[str, Detector] = {}
        for name, described in facts["members"].items():
            learned = part(tensors, f"{name}/")
            calibration = take_calibration(learned)
            kind = detector_class(described["system"])
            members[name] = kind.restore(learned, described, device=device, path=path)
            members[name].calibration = calibration
        runs = tensors.get("runs", torch.zeros(0)).long().numpy()
        blend._take(members, tensors["normal"].double().numpy(), runs)
        return blend
