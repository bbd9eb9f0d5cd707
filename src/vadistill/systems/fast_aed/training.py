"""fast_aed's training: the auto-encoder phase, then distillation from the teachers' maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import nn

from vadistill.devices import autocast
from vadistill.progress import progress
from vadistill.systems.fast_aed.blocks import Decoder, standardise
from vadistill.systems.fast_aed.data import HURRIES, MapStore, WindowStore
from vadistill.systems.fast_aed.discriminator import Discriminator
from vadistill.systems.fast_aed.losses import (
    adversarial_loss,
    discriminator_loss,
    distillation_loss,
    joint_adversarial_loss,
    joint_discriminator_loss,
    reconstruction_loss,
    teacher_distillation_loss,
    total_loss,
)
from vadistill.systems.fast_aed.model import Maps, Student
from vadistill.systems.fast_aed.pseudo import hurried_targets, paste_objects, pasted_targets
from vadistill.systems.fast_aed.recipes import Config
from vadistill.training import Checkpoint, RunLog, epoch_batches, prepared

T = TypeVar("T", nn.ModuleDict, torch.Tensor)


def train_autoencoder(
    student: Student, store: WindowStore, config: Config, device: torch.device, work: Path
) -> Decoder:
    """Minimise Eq. 2 over the encoder and a decoder, that distillation has no use for.

    A run that was interrupted goes on after its last whole epoch.
    """
    epochs = config.autoencoder_epochs
    torch.manual_seed(config.seed)
    decoder = student.decoder().to(device)
    trained = channels_last(nn.ModuleDict({"student": student, "decoder": decoder}))
    optimizer = _adam(trained.parameters(), config)
    checkpoint = Checkpoint(
        work / "autoencoder.safetensors", {"networks": trained}, optimizer, settings=work.name
    )
    position = checkpoint.load() or {"epoch": 0, "step": 0}
    log = RunLog(work / "autoencoder.jsonl", resume_after=position["step"] - 1)
    step = position["step"]
    middle = 3 * (config.input_frames // 2)

    def batch(index: torch.Tensor) -> torch.Tensor:
        pixels = store.windows(index.sort()[0].numpy())
        return channels_last(torch.from_numpy(pixels).to(device))

    with progress("auto-encoder", epochs) as advance:
        advance(position["epoch"])
        for epoch in range(position["epoch"], epochs):
            trained.train()
            batches = epoch_batches(len(store), config.batch, seed=config.seed, epoch=epoch)
            for windows in prepared(batch, batches, device):
                frame = standardise(windows[:, middle : middle + 3].float())
                with autocast(device, config.precision):
                    loss = reconstruction_loss(decoder(student.features(windows)), frame)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                if step % 10 == 0:
                    log.write(step, reconstruction=loss.item())
                step += 1
                advance(1 / len(batches), note=f"epoch {epoch + 1}/{epochs}")
            checkpoint.save(epoch=epoch + 1, step=step)
    as_loaded(trained)
    return decoder


def distil(
    student: Student,
    store: WindowStore,
    teachers: Sequence[MapStore],
    config: Config,
    device: torch.device,
    work: Path,
) -> None:
    """Minimise Eq. 7 over the student, and Eq. 5 over the discriminators, in turn.

    A run that was interrupted goes on after its last whole epoch.
    """
    torch.manual_seed(config.seed + 1)
    if config.joint_discriminator:
        made = [Discriminator.of(student.architecture, outputs=len(teachers) + 1)]
    else:
        made = [Discriminator.of(student.architecture) for _ in teachers]
    judges = nn.ModuleList(made if config.alpha > 0 else []).to(device)
    trained = channels_last(nn.ModuleDict({"student": student, "discriminators": judges}))
    optimizer = _adam(student.parameters(), config)
    if len(judges):
        optimizer.add_param_group({"params": judges.parameters(), "lr": config.discriminator_rate})
    rates = [group["lr"] for group in optimizer.param_groups]
    checkpoint = Checkpoint(
        work / "checkpoint.safetensors", {"networks": trained}, optimizer, settings=work.name
    )
    position = checkpoint.load() or {"epoch": 0, "step": 0}
    log = RunLog(work / "losses.jsonl", resume_after=position["step"] - 1)
    step = position["step"]

    def batch(numbered: tuple[int, torch.Tensor]) -> tuple[torch.Tensor, list[Maps]]:
        number, index = numbered
        pixels, maps = training_windows(store, teachers, index.sort()[0].numpy(), number, config)
        windows = channels_last(torch.from_numpy(pixels).to(device))
        return windows, [[m.to(device) for m in own] for own in maps]

    with progress("distillation", config.epochs) as advance:
        advance(position["epoch"])
        for epoch in range(position["epoch"], config.epochs):
            trained.train()
            batches = epoch_batches(len(store), config.batch, seed=config.seed + 1, epoch=epoch)
            numbered = enumerate(batches, step)
            for windows, targets in prepared(batch, numbered, device):
                left = _rate_left(config, epoch, step / (config.epochs * len(batches)))
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * left
                losses = distillation_step(
                    student, judges, optimizer, windows, targets, config, device
                )
                if step % 10 == 0:
                    log.write(step, **{name: value.item() for name, value in losses.items()})
                step += 1
                advance(1 / len(batches), note=f"epoch {epoch + 1}/{config.epochs}")
            checkpoint.save(epoch=epoch + 1, step=step)
    as_loaded(student)


def training_windows(
    store: WindowStore,
    teachers: Sequence[MapStore],
    rows: Int[np.ndarray, " n"],
    step: int,
    config: Config,
) -> tuple[UInt8[np.ndarray, "n c h w"], list[Maps]]:
    """What a step learns from: windows, some of them pseudo-abnormal or mirrored, and their maps.

    All draws depend on (``config.seed``, ``step``) alone.
    """
    rng = np.random.default_rng([config.seed, step])
    hurried = rng.random(len(rows)) < config.hurried
    paces = np.where(hurried, rng.integers(1, 1 + len(HURRIES), len(rows)), 0)
    pixels = store.windows(rows, paces)
    boxes = paste_objects(pixels, config.pasted, rng)
    maps = [hurried_targets(teacher.maps(rows), hurried) for teacher in teachers]
    size = (pixels.shape[2], pixels.shape[3])
    maps = [pasted_targets(m, boxes, size) for m in maps]
    return mirror(pixels, maps, rng.random(len(rows)) < config.mirrored)


def channels_last(what: T) -> T:
    """Networks and windows laid out for convolutions, a third faster on CPUs."""
    return what.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue, reportReturnType]


def as_loaded(network: nn.Module) -> None:
    """Lay a network out as one that was saved and loaded is, so that both score alike."""
    network.to(memory_format=torch.contiguous_format).eval()  # pyright: ignore[reportCallIssue]


def mirror(
    windows: UInt8[np.ndarray, "n c h w"], targets: Sequence[Maps], which: Bool[np.ndarray, " n"]
) -> tuple[UInt8[np.ndarray, "n c h w"], list[Maps]]:
    """Some of the windows, and every teacher's maps of them, with left and right exchanged."""
    windows = np.where(which[:, None, None, None], windows[..., ::-1], windows)
    chosen = torch.from_numpy(which)[:, None, None]
    return windows, [[torch.where(chosen, m.flip(-1), m) for m in maps] for maps in targets]


def _rate_left(config: Config, epoch: int, share: float) -> float:
    """What is left of the learning rates after ``share`` of the steps."""
    if config.decay_every:
        return 0.5 ** (epoch // config.decay_every)
    return (1 + math.cos(math.pi * share)) / 2


def distillation_step(
    student: Student,
    judges: nn.ModuleList,
    optimizer: torch.optim.Optimizer,
    windows: torch.Tensor,
    targets: Sequence[Maps],
    config: Config,
    device: torch.device,
) -> dict[str, torch.Tensor]:
    """One step of the discriminators, then one of the student; every loss by name."""
    with autocast(device, config.precision):
        branches = student.branch_maps(student.features(windows))
    branches = [[m.float() for m in maps] for maps in branches]
    # With a branch for each teacher, each is compared with its own teacher alone (Table 6).
    own = branches if len(branches) > 1 else branches * len(targets)
    # Discriminators see maps as they score; below zero, fakes would give themselves away.
    judged = [[m.clamp_min(0) for m in maps] for maps in own]
    discriminator = adversarial = torch.zeros((), device=device)
    if len(judges):
        if config.joint_discriminator:
            discriminator = joint_discriminator_loss(judges[0], targets, judged[0])
        else:
            each = zip(judges, targets, judged, strict=True)
            discriminator = torch.stack([discriminator_loss(d, t, s) for d, t, s in each]).sum()
        # Adam leaves out what has no gradient: this step moves the discriminators alone.
        optimizer.zero_grad(set_to_none=True)
        discriminator.backward()
        optimizer.step()
    if len(branches) > 1:
        pairs = zip(targets, branches, strict=True)
        kd = torch.stack([teacher_distillation_loss(t, s) for t, s in pairs]).sum()
    else:
        kd = distillation_loss(targets, branches[0])
    if len(judges):
        if config.joint_discriminator:
            adversarial = joint_adversarial_loss(judges[0], judged[0])
        else:
            each = zip(judges, judged, strict=True)
            adversarial = torch.stack([adversarial_loss([d], s) for d, s in each]).sum()
    total = total_loss(kd, adversarial, lambda_kd=config.lambda_kd, alpha=config.alpha)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step()
    return {"total": total, "kd": kd, "akd": adversarial, "discriminator": discriminator}


def _adam(parameters, config: Config) -> torch.optim.Adam:  # pyright: ignore[reportMissingParameterType]
    return torch.optim.Adam(parameters, config.learning_rate, weight_decay=config.weight_decay)
