"""Pre-training of CAFE's teacher: image classification at 32x32 pixels (Sec. 4.1 of the paper).

CIFAR-100 for 200 epochs is the paper's choice; CIFAR-10 or any folder of one sub-folder a class
will do.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.backbones.teachers import ARCHITECTURES, ResNet, Teacher
from vadistill.batches import seeded_generator, shuffled
from vadistill.devices import Device, Precision, autocast, pick_device
from vadistill.errors import ConfigError, WeightsError, one_of
from vadistill.files import content_hash
from vadistill.systems.cafe.data import Images
from vadistill.training import Run, milestones


class Classifier(nn.Module):
    """A feature extractor with the average pooling and linear layer of its pre-training."""

    def __init__(self, network: ResNet, classes: int) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(network.architecture.channels[-1], classes)

    def forward(self, patches: Float[Tensor, "n 3 32 32"]) -> Float[Tensor, "n classes"]:
        """Class logits of RGB patches in [0, 1]."""
        (top,) = self.network(patches, last=1)
        return self.head(top.mean((2, 3)))


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the classification run; the defaults are the paper's and the public recipe's."""

    architecture: str = "resnet34"
    epochs: int = 200
    batch: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    """Shares of the run at which ``decay`` multiplies the learning rate (60, 120, 160 of 200)."""
    decay: float = 0.2
    warm_up: float = 1.0
    """Epochs over which the learning rate rises from zero."""
    rotation: float = 15.0
    """Largest rotation in degrees, beside a crop from 4 pixels of padding and a horizontal flip."""
    grey: float = 0.0
    """Share of images turned grey: many surveillance cameras are (0 in the public recipe)."""
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "auto"


def augment(
    patches: Float[Tensor, "n 3 h w"], generator: torch.Generator, *, rotation: float, grey: float
) -> Float[Tensor, "n 3 h w"]:
    """Crop from 4 pixels of padding, horizontal flip, rotation up to ``rotation`` degrees, grey.

    The first three are one affine resampling, with zeros outside the picture.
    """
    n, _, h, w = patches.shape
    angle = (torch.rand(n, generator=generator) * 2 - 1) * np.deg2rad(rotation)
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    shift = torch.randint(-4, 5, (n, 2), generator=generator) * 2 / torch.tensor([w, h])
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack(
        [
            torch.stack([cos * flip, -sin, shift[:, 0]], 1),
            torch.stack([sin * flip, cos, shift[:, 1]], 1),
        ],
        1,
    ).to(patches)
    grid = F.affine_grid(matrix, [n, 3, h, w], align_corners=False)
    moved = F.grid_sample(patches, grid, align_corners=False)
    weights = torch.tensor([0.299, 0.587, 0.114]).to(moved).view(1, 3, 1, 1)
    turned = (torch.rand(n, generator=generator) < grey).to(moved.device).view(n, 1, 1, 1)
    return torch.where(turned, (moved * weights).sum(1, keepdim=True).expand_as(moved), moved)


def as_patches(
    pixels: UInt8[np.ndarray, "n h w 3"], device: torch.device
) -> Float[Tensor, "n 3 h w"]:
    """RGB bytes as float patches in [0, 1] on ``device``, channels last in memory."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def accuracy(
    model: Classifier,
    images: UInt8[np.ndarray, "n 32 32 3"],
    labels: Int[np.ndarray, " n"],
    *,
    precision: Precision = "auto",
) -> float:
    """Share of ``images`` whose highest logit is the label's."""
    model.eval()
    device = next(model.parameters()).device
    correct = 0
    for start in range(0, len(images), 500):
        patches = as_patches(images[start : start + 500], device)
        with autocast(device, precision):
            predicted = model(patches).argmax(1).cpu().numpy()
        correct += int((predicted == labels[start : start + 500]).sum())
    return correct / len(images)


def pretrain(
    images: Images, config: PretrainConfig, out: Path, *, overwrite: bool = False
) -> Teacher:
    """Train a classifier and write its feature extractor to ``out`` (safetensors, fp16).

    The losses lie beside it as .jsonl; what an interrupted run goes on from, in the folder .fit.
    Raises ConfigError, also for another file in ``out`` unless it is to ``overwrite`` that,
    WeightsError.
    """
    one_of("architecture", config.architecture, ARCHITECTURES)
    source = f"{images.name}, {config.epochs} epochs"
    pixels = content_hash(*images.classes, images.train.tobytes(), images.train_labels.tobytes())
    settings = {**asdict(config), "images": pixels}
    if out.exists() and not overwrite:
        _check_replaced(out, source, settings)
    device, work = pick_device(config.device), out.with_suffix(".fit")
    torch.manual_seed(config.seed)
    mean, std = images.statistics()
    network = ResNet(ARCHITECTURES[config.architecture], mean, std)
    model = Classifier(network, len(images.classes))
    model.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.SGD(
        model.parameters(),
        config.learning_rate,
        config.momentum,
        weight_decay=config.weight_decay,
        nesterov=True,
    )
    run = Run(
        "classifier",
        work,
        model,
        optimizer,
        epochs=config.epochs,
        order=shuffled(len(images.train), config.batch, seed=config.seed),
        schedule=milestones(config.milestones, decay=config.decay, warm_up=config.warm_up),
        settings=content_hash(
            images.name, images.train.tobytes(), images.train_labels.tobytes(), repr(config)
        ),
    )
    for step in run:
        patches = augment(
            as_patches(images.train[step.rows], device),
            seeded_generator(config.seed, 1, step.number),
            rotation=config.rotation,
            grey=config.grey,
        )
        labels = torch.from_numpy(images.train_labels[step.rows]).to(device)
        with autocast(device, config.precision):
            loss = F.cross_entropy(model(patches), labels)
        run.minimise({"total": loss}, lr=optimizer.param_groups[0]["lr"])
        if step.last:
            top1 = accuracy(model, images.test, images.test_labels, precision=config.precision)
            run.facts["accuracy"] = top1
            run.note(accuracy=top1)
    teacher = Teacher(
        network=network.eval(),
        architecture=config.architecture,
        source=source,
        accuracy=run.facts.get("accuracy", 0.0),
        config=settings,
    )
    teacher.save(out)
    run.log.path.replace(out.with_suffix(".jsonl"))
    shutil.rmtree(work)
    return teacher


def _check_replaced(out: Path, source: str, settings: dict[str, Any]) -> None:
    """Raise ConfigError where a file is no teacher of the same settings and images."""
    there = "a file that is no teacher"
    with contextlib.suppress(WeightsError):
        known = Teacher.load(out)
        if (known.source, known.config) == (source, json.loads(json.dumps(settings))):
            return
        there = f"a teacher of {known.source} with other settings or images"
    raise ConfigError(
        f"{out}, {there}",
        expected="a new file, or the same run again",
        fix="choose another name, or replace it with --overwrite (overwrite=True in Python)",
    )
