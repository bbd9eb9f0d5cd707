"""DAKD: weakly supervised detection by distilling several backbones into one (Dalvi et al., 2024).

A teacher that sees every video through several backbones learns from video-level labels; a student
with one backbone learns the teacher's scores and its features, and scores on its own.

    symbol        here                               paper
    psi_t         Config.teacher, features.backbones Sec. 3.1
    Z_t           model.projection                   Sec. 4.2
    gamma, A~, H  attention.TemporalAggregation      Eqs. 1-4
    g, z          model.Projector                    Sec. 3.3
    epsilon, y^   losses.pseudo_labels               Sec. 3.3
    L_nce, L_d    losses.feature_loss, …             Eqs. 5, 6
    k, tau        Config.reach, Config.tau           Fig. 5
    alpha, delta  Config.alpha, Config.delta         Fig. 5

Departures from the papers and readings of what they leave open:
- The default's backbones are those that need no download; ``paper`` has the paper's three.
- d of Eq. 4 is a head's width (128), and with terms switched off the factor is the number of
  products that are left; Table 6's rows switch terms of the teacher.
- Attention has a skip connection (``skip``), as DeBERTa's layers have; the equations have none.
  Taken literally they give nearly the same H for all segments of a video.
- Projections Q, K, V have no bias, as in Eqs. 2 and 3; Z~ is learnt.
- g is one MLP for both, 1024-512-128; the teacher's z is detached.  Eq. 5's denominator is the
  second version's, and a class's loss is the mean over its segments.
- The hinge is the mean over all pairs of bags, smoothness and sparsity the mean over abnormal bags.
- The moving average is of the 2 epsilon + 1 scores around each (the second version divides by
  2 epsilon) and repeats a video's first and last one; a constant video is not stretched.
- Without L_bce the student's head learns from video labels by the ranking loss.
- An epoch passes once over the more frequent class, and over the other one as often as that takes.
- The rival ``mtn`` is RTFM's pyramid and non-local block without its batch normalisation.
- ``segments`` knows no score before a video's end: it is for files, not for cameras.
- What is left behind the last whole clip of 16 frames has that clip's score; a video shorter than
  one clip is an error.
- The student's backbone is not saved with the model: it is named, with a hash of its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from vadistill.backbones import open_backbone
from vadistill.backbones.base import Backbone, Merged
from vadistill.backbones.extraction import features_of, stream_features
from vadistill.backbones.store import FeatureStore
from vadistill.datasets.sampling import data_key
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.detector import Detector, Merge
from vadistill.devices import Device, pick_device
from vadistill.distill import FrozenTeacher
from vadistill.errors import DataError, WeightsError
from vadistill.files import content_hash
from vadistill.progress import progress
from vadistill.runtime import Arrays, Runtime, open_runtime
from vadistill.scores import Calibration, FrameScore
from vadistill.systems.dakd.data import Bags, Read, gather_bags
from vadistill.systems.dakd.model import (
    Baseline,
    ClipScorer,
    Network,
    Rows,
    as_program,
    student_network,
    teacher_network,
)
from vadistill.systems.dakd.recipes import RECIPES, Config
from vadistill.systems.dakd.training import distil, teacher_targets, train_teacher

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource

OF_THE_STUDENT = ("student", "half_width", "minmax", "lambda_bce", "alpha", "tau", "delta")
"""Settings that the teacher does not depend on."""


class Dakd(Detector):
    """Distilled aggregated knowledge: several backbones teach one."""

    name = "dakd"
    supervision = "weak"
    RECIPES: ClassVar = RECIPES

    network: Network | Baseline
    """The one that scores."""
    runtime: Runtime
    widths: dict[str, int]
    """Feature width of each backbone that scoring needs."""
    fingerprints: dict[str, str]
    """Hash of each such backbone's weights; of published features none is known."""

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        self.config = config or Config()
        ahead = {"live": 1, "dense": self.config.segments, "segments": None}[self.config.scoring]
        self.lookahead = None if ahead is None else SNIPPET * ahead - 1
        self._asked: Device = device
        self.device = pick_device(device)
        self._backbones: dict[str, Backbone] = {}

    @property
    def sees(self) -> tuple[str, ...]:
        """Backbones that scoring needs."""
        return self.config.teacher if self.config.scorer == "teacher" else (self.config.student,)

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        names = tuple(dict.fromkeys((*config.teacher, *self.sees)))
        read = self._reader(work)(names)
        if all(isinstance(clip.source, FeatureSource) for clip in train):
            self.fingerprints = {}
        else:
            self.fingerprints = {name: self.backbone(name).fingerprint for name in names}
        labels = [clip.video_label for clip in train]
        facts = (names, config.segments, config.crops, labels, sorted(self.fingerprints.items()))
        data = content_hash(data_key(train), repr(facts))
        bags = gather_bags(
            train,
            names,
            read,
            work / f"bags-{data}",
            segments=config.segments,
            normalise=config.normalise,
        )
        teacher, key = self._teacher(bags, data, work)
        if config.scorer == "teacher":
            self.network = teacher
        else:
            self.network = self._student(teacher, bags, key, work)
        self.widths = dict(zip(self.sees, bags.widths(self.sees), strict=True))
        self.fingerprints = {n: f for n, f in self.fingerprints.items() if n in self.sees}
        self.open_runtime()
        self._calibrate(train, self._reader(work)(self.sees))

    def _reader(self, work: Path) -> Callable[[tuple[str, ...]], Read]:
        """Features of a clip by backbone: published ones, the store's, or extracted now."""
        store = FeatureStore(Path(self.config.store) if self.config.store else work / "features")
        return lambda names: lambda clip: features_of(clip, names, store, self.backbone)

    def backbone(self, name: str) -> Backbone:
        """A backbone by name, opened once; raises ConfigError, WeightsError."""
        if name not in self._backbones:
            self._backbones[name] = open_backbone(name, device=self._asked, crops=self.config.crops)
        return self._backbones[name]

    def _teacher(self, bags: Bags, data: str, work: Path) -> tuple[Network | Baseline, str]:
        """Stage 1, and what tells its result from another's."""
        config = self.config
        mine = config.training_settings(without=OF_THE_STUDENT)
        torch.manual_seed(config.seed)
        network = teacher_network(config, bags.widths(config.teacher)).to(self.device)
        key = content_hash(data, mine)
        train_teacher(network, config.teacher, bags, config, self.device, work / f"teacher-{key}")
        return network, key

    def _student(self, teacher: Network | Baseline, bags: Bags, key: str, work: Path) -> Network:
        """Stage 2."""
        config = self.config
        targets = teacher_targets(
            FrozenTeacher(teacher),
            config.teacher,
            bags,
            self.device,
            work / f"targets-{key}",
            key=key,
        )
        torch.manual_seed(config.seed)
        network = student_network(config, bags.widths([config.student])[0]).to(self.device)
        mine = content_hash(key, config.training_settings())
        folder = work / f"student-{mine}"
        distil(network, config.student, targets, bags, config, self.device, folder)
        return network

    def _calibrate(self, train: Dataset, read: Read) -> None:
        """From every normal training clip, scored as videos will be."""
        scorer, scores = self._scorer(), []
        normal = [clip for clip in train if not clip.video_label]
        with progress("calibration", len(normal)) as advance:
            for clip in normal:
                rows = read(clip)
                scores += scorer.whole([rows[name] for name in self.sees]).tolist()
                advance(note=clip.name)
        self.calibration = Calibration.fit(scores)

    # -- scoring -------------------------------------------------------------------------------

    def open_runtime(self, int8: bytes | Iterable[Arrays] = ()) -> None:
        """Open the network in the config's runtime, which has no 8-bit form of it."""
        widths = [self.widths[name] for name in self.sees]
        program = as_program(self.network, widths, normalise=self.config.normalise)
        self.runtime = open_runtime(program, self.config.runtime, self.device)

    def _scorer(self) -> ClipScorer:
        return ClipScorer(self.runtime, self.config.scoring, length=self.config.segments)

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        if isinstance(source, FeatureSource):
            arrays = [self._checked(source, name) for name in self.sees]
            scores = self._scorer().whole(arrays)
            for index in range(source.info.frames or 0):
                clip = min(index // SNIPPET, len(scores) - 1)
                yield FrameScore(index, index / source.info.fps, float(scores[clip]))
            return
        backbones = [self._fitted_backbone(name) for name in self.sees]
        waiting: list[list[tuple[int, float]]] = []

        def clips() -> Iterator[Rows]:
            for frames, rows in stream_features(source, backbones):
                waiting.append(frames)
                if rows is not None:
                    yield rows

        score = float("nan")  # never given: of no whole clip, stream_features makes an error
        for score in self._scorer()(clips()):
            for index, time in waiting.pop(0):
                yield FrameScore(index, time, score)
        for frames in waiting:
            for index, time in frames:
                yield FrameScore(index, time, score)

    def _checked(self, source: FeatureSource, name: str) -> np.ndarray:
        """Features of a source as wide as those learnt from; raises DataError."""
        rows = source.features(name)
        if rows.shape[1] != self.widths[name]:
            raise DataError(
                f"features of '{name}' for {source.info.name} are {rows.shape[1]} wide",
                expected=f"{self.widths[name]}, as in training",
                fix="use the same backbone's features",
            )
        return rows

    def _fitted_backbone(self, name: str) -> Backbone:
        """The backbone that training used; raises WeightsError if its weights are others now."""
        backbone = self.backbone(name)
        known = self.fingerprints.get(name, backbone.fingerprint)
        if backbone.fingerprint != known or backbone.dim != self.widths[name]:
            raise WeightsError(
                f"backbone '{name}' is {backbone.fingerprint}, {backbone.dim} wide",
                expected=f"{known}, {self.widths[name]} wide, as when the model was fitted",
                fix="fit again, or put the former weights back",
            )
        return backbone

    def attach_batching(self, merge: Merge) -> None:
        self._backbones = {n: Merged(self._fitted_backbone(n), merge) for n in self.sees}

    # -- saving --------------------------------------------------------------------------------

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def facts(self) -> dict[str, Any]:
        return {"widths": self.widths, "backbones": self.fingerprints}

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        self.widths, self.fingerprints = facts["widths"], facts["backbones"]
        widths = [self.widths[name] for name in self.sees]
        if self.config.scorer == "teacher":
            self.network = teacher_network(self.config, widths)
        else:
            self.network = student_network(self.config, widths[0])
