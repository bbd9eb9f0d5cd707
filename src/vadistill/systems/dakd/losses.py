"""DAKD's equations as functions: the ranking loss, pseudo-labels and both levels of distillation.

Numbers are those of the paper's first version (Eqs. 5 and 6); the denominator of Eq. 5 and the
refinement of pseudo-labels are the second version's.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def top_mean(values: Float[Tensor, "v n"]) -> Float[Tensor, " v"]:
    """The mean of a video's highest 1 + n // 16 segments: 3 of 32, 1 of few."""
    return values.topk(1 + values.shape[1] // 16, dim=1).values.mean(1)


def topk_loss(
    abnormal: Float[Tensor, "a n"], normal: Float[Tensor, "b n"]
) -> dict[str, Float[Tensor, ""]]:
    """``topk``: cross-entropy of each video's label to the mean of its highest logits."""
    tops = torch.cat([top_mean(abnormal), top_mean(normal)])
    labels = torch.cat([torch.ones(len(abnormal)), torch.zeros(len(normal))]).to(tops)
    return {"topk": F.binary_cross_entropy_with_logits(tops, labels)}


def magnitude_loss(
    features: Float[Tensor, "v n w"],
    logits: Float[Tensor, "v n"],
    abnormal: int,
    *,
    margin: float = 100.0,
    weight: float = 1e-4,
) -> dict[str, Float[Tensor, ""]]:
    """RTFM's loss (Tian et al. 2021), the first ``abnormal`` videos the abnormal ones, by part.

    A video's segments of greatest magnitude |H| speak for it.  ``magnitude``: ``weight`` times the
    mean of (|margin - |H_a|| + |H_n|)^2 over all pairs of an abnormal and a normal video, H being
    the mean feature of those segments.  ``topk``: cross-entropy to the mean of their logits.
    """
    places = features.norm(dim=-1).topk(1 + logits.shape[1] // 16, dim=1).indices
    spoken = features.gather(1, places[..., None].expand(-1, -1, features.shape[-1])).mean(1)
    magnitude = spoken.norm(dim=-1)
    short = (margin - magnitude[:abnormal]).abs()
    tops = logits.gather(1, places).mean(1)
    labels = (torch.arange(len(tops), device=tops.device) < abnormal).to(tops)
    return {
        "magnitude": weight * (short[:, None] + magnitude[None, abnormal:]).square().mean(),
        "topk": F.binary_cross_entropy_with_logits(tops, labels),
    }


def moving_average(scores: Float[Tensor, "v n"], half_width: int) -> Float[Tensor, "v n"]:
    """The mean of the 2 epsilon + 1 scores around each, a video's first and last one repeated."""
    if half_width == 0:
        return scores
    padded = F.pad(scores[:, None], (half_width, half_width), mode="replicate")
    return F.avg_pool1d(padded, 2 * half_width + 1, stride=1)[:, 0]


def stretched(scores: Float[Tensor, "v n"], least_range: float | int = 0.0) -> Float[Tensor, "v n"]:
    """Each video's scores from 0 to 1.

    A video whose scores are within ``least_range`` of each other stays as it is: what would be
    stretched there is noise, and a constant video has nothing to stretch.
    """
    low, high = scores.amin(1, keepdim=True), scores.amax(1, keepdim=True)
    flat = high - low <= max(least_range, 1e-6)
    return torch.where(flat, scores, (scores - low) / (high - low).clamp_min(1e-6))


def pseudo_labels(
    scores: Float[Tensor, "v n"],
    abnormal: Bool[Tensor, " v"],
    *,
    half_width: int = 2,
    minmax: bool = True,
    least_range: float | int = 0.0,
) -> Float[Tensor, "v n"]:
    """The teacher's scores refined to soft labels in [0, 1] (Sec. 3.3); 0 in normal videos."""
    refined = moving_average(scores, half_width)
    refined = stretched(refined, least_range) if minmax else refined
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
    normal: Bool[Tensor, " m"],
    temperature: float | int,
) -> Float[Tensor, ""]:
    """Eq. 5: InfoNCE between a segment's features z of teacher and student, both classes' sum.

    Positive: the same segment's.  Negatives: the student's features of all segments of the other
    class.  Similarity: the cosine over ``temperature``.  A segment in neither class counts nowhere;
    where a class has no segment the loss is 0.
    """
    t, s = F.normalize(teacher, dim=-1), F.normalize(student, dim=-1)
    loss = (teacher.sum() + student.sum()) * 0
    if not anomalous.any() or not normal.any():
        return loss
    positive = (t * s).sum(-1) / temperature
    for own, other in ((anomalous, normal), (normal, anomalous)):
        negative = t[own] @ s[other].T / temperature
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


def gradient_norms(
    parts: Mapping[str, Float[Tensor, ""]], features: Float[Tensor, "b n w"]
) -> dict[str, float]:
    """How strongly each term of the loss pulls at the student's H."""
    return {
        f"{part}_gradient": float(
            torch.autograd.grad(value, features, retain_graph=True)[0].float().norm()
        )
        for part, value in parts.items()
    }
