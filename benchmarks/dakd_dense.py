"""Should training see videos as dense scoring does?  DAKD on parts of its training videos left out.

    python benchmarks/dakd_dense.py --data shanghaitech_tracks --seeds 0 1 2 3 4 \\
        [--trainings means drawn windows cut cut+drawn] [--nets single] [--out results.json]

A training video is 32 segments, each the mean of its snippets, while dense scoring sees 32 snippets
that follow each other, and a short video as it is.  Of three folds of the training videos, each is
scored by a network that learnt from the other two, from

means      segments' means, as is
drawn      of each segment one snippet, drawn four times
windows    of videos above 32 snippets four windows of 32
cut        of normal videos four stretches, each as long as an abnormal video drawn at random
cut+drawn  both

and each video is scored

dense      as is
stretched  a video below 32 snippets as the 32 segments that training makes of it, a long one dense
segments   as the 32 segments of training

Frame labels of training videos are those of ``test_frame_mask``, which holds all abnormal videos of
the official weak split; nothing has learnt from them, and no test video is read.  Figures are of
snippets.  ``normal videos cut``: of those scored, too, a stretch as long as an abnormal one, so
that lengths tell nothing.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from rows import Rows
from sklearn.metrics import roc_auc_score

from vadistill.datasets import Dataset, open_dataset
from vadistill.datasets.snippets import (
    SEGMENTS,
    SNIPPET,
    FeatureSource,
    edges,
    segment_means,
    segment_of_snippets,
)
from vadistill.evaluation.runs import RunFacts, run_facts
from vadistill.reproduce.dakd import backbones_of
from vadistill.reproduce.records import Record, of_measurement, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import dakd
from vadistill.systems.dakd.data import Bags
from vadistill.systems.dakd.folds import folds_of
from vadistill.systems.dakd.losses import top_mean
from vadistill.systems.dakd.model import Baseline, Network
from vadistill.systems.dakd.training import fit_by_labels

TRAININGS = ("means", "drawn", "windows", "cut", "cut+drawn")
SCORINGS = ("dense", "stretched", "segments")
VIEWS = 4
"""Of a video, where it is not its segments' means."""

Stretch = tuple[int, int]
"""First snippet and end (exclusive)."""


@dataclass(frozen=True)
class Clip:
    """A training video: its features by backbone, and which snippets are abnormal."""

    rows: Mapping[str, np.ndarray]
    labels: np.ndarray
    abnormal: bool

    def __len__(self) -> int:
        return len(self.labels)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    parser.add_argument("--nets", nargs="+", choices=("single", "teacher"), default=["single"])
    parser.add_argument("--smoke", action="store_true", help="one seed, two trainings, one epoch")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    base = replace(dakd.default(), scorer="teacher", precision="fp32")
    if asked.smoke:
        asked.seeds, asked.trainings, base = [0], ["means", "cut+drawn"], replace(base, epochs=1)
    facts = run_facts(
        device="cpu", command=shlex.join(["python", "benchmarks/dakd_dense.py", *sys.argv[1:]])
    )
    splits = open_dataset(asked.data)
    names = backbones_of(splits)
    clips = clips_of(splits.train, asked.data / "test_frame_mask")
    nets = {f"single {names[0]}": names[:1], "teacher": names}
    rows = Rows(asked.out)
    for seed in asked.seeds:
        for training in asked.trainings:
            for net, seen in nets.items():
                if net.split()[0] in asked.nets:
                    config = replace(base, teacher=seen, student=seen[0], seed=seed)
                    start = time.monotonic()
                    found = held_out(clips, training, config)
                    seconds = round(time.monotonic() - start, 1)
                    rows.add(
                        record(
                            net, training, name, metric, value, splits.train, seed, seconds, facts
                        )
                        for name, measured in found.items()
                        for metric, value in measured.items()
                    )
    print(markdown_table(over_seeds(rows), "wide"))


def record(
    net: str,
    training: str,
    scored: str,
    protocol: str,
    value: float,
    train: Dataset,
    seed: int,
    seconds: float,
    facts: RunFacts,
) -> Record:
    """Of one figure over the training videos."""
    made = of_measurement(
        "auc",
        value,
        system="dakd",
        variant=f"{net}, {training}, {scored}",
        dataset=f"{train.name}_train",
        seeds=(seed,),
        seconds=seconds,
        note="training videos left out",
        facts=facts,
    )
    return replace(made, protocol=protocol)


def clips_of(train: Dataset, masks: Path) -> list[Clip]:
    """All training videos; a snippet is abnormal where half of its frames are."""
    clips = []
    for video in train:
        assert isinstance(video.source, FeatureSource)
        count = video.source.snippets
        rows = {name: video.source.features(name) for name in video.source.arrays}
        file = masks / f"{video.name}.npy"
        labels = np.zeros(count, bool)
        if video.video_label and file.exists():
            mask = np.load(file)
            mask = np.pad(mask, (0, max(0, SNIPPET * count - len(mask))), mode="edge")
            labels = mask[: SNIPPET * count].reshape(count, SNIPPET).mean(1) >= 0.5
        clips.append(Clip(rows, labels, bool(video.video_label)))
    return clips


def bags_of(clips: Sequence[Clip], chosen: np.ndarray, training: str, seed: int) -> Bags:
    """The chosen videos as a training sees them."""
    count = 1 if training == "means" else VIEWS
    lengths = [len(clip) for clip, one in zip(clips, chosen, strict=True) if one and clip.abnormal]
    arrays = {name: [] for name in clips[0].rows}
    for number, clip in enumerate(clips):
        for view in range(count):
            rng = np.random.default_rng([seed, number, view])
            first, end = 0, len(clip)
            if training.startswith("cut") and not clip.abnormal:
                first, end = stretch(end, lengths, rng)
            if training == "windows" and end > SEGMENTS:
                first = round(view * (end - SEGMENTS) / (count - 1))
                end = first + SEGMENTS
            places = drawn(end - first, rng) if training.endswith("drawn") else None
            for name, rows in clip.rows.items():
                part = rows[first:end]
                arrays[name].append(segment_means(part) if places is None else part[places])
    labels = np.array([clip.abnormal for clip in clips])
    stacked = {
        name: np.stack(rows).reshape(len(clips), count, SEGMENTS, -1)
        for name, rows in arrays.items()
    }
    return Bags(stacked, labels, normalise=False).part(chosen)


def stretch(length: int, lengths: Sequence[int], rng: np.random.Generator) -> Stretch:
    """As long as one of ``lengths``, or all where that is shorter."""
    count = min(length, int(rng.choice(lengths)))
    first = int(rng.integers(length - count + 1))
    return first, first + count


def drawn(length: int, rng: np.random.Generator) -> np.ndarray:
    """One snippet of each segment."""
    edge = edges(length)
    sizes = np.maximum(np.diff(edge), 1)
    return np.minimum(edge[:-1] + (rng.random(SEGMENTS) * sizes).astype(int), length - 1)


def held_out(
    clips: Sequence[Clip], training: str, config: dakd.Config
) -> dict[str, dict[str, float]]:
    """Figures over all videos, each scored by the network that has not learnt from it."""
    labels = np.array([clip.abnormal for clip in clips])
    folds = folds_of(labels, 3, config.seed)
    rng = np.random.default_rng(1000 + config.seed)
    lengths = [len(clip) for clip in clips if clip.abnormal]
    whole = [(0, len(clip)) for clip in clips]
    pieces = [
        w if c.abnormal else stretch(len(c), lengths, rng)
        for c, w in zip(clips, whole, strict=True)
    ]
    seen = {"": whole, ", normal videos cut": pieces}
    scores = {(s, ending): [np.zeros(0)] * len(clips) for s in SCORINGS for ending in seen}
    for fold in range(int(folds.max()) + 1):
        bags = bags_of(clips, folds != fold, training, config.seed)
        with tempfile.TemporaryDirectory() as work:
            network = fit_by_labels(
                config.teacher, bags, config, torch.device("cpu"), Path(work), "fold"
            )
        for number in np.flatnonzero(folds == fold).tolist():
            for (scoring, ending), found in scores.items():
                first, end = seen[ending][number]
                arrays = [clips[number].rows[name][first:end] for name in config.teacher]
                found[number] = score(network, arrays, scoring)
    made: dict[str, dict[str, float]] = {scoring: {} for scoring in SCORINGS}
    for (scoring, ending), found in scores.items():
        truth = [c.labels[a:b] for c, (a, b) in zip(clips, seen[ending], strict=True)]
        measured = figures(found, truth, labels)
        if ending:
            measured.pop("macro-skip/raw", None)  # abnormal videos are as they were
        made[scoring] |= {f"{protocol}{ending}": value for protocol, value in measured.items()}
    return made


def figures(
    scores: Sequence[np.ndarray], truth: Sequence[np.ndarray], labels: np.ndarray
) -> dict[str, float]:
    """Micro AUC and that inside videos; where no snippet is labelled, AUC over videos."""
    every = np.concatenate(truth)
    if not every.any():
        tops = [float(top_mean(torch.from_numpy(each)[None])) for each in scores]
        return {"video/raw": float(roc_auc_score(labels, tops))}
    inside = [
        roc_auc_score(one, each)
        for one, each in zip(truth, scores, strict=True)
        if 0 < one.sum() < len(one)
    ]
    return {
        "micro/raw": float(roc_auc_score(every, np.concatenate(scores))),
        "macro-skip/raw": float(np.mean(inside)),
    }


def score(network: Network | Baseline, arrays: Sequence[np.ndarray], scoring: str) -> np.ndarray:
    """Of each snippet."""
    count = len(arrays[0])
    if scoring == "segments" or (scoring == "stretched" and count < SEGMENTS):
        scores = scores_of(network, [segment_means(array)[None] for array in arrays])[0]
        if count >= SEGMENTS:
            return scores[segment_of_snippets(count)]
        edge = edges(count)
        return np.array([scores[edge[:-1] == place].mean() for place in range(count)])
    if count <= SEGMENTS:
        return scores_of(network, [array[None] for array in arrays])[0]
    slid = [sliding_window_view(array, SEGMENTS, axis=0).transpose(0, 2, 1) for array in arrays]
    place = np.arange(count)
    start = np.clip(place - SEGMENTS // 2, 0, count - SEGMENTS)
    return scores_of(network, slid)[start, place - start]


@torch.no_grad()
def scores_of(network: Network | Baseline, windows: Sequence[np.ndarray]) -> np.ndarray:
    """Scores of the snippets of several windows."""
    return network([torch.from_numpy(np.ascontiguousarray(w)) for w in windows]).scores.numpy()


if __name__ == "__main__":
    main()
