"""Depthwise convolution as both kinds of student use it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
