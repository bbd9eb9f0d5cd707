"""A CLIP that open_clip builds from a config of a few thousand weights, taught two colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from vadistill.torchvision_cpu import import_torchvision

CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            **{"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
        },
        "text_cfg": {
            **{"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}

COLOURS = {"a fire": (200, 60, 30), "the sea": (30, 80, 200), "a lawn": (60, 170, 60)}
"""What the network is taught to see, as RGB."""


def tiny_clip(folder: Path) -> Path:
    """The model in a folder as Hugging Face's hub has it; the same one every time."""
    import_torchvision()
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    model = f"local-dir:{folder}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: Any = open_clip.create_model(model, load_weights=False)
        tokens = open_clip.get_tokenizer(model)(list(COLOURS))
        colours = torch.tensor(list(COLOURS.values()), dtype=torch.float32) / 127.5 - 1
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(40):
            pictures = colours[:, :, None, None] + 0.1 * torch.randn(3, 3, 32, 32)
            images = network.encode_image(pictures, normalize=True)
            texts = network.encode_text(tokens, normalize=True)
            loss = F.cross_entropy(20 * images @ texts.T, torch.arange(3))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            network.logit_scale.fill_(np.log(20))
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def coloured(*parts: tuple[str, int]) -> np.ndarray:
    """Frames (t, 48, 64, 3) of some colours, each for so many frames, with noise."""
    rng = np.random.default_rng(0)
    frames = np.concatenate(
        [np.tile(np.array(COLOURS[name], np.float32), (count, 48, 64, 1)) for name, count in parts]
    )
    return (frames + rng.normal(0, 8, frames.shape)).clip(0, 255).astype(np.uint8)
