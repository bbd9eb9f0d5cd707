"""CAFE's own network (Fig. 3): the low-level branch ``D``.

Teacher ``T`` and student ``S`` (Fig. 1) are ``features.residual.ResNet``s; a video event ``E`` is
one foreground patch of 32x32 pixels.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


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
