"""Numbers too small for ordinary floating point."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@contextlib.contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Inside, this thread and those that it starts take subnormal numbers as zero.

    Weight decay brings unused weights below float32's smallest normal number (1.2e-38), where a
    product takes a CPU a hundred times as long.  Outside, this thread's numbers are what IEEE 754
    says again, which code that compares may need; PyTorch's worker threads that were started inside
    go on taking them as zero.  Does nothing on processors that cannot.
    """
    import torch

    already = bool(torch.tensor([1e-39]) * 2 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)


def without_subnormals(tensor: Tensor) -> Tensor:
    """A float32 tensor with zeros for subnormal numbers, which training on a GPU leaves in weights.

    Tensors of other types are given back as they are: float16 becomes float32 before it is used.
    """
    import torch

    if tensor.dtype != torch.float32:
        return tensor
    return tensor.masked_fill(tensor.abs() < torch.finfo(tensor.dtype).tiny, 0)
