"""Does distillation help on real video?  DAKD on long videos composed of surveillance clips.

    python benchmarks/fights.py --data surveillance_fights --seeds 0 1 2 3 4 [--work FOLDER]

Clips of two seconds are split by their source, so that no camera lies in both halves, and laid end
to end in tens; an abnormal video has a fight among nine normal clips.  What is measured is partly
whether a cut to another camera shows, so the data set is called composed_fights wherever it is
shown.  Each seed has a split, a composition and networks of its own.  Features are extracted from
the composed files with two backbones that need no download; the teacher sees both, a student one
of them, and ``motion`` is the baseline.  What is finished in ``--work`` is kept.
"""

from __future__ import annotations

import argparse
import csv
import functools
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vadistill.datasets import Splits, open_dataset
from vadistill.datasets.sampling import held_out_groups
from vadistill.evaluation import reproduce_dakd
from vadistill.evaluation.measuring import evaluate
from vadistill.evaluation.results import Record, over_seeds, run_facts, write_records
from vadistill.evaluation.tables import markdown_table
from vadistill.systems.motion import Motion
from vadistill.video import VideoWriter, open_video

WIDTH, HEIGHT, FPS = 320, 180, 30
CLIPS = 10
"""Clips of a composed video."""
VIDEOS = {"train": 40, "test": 24}
"""Composed videos of each split, half of them with a fight."""
BACKBONES = ("compact", "flow")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--work", type=Path, default=Path("runs/fights"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    seeds = " ".join(map(str, arguments.seeds))
    command = f"python benchmarks/fights.py --data {arguments.data} --seeds {seeds}"
    records: list[Record] = []
    for seed in arguments.seeds:
        folder = arguments.work / f"seed{seed}"
        data = compose(arguments.data, folder / "composed_fights", seed)
        rows = [f"{kind} {b}" for kind in ("mil", "single", "student") for b in BACKBONES]
        records += reproduce_dakd.reproduce(
            data,
            quick=False,
            out=folder / "out",
            backbones=BACKBONES,
            seeds=[seed],
            only=[*rows, "teacher"],
            command=command,
        )
        records += baseline(open_dataset(data), folder, seed, command)
    print(markdown_table(over_seeds(records)))
    if arguments.out:
        write_records(arguments.out, records)


def compose(data: Path, folder: Path, seed: int) -> Path:
    """Write the composed videos of both splits with their labels; returns ``folder``."""
    if (folder / "intervals.csv").exists():
        return folder
    with (data / "labels.csv").open() as file:
        clips = [(row["file"], int(row["fight"]), row["source"]) for row in csv.DictReader(file)]
    held = held_out_groups([c[2] for c in clips], [c[1] for c in clips], seed=seed)
    rng = np.random.default_rng(seed)
    labels, intervals = [], []
    for split, count in VIDEOS.items():
        own = [clip for clip in clips if (clip[2] in held) == (split == "test")]
        normal = [name for name, fight, _ in own if not fight]
        fights = [name for name, fight, _ in own if fight]
        for number in range(count):
            abnormal = number % 2
            parts = [str(rng.choice(normal)) for _ in range(CLIPS - abnormal)]
            place = int(rng.integers(len(parts) + 1))
            if abnormal:
                parts.insert(place, str(rng.choice(fights)))
            name = f"{split}{number:02d}"
            starts = write(folder / split / f"{name}.mp4", [data / part for part in parts])
            if split == "train":
                labels.append((f"{name}.mp4", abnormal))
            elif abnormal:
                intervals.append((f"{name}.mp4", starts[place], starts[place + 1]))
    table(folder / "train" / "labels.csv", ("file", "label"), labels)
    table(folder / "intervals.csv", ("file", "start", "end"), intervals)
    return folder


def write(path: Path, parts: list[Path]) -> list[int]:
    """One video of several; the frame at which each starts, and the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    starts = [0]
    with VideoWriter(path, WIDTH, HEIGHT, FPS) as writer:
        for part in parts:
            for image in pictures(part):
                writer.write(image)
            starts.append(writer.frames)
    return starts


@functools.cache
def pictures(path: Path) -> list[np.ndarray]:
    """A clip's frames at the composed size."""
    size = (WIDTH, HEIGHT)
    return [cv2.resize(f.image, size, interpolation=cv2.INTER_AREA) for f in open_video(path)]


def table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """A CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def baseline(splits: Splits, folder: Path, seed: int, command: str) -> list[Record]:
    """``motion``, calibrated on the normal training videos."""
    normal = tuple(clip for clip in splits.train if not clip.video_label)
    train = replace(splits.train, clips=normal, supervision="one-class")
    start = time.monotonic()
    motion = Motion().fit(train, out=folder / "motion.vad")
    seconds = time.monotonic() - start
    scores = {clip.name: motion.score(clip.open()) for clip in splits.test}
    facts = run_facts(device="cpu", command=command)
    return [
        Record(
            system="motion",
            variant="default",
            dataset=splits.test.name,
            metric=figure.metric,
            protocol=figure.protocol,
            value=figure.value,
            low=figure.low,
            high=figure.high,
            paper=None,
            seeds=(seed,),
            seconds=round(seconds, 1),
            note="baseline",
            **facts,
        )
        for figure in evaluate(splits.test, scores, ("micro/raw", "ap/raw")).figures
    ]


if __name__ == "__main__":
    main()
