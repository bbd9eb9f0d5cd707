"""Residual feature extractors for 32x32 images: CAFE's networks, and image networks for others.

Patches enter as RGB in [0, 1]; the standardisation by the pre-training set's mean and deviation is
part of the network, so teacher and student cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 32
"""Side of a video event in pixels (H = W = 32 in the paper)."""


@dataclass(frozen=True)
class Architecture:
    """Depth and width of a residual network for 32x32 images.

    ``blocks``: basic blocks of the four stages.  ``width``: channels of the first stage; each later
    stage doubles them and halves the resolution (32, 16, 8, 4 pixels).
    """

    blocks: tuple[int, int, int, int]
    width: int

    @property
    def channels(self) -> tuple[int, int, int, int]:
        return (self.width, 2 * self.width, 4 * self.width, 8 * self.width)


ARCHITECTURES: dict[str, Architecture] = {
    "resnet34": Architecture((3, 4, 6, 3), 64),  # the paper's teacher
    "resnet17": Architecture((2, 2, 2, 2), 64),  # Table 2's rival student
    "resnet9": Architecture((1, 1, 1, 1), 64),  # the paper's student
    "narrow34": Architecture((3, 4, 6, 3), 16),  # compact teacher: 1/16 of the arithmetic
    "narrow17": Architecture((2, 2, 2, 2), 16),  # its rival, as resnet17 is the student's
    "narrow9": Architecture((1, 1, 1, 1), 16),  # compact student
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o y x"]:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network for 32x32 images that returns the outputs of its layer groups.

    The six layer groups are the stem's convolution, the stem's normalised and rectified output,
    and the four stages (Fig. 1; the reading of groups 5 and 6 from the top is ours).
    """

    GROUPS = 6

    def __init__(
        self,
        architecture: Architecture,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.25, 0.25, 0.25),
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        width = architecture.width
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        inputs = width
        for stage, (depth, outputs) in enumerate(
            zip(architecture.blocks, architecture.channels, strict=True)
        ):
            blocks = []
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(inputs, outputs, stride))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, patches: Float[Tensor, "n 3 32 32"], last: int = 4
    ) -> list[Float[Tensor, "n _ _ _"]]:
        """Outputs of the ``last`` layer groups, shallow to deep: T(E, j) or S(E, j) of Eq. 1.

        Patches are RGB in [0, 1].  With ``last=4`` the shapes are (n, w, 32, 32), (n, 2w, 16, 16),
        (n, 4w, 8, 8) and (n, 8w, 4, 4) for a network of width w.
        """
        stem = self.conv((patches - self.mean) / self.std)
        x = F.relu(self.bn(stem))
        groups = [stem, x]
        for stage in self.stages:
            x = stage(x)
            groups.append(x)
        return groups[self.GROUPS - last :]


class Classifier(nn.Module):
    """A feature extractor with the average pooling and linear layer of its pre-training."""

    def __init__(self, network: ResNet, classes: int) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(network.architecture.channels[-1], classes)

    def forward(self, patches: Float[Tensor, "n 3 32 32"]) -> Float[Tensor, "n classes"]:
        """Class logits of RGB patches in [0, 1]."""
        (top,) = self.network(patches, last=1)
        return self.head(top.mean((2, 3)))
