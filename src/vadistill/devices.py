"""What this process computes with: device, precision, threads, memory, subnormal numbers.

PyTorch is imported on first use, so that help stays fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from vadistill.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers of glibc's ``mallopt``."""


def pick_device(device: str) -> torch.device:
    """``auto`` is CUDA where there is a GPU and the CPU otherwise; raises ConfigError."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise ConfigError(
            f"device '{device}'", expected="auto, cpu or cuda", fix="pass --device auto"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device 'cuda', but PyTorch sees no GPU",
            expected="a CUDA build of PyTorch and a GPU",
            fix="pass --device cpu or auto",
        )
    return torch.device(device)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products have their own hardware (AMX, AVX-512 BF16; any recent GPU)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    kinds = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, kind, lambda: False)() for kind in kinds)


def pick_precision(device: torch.device, precision: Precision) -> Precision:
    """``auto`` is bf16 where the hardware has it and fp32 elsewhere."""
    if precision != "auto":
        return precision
    return "bf16" if has_fast_bf16(device) else "fp32"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Context of mixed precision for bf16, of none for fp32."""
    import torch

    enabled = pick_precision(device, precision) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@contextlib.contextmanager
def threads(count: int | None = None) -> Iterator[None]:
    """Run with ``count`` CPU threads (default: all cores that this process may use)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next allocation.

    By default glibc gives large blocks back to the system and asks for them again: a training step
    on a CPU then may wait for hundreds of thousands of fresh pages to be zeroed
    (benchmarks/training_memory.py).  The process does not shrink afterwards, so live services do
    without.  Does nothing where there is no glibc, or no glibc's allocator.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def asked_threads() -> int:
    """``OMP_NUM_THREADS``, or 0: as many as a library takes by itself."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdigit() else 0
