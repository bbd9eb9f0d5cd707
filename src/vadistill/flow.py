"""Optical flow between two frames: DIS (OpenCV) by default, RAFT (torchvision) by name.

DIS: Kroeger et al. 2016, "Fast optical flow using dense inverse search".
RAFT: Teed and Deng 2020, "RAFT: recurrent all-pairs field transforms for optical flow".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from vadistill.errors import ConfigError, VideoError, one_of

if TYPE_CHECKING:
    from torch import nn

FLOWS = ("dis", "dis-fine", "dis-ultrafast", "raft_small", "raft_large")
Picture = UInt8[np.ndarray, "h w 3"]
FlowField = Float32[np.ndarray, "h w 2"]
Flow = Callable[[Picture, Picture], FlowField]
"""From RGB frames a and b of one size: how far each pixel of a moves to the right and down until b,
in pixels per frame."""

RAFT_LEAST = 128
"""Smallest side that RAFT takes: its correlation pyramid has four levels below an eighth."""


def build_flow(
    name: str = "dis", *, weights: str | Path | None = None, device: str = "auto"
) -> Flow:
    """The flow of this name; raises ConfigError, and WeightsError where RAFT has no weights.

    ``weights`` is a local state dict for RAFT; without it torchvision's own are fetched.
    ``device`` is where RAFT runs.
    """
    one_of("optical flow", name, FLOWS)
    if not name.startswith("dis"):
        from vadistill.devices import pick_device
        from vadistill.torchvision_cpu import pretrained

        target = pick_device(device)
        return RAFT(pretrained(f"optical_flow.{name}", weights).to(target))
    if weights is not None:
        raise ConfigError(
            f"weights for '{name}'", expected="no weights: DIS has none", fix="use raft_small"
        )
    return DIS(name)


class DIS:
    """Dense inverse search on grey pictures, at OpenCV's fast or ultrafast preset.

    ``dis-fine`` is the fast one down to half the picture's size instead of a quarter: people of 20
    pixels are not smeared into the ground around them.  It takes about three times as long.
    """

    def __init__(self, name: str = "dis") -> None:
        import cv2

        fast = name == "dis-ultrafast"
        self._search = cv2.DISOpticalFlow.create(
            cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST if fast else cv2.DISOPTICAL_FLOW_PRESET_FAST
        )
        if name == "dis-fine":
            self._search.setFinestScale(1)

    def __call__(self, a: Picture, b: Picture) -> FlowField:
        import cv2

        grey_a, grey_b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (a, b))
        start = np.zeros((*grey_a.shape, 2), np.float32)
        try:
            return np.asarray(self._search.calc(grey_a, grey_b, start), np.float32)
        except cv2.error as error:
            height, width = grey_a.shape[:2]
            raise VideoError(
                f"pictures that are {width} x {height} pixels where their flow is looked for",
                expected="larger or less narrow ones",
                fix="take a video of a usual size",
            ) from error


class RAFT:
    """A torchvision RAFT; pictures are padded with their edges to multiples of 8 and cut back."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def __call__(self, a: Picture, b: Picture) -> FlowField:
        import torch
        from torch.nn import functional

        height, width = a.shape[:2]
        down = max(RAFT_LEAST, -(-height // 8) * 8) - height
        right = max(RAFT_LEAST, -(-width // 8) * 8) - width
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            pair = torch.from_numpy(np.stack([a, b])).to(device).permute(0, 3, 1, 2)
            pair = functional.pad(pair.float() / 127.5 - 1, (0, right, 0, down), mode="replicate")
            flow = self.network(pair[:1], pair[1:])[-1][0, :, :height, :width]
        return flow.permute(1, 2, 0).contiguous().float().cpu().numpy()
