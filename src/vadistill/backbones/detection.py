"""Detection networks (ONNX files of two families, torchvision's by name), and one as a backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.backbones.base import SAMPLED, Backbone, View, evenly
from vadistill.errors import ConfigError, WeightsError
from vadistill.files import content_hash

if TYPE_CHECKING:
    from vadistill.devices import Device

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
    def __call__(self, picture: Picture) -> Detections:
        """Every box the network has, those of low scores too."""


def load_network(name: str, weights: str = "", device: str = "auto") -> Network:
    """An ONNX file, or a torchvision detector with ``weights`` or its own ('' : downloaded).

    Raises WeightsError for a missing or damaged file, ConfigError for an unknown name or family.
    """
    if name.lower().endswith(".onnx"):
        if weights:
            raise ConfigError(
                f"weights '{weights}' for {name}",
                expected="an ONNX file alone: it holds its weights",
                fix="leave weights out",
            )
        return load_onnx(Path(name), device)
    if "/" in name or "\\" in name or "." in name:
        raise ConfigError(
            f"detector '{name}'",
            expected="a file that ends in .onnx, or a torchvision detector's name",
            fix="export the model to ONNX",
        )
    return TorchvisionNetwork(name, weights or None, device)


def load_onnx(path: Path, device: str) -> Network:
    """A FastestDet or YOLOX from its ONNX file, told apart by the output's shape.

    Raises WeightsError for a missing or damaged file, ConfigError for another model.
    """
    from vadistill.runtime import OnnxRuntime

    if not path.is_file():
        raise WeightsError(f"no detector at {path}", expected="an .onnx file", fix="check the path")
    try:
        runtime = OnnxRuntime(path, device=device)
    except Exception as error:  # ONNX Runtime raises a dozen classes of its own
        raise WeightsError(
            f"{path} is not a readable ONNX model ({str(error).splitlines()[0]})",
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
        rows = sum((side[0] // s) * (side[1] // s) for s in YOLOX_STRIDES)
        if out.ndim == 3 and out.shape[1] == rows and out.shape[2] > 5:
            # Exports differ in whether they turn offsets into pixels; offsets stay far below this.
            return YOLOX(run, side, in_pixels=float(out[..., :2].max()) > max(side) / 2)
    raise ConfigError(
        f"{path} takes {shape} and gives {shapes}",
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

    def __call__(self, picture: Picture) -> Detections:
        import cv2

        small = cv2.resize(picture, self.side, interpolation=cv2.INTER_LINEAR)
        # Trained on BGR in [0, 1].
        blob = cv2.dnn.blobFromImage(small, 1 / 255, swapRB=True)
        shares, scores = decode_fastestdet(self.run(blob)[0])
        height, width = picture.shape[:2]
        return shares * np.array([width, height, width, height], np.float32), scores


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


class YOLOX(Network):
    """Ge et al. 2021, "YOLOX: exceeding YOLO series in 2021": three grids, letterboxed input."""

    def __init__(self, run: Run, side: tuple[int, int], *, in_pixels: bool) -> None:
        self.run, self.side, self.in_pixels = run, side, in_pixels

    def __call__(self, picture: Picture) -> Detections:
        import cv2

        height, width = picture.shape[:2]
        ratio = min(self.side[0] / width, self.side[1] / height)
        size = (max(1, int(width * ratio)), max(1, int(height * ratio)))
        canvas = np.full((self.side[1], self.side[0], 3), 114, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        # Trained on BGR in [0, 255].
        output = self.run(cv2.dnn.blobFromImage(canvas, swapRB=True))[0]
        boxes, scores = decode_yolox(output, self.side, in_pixels=self.in_pixels)
        return boxes / np.float32(ratio), scores


def decode_yolox(
    output: Float32[np.ndarray, "n c"], side: tuple[int, int], *, in_pixels: bool
) -> Detections:
    """Boxes in pixels of the network's input, one for each row of the output.

    Columns are x, y, w, h, objectness, then class probabilities.  Unless ``in_pixels``, the centre
    is (x, y) strides from its cell's corner and the size exp(w, h) strides.  The score is
    objectness * probability.
    """
    centre, size = output[:, :2], output[:, 2:4]
    if not in_pixels:
        cells, strides = [], []
        for stride in YOLOX_STRIDES:
            y, x = np.mgrid[: side[1] // stride, : side[0] // stride].astype(np.float32)
            cells.append(np.stack([x, y], -1).reshape(-1, 2))
            strides.append(np.full((x.size, 1), stride, np.float32))
        stride = np.concatenate(strides)
        centre, size = (centre + np.concatenate(cells)) * stride, np.exp(size) * stride
    boxes = np.concatenate([centre - size / 2, centre + size / 2], 1)
    return boxes, output[:, 4] * output[:, 5:].max(1)


class TorchvisionNetwork(Network):
    """Any of ``torchvision.models.detection`` with COCO weights."""

    def __init__(self, name: str, weights: str | None, device: str) -> None:
        from vadistill.devices import pick_device
        from vadistill.torchvision_cpu import pretrained

        self._device = pick_device(device)
        self._model = pretrained(f"detection.{name}", weights).to(self._device)
        transform: Any = self._model.transform
        least = int(transform.min_size[-1])
        width, height = transform.fixed_size or (least, least)
        self.side = (int(width), int(height))

    def __call__(self, picture: Picture) -> Detections:
        import torch

        with torch.inference_mode():
            tensor = torch.from_numpy(picture).to(self._device).permute(2, 0, 1).float() / 255
            found = self._model([tensor])[0]
        return found["boxes"].float().cpu().numpy(), found["scores"].float().cpu().numpy()


STEMS = "*/stems.*/act/Mul_output_0"
"""Where a YOLOX's heads begin, at its three resolutions."""


class DetectorBackbone(Backbone):
    """Mean, maximum and deviation over space of a detector's maps; of each, mean and deviation
    over a snippet's sampled frames.

    Frames are squeezed to the detector's input.
    """

    def __init__(self, name: str, path: Path, pattern: str) -> None:
        import onnx

        from vadistill.runtime import OnnxRuntime

        detector = load_onnx(path, "cpu")
        self._scale = 1.0 if isinstance(detector, YOLOX) else 1 / 255
        graph = onnx.load(path)
        maps = [m for m in _maps(graph) if fnmatch(m, pattern)]
        if not maps:
            raise ConfigError(
                f"no feature map of {path} is called '{pattern}'",
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


def open_detector(name: str, rest: str | None, *, device: Device, crops: int) -> DetectorBackbone:
    """``detector:FILE`` (YOLOX) or ``detector:FILE@PATTERN`` with the maps' names.

    It sees whole frames, so ``crops`` changes nothing, and runs on the CPU.  Raises ConfigError for
    a model of another family or a pattern that no map meets, WeightsError for an unreadable file.
    """
    file, _, pattern = (rest or "").partition("@")
    if not file:
        raise ConfigError(
            f"backbone '{name}' without a file",
            expected="an ONNX detector, as in detector:yolox_nano.onnx",
            fix="name one",
        )
    return DetectorBackbone(name, Path(file), pattern or STEMS)
