"""fast_aed's training: the auto-encoder phase, then distillation from the teachers' maps."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vadistill.batches import shuffled
from vadistill.devices import autocast
from vadistill.systems.fast_aed.batches import Batches
from vadistill.systems.fast_aed.blocks import Decoder, standardise
from vadistill.systems.fast_aed.discriminator import Discriminator
from vadistill.systems.fast_aed.losses import (
    adversarial_loss,
    balance,
    discriminator_loss,
    distillation_loss,
    joint_adversarial_loss,
    joint_discriminator_loss,
    reconstruction_loss,
    teacher_distillation_loss,
    total_loss,
)
from vadistill.systems.fast_aed.model import Maps, Student
from vadistill.systems.fast_aed.recipes import Config
from vadistill.training import Run, Step, cosine, halving

T = TypeVar("T", nn.ModuleDict, Tensor)


def train_autoencoder(
    batches: Batches, config: Config, device: torch.device, work: Path
) -> Decoder:
    """Minimise Eq. 2 over the encoder and a decoder, that distillation has no use for."""
    student, count = batches.student, len(batches.store)
    torch.manual_seed(config.seed)
    decoder = student.decoder().to(device)
    trained = channels_last(nn.ModuleDict({"student": student, "decoder": decoder}))
    rate = config.learning_rate if config.autoencoder_rate is None else config.autoencoder_rate
    run = Run(
        "auto-encoder",
        work,
        trained,
        adam(trained, rate, config),
        epochs=config.autoencoder_epochs,
        order=shuffled(count, config.batch, seed=config.seed),
    )
    middle = 3 * (config.input_frames // 2)

    def batch(step: Step[np.ndarray]) -> Tensor:
        pixels = batches.windows(np.sort(step.rows), step.number)
        return channels_last(torch.from_numpy(pixels).to(device))

    for _, windows in run.batches(batch, device):
        frame = standardise(windows[:, middle : middle + 3].float())
        with autocast(device, config.precision):
            loss = reconstruction_loss(decoder(student.features(windows)), frame)
        run.minimise({"reconstruction": loss})
    as_loaded(trained)
    return decoder


def distil(
    student: Student, batches: Batches, config: Config, device: torch.device, work: Path
) -> None:
    """Minimise Eq. 7 over the student, and Eq. 5 over the discriminators, in turn.

    What learns may be ``half_of`` the student: their weights are the same.
    """
    torch.manual_seed(config.seed + 1)
    learner, count = batches.student, len(batches.teachers)
    if config.joint_discriminator:
        made = [Discriminator.of(learner.architecture, outputs=count + 1)]
    else:
        made = [Discriminator.of(learner.architecture) for _ in range(count)]
    judges = nn.ModuleList(made if config.alpha > 0 else []).to(device)
    parts = {"student": student, "discriminators": judges}
    average = copy.deepcopy(student) if config.average else None
    if average:
        parts["average"] = average
    trained = channels_last(nn.ModuleDict(parts))
    judging = None
    if len(judges):
        judging = adam(judges, config.discriminator_rate, config)
    run = Run(
        "distillation",
        work,
        trained,
        adam(student, config.learning_rate, config),
        *([judging] if judging else []),
        epochs=config.epochs,
        order=shuffled(len(batches.store), config.batch, seed=config.seed + 1),
        schedule=halving(config.decay_every) if config.decay_every else cosine,
    )

    def batch(step: Step[np.ndarray]) -> tuple[Tensor, list[Maps]]:
        rows = np.sort(step.rows)
        pixels, maps = batches.taught(rows, step.number)
        windows = channels_last(torch.from_numpy(pixels).to(device))
        return windows, [[m.to(device) for m in own] for own in maps]

    for step, (windows, targets) in run.batches(batch, device):
        run.minimise(
            distillation_losses(learner, judges, judging, windows, targets, config, device)
        )
        if average:
            follow(average, student, min(config.average, (1 + step.number) / (10 + step.number)))
    if average:
        student.load_state_dict(average.state_dict())
    as_loaded(student)


def follow(average: nn.Module, network: nn.Module, kept: float) -> None:
    """Move an average of a network's weights and statistics on: ``kept`` of it, the rest anew."""
    with torch.no_grad():
        now = network.state_dict()
        for name, value in average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(now[name], 1 - kept)
            else:
                value.copy_(now[name])


def distillation_losses(
    student: Student,
    judges: nn.ModuleList,
    judging: torch.optim.Optimizer | None,
    windows: Tensor,
    targets: Sequence[Maps],
    config: Config,
    device: torch.device,
) -> dict[str, Tensor]:
    """Every loss by name, the student's ``total`` (Eq. 7) after a step of the discriminators."""
    with autocast(device, config.precision):
        branches = student.branch_maps(student.features(windows))
    branches = [[m.float() for m in maps] for maps in branches]
    # With a branch for each teacher, each is compared with its own teacher alone (Table 6).
    own = branches if len(branches) > 1 else branches * len(targets)
    # Discriminators see maps as they score; below zero, fakes would give themselves away.
    judged = [[m.clamp_min(0) for m in maps] for maps in own]
    discriminator = adversarial = torch.zeros((), device=device)
    if judging is not None:
        if config.joint_discriminator:
            discriminator = joint_discriminator_loss(judges[0], targets, judged[0])
        else:
            each = zip(judges, targets, judged, strict=True)
            discriminator = torch.stack([discriminator_loss(d, t, s) for d, t, s in each]).sum()
        judging.zero_grad(set_to_none=True)
        discriminator.backward()
        judging.step()
        # By discriminators that have just learnt, with a gradient to the student alone (Eq. 6).
        if config.joint_discriminator:
            adversarial = joint_adversarial_loss(judges[0], judged[0])
        else:
            each = zip(judges, judged, strict=True)
            adversarial = torch.stack([adversarial_loss([d], s) for d, s in each]).sum()
    if len(branches) > 1:
        pairs = zip(targets, branches, strict=True)
        kd = torch.stack([teacher_distillation_loss(t, s) for t, s in pairs]).sum()
    else:
        kd = distillation_loss(targets, branches[0])
    alpha = torch.tensor(config.alpha, device=device)
    if judging is not None and config.balanced and config.lambda_kd:
        alpha = alpha * balance(kd, adversarial, [m for maps in branches for m in maps])
    total = total_loss(kd, adversarial, lambda_kd=config.lambda_kd, alpha=alpha)
    return {"total": total, "kd": kd, "akd": adversarial, "discriminator": discriminator}


def channels_last(what: T) -> T:
    """Networks and windows laid out for convolutions, a third faster on CPUs."""
    return what.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue, reportReturnType]


def as_loaded(network: nn.Module) -> None:
    """Lay a network out as one that was saved and loaded is, so that both score alike."""
    network.to(memory_format=torch.contiguous_format).eval()  # pyright: ignore[reportCallIssue]


def adam(network: nn.Module, rate: float, config: Config) -> torch.optim.Adam:
    """The optimiser of all parts."""
    return torch.optim.Adam(network.parameters(), rate, weight_decay=config.weight_decay)
