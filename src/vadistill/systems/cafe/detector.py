"""CAFE: a consistency-aware feature extractor of normal events (Yu et al., ACM Multimedia 2022).

A student network S learns on normal foreground patches E to give the features of a pre-trained
teacher T.  Where it fails to (A_kd), where its features change between neighbouring frames (A_ca),
or where a low-level branch D rebuilds appearance or flow badly (A_lo), something abnormal happens.

    symbol      here                                        paper
    E, C-1, C+1 objects.patches.Patches[:, 1], [:, 0], [:, 2]  Sec. 3.1, 3.3.2
    O(E)        objects.patches.FlowPatches[:, 0]            Sec. 3.4.2
    T, S, D     backbones.teachers.ResNet, model.LowLevelBranch  Fig. 1, Fig. 3
    K, C        Config.layers, the last C layer groups      Sec. 3.2.2
    lambda      Config.lambda_kd, lambda_ca, lambda_lo      Eq. 8
    omega       Config.omega_kd, omega_ca, omega_lo         Eq. 12
    mu, sigma   standard.Standard                            Eq. 12
    (ours)      course.Seen                                  –

Departures from the paper and readings of what it leaves open:
- Foreground comes from a background model by default, not from Cascade R-CNN (no weights needed); a
  detector or a file of boxes are one setting away.
- Optical flow is DIS (OpenCV) by default, RAFT by name; the paper has FlowNet2.
- Squared errors are averaged over a layer, not summed (``reduction``), so that layers weigh alike.
- Patches are normalised by the mean and deviation of the teacher's pre-training set, in both
  networks.
- C-1, E and C+1 go through the student as one batch, so batch norm sees them together.
- A frame without patches gets the lowest score of the training patches.
- The default is ``compact``, our own pair of quarter-width networks; the shipped teacher learned
  CIFAR-10, with a part of its pictures turned grey.  It and the ``quick`` recipes sample frames,
  train 10 to 20 epochs and lower the learning rate along a cosine (the default from 3e-3).
- Training and the teacher's targets use bf16 products where the processor has them, and targets are
  kept as fp16; scoring is fp32 unless ``runtime`` says otherwise.
- Pre-training uses Nesterov momentum, and teachers are stored as fp16.
- With both low-level branches A_lo is the sum of their errors, standardised once.
- The default adds two attributes of an object to Eq. 12, standardised alike: how it moves (its
  speed, the highest of ``motion``'s scaled statistics, or how unlike those of training objects its
  way is, whichever is more unusual), and how wide it is for its height at its place.
- In the default, patches are squares around boxes with what surrounds them, so that they keep their
  shape; the paper stretches boxes to squares.
- In the default Eq. 12 is of the errors' logarithms, which are near to normally distributed.  All
  this is off in the paper's recipes and in its tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from vadistill.backbones.teachers import PATCH, open_teacher
from vadistill.devices import Device, pick_precision
from vadistill.distill import FrozenTeacher, HeldTargets, TargetCache, Targets
from vadistill.files import content_hash
from vadistill.objects.learning import learn_patches
from vadistill.objects.patches import Cut, FlowPatches, FramePatches, Patches, PatchStore
from vadistill.objects.speeds import (
    LONGEST,
    STATISTICS,
    Scale,
    Speeds,
    saved_scales,
    scaled,
    told,
)
from vadistill.program import Arrays, Program
from vadistill.scores import FrameScore
from vadistill.soundness import real, require_array, whole
from vadistill.systems.cafe.course import Seen, course_in_the_rest, ways
from vadistill.systems.cafe.losses import overall_score
from vadistill.systems.cafe.model import PatchScorer, as_program, scorer_inputs
from vadistill.systems.cafe.recipes import RECIPES, Config
from vadistill.systems.cafe.standard import RARE, Standard, aspect, renewed
from vadistill.systems.cafe.training import teacher_targets, train_student, untrained
from vadistill.systems.object_centric import ObjectCentric

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo


TERMS = {"errors": 3, "speed": 1, "shape": 1, "course": 1}
"""What is standardised of an object, and of how many values it is."""

BY_PLACE = "shape"
"""The one whose mean is that of its place: a body's outline depends on where the camera sees it."""

LEAST_ERROR = 0.05
"""Of the median error, added before logarithms: what does not move has no A_ca at all."""


class Cafe(ObjectCentric):
    """Consistency-Aware high-level Feature Extractor."""

    name = "cafe"
    tells_traits = True
    GRAPH: ClassVar = {
        "patches": "RGB crops, 0 to 255, of one object's box at frames t - 1, t, t + 1, each "
        "stretched to the square, or where config.square is true with the square around it",
        "flow": "optical flow in pixels cut out in the same way, x then y, from t - 1 to t; zeros "
        "where config.low_level is none",
        "scores": "A_kd, A_ca, A_lo of Eq. 12",
        "before": "find objects, and cut each out",
        "after": "standardise each term and add them up as Eq. 12 says, with the constants of "
        "config.json; a frame's score is its highest object's",
    }
    config: Config
    RECIPES: ClassVar = RECIPES

    scorer: PatchScorer
    standards: dict[str, Standard]
    """Of the terms of a patch's score."""
    least_error: Float[np.ndarray, " 3"]
    """What is added to errors before their logarithm."""
    teacher_facts: dict[str, Any]

    scales: Sequence[Scale] = ()
    """Of the statistics of speed."""
    seen: Seen | None = None
    """Ways that training objects go."""

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        config = config or Config()
        flows = ((0, 1),) if config.low_level in ("flow", "both") else ()
        reach = LONGEST if config.omega_speed > 0 else 0
        cut = Cut(PATCH, (-1, 0, 1), flows, config.flow, reach, config.square)
        super().__init__(config, cut, device=device)

    def _look_ahead(self, reach: int) -> None:
        """Follow speeds over so many frames to each side when scoring, and no further."""
        self.cut = replace(self.cut, reach=reach)
        self.lookahead = self.cut.after

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        network, self.teacher_facts = open_teacher(config.teacher)
        teacher = FrozenTeacher(network.to(self.device))
        self.scorer = untrained(teacher, config).to(self.device)
        store = learn_patches(
            train, work, localiser=self.localiser, cut=self.training_cut, frames=config.frames
        )
        self._look_ahead(max(self.cut.at(video.open().info.fps).reach for video in train))
        arithmetic = f"{self.device.type} {pick_precision(self.device, config.precision)}"
        shape = ["square"] * config.square
        sampled = (store.key, arithmetic, self.teacher_facts["sha"], *shape)
        targets_key = content_hash(*sampled, str(config.layers))

        def outputs(rows: np.ndarray) -> list[Tensor]:
            return teacher_targets(teacher, store, rows, config, self.device)

        targets: Targets
        if HeldTargets.fit_in(self.device, outputs(np.arange(2)), len(store)):
            targets = HeldTargets(outputs, count=len(store))
        else:
            folder = work / f"targets-{targets_key}"
            targets = TargetCache(folder, key=targets_key, count=len(store)).fill(outputs)
        folder = work / f"student-{content_hash(targets_key, config.training_settings())}"
        train_student(self.scorer, store, targets, config, self.device, folder)
        self.calibrate(store, train)

    # -- scoring -------------------------------------------------------------------------------

    def program(self, int8: bytes | Iterable[Arrays]) -> Program:
        return as_program(self.scorer, int8)

    def inputs(self, patches: Patches, flow: FlowPatches) -> Arrays:
        return scorer_inputs(patches, flow)

    def with_attributes(
        self, parts: Float32[np.ndarray, "n 3"], boxes: Float32[np.ndarray, "n 4"], moves: Speeds
    ) -> Float32[np.ndarray, "n _"]:
        """A_kd, A_ca, A_lo, then how it moves where that is taken, then the box."""
        return np.hstack([parts, moves, boxes])

    def fit_parts(self, parts: Float32[np.ndarray, "n _"], store: PatchStore) -> None:
        """mu and sigma of Eq. 12 over the training patches, scales of speed, and ways seen."""
        errors, speeds, velocity, boxes = _split(parts)
        self.least_error = LEAST_ERROR * np.median(errors.astype(np.float64), axis=0) + 1e-9
        self.scales = [Scale.of(store.frame_maxima(column, 0.0)) for column in speeds.T]
        terms = self._terms(parts)
        if self.config.omega_speed > 0 and self.config.course:
            own, rng = ways(velocity), np.random.default_rng(self.config.seed)
            self.seen, terms["course"] = Seen.of(own, rng), course_in_the_rest(own, rng)
        self.standards = {
            name: Standard.fit(values, boxes, by_place=name == BY_PLACE)
            for name, values in terms.items()
        }

    def _terms(self, parts: Float32[np.ndarray, "n _"]) -> dict[str, Float[np.ndarray, "n _"]]:
        """What is standardised of objects, by name, in the order of Eq. 12's weights."""
        errors, speeds, velocity, boxes = _split(parts.astype(np.float64))
        if self.config.errors == "log":
            errors = np.log(errors + self.least_error)
        terms = {"errors": errors}
        if self.config.omega_speed > 0:
            terms["speed"] = scaled(speeds, self.scales).max(axis=1, keepdims=True)
        if self.config.omega_shape > 0:
            terms["shape"] = aspect(boxes)[:, None]
        if self.seen is not None:
            terms["course"] = self.seen.course(ways(velocity))
        return terms

    def object_values(self, parts: Float32[np.ndarray, "n _"]) -> Float32[np.ndarray, " n"]:
        """Eq. 12 of patches' A_kd, A_ca, A_lo, with their attributes as further terms."""
        config, terms, boxes = self.config, self._terms(parts), parts[:, -4:]
        if "course" in terms:  # on speed's scale, as the more unusual of both counts
            speed, course = self.standards["speed"], self.standards["course"]
            unusual = (terms.pop("course") - course.mean(boxes)) / course.sigma
            terms["speed"] = np.maximum(terms["speed"], speed.mean(boxes) + speed.sigma * unusual)
        lo = config.omega_lo if self.scorer.branches else 0.0
        omega = [config.omega_kd, config.omega_ca, lo]
        omega += [getattr(config, f"omega_{name}") for name in list(terms)[1:]]
        means = [self.standards[name].mean(boxes) for name in terms]
        deviations = [self.standards[name].sigma for name in terms]
        arrays = np.hstack(list(terms.values())), np.hstack(means), np.hstack(deviations), omega
        values, mean, std, weights = (torch.tensor(a, dtype=torch.float64) for a in arrays)
        return overall_score(values, mean, std, weights).float().numpy()

    def object_traits(self, parts: Float32[np.ndarray, "n _"]) -> Float32[np.ndarray, "n k"]:
        """Errors and shape by their deviations, then each statistic of speed, and the way."""
        _, speeds, velocity, boxes = _split(parts.astype(np.float64))
        terms, found = self._terms(parts), []
        for name in [name for name in ("errors", "shape") if name in terms]:
            standard = self.standards[name]
            found.append((terms[name] - standard.mean(boxes)) / (RARE * standard.sigma))
        if not self.scorer.branches:
            found[0] = found[0][:, :2]  # there is no A_lo
        if self.scales:
            found.append(scaled(speeds, self.scales))
        if self.seen is not None:
            found.append(ways(velocity) / (RARE * self.seen.spread))
        return np.hstack(found).astype(np.float32)

    @property
    def empty(self) -> float:
        return self.low

    def frame_score(
        self, frame: FramePatches, scores: Float32[np.ndarray, " n"], info: VideoInfo
    ) -> FrameScore:
        """With what is unusual about how the frame's highest object moves, if anything is."""
        found = super().frame_score(frame, scores, info)
        if not self.scales or not len(scores):
            return found
        speeds, velocity = np.split(frame.moves[[scores.argmax()]], (len(STATISTICS),), axis=1)
        reason = told(speeds, self.scales)
        if not reason and self.seen is not None:
            reason = self.seen.told(ways(velocity), self.standards["course"])
        return replace(found, reason=reason)

    # -- saving --------------------------------------------------------------------------------

    FROZEN: ClassVar = ("teacher",)

    def modules(self) -> dict[str, nn.Module]:
        return {"student": self.scorer.student, "branches": self.scorer.branches}

    def frozen(self) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
        assert isinstance(self.scorer.teacher, FrozenTeacher)
        return {"teacher": (self.scorer.teacher.network, self.teacher_facts)}

    def facts(self) -> dict[str, Any]:
        return {
            "lowest": self.low,
            "reach": self.cut.reach,
            "scales": [[scale.median, scale.top, scale.largest] for scale in self.scales],
            **({} if self.seen is None else self.seen.facts()),
            "least_error": self.least_error.tolist(),
            "standards": {name: each.to_json() for name, each in self.standards.items()},
        }

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        facts = facts if "standards" in facts else renewed(facts)
        self.low = real(facts, "lowest")
        if self.cut.reach:
            self._look_ahead(whole(facts, "reach", least=1))
            self.scales = saved_scales(facts["scales"], len(STATISTICS))
            if self.config.course:
                self.seen = Seen.from_saved(facts["ways"].numpy(), facts["way_spread"])
        least = np.array(facts["least_error"], np.float64)
        self.least_error = require_array(least, "least_error", "f", 3)
        self.standards = {
            name: Standard.from_json(saved, TERMS[name], by_place=name == BY_PLACE)
            for name, saved in facts["standards"].items()
        }
        self.teacher_facts = facts["teacher"]
        self.scorer = untrained(FrozenTeacher(frozen["teacher"]), self.config).to(self.device)


def _split(parts: Float[np.ndarray, "n _"]) -> list[Float[np.ndarray, "n _"]]:
    """Errors, statistics of speed, velocity, and the box; those of motion may have no columns."""
    errors, moves, boxes = np.split(parts, (3, -4), axis=1)
    return [errors, *np.split(moves, (len(STATISTICS),), axis=1), boxes]
