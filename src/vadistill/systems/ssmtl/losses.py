"""T2's losses and scores, one function a task (Georgescu et al., CVPR 2021, Secs. 3.1 to 3.3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

TASKS = ("arrow", "irregularity", "middle", "distillation")
"""The four proxy tasks, in the order of scores."""


def arrow_loss(forward: Float[Tensor, "n 2"], backward: Float[Tensor, "n 2"]) -> Float[Tensor, ""]:
    """L_1, the arrow of time: cross-entropy of clips in their order (class 0) and reversed (1)."""
    return _two_classes(forward, backward)


def irregularity_loss(
    regular: Float[Tensor, "n 2"], irregular: Float[Tensor, "n 2"]
) -> Float[Tensor, ""]:
    """L_2, motion irregularity: cross-entropy of consecutive (class 0) and skipped frames (1)."""
    return _two_classes(regular, irregular)


def _two_classes(zeros: Float[Tensor, "n 2"], ones: Float[Tensor, "n 2"]) -> Float[Tensor, ""]:
    labels = torch.arange(2, device=zeros.device).repeat_interleave(len(zeros))
    return F.cross_entropy(torch.cat([zeros, ones]).float(), labels)


def middle_loss(
    predicted: Float[Tensor, "n 3 h w"], middle: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, ""]:
    """L_3, middle-box prediction: mean absolute error of the left out frame, pixels in [0, 1]."""
    return absolute_error(predicted, middle).mean()


def distillation_loss(
    predicted: Float[Tensor, "n d"], target: Float[Tensor, "n d"]
) -> Float[Tensor, ""]:
    """L_4, knowledge distillation: mean absolute error to the image network's outputs."""
    return absolute_error(predicted, target).mean()


def total_loss(
    losses: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float]
) -> Float[Tensor, ""]:
    """L, the weighted sum of the tasks' losses; the paper's weights are 1, 1, 1 and 0.5."""
    return torch.stack([weights[task] * loss for task, loss in losses.items()]).sum()


def absolute_error(x: Float[Tensor, "n *s"], y: Float[Tensor, "n *s"]) -> Float[Tensor, " n"]:
    """Mean absolute difference of each event."""
    return (x.float() - y.float()).abs().flatten(1).mean(1)


def altered_probability(logits: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """P(backward) or P(irregular), in [0, 1]."""
    return logits.float().softmax(1)[:, 1]


def object_score(
    parts: Float[np.ndarray, "n tasks"], units: Float[np.ndarray, " tasks"]
) -> Float[np.ndarray, " n"]:
    """Mean of P(backward), P(irregular) and the two errors, each in units of ``units``.

    The units of probabilities are 1, those of errors are ``error_unit``'s: so an error that only
    one training object in a hundred exceeds weighs as much as a certain probability.
    """
    return (parts / units).mean(1)


def error_unit(errors: Float[np.ndarray, " n"]) -> float:
    """The error that 99 % of training objects stay below, never 0."""
    return max(float(np.quantile(errors, 0.99)), 1e-6)
