"""Which abnormal objects localisers find on UCSD Ped2, and how long they take.

    python benchmarks/localisers.py --data UCSDped2 [--detector FILE.onnx] [--out results.json]

An object is a connected piece of a test frame's mask; it is found where a box has an IoU of at
least 0.3 with it.  All runs on one core; times are processor time and leave decoding out.
``--detector`` names a file in place of the published yolox_nano.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from rows import Rows

from vadistill import objects
from vadistill.datasets import Dataset, open_dataset
from vadistill.evaluation.runs import run_facts
from vadistill.objects.base import Boxes, Localiser
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.windows import triplets

IOU = 0.3
LEAST = 50
"""Pixels of a piece of a mask that counts as an object."""


def pieces(mask: np.ndarray) -> Boxes:
    """Boxes of a mask's connected pieces."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    x, y, width, height, _ = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= LEAST].T
    return np.stack([x, y, x + width, y + height], 1).astype(np.float32)


def overlaps(truth: Boxes, found: Boxes) -> np.ndarray:
    """For each true box, the largest IoU with a found one."""
    low = np.maximum(truth[:, None, :2], found[None, :, :2])
    high = np.minimum(truth[:, None, 2:], found[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    areas, others = ((b[:, 2:] - b[:, :2]).prod(1) for b in (truth, found))
    return (shared / (areas[:, None] + others - shared)).max(1, initial=0)


def measure(localiser: Localiser, test: Dataset, every: int) -> dict[str, float]:
    """Objects found, objects, boxes and milliseconds a frame, of every so many-th frame alone."""
    found, true, boxes, seconds, frames = 0, 0, 0, 0.0, 0
    for video in test:
        source = video.open()
        localiser.start(source.info)
        for window in triplets(source):
            if window.current.index % every:
                continue
            start = time.process_time()
            each = localiser.boxes(window)
            seconds += time.process_time() - start
            boxes, frames = boxes + len(each), frames + 1
            assert video.mask is not None
            truth = pieces(video.mask(window.current.index))
            true += len(truth)
            found += int((overlaps(truth, each) >= IOU).sum())
    return {
        "found": found,
        "true": true,
        "boxes": boxes / frames,
        "ms": 1000 * seconds / frames,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", default="yolox_nano", help="a published name or a file")
    parser.add_argument("--every", type=int, default=10, help="frames apart that are looked at")
    parser.add_argument("--smoke", action="store_true", help="two videos, two localisers")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    splits = open_dataset(arguments.data)
    train, test = splits.train, splits.test
    network = f"only:detector:{arguments.detector}"
    localisers = {
        "background": "background",
        "detector, its own 416x416": f"{network}?score=0.15&side=0",
        "detector, 6 tiles of 416x416": f"{network}?score=0.15&side=0&tiles=3x2",
        "detector, 640x448": f"{network}?score=0.15&side=640",
        "detector, 640x448, score 0.25": f"{network}?score=0.25&side=640",
        "detector, 640x448, and background": f"{network}?score=0.15&side=640+background",
    }
    if arguments.smoke:
        train, test = (replace(s, videos=s.videos[:2]) for s in (train, test))
        localisers = dict(list(localisers.items())[::5])
    command = f"python benchmarks/localisers.py --data {arguments.data.name} --detector"
    command = f"{command} {Path(arguments.detector).name} --every {arguments.every}"
    facts = run_facts(device="cpu", command=command)
    facts["device"] = "cpu x1"
    rows = Rows(arguments.out)
    for variant, spec in localisers.items():
        localiser = objects.build(spec)
        localiser.fit(train)
        figures = measure(localiser, test, arguments.every)
        share = figures["found"] / figures["true"]
        note = f"{figures['found']:.0f} of {figures['true']:.0f} abnormal objects at IoU {IOU}"
        for metric, value in (
            ("found", round(share, 4)),
            ("boxes_per_frame", round(figures["boxes"], 2)),
            ("ms_per_frame", round(figures["ms"], 2)),
        ):
            rows.add(
                of_measurement(
                    metric,
                    value,
                    system="localiser",
                    variant=variant,
                    dataset=test.name,
                    note=note if metric == "found" else "",
                    facts=facts,
                )
            )
        print(f"{variant}: {note} ({100 * share:.1f} %), {figures['ms']:.1f} ms", flush=True)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
