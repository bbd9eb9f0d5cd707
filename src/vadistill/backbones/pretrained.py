"""Networks that others trained: the shipped teacher, timm's and torchvision's models.

All but torchvision's video networks see some frames of a snippet one by one.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.backbones.base import (
    SAMPLED,
    NetworkBackbone,
    View,
    evenly,
    model_and_weights,
)
from vadistill.backbones.teachers import ResNet, open_teacher
from vadistill.backbones.weights import RANDOM, downloading, drawn, load_weights, read_state
from vadistill.datasets.snippets import SNIPPET
from vadistill.errors import ConfigError, lacking, one_of
from vadistill.fetching import is_offline

if TYPE_CHECKING:
    from vadistill.devices import Device

COMPACT_SIZE = (64, 96)
"""Height and width of a frame for ``compact``: three times what its network was trained on."""


class PooledGroups(nn.Module):
    """Mean and standard deviation over space of a residual network's last two layer groups."""

    def __init__(self, network: ResNet) -> None:
        super().__init__()
        self.network = network
        self.dim = 2 * sum(network.architecture.channels[-2:])

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Of RGB pictures in [0, 1], of any size."""
        net = self.network
        x = F.relu(net.bn(net.conv((pictures - net.mean) / net.std)))
        pooled = []
        for stage in net.stages:
            x = stage(x)
            deviation, mean = torch.std_mean(x, (2, 3), correction=0)
            pooled += [mean, deviation]
        return torch.cat(pooled[-4:], 1)


def open_compact(name: str, rest: str | None, *, device: Device, crops: int) -> NetworkBackbone:
    """The shipped teacher on whole frames; raises ConfigError for a weight file."""
    if rest is not None:
        raise ConfigError(f"backbone '{name}'", expected="compact", fix="its weights are shipped")
    network, _ = open_teacher("compact")
    assert isinstance(network, ResNet)
    pooled = PooledGroups(network)
    return NetworkBackbone(
        name,
        pooled,
        View.whole(tuple(evenly(SAMPLED).tolist()), COMPACT_SIZE),
        architecture="compact",
        over="frames",
        dim=pooled.dim,
        mean=(0.0, 0.0, 0.0),  # the network standardises by itself
        std=(1.0, 1.0, 1.0),
        device=device,
    )


def open_timm(name: str, rest: str | None, *, device: Device, crops: int) -> NetworkBackbone:
    """``timm:MODEL`` or ``timm:MODEL@FILE`` before its classifier.

    A file may have the classifier's weights or not.  Raises ConfigError, WeightsError.
    """
    library = optional("timm", "timm")
    model, weights = model_and_weights(name, rest)
    known, expected = library.list_models(), "a model of timm.list_models()"
    one_of("timm model", model.partition(".")[0], known, expected=expected)

    def build(pretrained: bool = False) -> Any:
        return library.create_model(model, pretrained=pretrained, num_classes=0)

    network: Any
    if weights is None:
        home = library.get_pretrained_cfg(model)
        address = f"huggingface.co/{home.hf_hub_id}" if home and home.hf_hub_id else "its weights"
        with downloading(model, address=address, local=f"timm:{model}@FILE"):
            network = build(pretrained=True)
    else:
        network = drawn(build)
        if weights != RANDOM:
            path = Path(weights)
            heads = network.pretrained_cfg.get("classifier") or ()
            heads = (heads,) if isinstance(heads, str) else tuple(heads)
            dropped = tuple(f"{head}." for head in heads)
            state = {k: v for k, v in read_state(path).items() if not k.startswith(dropped)}
            load_weights(network, state, path, of=model)
    facts = importlib.import_module("timm.data").resolve_model_data_config(network)
    size: tuple[int, int] = tuple(facts["input_size"][1:])
    view = View(
        tuple(evenly(SAMPLED).tolist()),
        size,
        int(min(size) / facts["crop_pct"]),
        crops,
        "cubic" if facts["interpolation"] == "bicubic" else "linear",
    )
    return NetworkBackbone(
        name,
        network,
        view,
        architecture=f"timm {model}",
        over="frames",
        dim=getattr(network, "head_hidden_size", network.num_features),
        mean=facts["mean"],
        std=facts["std"],
        device=device,
    )


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
    from vadistill.torchvision_cpu import fetch_weights, import_torchvision

    import_torchvision()
    from torchvision import models

    images, videos = models.list_models(module=models), models.list_models(module=models.video)
    known = "an image or video classifier of torchvision.models"
    one_of("torchvision model", model, images + videos, expected=known, fix="see its documentation")
    build = models.get_model_builder(model)
    default: Any = models.get_model_weights(model).DEFAULT  # pyright: ignore[reportAttributeAccessIssue]
    if weights is None:
        fetch_weights(default, f"the weights of {model}", instead=f"name it as '{local}'")
        network = build(weights=default)
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


def optional(module: str, extra: str) -> ModuleType:
    """An optional library; raises ConfigError with the command that installs it."""
    from vadistill.torchvision_cpu import import_torchvision

    import_torchvision()  # before a library does so, where its compiled operators do not load
    if is_offline():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # both libraries fetch from there
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise lacking(f"backbone '{extra}' needs {module}", extra) from error
