"""Detection networks in ONNX files, of two families: FastestDet and YOLOX."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.errors import ConfigError, WeightsError

Picture = UInt8[np.ndarray, "h w 3"]
Detections = tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]]
"""Boxes in pixels of the picture given, and their scores in [0, 1]."""


Run = Callable[[np.ndarray], np.ndarray]
"""What an ONNX file makes of one picture [1, 3, h, w]."""


class Network(ABC):
    """What finds objects in one picture."""

    side: tuple[int, int]
    """Width and height that the network sees."""

    @abstractmethod
    def __call__(self, picture: Picture, least: float = 0.0) -> Detections:
        """Every box that the network has of a score of ``least`` or more."""


def load_onnx(graph: bytes, name: str, *, device: str = "cpu", longest: int = 0) -> Network:
    """A FastestDet or YOLOX from what its ONNX file holds, told apart by the output's shape.

    ``name`` is the file's, for errors.  A YOLOX sees pictures at a size that fits them, ``longest``
    pixels on the longer side; 0: at the file's own size, as FastestDet does always.
    Raises WeightsError for a damaged file, ConfigError for another model.
    """
    from vadistill.runtime import OnnxRuntime

    try:
        runtime = OnnxRuntime(graph, device=device, waits=True)
    except Exception as error:  # ONNX Runtime raises a dozen classes of its own
        raise WeightsError(
            f"{name} is not a readable ONNX model ({str(error).splitlines()[0]})",
            expected="a whole .onnx file",
            fix="export or copy it again",
        ) from error

    def run(picture: Float32[np.ndarray, "1 3 h w"]) -> np.ndarray:
        return runtime.run([picture])[0]

    inputs, outputs = runtime.session.get_inputs(), runtime.session.get_outputs()
    shape, shapes = list(inputs[0].shape), [list(o.shape) for o in outputs]
    if len(inputs) == 1 and len(outputs) == 1 and _is_picture(shape):
        side = (shape[3], shape[2])
        out = run(np.zeros((1, 3, side[1], side[0]), np.float32))
        if out.ndim == 4 and out.shape[1] > 5 and out.shape[2] * 4 <= side[1]:
            return FastestDet(run, side)
        if out.ndim == 3 and out.shape[1] == yolox_rows(side) and out.shape[2] > 5:
            # Exports differ in whether they turn offsets into pixels; offsets stay far below this.
            in_pixels = float(out[..., :2].max()) > max(side) / 2
            sizes = Sizes(graph, device) if longest else None
            if sizes and not sizes.fit():
                log = logging.getLogger(__name__)
                log.warning("%s has %dx%d pixels written into it: it sees no others", name, *side)
                sizes = None
            return YOLOX(run, side, in_pixels=in_pixels, sizes=sizes, longest=longest)
    raise ConfigError(
        f"{name} takes {shape} and gives {shapes}",
        expected="FastestDet ([1,3,h,w] to [1,5+classes,h/16,w/16]) or YOLOX ([1,n,5+classes])",
        fix="export one of these with a fixed input size, or name a torchvision detector",
    )


def _is_picture(shape: list[Any]) -> bool:
    """Whether an ONNX input takes one picture of three channels and a fixed size."""
    fixed = len(shape) == 4 and all(isinstance(n, int) and n >= 32 for n in shape[2:])
    return fixed and shape[1] == 3 and (shape[0] == 1 or not isinstance(shape[0], int))


class FastestDet(Network):
    """https://github.com/dog-qiuqiu/FastestDet: one grid; the picture is stretched to the input."""

    def __init__(self, run: Run, side: tuple[int, int]) -> None:
        self.run, self.side = run, side

    def __call__(self, picture: Picture, least: float = 0.0) -> Detections:
        import cv2

        small = cv2.resize(picture, self.side, interpolation=cv2.INTER_LINEAR)
        # Trained on BGR in [0, 1].
        blob = cv2.dnn.blobFromImage(small, 1 / 255, swapRB=True)
        shares, scores = decode_fastestdet(self.run(blob)[0])
        height, width = picture.shape[:2]
        boxes = shares * np.array([width, height, width, height], np.float32)
        return boxes[scores >= least], scores[scores >= least]


def decode_fastestdet(output: Float32[np.ndarray, "c h w"]) -> Detections:
    """Boxes as shares of the picture, one for each cell of the grid.

    Channels are objectness, x, y, w, h, then class probabilities.  The centre is tanh(x, y) cells
    from the cell's corner, the size sigmoid(w, h) of the picture; the score is
    objectness^0.6 * probability^0.4.
    """
    rows, columns = output.shape[1:]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    centre = np.stack([(np.tanh(output[1]) + x) / columns, (np.tanh(output[2]) + y) / rows], -1)
    half = 0.5 / (1 + np.exp(-output[3:5].transpose(1, 2, 0)))
    boxes = np.concatenate([centre - half, centre + half], -1).reshape(-1, 4)
    scores = output[0] ** 0.6 * output[5:].max(0) ** 0.4
    return boxes.astype(np.float32), scores.reshape(-1).astype(np.float32)


YOLOX_STRIDES = (8, 16, 32)


def yolox_rows(side: tuple[int, int]) -> int:
    """Cells of the three grids over an input of this width and height."""
    return sum((side[0] // stride) * (side[1] // stride) for stride in YOLOX_STRIDES)


def fitting(width: int, height: int, longest: int) -> tuple[int, int]:
    """Width and height of an input for a picture: its shape, in multiples of the coarsest stride.

    >>> fitting(360, 240, 640)
    (640, 448)
    """
    cell, scale = YOLOX_STRIDES[-1], longest / max(width, height)
    across, down = (max(1, ceil(round(side * scale / cell, 3))) for side in (width, height))
    return across * cell, down * cell


class Sizes:
    """A YOLOX's file at other sizes of its input than its own.

    Its layers are convolutions, pooling and doubling, which take any size.
    """

    KEPT = 4
    """Sizes that stay open: videos come one after the other."""

    def __init__(self, graph: bytes, device: str) -> None:
        self._graph, self._device = graph, device
        self._runs: dict[tuple[int, int], Run] = {}

    def fit(self) -> bool:
        """Whether the file works at another size: exporters may write its own into its layers."""
        side = (96, 64)
        try:
            out = self.run(side)(np.zeros((1, 3, side[1], side[0]), np.float32))
        except Exception:  # ONNX Runtime's, which are many
            return False
        return out.shape[1] == yolox_rows(side)

    def run(self, side: tuple[int, int]) -> Run:
        """The network for inputs of this width and height, which is faster than one for any."""
        import onnx

        from vadistill.runtime import OnnxRuntime

        known = self._runs.get(side)
        if known is not None:
            return known
        model = onnx.load_from_string(self._graph)
        shape = model.graph.input[0].type.tensor_type.shape.dim
        shape[3].dim_value, shape[2].dim_value = side
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "rows"
        del model.graph.value_info[:]  # the shapes of the layers between
        runtime = OnnxRuntime(model.SerializeToString(), device=self._device, waits=True)

        def run(picture: Float32[np.ndarray, "1 3 h w"]) -> np.ndarray:
            return runtime.run([picture])[0]

        kept = list(self._runs.items())[1 - self.KEPT :]
        self._runs = dict([*kept, (side, run)])
        return run


class YOLOX(Network):
    """Ge et al. 2021, "YOLOX: exceeding YOLO series in 2021": three grids, letterboxed input."""

    def __init__(
        self,
        run: Run,
        side: tuple[int, int],
        *,
        in_pixels: bool,
        sizes: Sizes | None = None,
        longest: int = 0,
    ) -> None:
        self.run, self.side, self.in_pixels = run, side, in_pixels
        self.sizes, self.longest = sizes, longest

    def __call__(self, picture: Picture, least: float = 0.0) -> Detections:
        import cv2

        height, width = picture.shape[:2]
        side, run = self.side, self.run
        if self.sizes:
            side = fitting(width, height, self.longest)
            run = self.sizes.run(side)
        ratio = min(side[0] / width, side[1] / height)
        size = (max(1, int(width * ratio)), max(1, int(height * ratio)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        letterbox = np.full((1, 3, side[1], side[0]), 114, np.float32)
        for channel, plane in enumerate(cv2.split(small)):  # trained on BGR in [0, 255]
            letterbox[0, 2 - channel, : size[1], : size[0]] = plane
        boxes, scores = decode_yolox(run(letterbox)[0], side, in_pixels=self.in_pixels, least=least)
        return boxes / np.float32(ratio), scores


def decode_yolox(
    output: Float32[np.ndarray, "rows c"],
    side: tuple[int, int],
    *,
    in_pixels: bool,
    least: float = 0.0,
) -> Detections:
    """Boxes of scores of ``least`` or more, in pixels of the network's input.

    One row of the output is a box: x, y, w, h, objectness, then class probabilities.  Unless
    ``in_pixels``, the centre is (x, y) strides from its cell's corner and the size exp(w, h)
    strides.  The score is objectness * probability.
    """
    rows = np.flatnonzero(output[:, 4] >= least)  # no probability raises the others' scores
    scores = output[rows, 4] * output[rows, 5:].max(1)
    rows, scores = rows[scores >= least], scores[scores >= least]
    centre, size = output[rows, :2], output[rows, 2:4]
    if not in_pixels:
        corners, strides = yolox_cells(side)
        centre, size = (centre + corners[rows]) * strides[rows], np.exp(size) * strides[rows]
    return np.concatenate([centre - size / 2, centre + size / 2], 1), scores


@lru_cache
def yolox_cells(
    side: tuple[int, int],
) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n 1"]]:
    """Of an output's rows the cells' corners, in strides, and the strides, in pixels."""
    cells, strides = [], []
    for stride in YOLOX_STRIDES:
        y, x = np.mgrid[: side[1] // stride, : side[0] // stride].astype(np.float32)
        cells.append(np.stack([x, y], -1).reshape(-1, 2))
        strides.append(np.full((x.size, 1), stride, np.float32))
    return np.concatenate(cells), np.concatenate(strides)
