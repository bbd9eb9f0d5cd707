"""Building blocks of ``lite``, our student for CPUs.

Frames meet in the first convolution, where the way that something moves between them is still seen
to the pixel; depthwise separable convolutions follow.  Batch norm and ReLU alone are between them:
all of it folds into 8-bit convolutions.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vadistill.systems.fast_aed.depthwise import Depthwise


def depthwise(channels: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Depthwise convolution, batch norm and ReLU."""
    return [Depthwise(channels, kernel, stride), nn.BatchNorm2d(channels), nn.ReLU()]


def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    """1x1 convolution, batch norm and ReLU."""
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class Separable(nn.Sequential):
    """Depthwise 3x3 then pointwise convolution, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(*depthwise(inputs, 3, stride), *pointwise(inputs, outputs))


class Inverted(nn.Module):
    """Pointwise to twice the channels, depthwise 5x5, pointwise back, skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *pointwise(channels, 2 * channels),
            *depthwise(2 * channels, 5),
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.layers(x)


class LiteEncoder(nn.Sequential):
    """7x7 convolution of the stacked frames at stride 4, to stride 16, then ``blocks`` blocks."""

    def __init__(self, frames: int, channels: tuple[int, int, int], blocks: int) -> None:
        first, second, third = channels
        super().__init__(
            nn.Conv2d(3 * frames, first, 7, 4, 3, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            Separable(first, second, 2),
            Separable(second, second),
            Separable(second, third, 2),
            *(Inverted(third) for _ in range(blocks)),
        )
