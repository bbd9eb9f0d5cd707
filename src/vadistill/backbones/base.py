"""Backbones: what turns a clip of 16 frames into one feature vector.

==========================  =====  ===========================================================
name                        width  network
==========================  =====  ===========================================================
``compact``                 384    the teacher that ships with the package; nothing to download
``flow``                    192    statistics of optical flow; no weights at all
``detector:FILE``           1152   the feature maps of a YOLOX-nano in an ONNX file, pooled
``i3d:FILE``                1024   Inception-I3D on RGB, from the public port's rgb_imagenet.pt
``s3d``, ``s3d:FILE``       1024   torchvision's S3D, Kinetics-400 weights
``clip``, ``clip:FILE``     512    CLIP's ViT-B/16 image encoder (open_clip, OpenAI's weights)
``torchvision:NAME``               any torchvision video or image classifier, before its classifier
``timm:NAME``                      any timm model, before its classifier
==========================  =====  ===========================================================

``detector`` takes ``@PATTERN`` behind its file: names of maps in an ONNX detector of the families
that localisers know.  The last two take ``@FILE`` behind the name, such as
``torchvision:r3d_18@r3d.pth``.  A FILE of weights is a state dict (``torch.save``) or .safetensors;
``random`` in its place draws weights with a fixed seed, for tests and timing only.

Video networks see all 16 frames, image networks some of them, whose features are averaged.
"""

from __future__ import annotations

import difflib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.errors import ConfigError

if TYPE_CHECKING:
    from vadistill.devices import Device

BACKBONES: dict[str, str] = {
    "compact": "vadistill.backbones.image_backbones:open_compact",
    "flow": "vadistill.backbones.flow_backbone:open_flow",
    "detector": "vadistill.backbones.detector_backbone:open_detector",
    "i3d": "vadistill.backbones.video_backbones:open_i3d",
    "s3d": "vadistill.backbones.video_backbones:open_s3d",
    "clip": "vadistill.backbones.image_backbones:open_clip",
    "torchvision": "vadistill.backbones.torchvision_backbones:open_torchvision",
    "timm": "vadistill.backbones.image_backbones:open_timm",
}
"""The part of a name before its colon, and the function that opens it; imported on first use."""

CROPS = (1, 5, 10)
"""Centre; corners and centre; those and their mirror images."""

Crops = Literal[1, 5, 10]


class Backbone(ABC):
    """One feature vector for a clip of 16 frames.

    ``prepare`` is the CPU's part and runs in the thread that decodes; the call is the network's.
    A clip's row does not depend on what else is in its batch, but for rounding.
    """

    name: str
    """As it was asked for, such as ``i3d:/weights/rgb_imagenet.pt``; the key of its features."""
    dim: int
    """Width of a feature vector."""
    fingerprint: str
    """16 digits that change with the weights, the sampling of frames and the crops."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the network for one clip, all crops; 0 without a network."""
        return 0

    @abstractmethod
    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> np.ndarray:
        """Sampled, resized and cropped: of one shape, however large the frames are."""

    @abstractmethod
    def __call__(self, prepared: np.ndarray) -> Float32[np.ndarray, "n d"]:
        """One row a clip for n prepared clips, stacked along the first axis."""


class Merged(Backbone):
    """A backbone whose network is called together with other threads' clips."""

    def __init__(
        self, backbone: Backbone, merge: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        self.name, self.dim, self.fingerprint = backbone.name, backbone.dim, backbone.fingerprint
        self._inner, self._network = backbone, merge(backbone)

    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> np.ndarray:
        return self._inner.prepare(frames)

    def __call__(self, prepared: np.ndarray) -> Float32[np.ndarray, "n d"]:
        return self._network(prepared)


def open_backbone(name: str, *, device: Device = "auto", crops: int = 1) -> Backbone:
    """The backbone of this name, ready to use.

    With 5 or 10 ``crops`` their features are averaged; ``compact`` and ``flow`` see whole frames
    and have no crops.  Raises ConfigError for a name or number that is not offered and for a
    missing extra; WeightsError for a file that does not fit and a download that fails.
    """
    kind, colon, rest = name.partition(":")
    if kind not in BACKBONES:
        near = difflib.get_close_matches(kind, BACKBONES, 1, cutoff=0.5)
        others = "any other model is 'torchvision:NAME' or 'timm:NAME'"
        raise ConfigError(
            f"backbone '{name}'",
            expected=f"one of {', '.join(BACKBONES)}",
            fix=f"did you mean '{near[0]}'?" if near else others,
        )
    if colon and not rest:
        raise ConfigError(
            f"backbone '{name}' with nothing behind its colon",
            expected="a model's name or a weight file there",
            fix="docs/dakd.md lists the names",
        )
    if crops not in CROPS:
        raise ConfigError(
            f"crops={crops}",
            expected="1 (centre), 5 (and corners) or 10 (and mirrored)",
            fix="choose one of them",
        )
    module, function = BACKBONES[kind].split(":")
    opener = getattr(importlib.import_module(module), function)
    return opener(name, rest or None, device=device, crops=crops)


def model_and_weights(name: str, rest: str | None) -> tuple[str, str | None]:
    """``MODEL`` or ``MODEL@FILE`` as two parts; raises ConfigError where there is no model."""
    model, _, weights = (rest or "").partition("@")
    if not model:
        kind = name.partition(":")[0]
        raise ConfigError(
            f"backbone '{name}' without a model",
            expected=f"{kind}:MODEL or {kind}:MODEL@FILE",
            fix=f"name one, such as {kind}:resnet18",
        )
    return model, weights or None
