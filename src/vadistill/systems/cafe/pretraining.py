"""Pre-training of CAFE's teacher: image classification at 32x32 pixels (Sec. 4.1 of the paper).

CIFAR-100 for 200 epochs is the paper's choice; CIFAR-10 or any folder of one sub-folder a class
will do.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from vadistill.errors import ConfigError, DataError
from vadistill.files import content_hash, read_safetensors, write_safetensors
from vadistill.progress import progress
from vadistill.systems.cafe.model import ARCHITECTURES, PATCH, Classifier, ResNet
from vadistill.training import (
    Checkpoint,
    Device,
    Precision,
    RunLog,
    autocast,
    epoch_batches,
    pick_device,
    seeded_generator,
)


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


@dataclass(frozen=True)
class Images:
    """Labelled 32x32 RGB images: ``train`` and ``test`` pixels and class numbers."""

    name: str
    classes: tuple[str, ...]
    train: UInt8[np.ndarray, "n 32 32 3"]
    train_labels: Int[np.ndarray, " n"]
    test: UInt8[np.ndarray, "m 32 32 3"]
    test_labels: Int[np.ndarray, " m"]

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel of the training images, in [0, 1]."""
        mean = self.train.mean((0, 1, 2), dtype=np.float64) / 255
        std = self.train.std((0, 1, 2), dtype=np.float64) / 255
        return tuple(mean.tolist()), tuple(std.tolist())


def open_images(path: Path) -> Images:
    """Labelled images for pre-training; raises DataError.

    Recognised: ``train.npz`` and ``test.npz`` (``jpeg``, ``offset``, ``label``, ``classes``), the
    python version of CIFAR-100 or CIFAR-10, and a folder with one sub-folder of pictures a class.
    """
    if (path / "train.npz").is_file() and (path / "test.npz").is_file():
        return _open_npz(path)
    if (path / "train").is_file() and (path / "meta").is_file():
        return _open_cifar(path, ["train"], "test", b"fine_labels", path / "meta")
    if (path / "data_batch_1").is_file():
        batches = [f"data_batch_{i}" for i in range(1, 6)]
        return _open_cifar(path, batches, "test_batch", b"labels", path / "batches.meta")
    if path.is_dir() and any(p.is_dir() for p in path.iterdir()):
        return _open_image_folder(path)
    raise DataError(
        f"no labelled images at {path}",
        expected="CIFAR-100 or CIFAR-10 (python version or .npz), or one sub-folder a class",
        fix="check the path",
    )


def _open_npz(path: Path) -> Images:
    import cv2

    def read(split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
        with np.load(path / f"{split}.npz", allow_pickle=False) as data:
            stream, offset = data["jpeg"], data["offset"]
            files = [stream[a:b] for a, b in pairwise(offset)]
            if len(files) == len(data["label"]) - 1:
                files.append(stream[offset[-1] :])
            decoded = [cast(np.ndarray, cv2.imdecode(f, cv2.IMREAD_COLOR)) for f in files]
            images = np.stack([image[..., ::-1] for image in decoded])
            return images, data["label"].astype(np.int64), [str(c) for c in data["classes"]]

    train, train_labels, classes = read("train")
    test, test_labels, _ = read("test")
    return Images(path.name, tuple(classes), train, train_labels, test, test_labels)


class _PlainUnpickler(pickle.Unpickler):
    """CIFAR's own files are pickles; only the numpy arrays and containers they hold are let in."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module_name: str, global_name: str) -> object:
        if (module_name, global_name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")
        return super().find_class(module_name, global_name)


def _open_cifar(path: Path, train: list[str], test: str, key: bytes, meta: Path) -> Images:
    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        try:
            with (path / name).open("rb") as file:
                batch = _PlainUnpickler(file, encoding="bytes").load()
            pixels = batch[b"data"].reshape(-1, 3, PATCH, PATCH).transpose(0, 2, 3, 1)
            return np.ascontiguousarray(pixels), np.asarray(batch[key], np.int64)
        except (OSError, EOFError, KeyError, pickle.UnpicklingError, ValueError) as error:
            raise DataError(
                f"{path / name} cannot be read ({error})",
                expected="the python version of CIFAR",
                fix="unpack the archive again",
            ) from error

    parts = [read(name) for name in train]
    pixels, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    test_pixels, test_labels = read(test)
    classes = tuple(str(i) for i in range(int(labels.max()) + 1))
    return Images(path.name, classes, pixels, labels, test_pixels, test_labels)


def _open_image_folder(path: Path) -> Images:
    import cv2

    classes = sorted(p.name for p in path.iterdir() if p.is_dir())
    images: list[np.ndarray] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for file in sorted((path / name).iterdir()):
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                continue
            resized = cv2.resize(image, (PATCH, PATCH), interpolation=cv2.INTER_AREA)
            images.append(resized[..., ::-1])
            labels.append(label)
    if len(set(labels)) < 2 or len(images) < 20:
        raise DataError(
            f"{path} has {len(images)} readable pictures in {len(set(labels))} classes",
            expected="at least 20 pictures in at least 2 sub-folders",
            fix="put one sub-folder of jpg or png files a class there",
        )
    order = np.random.default_rng(0).permutation(len(images))
    cut = max(1, len(images) // 10)
    pixels, numbers = np.stack(images)[order], np.asarray(labels, np.int64)[order]
    return Images(
        path.name, tuple(classes), pixels[cut:], numbers[cut:], pixels[:cut], numbers[:cut]
    )


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


def learning_rate(config: PretrainConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then ``decay`` at each milestone; milestones are shares of the whole run."""
    epoch = step / steps_per_epoch
    if epoch < config.warm_up:
        return config.learning_rate * (step + 1) / (config.warm_up * steps_per_epoch)
    passed = sum(epoch >= share * config.epochs for share in config.milestones)
    return config.learning_rate * config.decay**passed


def as_patches(pixels: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    """RGB bytes as float patches in [0, 1], channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


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
        patches = as_patches(images[start : start + 500]).to(device)
        with autocast(device, precision):
            predicted = model(patches).argmax(1).cpu().numpy()
        correct += int((predicted == labels[start : start + 500]).sum())
    return correct / len(images)


def pretrain(
    images: Images,
    config: PretrainConfig,
    out: Path,
    *,
    stop_after: Callable[[int], bool] = lambda epoch: False,
) -> Teacher:
    """Train a classifier and write its feature extractor to ``out`` (safetensors, fp16).

    A run that was interrupted goes on from ``out``.checkpoint after the last whole epoch.
    ``stop_after(epoch)`` may end it early, as a deadline does.  Raises ConfigError, WeightsError.
    """
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"architecture '{config.architecture}'",
            expected=f"one of {', '.join(ARCHITECTURES)}",
            fix="choose one of them",
        )
    device = pick_device(config.device)
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
    checkpoint = Checkpoint(out.with_suffix(".checkpoint"), {"model": model}, optimizer)
    position = checkpoint.load() or {"epoch": 0}
    count = len(images.train)
    steps_per_epoch = -(-count // config.batch)
    log = RunLog(
        out.with_suffix(".log.jsonl"), resume_after=position["epoch"] * steps_per_epoch - 1
    )
    top1 = position.get("accuracy", 0.0)
    for epoch in range(position["epoch"], config.epochs):
        model.train()
        with progress(f"epoch {epoch + 1}/{config.epochs}", steps_per_epoch) as advance:
            batches = epoch_batches(count, config.batch, seed=config.seed, epoch=epoch)
            for i, index in enumerate(batches):
                step = epoch * steps_per_epoch + i
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(config, step, steps_per_epoch)
                rows = index.numpy()
                patches = augment(
                    as_patches(images.train[rows]).to(device),
                    seeded_generator(config.seed, 1, step),
                    rotation=config.rotation,
                    grey=config.grey,
                )
                labels = torch.from_numpy(images.train_labels[rows]).to(device)
                with autocast(device, config.precision):
                    loss = F.cross_entropy(model(patches), labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                if i % 20 == 0:
                    log.write(step, loss=loss.item(), lr=optimizer.param_groups[0]["lr"])
                    advance(0, note=f"loss {loss.item():.3f}")
                advance()
        top1 = accuracy(model, images.test, images.test_labels, precision=config.precision)
        log.write((epoch + 1) * steps_per_epoch - 1, epoch=epoch + 1, accuracy=top1)
        checkpoint.save(epoch=epoch + 1, accuracy=top1)
        if stop_after(epoch + 1):
            config = replace(config, epochs=epoch + 1)
            break
    teacher = Teacher(
        network=network.eval(),
        architecture=config.architecture,
        source=f"{images.name}, {config.epochs} epochs",
        accuracy=top1,
        config=asdict(config),
    )
    teacher.save(out)
    checkpoint.path.unlink(missing_ok=True)
    return teacher


@dataclass(frozen=True)
class Teacher:
    """A pre-trained feature extractor with what is known of its origin."""

    network: ResNet
    architecture: str
    source: str
    accuracy: float
    """Top-1 accuracy on the pre-training set's test images; NaN where it is not known."""
    config: dict[str, object] = field(default_factory=dict)
    sha: str = ""

    def save(self, path: Path) -> None:
        """Write the weights as fp16 safetensors with their card; raises WeightsError."""
        tensors = {
            key: value.half() if value.is_floating_point() else value
            for key, value in self.network.state_dict().items()
        }
        card = {
            "architecture": self.architecture,
            "source": self.source,
            "accuracy": self.accuracy,
            "config": self.config,
        }
        write_safetensors(path, tensors, {"vadistill": json.dumps({"teacher": card})})

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Read what ``save`` wrote; raises WeightsError."""
        from vadistill.errors import WeightsError

        tensors, metadata = read_safetensors(path)
        try:
            card = json.loads(metadata["vadistill"])["teacher"]
            network = ResNet(ARCHITECTURES[card["architecture"]])
            network.load_state_dict(
                {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
            )
        except (KeyError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{path} is not a teacher of CAFE",
                expected="a file that 'vadistill pretrain' wrote",
                fix="pre-train one, or leave the setting out to use the shipped teacher",
            ) from error
        return cls(network.eval(), **card, sha=content_hash(path))
