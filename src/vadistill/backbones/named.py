"""All weights that have a name: where from, under which licence, and whether they are here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vadistill.backbones.detectors import PUBLISHED
from vadistill.errors import WeightsError, one_of
from vadistill.fetching import Published, fetched

YOLOX = "Apache-2.0"
TORCHVISION = "BSD-3-Clause"
"""Of torchvision, which publishes the files; their training data sets have terms, too."""


@dataclass(frozen=True)
class Named:
    """Weights that an option may name."""

    option: str
    """How they are asked for, such as ``--localiser detector:yolox_nano``."""
    licence: str
    size: float
    """In bytes, about; 0: not known."""
    file: Published | Path | str
    """What is fetched, or where it is shipped, or in words where else it comes from."""

    @property
    def source(self) -> str:
        """The address that it is fetched from, or words."""
        if isinstance(self.file, Published):
            return self.file.address
        return "shipped with vadistill" if isinstance(self.file, Path) else self.file

    @property
    def sha256(self) -> str:
        """As far as it is known beforehand, in hexadecimal."""
        if isinstance(self.file, Path):
            return hashlib.sha256(self.file.read_bytes()).hexdigest()
        return self.file.sha256 if isinstance(self.file, Published) else ""

    @property
    def is_here(self) -> bool:
        """Whether nothing need be fetched; of what other libraries keep that is not known."""
        if isinstance(self.file, Published):
            return self.file.is_cached()
        return isinstance(self.file, Path)


def named_weights() -> dict[str, Named]:
    """All of them by the name that ``fetch`` takes."""
    found = {
        name: Named(f"--localiser, --backbones detector:{name}", YOLOX, file.size, file)
        for name, file in PUBLISHED.items()
    }
    for name in ("fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large"):
        found[name] = _torchvision(name, f"--localiser detector:{name}")
    shipped = Path(str(resources.files("vadistill.backbones") / "weights" / "compact.safetensors"))
    size = shipped.stat().st_size
    found["compact"] = Named("--teacher compact, --backbones compact", "Apache-2.0", size, shipped)
    found["imagenet"] = _torchvision("resnet34", "--teacher imagenet")
    found["s3d"] = _torchvision("s3d", "--backbones s3d")
    for name in ("raft_small", "raft_large"):
        found[name] = _torchvision(name, f"--flow {name}")
    from vadistill.backbones.clip import CLIP_HOME

    found["clip"] = Named("--backbones clip", "MIT", 0, f"open_clip fetches {CLIP_HOME}")
    by_hand = "its authors' port: rgb_imagenet.pt, by hand"
    found["i3d"] = Named("--backbones i3d:FILE", "Apache-2.0", 0, by_hand)
    return found


def _torchvision(model: str, option: str) -> Named:
    """The default weights of a model of torchvision's; raises ConfigError."""
    from vadistill.torchvision_cpu import import_torchvision, published

    models: Any = import_torchvision().models
    entry = models.get_model_weights(model).DEFAULT
    return Named(option, TORCHVISION, 1e6 * entry.meta["_file_size"], published(entry))


def fetch(name: str, tell: Callable[[str], None]) -> None:
    """Have named weights on this machine; ``tell`` gets a line with their place and hash.

    Raises ConfigError for an unknown name, WeightsError where they cannot be fetched.
    """
    known = named_weights()
    weights = known[one_of("weights", name, known, fix="see 'vadistill weights'")]
    if isinstance(weights.file, str):
        raise WeightsError(
            f"the weights of {name} are not fetched by vadistill",
            expected="a name with an address",
            fix=f"as {weights.option} asks for them ({weights.file})",
        )
    path = weights.file
    if isinstance(path, Published):
        path = fetched(path, what=name, instead="name a file of your own")
    with path.open("rb") as file:
        tell(f"{name}: {path}, SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}")
