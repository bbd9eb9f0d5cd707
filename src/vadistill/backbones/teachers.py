"""Residual networks pre-trained on pictures: shipped with the package, torchvision's, or a file.

CAFE's teachers and students are such networks, and so is what one of ``ssmtl``'s tasks imitates.
Patches enter as RGB in [0, 1]; the standardisation by the pre-training set's mean and deviation is
part of the network, so teacher and student cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.errors import ConfigError, WeightsError, in_a_line
from vadistill.files import content_hash, read_safetensors, write_safetensors
from vadistill.soundness import typed

PATCH = 32
"""Side of a video event in pixels (H = W = 32 in the paper)."""


@dataclass(frozen=True)
class Architecture:
    """Depth and width of a residual network for 32x32 images.

    ``blocks``: basic blocks of the four stages.  ``width``: channels of the first stage; each later
    stage doubles them and halves the resolution (32, 16, 8, 4 pixels).
    """

    blocks: tuple[int, int, int, int]
    width: int

    @property
    def channels(self) -> tuple[int, int, int, int]:
        return (self.width, 2 * self.width, 4 * self.width, 8 * self.width)


ARCHITECTURES: dict[str, Architecture] = {
    "resnet34": Architecture((3, 4, 6, 3), 64),  # the paper's teacher
    "resnet17": Architecture((2, 2, 2, 2), 64),  # Table 2's rival student
    "resnet9": Architecture((1, 1, 1, 1), 64),  # the paper's student
    "narrow34": Architecture((3, 4, 6, 3), 16),  # compact teacher: 1/16 of the arithmetic
    "narrow17": Architecture((2, 2, 2, 2), 16),  # its rival, as resnet17 is the student's
    "narrow9": Architecture((1, 1, 1, 1), 16),  # compact student
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o y x"]:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network for 32x32 images that returns the outputs of its layer groups.

    The six layer groups are the stem's convolution, the stem's normalised and rectified output,
    and the four stages (Fig. 1; the reading of groups 5 and 6 from the top is ours).
    """

    GROUPS = 6

    def __init__(
        self,
        architecture: Architecture,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.25, 0.25, 0.25),
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        width = architecture.width
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        inputs = width
        for stage, (depth, outputs) in enumerate(
            zip(architecture.blocks, architecture.channels, strict=True)
        ):
            blocks = []
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(inputs, outputs, stride))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, patches: Float[Tensor, "n 3 32 32"], last: int = 4
    ) -> list[Float[Tensor, "n _ _ _"]]:
        """Outputs of the ``last`` layer groups, shallow to deep: T(E, j) or S(E, j) of Eq. 1.

        Patches are RGB in [0, 1].  With ``last=4`` the shapes are (n, w, 32, 32), (n, 2w, 16, 16),
        (n, 4w, 8, 8) and (n, 8w, 4, 4) for a network of width w.
        """
        stem = self.conv((patches - self.mean) / self.std)
        x = F.relu(self.bn(stem))
        groups = [stem, x]
        for stage in self.stages:
            x = stage(x)
            groups.append(x)
        return groups[self.GROUPS - last :]


SHIPPED: dict[str, str] = {"compact": "compact.safetensors"}
"""Teachers inside the package, by name."""


class UpsampledImageNet(nn.Module):
    """torchvision's ImageNet ResNet-34 on patches enlarged four times.

    At 128x128 its stages have the shapes of the 32x32 networks' (64x32x32 … 512x4x4), so
    the same students and losses apply.
    """

    GROUPS = 4
    architecture = ARCHITECTURES["resnet34"]

    def __init__(self, weights: str | None = "IMAGENET1K_V1") -> None:
        super().__init__()
        from vadistill.torchvision_cpu import fetch_weights, import_torchvision

        import_torchvision()
        from torchvision.models import ResNet34_Weights, resnet34

        if weights:
            instead = "use the shipped teacher ('compact') or pre-train one"
            fetch_weights(ResNet34_Weights[weights], "the ImageNet ResNet-34", instead=instead)
        self.network = resnet34(weights=weights)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(
        self, patches: Float[Tensor, "n 3 32 32"], last: int = 4
    ) -> list[Float[Tensor, "n _ _ _"]]:
        """Outputs of the last 1 to 4 stages for RGB patches in [0, 1]."""
        net = self.network
        x = F.interpolate(patches, scale_factor=4, mode="bilinear", align_corners=False)
        x = net.maxpool(net.relu(net.bn1(net.conv1((x - self.mean) / self.std))))
        groups = []
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            groups.append(x)
        return groups[self.GROUPS - last :]


CARD = ("architecture", "source", "accuracy", "config")
"""What a teacher's file tells of it."""


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
        card = {name: getattr(self, name) for name in CARD}
        write_safetensors(path, tensors, {"vadistill": json.dumps({"teacher": card})})

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Read what ``save`` wrote; raises WeightsError."""
        tensors, metadata = read_safetensors(path)
        try:
            card = json.loads(metadata["vadistill"])["teacher"]
            network = ResNet(ARCHITECTURES[card["architecture"]])
            network.load_state_dict(
                {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
            )
            card = typed(Teacher, {name: card[name] for name in CARD})
            with torch.no_grad():
                features = network.eval()(torch.full((1, 3, PATCH, PATCH), 0.5))
            if not all(bool(each.isfinite().all()) for each in features):
                raise ValueError("its features are no finite numbers")
        except (LookupError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{path} is not a pre-trained image network ({in_a_line(error)})",
                expected="a file that 'vadistill pretrain' wrote",
                fix="pre-train one, or leave the setting out to use the shipped teacher",
            ) from error
        return cls(network.eval(), **card, sha=content_hash(path))


def open_teacher(name: str) -> tuple[nn.Module, dict[str, str]]:
    """A teacher and what identifies it: ``name``, ``source``, ``sha``.

    ``name`` is ``compact`` (shipped), ``imagenet`` (torchvision's ResNet-34) or the path of a file
    that ``vadistill pretrain`` wrote.  Raises ConfigError, WeightsError.
    """
    if name == "imagenet":
        network = UpsampledImageNet().eval()
        sha = content_hash(*(v.numpy().tobytes() for v in network.state_dict().values()))
        return network, {"name": name, "source": "torchvision ResNet-34 IMAGENET1K_V1", "sha": sha}
    if name in SHIPPED:
        folder = resources.files("vadistill.backbones") / "weights"
        with resources.as_file(folder / SHIPPED[name]) as path:
            teacher = Teacher.load(path)
    elif Path(name).is_file():
        teacher, name = Teacher.load(Path(name)), "file"
    else:
        raise ConfigError(
            f"teacher '{name}'",
            expected=f"{', '.join(SHIPPED)}, imagenet, or a file",
            fix="pre-train one with 'vadistill pretrain cafe'",
        )
    return teacher.network, {"name": name, "source": teacher.source, "sha": teacher.sha}


def pack_network(
    network: nn.Module, facts: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a saved detector keeps of a network that ``open_teacher`` gave with ``facts``.

    Nothing but its name and hash where it ships with the package, else its weights too.
    """
    if facts["name"] in SHIPPED:
        return {}, dict(facts)
    assert isinstance(network, ResNet | UpsampledImageNet)
    tensors = {key: _compressed(value) for key, value in network.state_dict().items()}
    return tensors, {**facts, "architecture": asdict(network.architecture)}


def _compressed(tensor: Tensor) -> Tensor:
    """fp16 where that loses nothing, as with weights that were stored so."""
    if tensor.dtype != torch.float32 or not torch.equal(tensor.half().float(), tensor):
        return tensor
    return tensor.half()


def restore_network(
    facts: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path
) -> nn.Module:
    """The inverse of ``pack_network`` for a detector saved at ``path``; raises WeightsError."""
    if facts["name"] in SHIPPED:
        network, shipped = open_teacher(facts["name"])
        if shipped["sha"] != facts["sha"]:
            raise WeightsError(
                f"{path} was fitted with {facts['name']} {facts['sha']}, "
                f"this package ships {shipped['sha']}",
                expected="the same teacher weights",
                fix="fit again, or install the vadistill version that fitted it",
            )
        return network
    if facts["name"] == "imagenet":
        network = UpsampledImageNet(weights=None)
    else:
        architecture = facts["architecture"]
        network = ResNet(Architecture(tuple(architecture["blocks"]), architecture["width"]))
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    )
    return network.eval()
