"""Does distillation help on real video?  DAKD on long videos composed of surveillance clips.

    python benchmarks/fights.py --data surveillance_fights --detector yolox_nano_coco.onnx \\
        --seeds 0 1 2 3 4 [--work FOLDER] [--out results.json]

Features of the clips, two seconds each, are extracted from their files by two backbones: a
detector's feature maps, and statistics of optical flow.  Clips are split by their source, so that
no camera lies in both halves, and their features laid end to end in tens, which is what the
features of the joined videos would be; an abnormal one has a fight among nine normal clips.  What
is measured is partly whether a cut to another camera shows, so the data set is called
composed_fights wherever it is shown.  The same few clips come back in many videos (some 32 normal
ones in training and 14 in the test, whose 40 videos have 380 places for them).  Each seed has a
split, a composition and networks of its own.
The teacher sees both backbones, a student one of them, and ``motion`` is the baseline.  What is
finished in ``--work`` is kept.
"""

from __future__ import annotations

import argparse
import csv
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rows import Rows

from vadistill.backbones import open_backbone
from vadistill.backbones.extraction import Tally, features_of
from vadistill.backbones.store import FeatureStore
from vadistill.datasets import Dataset, Video, open_dataset
from vadistill.datasets.sampling import held_out_groups
from vadistill.datasets.snippets import SNIPPET
from vadistill.evaluation.measuring import measure_scores
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce import Options, reproduce
from vadistill.reproduce.records import Record, of_figure, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.systems.motion import Motion

PARTS = 10
"""Clips of a composed video."""
VIDEOS = {"train": 60, "test": 40}
"""Composed videos of each split, half of them with a fight."""


@dataclass(frozen=True)
class Part:
    """A clip with its label, its source and its features by backbone."""

    clip: Video
    fight: int
    source: str
    rows: Mapping[str, np.ndarray]

    @property
    def length(self) -> int:
        """Feature clips of 16 frames."""
        return len(next(iter(self.rows.values())))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--work", type=Path, default=Path("runs/fights"))
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="a few videos, flow alone, one epoch",
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    parts_of, counts, epochs = PARTS, VIDEOS, None
    if arguments.smoke:
        arguments.seeds, parts_of, epochs = [0], 2, 1
        counts = {"train": 8, "test": 6}
    elif arguments.detector is None:
        parser.error("--detector is needed")
    seeds = " ".join(map(str, arguments.seeds))
    command = (
        f"python benchmarks/fights.py --data {arguments.data} --detector {arguments.detector} "
        f"--seeds {seeds}"
    )
    backbones = {"detector": f"detector:{arguments.detector}", "flow": "flow"}
    if arguments.smoke:
        backbones.pop("detector")
    parts = extract(arguments.data, backbones, FeatureStore(arguments.work / "store"))
    rows = [f"{kind} {b}" for kind in ("mil", "single", "student") for b in backbones]
    made_rows = Rows(arguments.out)
    for seed in arguments.seeds:
        folder = arguments.work / f"seed{seed}"
        data = folder / "composed_fights"
        videos = compose(parts, seed, counts, parts_of)
        save(videos, data)
        options = Options(
            data, folder / "out", seeds=(seed,), only=(*rows, "teacher"), epochs=epochs
        )
        made = reproduce("dakd", options, command=command)
        made += baseline(parts, videos, open_dataset(data).test, folder, seed, command)
        # Videos of the same few clips are no independent samples: the spread is that over seeds.
        made_rows.add(replace(record, low=None, high=None) for record in made)
    print(markdown_table(over_seeds(made_rows)))


def extract(data: Path, backbones: Mapping[str, str], store: FeatureStore) -> list[Part]:
    """All clips with their features; prints each backbone's clips a second."""
    opened = functools.cache(lambda name: open_backbone(name, device="cpu"))
    tally, parts = Tally(), []
    with (data / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            clip = Video(Path(row["file"]).stem, data / row["file"])
            rows = features_of(clip, list(backbones.values()), store, opened, tally=tally)
            named = {name: rows[full] for name, full in backbones.items()}
            parts.append(Part(clip, int(row["fight"]), row["source"], named))
    for name, full in backbones.items():
        print(f"{name}: {tally.rate(full):.1f} clips/s of {SNIPPET} frames", flush=True)
    return parts


def compose(
    parts: Sequence[Part], seed: int, counts: Mapping[str, int], parts_of: int
) -> dict[str, list[Part]]:
    """Composed videos by name, ``train…`` and ``test…``; every second one has a fight.

    Clips are dealt from a shuffled deck, which is shuffled anew when it is used up: each comes
    about as often as any other of its kind, and hardly ever twice in a video.
    """
    held = held_out_groups([p.source for p in parts], [p.fight for p in parts], seed=seed)
    rng = np.random.default_rng(seed)
    videos = {}
    for split, count in counts.items():
        own = [part for part in parts if (part.source in held) == (split == "test")]
        normal, fights = (deck([p for p in own if p.fight == fight], rng) for fight in (0, 1))
        for number in range(count):
            video = [next(normal) for _ in range(parts_of)]
            if number % 2:
                video[rng.integers(parts_of)] = next(fights)
            videos[f"{split}{number:02d}"] = video
    return videos


def deck(parts: Sequence[Part], rng: np.random.Generator) -> Iterator[Part]:
    """Endless shuffled rounds of all of them."""
    while True:
        yield from (parts[i] for i in rng.permutation(len(parts)))


def save(videos: Mapping[str, Sequence[Part]], folder: Path) -> None:
    """As a data set of features."""
    lists: dict[str, list[tuple[object, ...]]] = {"train": [], "test": [], "intervals": []}
    for name, video in videos.items():
        for backbone in video[0].rows:
            path = folder / "features" / backbone / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                np.save(path, np.concatenate([part.rows[backbone] for part in video]))
        lists[name[:-2]].append((name, int(any(part.fight for part in video))))
        start = 0
        for part in video:
            if part.fight and name.startswith("test"):
                lists["intervals"].append((name, SNIPPET * start, SNIPPET * (start + part.length)))
            start += part.length
    for name, rows in lists.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            header = ("file", "start", "end") if name == "intervals" else ("file", "label")
            csv.writer(file).writerows([header, *rows])


def baseline(
    parts: Sequence[Part],
    videos: Mapping[str, Sequence[Part]],
    test: Dataset,
    folder: Path,
    seed: int,
    command: str,
) -> list[Record]:
    """``motion``, calibrated on the normal training clips; its scores are composed as features."""
    used = {part.clip.name: part for name, v in videos.items() for part in v if "train" in name}
    normal = tuple(part.clip for part in used.values() if not part.fight)
    train = replace(test, videos=normal, split="train", supervision="one-class")
    start = time.monotonic()
    motion = Motion().fit(train, out=folder / "motion.vad")
    seconds = time.monotonic() - start
    score = functools.cache(lambda number: motion.score(parts[number].clip.open()).raw)
    place = {part.clip.name: number for number, part in enumerate(parts)}
    scores = {
        name: np.concatenate([score(place[p.clip.name])[: SNIPPET * p.length] for p in video])
        for name, video in videos.items()
        if name.startswith("test")
    }
    facts = run_facts(device="cpu", command=command)
    return [
        of_figure(
            figure,
            system="motion",
            variant="default",
            dataset=test.name,
            seed=seed,
            seconds=round(seconds, 1),
            facts=facts,
            note="baseline",
        )
        for figure in measure_scores(test, scores, ("micro/raw", "ap/raw")).figures
    ]


if __name__ == "__main__":
    main()
