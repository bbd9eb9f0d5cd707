"""The fast frame-level student (Fig. 3): downsampling block, CvT blocks, anomaly heads.

Symbols follow the paper: ``P`` (c, h, w) is the feature map, ``m`` the number of transformer
blocks, ``s`` of attention heads, ``d`` their width, ``t`` = 3 the step between input frames.

A student takes windows of frames t-3, t, t+3, RGB, in this order, and gives one map for each
resolution.  The frames meet in the first convolution, whose weights differ by a frame's place, so
the windows that contain a frame share no arithmetic: only its decoding and resizing.

Counts at 9x640x360.  ``reference``, the public configuration, has 4,997,747 parameters and 7.05 G
multiply-accumulates; it is reported at 4,997,846: its auto-encoder has a 1x1 convolution 32 -> 3
more.  Paper and specification fix the large terms; these details are what comes closest:

- convolutions before a batch norm and the pointwise convolutions of Q, K and V have no bias; all
  others have one; norms have scale and shift, two a block; no positional term, no final norm;
- K and V share one depthwise convolution (with one each, as the paper has it, 14,080 more);
- two convolutional heads (a third is 148,097 more, and 0.14 G), and for 1x1 a linear layer on the
  feature map max-pooled *to* 2x2 (max-pooled *by* 2x2 it would be 55,296 more).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vadistill.errors import ConfigError
from vadistill.systems.fast_aed.attention import CvTEncoder, Dense, Norm, Stage, stage_sizes
from vadistill.systems.fast_aed.blocks import (
    ByteConvolution,
    Decoder,
    Head,
    LinearHead,
    LiteEncoder,
    Output,
    Standardise,
    Upsampling,
    upsampling_steps,
)

STEP = 3
"""Frames between neighbours of a window (t in the paper)."""

FULL = 0
"""The resolution of a map that is as large as the frame; ``Architecture.at`` says how large."""

Maps = list[Float[Tensor, "n _ _"]]
"""Anomaly maps of n windows, one tensor a resolution in the architecture's order; 0 is normal."""


@dataclass(frozen=True)
class Architecture:
    """The student's shape; the supplement's tables vary one field each.  Raises ConfigError.

    ``encoder``: the paper's, or ours for CPUs.
    ``channels``: of the layers that shrink the map, the last being c.
    ``first_stride``: of the first convolution (7x7): 1 (reflect-padded), 2 (no padding), 4 (lite).
    ``blocks``, ``heads``, ``head_width``: m, s and d (Table 2; s and d are CvT's).
    ``shared_kv``: K and V share their depthwise convolution.
    ``dense``: pointwise convolutions, or fully connected layers (Table 8).
    ``norm``: of a block's parts: batch norm as in the text, or layer norm over the channels.
    ``frames``: input frames, 1, 3 or 5 (Table 4).
    ``resolutions``: sides of square maps, or (height, width), or ``FULL`` (Table 3).
    ``frame_head``: what makes the 1x1 map: the paper's convolutions, or the linear layer.
    ``head_channels``: filters of a head's first convolution.
    ``upsampling``: where a map is finer than the feature map.
    ``output``: a map's activation in training; ``relu`` is the paper's, and heads die under it.
    ``branches``: sets of heads, one a teacher; the maps' maximum is the output (Table 6).
    """

    encoder: Literal["cvt", "lite"] = "cvt"
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    first_stride: int = 1
    blocks: int = 5
    heads: int = 5
    head_width: int = 64
    shared_kv: bool = False
    dense: Dense = "pointwise"
    norm: Norm = "batch"
    frames: int = 3
    resolutions: tuple[int | tuple[int, int], ...] = (1, 4, 16)
    frame_head: Literal["convolution", "linear"] = "convolution"
    head_channels: int = 64
    upsampling: Upsampling = "transposed"
    output: Output = "leaky"
    branches: int = 1

    def __post_init__(self) -> None:
        strides = {"cvt": (1, 2), "lite": (4,)}[self.encoder]
        for name, allowed in (("first_stride", strides), ("frames", (1, 3, 5))):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name}={getattr(self, name)} for a {self.encoder} student",
                    expected=" or ".join(map(str, allowed)),
                    fix=f"set {name} to one of these",
                )
        if self.encoder == "lite" and len(self.channels) != 3:
            raise ConfigError(
                f"channels={self.channels} for a lite student",
                expected="three widths: at stride 4, 8 and 16",
                fix="set channels=(32, 64, 128)",
            )
        counts = {name: getattr(self, name) for name in ("blocks", "heads", "branches")}
        sides = [side for size in self.sizes for side in size]
        if min(counts.values()) < 1 or not sides or min(sides) < 0:
            raise ConfigError(
                f"{counts} and resolutions={self.resolutions}",
                expected="at least 1 of each; at least one resolution, none below 1 (0: full)",
                fix="correct what is below",
            )

    def at(self, size: tuple[int, int]) -> Architecture:
        """The architecture for frames of ``size`` (height, width), which ``FULL`` maps take."""
        return replace(self, resolutions=tuple(size if r == FULL else r for r in self.resolutions))

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each map; known to ``at`` alone where one is ``FULL``."""
        return tuple((r, r) if isinstance(r, int) else r for r in self.resolutions)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Frames of a window relative to the frame it scores, in the order of the input."""
        reach = self.frames // 2
        return tuple(STEP * i for i in range(-reach, reach + 1))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The layers that shrink the map."""
        first_padding = {1: 3, 2: 0, 4: 3}[self.first_stride]
        first = Stage(7, self.first_stride, first_padding, self.channels[0])
        return (first, *(Stage(3, 2, 1, channels) for channels in self.channels[1:]))


ARCHITECTURES: dict[str, Architecture] = {
    "reference": Architecture(shared_kv=True, norm="layer", frame_head="linear"),  # public
    "paper": Architecture(first_stride=2),  # the text: stride 2 in every layer
    "lite": Architecture(  # ours: under 0.5 GMAC a frame at 640x360
        "lite", channels=(32, 64, 128), first_stride=4, blocks=3, head_channels=32
    ),
}


class Student(nn.Module):
    """S: windows of frames to anomaly maps, higher is more anomalous.

    ``size`` is the frames' (height, width).  Raises ConfigError if the feature map is too small.
    """

    def __init__(self, architecture: Architecture, size: tuple[int, int]) -> None:
        super().__init__()
        self.architecture, self.size = architecture.at(size), size
        a = self.architecture
        self.standardise: nn.Module = Standardise()
        if a.encoder == "lite":
            first, second, third = a.channels
            self.encoder: nn.Module = LiteEncoder(a.frames, (first, second, third), a.blocks)
        else:
            self.encoder = CvTEncoder(
                3 * a.frames,
                a.stages,
                a.blocks,
                a.heads,
                a.head_width,
                shared_kv=a.shared_kv,
                dense=a.dense,
                norm=a.norm,
            )
        feature = stage_sizes(a.stages, size)[-1]
        if min(feature) < 2:
            raise ConfigError(
                f"frames of {size[1]}x{size[0]} pixels",
                expected="frames that leave at least 2x2 positions after downsampling",
                fix="use larger frames",
            )
        self.branches = nn.ModuleList(self._heads(feature) for _ in range(a.branches))

    def _heads(self, feature: tuple[int, int]) -> nn.ModuleList:
        a = self.architecture
        stride = math.prod(stage.stride for stage in a.stages)
        # Of the feature map, what lies in the frame: its last row or column may do so in part.
        inside = min(feature[0], self.size[0] / stride), min(feature[1], self.size[1] / stride)
        heads: list[nn.Module] = []
        for size in a.sizes:
            if size == (1, 1) and a.frame_head == "linear":
                heads.append(LinearHead(a.channels[-1]))
            else:
                steps = upsampling_steps(inside, size, a.upsampling)
                extent = math.ceil(inside[0] * 2**steps), math.ceil(inside[1] * 2**steps)
                heads.append(
                    Head(
                        a.channels[-1],
                        a.head_channels,
                        size,
                        extent,
                        steps=steps,
                        separable=a.encoder == "lite",
                        output=a.output,
                    )
                )
        return nn.ModuleList(heads)

    def forward(self, windows: Num[Tensor, "n _ h w"]) -> Maps:
        """The maps of windows (n, 3 * frames, height, width) of RGB values in [0, 255].

        Raises ConfigError if the windows are not of the student's size.
        """
        return self.heads(self.features(windows))

    def features(self, windows: Num[Tensor, "n _ h w"]) -> Float[Tensor, "n c y x"]:
        """E of Eq. 2: the encoder's feature map P."""
        frames = self.architecture.frames
        if windows.shape[1] != 3 * frames:
            raise ConfigError(
                f"windows of {windows.shape[1]} channels",
                expected=f"{3 * frames}, RGB of {frames} frames",
                fix="stack the frames of architecture.offsets, in this order",
            )
        if tuple(windows.shape[-2:]) != self.size:
            raise ConfigError(
                f"frames of {windows.shape[-1]}x{windows.shape[-2]} pixels",
                expected=f"the student's {self.size[1]}x{self.size[0]}",
                fix="resize the frames",
            )
        return self.encoder(self.standardise(windows))

    def heads(self, features: Float[Tensor, "n c y x"]) -> Maps:
        """The maps of a feature map; with several branches, their element-wise maximum."""
        branches = self.branch_maps(features)
        if len(branches) == 1:
            return branches[0]
        return [torch.stack(same).amax(0) for same in zip(*branches, strict=True)]

    def branch_maps(self, features: Float[Tensor, "n c y x"]) -> list[Maps]:
        """The maps of each branch: what each teacher's loss sees where there are several."""
        return [
            [head(features) for head in branch]  # pyright: ignore[reportGeneralTypeIssues]
            for branch in self.branches
        ]

    def decoder(self) -> Decoder:
        """A new decoder for the auto-encoder phase of this student."""
        return Decoder(self.architecture.stages, self.size)


def for_bytes(student: Student) -> Student:
    """A copy for windows of bytes that standardises them in its first convolution."""
    student = copy.deepcopy(student)
    student.standardise = nn.Identity()
    first = student.encoder if student.architecture.encoder == "lite" else student.encoder[0]  # pyright: ignore[reportIndexIssue]
    first[0] = ByteConvolution(first[0])  # pyright: ignore
    return student


def frame_score(maps: Maps, frame_map: bool = True) -> Float[Tensor, " n"]:
    """Mean over the heads of each map's maximum: a frame's anomaly score.

    Without ``frame_map``, a 1x1 map counts only where there is no other: it is learned worst.
    """
    counted = [m for m in maps if frame_map or m.shape[1:] != (1, 1)] or maps
    return torch.stack([m.flatten(1).amax(1) for m in counted]).mean(0)


def localisation(maps: Maps) -> Float[Tensor, "n _ _"]:
    """The map of the highest resolution."""
    return max(maps, key=lambda m: m[0].numel())


def count_parameters(module: nn.Module) -> int:
    """Learnable numbers of a module."""
    return sum(p.numel() for p in module.parameters())


def count_macs(function: Callable[..., object], *inputs: object) -> int:
    """Multiply-accumulates of the convolutions, matrix and attention products of a call.

    Biases, norms, activations and pooling are not counted.
    """
    # PyTorch's counter knows attention only as its two products, which the fused kernel hides.
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        function(*inputs)
    return counter.get_total_flops() // 2


def macs_per_window(student: Student) -> int:
    """Multiply-accumulates of a window: 7.05 G for ``reference`` at 640x360."""
    network: nn.Module = copy.deepcopy(student).to("meta").eval()  # shapes without arithmetic
    channels = 3 * student.architecture.frames
    return count_macs(network, torch.zeros(1, channels, *student.size, device="meta"))
