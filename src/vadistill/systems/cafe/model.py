"""CAFE's own networks: the low-level branch ``D`` (Fig. 3), and all that score a patch.

Teacher ``T`` and student ``S`` (Fig. 1) are ``backbones.teachers.ResNet``s; ``E``, a video event in
the paper, is a foreground patch of 32x32 pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vadistill.backbones.teachers import PATCH
from vadistill.objects.patches import FlowPatches, Patches
from vadistill.program import Arrays, Program
from vadistill.systems.cafe.losses import (
    Reduction,
    consistency_score,
    distillation_score,
    low_level_score,
)


class LowLevelBranch(nn.Module):
    """D of Fig. 3: from the student's last feature to an appearance (3) or motion (2) patch.

    Three transposed convolutions (kernel 4, stride 2) with BN and ReLU that each halve the
    channels, then a 3x3 convolution.  The last convolution is our reading of the figure.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = inputs
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(channels // 2),
                nn.ReLU(inplace=True),
            ]
            channels //= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, outputs, 3, 1, 1))

    def forward(self, feature: Float[Tensor, "n c 4 4"]) -> Float[Tensor, "n o 32 32"]:
        return self.layers(feature)


def to_unit(patches: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    """RGB bytes, channels last, as floats in [0, 1], channels first."""
    return patches.permute(0, 3, 1, 2).float() / 255


class PatchScorer(nn.Module):
    """Teacher, student and low-level branches: from patches to their three anomaly scores."""

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        branches: nn.ModuleDict,
        *,
        layers: int,
        reduction: Reduction,
    ) -> None:
        super().__init__()
        self.teacher, self.student, self.branches = teacher, student, branches
        self.layers = layers
        self.reduction: Reduction = reduction

    def forward(
        self, patches: UInt8[Tensor, "n 3 32 32 3"], flow: Float[Tensor, "n 2 32 32"]
    ) -> Float[Tensor, "n 3"]:
        """A_kd, A_ca and A_lo (Eqs. 9 to 11) of each patch; A_lo is 0 without branches."""
        before, patch, after = (to_unit(patches[:, i]) for i in range(3))
        features = self.student(patch, self.layers)
        kd = distillation_score(features, self.teacher(patch, self.layers), self.reduction)
        ca = consistency_score(
            self.student(before, self.layers),
            features,
            self.student(after, self.layers),
            self.reduction,
        )
        lo = torch.zeros_like(kd)
        for name, branch in self.branches.items():
            target = flow if name == "motion" else patch
            lo = lo + low_level_score(branch(features[-1]), target, self.reduction)
        return torch.stack([kd, ca, lo], dim=1)


def as_program(
    scorer: PatchScorer, int8: bytes | Iterable[Arrays] = (), *, batch: int = 128
) -> Program:
    """A scorer for a runtime: patches and O(E) in, A_kd, A_ca and A_lo out."""
    scorer.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    patches = torch.zeros(2, 3, PATCH, PATCH, 3, dtype=torch.uint8)
    examples = {"patches": patches, "flow": torch.zeros(2, 2, PATCH, PATCH)}
    return Program(scorer, examples, ("scores",), batch=batch, int8=int8)


def scorer_inputs(patches: Patches, flow: FlowPatches) -> Arrays:
    """The program's inputs: O(E) is the first flow, or zeros where none was cut."""
    if flow.shape[1] == 0:
        return patches, np.zeros((len(patches), 2, PATCH, PATCH), np.float32)
    return patches, flow[:, 0].astype(np.float32)
