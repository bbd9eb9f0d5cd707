"""The networks of T1: three convolutional auto-encoders of objects and three binary classifiers.

An object has three views: its grey picture, and the optical flow in its box to the previous and to
the next frame.  All enter in [-1, 1] and are 64x64; each has an auto-encoder and a classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 64
"""Side of an object in pixels."""

VIEWS: dict[str, int] = {"appearance": 1, "previous": 2, "next": 2}
"""The views of an object and their channels."""

MOTION = ("previous", "next")

FILTERS = (32, 32, 16)
"""Of the encoders' three convolutions."""

Views = Mapping[str, Float[Tensor, "n _ s s"]]
"""A batch of objects: each view by name."""

LUMA = (0.299, 0.587, 0.114)


def appearance(patches: UInt8[Tensor, "n s s 3"]) -> Float[Tensor, "n 1 s s"]:
    """Grey pictures in [-1, 1] of RGB patches (ITU-R BT.601 weights)."""
    weights = torch.tensor(LUMA, device=patches.device)
    return (patches.float() @ weights).unsqueeze(1) / 127.5 - 1


def motion(flow: Float[Tensor, "n 2 s s"], span: float | int) -> Float[Tensor, "n 2 s s"]:
    """Flow in pixels, squashed into (-1, 1): tanh(flow / span), about linear well below ``span``.

    Bounded inputs and outputs keep the gradient ascent on pseudo-abnormal motion from running away.
    """
    return torch.tanh(flow.float() / span)


def normal_views(
    patches: UInt8[Tensor, "n s s 3"], flow: Float[Tensor, "n f 2 s s"], span: float
) -> Views:
    """The views of objects whose flow is to the previous and to the next frame first."""
    views = {"appearance": appearance(patches)}
    views |= {view: motion(flow[:, i], span) for i, view in enumerate(MOTION)}
    return {view: x.contiguous(memory_format=torch.channels_last) for view, x in views.items()}


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reversed_gradient(
    x: Float[Tensor, "n c h w"], strength: float | int
) -> Float[Tensor, "n c h w"]:
    """``x`` itself, whose gradient is multiplied by ``-strength`` on its way back."""
    return cast(Tensor, _Reversal.apply(x, strength))


def _convolutions(channels: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in pairwise(channels))


def _pooled(x: Tensor) -> Tensor:
    # ReLU and maximum commute; after pooling there is a quarter to rectify.
    return F.relu(F.max_pool2d(x, 2))


class Encoder(nn.Module):
    """Three 3x3 convolutions, each with ReLU and 2x2 max-pooling: a latent of 16x8x8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = _convolutions((channels, *FILTERS))

    def forward(self, x: Float[Tensor, "n c 64 64"]) -> Float[Tensor, "n 16 8 8"]:
        for layer in self.layers:
            x = _pooled(layer(x))
        return x


class Decoder(nn.Module):
    """The encoder's mirror: nearest upsampling before each 3x3 convolution, tanh at the end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = _convolutions((*reversed(FILTERS), channels))

    def forward(self, latent: Float[Tensor, "n 16 8 8"]) -> Float[Tensor, "n c 64 64"]:
        x = latent
        for i, layer in enumerate(self.layers):
            x = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = F.relu(x) if i < 2 else torch.tanh(x)
        return x


class AutoEncoder(nn.Module):
    """An encoder and its main decoder; the adversarial decoder serves training only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(channels), Decoder(channels)

    def forward(
        self, x: Float[Tensor, "n c 64 64"]
    ) -> tuple[Float[Tensor, "n 16 8 8"], Float[Tensor, "n c 64 64"]]:
        """The latent and the reconstruction."""
        latent = self.encoder(x)
        return latent, self.decoder(latent)


class Classifier(nn.Module):
    """Normal or pseudo-abnormal, from the latent and |input - reconstruction|.

    Three 3x3 convolutions with ReLU and max-pooling bring the error to the latent's size; both go
    together through one more and two linear layers.
    """

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.error = _convolutions((channels, width, width, width))
        self.joint = nn.Conv2d(FILTERS[-1] + width, 2 * width, 3, 1, 1)
        self.hidden = nn.Linear(2 * width * (SIDE // 16) ** 2, 64)
        self.logit = nn.Linear(64, 1)

    def forward(
        self, latent: Float[Tensor, "n 16 8 8"], error: Float[Tensor, "n c 64 64"]
    ) -> Float[Tensor, " n"]:
        """Logits, positive for abnormal."""
        x = error
        for layer in self.error:
            x = _pooled(layer(x))
        x = _pooled(self.joint(torch.cat([latent, x], 1)))
        return self.logit(F.relu(self.hidden(x.flatten(1)))).squeeze(1)


class Networks(nn.Module):
    """Everything that scoring needs: an auto-encoder and a classifier for each view."""

    def __init__(self) -> None:
        super().__init__()
        self.autoencoders = nn.ModuleDict({v: AutoEncoder(c) for v, c in VIEWS.items()})
        self.classifiers = nn.ModuleDict({v: Classifier(c) for v, c in VIEWS.items()})

    def forward(self, views: Views) -> Float[Tensor, "n 3"]:
        """Logits of abnormal, in the order of ``VIEWS``."""
        return torch.stack([self.classify(view, views[view]) for view in VIEWS], dim=1)

    def classify(self, view: str, x: Float[Tensor, "n c 64 64"]) -> Float[Tensor, " n"]:
        """Logits of one view's classifier; the auto-encoder gets no gradient."""
        with torch.no_grad():
            latent, output = self.autoencoders[view](x)
            error = (x - output).abs()
        return self.classifiers[view](latent, error)


class ObjectScorer(nn.Module):
    """The networks on objects as they are cut out."""

    def __init__(self, networks: Networks, span: float) -> None:
        super().__init__()
        self.networks, self.span = networks, span

    def forward(
        self, patches: UInt8[Tensor, "n 1 s s 3"], flow: Float[Tensor, "n 2 2 s s"]
    ) -> Float[Tensor, "n 3"]:
        """Logits of abnormal, in the order of ``VIEWS``."""
        return self.networks(normal_views(patches[:, 0], flow, self.span))
