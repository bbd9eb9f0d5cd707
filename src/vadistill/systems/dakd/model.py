"""The networks of Fig. 2: projections, temporal module and head; teacher and student alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vadistill.systems.dakd.temporal import temporal_module

PROJECTED = 512
"""Width of every backbone's projected features."""

WIDTH = 1024
"""Width of the aggregated features H."""


class Scored(NamedTuple):
    """What a network says of a batch of videos."""

    features: Float[Tensor, "b n w"]
    """H, one aggregated feature a segment."""
    logits: Float[Tensor, "b n"]
    """Anomaly scores before the sigmoid."""

    @property
    def scores(self) -> Float[Tensor, "b n"]:
        """Anomaly scores in [0, 1]."""
        return self.logits.float().sigmoid()


def projection(width: int) -> nn.Sequential:
    """A backbone's two-layer MLP to the common width."""
    return nn.Sequential(nn.Linear(width, PROJECTED), nn.ReLU(), nn.Linear(PROJECTED, PROJECTED))


def head(width: int) -> nn.Sequential:
    """width -> 512 -> 32 -> 1, a logit a segment."""
    return nn.Sequential(
        nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 1)
    )


class Network(nn.Module):
    """T backbones' segment features to aggregated features and scores: the teacher for T > 1.

    ``temporal`` is ``tam`` or a rival of Table 1; ``attention`` are the settings of ``tam``, and
    ``skip`` is for all that attend.
    """

    def __init__(
        self,
        widths: Sequence[int],
        temporal: str = "tam",
        *,
        skip: bool = True,
        **attention: object,
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleList(map(projection, widths))
        self.temporal = temporal_module(
            temporal, len(widths), PROJECTED, WIDTH, skip=skip, **attention
        )
        self.head = head(WIDTH)

    def forward(self, features: Sequence[Float[Tensor, "b n _"]]) -> Scored:
        each = [project(x) for project, x in zip(self.projections, features, strict=True)]
        aggregated = self.temporal(torch.stack(each).transpose(0, 1))
        return Scored(aggregated, self.head(aggregated).squeeze(-1))


class Baseline(nn.Module):
    """Sultani et al.'s network: the head alone on features side by side, each segment for itself.

    Its H, for what wants one, is the features themselves.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.head = head(sum(widths))

    def forward(self, features: Sequence[Float[Tensor, "b n _"]]) -> Scored:
        joined = torch.cat(list(features), -1)
        return Scored(joined, self.head(joined).squeeze(-1))


class Projector(nn.Module):
    """g of Eq. 5: an MLP with one hidden layer, z = W2 relu(W1 h), for teacher and student."""

    def __init__(self, inputs: int = WIDTH, hidden: int = 512, outputs: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, outputs, bias=False)
        )

    def forward(self, features: Float[Tensor, "*n w"]) -> Float[Tensor, "*n z"]:
        return self.layers(features)
