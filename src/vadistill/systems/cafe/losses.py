"""CAFE's equations, one function each, named and numbered after the paper (Yu et al., MM '22).

Sim is the negative squared error (Sec. 3.2.2), so maximising similarity is minimising these.
The paper sums squares over a layer; here each layer's *mean* is the default, so that no layer
dominates by its size alone; ``reduction="sum"`` is the literal equation.
All distances are per event; the losses average them over the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Reduction = Literal["mean", "sum"]
Features = Sequence[Float[Tensor, "n _ _ _"]]


def squared_distance(
    x: Float[Tensor, "n *shape"], y: Float[Tensor, "n *shape"], reduction: Reduction = "mean"
) -> Float[Tensor, " n"]:
    """||x - y||^2 of each event: -Sim(x, y) of Eq. 1."""
    squares = (x.float() - y.float()).square()
    # Reduced over all but the batch at once: flattening would copy channels-last features.
    each = tuple(range(1, squares.ndim))
    return squares.mean(each) if reduction == "mean" else squares.sum(each)


def layer_distances(
    x: Features, y: Features, reduction: Reduction = "mean"
) -> Float[Tensor, "n layers"]:
    """||x_j - y_j||^2 of each event and layer j."""
    return torch.stack(
        [squared_distance(a, b, reduction) for a, b in zip(x, y, strict=True)], dim=1
    )


def distillation_loss(
    student: Features, teacher: Features, reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    """L_kd, Eq. 2: the student's features of an event approach the teacher's."""
    return layer_distances(student, teacher, reduction).sum(1).mean()


def consistency_loss(
    before: Features, event: Features, after: Features, reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    """L_ca, Eq. 4 (Eq. 3 as a loss): half the squared distances to both neighbours."""
    distances = layer_distances(before, event, reduction) + layer_distances(after, event, reduction)
    return 0.5 * distances.sum(1).mean()


def low_level_loss(
    outputs: Mapping[str, Float[Tensor, "n _ h w"]],
    targets: Mapping[str, Float[Tensor, "n _ h w"]],
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    """L_lo, Eq. 5 as a loss: Eq. 6 for one branch, Eq. 7 for several, whose errors are added."""
    errors = [squared_distance(outputs[name], targets[name], reduction) for name in outputs]
    return torch.stack(errors).sum(0).mean()


def total_loss(
    kd: Float[Tensor, ""],
    ca: Float[Tensor, ""],
    lo: Float[Tensor, ""],
    *,
    lambda_kd: float = 1.0,
    lambda_ca: float = 0.1,
    lambda_lo: float = 1.0,
) -> Float[Tensor, ""]:
    """L, Eq. 8.  ``lambda_kd`` is 1 in the paper and 0 in its Sec. 4.3.3 (low level only)."""
    return lambda_kd * kd + lambda_ca * ca + lambda_lo * lo


def distillation_score(
    student: Features, teacher: Features, reduction: Reduction = "mean"
) -> Float[Tensor, " n"]:
    """A_kd, Eq. 9."""
    return layer_distances(student, teacher, reduction).sum(1)


def consistency_score(
    before: Features, event: Features, after: Features, reduction: Reduction = "mean"
) -> Float[Tensor, " n"]:
    """A_ca, Eq. 10, with Con(x, y, z) = Sim(y, x) + Sim(y, z)."""
    distances = layer_distances(before, event, reduction) + layer_distances(after, event, reduction)
    return distances.sum(1)


def low_level_score(
    output: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    reduction: Reduction = "mean",
) -> Float[Tensor, " n"]:
    """A_lo, Eq. 11, of one branch; with both branches their scores are added."""
    return squared_distance(output, target, reduction)


def overall_score(
    scores: Float[Tensor, "n parts"],
    mean: Float[Tensor, "... parts"],
    std: Float[Tensor, " parts"],
    weights: Float[Tensor, " parts"],
) -> Float[Tensor, " n"]:
    """A, Eq. 12: the weighted sum of A_kd, A_ca, A_lo, each standardised over training events.

    The mean may be another for each event, and there may be more terms.
    """
    return (weights * (scores - mean) / std).sum(1)
