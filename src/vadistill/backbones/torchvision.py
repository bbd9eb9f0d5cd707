"""Any torchvision classifier of videos or images as a backbone, cut before its classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from vadistill.backbones.base import NetworkBackbone, View, evenly, model_and_weights
from vadistill.backbones.weights import RANDOM, downloading, drawn, load_weights, read_state
from vadistill.datasets.snippets import SNIPPET
from vadistill.errors import one_of

if TYPE_CHECKING:
    from vadistill.devices import Device

SAMPLED = 4
"""Frames of a snippet that an image network sees."""


def open_torchvision(name: str, rest: str | None, *, device: Device, crops: int) -> NetworkBackbone:
    """``torchvision:MODEL`` or ``torchvision:MODEL@FILE``; raises ConfigError, WeightsError."""
    model, weights = model_and_weights(name, rest)
    local = f"torchvision:{model}@FILE"
    return torchvision_backbone(name, model, weights, local, device=device, crops=crops)


def torchvision_backbone(
    name: str, model: str, weights: str | None, local: str, *, device: Device, crops: int
) -> NetworkBackbone:
    """A torchvision model with the resizing and standardisation of its default weights.

    ``local`` is the form of a name with a weight file, for the error of a failed download.
    """
    from vadistill.torchvision_cpu import import_torchvision

    import_torchvision()
    from torchvision import models

    images, videos = models.list_models(module=models), models.list_models(module=models.video)
    known = "an image or video classifier of torchvision.models"
    one_of("torchvision model", model, images + videos, expected=known, fix="see its documentation")
    build = models.get_model_builder(model)
    default: Any = models.get_model_weights(model).DEFAULT  # pyright: ignore[reportAttributeAccessIssue]
    if weights is None:
        with downloading(model, address=default.url, local=local):
            network = build(weights=default, progress=False)
    else:
        network = drawn(lambda: build(weights=None))
        if weights != RANDOM:
            load_weights(network, read_state(Path(weights)), Path(weights), of=model)
    dim = drop_classifier(network)
    over = "clips" if model in videos else "frames"
    frames = tuple(range(SNIPPET)) if over == "clips" else tuple(evenly(SAMPLED).tolist())
    preset = default.transforms()
    bicubic = preset.interpolation.value == "bicubic"
    view = View(
        frames,
        pair(preset.crop_size),
        preset.resize_size[0] if len(preset.resize_size) == 1 else pair(preset.resize_size),
        crops,
        "cubic" if bicubic else "linear",
    )
    return NetworkBackbone(
        name,
        network,
        view,
        architecture=f"torchvision {model}",
        over=over,
        dim=dim,
        mean=preset.mean,
        std=preset.std,
        device=device,
    )


def pair(size: list[int]) -> tuple[int, int]:
    """Height and width of a preset, which names a square's side once or twice."""
    return size[0], size[-1]


def drop_classifier(network: nn.Module) -> int:
    """Put nothing in place of the classifier, the last layer with weights; returns its inputs.

    What follows it in some networks (an average over positions) then averages the features.
    """
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d)
    }
    name, layer = list(layers.items())[-1]
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
