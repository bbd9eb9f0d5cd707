"""How T2 learns: all four tasks at once, on clips that are composed anew at each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vadistill.batches import seeded_generator, shuffled
from vadistill.devices import autocast
from vadistill.distill import TargetCache
from vadistill.objects.patches import PatchStore
from vadistill.systems.ssmtl.losses import (
    arrow_loss,
    distillation_loss,
    irregularity_loss,
    middle_loss,
    total_loss,
)
from vadistill.systems.ssmtl.model import (
    ARCHITECTURES,
    SIDE,
    MultiTaskNetwork,
    VectorHead,
    to_unit,
)
from vadistill.systems.ssmtl.recipes import Config
from vadistill.systems.ssmtl.tasks import REGULAR, Clips, Veils, compose
from vadistill.training import SCHEDULES, Run, Step


def untrained(config: Config, outputs: int) -> MultiTaskNetwork:
    """The network for an image network of so many outputs."""
    veil = None
    if config.noise:
        veils = Veils.of(config.level, config.seed, torch.device("cpu"))
        (veil,) = veils(1, len(REGULAR), SIDE, seeded_generator(config.seed, 2))
    torch.manual_seed(config.seed)
    return MultiTaskNetwork(ARCHITECTURES[config.architecture], outputs, veil)


def standardise_targets(network: MultiTaskNetwork, targets: TargetCache) -> None:
    """Set the mean and deviation of each output of the image network over training events.

    Outputs that hardly vary there count as if they did by a quarter of the average, and that by no
    less than a hundredth of their size: else the first test object that moves one would outweigh
    all else.
    """
    (values,) = targets[np.arange(targets.count)]
    values = values.double()
    std = values.std(0)
    least = max(float(std.mean()) / 4, float(values.abs().mean()) / 100, 1e-6)
    network.mean.copy_(values.mean(0))
    network.std.copy_(std.clamp_min(least))


def train_network(
    network: MultiTaskNetwork,
    store: PatchStore,
    targets: TargetCache | None,
    config: Config,
    device: torch.device,
    work: Path,
) -> None:
    """Minimise the total of the tasks' losses."""
    weights = config.task_weights
    veils = Veils.of(config.level, config.seed, device) if config.noise else None
    run = Run(
        "proxy-tasks",
        work,
        network,
        torch.optim.Adam(network.parameters(), config.learning_rate),
        epochs=config.epochs,
        order=shuffled(len(store), config.batch, seed=config.seed),
        schedule=SCHEDULES[config.schedule],
    )

    def batch(step: Step[np.ndarray]) -> tuple[Clips, Tensor | None]:
        rows = np.sort(step.rows)
        clips = compose(store.patches(rows), seeded_generator(config.seed, 1, step.number))
        return clips, None if targets is None else targets[rows][0].to(device)

    for step, (clips, imitated) in run.batches(batch, device):
        drawn = (
            partial(veils, generator=seeded_generator(config.seed, 3, step.number))
            if veils
            else None
        )
        with autocast(device, config.precision):
            losses = task_losses(network, clips, imitated, weights, device, drawn)
        run.minimise(losses)
    network.eval()


def task_losses(
    network: MultiTaskNetwork,
    clips: Clips,
    imitated: Float[Tensor, "n d"] | None,
    weights: Mapping[str, float],
    device: torch.device,
    veils: Callable[[int, int, int], Tensor] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """The loss of each task that has a weight, by name, with their ``total``.

    ``imitated`` are the image network's outputs for the middle frames, as it gives them.  ``veils``
    draws what lies over so many clips of so many frames and this side; what the network is to
    predict has none.

    Batch norm must not tell the classes apart: both go through their head in one batch.  Nor must
    what it knows when scoring be of other clips: its statistics in the shared network are those of
    the first task's clips, as 6 frames and a single one have others.
    """
    training = network.shared.training

    def features(*parts: np.ndarray) -> tuple[Tensor, ...]:
        joined = torch.from_numpy(np.concatenate(parts)).to(device)
        shared = network(joined, veils and veils(*joined.shape[:3]))
        network.shared.eval()  # the first clips alone give batch norm its statistics
        return shared.chunk(len(parts))

    def judged(head: VectorHead, zeros: Tensor, ones: Tensor) -> tuple[Tensor, ...]:
        return head(torch.cat([zeros, ones])).chunk(2)

    losses: dict[str, Tensor] = {}
    if "arrow" in weights or "irregularity" in weights:
        forward, backward, irregular = features(clips.forward, clips.backward, clips.irregular)
        if "arrow" in weights:
            losses["arrow"] = arrow_loss(*judged(network.arrow, forward, backward))
        if "irregularity" in weights:
            logits = judged(network.irregularity, forward, irregular)
            losses["irregularity"] = irregularity_loss(*logits)
    if "middle" in weights:
        (around,) = features(clips.around)
        middle = to_unit(torch.from_numpy(clips.middle).to(device))[:, :, 0]
        losses["middle"] = middle_loss(network.middle(around), middle)
    if "distillation" in weights:
        assert imitated is not None
        (alone,) = features(clips.middle)
        losses["distillation"] = distillation_loss(
            network.distillation(alone), network.standardised(imitated)
        )
    network.shared.train(training)
    return {"total": total_loss(losses, weights)} | losses
