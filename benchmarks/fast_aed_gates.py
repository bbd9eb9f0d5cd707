"""Whether fast_aed's teachers have learned what they are there for, beside what is asked of each.

    python benchmarks/fast_aed_gates.py --data UCSDped2 --models aed.vad ssmtl.vad
        [--work FOLDER] [--smoke] [--out results.json]

``--models`` are fitted on the normal videos of ``--data``; in ``--work``, where one was fitted, its
training objects are not cut out again.  Normal objects are those of test frames without anything
abnormal, abnormal ones lie in the masks of the others, each fourth frame; nothing is chosen by
them.

- ``aed``: 95 % of the probabilities of abnormal motion of normal objects, either way (at most
  0.05); the slowest pseudo-abnormal motion, in normal's 99 % speed (at least 1.05); the adversarial
  losses of both ways at the end, the larger by the smaller.
- ``ssmtl``: the correlation of P(irregular) with the speed of test objects (at least 0.3).
- targets of both: the median of normal objects (at most 0.1); that of abnormal ones by it (at least
  5); what the AUC of their highest in a frame lacks of that of the teacher's own scores, in points
  (at most 0.2).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rows import Rows
from sklearn.metrics import roc_auc_score

import vadistill
from vadistill.batches import seeded_generator
from vadistill.datasets import Dataset, Splits, Video, open_dataset
from vadistill.errors import ConfigError
from vadistill.evaluation.runs import RunFacts, run_facts
from vadistill.loss_log import losses_of
from vadistill.objects.learning import learn_patches
from vadistill.objects.patches import cut_frames
from vadistill.reproduce.records import Record, of_measurement, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.systems.aed.detector import Aed, both_ways
from vadistill.systems.aed.model import MOTION
from vadistill.systems.aed.motion import PseudoMotion, all_speeds, mean_speeds
from vadistill.systems.fast_aed.targets import Scale
from vadistill.systems.object_centric import ObjectPainter
from vadistill.systems.ssmtl.detector import Ssmtl

COVERED = 0.25
"""Part of a box that abnormal pixels cover where the object is abnormal."""

DRAWN = 2000
"""Pseudo-abnormal motions whose speed is looked at."""

REACH = 3
"""Frames either way over which objects' speed is taken."""

TESTED, TAUGHT = 4, 8
"""Each so many test frames are looked at, and training frames give the targets their scale."""

LAST = 5
"""Losses at the end of a log that are taken together."""


@dataclass(frozen=True)
class Objects:
    """Of some videos, in order."""

    parts: np.ndarray
    """What the teacher's network gives of each."""
    values: np.ndarray
    """Its score."""
    speeds: np.ndarray
    """Pixels over ``REACH`` frames, the mean of both ways."""
    abnormal: np.ndarray
    """Whether each lies in its frame's mask."""
    frames: np.ndarray
    """Which of the frames each is of."""
    labels: np.ndarray
    """Of the frames."""

    @property
    def normal(self) -> np.ndarray:
        """Whether each is of a normal frame."""
        return self.labels[self.frames] == 0


def objects_of(teacher: ObjectPainter, videos: Sequence[Video], every: int) -> Objects:
    """Objects that a teacher finds in each so many frames of the videos; one has some at least."""
    cut, labels = replace(teacher.cut, flows=both_ways(REACH)), []
    parts, speeds, abnormal, frames = [], [], [], []
    for video in videos:
        source = video.open()
        teacher.localiser.start(source.info)
        wanted = [(cut, lambda index: index % every == 0)]
        for found, *_ in cut_frames(source, teacher.localiser, wanted, fps=source.info.fps):
            if found is None:
                continue
            label = 0 if video.frame_labels is None else int(video.frame_labels[found.index])
            mask = video.mask(found.index) if video.mask and label else None
            if len(found.boxes):
                parts += teacher.runtime(*teacher.inputs(found.patches, found.flow))
                speeds.append(mean_speeds(found.flow).mean(1))
            for x1, y1, x2, y2 in found.boxes.round().astype(int):
                abnormal.append(mask is not None and mask[y1:y2, x1:x2].mean() >= COVERED)
                frames.append(len(labels))
            labels.append(label)
    rows = np.concatenate(parts)
    return Objects(
        rows,
        teacher.scaled(teacher.object_values(rows)),
        np.concatenate(speeds),
        np.array(abnormal),
        np.array(frames),
        np.array(labels),
    )


def of_motion(
    teacher: Aed, model: Path, normal: np.ndarray, train: Dataset, work: Path
) -> dict[str, float]:
    """T1's gates; ``normal`` are normal objects' logits."""
    store = learn_patches(
        train,
        work,
        localiser=teacher.localiser,
        cut=teacher.training_cut,
        frames=teacher.config.frames,
    )
    probabilities = 1 / (1 + np.exp(-normal[:, 1:].astype(np.float64)))
    pseudo, speeds, slowest = PseudoMotion.of(store), all_speeds(store), []
    for view in range(len(MOTION)):
        drawn = pseudo(store, view, min(DRAWN, 4 * len(store)), seeded_generator(0)).numpy()
        limit = max(float(np.quantile(speeds[:, view], 0.99)), 1e-6)
        slowest.append(float(mean_speeds(drawn[:, None]).min()) / limit)
    log = losses_of(model)["auto-encoders"]
    last = [float(np.mean(log[f"adversarial_{view}"][-LAST:])) for view in MOTION]
    return {
        "p95_motion": float(np.quantile(probabilities, 0.95, axis=0).max()),
        "slowest_pseudo": min(slowest),
        "adversarial_ratio": max(last) / max(min(last), 1e-9),
    }


def of_irregularity(teacher: Ssmtl, tested: Objects) -> dict[str, float]:
    """T2's gate."""
    column = tested.parts[:, teacher.tasks.index("irregularity")]
    return {"irregularity_speed": float(np.corrcoef(column, tested.speeds)[0, 1])}


def of_targets(taught: Objects, tested: Objects) -> dict[str, float]:
    """The gates of what a student is to learn; the scale is that of the training objects."""
    scale = Scale.of(taught.values)

    def auc(scores: np.ndarray) -> float:
        highest = np.zeros(len(tested.labels))
        np.maximum.at(highest, tested.frames, scores)
        return float(roc_auc_score(tested.labels, highest))

    usual = float(np.median(scale(tested.values[tested.normal])))
    found = {
        "target_normal": usual,
        "auc_lost": 100 * (auc(tested.values) - auc(scale(tested.values))),
    }
    if tested.abnormal.any():
        found["target_contrast"] = float(np.median(scale(tested.values[tested.abnormal]))) / usual
    return found


def gates(model: Path, data: Splits, work: Path, facts: RunFacts) -> list[Record]:
    """The figures of one fitted teacher."""
    start, teacher = time.monotonic(), vadistill.load(model, device="cpu")
    if not isinstance(teacher, Aed | Ssmtl):
        raise ConfigError(f"model {model}", expected="an aed or ssmtl", fix="correct --models")
    tested = objects_of(teacher, list(data.test), TESTED)
    taught = objects_of(teacher, list(data.train), TAUGHT)
    found = of_targets(taught, tested)
    if isinstance(teacher, Aed):
        normal = tested.parts[tested.normal]
        found |= of_motion(teacher, model, normal, data.train, work)
    else:
        found |= of_irregularity(teacher, tested)
    seconds = round(time.monotonic() - start, 1)
    config = teacher.config
    return [
        of_measurement(
            name,
            value,
            system=teacher.name,
            variant=config.localiser.partition(":")[0],
            dataset=data.test.name,
            seeds=(config.seed,),
            seconds=seconds,
            note=f"{config.frames or 'all'} frames, {config.epochs} epochs",
            facts=facts,
        )
        for name, value in found.items()
    ]


def smallest(data: Splits, work: Path) -> list[Path]:
    """Teachers that are fitted in seconds, on few frames."""
    few = {"localiser": "background", "frames": 20, "epochs": 1, "batch": 16}
    configs = {
        Aed: replace(Aed.RECIPES["default"](), **few, classifier_epochs=1, adversarial_after=0),
        Ssmtl: replace(Ssmtl.RECIPES["default"](), **few),
    }
    for kind, config in configs.items():
        kind(config, device="cpu").fit(data.train, out=work / f"{kind.name}.vad", work=work)
    return [work / f"{kind.name}.vad" for kind in configs]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", default=[], help="aed, ssmtl")
    parser.add_argument("--work", type=Path, default=Path("runs/fast_aed_gates"))
    parser.add_argument("--smoke", action="store_true", help="of teachers fitted in seconds")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    data = open_dataset(arguments.data)
    models = smallest(data, arguments.work) if arguments.smoke else arguments.models
    names = " ".join(model.name for model in models)
    command = f"python benchmarks/fast_aed_gates.py --data {arguments.data.name} --models {names}"
    facts, rows = run_facts(device="cpu", command=command), Rows(arguments.out)
    for model in models:
        rows.add(gates(model, data, arguments.work, facts))
    print(markdown_table(over_seeds(rows)))


if __name__ == "__main__":
    main()
