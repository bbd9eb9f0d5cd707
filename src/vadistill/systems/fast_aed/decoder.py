"""The auto-encoder phase's decoder (Sec. 3, "Student pre-training"), dropped after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class Stage(NamedTuple):
    """A convolution of the encoder that may shrink the map."""

    kernel: int
    stride: int
    padding: int
    channels: int

    def shrink(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of its output for that of its input."""
        reach = 2 * self.padding - self.kernel
        return (size[0] + reach) // self.stride + 1, (size[1] + reach) // self.stride + 1


def stage_sizes(stages: Sequence[Stage], size: tuple[int, int]) -> list[tuple[int, int]]:
    """(height, width) of the input and of each stage's output."""
    sizes = [size]
    for stage in stages:
        sizes.append(stage.shrink(sizes[-1]))
    return sizes


class Decoder(nn.Module):
    """D of Eq. 2: a transposed convolution for each stage of the encoder, in reverse order.

    BN and ReLU follow all but the last.  There is no skip connection: one at the output's
    resolution would make the reconstruction trivial.
    """

    def __init__(self, stages: Sequence[Stage], size: tuple[int, int]) -> None:
        super().__init__()
        sizes = stage_sizes(stages, size)
        outputs = [3, *(stage.channels for stage in stages[:-1])]
        layers: list[nn.Module] = []
        for i in reversed(range(len(stages))):
            kernel, stride, padding, channels = stages[i]
            # What integer division took from this stage's input comes back at the far edge.
            rest = [
                whole - ((part - 1) * stride + kernel - 2 * padding)
                for whole, part in zip(sizes[i], sizes[i + 1], strict=True)
            ]
            layers.append(
                nn.ConvTranspose2d(
                    channels, outputs[i], kernel, stride, padding, (rest[0], rest[1]), bias=i == 0
                )
            )
            if i > 0:
                layers += [nn.BatchNorm2d(outputs[i]), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Float[Tensor, "n c y x"]) -> Float[Tensor, "n 3 h w"]:
        """The middle frame in the student's input units, (value - 127) / 128."""
        return self.layers(features)
