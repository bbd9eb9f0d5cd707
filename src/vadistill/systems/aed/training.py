"""How T1 learns: the auto-encoders with adversarial training, then the classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vadistill.batches import seeded_generator, shuffled
from vadistill.devices import autocast
from vadistill.objects.patches import PatchStore
from vadistill.systems.aed.losses import (
    adversarial_loss,
    classification_loss,
    reconstruction_loss,
)
from vadistill.systems.aed.model import (
    MOTION,
    VIEWS,
    Decoder,
    Networks,
    Views,
    appearance,
    motion,
    normal_views,
    reversed_gradient,
)
from vadistill.systems.aed.motion import PseudoMotion
from vadistill.systems.aed.pseudo import PseudoAppearance
from vadistill.systems.aed.recipes import Config
from vadistill.training import Run, Step, cosine

Losses = dict[str, Float[Tensor, ""]]
BatchLosses = Callable[[Run[np.ndarray], Views, Views], Losses]
"""Every loss by name of normal and pseudo-abnormal objects in the run's step now; the first is
minimised."""

N = TypeVar("N", bound=nn.Module)

RAMP = 0.4
"""Part of the auto-encoders' training over which the reversed gradient grows."""

MEMORY = 0.9
"""Of the running mean of what the adversarial decoders leave unexplained, kept at each step."""

SAMPLE = 2048
"""Objects from which the size of normal flow is taken."""


def untrained(config: Config) -> tuple[Networks, nn.ModuleDict]:
    """The networks, and the adversarial decoders that training needs beside them."""
    torch.manual_seed(config.seed)
    return fast(Networks()), fast(nn.ModuleDict({view: Decoder(c) for view, c in VIEWS.items()}))


def fast(network: N) -> N:
    """The network laid out channels last, which halves the time of such few channels."""
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def flow_rms(store: PatchStore) -> float:
    """Root mean square of normal flow over pixels and both directions, in pixels."""
    rows = np.unique(np.linspace(0, len(store) - 1, SAMPLE).astype(int))
    squares = [
        np.square(store.flow(part)[:, : len(MOTION)], dtype=np.float64).mean()
        for part in np.array_split(rows, -(-len(rows) // 256))
    ]
    return max(float(np.sqrt(np.mean(squares))), 1e-3)  # a still scene has none


def batch_views(
    store: PatchStore,
    rows: Int[np.ndarray, " n"],
    source: PseudoAppearance,
    moving: PseudoMotion,
    generator: torch.Generator,
    span: float,
    device: torch.device,
) -> tuple[Views, Views]:
    """Normal objects and as many pseudo-abnormal ones: each of their views is drawn by itself."""
    patches = torch.from_numpy(store.patches(rows)[:, 0])
    flow = torch.from_numpy(store.flow(rows)[:, : len(MOTION)]).to(device)
    normal = normal_views(patches.to(device), flow, span)
    grey = appearance(patches)
    pseudo = {"appearance": source(grey, generator).to(device)}
    for i, view in enumerate(MOTION):
        pseudo[view] = motion(moving(store, i, len(rows), generator).to(device), span)
    return normal, pseudo


def strengths(
    config: Config, step: Step[np.ndarray], unexplained: Mapping[str, float]
) -> dict[str, float]:
    """Of each view's reversed gradient: it grows over ``RAMP`` of the training.

    It rests in a view of whose pseudo-abnormal objects nothing is explained (1), which is where an
    untrained decoder begins: there, the encoder has nothing left to unlearn.
    """
    begun = step.number - config.adversarial_after * step.count
    grown = min(max(begun / (RAMP * step.epochs * step.count), 0.0), 1.0)
    full = dict.fromkeys(VIEWS, config.adversarial) | dict.fromkeys(
        MOTION, config.adversarial_motion
    )
    return {v: grown * full[v] if unexplained.get(v, 0.0) < 1 else 0.0 for v in VIEWS}


def watched(unexplained: Mapping[str, float], losses: Losses, pseudo: Views) -> dict[str, float]:
    """The running mean of each view's adversarial loss, as a part of that of an empty answer."""
    now = {}
    for view in VIEWS:
        blank = pseudo[view].float().square().mean().clamp_min(1e-12)
        part = float(losses[f"adversarial_{view}"].detach() / blank)
        now[view] = MEMORY * unexplained.get(view, part) + (1 - MEMORY) * part
    return now


def autoencoder_losses(
    networks: Networks,
    adversaries: nn.ModuleDict,
    normal: Views,
    pseudo: Views,
    strength: Mapping[str, float],
) -> Losses:
    """Both losses of every view, ``total`` their sum, the adversarial ones' gradient reversed.

    Adversarial decoders learn to rebuild pseudo-abnormal objects from a latent whose encoder learns
    to make that hard, at the ``strength`` of the view.
    """
    losses: Losses = {}
    for view, autoencoder in networks.autoencoders.items():
        assert isinstance(autoencoder, nn.Module)
        count = len(normal[view])
        latents = autoencoder.encoder(torch.cat([normal[view], pseudo[view]]))  # pyright: ignore[reportCallIssue]
        output = autoencoder.decoder(latents[:count])  # pyright: ignore[reportCallIssue]
        foreign = adversaries[view](reversed_gradient(latents[count:], strength[view]))
        losses[f"reconstruction_{view}"] = reconstruction_loss(normal[view], output)
        losses[f"adversarial_{view}"] = adversarial_loss(pseudo[view], foreign)
    return {"total": torch.stack(list(losses.values())).sum()} | losses


def classifier_losses(networks: Networks, normal: Views, pseudo: Views) -> Losses:
    """The classification loss of every view, ``total`` their sum."""
    losses: Losses = {}
    for view in VIEWS:
        logits = networks.classify(view, torch.cat([normal[view], pseudo[view]]))
        count = len(normal[view])
        losses[f"classification_{view}"] = classification_loss(logits[:count], logits[count:])
    return {"total": torch.stack(list(losses.values())).sum()} | losses


def train_networks(
    networks: Networks,
    adversaries: nn.ModuleDict,
    store: PatchStore,
    source: PseudoAppearance,
    moving: PseudoMotion,
    span: float,
    config: Config,
    device: torch.device,
    work: Path,
) -> None:
    """Both phases, one after the other; the gradient into the encoders is reversed in the first."""

    def phase(stage: str, trained: nn.ModuleDict, epochs: int, compute: BatchLosses) -> None:
        run = Run(
            stage,
            work,
            trained,
            torch.optim.Adam(trained.parameters(), config.learning_rate),
            epochs=epochs,
            order=shuffled(len(store), config.batch, seed=config.seed),
            schedule=cosine,
        )

        def batch(step: Step[np.ndarray]) -> tuple[Views, Views]:
            generator = seeded_generator(config.seed, step.number, len(stage))
            return batch_views(store, np.sort(step.rows), source, moving, generator, span, device)

        for _, (normal, pseudo) in run.batches(batch, device):
            with autocast(device, config.precision):
                losses = compute(run, normal, pseudo)
            run.minimise(losses)

    def first(run: Run[np.ndarray], normal: Views, pseudo: Views) -> Losses:
        unexplained = run.facts.get("unexplained", {})
        strength = strengths(config, run.now, unexplained)
        losses = autoencoder_losses(networks, adversaries, normal, pseudo, strength)
        run.facts["unexplained"] = watched(unexplained, losses, pseudo)
        return losses

    def second(run: Run[np.ndarray], normal: Views, pseudo: Views) -> Losses:
        return classifier_losses(networks, normal, pseudo)

    networks.train()
    encoding = nn.ModuleDict({"main": networks.autoencoders, "adversarial": adversaries})
    phase("auto-encoders", encoding, config.epochs, first)
    phase("classifiers", networks.classifiers, config.classifier_epochs, second)
    networks.eval()
