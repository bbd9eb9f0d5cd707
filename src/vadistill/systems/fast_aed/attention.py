"""The paper's encoder: downsampling block and convolutional transformer (Fig. 3, Sec. 3, Eq. 1).

Tensors stay feature maps, (n, c, h, w): every position is a token, and pointwise convolutions take
the place of fully connected layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Dense = Literal["pointwise", "linear"]
"""The two layers after attention: pointwise convolutions, or Table 8's fully connected layers."""


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


class DownsamplingBlock(nn.Sequential):
    """Five convolutions, each with batch norm and ReLU: 7x7, then 3x3 with stride 2."""

    def __init__(self, inputs: int, stages: Sequence[Stage]) -> None:
        layers: list[nn.Module] = []
        for kernel, stride, padding, channels in stages:
            # At stride 1 the first map is as large as the frame; its edge is reflected, not black.
            mode = "reflect" if stride == 1 else "zeros"
            layers += [
                nn.Conv2d(inputs, channels, kernel, stride, padding, bias=False, padding_mode=mode),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            inputs = channels
        super().__init__(*layers)


class Depthwise(nn.Conv2d):
    """A convolution of each channel on its own, without bias; the map keeps its size at stride 1.

    On CPUs it is always fp32, in mixed precision too: there, the gradients of kernels larger than
    3x3 or with a stride take two to four times as long in bf16.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )

    def forward(self, input: Float[Tensor, "n c _ _"]) -> Float[Tensor, "n c _ _"]:
        if input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.float())
        return super().forward(input)


class ConvProjection(nn.Sequential):
    """Depthwise 3x3 convolution and batch norm: the tokens that queries, keys or values see."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(Depthwise(channels, 3, stride), nn.BatchNorm2d(channels))


class ConvAttention(nn.Module):
    """Multi-head attention whose Q, K and V are depthwise separable convolutions of the map.

    ``Z = softmax(Q K^T / sqrt(d)) V`` (Eq. 1) with n_q = h*w queries and about n_q / 4 keys and
    values, as their depthwise convolution has stride 2.  ``shared_kv``: K and V take their own
    pointwise convolution of one depthwise convolution, instead of one each.  The heads share the
    depthwise convolutions, as in CvT.
    """

    def __init__(self, channels: int, heads: int, width: int, *, shared_kv: bool) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        inner = heads * width
        self.query_tokens = ConvProjection(channels, 1)
        self.key_tokens = ConvProjection(channels, 2)
        self.value_tokens = None if shared_kv else ConvProjection(channels, 2)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, inner, 1, bias=False)
        self.output = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        keys = self.key_tokens(x)
        values = keys if self.value_tokens is None else self.value_tokens(x)
        z = F.scaled_dot_product_attention(
            self._tokens(self.query(self.query_tokens(x))),
            self._tokens(self.key(keys)),
            self._tokens(self.value(values)),
        )
        n, _, h, w = x.shape
        return self.output(z.transpose(2, 3).reshape(n, self.heads * self.width, h, w))

    def _tokens(self, x: Float[Tensor, "n inner h w"]) -> Float[Tensor, "n s tokens d"]:
        return x.flatten(2).unflatten(1, (self.heads, self.width)).transpose(2, 3)


class FeedForward(nn.Module):
    """c -> 4c, GELU, 4c -> c at every position, by pointwise convolutions or by linear layers."""

    def __init__(self, channels: int, dense: Dense) -> None:
        super().__init__()
        self.dense: Dense = dense
        if dense == "pointwise":
            self.widen: nn.Module = nn.Conv2d(channels, 4 * channels, 1)
            self.narrow: nn.Module = nn.Conv2d(4 * channels, channels, 1)
        else:
            self.widen = nn.Linear(channels, 4 * channels)
            self.narrow = nn.Linear(4 * channels, channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        if self.dense == "pointwise":
            return self.narrow(F.gelu(self.widen(x)))
        tokens = x.permute(0, 2, 3, 1)
        return self.narrow(F.gelu(self.widen(tokens))).permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels at every position, as in CvT and the public configuration."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


Norm = Literal["batch", "layer"]

NORMS: dict[Norm, type[nn.BatchNorm2d] | type[ChannelNorm]] = {
    "batch": nn.BatchNorm2d,
    "layer": ChannelNorm,
}
"""What a transformer block's parts see their map through: the paper's, or CvT's."""


class CvTBlock(nn.Module):
    """Attention and feed-forward, each after a norm and inside a skip connection."""

    def __init__(
        self,
        channels: int,
        heads: int,
        width: int,
        *,
        shared_kv: bool,
        dense: Dense,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.norm1 = NORMS[norm](channels)
        self.attention = ConvAttention(channels, heads, width, shared_kv=shared_kv)
        self.norm2 = NORMS[norm](channels)
        self.feed_forward = FeedForward(channels, dense)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class CvTEncoder(nn.Sequential):
    """The downsampling block, then ``blocks`` transformer blocks on its last map."""

    def __init__(
        self,
        inputs: int,
        stages: Sequence[Stage],
        blocks: int,
        heads: int,
        width: int,
        *,
        shared_kv: bool,
        dense: Dense,
        norm: Norm,
    ) -> None:
        channels = stages[-1].channels
        super().__init__(
            DownsamplingBlock(inputs, stages),
            *(
                CvTBlock(channels, heads, width, shared_kv=shared_kv, dense=dense, norm=norm)
                for _ in range(blocks)
            ),
        )
