"""A detector's feature maps as a backbone."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.backbones.base import SAMPLED, Backbone, View, evenly
from vadistill.backbones.detection import YOLOX, load_onnx
from vadistill.backbones.detectors import onnx_path, read_onnx
from vadistill.errors import ConfigError
from vadistill.files import content_hash

if TYPE_CHECKING:
    from vadistill.devices import Device


class DetectorBackbone(Backbone):
    """Mean, maximum and deviation over space of a detector's maps; of each, mean and deviation
    over a snippet's sampled frames.

    Frames are squeezed to the detector's input.
    """

    def __init__(self, name: str, path: Path, pattern: str) -> None:
        import onnx

        from vadistill.runtime import OnnxRuntime

        detector = load_onnx(read_onnx(path), str(path))
        self._scale = 1.0 if isinstance(detector, YOLOX) else 1 / 255
        graph = onnx.load(path)
        maps = [m for m in _maps(graph) if fnmatch(m, pattern)] if pattern else _stems(graph)
        if not maps:
            lacks = f"is called '{pattern}'" if pattern else "is where a YOLOX's heads begin"
            raise ConfigError(
                f"no feature map of {path} {lacks}",
                expected=f"a pattern of names such as {', '.join(_maps(graph)[-3:])}",
                fix="write it behind the file: detector:FILE@PATTERN",
            )
        del graph.graph.output[:]
        for each in maps:
            kind = onnx.TensorProto.FLOAT
            graph.graph.output.append(onnx.helper.make_tensor_value_info(each, kind, None))
        self._network = OnnxRuntime(graph.SerializeToString())
        width, height = detector.side
        self.name = name
        self.view = View.whole(tuple(evenly(SAMPLED).tolist()), (height, width))
        self.fingerprint = content_hash(path, repr((sorted(maps), self.view)))
        blank = np.zeros((1, *self.view.shape), np.uint8)
        self.dim = self(blank).shape[1]

    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> UInt8[np.ndarray, "1 f y x 3"]:
        """Sampled frames at the detector's size, as bytes."""
        return self.view(frames)

    def __call__(self, prepared: UInt8[np.ndarray, "n 1 f y x 3"]) -> Float32[np.ndarray, "n d"]:
        """Pooled maps of each frame, pooled again over a snippet's frames."""
        rows = []
        for frames in prepared[:, 0]:
            each = np.stack([self._pooled(frame) for frame in frames])
            rows.append(np.concatenate([each.mean(0), each.std(0)]))
        return np.stack(rows)

    def _pooled(self, frame: UInt8[np.ndarray, "y x 3"]) -> Float32[np.ndarray, " p"]:
        """One frame's maps; both families of detectors were trained on BGR."""
        picture = frame[None, :, :, ::-1].transpose(0, 3, 1, 2) * np.float32(self._scale)
        maps = self._network.run([picture])
        over = [np.asarray(m[0]).reshape(m.shape[1], -1) for m in maps]
        return np.concatenate([p for m in over for p in (m.mean(1), m.max(1), m.std(1))])


def _maps(graph: Any) -> list[str]:
    """Names of all four-dimensional tensors inside a model, in its order."""
    import onnx

    known = onnx.shape_inference.infer_shapes(graph).graph.value_info
    return [v.name for v in known if len(v.type.tensor_type.shape.dim) == 4]


def _stems(graph: Any) -> list[str]:
    """Where a YOLOX's heads begin, at its three resolutions: what two or more 3x3 convolutions
    read, and nothing else does, whatever an exporter calls it."""
    readers: dict[str, list[Any]] = {}
    for node in graph.graph.node:
        kernel = [list(each.ints) for each in node.attribute if each.name == "kernel_shape"]
        for tensor in node.input[:1]:
            readers.setdefault(tensor, []).append((node.op_type, kernel))
    heads = ("Conv", [[3, 3]])
    return [m for m, by in readers.items() if len(by) > 1 and all(each == heads for each in by)]


def open_detector(name: str, rest: str | None, *, device: Device, crops: int) -> DetectorBackbone:
    """``detector:FILE`` or a published YOLOX's name, or ``…@PATTERN`` with the maps' names.

    It sees whole frames, so ``crops`` changes nothing, and runs on the CPU.  Raises ConfigError for
    a model of another family or a pattern that no map meets, WeightsError for an unreadable file
    and one that cannot be fetched.
    """
    file, _, pattern = (rest or "").partition("@")
    if not file:
        raise ConfigError(
            f"backbone '{name}' without a file",
            expected="an ONNX detector, as in detector:yolox_nano.onnx",
            fix="name one",
        )
    return DetectorBackbone(name, onnx_path(file), pattern)
