"""Object detectors by name: published YOLOX files, torchvision's, or an ONNX file's path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vadistill.backbones.detection import Detections, Network, Picture
from vadistill.errors import WeightsError, one_of
from vadistill.fetching import Published, fetched

RELEASE = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
"""Of YOLOX's authors, COCO's 80 classes, under the repository's Apache licence 2.0."""

PUBLISHED: dict[str, Published] = {
    "yolox_nano": Published(
        f"{RELEASE}/yolox_nano.onnx",
        "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
        3_659_407,
    ),
    "yolox_tiny": Published(
        f"{RELEASE}/yolox_tiny.onnx",
        "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7",
        20_219_662,
    ),
    "yolox_s": Published(
        f"{RELEASE}/yolox_s.onnx",
        "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
        35_858_002,
    ),
}
"""ONNX detectors that are fetched by name."""


def is_path(name: str) -> bool:
    """Whether a detector's name is that of a file."""
    return "/" in name or "\\" in name or "." in name


def onnx_path(name: str) -> Path:
    """The file of an ONNX detector, fetched where its name needs it; raises WeightsError."""
    if name in PUBLISHED:
        instead = "name a file of your own in a new fit, as 'detector:FILE.onnx'"
        return fetched(PUBLISHED[name], what=f"detector {name}", instead=instead)
    return Path(name)


def read_onnx(path: Path) -> bytes:
    """What an ONNX detector's file holds; raises WeightsError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"no detector at {path} ({error.strerror})",
            expected="an .onnx file",
            fix="check the path",
        ) from error


class TorchvisionNetwork(Network):
    """Any of ``torchvision.models.detection`` with COCO weights.

    ``weights`` is a file with its state dict; '' : torchvision's own, which are fetched.  Raises
    WeightsError, and ConfigError for an unknown name.
    """

    def __init__(self, name: str, weights: str = "", device: str = "auto") -> None:
        from vadistill.devices import pick_device
        from vadistill.torchvision_cpu import import_torchvision, pretrained

        detection = import_torchvision().models.detection
        known = import_torchvision().models.list_models(module=detection)
        one_of("detector", name, [*PUBLISHED, *known])
        self._device = pick_device(device)
        self._model = pretrained(f"detection.{name}", weights or None).to(self._device)
        transform: Any = self._model.transform
        least = int(transform.min_size[-1])
        width, height = transform.fixed_size or (least, least)
        self.side = (int(width), int(height))

    def __call__(self, picture: Picture, least: float = 0.0) -> Detections:
        import torch

        with torch.inference_mode():
            tensor = torch.from_numpy(picture).to(self._device).permute(2, 0, 1).float() / 255
            found = self._model([tensor])[0]
        boxes, scores = (found[key].float().cpu().numpy() for key in ("boxes", "scores"))
        return boxes[scores >= least], scores[scores >= least]
