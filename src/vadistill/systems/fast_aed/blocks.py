"""What students are made of beside attention: pixels' way in, convolutions, heads, the decoder.

``lite``, our student for CPUs, is made of these alone.  Its frames meet in the first convolution,
where the way that something moves between them is still seen to the pixel; depthwise separable
convolutions follow.  Batch norm and ReLU alone are between them: all of it folds into 8-bit
convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.errors import ConfigError
from vadistill.systems.fast_aed.attention import Depthwise, Stage, stage_sizes


def standardise(frames: Num[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Pixel values in [0, 255] as the network sees them: (x - 127) / 128."""
    return (frames - 127.0).div_(128.0)  # in place: frames are large, and this is their copy


class Standardise(nn.Module):
    """``standardise`` in the type of the network's weights: bytes come as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("typed", torch.zeros(0), persistent=False)
        self.typed: Tensor

    def forward(self, pixels: Num[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return standardise(pixels.to(self.typed.dtype))


class ByteConvolution(nn.Module):
    """A first convolution with the standardisation in its weights, for pixel values as they come.

    What surrounds the picture is 127, which standardises to 0.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.bias is None
        self.padding = 0 if conv.padding_mode == "reflect" else int(conv.padding[0])
        self.conv = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # pyright: ignore[reportArgumentType]
            conv.stride,  # pyright: ignore[reportArgumentType]
            0 if self.padding else conv.padding,  # pyright: ignore[reportArgumentType]
            padding_mode=conv.padding_mode,
        )
        with torch.no_grad():
            self.conv.weight.copy_(conv.weight / 128)
            self.conv.bias.copy_(conv.weight.sum((1, 2, 3)) * (-127 / 128))  # pyright: ignore[reportOptionalMemberAccess]

    def forward(self, pixels: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n _ y x"]:
        if self.padding:
            pixels = F.pad(pixels, [self.padding] * 4, value=127)
        return self.conv(pixels.to(self.conv.weight.dtype))


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
    """The public configuration's 1x1 head: ReLU, max-pool to 2x2, linear, sigmoid: (0, 1)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * inputs, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 1"]:
        return F.sigmoid(self.linear(max_pool_to(F.relu(x), (2, 2)).flatten(1)))[:, None]
