"""Optical flow against a known motion, and torchvision where its operators do not load."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vadistill.errors import ConfigError, WeightsError
from vadistill.flow import FLOWS, RAFT, build_flow
from vadistill.torchvision_cpu import greedy_nms, import_torchvision, pretrained


def texture(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3)
    return (np.interp(smooth, (smooth.min(), smooth.max()), (0, 255))).astype(np.uint8)


@pytest.mark.parametrize("name", ["dis", "dis-fine", "dis-ultrafast"])
@pytest.mark.parametrize(("right", "down"), [(3.0, 0.0), (0.0, -2.0), (-2.5, 1.5)])
def test_dis_finds_a_known_shift(name: str, right: float, down: float) -> None:
    a = texture(0)
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    b = cv2.warpAffine(a, shift, (160, 120), borderMode=cv2.BORDER_REFLECT)
    flow = build_flow(name)(a, b)
    assert flow.shape == (120, 160, 2) and flow.dtype == np.float32
    assert np.median(flow[20:-20, 20:-20], axis=(0, 1)) == pytest.approx((right, down), abs=0.2)


def test_still_pictures_do_not_move() -> None:
    a = texture(1)
    assert np.abs(build_flow()(a, a)).max() < 0.05


def test_wrong_flow_names_are_one_line_errors() -> None:
    with pytest.raises(ConfigError, match="did you mean 'raft_small'") as caught:
        build_flow("raft_smal")
    assert "\n" not in str(caught.value) and all(name in str(caught.value) for name in FLOWS)
    with pytest.raises(ConfigError, match="DIS has none"):
        build_flow("dis", weights="some.pth")


def test_raft_takes_any_size_and_reads_local_weights(tmp_path: Path) -> None:
    models = importlib.import_module(f"{import_torchvision().__name__}.models.optical_flow")
    network = models.raft_small(weights=None).eval()
    flow = RAFT(network)(texture(0, 50, 133), texture(1, 50, 133))
    assert flow.shape == (50, 133, 2) and np.isfinite(flow).all()

    torch.save(network.state_dict(), tmp_path / "raft.pth")
    loaded = build_flow("raft_small", weights=tmp_path / "raft.pth", device="cpu")
    assert isinstance(loaded, RAFT)
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value), name


def test_raft_weights_are_never_random(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weight file"):
        build_flow("raft_small", weights=tmp_path / "none.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "foreign.pth")
    with pytest.raises(WeightsError, match="does not hold this model's weights"):
        build_flow("raft_small", weights=tmp_path / "foreign.pth")
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(WeightsError, match="does not hold this model's weights") as caught:
        build_flow("raft_small", weights=tmp_path / "text.pth")
    assert "\n" not in str(caught.value)


# -- torchvision ---------------------------------------------------------------------------------


def test_nms_by_hand() -> None:
    boxes = torch.tensor(
        [[0, 0, 10, 10], [0, 0, 10, 5], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]],
        dtype=torch.float32,
    )
    scores = torch.tensor([0.9, 0.8, 0.7, 0.95, 0.9])
    # IoU with the first: 0.5 exactly, 1/3, 0, 1; a box goes only above the threshold.
    assert greedy_nms(boxes, scores, 0.5).tolist() == [3, 0, 1, 2]
    assert greedy_nms(boxes, scores, 0.49).tolist() == [3, 0, 2]
    assert greedy_nms(boxes, scores, 0.3).tolist() == [3, 0]
    # What a suppressed box covers stays: 1 falls to 0, so it cannot take a third with it.
    chain = torch.tensor([[0.0, 0, 10, 1], [4, 0, 14, 1], [8, 0, 18, 1]])
    assert greedy_nms(chain, torch.tensor([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]
    assert greedy_nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_torchvision_nms_and_a_detector_run() -> None:
    torchvision = import_torchvision()
    assert import_torchvision() is torchvision is sys.modules["torchvision"]
    boxes = torch.rand(300, 2, generator=torch.Generator().manual_seed(0)) * 100
    boxes = torch.cat([boxes, boxes + 20], 1)
    scores = torch.rand(300, generator=torch.Generator().manual_seed(1))
    kept = torchvision.ops.nms(boxes, scores, 0.4)
    assert torch.equal(kept, greedy_nms(boxes, scores, 0.4))
    iou = torchvision.ops.box_iou(boxes[kept], boxes[kept]).fill_diagonal_(0)
    assert iou.max() <= 0.4

    detection = importlib.import_module("torchvision.models.detection")
    model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    with torch.inference_mode():
        found = model.eval()([torch.rand(3, 64, 96)])[0]
    assert found["boxes"].shape[1] == 4 and len(found["boxes"]) == len(found["scores"])


def test_the_failed_import_is_mended_in_a_fresh_process() -> None:
    """The order that a user meets: a plain import that may fail, then ours."""
    code = (
        "try:\n    import torchvision\nexcept RuntimeError as error:\n    print('plain', error)\n"
        "from vadistill.torchvision_cpu import import_torchvision\n"
        "import_torchvision()\nimport torchvision.ops, torch\n"
        "print(torchvision.ops.nms(torch.tensor([[0., 0, 1, 1]]), torch.ones(1), 0.5).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[0]", done.stderr


def test_unknown_torchvision_models_get_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="ssdlite320_mobilenet_v3_large"):
        pretrained("detection.ssdlite320_mobilenet_v3_larg")
