"""The terms of T1's training and its scores, one function each (names after the paper's)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def reconstruction_loss(
    objects: Float[Tensor, "n c h w"], outputs: Float[Tensor, "n c h w"]
) -> Float[Tensor, ""]:
    """Mean squared error of the main decoder on normal objects, over pixels and objects."""
    return (objects.float() - outputs.float()).square().mean()


def adversarial_loss(
    pseudo: Float[Tensor, "n c h w"], outputs: Float[Tensor, "n c h w"]
) -> Float[Tensor, ""]:
    """Mean squared error of the adversarial decoder on pseudo-abnormal objects.

    The decoder descends it; the encoder, behind the reversed gradient, ascends it.
    """
    return (pseudo.float() - outputs.float()).square().mean()


def classification_loss(
    normal: Float[Tensor, " n"], pseudo: Float[Tensor, " m"]
) -> Float[Tensor, ""]:
    """Binary cross-entropy of logits: normal objects are class 0, pseudo-abnormal ones class 1.

    Both classes weigh the same, whatever their numbers.
    """
    # -log(1 - sigmoid(z)) = softplus(z) and -log(sigmoid(z)) = softplus(-z)
    return (F.softplus(normal.float()).mean() + F.softplus(-pseudo.float()).mean()) / 2


def abnormality(logits: Float[Tensor, "n views"]) -> Float[Tensor, " n"]:
    """Mean over the classifiers of the probability of abnormal, in [0, 1], in double precision."""
    return torch.sigmoid(logits.double()).mean(1)
