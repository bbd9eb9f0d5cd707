"""A YOLOX of three pooling layers, which finds white squares."""

from __future__ import annotations

from typing import Any

import numpy as np


def tiny_yolox(side: tuple[int, int] = (64, 64), *, resizable: bool = True) -> bytes:
    """An ONNX file as YOLOX's authors export theirs: rows of x, y, w, h, objectness, two classes.

    A cell of the coarsest grid (32 pixels of the input) that is white all over has the score 0.9,
    one as bright as the letterbox 0; its box is the cell.  ``side`` is the input's width and
    height; what is not ``resizable`` has its number of rows written into it.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {}
    for stride in (8, 16, 32):
        k, rows = str(stride), (side[0] // stride) * (side[1] // stride)
        weights = np.zeros((7, 3, 1, 1), np.float32)
        weights[4] = 1 / 3  # objectness: the mean colour
        bias = np.array([0.5, 0.5, 0, 0, -114 if stride == 32 else -255, 0.9, 0], np.float32)
        scale = np.array([1, 1, 1, 1, 1 / 141, 1, 1], np.float32)
        constants |= {
            f"weights{k}": weights,
            f"bias{k}": bias,
            f"scale{k}": scale.reshape(1, 7, 1, 1),
            f"shape{k}": np.array([1, 7, -1 if resizable else rows], np.int64),
        }
        pool: dict[str, Any] = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes += [
            helper.make_node("AveragePool", ["images"], [f"mean{k}"], **pool),
            helper.make_node("Conv", [f"mean{k}", f"weights{k}", f"bias{k}"], [f"conv{k}"]),
            helper.make_node("Mul", [f"conv{k}", f"scale{k}"], [f"cells{k}"]),
            helper.make_node("Reshape", [f"cells{k}", f"shape{k}"], [f"rows{k}"]),
        ]
    nodes += [
        helper.make_node("Concat", ["rows8", "rows16", "rows32"], ["all"], axis=2),
        helper.make_node("Transpose", ["all"], ["output"], perm=[0, 2, 1]),
    ]
    count = sum((side[0] // s) * (side[1] // s) for s in (8, 16, 32))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side[1], side[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, count, 7])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()
