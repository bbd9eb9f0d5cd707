"""A backbone that is a neural network: its pixels, its features, its arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from vadistill.backbones.base import Backbone
from vadistill.backbones.view import View
from vadistill.backbones.weights import fingerprint
from vadistill.devices import pick_device

if TYPE_CHECKING:
    from vadistill.devices import Device

AT_ONCE = 16
"""Crops of clips that go through a network together: as many as a GPU needs to be busy."""


class NetworkBackbone(Backbone):
    """Features of what a ``View`` shows, standardised by ``mean`` and ``std`` of [0, 1] RGB.

    ``network`` maps n pictures (n 3 h w) or clips (n 3 t h w) to n rows; the features of a clip's
    frames, then those of its crops, are averaged.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        view: View,
        *,
        architecture: str,
        over: Literal["frames", "clips"],
        dim: int,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        device: Device = "auto",
    ) -> None:
        self.name, self.dim, self.view, self.over = name, dim, view, over
        mean, std = tuple(map(float, mean)), tuple(map(float, std))
        settings = {"architecture": architecture, "over": over, "mean": mean, "std": std}
        self.fingerprint = fingerprint({**settings, **asdict(view)}, network)
        self.device = pick_device(device)
        self.network = network.eval().requires_grad_(False).to(self.device)
        self._scale = 1 / (255 * torch.tensor(std, device=self.device).view(3, 1, 1, 1))
        self._shift = torch.tensor(mean, device=self.device).view(3, 1, 1, 1) * 255 * self._scale
        self._macs: int | None = None

    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> UInt8[np.ndarray, "c f y x 3"]:
        """The view of a clip, as bytes."""
        return self.view(frames)

    @torch.inference_mode()
    def __call__(self, prepared: UInt8[np.ndarray, "n c f y x 3"]) -> Float32[np.ndarray, "n d"]:
        """Features averaged over frames and crops."""
        views = torch.from_numpy(prepared).flatten(0, 1)
        rows = torch.cat([self._features(part) for part in views.split(AT_ONCE)])
        return rows.unflatten(0, prepared.shape[:2]).mean(1).float().cpu().numpy()

    def _features(self, views: Tensor) -> Float[Tensor, "n d"]:
        """Rows of n views (n f y x 3) of bytes."""
        # Colours stay innermost in memory (channels last), where convolutions are faster.
        pixels = views.to(self.device).permute(0, 4, 1, 2, 3).float()
        x = pixels.mul_(self._scale).sub_(self._shift)
        if self.over == "clips":
            return self.network(x)
        pictures = x.transpose(1, 2).flatten(0, 1)
        return self.network(pictures).unflatten(0, (len(views), -1)).mean(1)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one clip, counted while one goes through the network."""
        if self._macs is None:
            from torch.utils.flop_counter import FlopCounterMode

            blank = torch.zeros(self.view.shape, dtype=torch.uint8)
            with _countable(), FlopCounterMode(display=False) as counter:
                self._features(blank)
            self._macs = counter.get_total_flops() // 2
        return self._macs


@contextlib.contextmanager
def _countable() -> Iterator[None]:
    """Attention as plain matrix products: fused kernels hide theirs from the counter."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
