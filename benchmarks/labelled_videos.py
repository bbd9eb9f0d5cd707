"""``fit dakd`` with its defaults on real videos that are labelled as a whole: fights and falls.

    python benchmarks/labelled_videos.py --fights surveillance_fights --falls coffee_room \\
        --seeds 0 1 2 [--sets fights falls] [--detector YOLOX.onnx] [--work FOLDER] \\
        [--out results.json]

Raw files in, figures out; each seed has a split and networks of its own, and no source of a fight's
clip and no video of a fall is in both halves.  Every video is made into features once, by the
backbones that ``fit dakd`` has by default, and all networks learn from and score these.

labelled_fights   surveillance clips of two seconds; of a test clip with a fight all frames count as
                  abnormal
labelled_falls    whole videos that end with a fall, against the beginnings of others, one room; of
                  a test video the frames of the fall are abnormal

``single`` is the student's network taught by video labels alone, ``mil`` Sultani et al.'s; the
backbone of ``student auto``, which ``fit dakd`` has by default, is the best by itself on training
videos left out; ``motion`` learns from the normal training videos.  With a detector its maps are a
third backbone, and the sets are called ``labelled_fights_detector`` and
``labelled_falls_detector``.  What is finished in ``--work`` is kept.
"""

from __future__ import annotations

import argparse
import csv
import functools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from rows import Rows

from vadistill.backbones import open_backbone
from vadistill.backbones.extraction import features_of
from vadistill.backbones.store import FeatureStore, content_key
from vadistill.datasets import Dataset, Splits, open_dataset
from vadistill.datasets.sampling import held_out_groups
from vadistill.datasets.snippets import FeatureSource
from vadistill.datasets.sources import frame_count
from vadistill.evaluation.measuring import measure_scores
from vadistill.evaluation.runs import run_facts
from vadistill.evaluation.scoring import score_videos
from vadistill.progress import progress
from vadistill.reproduce import Options
from vadistill.reproduce.dakd import mixed, reproduce
from vadistill.reproduce.records import Record, of_figure, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.systems.motion import Motion

Intervals = Mapping[Path, tuple[int, int] | None]
"""Abnormal frames of each video, end exclusive; None of a normal one."""

BACKBONES = ("compact", "flow")
"""The defaults'."""

SETS = {"fights": 0.3, "falls": 0.5}
"""The share of each that is tested on: of 109 clips, and of 35 videos, 12 of them with a fall."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fights", type=Path, required=True)
    parser.add_argument("--falls", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--detector", help="a YOLOX in an ONNX file")
    parser.add_argument("--work", type=Path, default=Path("runs/labelled_videos"))
    parser.add_argument("--smoke", action="store_true", help="one seed, flow alone, one epoch")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    backbones, suffix = BACKBONES, ""
    if asked.detector:
        backbones, suffix = (*backbones, f"detector:{asked.detector}"), "_detector"
    if asked.smoke:
        asked.seeds, backbones = [0], ("flow",)
    command = (
        f"python benchmarks/labelled_videos.py --fights {asked.fights} --falls {asked.falls}"
        f" --seeds {' '.join(map(str, asked.seeds))} --sets {' '.join(asked.sets)}"
    )
    command += f" --detector {asked.detector}" if asked.detector else ""
    rows = [f"{kind} {b}" for kind in ("mil", "single", "student") for b in backbones]
    rows += ["student auto"] if len(backbones) > 1 else []
    made = Rows(asked.out)
    sets: list[tuple[Path, int]] = []
    for kind in asked.sets:
        name = f"labelled_{kind}{suffix}"
        videos, sources = fights(asked.fights) if kind == "fights" else falls(asked.falls)
        for seed in asked.seeds:
            labels = [int(abnormal is not None) for abnormal in videos.values()]
            groups = [sources[video] for video in videos]
            held = held_out_groups(groups, labels, share=SETS[kind], seed=seed)
            data = asked.work / f"seed{seed}" / name
            save(videos, {v for v in videos if sources[v] in held}, data)
            options = Options(
                data,
                asked.work / name,
                recipe="default",
                seeds=(seed,),
                only=(*rows, "teacher"),
                backbones=backbones,
                epochs=1 if asked.smoke else None,
            )
            splits = with_features(open_dataset(data), backbones, asked.work / "features")
            made.add(without_intervals(reproduce(splits, options, command)))
            sets.append((data, seed))
    # It takes longer than all of these, and nothing waits for it.
    for data, seed in sets:
        model = data.parent / f"{data.name}-motion.vad"
        made.add(without_intervals(baseline(data, model, seed, command)))
    print(markdown_table(over_seeds(made)))


def without_intervals(records: Iterable[Record]) -> list[Record]:
    """Some dozen videos of a few sources are no sample of others."""
    return [replace(record, low=None, high=None) for record in records]


@dataclass(frozen=True)
class Known:
    """Features of a video that were made before."""

    rows: Float32[np.ndarray, "n d"]
    identity: str

    def read(self) -> Float32[np.ndarray, "n d"]:
        return self.rows


def with_features(splits: Splits, names: tuple[str, ...], folder: Path) -> Splits:
    """The same videos as features, which are kept in ``folder``; frame labels stay as they are."""
    store, opened = FeatureStore(folder), functools.cache(open_backbone)

    def known(dataset: Dataset) -> Dataset:
        videos = []
        with progress("features", len(dataset)) as advance:
            for video in dataset:
                found = features_of(video, names, store, opened)
                arrays = {n: Known(rows, f"{content_key(video)} {n}") for n, rows in found.items()}
                labels = video.frame_labels
                source = FeatureSource(
                    video.name,
                    arrays,
                    snippets=min(map(len, found.values())),
                    frames=None if labels is None else len(labels),
                )
                videos.append(replace(video, source=source))
                advance(note=video.name)
        return replace(dataset, videos=tuple(videos))

    return replace(splits, train=known(splits.train), test=known(splits.test))


def fights(folder: Path) -> tuple[Intervals, Mapping[Path, str]]:
    """All clips, and the source of each."""
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    videos: dict[Path, tuple[int, int] | None] = {}
    for row in rows:
        path = folder / row["file"]
        videos[path] = (0, frame_count(path)) if row["fight"] == "1" else None
    return videos, {folder / row["file"]: row["source"] for row in rows}


def falls(folder: Path) -> tuple[Intervals, Mapping[Path, str]]:
    """All videos, each its own source."""
    with (folder / "labels.csv").open() as file:
        found = {row["file"]: (int(row["start"]), int(row["end"])) for row in csv.DictReader(file)}
    videos = {path: found.get(path.name) for path in sorted(folder.glob("t*/*.mp4"))}
    return videos, {path: path.name for path in videos}


def save(videos: Intervals, test: Iterable[Path], folder: Path) -> None:
    """As a folder of one's own: links to the videos, and their labels."""
    labels: list[tuple[object, ...]] = [("file", "label")]
    intervals: list[tuple[object, ...]] = [("file", "start", "end")]
    for path, abnormal in videos.items():
        split = "test" if path in test else "train"
        link = folder / split / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(path.absolute())
        if split == "train":
            labels.append((path.name, int(abnormal is not None)))
        else:
            intervals.append((path.name, *(abnormal or ("", ""))))
    for name, rows in (("labels", labels), ("intervals", intervals)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def baseline(data: Path, out: Path, seed: int, command: str) -> list[Record]:
    """``motion``, of the normal training videos."""
    splits = open_dataset(data)
    normal = tuple(video for video in splits.train if not video.video_label)
    start = time.monotonic()
    motion = Motion().fit(replace(splits.train, videos=normal, supervision="one-class"), out=out)
    seconds = time.monotonic() - start
    scores = score_videos(motion, list(splits.test), "motion").scores
    facts = run_facts(device="cpu", command=command)
    protocols = ("micro/raw", "ap/raw", *(["macro-skip/raw"] if mixed(splits) else []))
    return [
        of_figure(
            figure,
            system="motion",
            variant="default",
            dataset=splits.test.name,
            seed=seed,
            seconds=round(seconds, 1),
            facts=facts,
            note="baseline",
        )
        for figure in measure_scores(splits.test, scores, protocols).figures
    ]


if __name__ == "__main__":
    main()
