"""DAKD's two stages (Fig. 2): teachers learn from video labels, the student from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vadistill.batches import seeded_generator
from vadistill.devices import autocast
from vadistill.distill import FrozenTeacher, TargetCache
from vadistill.files import content_hash
from vadistill.loss_log import inside
from vadistill.systems.dakd.data import Bags
from vadistill.systems.dakd.losses import (
    distillation_loss,
    feature_loss,
    gradient_norms,
    magnitude_loss,
    prediction_loss,
    pseudo_labels,
    ranking_loss,
    topk_loss,
)
from vadistill.systems.dakd.model import (
    Baseline,
    Network,
    Projector,
    Scored,
    student_network,
    teacher_network,
)
from vadistill.systems.dakd.recipes import Config
from vadistill.systems.dakd.standard import Standard
from vadistill.training import Run

OF_THE_STUDENT = (
    *("teacher", "student", "folds", "committee", "half_width", "minmax", "least_range"),
    *("lambda_bce", "alpha", "tau", "delta", "delta_normal"),
)
"""Settings that a network taught by video labels does not depend on, but for its backbones."""

APART = 1000
"""By which the seeds of a committee's members differ."""

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


def begin(network: str, seed: int) -> None:
    """Have PyTorch draw a network's first weights from a stream of its own."""
    stream = int.from_bytes(network.encode(), "little")
    torch.manual_seed(seeded_generator(seed, stream).initial_seed())


def standardise(network: Network | Baseline, names: Sequence[str], bags: Bags) -> None:
    """Tell the network what its training features are like, where it wants to know."""
    for name, enter in zip(names, network.entrances, strict=True):
        if isinstance(enter, Standard):
            enter.fit(*bags.spread(name))


def fit_teacher(
    bags: Bags, config: Config, device: torch.device, work: Path, key: str
) -> Network | Baseline:
    """Stage 1: the fusion of all the teacher's backbones."""
    return fit_by_labels(config.teacher, bags, config, device, work, key)


def members(config: Config) -> list[Config]:
    """The settings of each teacher of the committee, those of the first one as they are."""
    return [replace(config, seed=config.seed + APART * n) for n in range(config.committee)]


def fit_teachers(
    bags: Bags, config: Config, device: torch.device, work: Path, key: str
) -> list[Network | Baseline]:
    """Stage 1 for each member of the committee."""
    found: list[Network | Baseline] = []
    for number, member in enumerate(members(config)):
        with inside(*[f"member {number + 1}"] * (number > 0)):
            found.append(fit_teacher(bags, member, device, work, key))
    return found


def fit_by_labels(
    names: tuple[str, ...], bags: Bags, config: Config, device: torch.device, work: Path, key: str
) -> Network | Baseline:
    """A network for some backbones, learnt from video labels; ``key`` is of the videos."""
    begin("teacher", config.seed)
    network = teacher_network(config, bags.widths(names)).to(device)
    folder = f"teacher-{label_key(names, config, key)}"
    train_teacher(network, names, bags, config, device, work / folder)
    return network


def label_key(names: tuple[str, ...], config: Config, key: str) -> str:
    """What tells networks taught by video labels from each other."""
    return content_hash(key, repr(names), config.training_settings(without=OF_THE_STUDENT))


def fit_student(
    teachers: Sequence[Network | Baseline],
    bags: Bags,
    config: Config,
    device: torch.device,
    work: Path,
    key: str,
) -> Network:
    """Stage 2, with what the committee says of the videos."""
    targets: list[TargetCache] = []
    for teacher, member in zip(teachers, members(config), strict=True):
        featured = config.alpha > 0 and not targets
        own = content_hash(label_key(config.teacher, member, key), str(featured))
        frozen, folder = FrozenTeacher(teacher), work / f"targets-{own}"
        said = teacher_targets(frozen, config.teacher, bags, device, folder, featured=featured)
        targets.append(said)
    begin("student", config.seed)
    network = student_network(config, bags.widths([config.student])[0]).to(device)
    mine = content_hash(key, config.training_settings(without=("folds",)))
    distil(network, config.student, targets, bags, config, device, work / f"student-{mine}")
    return network


def train_teacher(
    network: Network | Baseline,
    names: Sequence[str],
    bags: Bags,
    config: Config,
    device: torch.device,
    folder: Path,
) -> None:
    """Stage 1: the loss of video labels on bags of both classes."""
    standardise(network, names, bags)
    run = stage_run("teacher", network, bags, config, folder)
    for step in run:
        abnormal, normal = step.rows
        features = bags.batch(names, np.concatenate([abnormal, normal]), device)
        with autocast(device, config.precision):
            said = network(features)
        run.minimise(label_losses(said, len(abnormal), config))
    network.eval()


def label_losses(said: Scored, abnormal: int, config: Config) -> dict[str, Float[Tensor, ""]]:
    """What video labels teach, by name; the first ``abnormal`` videos are the abnormal ones."""
    if config.label_loss == "magnitude":
        return magnitude_loss(said.features.float(), said.logits.float(), abnormal)
    if config.label_loss == "topk":
        logits = said.logits.float()
        return topk_loss(logits[:abnormal], logits[abnormal:])
    return ranking_loss(
        said.scores[:abnormal],
        said.scores[abnormal:],
        smoothness=config.smoothness,
        sparsity=config.sparsity,
    )


def stage_run(
    stage: str, network: nn.Module, bags: Bags, config: Config, folder: Path
) -> Run[tuple[np.ndarray, np.ndarray]]:
    """The run of either stage, over (abnormal, normal) samples; it logs an epoch's mean losses."""
    return Run(
        stage,
        folder,
        network,
        optimiser(network, config),
        epochs=config.epochs,
        order=lambda epoch: bags.batches(config.batch, seed=config.seed, epoch=epoch),
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
    featured: bool = True,
) -> TargetCache:
    """The teacher's H (v, n, w), if ``featured``, and logits (v, n) of all samples, kept in
    ``folder``, which is named by their key; half floats would round scores near 1 to steps."""

    def outputs(rows: np.ndarray) -> list[Tensor]:
        said = teacher(bags.batch(names, rows, device))
        assert isinstance(said, Scored)
        return [said.features, said.logits] if featured else [said.logits]

    count = len(bags) * bags.views
    return TargetCache(folder, key=folder.name, count=count).fill(outputs, batch=64)


def distil(
    student: Network | Baseline,
    name: str,
    targets: Sequence[TargetCache],
    bags: Bags,
    config: Config,
    device: torch.device,
    folder: Path,
) -> None:
    """Stage 2: both levels of distillation (Eq. 6); the teachers' outputs are data by now.

    Predictions are the mean of the committee's scores; features are of its first member alone,
    since those of different networks have no axes in common.  The log has both losses and, once an
    epoch, the norms of their gradients in the student's H.
    """
    standardise(student, [name], bags)
    begin("projector", config.seed)
    trained = nn.ModuleDict({"student": student})
    projector = None
    if config.alpha:
        wide = config.width
        projector = trained["projector"] = Projector(wide, wide // 2, wide // 8).to(device)
    run = stage_run("student", trained, bags, config, folder)
    labels = pseudo_labels(
        mean_scores(targets).unflatten(0, (len(bags), bags.views)).mean(1),
        torch.from_numpy(bags.labels),
        half_width=config.half_width,
        minmax=config.minmax,
        least_range=config.least_range,
    ).to(device)
    for step in run:
        abnormal, normal = step.rows
        rows = np.concatenate([abnormal, normal])
        with autocast(device, config.precision):
            said = student(bags.batch([name], rows, device))
            ours, theirs = None, None
            if projector is not None:
                taught = targets[0][rows][0].to(device)
                ours, theirs = projector(said.features), projector(taught)
        losses = student_losses(
            said, labels[rows // bags.views], ours, theirs, len(abnormal), config
        )
        run.minimise(losses, **(gradient_norms(losses, said.features) if step.first else {}))
    student.eval()


def mean_scores(targets: Sequence[TargetCache]) -> Float[Tensor, "v n"]:
    """The mean of the committee's scores in [0, 1] of all samples."""
    count = targets[0].count
    chunks = np.array_split(np.arange(count), -(-count // 256))
    each = [torch.cat([own[rows][-1].sigmoid() for rows in chunks]) for own in targets]
    return torch.stack(each).mean(0)


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
        parts |= label_losses(said, abnormal, config)
    if ours is not None and theirs is not None:
        nce = feature_loss(
            theirs.flatten(0, 1).float(),
            ours.flatten(0, 1).float(),
            (labels > config.delta).flatten(),
            (labels <= config.delta_normal).flatten(),
            config.tau,
        )
        parts["nce"] = distillation_loss(
            nce.new_zeros(()), nce, alpha=config.alpha, temperature=config.tau
        )
    return parts
