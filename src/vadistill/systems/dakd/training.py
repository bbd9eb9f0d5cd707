"""DAKD's two stages (Fig. 2): the teacher learns from video labels, the student from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vadistill.devices import autocast
from vadistill.distill import FrozenTeacher, TargetCache
from vadistill.systems.dakd.data import Bags, balanced_batches
from vadistill.systems.dakd.losses import (
    distillation_loss,
    feature_loss,
    prediction_loss,
    pseudo_labels,
    ranking_loss,
)
from vadistill.systems.dakd.model import Baseline, Network, Projector, Scored
from vadistill.systems.dakd.recipes import Config
from vadistill.training import Run

SAVED_EVERY = 20.0
"""Seconds of training that a kill may cost at most, beside an epoch."""


def optimiser(network: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Adagrad with a smaller learning rate for temporal modules than for the rest."""
    named = list(network.named_parameters())
    temporal = [p for name, p in named if ".temporal." in f".{name}"]
    other = [p for name, p in named if ".temporal." not in f".{name}"]
    groups = [{"params": other, "lr": config.learning_rate}]
    if temporal:
        groups.append({"params": temporal, "lr": config.temporal_learning_rate})
    fused = all(p.device.type == "cpu" for _, p in named)  # on GPUs only newer PyTorch has it
    return torch.optim.Adagrad(groups, weight_decay=config.weight_decay, fused=fused)


def train_teacher(
    network: Network | Baseline,
    names: Sequence[str],
    bags: Bags,
    config: Config,
    device: torch.device,
    folder: Path,
) -> None:
    """Stage 1: the ranking loss on bags of both classes."""
    run = stage_run("teacher", network, bags, config, folder)
    for step in run:
        abnormal, normal = step.rows
        features = bags.batch(names, np.concatenate([abnormal, normal]), device)
        with autocast(device, config.precision):
            scores = network(features).scores
        losses = ranking_loss(
            scores[: len(abnormal)],
            scores[len(abnormal) :],
            smoothness=config.smoothness,
            sparsity=config.sparsity,
        )
        run.minimise(losses)
    network.eval()


def stage_run(
    stage: str, network: nn.Module, bags: Bags, config: Config, folder: Path
) -> Run[tuple[np.ndarray, np.ndarray]]:
    """The run of either stage, over (abnormal, normal) rows; an epoch's mean losses are logged."""
    return Run(
        stage,
        folder,
        network,
        optimiser(network, config),
        epochs=config.epochs,
        order=lambda epoch: balanced_batches(
            bags.labels, config.batch, seed=config.seed, epoch=epoch
        ),
        log_every=0,
        save_every=SAVED_EVERY,
    )


def teacher_targets(
    teacher: FrozenTeacher,
    names: Sequence[str],
    bags: Bags,
    device: torch.device,
    folder: Path,
    *,
    key: str,
) -> TargetCache:
    """The teacher's H (v, n, w) and logits (v, n) of all training videos, computed once.

    Logits, since the cache's half floats would round scores near 1 to steps.
    """

    def outputs(rows: np.ndarray) -> list[Tensor]:
        said = teacher(bags.batch(names, rows, device))
        assert isinstance(said, Scored)
        return [said.features, said.logits]

    return TargetCache(folder, key=key, count=len(bags)).fill(outputs, batch=64)


def distil(
    student: Network | Baseline,
    name: str,
    targets: TargetCache,
    bags: Bags,
    config: Config,
    device: torch.device,
    folder: Path,
) -> None:
    """Stage 2: both levels of distillation (Eq. 6); the teacher's outputs are data by now.

    The log has both losses and, once an epoch, the norms of their gradients in the student's H.
    """
    torch.manual_seed(config.seed)
    trained = nn.ModuleDict({"student": student})
    projector = None
    if config.alpha:
        projector = trained["projector"] = Projector().to(device)
    run = stage_run("student", trained, bags, config, folder)
    chunks = np.array_split(np.arange(len(bags)), -(-len(bags) // 256))
    labels = pseudo_labels(
        torch.cat([targets[rows][1].sigmoid() for rows in chunks]),
        torch.from_numpy(bags.labels),
        half_width=config.half_width,
        minmax=config.minmax,
    ).to(device)
    for step in run:
        abnormal, normal = step.rows
        rows = np.concatenate([abnormal, normal])
        with autocast(device, config.precision):
            said = student(bags.batch([name], rows, device))
            ours, theirs = None, None
            if projector is not None:
                taught = targets[rows][0].to(device)
                ours, theirs = projector(said.features), projector(taught).detach()
        losses = student_losses(said, labels[rows], ours, theirs, len(abnormal), config)
        run.minimise(losses, **(gradient_norms(losses, said.features) if step.first else {}))
    student.eval()


def student_losses(
    said: Scored,
    labels: Float[Tensor, "b n"],
    ours: Float[Tensor, "b n z"] | None,
    theirs: Float[Tensor, "b n z"] | None,
    abnormal: int,
    config: Config,
) -> dict[str, Float[Tensor, ""]]:
    """The terms of Eq. 6 as they are added, by name; ``ours`` and ``theirs`` are z."""
    parts: dict[str, Tensor] = {}
    if config.lambda_bce:
        parts["bce"] = config.lambda_bce * prediction_loss(said.logits.float(), labels)
    else:
        parts |= ranking_loss(
            said.scores[:abnormal],
            said.scores[abnormal:],
            smoothness=config.smoothness,
            sparsity=config.sparsity,
        )
    if ours is not None and theirs is not None:
        nce = feature_loss(
            theirs.flatten(0, 1).float(),
            ours.flatten(0, 1).float(),
            (labels > config.delta).flatten(),
            config.tau,
        )
        parts["nce"] = distillation_loss(
            nce.new_zeros(()), nce, alpha=config.alpha, temperature=config.tau
        )
    return parts


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
