"""What may be asked of the papers' tables, by the verb or from Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Networks = Literal["compact", "paper"]


@dataclass(frozen=True)
class Options:
    """What is run of a paper's tables, on what."""

    data: Path
    """A data set with labelled test videos."""
    out: Path = Path("runs/reproduce")
    """Folder for models, results.json and work files."""
    quick: bool = False
    """Fewer frames and epochs for the paper's networks; for dakd a tenth of the epochs."""
    networks: tuple[Networks, ...] = ("compact",)
    """Those sized for CPUs, or the paper's, or both (cafe, fast_aed)."""
    teacher: str = "resnet34.safetensors"
    """CAFE's, for the paper's networks: imagenet, or a file of 'vadistill pretrain'."""
    localisers: tuple[str, ...] = ("background",)
    """Where boxes come from, background or boxes:FILE; each has all rows (cafe, fast_aed,
    own)."""
    recipe: Literal["paper", "default"] = "paper"
    """Settings of dakd, and of fast_aed's teachers and compact student: the paper's or our own."""
    backbones: tuple[str, ...] = ()
    """The teacher's (dakd), default those whose features the data set has."""
    epochs: int | None = None
    """Of DAKD's teacher and of its student, instead of the paper's or a tenth."""
    seeds: tuple[int, ...] = ()
    """One run each; default 0, and for dakd, whose paper averages five, 0 to 4."""
    only: tuple[str, ...] = ()
    """Rows to run, default all: student, or 'paper student' of one network (cafe, fast_aed)."""
    protocols: tuple[str, ...] = ()
    """Figures to compute, such as micro/average10; default the usual ones."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""


SEEDS = {"dakd": (0, 1, 2, 3, 4)}
"""Seeds of papers that average several; others have one run, of seed 0."""

OWN = {
    "networks": ("cafe", "fast_aed"),
    "localisers": ("cafe", "fast_aed", "own"),
    "teacher": ("cafe",),
    "recipe": ("dakd", "fast_aed"),
    "backbones": ("dakd",),
    "epochs": ("dakd",),
}
"""Options that only some papers have, with these."""
