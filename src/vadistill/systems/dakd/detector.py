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
- The default is our own: backbones that are at hand; features standardised by the training
  videos; backbones side by side before the attention (``disentangled``), a tenth of the paper's
  width; video labels by top-k cross-entropy; prediction-level distillation without min-max.  A
  student learns the mean scores of a ``committee`` of teachers that began differently, since what
  video labels teach one differs by up to twenty points of AUC from seed to seed.  On training
  videos left out (``folds``) the student's backbone is chosen, unless it is named, and it is
  calibrated; teachers see all backbones only where that is surely better there than the student's
  own one; of a few videos it learns alone.  ``paper`` has none of this.
- Attention can only lower a score (``guarded``): a segment's logit is the lesser of that with and
  that without what the others bring.  Else video labels are met as well by the normal segments of
  an abnormal video that attend to its abnormal ones, and for some seeds they are.
- d of Eq. 4 is a head's width (128), and with terms switched off the factor is the number of
  products that are left.  Table 6's rows switch terms of teacher and student; the student has no
  cross term, so that where only that is left it takes from all segments alike.
- Z_t and Z~ are normalised to mean 0 and variance 1 a row before Eqs. 2 and 3, and all matrices
  begin with variance 1 / d: at the scale of Eq. 4 softmax sees logits of unit variance then.  Taken
  literally, with a linear layer's usual beginning, every weight is 1 / n and stays so.
- Attention has a skip connection (``skip``), as DeBERTa's layers have; the equations have none.
- Projections Q, K, V have no bias, as in Eqs. 2 and 3; Z~ is learnt.
- g is one MLP for both, 1024-512-128, which learns from both; the teacher's H is data.  Eq. 5's
  denominator is the second version's, and a class's loss is the mean over its segments.
- A segment of an abnormal video that the teacher is not sure of is in neither set of Eq. 5
  (``delta_normal``); thresholding at delta alone, as ``paper`` does, puts abnormal ones among the
  normal.
- Pseudo-labels are stretched only where a video's scores span more than ``least_range``: ``paper``
  stretches all.
- The hinge is the mean over all pairs of bags, smoothness and sparsity the mean over abnormal bags.
- The moving average is of the 2 epsilon + 1 scores around each (the second version divides by
  2 epsilon) and repeats a video's first and last one.
- Without L_bce the student's head learns from video labels by the ranking loss.
- An epoch passes once over the more frequent class, and over the other one as often as that takes.
- Crops of published features are samples: a step draws one of each of its videos, pseudo-labels
  are of the mean of the teacher's scores over crops, and a score is the mean of those of crops.
  Of one's own videos a backbone averages the features of ``crops``.
- The rival ``mtn`` is RTFM's pyramid and non-local block without its batch normalisation.
- ``segments`` knows no score before a video's end: it is for files, not for cameras.
- ``dense`` and ``live`` score single snippets, whatever number of them a training segment averages.
- What is left behind the last whole clip of 16 frames has its score; of no clip is an error.
- The student's backbone is named in the model, with a hash of its weights, and is not in it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import nn

from vadistill.backbones import open_backbone
from vadistill.backbones.base import Backbone, Merged
from vadistill.backbones.extraction import features_of, stream_features
from vadistill.backbones.store import FeatureStore
from vadistill.datasets.sampling import data_key
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.detector import Detector, Merge
from vadistill.devices import Device, pick_device, pick_precision
from vadistill.errors import DataError, WeightsError
from vadistill.files import content_hash
from vadistill.program import Arrays, Program
from vadistill.progress import progress
from vadistill.runtime import Runtime, open_runtime
from vadistill.scores import Calibration, FrameScore
from vadistill.soundness import real, whole
from vadistill.systems.dakd.data import Read, at_hand_once, gather_bags
from vadistill.systems.dakd.folds import HeldOut, hold_out
from vadistill.systems.dakd.model import Baseline, Network, student_network, teacher_network
from vadistill.systems.dakd.recipes import AUTO, RECIPES, Config
from vadistill.systems.dakd.ring import Ring, Rows
from vadistill.systems.dakd.scoring import GRAPH, ClipScorer, as_program

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Video
    from vadistill.video import VideoSource


class Dakd(Detector):
    """Distilled aggregated knowledge: several backbones teach one."""

    name = "dakd"
    GRAPH: ClassVar = GRAPH
    supervision = "weak"
    tells_where = False
    RECIPES: ClassVar = RECIPES

    network: Network | Baseline
    """The one that scores."""
    runtime: Runtime
    widths: dict[str, int]
    """Feature width of each backbone that scoring needs."""
    fingerprints: dict[str, str]
    """Hash of each such backbone's weights; of published features none is known."""
    sees: tuple[str, ...]
    """Backbones that scoring needs; ``auto`` until they are chosen."""
    held_out: dict[str, float | None]
    """ROC AUC over left-out videos, in [0, 1], of the ``teacher`` committee and of one with a
    ``single`` backbone, the student's, and the ``standard_error`` of the difference.  None: nothing
    left out."""

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        self.config = config or Config()
        self.sees = self._seen_by(self.config.teacher, self.config.student)
        ahead = {"live": 1, "dense": self.config.segments, "segments": None}[self.config.scoring]
        self.lookahead = None if ahead is None else SNIPPET * ahead - 1
        self._asked: Device = device
        self.device = pick_device(device)
        self._backbones: dict[str, Backbone] = {}
        self._ring: Ring | None = None

    def _seen_by(self, teacher: tuple[str, ...], student: str) -> tuple[str, ...]:
        return teacher if self.config.scorer == "teacher" else (student,)

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        # What is resumed depends on the precision, and not on who chose it.
        precision = pick_precision(self.device, self.config.precision)
        teacher = at_hand_once(train, work) if AUTO in self.config.teacher else self.config.teacher
        config = replace(self.config, teacher=teacher, precision=precision)
        names = config.backbones
        read = self._reader(work)(names)
        if all(isinstance(clip.source, FeatureSource) for clip in train):
            self.fingerprints = {}
        else:
            self.fingerprints = {name: self.backbone(name).fingerprint for name in names}
        labels = [clip.video_label for clip in train]
        facts = (names, config.segments, config.crops, labels, sorted(self.fingerprints.items()))
        data = content_hash(data_key(train), repr(facts))
        shape = {"segments": config.segments, "normalise": config.normalise}
        bags = gather_bags(train, names, read, work / f"bags-{data}", **shape)
        held = hold_out(bags, config, self.device, work, data)
        self.network = held.fit(bags, config, self.device, work, data)
        self.sees = self._seen_by(teacher, held.student)
        self.held_out, self.findings = held.facts(), held.findings
        self.widths = dict(zip(self.sees, bags.widths(self.sees), strict=True))
        self.fingerprints = {n: f for n, f in self.fingerprints.items() if n in self.sees}
        self.open_runtime()
        self._calibrate(train, self._reader(work)(self.sees), held)

    def _reader(self, work: Path) -> Callable[[tuple[str, ...]], Read]:
        """Features of a clip by backbone: published ones, the store's, or extracted now."""
        store = FeatureStore(Path(self.config.store) if self.config.store else work / "features")

        def read(names: tuple[str, ...], clip: Video) -> dict[str, np.ndarray]:
            if isinstance(clip.source, FeatureSource):
                return {name: clip.source.crops(name) for name in names}
            found = features_of(clip, names, store, self.backbone)
            return {name: rows[:, None] for name, rows in found.items()}

        return lambda names: functools.partial(read, names)

    def backbone(self, name: str) -> Backbone:
        """A backbone by name, opened once; raises ConfigError, WeightsError."""
        if name not in self._backbones:
            self._backbones[name] = open_backbone(name, device=self._asked, crops=self.config.crops)
        return self._backbones[name]

    def _calibrate(self, train: Dataset, read: Read, held: HeldOut) -> None:
        """From every normal training clip, scored as videos will be.

        Where folds were left out, each by a network that has not learnt from it: scores of what
        was learnt from are lower than those of other normal video.
        """
        clips = list(train)
        shares = held.networks or [(self.network, np.arange(len(clips)))]
        scores: list[float] = []
        with progress("calibration", len(clips)) as advance:
            for network, rows in shares:
                scorer = self._scorer(network)
                for clip in (clips[row] for row in rows):
                    if not clip.video_label:
                        found = read(clip)
                        scores += scorer.crops([found[name] for name in self.sees]).tolist()
                    advance(note=clip.name)
        self.calibration = Calibration.fit(scores, each=SNIPPET)

    # -- scoring -------------------------------------------------------------------------------

    def open_runtime(self, int8: bytes | Iterable[Arrays] = ()) -> None:
        """Open the network in the config's runtime, which has no 8-bit form of it."""
        self.runtime = self._runtime(self.network)
        if self.lookahead is not None:
            widths = [self.widths[name] for name in self.sees]
            where = (self.config.runtime, self.device)
            self._ring = Ring(self.network, widths, *where, normalise=self.config.normalise)

    def _runtime(self, network: Network | Baseline) -> Runtime:
        return open_runtime(self.program(network=network), self.config.runtime, self.device)

    def program(
        self, int8: bytes | Iterable[Arrays] = (), network: Network | Baseline | None = None
    ) -> Program:
        widths = [self.widths[name] for name in self.sees]
        return as_program(network or self.network, widths, normalise=self.config.normalise)

    def _scorer(self, network: Network | Baseline | None = None) -> ClipScorer:
        """Of the fitted network, or of another one."""
        runtime = self.runtime if network is None else self._runtime(network)
        length = self.config.segments
        return ClipScorer(runtime, self.config.scoring, length=length, ring=self._ring)

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        if isinstance(source, FeatureSource):
            arrays = [self._checked(source, name) for name in self.sees]
            scores = self._scorer().crops(arrays)
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
        """Features of a source's crops, as wide as those learnt from; raises DataError."""
        rows = source.crops(name)
        if rows.shape[2] != self.widths[name]:
            raise DataError(
                f"features of '{name}' for {source.info.name} are {rows.shape[2]} wide",
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
        facts = {"widths": self.widths, "backbones": self.fingerprints}
        return {**facts, "held_out": self.held_out}

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        self.widths, self.fingerprints = facts["widths"], facts["backbones"]
        if AUTO in self.sees:
            known = tuple(self.widths)
            if len(known) != 1 and self.config.scorer == "student":
                raise ValueError(f"a student that sees {', '.join(known) or 'nothing'}")
            self.sees = known or self.sees
        held = facts.get("held_out", {})
        self.held_out = {
            name: None if held.get(name) is None else real(held, name, above=-1e-9)
            for name in ("teacher", "single", "standard_error")
        }
        widths = [whole(self.widths, name, least=1) for name in self.sees]
        if self.config.scorer == "teacher":
            self.network = teacher_network(self.config, widths)
        else:
            self.network = student_network(self.config, widths[0])
