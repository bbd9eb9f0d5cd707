"""What a backbone's features go through first: standardised, or as they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Standard(nn.Module):
    """A backbone's features less their mean, over their deviation, as ``fit`` found them."""

    mean: Float[Tensor, " d"]
    deviation: Float[Tensor, " d"]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def fit(self, mean: Float[Tensor, " d"], deviation: Float[Tensor, " d"]) -> None:
        """Take over what training features have; a number that never changes stays as it is."""
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def forward(self, features: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return (features - self.mean) / self.deviation


def entrances(widths: Sequence[int], standardise: bool) -> nn.ModuleList:
    """What each backbone's features go through first."""
    return nn.ModuleList(Standard(width) if standardise else nn.Identity() for width in widths)
