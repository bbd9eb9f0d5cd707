"""Networks in files as backbones: pictures and videos, either order of axes, both runtimes."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from support.feature_clips import pixels
from vadistill.backbones import open_backbone
from vadistill.backbones.graphs import IMAGENET
from vadistill.errors import ConfigError, WeightsError

FRAMES = pixels(16, 24, 32)
"""Of the networks' own size, so that nothing is resized."""

OPENVINO = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed (extra export)"
)
KINDS = ["onnx", pytest.param("openvino", marks=OPENVINO)]


class LastAxis(nn.Module):
    """Colours last, as in TensorFlow, in and out."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def saved(module: nn.Module, example: torch.Tensor, path: Path) -> Path:
    torch.onnx.export(module.eval(), (example,), str(path), dynamo=False)
    return path


def standardised(frames: np.ndarray) -> torch.Tensor:
    """t 3 h w."""
    mean, deviation = IMAGENET
    return torch.from_numpy((frames / 255 - mean) / deviation).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", [False, True])
def test_pictures(kind: str, last: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 5, 3)
    module = LastAxis(network) if last else network
    example = torch.zeros(1, 24, 32, 3) if last else torch.zeros(1, 3, 24, 32)
    backbone = open_backbone(f"{kind}:{saved(module, example, tmp_path / 'n.onnx')}")
    row = backbone(backbone.prepare(FRAMES)[None])
    with torch.inference_mode():
        maps = network(standardised(FRAMES[list(backbone.view.frames)]))  # pyright: ignore
    np.testing.assert_allclose(row[0], maps.mean((0, 2, 3)).numpy(), atol=1e-4)
    assert backbone.dim == 5


@pytest.mark.parametrize("kind", KINDS)
def test_videos_and_pixels_as_they_are(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(3, 4, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    path = saved(network, torch.zeros(1, 3, 16, 24, 32), tmp_path / "n.onnx")
    with torch.inference_mode():
        video = torch.from_numpy(FRAMES).permute(3, 0, 1, 2)[None].float()
        wanted = network(video)[0].numpy()
    for values, scale in (("bytes", 1.0), ("unit", 255.0)):
        backbone = open_backbone(f"{kind}:{path}@{values}")
        row = backbone(backbone.prepare(FRAMES)[None])[0]
        bias = network[1:](network[0](torch.zeros_like(video)))[0].detach().numpy()
        np.testing.assert_allclose((row - bias) * scale, wanted - bias, rtol=1e-3, atol=0.05)
    names = {open_backbone(f"{kind}:{path}@{v}").fingerprint for v in ("bytes", "unit")}
    assert len(names) == 2


@OPENVINO
def test_a_quantised_tensorflow_lite_network_of_imagenet() -> None:
    root = Path(__file__).parents[2].parent / "shared" / "weights"
    folder = Path(os.environ.get("VADISTILL_WEIGHTS", root))
    path = folder / "mobilenet_v2_1.0_224_quant.tflite"
    if not path.is_file():
        pytest.skip("no mobilenet_v2_1.0_224_quant.tflite: set VADISTILL_WEIGHTS")
    backbone = open_backbone(f"openvino:{path}")
    grey, noise = np.full((16, 48, 64, 3), 127, np.uint8), pixels(16)
    rows = backbone(np.stack([backbone.prepare(frames) for frames in (grey, noise)]))
    assert rows.shape == (2, 1001) and np.ptp(rows - rows[:1]) > 0


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match=r"n\.onnx"):
        open_backbone(f"onnx:{tmp_path / 'n.onnx'}")
    with pytest.raises(WeightsError, match="check the path"):
        open_backbone(f"onnx:{tmp_path / 'none.onnx'}")
    with pytest.raises(ConfigError, match="imagenet, unit, bytes"):
        open_backbone(f"onnx:{tmp_path / 'n.onnx'}@float")
    grey = saved(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8), tmp_path / "grey.onnx")
    with pytest.raises(WeightsError, match=r"shape \[1, 1, 8, 8\]"):
        open_backbone(f"onnx:{grey}")
