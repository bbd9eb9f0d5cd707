"""Labelled 32x32 images for the teacher's pre-training: CIFAR as published, .npz, or a folder."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Int, UInt8

from vadistill.backbones.teachers import PATCH
from vadistill.errors import DataError, VideoError, in_a_line
from vadistill.video import decode_picture, read_picture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Images:
    """Labelled 32x32 RGB images: ``train`` and ``test`` pixels and class numbers."""

    name: str
    classes: tuple[str, ...]
    train: UInt8[np.ndarray, "n 32 32 3"]
    train_labels: Int[np.ndarray, " n"]
    test: UInt8[np.ndarray, "m 32 32 3"]
    test_labels: Int[np.ndarray, " m"]

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel of the training images, in [0, 1]."""
        mean = self.train.mean((0, 1, 2), dtype=np.float64) / 255
        std = self.train.std((0, 1, 2), dtype=np.float64) / 255
        return tuple(mean.tolist()), tuple(std.tolist())


def open_images(path: Path) -> Images:
    """Labelled images for pre-training; raises DataError.

    Recognised: ``train.npz`` and ``test.npz`` (``jpeg``, ``offset``, ``label``, ``classes``), the
    python version of CIFAR-100 or CIFAR-10, and a folder with one sub-folder of pictures a class.
    """
    if (path / "train.npz").is_file() and (path / "test.npz").is_file():
        return _open_npz(path)
    if (path / "train").is_file() and (path / "meta").is_file():
        return _open_cifar(path, ["train"], "test", b"fine_labels", path / "meta")
    if (path / "data_batch_1").is_file():
        batches = [f"data_batch_{i}" for i in range(1, 6)]
        return _open_cifar(path, batches, "test_batch", b"labels", path / "batches.meta")
    if path.is_dir() and any(p.is_dir() for p in path.iterdir()):
        return _open_image_folder(path)
    raise DataError(
        f"no labelled images at {path}",
        expected="CIFAR-100 or CIFAR-10 (python version or .npz), or one sub-folder a class",
        fix="check the path",
    )


def _open_npz(path: Path) -> Images:
    def read(split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
        with np.load(path / f"{split}.npz", allow_pickle=False) as data:
            stream, offset = data["jpeg"], data["offset"]
            files = [stream[a:b] for a, b in pairwise(offset)]
            if len(files) == len(data["label"]) - 1:
                files.append(stream[offset[-1] :])
            images = np.stack([decode_picture(file) for file in files])
            return images, data["label"].astype(np.int64), [str(c) for c in data["classes"]]

    try:
        train, train_labels, classes = read("train")
        test, test_labels, _ = read("test")
    except (OSError, KeyError, ValueError, IndexError, BadZipFile) as error:
        raise DataError(
            f"the .npz files in {path} cannot be read ({in_a_line(error)})",
            expected="JPEG files joined in jpeg, where each begins in offset, label, and classes",
            fix="make them again",
        ) from error
    return Images(path.name, tuple(classes), train, train_labels, test, test_labels)


class _PlainUnpickler(pickle.Unpickler):
    """CIFAR's own files are pickles; only the numpy arrays and containers they hold are let in."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module_name: str, global_name: str) -> object:
        if (module_name, global_name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")
        return super().find_class(module_name, global_name)


def _open_cifar(path: Path, train: list[str], test: str, key: bytes, meta: Path) -> Images:
    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        try:
            with (path / name).open("rb") as file:
                batch = _PlainUnpickler(file, encoding="bytes").load()
            pixels = batch[b"data"].reshape(-1, 3, PATCH, PATCH).transpose(0, 2, 3, 1)
            return np.ascontiguousarray(pixels), np.asarray(batch[key], np.int64)
        except (OSError, EOFError, KeyError, pickle.UnpicklingError, ValueError) as error:
            raise DataError(
                f"{path / name} cannot be read ({error})",
                expected="the python version of CIFAR",
                fix="unpack the archive again",
            ) from error

    parts = [read(name) for name in train]
    pixels, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    test_pixels, test_labels = read(test)
    classes = tuple(str(i) for i in range(int(labels.max()) + 1))
    return Images(path.name, classes, pixels, labels, test_pixels, test_labels)


def _open_image_folder(path: Path) -> Images:
    import cv2

    classes = sorted(p.name for p in path.iterdir() if p.is_dir())
    images: list[np.ndarray] = []
    unread: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for file in sorted((path / name).iterdir()):
            try:
                image = read_picture(file)
            except VideoError as error:
                unread.append(error.got)
                continue
            resized = cv2.resize(image, (PATCH, PATCH), interpolation=cv2.INTER_AREA)
            images.append(resized)
            labels.append(label)
    if len(set(labels)) < 2 or len(images) < 20:
        raise DataError(
            f"{path} has {len(images)} readable pictures in {len(set(labels))} classes",
            expected="at least 20 pictures in at least 2 sub-folders",
            fix="put one sub-folder of jpg or png files a class there",
        )
    if unread:
        log.warning("%d files of %s are left out: %s", len(unread), path, unread[0])
    order = np.random.default_rng(0).permutation(len(images))
    cut = max(1, len(images) // 10)
    pixels, numbers = np.stack(images)[order], np.asarray(labels, np.int64)[order]
    return Images(
        path.name, tuple(classes), pixels[cut:], numbers[cut:], pixels[:cut], numbers[:cut]
    )
