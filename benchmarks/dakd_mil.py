"""What a network of one segment alone (``mil``) could be: other forms of its training.

    python benchmarks/dakd_mil.py --data shanghaitech_tracks --seeds 0 1 2 3 4 \\
        [--forms default ranking] [--out results.json]

default     as ``reproduce dakd`` trains ``mil``: the three highest segments, cross-entropy
ranking     Sultani et al.'s ranking loss
long        five times the epochs
slow        a fifth of the learning rate, five times the epochs
wide        four times the hidden units
free        no weight decay
drawn       of each segment one snippet in place of the mean, drawn four times
windows     of videos above 32 snippets four windows of 32
of five     the mean scores of five networks that began differently
smoothed    the scores of the default, averaged over five snippets
both        the mean scores of five, averaged over five snippets

Each is measured on three folds of the training videos, scored by a network that learnt from the
other two (``…_train``), and, learnt from all of them, on the test videos.  Scored ``dense``; frame
labels are those that ``dakd_dense`` reads, from which nothing has learnt.  Figures are of snippets;
false alarms are normal videos' snippets above 0.5.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from dakd_dense import Clip, bags_of, clips_of, figures, score
from rows import Rows
from scipy.ndimage import uniform_filter1d

from vadistill.datasets import open_dataset
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.dakd import backbones_of
from vadistill.reproduce.records import of_measurement, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import dakd
from vadistill.systems.dakd.folds import folds_of
from vadistill.systems.dakd.training import fit_teachers

CPU = torch.device("cpu")
FOLDS = 3
NEIGHBOURS = 5
"""Snippets that are averaged, as the pseudo-labels' segments are."""


@dataclass(frozen=True)
class Form:
    """One way to train and score ``mil``."""

    change: Callable[[dakd.Config], dakd.Config] = lambda config: config
    training: str = "means"
    smoothed: bool = False


FORMS: dict[str, Form] = {
    "default": Form(),
    "ranking": Form(lambda c: replace(c, label_loss="ranking")),
    "long": Form(lambda c: replace(c, epochs=5 * c.epochs)),
    "slow": Form(lambda c: replace(c, epochs=5 * c.epochs, learning_rate=c.learning_rate / 5)),
    "wide": Form(lambda c: replace(c, width=4 * c.width)),
    "free": Form(lambda c: replace(c, weight_decay=0.0)),
    "drawn": Form(training="drawn"),
    "windows": Form(training="windows"),
    "of five": Form(lambda c: replace(c, committee=5)),
    "smoothed": Form(smoothed=True),
    "both": Form(lambda c: replace(c, committee=5), smoothed=True),
}


def scores_of(
    form: Form, base: dakd.Config, known: Sequence[Clip], unknown: Sequence[Clip]
) -> list[np.ndarray]:
    """Scores of unknown videos' snippets, by what was learnt from the known ones."""
    config = form.change(base)
    bags = bags_of(known, np.ones(len(known), bool), form.training, config.seed)
    with tempfile.TemporaryDirectory() as work:
        networks = fit_teachers(bags, config, CPU, Path(work), "known")
    found = []
    for clip in unknown:
        arrays = [clip.rows[name] for name in config.teacher]
        mean = np.mean([score(network, arrays, "dense") for network in networks], axis=0)
        found.append(uniform_filter1d(mean, NEIGHBOURS, mode="nearest") if form.smoothed else mean)
    return found


def held_out(form: Form, base: dakd.Config, clips: Sequence[Clip]) -> list[np.ndarray]:
    """Scores of all training videos, each by a network that did not learn from it."""
    folds = folds_of(np.array([clip.abnormal for clip in clips]), FOLDS, base.seed)
    found = [np.zeros(0)] * len(clips)
    for fold in range(int(folds.max()) + 1):
        left = np.flatnonzero(folds == fold).tolist()
        known = [clip for clip, own in zip(clips, folds, strict=True) if own != fold]
        for number, scores in zip(
            left, scores_of(form, base, known, [clips[n] for n in left]), strict=True
        ):
            found[number] = scores
    return found


def measured(
    clips: Sequence[Clip], scores: Sequence[np.ndarray]
) -> Mapping[tuple[str, str], float]:
    """Figures by metric and protocol."""
    labels = np.array([clip.abnormal for clip in clips])
    made = figures(scores, [clip.labels for clip in clips], labels)
    normal = np.concatenate(
        [own for own, clip in zip(scores, clips, strict=True) if not clip.abnormal]
    )
    aucs = {("auc", protocol): value for protocol, value in made.items()}
    return aucs | {("false_alarms", "above 0.5/raw"): float((normal > 0.5).mean())}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--forms", nargs="+", choices=tuple(FORMS), default=list(FORMS))
    parser.add_argument("--smoke", action="store_true", help="one seed, three forms, one epoch")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    base = replace(dakd.default(), precision="fp32", folds=0, committee=1)
    base = replace(base, scorer="teacher", temporal="baseline")
    if asked.smoke:
        asked.seeds, asked.forms = [0], ["default", "drawn", "both"]
        base = replace(base, epochs=1)
    command = shlex.join(["python", "benchmarks/dakd_mil.py", *sys.argv[1:]])
    facts = run_facts(device="cpu", command=command)
    splits = open_dataset(asked.data)
    masks = asked.data / "test_frame_mask"
    train, test = clips_of(splits.train, masks), clips_of(splits.test, masks)
    rows = Rows(asked.out)
    for seed in asked.seeds:
        for name in backbones_of(splits):
            own = replace(base, seed=seed, teacher=(name,), student=name)
            for label in asked.forms:
                form, start = FORMS[label], time.monotonic()
                found = {
                    f"{splits.train.name}_train": measured(train, held_out(form, own, train)),
                    splits.train.name: measured(test, scores_of(form, own, train, test)),
                }
                seconds = round(time.monotonic() - start, 1)
                for dataset, values in found.items():
                    for (metric, protocol), value in values.items():
                        made = of_measurement(
                            metric,
                            value,
                            system="dakd",
                            variant=f"mil {name}, {label}",
                            dataset=dataset,
                            seeds=(seed,),
                            seconds=seconds,
                            note="snippets",
                            facts=facts,
                        )
                        rows.add(replace(made, protocol=protocol))
    print(markdown_table(over_seeds(rows), "wide"))


if __name__ == "__main__":
    main()
