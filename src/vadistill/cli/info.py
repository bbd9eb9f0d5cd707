"""``vadistill info``: versions and devices, or the facts of a model or a video."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from vadistill import __version__
from vadistill.addresses import Address
from vadistill.cli.terminal import console, parse, plain, table
from vadistill.errors import DataError, VadistillError, VideoError
from vadistill.progress import clock

EXAMPLES = """
vadistill info
vadistill info entrance.vad
vadistill info today.mp4
"""

LIBRARIES = ("torch", "torchvision", "numpy", "av", "opencv-python-headless", "onnxruntime")


def run(argv: list[str]) -> None:
    parse(info, argv, prog="vadistill info", examples=EXAMPLES)


def info(path: Annotated[Positional[str | None], arg(metavar="[MODEL|VIDEO]")] = None) -> None:
    """Say which versions, devices, systems and recipes there are, or what a model or video is.

    Args:
        path: A fitted model's folder, or a video file, folder of frames or camera's address.
    """
    facts = table("", "")
    facts.show_header = False
    if path is None:
        rows = machine()
    elif (Path(path) / "config.json").is_file():
        rows = model(Path(path))
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


def model(path: Path) -> dict[str, Any]:
    """What a fitted model's folder says of itself; raises WeightsError."""
    from vadistill.evaluation.choice import read_choice
    from vadistill.evaluation.selftest import read_self_test
    from vadistill.saved import read_config

    facts = read_config(path)
    size = sum(f.stat().st_size for f in path.iterdir() if f.is_file())
    rows: dict[str, Any] = {"model": path, "size": f"{size / 1e6:.1f} MB"}
    for name, value in flat("", facts):
        rows[name] = words(name, value)
    if rows.get("config.runtime") == "auto":
        rows["auto here"] = runtime_here(path)
    tested = read_self_test(path)
    if tested is not None:
        rows["self-test"] = tested.words
        for kind in tested.kinds:
            rows[f"  {kind.kind}"] = f"{kind.found} of {kind.plants}, AUC {100 * kind.auc:.1f}"
    chosen = read_choice(path)
    if chosen is not None:
        rows["chosen by auto"] = f"{chosen['kept']}: {chosen['reason']}"
        for each in chosen["candidates"]:
            auc, low, high = (100 * each[key] for key in ("auc", "auc_low", "auc_high"))
            speed = f"{each['frames_per_second']:.0f} frames/s"
            figures = f"AUC {auc:.1f} ({low:.1f} to {high:.1f}), {each['found']:.0%} found"
            rows[f"  {each['name']}"] = f"{figures}, {speed}"
    return rows


def runtime_here(path: Path) -> str:
    """What ``auto`` is of a model on this machine."""
    from vadistill.evaluation.speed import chosen
    from vadistill.systems import load

    try:
        return chosen(load(path))
    except VadistillError as error:
        return f"unknown: {error.got}"


def flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a fact holds, each by its name: ``config.smoothing``."""
    if not isinstance(value, dict) or not value:
        yield name, value
        return
    if name.rpartition(".")[2] == "localiser":
        from vadistill.objects.auto import in_words

        yield name, in_words(value)  # and its settings below
    for key, inner in value.items():
        yield from flat(f"{name}.{key}" if name else key, inner)


def words(name: str, value: Any) -> str:
    """A fact of a model for people: ``96x64`` for a size, a clock for seconds, no brackets."""
    if name.endswith("footage.sizes") and all(isinstance(size, list) for size in value):
        return ", ".join("x".join(map(str, size)) for size in value)
    if name.endswith("footage.seconds") and isinstance(value, float | int):
        return clock(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
