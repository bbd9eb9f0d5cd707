"""The convolutional transformer of the fast student (Fig. 3, Sec. 3 and Eq. 1 of the paper).

Tensors stay feature maps, (n, c, h, w): every position is a token, and pointwise convolutions take
the place of fully connected layers.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.systems.fast_aed.depthwise import Depthwise

Dense = Literal["pointwise", "linear"]
"""The two layers after attention: pointwise convolutions, or Table 8's fully connected layers."""


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


class CvTBlock(nn.Module):
    """Attention and feed-forward, each after a batch norm and inside a skip connection."""

    def __init__(
        self, channels: int, heads: int, width: int, *, shared_kv: bool, dense: Dense
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attention = ConvAttention(channels, heads, width, shared_kv=shared_kv)
        self.norm2 = nn.BatchNorm2d(channels)
        self.feed_forward = FeedForward(channels, dense)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))
