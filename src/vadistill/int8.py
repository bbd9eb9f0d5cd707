"""ONNX graphs with 8-bit convolutions: their ranges, and which of them stay in fp32, are measured.

What lies beyond a range is cut off.  Ranges are those of normal footage, and an anomaly is what has
none of it: without what is done about that here, the highest scores are all the same.
"""

from __future__ import annotations

import json
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]
Opener = Callable[[bytes], Callable[..., Arrays]]
"""From a graph to what runs it: a runtime."""

LARGEST = 0.05
"""The largest difference of scores that 8 bits may make on their own footage, as a share of the
scores' range: half of what is let pass on other footage."""

PARTS = 16
"""Of a network that are tried by themselves, at most: neighbours are tried together where there are
more convolutions, so that it takes 22 trials at most."""

TRIED = 8
"""Batches on which a difference is measured, at most."""

RECORD = "int8"
"""Where a graph's metadata says what ``Kept`` says."""

PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
MOVED = {"Cast", "Concat", "Identity", "Pad", "Reshape", "Slice", "Transpose"}
"""Operations that leave values as they are."""
CODED = {"QuantizeLinear", "DequantizeLinear"}


@dataclass(frozen=True)
class Kept:
    """What of a graph is in 8 bits, as its metadata says."""

    convolutions: int
    """Of the network; those that share their weights are one."""
    last: int
    """Of these, the ones in fp32 behind which there is no other product."""
    fp32: tuple[str, ...]
    """The names of others in fp32, those that made the largest differences first."""
    difference: float | None
    """Of scores, that is left on the footage of the ranges, as a share of the scores' range."""

    @property
    def words(self) -> str:
        """In a line."""
        small = self.convolutions - self.last - len(self.fp32)
        told = f"{small} of {self.convolutions} convolutions, the last {self.last} in fp32"
        if self.fp32:
            told += f", and by the differences that they made {', '.join(self.fp32)}"
        if not small:
            told += "; nothing is left in 8 bits, so that it is no faster than without --int8"
        if self.difference is None:
            return told
        return f"{told}; largest difference {self.difference:.2g} on its own footage"


def with_int8(
    graph: bytes, names: Sequence[str], inputs: Iterable[Arrays], opened: Sequence[Opener] = ()
) -> bytes:
    """A graph with 8-bit convolutions, whose ranges are measured on ``inputs`` and on ``mixed``.

    The ranges of bytes are from 0 to 255.  The last convolutions, between which and an output there
    is no other product, stay in fp32.  So do, where otherwise scores (the first output) would
    differ by more than ``LARGEST`` in one of the runtimes that ``opened`` opens, those that make
    the largest differences by themselves (``PARTS``), as many as it takes.  ``names`` are those of
    ``inputs``; the graph may lack some.
    """
    inputs = list(inputs)
    inputs = [*inputs, *mixed(inputs)]
    ranged = Ranged(graph, [dict(zip(names, arrays, strict=True)) for arrays in inputs])
    tried = inputs[:: -(-len(inputs) // TRIED)]
    wanted = [scores_of(opener(graph), tried) for opener in opened]

    def difference(fp32: Collection[str]) -> float:
        made = ranged.graph(fp32)
        pairs = zip(opened, wanted, strict=True)
        return max(share(scores_of(opener(made), tried), own) for opener, own in pairs)

    layers, fp32 = list(ranged.layers), list[str]()
    found = difference(()) if opened else None
    if found is not None and found > LARGEST:
        parts = [part.tolist() for part in np.array_split(layers, min(PARTS, len(layers)))]
        parts.sort(key=lambda part: difference(set(layers).difference(part)), reverse=True)
        firsts = [[*chain(*parts[:count])] for count in range(1, len(parts) + 1)]
        enough = bisect_left(firsts[:-1], True, key=lambda some: difference(some) <= LARGEST)
        fp32 = firsts[enough]
        found = difference(fp32)
    shown = tuple(ranged.layers[layer][0] for layer in fp32)
    kept = Kept(ranged.convolutions, ranged.convolutions - len(layers), shown, found)
    return ranged.graph(fp32, kept)


def mixed(inputs: Sequence[Arrays]) -> Iterator[Arrays]:
    """As many rows again, of each a third from another place of the footage, along the second axis.

    That is where systems have their frames: what is there comes and goes, as no object of normal
    footage does, and ranges and differences are of high scores, too.
    """
    apart = -(-len(inputs) // 3)
    for index, own in enumerate(inputs):
        count, places = len(own[0]), [inputs[(index + i * apart) % len(inputs)] for i in range(3)]
        rows = [(np.arange(count) + i * count // 3) % len(p[0]) for i, p in enumerate(places)]
        yield tuple(
            np.concatenate(
                [np.array_split(places[i][column], 3, axis=1)[i][rows[i]] for i in range(3)], axis=1
            )
            for column in range(len(own))
        )


def scores_of(run: Callable[..., Arrays], inputs: Iterable[Arrays]) -> np.ndarray:
    """The first output for all rows."""
    return np.concatenate([run(*arrays)[0] for arrays in inputs])


def share(made: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference as a share of the range; where rows have several scores, of each."""
    extent = np.ptp(wanted, axis=0)
    largest = np.abs(made - wanted).max(axis=0)
    return float(np.max(np.divide(largest, extent, out=np.zeros_like(largest), where=extent > 0)))


class Ranged:
    """A graph of which ranges were measured on ``feeds``, inputs by name."""

    layers: dict[str, list[str]]
    """Convolutions that may be in 8 bits: the names of their nodes by that of their weights."""
    convolutions: int
    """All of them; those that share their weights are one."""

    def __init__(self, graph: bytes, feeds: Iterable[dict[str, np.ndarray]]) -> None:
        import onnx
        from onnxruntime.quantization import (
            CalibrationDataReader,
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

        # A ReLU that follows a convolution is part of it: half the numbers would be below zero
        # else.
        self.kinds = ["Conv", "Relu"]
        with tempfile.TemporaryDirectory() as folder:
            plain, prepared, wider = (Path(folder) / f"{n}.onnx" for n in ("plain", "prep", "wide"))
            plain.write_bytes(graph)
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            calibrator = create_calibrator(prepared, self.kinds, augmented_model_path=str(wider))
            calibrator.collect_data(Reader())
            self.ranges: Any = calibrator.compute_data()
            model = onnx.shape_inference.infer_shapes(onnx.load(prepared))
        low, high = np.array([0, 255], np.float32)
        for name in filter(self.ranges.__contains__, of_bytes(model.graph)):
            self.ranges[name] = type(self.ranges[name])(lowest=low, highest=high)
        self.last, self.layers, weights = last_of(model.graph), {}, set[str]()
        for node in model.graph.node:
            if node.op_type == "Conv":
                weights.add(node.input[1])
                if node.name not in self.last:
                    self.layers.setdefault(node.input[1], []).append(node.name)
        self.convolutions = len(weights)
        self.model = model.SerializeToString()  # which is changed as its numbers become 8-bit

    def graph(self, fp32: Collection[str] = (), kept: Kept | None = None) -> bytes:
        """With 8-bit convolutions but for these layers; ``kept`` becomes its metadata."""
        import onnx
        from onnxruntime.quantization import QDQQuantizer, QuantType

        excluded = [name for layer in fp32 for name in self.layers[layer]]
        made = QDQQuantizer(
            onnx.load_from_string(self.model),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self.ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=sorted({*self.last, *excluded}),
            op_types_to_quantize=self.kinds,
            extra_options={},
        )
        made.quantize_model()
        model: Any = made.model.model
        whole_beside(model.graph)
        if kept is not None:
            onnx.helper.set_model_props(model, {RECORD: json.dumps(asdict(kept))})
        return model.SerializeToString()


def kept_of(graph: bytes) -> Kept | None:
    """What an 8-bit graph says of itself; None for one that was made before it did."""
    import onnx

    props = {each.key: each.value for each in onnx.load_from_string(graph).metadata_props}
    if RECORD not in props:
        return None
    record = json.loads(props[RECORD])
    return Kept(**record | {"fp32": tuple(record["fp32"])})


def whole_beside(graph: Any) -> None:
    """Let what is in fp32 take numbers as they are, also where an 8-bit convolution takes them.

    In a residual network the shortcuts are such: they would be rounded, and cut off, anew in each
    block, and OpenVINO adds up such sums with far larger errors.  What an 8-bit convolution itself
    gave is taken as it is.
    """
    made = {name: node for node in graph.node for name in node.output}

    def coded(name: str) -> bool:
        return name in made and made[name].op_type == "DequantizeLinear"

    def whole(name: str) -> str:
        source = made.get(made[name].input[0]) if coded(name) else None
        before = source.input[0] if source is not None else name
        return name if before in made and made[before].op_type == "Conv" else before

    for node in graph.node:
        in_8_bits = node.op_type == "Conv" and coded(node.input[1])
        if node.op_type not in CODED and not in_8_bits:
            for index, name in enumerate(node.input):
                node.input[index] = whole(name)


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
