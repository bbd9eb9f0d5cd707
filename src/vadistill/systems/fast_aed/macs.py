"""Multiply-accumulates, counted by running the network."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vadistill.systems.fast_aed.model import Student


def count_macs(function: Callable[..., object], *inputs: object) -> int:
    """Multiply-accumulates of the convolutions, matrix and attention products of a call.

    Biases, norms, activations and pooling are not counted.
    """
    # PyTorch's counter knows attention only as its two products, which the fused kernel hides.
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        function(*inputs)
    return counter.get_total_flops() // 2


def macs_per_window(student: Student) -> int:
    """Multiply-accumulates of a window: 7.05 G for ``reference`` at 640x360."""
    network: nn.Module = copy.deepcopy(student).to("meta").eval()  # shapes without arithmetic
    channels = 3 * student.architecture.frames
    return count_macs(network, torch.zeros(1, channels, *student.size, device="meta"))
