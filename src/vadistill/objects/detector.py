"""Object detectors as localisers.

All classes count as foreground: what a detector calls a skateboard may be the anomaly.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vadistill.backbones.detection import YOLOX_STRIDES, Network, load_onnx
from vadistill.backbones.detectors import (
    PUBLISHED,
    TorchvisionNetwork,
    is_path,
    onnx_path,
    read_onnx,
)
from vadistill.errors import ConfigError, WeightsError
from vadistill.objects.base import Boxes, Localiser, clip_boxes, merge

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.windows import Triplet

LONGEST = 4096
"""Pixels of a network's longer side at most."""

SUGGESTED = {"score": 0.15, "side": 640}
"""Settings for published names: low scores count, since what is abnormal is often of no class."""


@dataclass(frozen=True)
class DetectorSettings:
    """Settings of ``ObjectDetector``."""

    model: str = ""
    """``yolox_nano``, ``yolox_tiny`` or ``yolox_s``, an ``.onnx`` file (FastestDet or YOLOX), or a
    torchvision detector's name."""
    weights: str = ""
    """State dict for a torchvision detector; without it its COCO weights are fetched."""
    score: float = 0.5
    """Least score; CAFE takes 0.5 for Ped2 and ShanghaiTech, 0.25 for Avenue."""
    iou: float = 0.5
    """Of two boxes that overlap by more than this, of whatever class, the better one stays."""
    inside: float = 0.6
    """Share of a box inside a larger one above which it is dropped."""
    tiles: tuple[int, int] = (1, 1)
    """Columns and rows of overlapping tiles, each seen on its own: for small objects."""
    overlap: float = 0.25
    """Share of a tile that its neighbour sees too; make it wider than an object."""
    scale: float = 0.0
    """If positive, tiles are chosen so that a video pixel becomes this many network pixels."""
    side: int = 0
    """If positive, a YOLOX sees pictures (or tiles) at a size that fits their shape, with so many
    pixels on the longer side; a multiple of 32.  Else at its file's own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    sha256: str = ""
    """Of the ONNX file; a fitted localiser knows it, and takes no other file."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError(
                "localiser 'detector' without a model",
                expected="an .onnx file or a torchvision detector",
                fix="write detector:yolox_nano, detector:FILE.onnx or "
                "detector:ssdlite320_mobilenet_v3_large",
            )
        if is_path(self.model) and not self.is_onnx:
            raise ConfigError(
                f"detector '{self.model}'",
                expected=f"a file that ends in .onnx, {', '.join(PUBLISHED)}, or a torchvision "
                "detector's name",
                fix="export the model to ONNX",
            )
        if self.weights and self.is_onnx:
            raise ConfigError(
                f"weights '{self.weights}' for {self.model}",
                expected="an ONNX file alone: it holds its weights",
                fix="leave weights out",
            )
        if (self.side or self.sha256) and not self.is_onnx:
            raise ConfigError(
                f"side {self.side}, sha256 '{self.sha256}' for {self.model}",
                expected="an ONNX file: torchvision's detectors choose their size by themselves",
                fix="leave side and sha256 out",
            )
        if self.side % YOLOX_STRIDES[-1] or not 0 <= self.side <= LONGEST:
            raise ConfigError(
                f"side {self.side}",
                expected=f"a multiple of {YOLOX_STRIDES[-1]} up to {LONGEST}, or 0",
                fix="use 640",
            )
        if self.side and self.scale:
            raise ConfigError(
                f"side {self.side} and scale {self.scale:g}",
                expected="one of them: scale makes tiles of the network's own size",
                fix="leave scale out, or write side=0",
            )
        for name in ("score", "iou", "inside"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} {getattr(self, name):g}", expected="a share in (0, 1]", fix="lower it"
                )
        if min(self.tiles) < 1 or not 0 <= self.overlap < 0.9 or self.scale < 0:
            raise ConfigError(
                f"tiles {self.tiles[0]}x{self.tiles[1]}, overlap {self.overlap:g}, "
                f"scale {self.scale:g}",
                expected="at least 1x1 tiles, an overlap in [0, 0.9) and a scale of 0 or more",
                fix="use tiles=3x2 and leave the others out",
            )

    @property
    def is_onnx(self) -> bool:
        """Whether it is a file, or a name that stands for one, and none of torchvision's."""
        return self.model in PUBLISHED or self.model.lower().endswith(".onnx")


class ObjectDetector(Localiser):
    """Boxes of a detector's objects, whatever their class.

    An ONNX file is part of what is saved, so that scoring needs neither the file nor a network.
    It is opened, or fetched, when it is first needed, in ``fit`` and ``describe`` at the latest;
    that raises WeightsError for a missing or damaged file and ConfigError for an unknown family.
    """

    name = "detector"
    Settings = DetectorSettings
    ARGUMENT = "model"

    def __init__(self, settings: DetectorSettings) -> None:
        self.settings = settings
        self._graph = b""
        self._network: Network | None = None

    @classmethod
    def suggested(cls, argument: str) -> dict[str, Any]:
        return dict(SUGGESTED) if argument in PUBLISHED else {}

    @classmethod
    def joined_by(cls, argument: str) -> list[str]:
        return [] if not argument or is_path(argument) else ["background"]

    def _opened(self) -> Network:
        """The network, opened from where its name says unless it is open already."""
        if self._network is not None:
            return self._network
        settings = self.settings
        if settings.is_onnx:
            path = onnx_path(settings.model)
            return self._use(read_onnx(path), str(path))
        self._network = TorchvisionNetwork(settings.model, settings.weights, settings.device)
        return self._network

    def _use(self, graph: bytes, name: str) -> Network:
        """Take what an ONNX file holds; raises WeightsError for another than is known by hash."""
        settings = self.settings
        found = hashlib.sha256(graph).hexdigest()
        if not found.startswith(settings.sha256):
            raise WeightsError(
                f"{name} with the SHA-256 {found[:16]}…",
                expected=f"the detector of the fit, {settings.sha256[:16]}…",
                fix="put that file back, or fit again",
            )
        self._network = load_onnx(graph, name, device=settings.device, longest=settings.side)
        self._graph, self.settings = graph, replace(settings, sha256=found)
        return self._network

    def fit(self, train: Dataset) -> None:
        """Open the network: there is nothing to learn."""
        self._opened()

    def describe(self) -> dict[str, Any]:
        if self.settings.is_onnx:  # whose hash is among the settings once it is open
            self._opened()
        return super().describe()

    def arrays(self) -> dict[str, np.ndarray]:
        """The ONNX file's bytes; nothing of torchvision's."""
        if not self.settings.is_onnx:
            return {}
        self._opened()
        return {"network": np.frombuffer(self._graph, np.uint8).copy()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        if "network" in arrays:
            self._use(arrays["network"].tobytes(), f"the saved {self.settings.model}")

    def clone(self) -> ObjectDetector:
        self._opened()  # once for all clones
        return super().clone()

    def boxes(self, window: Triplet) -> Boxes:
        """Boxes of the current frame by ascending area."""
        import cv2

        picture = window.current.image
        height, width = picture.shape[:2]
        boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
        for x1, y1, x2, y2 in self._tiles(width, height):
            part = np.ascontiguousarray(picture[y1:y2, x1:x2])
            found, score = self._opened()(part, self.settings.score)
            boxes.append(found + np.array([x1, y1, x1, y1], np.float32))
            scores.append(score)
        every, values = np.concatenate(boxes), np.concatenate(scores)
        sides = np.concatenate([every[:, :2], every[:, 2:] - every[:, :2]], axis=1)
        kept = cv2.dnn.NMSBoxes(sides.tolist(), values.tolist(), 0.0, self.settings.iou)
        best = every[np.asarray(kept, np.int64).reshape(-1)]
        return merge(clip_boxes(best, width, height), self.settings.inside)

    def _tiles(self, width: int, height: int) -> list[tuple[int, int, int, int]]:
        columns, rows = self.settings.tiles
        if self.settings.scale > 0:
            wide, tall = (side / self.settings.scale for side in self._opened().side)
            overlap = self.settings.overlap
            columns = max(1, int(np.ceil((width / wide - overlap) / (1 - overlap))))
            rows = max(1, int(np.ceil((height / tall - overlap) / (1 - overlap))))
        across = spans(width, columns, self.settings.overlap)
        down = spans(height, rows, self.settings.overlap)
        return [(x1, y1, x2, y2) for y1, y2 in down for x1, x2 in across]


def spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """``count`` equal stretches that cover ``length``; neighbours share ``overlap`` of one."""
    size = length / (count - (count - 1) * overlap)
    starts = (i * size * (1 - overlap) for i in range(count))
    return [(int(start), min(length, int(np.ceil(start + size)))) for start in starts]
