"""The networks of Fig. 2, teacher and student alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vadistill.systems.dakd.recipes import Config
from vadistill.systems.dakd.standard import entrances
from vadistill.systems.dakd.temporal import WithSkip, temporal_module

WIDTH = 1024
"""Width of the paper's aggregated features H; half of it are every backbone's projected ones."""


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


def projection(width: int, common: int) -> nn.Sequential:
    """A backbone's two-layer MLP to the common width."""
    return nn.Sequential(nn.Linear(width, common), nn.ReLU(), nn.Linear(common, common))


def head(width: int, hidden: int) -> nn.Sequential:
    """width -> hidden -> 32 -> 1, a logit a segment; the paper's has 512 hidden units."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 32), nn.ReLU(), nn.Linear(32, 1)
    )


class Network(nn.Module):
    """T backbones' segment features to aggregated features and scores: the teacher for T > 1.

    ``temporal`` is ``tam`` or a rival of Table 1; ``attention`` are the settings of ``tam``, and
    ``skip`` is for all that attend.  ``width`` is that of H.  With ``guarded`` a segment's logit is
    the lesser of two: the one of H, and that of what the skip alone brings.
    """

    def __init__(
        self,
        widths: Sequence[int],
        temporal: str = "tam",
        *,
        width: int = WIDTH,
        standardise: bool = False,
        skip: bool = True,
        guarded: bool = False,
        **attention: object,
    ) -> None:
        super().__init__()
        self.guarded = guarded
        common = width // 2
        self.entrances = entrances(widths, standardise)
        self.projections = nn.ModuleList(projection(each, common) for each in widths)
        self.temporal = temporal_module(
            temporal, len(widths), common, width, skip=skip, **attention
        )
        self.head = head(width, common)

    def forward(self, features: Sequence[Float[Tensor, "b n _"]]) -> Scored:
        return self.judge(self.project(features))

    def project(self, features: Sequence[Float[Tensor, "b n _"]]) -> Float[Tensor, "b t n d"]:
        """Each backbone's segments in the common width, each for itself."""
        seen = [enter(x) for enter, x in zip(self.entrances, features, strict=True)]
        each = [project(x) for project, x in zip(self.projections, seen, strict=True)]
        return torch.stack(each).transpose(0, 1)

    def judge(self, sequences: Float[Tensor, "b t n d"]) -> Scored:
        """What is said of projected segments."""
        aggregated = self.temporal(sequences)
        alone = self.temporal.alone(sequences) if isinstance(self.temporal, WithSkip) else None
        return Scored(aggregated, self.logits(aggregated, alone))

    def logits(
        self, aggregated: Float[Tensor, "b n w"], alone: Float[Tensor, "b n w"] | None
    ) -> Float[Tensor, "b n"]:
        """Of H, and where ``guarded`` at most those of what the skip alone brings."""
        logits = self.head(aggregated).squeeze(-1)
        if self.guarded and alone is not None:
            logits = torch.minimum(logits, self.head(alone).squeeze(-1))
        return logits


class Baseline(nn.Module):
    """Sultani et al.'s network: the head alone on features side by side, each segment for itself.

    Its H, for what wants one, is the features themselves.
    """

    def __init__(
        self, widths: Sequence[int], *, width: int = WIDTH, standardise: bool = False
    ) -> None:
        super().__init__()
        self.entrances = entrances(widths, standardise)
        self.head = head(sum(widths), width // 2)

    def forward(self, features: Sequence[Float[Tensor, "b n _"]]) -> Scored:
        return self.judge(self.project(features))

    def project(self, features: Sequence[Float[Tensor, "b n _"]]) -> Float[Tensor, "b 1 n w"]:
        """The features side by side."""
        each = [enter(x) for enter, x in zip(self.entrances, features, strict=True)]
        return torch.cat(each, -1)[:, None]

    def judge(self, sequences: Float[Tensor, "b 1 n w"]) -> Scored:
        """What is said of features side by side."""
        return Scored(sequences[:, 0], self.head(sequences[:, 0]).squeeze(-1))


class Projector(nn.Module):
    """g of Eq. 5: an MLP with one hidden layer, z = W2 relu(W1 h), for teacher and student."""

    def __init__(self, inputs: int = WIDTH, hidden: int = 512, outputs: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, outputs, bias=False)
        )

    def forward(self, features: Float[Tensor, "*n w"]) -> Float[Tensor, "*n z"]:
        return self.layers(features)


def teacher_network(config: Config, widths: list[int]) -> Network | Baseline:
    """The untrained teacher."""
    if config.temporal == "baseline":
        return Baseline(widths, width=config.width, standardise=config.standardise)
    return Network(widths, config.temporal, **_settings(config, config.terms))


def student_network(config: Config, width: int) -> Network:
    """The untrained student: one backbone, and so no cross term."""
    terms = tuple(term for term in config.terms if term != "cross")
    return Network([width], config.temporal, **_settings(config, terms))


def _settings(config: Config, terms: tuple[str, ...]) -> dict[str, Any]:
    """Settings of a network; those of the temporal aggregation module for no other."""
    shared: dict[str, Any] = {
        "width": config.width,
        "standardise": config.standardise,
        "skip": config.skip,
        "guarded": config.guarded,
    }
    if config.temporal != "tam":
        return shared
    return {**shared, "reach": config.reach, "terms": terms, "index": config.index}
