"""Where CAFE's teacher comes from: shipped with the package, torchvision's ImageNet, or a file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.errors import ConfigError, WeightsError
from vadistill.files import content_hash
from vadistill.systems.cafe.model import ARCHITECTURES
from vadistill.systems.cafe.pretraining import Teacher

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
        from vadistill.torchvision_cpu import import_torchvision

        import_torchvision()
        from torchvision.models import resnet34

        try:
            self.network = resnet34(weights=weights)
        except OSError as error:
            raise WeightsError(
                f"torchvision cannot fetch its ImageNet ResNet-34 ({error})",
                expected="network access or weights in torch's hub cache",
                fix="use the shipped teacher ('compact') or pre-train one",
            ) from error
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


def open_teacher(name: str) -> tuple[nn.Module, dict[str, str]]:
    """A teacher and what identifies it: ``name``, ``source``, ``sha``.

    ``name`` is ``compact`` (shipped), ``imagenet`` (torchvision's ResNet-34) or the path of a file
    that ``vadistill pretrain`` wrote.  Raises ConfigError, WeightsError.
    """
    if name in SHIPPED:
        folder = resources.files("vadistill.systems.cafe") / "weights"
        with resources.as_file(folder / SHIPPED[name]) as path:
            teacher = Teacher.load(path)
        return teacher.network, {"name": name, "source": teacher.source, "sha": teacher.sha}
    if name == "imagenet":
        network = UpsampledImageNet().eval()
        sha = content_hash(*(v.numpy().tobytes() for v in network.state_dict().values()))
        return network, {"name": name, "source": "torchvision ResNet-34 IMAGENET1K_V1", "sha": sha}
    if not Path(name).is_file():
        raise ConfigError(
            f"teacher '{name}'",
            expected=f"{', '.join(SHIPPED)}, imagenet, or a file",
            fix="pre-train one with 'vadistill pretrain cafe'",
        )
    teacher = Teacher.load(Path(name))
    return teacher.network, {"name": "file", "source": teacher.source, "sha": teacher.sha}
