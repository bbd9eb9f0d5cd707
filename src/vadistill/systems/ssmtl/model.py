"""T2's networks: one 3-D convolutional network that all tasks share, and a head for each.

``x`` is a clip of t frames of one object, RGB in [0, 1].  The number of frames is free: seven where
motion is judged, six where the middle one is left out, one for the image network's task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.systems.ssmtl.losses import absolute_error, altered_probability
from vadistill.systems.ssmtl.tasks import SPAN, ImageEmbedder

SIDE = 64
"""Side of a patch in pixels."""


@dataclass(frozen=True)
class Architecture:
    """Depth and width of the shared network; each of its three stages halves the resolution."""

    channels: tuple[int, int, int]
    depth: int
    """Convolutions a stage."""
    strided: bool = False
    """Halve by the stage's last convolution, at a quarter of its arithmetic, not by pooling."""


ARCHITECTURES: dict[str, Architecture] = {
    "shallow-narrow": Architecture((16, 32, 32), 1),
    "shallow-wide": Architecture((32, 64, 64), 1),
    "deep-narrow": Architecture((16, 32, 32), 2),
    "deep-wide": Architecture((32, 64, 64), 2),
    "strided-narrow": Architecture((16, 32, 32), 1, strided=True),  # ours, for two CPU cores
}


def to_unit(clips: UInt8[Tensor, "n t h w 3"]) -> Float[Tensor, "n 3 t h w"]:
    """RGB bytes, channels last, as floats in [0, 1], channels first."""
    return clips.permute(0, 4, 1, 2, 3).float() / 255


class Convolution(nn.Module):
    """3x3x3 convolution, batch norm, ReLU; the frame at either end repeats beyond it.

    So a single frame is what a still clip is, whatever its length.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, (1, stride, stride), (0, 1, 1), bias=False)
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x: Float[Tensor, "n i t h w"]) -> Float[Tensor, "n o t y x"]:
        padded = F.pad(x, (0, 0, 0, 0, 1, 1), mode="replicate")
        return F.relu(self.bn(self.conv(padded)))


class SharedNetwork(nn.Module):
    """Three stages of 3-D convolutions that keep the number of frames, then their mean."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in architecture.channels:
            for place in range(architecture.depth):
                halves = architecture.strided and place == architecture.depth - 1
                layers.append(Convolution(inputs, outputs, 2 if halves else 1))
                inputs = outputs
            if not architecture.strided:
                layers.append(nn.MaxPool3d((1, 2, 2)))
        self.layers = nn.Sequential(*layers)

    def forward(self, clips: Float[Tensor, "n 3 t 64 64"]) -> Float[Tensor, "n c 8 8"]:
        return self.layers(clips).mean(2)


class VectorHead(nn.Module):
    """Convolution, pooling and one linear layer: class logits, or the image network's outputs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(inputs * (SIDE // 16) ** 2, outputs),
        )

    def forward(self, features: Float[Tensor, "n c 8 8"]) -> Float[Tensor, "n d"]:
        return self.layers(features)


class MiddleDecoder(nn.Module):
    """The missing middle frame: three times nearest upsampling and 3x3 convolution, then RGB."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for outputs in (inputs, inputs // 2, inputs // 2):
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, 3, 3, 1, 1))

    def forward(self, features: Float[Tensor, "n c 8 8"]) -> Float[Tensor, "n 3 64 64"]:
        return self.layers(features)


class MultiTaskNetwork(nn.Module):
    """The shared network and the four heads.

    ``mean`` and ``std`` standardise each of the ``outputs`` of the image network over training
    events: its head gives standardised ones.  ``veil`` lies over the clips that are scored, as
    others do in training (tasks.Veils): the same one over all, so that scores depend on the clip
    alone; None without.
    """

    def __init__(
        self,
        architecture: Architecture,
        outputs: int,
        veil: Float[Tensor, "3 7 64 64"] | None = None,
    ) -> None:
        super().__init__()
        channels = architecture.channels[-1]
        self.shared = SharedNetwork(architecture)
        self.arrow = VectorHead(channels, 2)
        self.irregularity = VectorHead(channels, 2)
        self.middle = MiddleDecoder(channels)
        self.distillation = VectorHead(channels, outputs)
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("std", torch.ones(outputs))
        self.register_buffer("veil", veil)
        self.mean: Tensor
        self.std: Tensor
        self.veil: Tensor | None

    def forward(
        self,
        clips: UInt8[Tensor, "n t 64 64 3"],
        veil: Float[Tensor, "#n 3 t 64 64"] | None = None,
    ) -> Float[Tensor, "n c 8 8"]:
        """Features of clips, under a veil, for the heads."""
        pixels = to_unit(clips)
        return self.shared(pixels if veil is None else pixels + veil)

    def scored(self, clips: UInt8[Tensor, "n t 64 64 3"], *places: int) -> Float[Tensor, "n c 8 8"]:
        """Features of clips of these frames of seven as they are scored."""
        veil = None if self.veil is None else self.veil[None, :, list(places)]
        return self(clips, veil)

    def standardised(self, outputs: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The image network's outputs as the fourth head gives them."""
        return (outputs - self.mean) / self.std


class TaskScorer(nn.Module):
    """Network and image network: from regular clips to one anomaly score a task."""

    def __init__(
        self, network: MultiTaskNetwork, embedder: ImageEmbedder | None, tasks: Sequence[str]
    ) -> None:
        super().__init__()
        self.network, self.embedder, self.tasks = network, embedder, tuple(tasks)

    def place(self, device: torch.device) -> TaskScorer:
        """Move to a device, laid out for 3-D convolutions, in eval mode."""
        self.network.shared.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
        return self.to(device).eval()

    def forward(self, clips: UInt8[Tensor, "n 7 64 64 3"]) -> Float[Tensor, "n tasks"]:
        """P(backward), P(irregular), the middle's error and the image network's, in that order."""
        network, scores = self.network, {}
        middle = clips[:, SPAN : SPAN + 1]
        beside = [place for place in range(2 * SPAN + 1) if place != SPAN]
        if "arrow" in self.tasks or "irregularity" in self.tasks:
            features = network.scored(clips, *range(2 * SPAN + 1))
            scores["arrow"] = altered_probability(network.arrow(features))
            scores["irregularity"] = altered_probability(network.irregularity(features))
        if "middle" in self.tasks:
            around = torch.cat([clips[:, :SPAN], clips[:, SPAN + 1 :]], 1)
            predicted = network.middle(network.scored(around, *beside))
            scores["middle"] = absolute_error(predicted, to_unit(middle)[:, :, 0])
        if self.embedder is not None:
            target = network.standardised(self.embedder(middle[:, 0]))
            imitated = network.distillation(network.scored(middle, SPAN))
            scores["distillation"] = absolute_error(imitated, target)
        return torch.stack([scores[task] for task in self.tasks], 1)
