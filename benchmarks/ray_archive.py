"""An archive on Ray against the plain loop, with workers killed at random on the way.

    python benchmarks/ray_archive.py --model entrance.vad --videos DATA/test [--out ray.json]

``--count`` films of ``--frames`` frames are cut from the given videos, and a file that is none is
put among them.  ``vadistill score`` scores them one by one, then with ``--ray`` and ``--workers``,
of which one that has just ended a video is killed ``--kills`` times, and then once more, when all
is done.  Prints and records frames a second of both, with the start of a cluster, how many rows
differ, how many videos are in the manifest twice, those that failed, and the seconds of the run
again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pyarrow import parquet
from rows import Rows

import vadistill
from vadistill.cluster.connecting import LOCAL, check_address
from vadistill.cluster.manifest import NAME
from vadistill.datasets import split_of
from vadistill.datasets.sources import is_video
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.video import VideoWriter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--videos", type=Path, required=True, help="a folder of videos")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="four films, one kill")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.count, arguments.frames, arguments.kills = 4, 24, 1
    check_address(LOCAL)
    model = arguments.model.resolve()
    command = f"python benchmarks/ray_archive.py --model {model.name} --videos VIDEOS"
    facts, rows = run_facts(device="cpu", command=command), Rows(arguments.out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = films(arguments.videos, folder / "archive", arguments.count, arguments.frames)
        (folder / "archive" / "broken.mp4").write_bytes(b"no video" * 100)
        words = ["score", str(model), "archive/*.mp4"]
        plain = timed([*words, "--out", "plain.parquet"], folder)
        ray = [*words, "--ray", "--workers", str(arguments.workers), "--out", "scores"]
        killed: list[int] = []
        cluster = timed(ray, folder, killed, arguments.kills)
        again = timed(ray, folder)
        told = [json.loads(x) for x in (folder / "scores" / NAME).read_text().splitlines()]
        tables = [table(folder / "plain.parquet"), table(folder / "scores")]
    differ = len(tables[0]) if len(tables[0]) != len(tables[1]) else 0
    differ += sum(a != b for a, b in zip(*tables, strict=False))
    system = vadistill.load(model, device="cpu").name
    for variant, figures in {
        "plain": {"fps": frames / plain},
        f"ray, {arguments.workers} workers, {len(killed)} killed": {
            "fps": frames / cluster,
            "rows": len(tables[1]),
            "rows_that_differ": differ,
            "twice": len(told) - len({line["file"] for line in told}),
            "failed": sum("error" in line for line in told),
        },
        "ray, run again": {"seconds": again},
    }.items():
        rows.add(
            of_measurement(
                metric,
                round(float(value), 3),
                system=system,
                variant=variant,
                dataset=f"{arguments.count} films",
                seeds=(),
                seconds=round(again if "again" in variant else cluster, 1),
                note="",
                facts=facts,
            )
            for metric, value in figures.items()
        )
    print(markdown_table(rows))


def films(source: Path, folder: Path, count: int, frames: int) -> int:
    """Cut films of so many frames out of the videos in turn; how many frames they have in all."""
    folder.mkdir()
    made = total = 0
    videos = [path for path in sorted(source.iterdir()) if is_video(path) or path.is_dir()]
    for video in cycle(split_of(videos, "test")):
        shown = video.open()
        left = iter(shown)
        while part := list(islice(left, frames)):
            if made == count:
                return total
            height, width = part[0].image.shape[:2]
            path = folder / f"film{made:03}.mp4"
            with VideoWriter(path, width, height, shown.info.fps) as writer:
                for frame in part:
                    writer.write(frame.image)
            made, total = made + 1, total + len(part)
    return total


def timed(words: list[str], folder: Path, killed: list[int] | None = None, kills: int = 0) -> float:
    """Seconds of a command; ``killed`` gets the processes of workers that are killed meanwhile."""
    began, killed = time.monotonic(), [] if killed is None else killed
    done = subprocess.Popen(
        [sys.executable, "-m", "vadistill", *words], cwd=folder, stdout=subprocess.DEVNULL
    )
    manifest, chance = folder / "scores" / NAME, random.Random(0)
    while done.poll() is None:
        time.sleep(0.05)
        lines = (
            manifest.read_text().splitlines() if len(killed) < kills and manifest.exists() else []
        )
        if len(lines) > (1 + 3 * chance.random()) * (1 + len(killed)):
            worker = int(json.loads(lines[-1])["worker"].rpartition(":")[2])
            if worker not in killed:
                killed.append(worker)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
    seconds = time.monotonic() - began
    if done.returncode != 2:  # the file that is none
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}")
    return seconds


def table(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, or of a folder's, by video and frame."""
    order = [("video", "ascending"), ("frame", "ascending")]
    return parquet.read_table(path).sort_by(order).to_pylist()


if __name__ == "__main__":
    main()
