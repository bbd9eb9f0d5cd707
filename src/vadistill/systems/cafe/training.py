"""CAFE's training (Sec. 3.5): the student imitates the frozen teacher on normal events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vadistill.backbones.teachers import ARCHITECTURES, ResNet, UpsampledImageNet
from vadistill.batches import shuffled
from vadistill.devices import autocast
from vadistill.distill import FrozenTeacher, Targets
from vadistill.errors import ConfigError
from vadistill.objects.patches import PatchStore
from vadistill.systems.cafe.losses import (
    consistency_loss,
    distillation_loss,
    low_level_loss,
    total_loss,
)
from vadistill.systems.cafe.model import LowLevelBranch, PatchScorer, to_unit
from vadistill.systems.cafe.recipes import Config, LowLevel
from vadistill.training import SCHEDULES, Run

BRANCHES: dict[LowLevel, tuple[str, ...]] = {
    "none": (),
    "flow": ("motion",),
    "image": ("appearance",),
    "both": ("motion", "appearance"),
}
"""The low-level branches of each setting (Eqs. 6 and 7)."""

OUTPUTS = {"motion": 2, "appearance": 3}
"""Channels that a branch rebuilds: flow in x and y, or RGB."""


def untrained(teacher: nn.Module, config: Config) -> PatchScorer:
    """The scorer with an untrained student and branches; raises ConfigError."""
    if config.student not in ARCHITECTURES:
        raise ConfigError(
            f"student '{config.student}'",
            expected=f"one of {', '.join(ARCHITECTURES)}",
            fix="choose one of them",
        )
    inner = teacher.network if isinstance(teacher, FrozenTeacher) else teacher
    assert isinstance(inner, ResNet | UpsampledImageNet)
    architecture = ARCHITECTURES[config.student]
    if inner.architecture.width != architecture.width:
        raise ConfigError(
            f"a teacher of width {inner.architecture.width} with student '{config.student}' "
            f"of width {architecture.width}",
            expected="feature shapes that agree",
            fix="choose a student of the teacher's width",
        )
    if not 1 <= config.layers <= inner.GROUPS:
        raise ConfigError(
            f"{config.layers} layer groups",
            expected=f"1 to {inner.GROUPS} for this teacher",
            fix="change --layers",
        )
    torch.manual_seed(config.seed)
    mean, std = inner.mean.flatten().tolist(), inner.std.flatten().tolist()
    student = ResNet(architecture, mean, std)
    top = architecture.channels[-1]
    branches = {name: LowLevelBranch(top, OUTPUTS[name]) for name in BRANCHES[config.low_level]}
    return PatchScorer(
        teacher,
        student,
        nn.ModuleDict(branches),
        layers=config.layers,
        reduction=config.reduction,
    )


def train_student(
    scorer: PatchScorer,
    store: PatchStore,
    targets: Targets,
    config: Config,
    device: torch.device,
    work: Path,
) -> None:
    """Minimise Eq. 8 over the student and the branches; L_ca enters late."""
    student, branches = scorer.student, scorer.branches
    student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    trained = nn.ModuleDict({"student": student, "branches": branches})
    run = Run(
        "student",
        work,
        trained,
        torch.optim.Adam(trained.parameters(), config.learning_rate),
        epochs=config.epochs,
        order=shuffled(len(store), config.batch, seed=config.seed, least=2),  # for batch norm
        schedule=SCHEDULES[config.schedule],
        # Epochs with consistency take three times as long.
        cost=lambda epoch: 3 if is_consistent(config, epoch) else 1,
    )
    for step in run:
        rows = np.sort(step.rows)
        run.minimise(batch_losses(scorer, store, targets, rows, step.epoch, config, device))
    trained.eval()


def is_consistent(config: Config, epoch: int) -> bool:
    """Whether L_ca takes part in this epoch."""
    return config.lambda_ca > 0 and epoch >= config.consistency_after


def batch_losses(
    scorer: PatchScorer,
    store: PatchStore,
    targets: Targets,
    rows: Int[np.ndarray, " n"],
    epoch: int,
    config: Config,
    device: torch.device,
) -> dict[str, Float[Tensor, ""]]:
    """Every loss of one batch of events by name, with the ``total`` of Eq. 8."""
    n, consistent = len(rows), is_consistent(config, epoch)
    patches = torch.from_numpy(store.patches(rows)).to(device)
    event = to_unit(patches[:, 1])
    inputs = [event]
    if consistent:
        inputs += [to_unit(patches[:, 0]), to_unit(patches[:, 2])]
    with autocast(device, config.precision):
        features = scorer.student(torch.cat(inputs), config.layers)
        outputs = {name: branch(features[-1][:n]) for name, branch in scorer.branches.items()}
    own = [f[:n] for f in features]
    zero = torch.zeros((), device=device)
    teacher = (
        [t.to(device).permute(0, 3, 1, 2) for t in targets[rows]] if config.lambda_kd > 0 else []
    )
    kd = distillation_loss(own, teacher, config.reduction) if teacher else zero
    ca = zero
    if consistent:
        before, after = [f[n : 2 * n] for f in features], [f[2 * n :] for f in features]
        ca = consistency_loss(before, own, after, config.reduction)
    lo = zero
    if outputs:
        goals: dict[str, Tensor] = {"appearance": event}
        if "motion" in outputs:
            goals["motion"] = torch.from_numpy(store.flow(rows)[:, 0]).float().to(device)
        lo = low_level_loss(outputs, goals, config.reduction)
    total = total_loss(
        kd,
        ca,
        lo,
        lambda_kd=config.lambda_kd,
        lambda_ca=config.lambda_ca,
        lambda_lo=config.lambda_lo,
    )
    return {"total": total, "kd": kd, "ca": ca, "lo": lo}


def teacher_targets(
    teacher: nn.Module, store: PatchStore, rows: np.ndarray, config: Config, device: torch.device
) -> list[Float[Tensor, "n h w c"]]:
    """T(E, j) of some events, channels last as the student's features lie in memory."""
    event = to_unit(torch.from_numpy(store.patches(rows)[:, 1]).to(device))
    with autocast(device, config.precision):
        features = teacher(event, config.layers)
    return [f.permute(0, 2, 3, 1) for f in features]
