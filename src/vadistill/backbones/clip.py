"""CLIP: its image encoder as a backbone, and what its text encoder makes of words.

Radford et al. 2021, "Learning transferable visual models from natural language supervision".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vadistill.backbones.base import SAMPLED, NetworkBackbone, View, evenly
from vadistill.backbones.pretrained import optional
from vadistill.backbones.weights import (
    RANDOM,
    downloading,
    drawn,
    load_weights,
    quiet,
    read_state,
)
from vadistill.errors import WeightsError, in_a_line
from vadistill.files import content_hash

if TYPE_CHECKING:
    from vadistill.devices import Device

CLIP_MODEL = "ViT-B-16-quickgelu"
"""open_clip's name of the architecture that OpenAI's weights fit, with their activation."""

CLIP_HOME = "open_clip_model.safetensors from huggingface.co/timm/vit_base_patch16_clip_224.openai"

IN_FOLDER = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Weights in a folder as Hugging Face's hub has them, beside open_clip_config.json."""

TEMPLATES = ("{}", "a photo of {}", "a surveillance video of {}")
"""What words are put into before they are encoded; their rows are averaged (Sec. 3.1.4)."""


@dataclass(frozen=True)
class Clip:
    """All of CLIP; ``network`` is open_clip's."""

    network: Any
    model: str
    """As open_clip calls it."""
    has_texts: bool
    """False of a file with the image encoder alone."""
    architecture: str = ""
    """What tells it from others wherever it lies, where ``model`` is a place."""

    def pictures(self, name: str, *, device: Device, crops: int = 1) -> NetworkBackbone:
        """The image encoder with its projection, before normalisation, as a backbone."""
        visual, facts = self.network.visual, self.network.visual.preprocess_cfg
        size = facts["size"]
        size = (size, size) if isinstance(size, int) else tuple(size)
        return NetworkBackbone(
            name,
            visual,
            View(tuple(evenly(SAMPLED).tolist()), size, min(size), crops, "cubic"),
            architecture=f"open_clip {self.architecture or self.model}",
            over="frames",
            dim=visual.output_dim,
            mean=facts["mean"],
            std=facts["std"],
            device=device,
        )

    @torch.inference_mode()
    def texts(self, words: Sequence[str]) -> Float[Tensor, "t d"]:
        """A row of unit length for each text: the mean over ``TEMPLATES``."""
        tokenize = optional("open_clip", "clip").get_tokenizer(self.model)
        network = self.network.eval()
        rows = [
            network.encode_text(tokenize([t.format(each) for t in TEMPLATES]), normalize=True)
            for each in words
        ]
        return F.normalize(torch.stack(rows).float().mean(1), dim=-1)

    @property
    def scale(self) -> float:
        """What cosines are multiplied by before a softmax over texts, 100 for OpenAI's weights."""
        return float(self.network.logit_scale.detach().exp())


def load_clip(rest: str | None) -> Clip:
    """CLIP by what stands behind ``clip:``: a file, a folder, ``random``, or None for a download.

    A file may hold all of the ViT-B/16 as open_clip saves it, or its image encoder alone; a folder
    is of any model, as Hugging Face's hub has it: open_clip_config.json and weights.  Raises
    ConfigError without the extra, WeightsError.
    """
    library = optional("open_clip", "clip")

    def build(weights: str | None = None) -> Any:
        return library.create_model(CLIP_MODEL, pretrained=weights)

    if rest is None:
        with downloading("clip", address=CLIP_HOME, local="clip:FILE"):
            return Clip(build("openai"), CLIP_MODEL, has_texts=True)
    if Path(rest).is_dir():
        return _in_folder(library, Path(rest))
    network = drawn(build)
    if rest == RANDOM:
        return Clip(network, CLIP_MODEL, has_texts=True)
    state = read_state(Path(rest))
    if "token_embedding.weight" in state:
        load_weights(network, state, Path(rest), of=f"CLIP's {CLIP_MODEL}")
        return Clip(network, CLIP_MODEL, has_texts=True)
    visual = {k[7:]: v for k, v in state.items() if k.startswith("visual.")}
    of = f"CLIP's {CLIP_MODEL} image encoder"
    load_weights(network.visual, visual or state, Path(rest), of=of)
    return Clip(network, CLIP_MODEL, has_texts=False)


def _in_folder(library: Any, folder: Path) -> Clip:
    """The model that a folder's config names, with the folder's weights; raises WeightsError."""
    model = f"local-dir:{folder}"
    file = next((folder / name for name in IN_FOLDER if (folder / name).is_file()), None)
    try:
        if file is None:
            raise FileNotFoundError(f"no {' or '.join(IN_FOLDER)}")
        with quiet():
            network = library.create_model(
                model, load_weights=False, pretrained_image=False, pretrained_text=False
            )
    # open_clip has a dozen kinds of errors for a config that it cannot read.
    except Exception as error:
        raise WeightsError(
            f"{folder} holds no CLIP that can be read ({in_a_line(error)[:200]})",
            expected=f"open_clip_config.json and {IN_FOLDER[0]}, as on Hugging Face's hub",
            fix="download the model's folder again, or name a file of weights",
        ) from error
    load_weights(network, read_state(file), file, of=f"the CLIP of {folder}/open_clip_config.json")
    config = content_hash(folder / "open_clip_config.json")
    return Clip(network, model, has_texts=True, architecture=config)


def open_clip(name: str, rest: str | None, *, device: Device, crops: int) -> NetworkBackbone:
    """CLIP's image encoder; raises ConfigError without the extra, WeightsError."""
    return load_clip(rest).pictures(name, device=device, crops=crops)
