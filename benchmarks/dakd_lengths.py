"""What a weakly supervised figure owes to videos' lengths, and what a moment's score depends on.

    python benchmarks/dakd_lengths.py --data shanghaitech_tracks --models runs/single-* \\
        --label single [--out results.json]

``--models`` are folders of fitted DAKD models that differ by their seed, such as ``vadistill
reproduce`` leaves in ``runs``; their training videos are not needed.  On a test set of features:

length alone               each frame's score is how short its video is: no network
…, normal videos cut       of every normal video a random stretch as long as a random abnormal one
…, own features averaged   the skip brings each segment what it brings the video on average
…, equal weights           the attention is a mean over time

The last two, inside abnormal videos, are for networks with attention and a skip connection.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rows import Rows
from torch import Tensor

from vadistill.datasets import Dataset, Video, open_dataset
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.evaluation.measuring import measure_scores
from vadistill.evaluation.runs import run_facts
from vadistill.evaluation.scoring import score_videos
from vadistill.reproduce.records import of_figure, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import dakd, load
from vadistill.systems.dakd.model import Network
from vadistill.systems.dakd.ring import attention_of
from vadistill.systems.dakd.temporal import WithSkip

WHOLE, INSIDE = "micro/raw", "macro-skip/raw"


@dataclass(frozen=True)
class Part:
    """Some snippets of features, as a feature array."""

    rows: np.ndarray

    @property
    def identity(self) -> str:
        """What tells this content from another's."""
        return str(float(self.rows.sum()))

    def read(self) -> np.ndarray:
        """One row a snippet and a crop."""
        return self.rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--label", default="model")
    parser.add_argument("--smoke", action="store_true", help="a network of one epoch")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    command = shlex.join(["python", "benchmarks/dakd_lengths.py", *sys.argv[1:]])
    facts = run_facts(device="cpu", command=command)
    splits = open_dataset(asked.data)
    models: list[dakd.Dakd] = []
    if asked.smoke:
        name = next(iter(source_of(splits.train.videos[0]).arrays))
        config = dakd.Config(teacher=(name,), student=name, scorer="teacher", epochs=1, folds=0)
        models = [dakd.Dakd(config, device="cpu").fit(splits.train, out=Path("smoke.vad"))]
    for folder in asked.models:
        model = load(folder, device="cpu")
        assert isinstance(model, dakd.Dakd), f"{folder} is no DAKD"
        models.append(model)
    rows = Rows(asked.out)
    for seed in [model.config.seed for model in models] or [0]:
        test = splits.test
        for ending, seen in (("", test), (", normal videos cut", cut(test, seed))):
            shortness = {v.name: np.full(frames(v), -source_of(v).snippets) for v in seen}
            made = figures(seen, shortness, (WHOLE,))
            rows.add(
                of_figure(
                    figure,
                    system="dakd",
                    variant=f"length alone{ending}",
                    dataset=test.name,
                    seed=seed,
                    seconds=0.0,
                    facts=facts,
                    note="no network",
                )
                for figure in made
            )
    for model in models:
        seed = model.config.seed
        trials = [
            ("", model, splits.test, (WHOLE, INSIDE)),
            (", normal videos cut", model, cut(splits.test, seed), (WHOLE,)),
            *(
                (f", {ending}", other, splits.test, (INSIDE,))
                for ending, other in changed(model).items()
            ),
        ]
        for ending, scorer, test, protocols in trials:
            start = time.monotonic()
            scores = score_videos(scorer, list(test), asked.label).scores
            rows.add(
                of_figure(
                    figure,
                    system="dakd",
                    variant=f"{asked.label}{ending}",
                    dataset=test.name,
                    seed=seed,
                    seconds=round(time.monotonic() - start, 1),
                    facts=facts,
                )
                for figure in figures(test, scores, protocols)
            )
    print(markdown_table(over_seeds(rows), "wide"))


def source_of(video: Video) -> FeatureSource:
    """The features that a video is."""
    assert isinstance(video.source, FeatureSource), f"{video.name} is no features"
    return video.source


def frames(video: Video) -> int:
    """How many of them a labelled video has."""
    assert video.frame_labels is not None, f"{video.name} has no labels"
    return len(video.frame_labels)


def figures(test: Dataset, scores: Mapping[str, object], protocols: Sequence[str]) -> list:
    """Without intervals, since the spread over seeds is what is asked for."""
    return list(measure_scores(test, scores, protocols, bootstrap=0).figures)


def cut(test: Dataset, seed: int) -> Dataset:
    """Of normal videos a stretch of whole snippets, as long as an abnormal video drawn at random.

    Those that are shorter stay as they are.
    """
    rng = np.random.default_rng(seed)
    lengths = [source_of(video).snippets for video in test if video.video_label]
    videos = []
    for video in test:
        source = source_of(video)
        count = min(source.snippets, int(rng.choice(lengths)))
        first = int(rng.integers(source.snippets - count + 1))
        if video.video_label or count == source.snippets:
            videos.append(video)
            continue
        assert video.frame_labels is not None
        names = source.arrays
        arrays = {name: Part(source.crops(name)[first : first + count]) for name in names}
        labels = video.frame_labels[SNIPPET * first : SNIPPET * (first + count)]
        part = FeatureSource(video.name, arrays, snippets=count, frames=len(labels))
        videos.append(replace(video, source=part, frame_labels=labels))
    return replace(test, videos=tuple(videos))


def changed(model: dakd.Dakd) -> dict[str, dakd.Dakd]:
    """The model with a part of its attention put out of order, by what was done."""
    network = model.network
    if not (isinstance(network, Network) and isinstance(network.temporal, WithSkip)):
        return {}
    averaged, equal = deepcopy(network), deepcopy(network)
    assert isinstance(averaged.temporal, WithSkip)
    alone = averaged.temporal.alone

    def mean(sequences: Tensor) -> Tensor:
        brought = alone(sequences)
        return brought.mean(1, keepdim=True).expand_as(brought)

    averaged.temporal.alone = mean  # pyright: ignore[reportAttributeAccessIssue]
    made = {"own features averaged": averaged}
    attention = attention_of(equal)
    if attention is not None:
        weights = attention.weights
        attention.weights = lambda *given: torch.ones_like(weights(*given)).softmax(-1)  # pyright: ignore[reportAttributeAccessIssue]
        made["equal weights"] = equal
    return {ending: of(model, network) for ending, network in made.items()}


def of(model: dakd.Dakd, network: Network) -> dakd.Dakd:
    """A fitted model with another network."""
    other = dakd.Dakd(model.config, device="cpu")
    other.network, other.widths, other.fingerprints = network, model.widths, model.fingerprints
    other.calibration = model.calibration
    other.open_runtime()
    return other


if __name__ == "__main__":
    main()
