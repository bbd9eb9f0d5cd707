"""ONNX graphs with 8-bit convolutions, whose ranges are measured on inputs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np


def with_int8(graph: bytes, feeds: Iterable[Mapping[str, np.ndarray]]) -> bytes:
    """A graph with 8-bit convolutions, whose ranges are measured on ``feeds``: inputs by name.

    Names that the graph lacks are left out.
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
