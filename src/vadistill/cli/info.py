"""``vadistill info``: versions and devices, or the facts of a model or a video."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from vadistill import __version__
from vadistill.addresses import Address
from vadistill.cli.info_model import model
from vadistill.cli.terminal import console, parse, plain, table
from vadistill.errors import DataError, VideoError
from vadistill.progress import clock

EXAMPLES = """
vadistill info
vadistill info entrance.vad
vadistill info entrance.vad --all
vadistill info today.mp4
"""

LIBRARIES = ("torch", "torchvision", "numpy", "av", "opencv-python-headless", "onnxruntime")


def run(argv: list[str]) -> None:
    parse(info, argv, prog="vadistill info", examples=EXAMPLES)


def info(
    path: Annotated[Positional[str | None], arg(metavar="[MODEL|VIDEO]")] = None,
    all: bool = False,
) -> None:
    """Say which versions, devices, systems and recipes there are, or what a model or video is.

    Args:
        path: A fitted model's folder, or a video file, folder of frames or camera's address.
        all: Of a model, all that its config.json tells, not only settings that were changed.
    """
    facts = table("", "")
    facts.show_header = False
    if path is None:
        rows = machine()
    elif (Path(path) / "config.json").is_file():
        rows = model(Path(path), everything=all)
    elif Path(path).exists() or not Address(path).is_path:
        rows = video(path)
    else:
        raise DataError(
            f"nothing at {path}", expected="a model's folder or a video", fix="check the path"
        )
    for name, value in rows.items():
        facts.add_row(plain(name), plain(value))
    console().print(facts)


def machine() -> dict[str, Any]:
    """Versions, devices, and the systems with their recipes."""
    import torch

    from vadistill.config import describe_recipe
    from vadistill.devices import has_fast_bf16, pick_device
    from vadistill.systems import DETECTORS, detector_class

    device = pick_device("auto")
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else "none"
    rows: dict[str, Any] = {
        "vadistill": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
        "device": device.type,
        "GPU": gpu,
        "CPU threads": f"{torch.get_num_threads()} of {os.cpu_count()}",
        "fast bf16": "yes" if has_fast_bf16(device) else "no",
    }
    for name in DETECTORS:
        system = detector_class(name)
        rows[f"system {name}"] = f"{system.supervision}; recipes:"
        for recipe, made in system.RECIPES.items():
            rows[f"  {name} {recipe}"] = describe_recipe(made)
    return rows


def video(path: str) -> dict[str, Any]:
    """What is known of a video before it is decoded; raises VideoError."""
    from vadistill.video import FileSource, open_video

    source = open_video(path)
    found = source.info
    frames = "unknown" if found.frames is None else f"{found.frames:,}"
    if isinstance(source, FileSource) and found.frames:
        frames += " by its header"
    rows: dict[str, Any] = {
        "video": found.name,
        "size": f"{found.width} x {found.height} pixels",
        "frames per second": f"{found.fps:.3f}".rstrip("0").rstrip("."),
        "frames": frames,
    }
    if found.frames and found.fps > 0:
        rows["length"] = clock(found.frames / found.fps)
    if isinstance(source, FileSource) and source.is_short():
        try:
            source.count()
        except VideoError as error:
            rows["problem"] = error.got
    return rows
