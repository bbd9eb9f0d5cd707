"""What a backbone is, what it sees of a snippet, and backbones that are neural networks."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor, nn

from vadistill.backbones.weights import fingerprint
from vadistill.datasets.snippets import SNIPPET
from vadistill.devices import pick_device
from vadistill.errors import ConfigError

if TYPE_CHECKING:
    from vadistill.devices import Device


class Backbone(ABC):
    """One feature vector for a snippet of 16 frames.

    ``prepare`` is the CPU's part and runs in the thread that decodes; the call is the network's.
    A snippet's row does not depend on what else is in its batch, but for rounding.
    """

    name: str
    """As it was asked for, such as ``i3d:/weights/rgb_imagenet.pt``; the key of its features."""
    dim: int
    """Width of a feature vector."""
    fingerprint: str
    """16 digits that change with the weights, the sampling of frames and the crops."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the network for one snippet, all crops; 0 without a network."""
        return 0

    @abstractmethod
    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> np.ndarray:
        """Sampled, resized and cropped: of one shape, however large the frames are."""

    @abstractmethod
    def __call__(self, prepared: np.ndarray) -> Float32[np.ndarray, "n d"]:
        """One row a snippet for n prepared snippets, stacked along the first axis."""


class Merged(Backbone):
    """A backbone whose network is called together with other threads' snippets."""

    def __init__(
        self, backbone: Backbone, merge: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        self.name, self.dim, self.fingerprint = backbone.name, backbone.dim, backbone.fingerprint
        self._inner, self._network = backbone, merge(backbone)

    def prepare(self, frames: UInt8[np.ndarray, "16 h w 3"]) -> np.ndarray:
        return self._inner.prepare(frames)

    def __call__(self, prepared: np.ndarray) -> Float32[np.ndarray, "n d"]:
        return self._network(prepared)


def model_and_weights(name: str, rest: str | None) -> tuple[str, str | None]:
    """``MODEL`` or ``MODEL@FILE`` as two parts; raises ConfigError where there is no model."""
    model, _, weights = (rest or "").partition("@")
    if not model:
        kind = name.partition(":")[0]
        raise ConfigError(
            f"backbone '{name}' without a model",
            expected=f"{kind}:MODEL or {kind}:MODEL@FILE",
            fix=f"name one, such as {kind}:resnet18",
        )
    return model, weights or None


Box = tuple[int, int, int, int]
"""Rows y1 to y2 and columns x1 to x2 of a picture, exclusive: y1, y2, x1, x2."""


SAMPLED = 4
"""Frames of a snippet that an image network sees."""


def evenly(count: int) -> Int[np.ndarray, " {count}"]:
    """``count`` of a snippet's frames, each from the middle of its share: 2, 6, 10, 14 for four."""
    return (2 * np.arange(count) + 1) * SNIPPET // (2 * count)


@dataclass(frozen=True)
class View:
    """Frames scaled to ``resize`` and cropped to ``size``, both in one step.

    ``resize`` is the length that the short side is scaled to, or height and width whatever the
    frame's shape.  Shrinking averages over pixels; enlarging is ``enlarge``.
    """

    frames: tuple[int, ...]
    size: tuple[int, int]
    """Height and width of what the network takes."""
    resize: int | tuple[int, int]
    crops: int = 1
    enlarge: Literal["linear", "cubic"] = "linear"

    @classmethod
    def whole(cls, frames: tuple[int, ...], size: tuple[int, int]) -> View:
        """All of every frame, squeezed to ``size``."""
        return cls(frames, size, size)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Of what a snippet becomes: crops, frames, height, width, 3."""
        return (self.crops, len(self.frames), *self.size, 3)

    def boxes(self, height: int, width: int) -> list[Box]:
        """The region of a frame that each crop shows: centre, then the corners row by row."""
        if isinstance(self.resize, int):
            scale = self.resize / min(height, width)
            scaled = (height * scale, width * scale)
        else:
            scaled = self.resize
        rows = max(1, round(height * min(1, self.size[0] / scaled[0])))
        columns = max(1, round(width * min(1, self.size[1] / scaled[1])))
        down, right = height - rows, width - columns
        corners = [(down // 2, right // 2), (0, 0), (0, right), (down, 0), (down, right)]
        places = corners[: 1 if self.crops == 1 else 5]
        return [(y, y + rows, x, x + columns) for y, x in places]

    def __call__(self, snippet: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "c f y x 3"]:
        """The crops of a snippet's chosen frames; behind the fifth crop come the mirrored ones."""
        import cv2

        out = np.empty(self.shape, np.uint8)
        height, width = self.size
        enlarge = cv2.INTER_CUBIC if self.enlarge == "cubic" else cv2.INTER_LINEAR
        for i, (y1, y2, x1, x2) in enumerate(self.boxes(*snippet.shape[1:3])):
            shrinks = y2 - y1 >= height and x2 - x1 >= width
            how = cv2.INTER_AREA if shrinks else enlarge
            for j, frame in enumerate(self.frames):
                region = snippet[frame, y1:y2, x1:x2]
                out[i, j] = cv2.resize(region, (width, height), interpolation=how)
        if self.crops == 10:
            out[5:] = out[:5, :, :, ::-1]
        return out


AT_ONCE = 16
"""Crops of snippets that go through a network together: as many as a GPU needs to be busy."""


class NetworkBackbone(Backbone):
    """Features of what a ``View`` shows, standardised by ``mean`` and ``std`` of [0, 1] RGB.

    ``network`` maps n pictures (n 3 h w) or snippets (n 3 t h w) to n rows; the features of a
    snippet's frames, then those of its crops, are averaged.
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
        """The view of a snippet, as bytes."""
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
        """Multiply-accumulates for one snippet, counted while one goes through the network."""
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
