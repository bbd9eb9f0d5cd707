"""PyTorch modules as ONNX graphs: export, 8-bit convolutions, and sessions on the CPU."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Feeds = Mapping[str, np.ndarray]
"""The inputs of one run by name."""


def export(
    module: nn.Module, examples: Sequence[Tensor], inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    """A module in eval mode as a graph whose first axis is free: the batch; all else is fixed."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Fixed sizes are meant, and the exporter that is not deprecated does not fold batch norm.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(examples),
            buffer,  # pyright: ignore[reportArgumentType]
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "n"} for name in (*inputs, *outputs)},
            opset_version=17,
            dynamo=False,
        )
    return buffer.getvalue()


def session(graph: bytes) -> InferenceSession:
    """A graph ready to run on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def to_int8(graph: bytes, feeds: Iterable[Feeds]) -> bytes:
    """The graph with 8-bit convolutions, whose ranges are measured on ``feeds``.

    Names in ``feeds`` that the graph lacks are left out.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    names = [i.name for i in onnx.load_from_string(graph).graph.input]

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            given = next(self.feeds, None)
            return None if given is None else {name: given[name] for name in names}

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (Path(folder) / f"{n}.onnx" for n in ("plain", "prepared", "int8"))
        plain.write_bytes(graph)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            small,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return small.read_bytes()
