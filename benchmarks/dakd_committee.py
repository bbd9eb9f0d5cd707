"""How many teachers a student should have, settled on training videos left out.

    python benchmarks/dakd_committee.py --data shanghaitech_tracks --seeds 0 1 2 3 4 \\
        [--sizes 1 3 5] [--out results.json]

Of three folds of the training videos, each is scored by networks that learnt from the other two:

single NAME, of N               the mean scores of N networks of one backbone, by video labels
teacher, of N                   the same of all backbones side by side
student NAME, of N              one network that learnt the mean scores of N such teachers
self-taught NAME, of N          the same of N teachers with its own backbone alone

Of N networks each has another seed.  Scored ``dense``; frame labels are those that
``dakd_dense`` reads, from which nothing has learnt, and no test video is read.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from dakd_dense import Clip, bags_of, clips_of, figures, score
from rows import Rows

from vadistill.datasets import open_dataset
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.dakd import backbones_of
from vadistill.reproduce.records import of_measurement, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import dakd
from vadistill.systems.dakd.data import Bags
from vadistill.systems.dakd.folds import folds_of
from vadistill.systems.dakd.model import Baseline, Network
from vadistill.systems.dakd.training import fit_student, fit_teachers

CPU = torch.device("cpu")
FOLDS = 3

Scorers = tuple[Sequence[Network | Baseline], tuple[str, ...]]
"""Networks whose mean scores count, and the backbones that they see."""


def fitted(bags: Bags, base: dakd.Config, sizes: Sequence[int]) -> Iterator[tuple[str, Scorers]]:
    """All networks of one fold, by name."""
    most = replace(base, committee=max(sizes))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        teachers = fit_teachers(bags, most, CPU, work, "fold")
        for size in sizes:
            yield f"teacher, of {size}", (teachers[:size], base.teacher)
        for name in base.teacher:
            own = replace(most, teacher=(name,), student=name)
            alone = fit_teachers(bags, own, CPU, work, "fold")
            for size in sizes:
                yield f"single {name}, of {size}", (alone[:size], (name,))
            for label, config, nets in (
                (f"student {name}", replace(most, student=name), teachers),
                (f"self-taught {name}", own, alone),
            ):
                for size in sizes:
                    few = replace(config, committee=size)
                    student = fit_student(nets[:size], bags, few, CPU, work, "fold")
                    yield f"{label}, of {size}", ([student], (name,))


def held_out(
    clips: Sequence[Clip], base: dakd.Config, sizes: Sequence[int]
) -> Mapping[str, Mapping[str, float]]:
    """Figures over all videos, by name."""
    labels = np.array([clip.abnormal for clip in clips])
    folds = folds_of(labels, FOLDS, base.seed)
    found: dict[str, list[np.ndarray]] = {}
    for fold in range(int(folds.max()) + 1):
        bags = bags_of(clips, folds != fold, "means", base.seed)
        for name, (networks, seen) in fitted(bags, base, sizes):
            scores = found.setdefault(name, [np.zeros(0)] * len(clips))
            for number in np.flatnonzero(folds == fold).tolist():
                arrays = [clips[number].rows[backbone] for backbone in seen]
                each = [score(network, arrays, "dense") for network in networks]
                scores[number] = np.mean(each, axis=0)
    truth = [clip.labels for clip in clips]
    return {name: figures(scores, truth, labels) for name, scores in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--smoke", action="store_true", help="one seed, one epoch, two sizes")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    base = replace(dakd.default(), precision="fp32", folds=0)
    if asked.smoke:
        asked.seeds, asked.sizes, base = [0], [1, 2], replace(base, epochs=1)
    command = shlex.join(["python", "benchmarks/dakd_committee.py", *sys.argv[1:]])
    facts = run_facts(device="cpu", command=command)
    splits = open_dataset(asked.data)
    names = backbones_of(splits)
    base = replace(base, teacher=names, student=names[0])
    clips = clips_of(splits.train, asked.data / "test_frame_mask")
    rows = Rows(asked.out)
    for seed in asked.seeds:
        start = time.monotonic()
        found = held_out(clips, replace(base, seed=seed), asked.sizes)
        seconds = round((time.monotonic() - start) / len(found), 1)
        for variant, measured in found.items():
            for protocol, value in measured.items():
                made = of_measurement(
                    "auc",
                    value,
                    system="dakd",
                    variant=variant,
                    dataset=f"{splits.train.name}_train",
                    seeds=(seed,),
                    seconds=seconds,
                    note="training videos left out",
                    facts=facts,
                )
                rows.add(replace(made, protocol=protocol))
    print(markdown_table(over_seeds(rows), "wide"))


if __name__ == "__main__":
    main()
