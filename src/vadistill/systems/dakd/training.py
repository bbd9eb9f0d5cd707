"""DAKD's two stages (Fig. 2): the teacher learns from video labels, the student from it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vadistill.devices import autocast
from vadistill.distill import FrozenTeacher, TargetCache
from vadistill.errors import DataError
from vadistill.progress import progress
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
from vadistill.training import Checkpoint, RunLog

SAVED_EVERY = 20.0
"""Seconds of training that a kill may cost at most, beside an epoch."""


def optimiser(modules: Mapping[str, nn.Module], config: Config) -> torch.optim.Optimizer:
    """Adagrad with a smaller learning rate for temporal modules than for the rest."""
    named = [item for module in modules.values() for item in module.named_parameters()]
    temporal = [p for name, p in named if name.startswith("temporal.")]
    other = [p for name, p in named if not name.startswith("temporal.")]
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
    """Stage 1: the ranking loss on bags of both classes.  Goes on from ``folder``'s checkpoint."""
    optimizer = optimiser({"network": network}, config)
    checkpoint = Checkpoint(
        folder / "checkpoint.safetensors", {"network": network}, optimizer, settings=folder.name
    )
    position = checkpoint.load() or {"epoch": 0}
    log = RunLog(folder / "log.jsonl", resume_after=position["epoch"] - 1)
    network.train()
    saved = time.monotonic()
    with progress("teacher", config.epochs) as advance:
        advance(position["epoch"])
        for epoch in range(position["epoch"], config.epochs):
            total: dict[str, float] = {}
            batches = balanced_batches(bags.labels, config.batch, seed=config.seed, epoch=epoch)
            for abnormal, normal in batches:
                features = bags.batch(names, np.concatenate([abnormal, normal]), device)
                with autocast(device, config.precision):
                    scores = network(features).scores
                parts = ranking_loss(
                    scores[: len(abnormal)],
                    scores[len(abnormal) :],
                    smoothness=config.smoothness,
                    sparsity=config.sparsity,
                )
                optimizer.zero_grad(set_to_none=True)
                torch.stack(list(parts.values())).sum().backward()
                optimizer.step()
                for name, value in parts.items():
                    total[name] = total.get(name, 0.0) + value.item() / len(batches)
            _finite(total, "teacher", epoch)
            log.write(epoch, **total)
            advance(note=f"hinge {total['hinge']:.3f}")
            if time.monotonic() - saved > SAVED_EVERY or epoch + 1 == config.epochs:
                checkpoint.save(epoch=epoch + 1)
                saved = time.monotonic()
    network.eval()


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
    modules: dict[str, nn.Module] = {"student": student}
    projector = None
    if config.alpha:
        projector = Projector().to(device)
        modules["projector"] = projector
    optimizer = optimiser(modules, config)
    checkpoint = Checkpoint(
        folder / "checkpoint.safetensors", modules, optimizer, settings=folder.name
    )
    position = checkpoint.load() or {"epoch": 0}
    log = RunLog(folder / "log.jsonl", resume_after=position["epoch"] - 1)
    chunks = np.array_split(np.arange(len(bags)), -(-len(bags) // 256))
    labels = pseudo_labels(
        torch.cat([targets[rows][1].sigmoid() for rows in chunks]),
        torch.from_numpy(bags.labels),
        half_width=config.half_width,
        minmax=config.minmax,
    ).to(device)
    student.train()
    saved = time.monotonic()
    with progress("student", config.epochs) as advance:
        advance(position["epoch"])
        for epoch in range(position["epoch"], config.epochs):
            total: dict[str, float] = {}
            norms: dict[str, float] = {}
            batches = balanced_batches(bags.labels, config.batch, seed=config.seed, epoch=epoch)
            for abnormal, normal in batches:
                rows = np.concatenate([abnormal, normal])
                taught = targets[rows][0].to(device) if projector else None
                with autocast(device, config.precision):
                    said = student(bags.batch([name], rows, device))
                    ours, theirs = None, None
                    if projector is not None and taught is not None:
                        ours, theirs = projector(said.features), projector(taught).detach()
                parts = losses_of(said, labels[rows], ours, theirs, len(abnormal), config)
                if not norms:
                    norms = _gradient_norms(parts, said.features)
                optimizer.zero_grad(set_to_none=True)
                torch.stack(list(parts.values())).sum().backward()
                optimizer.step()
                for part, value in parts.items():
                    total[part] = total.get(part, 0.0) + value.item() / len(batches)
            _finite(total, "student", epoch)
            log.write(epoch, **total, **norms)
            advance(note=" ".join(f"{part} {value:.3f}" for part, value in total.items()))
            if time.monotonic() - saved > SAVED_EVERY or epoch + 1 == config.epochs:
                checkpoint.save(epoch=epoch + 1)
                saved = time.monotonic()
    student.eval()


def losses_of(
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


def _finite(total: Mapping[str, float], stage: str, epoch: int) -> None:
    """Raise DataError where a loss is no number any more."""
    bad = [name for name, value in total.items() if not np.isfinite(value)]
    if bad:
        raise DataError(
            f"the {stage}'s {bad[0]} loss is {total[bad[0]]} in epoch {epoch + 1}",
            expected="a finite loss",
            fix="scale the features (--normalise), or lower the learning rates",
        )


def _gradient_norms(
    parts: Mapping[str, Float[Tensor, ""]], features: Float[Tensor, "b n w"]
) -> dict[str, float]:
    """How strongly each term of the loss pulls at the student's H."""
    return {
        f"{part}_gradient": float(
            torch.autograd.grad(value, features, retain_graph=True)[0].float().norm()
        )
        for part, value in parts.items()
    }
