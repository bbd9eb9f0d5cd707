"""The student's equations, one function each, numbered after the paper (Ristea et al., 2022).

Maps are lists of tensors (n, h_k, w_k), one a resolution, in the architecture's order; losses are
means over the batch.  Discriminators give logits: D = sigmoid(logit).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from vadistill.systems.fast_aed.model import Maps

Loss = Float[Tensor, ""]


def reconstruction_loss(
    reconstruction: Float[Tensor, "n c h w"], frame: Float[Tensor, "n c h w"]
) -> Loss:
    """L_AE, Eq. 2: mean over pixels and channels of (x - D(E(window)))^2, x the middle frame."""
    return F.mse_loss(reconstruction.float(), frame.float())


def pool_targets(
    maps: Float[Tensor, "n h w"], sizes: Sequence[tuple[int, int]]
) -> list[Float[Tensor, "n _ _"]]:
    """y^k: a teacher's maps max-pooled to each (height, width).  They must be as fine or finer."""
    return [F.adaptive_max_pool2d(maps, size) for size in sizes]


def teacher_distillation_loss(teacher: Maps, student: Maps) -> Loss:
    """L_KD(T, S), Eq. 3: the sum over resolutions k of the mean over cells of (y^k - S(x)^k)^2."""
    errors = [
        F.mse_loss(ours.float(), target.float())
        for target, ours in zip(teacher, student, strict=True)
    ]
    return torch.stack(errors).sum()


def distillation_loss(
    teachers: Sequence[Maps], student: Maps, weights: Sequence[float] | None = None
) -> Loss:
    """L_KD, Eq. 4: the sum over teachers i of lambda_i L_KD(T_i, S); every lambda_i is 1 if None.

    With an output branch for each teacher (Table 6), add the losses of single teachers instead.
    """
    weights = [1.0] * len(teachers) if weights is None else weights
    terms = [
        weight * teacher_distillation_loss(teacher, student)
        for teacher, weight in zip(teachers, weights, strict=True)
    ]
    return torch.stack(terms).sum()


def discriminator_loss(discriminator: nn.Module, teacher: Maps, student: Maps) -> Loss:
    """-L_AKD(D_T, S), Eq. 5, that D_T minimises: -E log D(T(x)) - E log(1 - D(S(x))).

    The paper prints 1 - log D in the second term, which labels fakes as genuine: a misprint for
    log(1 - D).  The student's maps are detached, not D's verdict on them: fakes teach D, and
    nothing reaches the student.
    """
    real = discriminator(teacher)
    fake = discriminator([m.detach() for m in student])
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def adversarial_loss(discriminators: Sequence[nn.Module], student: Maps) -> Loss:
    """L_AKD, Eq. 6, that S minimises: the sum over teachers i of -E log D_i(S(x)).

    This is the non-saturating form of minimising log(1 - D).  Its gradient reaches the student
    alone: the discriminators take part with detached weights.
    """
    return torch.stack([F.softplus(-_verdict(d, student)).mean() for d in discriminators]).sum()


def joint_discriminator_loss(
    discriminator: nn.Module, teachers: Sequence[Maps], student: Maps
) -> Loss:
    """Table 6's single discriminator of all teachers: cross entropy, student 0, teacher i class i.

    The mean over the classes' batches, added; maps are detached as in Eq. 5.
    """
    batches = [[m.detach() for m in student], *teachers]
    terms = []
    for label, maps in enumerate(batches):
        logits = discriminator(maps)
        terms.append(F.cross_entropy(logits, logits.new_full((len(logits),), label).long()))
    return torch.stack(terms).sum()


def joint_adversarial_loss(discriminator: nn.Module, student: Maps) -> Loss:
    """What S minimises against the single discriminator: -E log P(some teacher's | S(x))."""
    logits = _verdict(discriminator, student)
    return (logits.logsumexp(1) - logits[:, 1:].logsumexp(1)).mean()


def total_loss(kd: Loss, akd: Loss, *, lambda_kd: float = 1.0, alpha: float | Loss = 0.1) -> Loss:
    """L_total, Eq. 7: L_KD + alpha L_AKD (Fig. 8 varies alpha, Table 5 leaves out either)."""
    return lambda_kd * kd + alpha * akd


def balance(kd: Loss, akd: Loss, maps: Sequence[Float[Tensor, "n _ _"]], most: float = 1e4) -> Loss:
    """What L_AKD is multiplied by to pull at the student's maps as hard as L_KD: at most ``most``.

    The norm of L_KD's gradient by that of L_AKD's, as VQGAN (Esser et al., CVPR 2021) weighs its
    adversary, but at the maps, where it costs no pass through the student.  It is a constant.
    """
    norms = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, maps, retain_graph=True)]).norm()
        for loss in (kd, akd)
    ]
    return (norms[0] / norms[1].clamp_min(1e-12)).clamp_max(most)


def _verdict(discriminator: nn.Module, student: Maps) -> Float[Tensor, "n outputs"]:
    """D's logits, without a path to D's weights."""
    weights = {name: p.detach() for name, p in discriminator.named_parameters()}
    return functional_call(discriminator, weights, (student,))
