"""Backbones: pre-trained networks that turn a snippet of 16 frames into one feature vector.

==========================  =====  ===========================================================
name                        width  network
==========================  =====  ===========================================================
``compact``                 384    the teacher that ships with the package; nothing to download
``flow``                    192    statistics of optical flow; no weights at all
``detector:FILE``           1152   the feature maps of a YOLOX-nano in an ONNX file, pooled
``detector:yolox_nano``     1152   the same of the file that its authors publish
``i3d:FILE``                1024   Inception-I3D on RGB, from the public port's rgb_imagenet.pt
``s3d``, ``s3d:FILE``       1024   torchvision's S3D, Kinetics-400 weights
``clip``, ``clip:FILE``     512    CLIP's ViT-B/16 image encoder (open_clip, OpenAI's weights)
``clip:FOLDER``                    any CLIP that open_clip knows, as the hub's folders hold them
``torchvision:NAME``               any torchvision video or image classifier, before its classifier
``timm:NAME``                      any timm model, before its classifier
``onnx:FILE``                      any image or video network in ONNX Runtime: its first output
``openvino:FILE``                  the same of IR, ONNX and TFLite files, by OpenVINO
==========================  =====  ===========================================================

``detector`` takes ``@PATTERN`` behind its file: names of maps in an ONNX detector of the families
that localisers know.  ``torchvision`` and ``timm`` take ``@FILE`` behind the name, such as
``torchvision:r3d_18@r3d.pth``.  A FILE of weights is a state dict (``torch.save``) or .safetensors;
``random`` in its place draws weights with a fixed seed, for tests and timing only.

Video networks see all 16 frames, image networks some of them, whose features are averaged.

Imports ``datasets``, ``video`` and what lies below them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from vadistill.errors import ConfigError, one_of

if TYPE_CHECKING:
    from vadistill.backbones.base import Backbone
    from vadistill.devices import Device

    Opener = Callable[..., Backbone]

CROPS = (1, 5, 10)
"""Centre; corners and centre; those and their mirror images."""

Crops = Literal[1, 5, 10]


def _compact() -> Opener:
    from vadistill.backbones.pretrained import open_compact

    return open_compact


def _flow() -> Opener:
    from vadistill.backbones.flow import open_flow

    return open_flow


def _detector() -> Opener:
    from vadistill.backbones.detector_maps import open_detector

    return open_detector


def _i3d() -> Opener:
    from vadistill.backbones.videos import open_i3d

    return open_i3d


def _s3d() -> Opener:
    from vadistill.backbones.videos import open_s3d

    return open_s3d


def _clip() -> Opener:
    from vadistill.backbones.clip import open_clip

    return open_clip


def _torchvision() -> Opener:
    from vadistill.backbones.pretrained import open_torchvision

    return open_torchvision


def _timm() -> Opener:
    from vadistill.backbones.pretrained import open_timm

    return open_timm


def _graph() -> Opener:
    from vadistill.backbones.graphs import open_graph

    return open_graph


BACKBONES: dict[str, Callable[[], Opener]] = {
    "compact": _compact,
    "flow": _flow,
    "detector": _detector,
    "i3d": _i3d,
    "s3d": _s3d,
    "clip": _clip,
    "torchvision": _torchvision,
    "timm": _timm,
    "onnx": _graph,
    "openvino": _graph,
}
"""The part of a name before its colon, and what gives the function that opens it."""


def open_backbone(name: str, *, device: Device = "auto", crops: int = 1) -> Backbone:
    """The backbone of this name, ready to use.

    With 5 or 10 ``crops`` their features are averaged; ``compact`` and ``flow`` see whole frames
    and have no crops.  Raises ConfigError for a name or number that is not offered and for a
    missing extra; WeightsError for a file that does not fit and a download that fails.
    """
    kind, colon, rest = name.partition(":")
    others = "any other model is 'torchvision:NAME' or 'timm:NAME'"
    one_of("backbone", kind, BACKBONES, fix=others)
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
    return BACKBONES[kind]()(name, rest or None, device=device, crops=crops)
