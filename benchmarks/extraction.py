"""How fast each backbone turns video into clip features, and where the time goes.

    python benchmarks/extraction.py --data VIDEOS [--backbones compact flow …] [--out results.json]

Prints and records for each backbone, all from one run on one machine, after a warm-up: the
milliseconds of decoding, preparing and the network for one clip of 16 frames, one step after the
other; snippets a second with the steps overlapped, as extraction runs; and multiply-accumulates.
Names with ``random`` weights take the same time as trained ones, and need no file.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
from rows import Rows

from vadistill.backbones import open_backbone
from vadistill.backbones.base import Backbone
from vadistill.backbones.extraction import Tally, snippet_features
from vadistill.datasets import Video, open_dataset
from vadistill.datasets.snippets import SNIPPET
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement
from vadistill.video import Frame, VideoSource

BACKBONES = ("compact", "flow", "i3d:random", "s3d:random", "clip:random")


class FirstSnippets(VideoSource):
    """So many whole snippets of some videos, from the first one again where they do not suffice."""

    def __init__(self, videos: list[Video], snippets: int) -> None:
        self.videos, self.snippets = videos, snippets
        self.info = videos[0].open().info

    def __iter__(self) -> Iterator[Frame]:
        size = (self.info.height, self.info.width)
        frames = chain.from_iterable(v.open() for again in repeat(self.videos) for v in again)
        fitting = (frame for frame in frames if frame.image.shape[:2] == size)
        return islice(fitting, self.snippets * SNIPPET)


def steps(source: FirstSnippets, backbone: Backbone, batch: int) -> dict[str, float]:
    """Milliseconds a snippet of each step, none overlapping another."""
    marks = [time.perf_counter()]
    frames = [frame.image for frame in source]
    marks.append(time.perf_counter())
    snippets = [np.stack(frames[i : i + SNIPPET]) for i in range(0, len(frames), SNIPPET)]
    prepared = np.stack([backbone.prepare(snippet) for snippet in snippets])
    marks.append(time.perf_counter())
    for start in range(0, len(prepared), batch):
        backbone(prepared[start : start + batch])
    marks.append(time.perf_counter())
    spent = np.diff(marks) * 1e3 / source.snippets
    return dict(zip(("decode", "prepare", "network"), spent.tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--smoke", action="store_true", help="two snippets, flow alone")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.backbones, arguments.clips = ["flow"], 2
    names = " ".join(re.sub(r"(?<=:).*/", "", name) for name in arguments.backbones)
    command = f"python benchmarks/extraction.py --data {arguments.data.name} --backbones {names}"
    splits = open_dataset(arguments.data)
    source = FirstSnippets([*splits.train, *splits.test], arguments.clips)
    size = f"{source.info.width}x{source.info.height}"
    rows = Rows(arguments.out)

    def record(variant: str, metric: str, value: float, note: str, seconds: float = 0.0) -> None:
        rows.add(
            of_measurement(
                metric,
                value,
                system="features",
                variant=variant,
                dataset=splits.test.name,
                seconds=seconds,
                note=note,
                facts=run_facts(device=arguments.device, command=command),
            )
        )

    for name in arguments.backbones:
        backbone = open_backbone(name, device=arguments.device)
        steps(
            FirstSnippets(source.videos, min(arguments.batch, source.snippets)),
            backbone,
            source.snippets,
        )
        spent = steps(source, backbone, arguments.batch)
        whole = sum(spent.values())
        for step, milliseconds in spent.items():
            share = f"{milliseconds / whole:.0%} of the steps, {size} video"
            record(f"{name}: {step}", "ms_per_clip", milliseconds, share)
        tally, start = Tally(), time.perf_counter()
        snippet_features(source, [backbone], batch=arguments.batch, tally=tally)
        seconds = time.perf_counter() - start
        note = f"decode to feature, overlapped, {size} video, batch {arguments.batch}"
        record(name, "clips_per_s", tally.snippets / seconds, note, seconds)
        record(name, "gmacs_per_clip", backbone.macs / 1e9, f"{backbone.dim}-d, 1 crop")


if __name__ == "__main__":
    main()
