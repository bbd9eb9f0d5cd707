"""A network to run, with the names of its inputs and outputs; export to ONNX is here alone."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vadistill.errors import WeightsError
from vadistill.files import content_hash
from vadistill.int8 import Opener, with_int8

if TYPE_CHECKING:
    from torch import Tensor, nn

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Program:
    """A module with the names of its inputs and outputs: what a runtime is opened on."""

    module: nn.Module
    """From tensors to a tensor or a tuple of them."""
    inputs: Mapping[str, Tensor]
    """An example of each input by name, in the module's order."""
    outputs: Sequence[str]
    free: Sequence[int] = (0,)
    """Axes of inputs and outputs that vary; the sizes of others are the examples'."""
    batch: int = 256
    int8: bytes | Iterable[Arrays] = ()
    """The 8-bit graph of a saved model, or inputs on which its ranges are measured."""
    waits: bool = False
    """Whether other work goes on between and beside calls: see ``OnnxRuntime``."""
    rows: int = 16
    """Of a usual call."""

    def usual(self) -> Arrays:
        """Inputs of ``rows`` rows, which are noise of more and more contrast; always the same."""
        rng, made = np.random.default_rng(0), []
        for example in self.inputs.values():
            array = example.numpy()
            if 0 in self.free:
                array = np.repeat(array[:1], self.rows, axis=0)
            contrast = np.linspace(0.1, 1, len(array)).reshape(-1, *[1] * (array.ndim - 1))
            if array.dtype == np.uint8:
                array = (rng.integers(0, 256, array.shape) * contrast).astype(np.uint8)
            elif array.dtype.kind == "f":
                array = (rng.standard_normal(array.shape) * contrast).astype(array.dtype)
            made.append(array)
        return tuple(made)

    def key(self) -> str:
        """A hash of the network, weights and all."""
        about = repr((self.module, self.outputs, self.free, self.rows))
        tensors = {**self.inputs, **self.module.state_dict()}
        parts = [
            part
            for name, tensor in tensors.items()
            for part in (f"{name}{tuple(tensor.shape)}", tensor.detach().cpu().numpy().tobytes())
        ]
        return content_hash(about, *parts, self.int8 if isinstance(self.int8, bytes) else "")

    def to_onnx(self) -> bytes:
        """The module in eval mode as an ONNX graph."""
        import torch

        buffer = io.BytesIO()
        axes = {axis: f"n{axis or ''}" for axis in self.free}
        with warnings.catch_warnings():
            # Fixed sizes are meant, and the exporter that is not deprecated does not fold batch
            # norm.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                copy.deepcopy(self.module).cpu().eval(),
                tuple(self.inputs.values()),
                buffer,  # pyright: ignore[reportArgumentType]
                input_names=list(self.inputs),
                output_names=list(self.outputs),
                dynamic_axes={name: axes for name in (*self.inputs, *self.outputs)},
                opset_version=17,
                dynamo=False,
            )
        return buffer.getvalue()

    def to_int8(self, opened: Sequence[Opener] = ()) -> bytes:
        """The graph with 8-bit convolutions, as many as do in what ``opened`` opens.

        Raises WeightsError without ranges.
        """
        if isinstance(self.int8, bytes):
            return self.int8
        inputs = list(self.int8)
        if not inputs:
            raise WeightsError(
                "a model without the ranges of 8-bit convolutions",
                expected="one that was fitted with runtime onnx-int8",
                fix="fit it again, or choose another runtime",
            )
        return with_int8(self.to_onnx(), list(self.inputs), inputs, opened)
