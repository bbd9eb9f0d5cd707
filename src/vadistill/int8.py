"""ONNX graphs with 8-bit convolutions, whose ranges are measured on inputs.

What lies beyond a range is cut off.  Ranges are those of normal footage, and an anomaly is what has
none of it: without what is done about that here, the highest scores are all the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

HEADROOM = 1.25
"""How much further ranges reach than on the inputs that they are measured on."""

PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
MOVED = {"Cast", "Concat", "Identity", "Pad", "Reshape", "Slice", "Transpose"}
"""Operations that leave values as they are."""


def with_int8(graph: bytes, feeds: Iterable[Mapping[str, np.ndarray]]) -> bytes:
    """A graph with 8-bit convolutions, whose ranges are measured on ``feeds``: inputs by name.

    Ranges reach ``HEADROOM`` times as far as there, those of bytes from 0 to 255.  The last
    convolutions, between which and an output there is no other product, stay in fp32.  Names that
    the graph lacks are left out.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QDQQuantizer,
        QuantType,
        create_calibrator,
        quant_pre_process,
    )

    names = [i.name for i in onnx.load_from_string(graph).graph.input]

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            given = next(self.feeds, None)
            return None if given is None else {name: given[name] for name in names}

    # A ReLU that follows a convolution is part of it: half the numbers would be below zero else.
    kinds = ["Conv", "Relu"]
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, wider = (Path(folder) / f"{n}.onnx" for n in ("plain", "prepared", "wide"))
        plain.write_bytes(graph)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        calibrator = create_calibrator(prepared, kinds, augmented_model_path=str(wider))
        calibrator.collect_data(Reader())
        ranges: Any = calibrator.compute_data()
        model = onnx.shape_inference.infer_shapes(onnx.load(prepared))
    pixels = of_bytes(model.graph)
    for name, data in ranges.items():
        known = (0, 255) if name in pixels else HEADROOM * np.asarray(data.range_value)
        low, high = np.asarray(known, np.float32)
        ranges[name] = type(data)(lowest=low, highest=high)
    made = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=sorted(last_of(model.graph)),
        op_types_to_quantize=kinds,
        extra_options={},
    )
    made.quantize_model()
    return made.model.model.SerializeToString()


def of_bytes(graph: Any) -> set[str]:
    """The tensors of a graph that are values of its inputs in bytes, however moved."""
    from onnx import TensorProto

    found = {i.name for i in graph.input if i.type.tensor_type.elem_type == TensorProto.UINT8}
    for node in graph.node:  # in order
        moved = node.input if node.op_type == "Concat" else node.input[:1]
        if node.op_type in MOVED and found.issuperset(moved):
            found |= set(node.output)
    return found


def last_of(graph: Any) -> set[str]:
    """The names of the convolutions behind which no other product is, and of what follows them."""
    found, reached = set[str](), {each.name for each in graph.output}
    for node in reversed(graph.node):
        if reached & set(node.output):
            found.add(node.name)
            if node.op_type not in PRODUCTS:
                reached |= set(node.input)
    return found
