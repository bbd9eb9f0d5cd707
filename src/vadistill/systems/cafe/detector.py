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
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from vadistill.backbones.teachers import PATCH, open_teacher
from vadistill.devices import Device, pick_precision
from vadistill.distill import FrozenTeacher, TargetCache
from vadistill.errors import WeightsError
from vadistill.files import content_hash
from vadistill.objects.learning import learn_patches
from vadistill.objects.patches import Cut, FlowPatches, Patches
from vadistill.runtime import Arrays, Program
from vadistill.systems.cafe.losses import overall_score
from vadistill.systems.cafe.model import PatchScorer, as_program, scorer_inputs
from vadistill.systems.cafe.recipes import RECIPES, Config
from vadistill.systems.cafe.training import teacher_targets, train_student, untrained
from vadistill.systems.object_centric import ObjectCentric

if TYPE_CHECKING:
    from vadistill.datasets import Dataset


class Cafe(ObjectCentric):
    """Consistency-Aware high-level Feature Extractor."""

    name = "cafe"
    config: Config
    RECIPES: ClassVar = RECIPES

    scorer: PatchScorer
    mean: Tensor
    std: Tensor
    teacher_facts: dict[str, Any]

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        config = config or Config()
        flows = ((0, 1),) if config.low_level in ("flow", "both") else ()
        super().__init__(config, Cut(PATCH, (-1, 0, 1), flows, config.flow), device=device)

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        network, self.teacher_facts = open_teacher(config.teacher)
        teacher = FrozenTeacher(network.to(self.device))
        self.scorer = untrained(teacher, config).to(self.device)
        store = learn_patches(
            train, work, localiser=self.localiser, cut=self.cut, frames=config.frames
        )
        arithmetic = f"{self.device.type} {pick_precision(self.device, config.precision)}"
        sampled = (store.key, arithmetic, self.teacher_facts["sha"])
        targets_key = content_hash(*sampled, str(config.layers))
        targets = TargetCache(work / f"targets-{targets_key}", key=targets_key, count=len(store))
        targets.fill(lambda rows: teacher_targets(teacher, store, rows, config, self.device))
        folder = work / f"student-{content_hash(targets_key, config.training_settings())}"
        train_student(self.scorer, store, targets, config, self.device, folder)
        self.calibrate(store, train)

    # -- scoring -------------------------------------------------------------------------------

    def program(self, int8: bytes | Iterable[Arrays]) -> Program:
        return as_program(self.scorer, int8)

    def inputs(self, patches: Patches, flow: FlowPatches) -> Arrays:
        return scorer_inputs(patches, flow)

    def fit_parts(self, parts: Float32[np.ndarray, "n 3"]) -> None:
        """mu and sigma of Eq. 12 over the training patches."""
        scores = torch.from_numpy(parts).double()
        self.mean, self.std = scores.mean(0), scores.std(0).clamp_min(1e-12)

    def object_values(self, parts: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
        """Eq. 12 of patches' A_kd, A_ca, A_lo."""
        config = self.config
        lo = config.omega_lo if self.scorer.branches else 0.0
        weights = torch.tensor([config.omega_kd, config.omega_ca, lo], dtype=torch.float64)
        scores = torch.from_numpy(parts).double()
        return overall_score(scores, self.mean, self.std, weights).float().numpy()

    @property
    def empty(self) -> float:
        return self.low

    # -- saving --------------------------------------------------------------------------------

    FROZEN: ClassVar = ("teacher",)

    def modules(self) -> dict[str, nn.Module]:
        return {"student": self.scorer.student, "branches": self.scorer.branches}

    def frozen(self) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
        assert isinstance(self.scorer.teacher, FrozenTeacher)
        return {"teacher": (self.scorer.teacher.network, self.teacher_facts)}

    def facts(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std, "lowest": self.low}

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        self.mean, self.std, self.low = facts["mean"], facts["std"], facts["lowest"]
        if not bool((self.std > 0).all()):
            raise WeightsError(
                f"a cafe model with deviations {self.std.tolist()}",
                expected="numbers above 0",
                fix="fit it again",
            )
        self.teacher_facts = facts["teacher"]
        self.scorer = untrained(FrozenTeacher(frozen["teacher"]), self.config).to(self.device)
