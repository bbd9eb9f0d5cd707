"""DAKD's equations as functions: the ranking loss, pseudo-labels and both levels of distillation.

Numbers are those of the paper's first version (Eqs. 5 and 6); the denominator of Eq. 5 and the
refinement of pseudo-labels are the second version's.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def ranking_loss(
    abnormal: Float[Tensor, "a n"],
    normal: Float[Tensor, "b n"],
    *,
    smoothness: float = 8e-5,
    sparsity: float = 8e-5,
) -> dict[str, Float[Tensor, ""]]:
    """Sultani et al.'s multiple-instance ranking loss on scores in [0, 1], by part.

    ``hinge``: mean over all pairs of an abnormal and a normal bag of
    max(0, 1 - max_a + max_n).  ``smoothness``: sum over a bag of (s_i - s_i+1)^2, ``sparsity``: sum
    of s_i, both of abnormal bags only and as their mean.  No term crosses a video's border.
    """
    tops, others = abnormal.amax(1), normal.amax(1)
    steps = abnormal[:, 1:] - abnormal[:, :-1]
    return {
        "hinge": F.relu(1 - tops[:, None] + others[None, :]).mean(),
        "smoothness": smoothness * steps.square().sum(1).mean(),
        "sparsity": sparsity * abnormal.sum(1).mean(),
    }


def moving_average(scores: Float[Tensor, "v n"], half_width: int) -> Float[Tensor, "v n"]:
    """The mean of the 2 epsilon + 1 scores around each, a video's first and last one repeated."""
    if half_width == 0:
        return scores
    padded = F.pad(scores[:, None], (half_width, half_width), mode="replicate")
    return F.avg_pool1d(padded, 2 * half_width + 1, stride=1)[:, 0]


def stretched(scores: Float[Tensor, "v n"]) -> Float[Tensor, "v n"]:
    """Each video's scores from 0 to 1; a constant video, which has nothing to stretch, stays."""
    low, high = scores.amin(1, keepdim=True), scores.amax(1, keepdim=True)
    constant = high - low < 1e-6
    return torch.where(constant, scores, (scores - low) / (high - low).clamp_min(1e-6))


def pseudo_labels(
    scores: Float[Tensor, "v n"],
    abnormal: Bool[Tensor, " v"],
    *,
    half_width: int = 2,
    minmax: bool = True,
) -> Float[Tensor, "v n"]:
    """The teacher's scores refined to soft labels in [0, 1] (Sec. 3.3); 0 in normal videos."""
    refined = moving_average(scores, half_width)
    refined = stretched(refined) if minmax else refined
    return refined.clamp(0, 1) * abnormal[:, None]


def prediction_loss(
    logits: Float[Tensor, "b n"], labels: Float[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """L_bce: binary cross-entropy of the student's scores to soft labels, mean over segments."""
    return F.binary_cross_entropy_with_logits(logits, labels)


def feature_loss(
    teacher: Float[Tensor, "m z"],
    student: Float[Tensor, "m z"],
    anomalous: Bool[Tensor, " m"],
    temperature: float | int,
) -> Float[Tensor, ""]:
    """Eq. 5: InfoNCE between a segment's features z of teacher and student, both classes' sum.

    Positive: the same segment's.  Negatives: the student's features of all segments of the other
    class.  Similarity: the cosine over ``temperature``.  A class that no segment has is left out;
    with one class only the loss is 0.
    """
    t, s = F.normalize(teacher, dim=-1), F.normalize(student, dim=-1)
    loss = student.sum() * 0
    if not anomalous.any() or anomalous.all():
        return loss
    positive = (t * s).sum(-1) / temperature
    for own in (anomalous, ~anomalous):
        negative = t[own] @ s[~own].T / temperature
        every = torch.cat([positive[own, None], negative], 1)
        loss = loss + (every.logsumexp(1) - positive[own]).mean()
    return loss


def distillation_loss(
    bce: Float[Tensor, ""],
    nce: Float[Tensor, ""],
    *,
    alpha: float | int,
    temperature: float | int,
) -> Float[Tensor, ""]:
    """Eq. 6: L_d = L_bce + alpha tau^2 L_nce."""
    return bce + alpha * temperature**2 * nce
