"""Time and memory of RBDC and TBDC of a million detections over 100,000 frames.

    python benchmarks/region_speed.py [--detections 1000000] [--frames 100000] [--out results.json]

Synthesises scored boxes and tracks (a fixed seed; a third of the frames hold one to three
abnormal objects, a tenth of the detections lie on one), then prints and records the seconds of
comparing all videos and taking both figures, the seconds of 1,000 bootstrap resamples, the seconds
of reading the detections from files, and the peak memory of the whole process in MB.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from rows import Rows

from vadistill.datasets.tracks import Tracks
from vadistill.evaluation import bootstrap
from vadistill.evaluation.region_files import read_detection_folder, write_detection_folder
from vadistill.evaluation.region_level import match_videos, region_curves, region_resamples
from vadistill.evaluation.region_matching import Detections
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement

SIZE = np.array([640, 360])

T = TypeVar("T")


def boxes_at(generator: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """Boxes of the size of a pedestrian around centres (n, 2)."""
    half = generator.uniform([8, 16], [25, 50], centres.shape)
    return np.hstack([centres - half, centres + half])


def synthesise(
    videos: int, frames: int, detections: int, generator: np.random.Generator
) -> tuple[dict[str, Tracks], dict[str, Detections]]:
    """Tracks and detections of ``videos`` videos of ``frames`` frames each."""
    tracks, found = {}, {}
    for video in range(videos):
        lengths = generator.integers(frames // 6, frames // 3, 3)
        starts = generator.integers(0, frames // 3, 3) + frames // 3
        track = np.repeat(np.arange(3), lengths)
        frame = np.concatenate([s + np.arange(n) for s, n in zip(starts, lengths, strict=True)])
        walk = generator.normal(0, 2, (len(frame), 2)).cumsum(0) % SIZE
        name = f"v{video:03d}"
        tracks[name] = Tracks(track, frame, boxes_at(generator, walk))
        on = generator.integers(0, len(frame), detections // 10)
        off = detections - len(on)
        centres = np.concatenate([walk[on], generator.uniform(0, SIZE, (off, 2))])
        found[name] = Detections(
            np.concatenate([frame[on], generator.integers(0, frames, off)]),
            boxes_at(generator, centres),
            np.concatenate([generator.normal(1, 1, len(on)), generator.normal(0, 1, off)]),
        )
    return tracks, found


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """What ``run`` gives, and its wall seconds."""
    start = time.perf_counter()
    value = run()
    return value, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detections", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--smoke", action="store_true", help="600 detections over 60 frames")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.detections, arguments.frames, arguments.videos = 600, 60, 6
    count, per_video = arguments.videos, arguments.frames // arguments.videos
    if per_video < 6:
        parser.error("at least 6 frames a video")
    tracks, found = synthesise(
        count, per_video, arguments.detections // count, np.random.default_rng(0)
    )
    frames = {name: per_video for name in found}
    total = sum(map(len, found.values()))
    size = f"{total} detections, {count * per_video} frames"
    command = (
        f"python benchmarks/region_speed.py --detections {arguments.detections} "
        f"--frames {arguments.frames} --videos {count}"
    )
    rows = Rows(arguments.out)

    def record(variant: str, metric: str, value: float, note: str, seconds: float = 0.0) -> None:
        rows.add(
            of_measurement(
                metric,
                value,
                system="rbdc, tbdc",
                variant=f"{variant} ({size})",
                dataset="synthetic",
                seeds=(0,),
                seconds=seconds,
                note=note,
                facts=run_facts(device="cpu", command=command),
            )
        )

    (matches, curves), taken = timed(
        lambda: (made := match_videos(tracks, found, frames), region_curves(made))
    )
    truth = f"{curves.boxes} ground-truth boxes, {curves.tracks} tracks"
    record("compare and take both figures", "seconds", taken, truth, taken)
    record("the same", "peak_mb", peak_mb(), "the whole process, input included")
    drawn = bootstrap.draws(count, 1000, 0)
    _, taken = timed(lambda: region_resamples(matches, drawn))
    record("1000 resamples of both figures", "seconds", taken, f"{count} videos", taken)
    with tempfile.TemporaryDirectory() as folder:
        _, taken = timed(lambda: write_detection_folder(Path(folder), found))
        record("write the detections", "seconds", taken, f"{count} files", taken)
        _, taken = timed(lambda: read_detection_folder(Path(folder), frames))
        record("read the detections", "seconds", taken, f"{count} files", taken)
    record("all of it", "peak_mb", peak_mb(), "the whole process")


def peak_mb() -> float:
    """Most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
