"""Any image or video network in a file, by ONNX Runtime or OpenVINO, as a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.backbones.base import SAMPLED, Backbone, View, evenly
from vadistill.errors import ConfigError, WeightsError, in_a_line
from vadistill.files import content_hash

if TYPE_CHECKING:
    from vadistill.devices import Device

SIDE = 224
"""Height and width for networks that take any."""

IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)
"""Mean and deviation of RGB in [0, 1]."""

VALUES = ("imagenet", "unit", "bytes")
"""What pixels become: standardised, in 0 to 1, in 0 to 255."""


class GraphBackbone(Backbone):
    """The first output of a network, pooled over space where it has some.

    Of pictures (n 3 h w, or n h w 3) it is the mean over a snippet's sampled frames, of videos
    (n 3 t h w) that of its frames, all sixteen or t evenly spaced ones.
    """

    def __init__(self, name: str, path: Path, values: str) -> None:
        self.name, self._values = name, values
        kind = name.partition(":")[0]
        shape, self._bytes = self._opened(kind, path)
        self._video = len(shape) == 5
        self._last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
        if len(shape) not in (4, 5) or (not self._last and shape[1] != 3):
            raise WeightsError(
                f"{path} takes an input of shape {shape}",
                expected="RGB pictures, n 3 h w or n h w 3, or videos, n 3 t h w",
                fix="name another network",
            )
        height, width = shape[1:3] if self._last else shape[-2:]
        count = (shape[2] if shape[2] > 0 else 16) if self._video else SAMPLED
        size = (height if height > 0 else SIDE, width if width > 0 else SIDE)
        self.view = View.whole(tuple(evenly(count).tolist()), size)
        self.fingerprint = content_hash(path, repr((kind, values, self.view)))
        self.dim = self(np.zeros((1, *self.view.shape), np.uint8)).shape[1]

    def _opened(self, kind: str, path: Path) -> tuple[list[int], bool]:
        """Open the network: the shape of its one input, -1 for what may be any, and if of bytes."""
        from vadistill.runtime import OnnxRuntime, OpenVino

        if not path.is_file():
            raise WeightsError(f"no file {path}", expected="a network", fix="check the path")
        try:
            if kind == "onnx":
                self._network = OnnxRuntime(path)
                (given,) = self._network.session.get_inputs()
                shape = [each if isinstance(each, int) else -1 for each in given.shape]
                return shape, given.type == "tensor(uint8)"
            self._network = OpenVino(path)
            (given,) = self._network.session.inputs
            shape = [int(d.get_length()) if d.is_static else -1 for d in given.partial_shape]
            return shape, given.element_type.get_type_name() == "u8"
        except ConfigError:
            raise
        # Both libraries have a dozen kinds of errors for what they cannot read.
        except Exception as error:
            raise WeightsError(
                f"{path} ({in_a_line(error)[:200]})",
                expected="a network with one input",
                fix="convert it, or name another",
            ) from error

    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> UInt8[np.ndarray, "1 f y x 3"]:
        """Sampled frames, squeezed to the network's size, as bytes."""
        return self.view(frames)

    def __call__(self, prepared: UInt8[np.ndarray, "n 1 f y x 3"]) -> Float32[np.ndarray, "n d"]:
        """One row a snippet; each goes through by itself, for the batch may be fixed to one."""
        return np.stack([self._row(frames[0]) for frames in prepared])

    def _row(self, frames: UInt8[np.ndarray, "f y x 3"]) -> Float32[np.ndarray, " d"]:
        if self._video:
            return self._pooled(self._pixels(frames).transpose(3, 0, 1, 2)[None])
        axes = (0, 1, 2, 3) if self._last else (0, 3, 1, 2)
        pictures = self._pixels(frames).transpose(axes)
        return np.mean([self._pooled(picture[None]) for picture in pictures], axis=0)

    def _pixels(self, frames: UInt8[np.ndarray, "f y x 3"]) -> np.ndarray:
        if self._bytes:
            return frames
        pixels = frames.astype(np.float32)
        if self._values == "bytes":
            return pixels
        mean, deviation = IMAGENET if self._values == "imagenet" else (0, 1)
        return (pixels / np.float32(255) - mean) / deviation

    def _pooled(self, given: np.ndarray) -> Float32[np.ndarray, " d"]:
        output = np.asarray(self._network.run([np.ascontiguousarray(given)])[0], np.float32)[0]
        if output.ndim == 3 and self._last:
            output = output.transpose(2, 0, 1)
        return output.reshape(len(output), -1).mean(1) if output.ndim > 1 else output


def open_graph(name: str, rest: str | None, *, device: Device, crops: int) -> GraphBackbone:
    """``onnx:FILE`` or ``openvino:FILE``, with ``@unit`` or ``@bytes`` behind it for other pixels.

    It sees whole frames, so ``crops`` changes nothing, and runs on the CPU.  Raises ConfigError,
    WeightsError.
    """
    file, _, values = (rest or "").partition("@")
    if not file or (values or VALUES[0]) not in VALUES:
        raise ConfigError(
            f"backbone '{name}'",
            expected=f"a file, and behind @ one of {', '.join(VALUES)}",
            fix="write it as onnx:network.onnx@unit",
        )
    return GraphBackbone(name, Path(file), values or VALUES[0])
