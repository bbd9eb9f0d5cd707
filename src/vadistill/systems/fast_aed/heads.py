"""The student's anomaly heads, and pooling that gives every cell of a map its own evidence."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.errors import ConfigError
from vadistill.systems.fast_aed.lite import Separable

Upsampling = Literal["transposed", "none"]
"""What a head does where the feature map is smaller than its own map: learn to enlarge, or fail."""


Output = Literal["leaky", "relu"]
"""A map's activation in training: ReLU with slope 0.01 below zero, or the paper's ReLU."""


class MapActivation(nn.Module):
    """ReLU; ``leaky``, in training only, with slope 0.01 below zero.

    Almost every target is 0, so a head soon falls below zero everywhere.  Under a plain ReLU it
    then has no gradient and stays there: on toy videos two heads of five were lost.
    """

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.leaky = output == "leaky"

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return F.leaky_relu(x, 0.01) if self.leaky and self.training else F.relu(x)


def max_pool_to(
    maps: Float[Tensor, "n c h w"], size: tuple[int, int]
) -> Float[Tensor, "n c rows columns"]:
    """Adaptive max-pooling: ``F.adaptive_max_pool2d``, in operations that ONNX has.

    Cell i of r covers positions floor(i*h/r) to ceil((i+1)*h/r) of h.  On a GPU it is that very
    function, since the index would be copied there anew each time, which no CUDA graph allows.
    """
    if maps.is_cuda:
        return F.adaptive_max_pool2d(maps, size)
    for dim, cells in ((-2, size[0]), (-1, size[1])):
        length = int(maps.shape[dim])  # a number: while exporting, shapes are traced
        starts = [i * length // cells for i in range(cells)]
        ends = [-(-(i + 1) * length // cells) for i in range(cells)]
        widest = max(end - start for start, end in zip(starts, ends, strict=True))
        # Narrower cells repeat their last position, which leaves the maximum as it is.
        index = [
            min(start + j, end - 1)
            for start, end in zip(starts, ends, strict=True)
            for j in range(widest)
        ]
        flat = torch.tensor(index, device=maps.device)
        maps = maps.index_select(dim, flat).unflatten(dim, (cells, widest)).amax(dim)
    return maps


def upsampling_steps(
    feature: tuple[float, float], resolution: tuple[int, int], upsampling: Upsampling
) -> int:
    """Doublings that a (height, width) feature needs so that no cell of its map is a copy.

    ``feature`` counts what lies in the frame, so it may have fractions.  Raises ConfigError if any
    is needed and ``upsampling`` is ``none``.
    """
    ratio = max(r / f for r, f in zip(resolution, feature, strict=True))
    steps = max(0, math.ceil(math.log2(ratio)))
    if steps and upsampling == "none":
        got = "x".join(map(str, resolution))
        raise ConfigError(
            f"a {got} anomaly map from a {feature[0]:g}x{feature[1]:g} feature map",
            expected="a resolution within the feature map, as cells would be copies of each other",
            fix='set upsampling="transposed", a lower total stride, or a lower resolution',
        )
    return steps


class Head(nn.Module):
    """One anomaly head: conv 3x3, ReLU, conv 3x3 to one channel, ReLU, max-pool to a resolution.

    ``steps`` transposed convolutions (4x4, stride 2, ReLU) between the two double the feature map
    where the resolution asks for it.  ``extent`` are the rows and columns of its map that lie in
    the frame: what is beyond, where the frame's sides are no multiples of the stride, is cut off
    before pooling, so that cells cover the same part of the frame as a teacher's.  Values are at
    least 0 when scoring, in training with ``leaky`` output slightly below; targets lie in [0, 1].
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        resolution: tuple[int, int],
        extent: tuple[int, int],
        *,
        steps: int = 0,
        separable: bool = False,
        output: Output = "leaky",
    ) -> None:
        super().__init__()
        self.resolution, self.extent = resolution, extent
        if separable:
            layers: list[nn.Module] = [Separable(inputs, channels)]
        else:
            layers = [nn.Conv2d(inputs, channels, 3, 1, 1), nn.ReLU()]
        for _ in range(steps):
            layers += [nn.ConvTranspose2d(channels, channels, 4, 2, 1), nn.ReLU()]
        last = nn.Conv2d(channels, 1, 3, 1, 1)
        # Every map starts above zero, where it has a gradient under either activation.
        nn.init.constant_(last.bias, 0.1)  # pyright: ignore[reportArgumentType]
        self.layers = nn.Sequential(*layers, last, MapActivation(output))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"]:
        rows, columns = self.extent
        return max_pool_to(self.layers(x)[..., :rows, :columns], self.resolution)[:, 0]


class LinearHead(nn.Module):
    """The public configuration's 1x1 head: max-pool to 2x2, a linear layer, sigmoid: in (0, 1)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * inputs, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 1"]:
        return F.sigmoid(self.linear(max_pool_to(x, (2, 2)).flatten(1)))[:, None]
