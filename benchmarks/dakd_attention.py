"""Does DAKD's attention attend?  Its weights against 1 / n, before and after training.

    python benchmarks/dakd_attention.py --data shanghaitech_tracks pets2009_i3d simulated \\
        [--recipes paper default] [--epochs N] [--smoke] [--work FOLDER] [--out results.json]

The teacher of each recipe is fitted to all the backbones of a data set of features (of videos:
those of the default), in fp32 and in bf16, and then shown its training videos as the 32 segments
that it learnt from; so is one that has learnt nothing.  Of the n weights that a segment has for the
others in a head (each row sums to 1):

    largest weight          n times the largest of a row, mean over rows: 1 where all are equal
    deviation of logits     within a row, of what softmax is given, mean over rows
    weights equal to 1/n    the share of weights that are 1 / n to the last bit, in per cent

``--epochs`` are those of the trained one instead of the recipe's.
"""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import Rows
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vadistill.backbones import open_backbone
from vadistill.backbones.extraction import features_of
from vadistill.backbones.store import FeatureStore
from vadistill.datasets import Dataset, open_dataset
from vadistill.datasets.snippets import segment_means
from vadistill.devices import Precision, autocast
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.dakd import backbones_of
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import dakd
from vadistill.systems.dakd.data import Bags, at_hand
from vadistill.systems.dakd.training import fit_teacher

CPU = torch.device("cpu")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
UNTRAINED = {"epochs": 1, "learning_rate": 0.0, "temporal_learning_rate": 0.0}
"""Settings that leave a network as it began."""


class Watched(TorchFunctionMode):
    """Keeps what every softmax inside is given, and what it gives, in fp64."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = func(*args, **(kwargs or {}))
        if func is torch.softmax:
            self.seen.append((args[0].double(), given.double()))
        return given


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--recipes", nargs="+", default=["paper", "default"])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--smoke", action="store_true", help="one epoch, 8 videos")
    parser.add_argument("--work", type=Path, default=Path("runs/dakd_attention"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    command = shlex.join(["python", "benchmarks/dakd_attention.py", *sys.argv[1:]])
    epochs = 1 if arguments.smoke else arguments.epochs
    facts = run_facts(device="cpu", command=command)
    rows = Rows(arguments.out)
    for data in arguments.data:
        splits = open_dataset(data)
        train = few(splits.train) if arguments.smoke else splits.train
        names = backbones_of(splits) or at_hand(train)
        bags = bags_of(train, names, FeatureStore(arguments.work / "features"))
        key = f"{data.name}-{len(bags)}"
        for recipe in arguments.recipes:
            for precision in PRECISIONS:
                base = replace(dakd.RECIPES[recipe](), teacher=names, precision=precision)
                learnt = {} if epochs is None else {"epochs": epochs}
                for when, settings in (("untrained", UNTRAINED), ("trained", learnt)):
                    config = replace(base, **settings)
                    start = time.monotonic()
                    network = fit_teacher(bags, config, CPU, arguments.work, key)
                    with torch.no_grad(), autocast(CPU, precision):
                        found = statistics(network, bags.batch(names, np.arange(len(bags)), CPU))
                    rows.add(
                        of_measurement(
                            metric,
                            value,
                            system="dakd",
                            variant=f"{recipe}, {precision}, {when}",
                            dataset=splits.train.name,
                            seeds=(config.seed,),
                            seconds=round(time.monotonic() - start, 1),
                            note=f"{config.epochs if when == 'trained' else 0} epochs",
                            facts=facts,
                        )
                        for metric, value in found.items()
                    )
    print(markdown_table(rows, "wide"))


def few(train: Dataset) -> Dataset:
    """Four videos of each class."""
    classes = [[v for v in train if bool(v.video_label) is each] for each in (True, False)]
    return replace(train, videos=tuple(video for each in classes for video in each[:4]))


def bags_of(train: Dataset, names: Sequence[str], store: FeatureStore) -> Bags:
    """All videos as the means of 32 segments, in memory, one view each."""
    opened = functools.cache(lambda name: open_backbone(name, device="cpu"))
    found = [features_of(video, names, store, opened) for video in train]
    arrays = {name: np.stack([segment_means(f[name])[None] for f in found]) for name in names}
    return Bags(arrays, np.array([bool(video.video_label) for video in train]), normalise=False)


def statistics(network: nn.Module, videos: Sequence[Tensor]) -> dict[str, float]:
    """What a network's attention does with videos, 32 of them at a time, by metric."""
    largest, deviation, equal = [], [], []
    for some in zip(*(backbone.split(32) for backbone in videos), strict=True):
        with Watched() as watched:
            network(list(some))
        for logits, weights in watched.seen:
            count = weights.shape[-1]
            largest.append(count * weights.amax(-1).flatten())
            deviation.append(logits.std(-1, correction=0).flatten())
            equal.append((weights == 1 / count).double().flatten())
    return {
        "largest_weight": float(torch.cat(largest).mean()),
        "logit_deviation": float(torch.cat(deviation).mean()),
        "equal_weights": float(torch.cat(equal).mean()),
    }


if __name__ == "__main__":
    main()
