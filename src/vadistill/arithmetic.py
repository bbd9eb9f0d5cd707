"""How this process treats numbers too small for ordinary floating point."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def flush_subnormals() -> None:
    """Have this thread, and those that it starts from now on, take subnormal numbers as zero.

    Weight decay brings unused weights below float32's smallest normal number (1.2e-38), where a
    product takes a CPU a hundred times as long.  Does nothing on processors that cannot.
    """
    import torch

    torch.set_flush_denormal(True)


def without_subnormals(tensor: Tensor) -> Tensor:
    """A float32 tensor with zeros for subnormal numbers, which training on a GPU leaves in weights.

    Tensors of other types are given back as they are: float16 becomes float32 before it is used.
    """
    import torch

    if tensor.dtype != torch.float32:
        return tensor
    return tensor.masked_fill(tensor.abs() < torch.finfo(tensor.dtype).tiny, 0)
