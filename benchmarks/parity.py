"""How alike exported models score: each system in each runtime, in fp32 and in 8 bits.

    python benchmarks/parity.py --data UCSDped2 --work FOLDER [--models aed.vad …]
        [--systems cafe aed …] [--videos 0] [--speed] [--smoke] [--out results.json]

``--models`` were fitted on the normal videos of ``--data``; of a system of which there is none a
small one is fitted (``FITS``), enough to learn something, not to reach its figures.  ``dakd``
learns from labelled videos' features: its own are simulated.  Notes say how a model's settings
differ from its system's defaults.

Each is exported with ``export``, 8-bit ranges measured on training footage, and scores all frames
of the test part (of its first ``--videos``), as does the model in PyTorch in fp32, beside which it
stands: the largest difference of two scores of a frame, as a share of the scores' range; Spearman's
rank correlation; micro AUC of raw scores; megabytes of the bare network.  ``--speed`` adds frames a
second from the file to scores, for which nothing else should run.  Nothing is chosen by any of it.

Fits, exports and scores lie in ``--work``; a run that ended early goes on there.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rows import Rows

import vadistill
from vadistill.datasets import Splits, open_dataset
from vadistill.evaluation.exporting import Parity, export, parity, scores_of
from vadistill.evaluation.runs import run_facts
from vadistill.evaluation.speed import measure_speed, opened
from vadistill.files import content_hash, replacing
from vadistill.reproduce.records import Record, of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.saved import read_config
from vadistill.simulated.features import SimulatedConfig, simulate_features

FITS: dict[str, dict[str, Any]] = {
    "cafe": {"localiser": "background", "frames": 320, "epochs": 6, "consistency_after": 4},
    "aed": {"localiser": "background", "frames": 160, "epochs": 3, "classifier_epochs": 2},
    "ssmtl": {"localiser": "background", "frames": 96, "epochs": 2},
    "fast_aed": {"teachers": ("motion",), "frames": 320, "epochs": 20},
    "dakd": {"teacher": ("i3d", "s3d", "clip"), "student": "clip", "epochs": 10, "folds": 0},
}
"""Settings of the small fits, beside the defaults."""

SMOKE: dict[str, dict[str, Any]] = {
    "cafe": {"localiser": "motion", "frames": 12, "epochs": 1, "consistency_after": 1},
    "dakd": FITS["dakd"] | {"epochs": 1},
}

SHOWN = 64
"""Frames on which an export itself looks at parity, and on whose like ranges are measured."""

VIDEOS = 190
"""With simulated features, the fewest."""

FORMS: dict[str, tuple[Literal["torch", "onnx", "openvino"], bool]] = {
    "torch": ("torch", False),
    "onnx": ("onnx", False),
    "onnx int8": ("onnx", True),
    "openvino": ("openvino", False),
    "openvino int8": ("openvino", True),
}
"""By name, what runs the network, and whether in 8 bits; each stands beside the first."""


@dataclass(frozen=True)
class Made:
    """A model in one form, and what it says of the test part."""

    folder: Path
    scores: list[np.ndarray]
    """Raw, of each video in order."""
    megabytes: float
    """Of the bare network."""


def forms(system: str) -> list[str]:
    """Those that this system has here: ``dakd`` has no convolutions, so no 8-bit form."""
    present = importlib.util.find_spec("openvino") is not None
    return [
        name
        for name, (to, int8) in FORMS.items()
        if (present or to != "openvino") and not (int8 and system == "dakd")
    ]


def made_in(work: Path, name: str, fitted: Path, splits: Splits, frames: int) -> Made:
    """A model exported to a form (or loaded, for torch), with its scores; kept in ``work``."""
    to, int8 = FORMS[name]
    kept = work / f"{name.replace(' ', '-')}.npz"
    folder = fitted if to == "torch" else kept.with_suffix(".vad")
    if to != "torch" and not (folder / "graph.json").is_file():
        export(fitted, folder, splits, to=to, int8=int8, frames=SHOWN, force=True)
    model = opened(folder, "torch" if to == "torch" else "", "cpu")
    if not kept.is_file():
        scores = list(scores_of(model, splits.test, frames))
        with replacing(kept, suffix=".npz") as temporary:
            np.savez(temporary, *scores)
    with np.load(kept) as arrays:
        scores = [arrays[key] for key in arrays.files]
    size = sum(path.stat().st_size for path in folder.glob("network.*"))
    if to == "torch":
        state = model.program(()).module.state_dict().values()
        size = sum(tensor.numel() * tensor.element_size() for tensor in state)
    return Made(folder, scores, size / 1e6)


def rows_of(
    like: Parity, made: Made, splits: Splits, *, name: str, speed: bool, **facts: Any
) -> Iterator[Record]:
    """The records of one form."""
    facts |= {"variant": name, "dataset": splits.test.name}
    if name != "torch":
        yield of_measurement("largest_share", like.share, **facts)
        if math.isfinite(like.rank):
            yield of_measurement("rank_correlation", like.rank, **facts)
    if like.auc is not None:
        yield replace(of_measurement("auc", like.auc[1], **facts), protocol="micro/raw")
    yield of_measurement("megabytes", round(made.megabytes, 3), **facts)
    source = splits.test.videos[0].source
    if speed and isinstance(source, Path):
        runtimes = ("torch",) if name == "torch" else ()
        for row in measure_speed(made.folder, source, runtimes=runtimes, frames=150, cores=1):
            yield of_measurement("fps", round(row.whole, 2), **facts)


def told(config: Any) -> str:
    """The settings that differ from the system's defaults."""
    usual, own = type(config)(), []
    for field in fields(config):
        value = getattr(config, field.name)
        if value != getattr(usual, field.name):
            shown = [Path(v).name for v in value] if field.name == "teachers" else value
            own.append(f"{field.name} {shown}")
    return ", ".join(own) or "defaults"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", nargs="+", type=Path, default=[])
    parser.add_argument("--systems", nargs="+", choices=FITS, default=list(FITS))
    parser.add_argument("--videos", type=int, default=0, help="test videos; 0 takes all")
    parser.add_argument("--speed", action="store_true", help="frames a second, on a quiet machine")
    parser.add_argument("--smoke", action="store_true", help="tiny fits of two, 24 frames")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    fits = SMOKE if asked.smoke else FITS
    given = {read_config(folder)["system"]: folder for folder in asked.models}
    videos = open_dataset(asked.data)
    command = f"python benchmarks/parity.py --data {asked.data.name} --work {asked.work.name}"
    if asked.models:
        command += f" --models {' '.join(folder.name for folder in asked.models)}"
    if asked.systems != list(FITS):
        command += f" --systems {' '.join(asked.systems)}"
    command += f" --videos {asked.videos}" + " --speed" * asked.speed
    facts = run_facts(device="cpu", command=command)
    rows = Rows(asked.out)
    for system in (system for system in asked.systems if system in fits):
        work, splits = asked.work / system, videos
        if system == "dakd":
            config = SimulatedConfig(videos=VIDEOS, longest=40)
            splits = simulate_features(asked.work / "features", config)
        elif asked.videos:
            few = replace(videos.test, videos=videos.test.videos[: asked.videos])
            splits = replace(videos, test=few)
        fitted = given.get(system, work / "fitted.vad")
        if system not in given:
            vadistill.fit(system, splits.train, out=fitted, device="cpu", **fits[system])
        # Exports and scores are of this model and of these frames.
        work /= content_hash(fitted / "config.json", str(asked.data), str(asked.videos))
        settings = told(vadistill.load(fitted, device="cpu").config)
        # As many of each video as the longest has.
        lengths = [len(v.frame_labels) for v in splits.test if v.frame_labels is not None]
        frames = len(splits.test) * max(lengths)
        plain = None
        for name in forms(system):
            start = time.perf_counter()
            made = made_in(work, name, fitted, splits, frames)
            plain = plain or made
            like = parity(splits.test, plain.scores, made.scores)
            common = {
                "system": system,
                "seeds": (0,),
                "seconds": round(time.perf_counter() - start, 1),
                "note": f"{like.frames} frames; {settings}",
                "facts": facts,
            }
            rows.add(rows_of(like, made, splits, name=name, speed=asked.speed, **common))
    print(markdown_table(rows, "wide"))


if __name__ == "__main__":
    main()
