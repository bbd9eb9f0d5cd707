"""Small feature files for tests, and what clips made of them hold."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from scipy.io import savemat

from vadistill.datasets.base import Video
from vadistill.datasets.snippets import FeatureSource


def rows(clips: int, width: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(clips, width)).astype(np.float32)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, features=array)
    elif path.suffix in (".pt", ".pth"):
        torch.save(torch.from_numpy(array.copy()), path)
    elif path.suffix in (".h5", ".hdf5"):
        with h5py.File(path, "w") as file:
            file.create_dataset("group/features", data=array, compression="gzip")
            file["fps"] = 25.0
    elif path.suffix == ".mat":
        savemat(path, {"features": array, "fps": 25.0, "name": "video"})
    else:
        np.savetxt(path, array, fmt="%.8e")
    return path


def features(clip: Video, backbone: str = "i3d") -> np.ndarray:
    assert isinstance(clip.source, FeatureSource)
    return clip.source.features(backbone)


def labels(clip: Video) -> list[int]:
    assert clip.frame_labels is not None
    return clip.frame_labels.tolist()
