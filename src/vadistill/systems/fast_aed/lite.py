"""Building blocks of ``lite``, our student for CPUs.

Its stem sees one frame, so that a frame's features are computed once and shared by the three
windows that contain it; a pointwise convolution over the stems of a window fuses time.  Depthwise
separable convolutions, batch norm and ReLU alone: all of it folds into 8-bit convolutions.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


def convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1
) -> list[nn.Module]:
    """Convolution, batch norm and ReLU; the map keeps its size at stride 1."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class Separable(nn.Sequential):
    """Depthwise 3x3 then pointwise convolution, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            *convolution(inputs, inputs, 3, stride, groups=inputs), *convolution(inputs, outputs)
        )


class Inverted(nn.Module):
    """Pointwise to twice the channels, depthwise 5x5, pointwise back, skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(channels, 2 * channels),
            *convolution(2 * channels, 2 * channels, 5, groups=2 * channels),
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.layers(x)


class LiteStem(nn.Sequential):
    """One frame to stride 8: conv 7x7 stride 4, then separable convolutions."""

    def __init__(self, channels: tuple[int, int]) -> None:
        first, second = channels
        super().__init__(
            *convolution(3, first, 7, 4),
            Separable(first, second, 2),
            Separable(second, second),
        )


class LiteTrunk(nn.Sequential):
    """The stems of a window, concatenated: fused in time, then ``blocks`` blocks at stride 16."""

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        fused = outputs // 2
        super().__init__(
            *convolution(inputs, fused),
            Separable(fused, fused),
            Separable(fused, outputs, 2),
            *(Inverted(outputs) for _ in range(blocks)),
        )
