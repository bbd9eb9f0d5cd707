"""Building blocks of ``lite``, our student for CPUs.

Frames meet in the first convolution, where the way that something moves between them is still seen
to the pixel; depthwise separable convolutions follow.  Batch norm and ReLU alone are between them:
all of it folds into 8-bit convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

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


class SharedConvolution(nn.Module):
    """A convolution of stacked frames, of which each frame's share is computed once.

    A convolution of a window is the sum of convolutions of its frames, each with the weights of its
    place.  ``share`` gives a frame's for every place, ``join`` adds up one of each place, ``whole``
    is both at once for a window on its own.
    """

    def __init__(self, frames: int, outputs: int) -> None:
        super().__init__()
        self.frames, self.outputs = frames, outputs
        self.conv = nn.Conv2d(3 * frames, outputs, 7, 4, 3, bias=False)

    def share(self, frame: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n places c y x"]:
        by_place = self.conv.weight.unflatten(1, (self.frames, 3)).transpose(0, 1).flatten(0, 1)
        shares = F.conv2d(frame, by_place, None, self.conv.stride, self.conv.padding)  # pyright: ignore
        return shares.unflatten(1, (self.frames, self.outputs))

    def join(self, shares: Sequence[Float[Tensor, "n c y x"]]) -> Float[Tensor, "n c y x"]:
        return torch.stack(list(shares)).sum(0)

    def whole(self, window: Float[Tensor, "n _ h w"]) -> Float[Tensor, "n c y x"]:
        return self.conv(window)


class LiteTrunk(nn.Sequential):
    """From the first convolution, at stride 4, to stride 16, then ``blocks`` blocks there."""

    def __init__(self, channels: tuple[int, int, int], blocks: int) -> None:
        first, second, third = channels
        super().__init__(
            nn.BatchNorm2d(first),
            nn.ReLU(),
            Separable(first, second, 2),
            Separable(second, second),
            Separable(second, third, 2),
            *(Inverted(third) for _ in range(blocks)),
        )
