"""ONNX graphs of networks that were exported before in this process.

PyTorch takes the better part of a second to trace one, and every fit and every load does; the same
network gives the same graph.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from typing import Any

import pytest

KEPT = 32
"""Graphs, those used last."""


class _Content(pickle.Pickler):
    """All that a network is made of, its tensors by a hash of their numbers."""

    def persistent_id(self, obj: Any) -> tuple[object, ...] | None:
        import torch

        if not isinstance(obj, torch.Tensor):
            return None
        numbers = obj.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return str(obj.dtype), tuple(obj.shape), hashlib.sha256(numbers.tobytes()).digest()


def content(*parts: object) -> bytes | None:
    """A hash; None for what cannot be told, such as a class inside of a function."""
    told = io.BytesIO()
    try:
        _Content(told).dump(parts)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return hashlib.sha256(told.getvalue()).digest()


def remember(patch: pytest.MonkeyPatch) -> None:
    """Have ``Program.to_onnx`` export each network once."""
    from vadistill.program import Program

    export, graphs = Program.to_onnx, dict[bytes, bytes]()

    def to_onnx(self: Program) -> bytes:
        key = content(self.module, dict(self.inputs), tuple(self.outputs), tuple(self.free))
        if key is None:
            return export(self)
        graphs[key] = graphs.pop(key, b"") or export(self)
        if len(graphs) > KEPT:
            del graphs[next(iter(graphs))]
        return graphs[key]

    patch.setattr(Program, "to_onnx", to_onnx)
