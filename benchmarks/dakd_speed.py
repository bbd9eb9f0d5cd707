"""Time and memory of DAKD at UCF-Crime's size, on simulated features.

    python benchmarks/dakd_speed.py [--videos 1900] [--epochs 100] [--out results.json]

Simulates the features of i3d, s3d and clip (see ``vadistill data features``), fits the paper's
teacher and its CLIP student, and prints and records the seconds of each stage, the peak memory of
the process in MB, and how many segments a second the student scores from features in memory, 256
videos of 32 segments at once (after warm-up, the median of ten).
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rows import Rows

from vadistill.datasets import open_dataset
from vadistill.evaluation.runs import run_facts
from vadistill.loss_log import losses_of
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.simulated.features import SimulatedConfig
from vadistill.systems import dakd
from vadistill.systems.dakd.scoring import ClipScorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=SimulatedConfig().videos)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--work", type=Path, default=Path("runs/dakd_speed"))
    parser.add_argument("--smoke", action="store_true", help="190 short videos, one epoch")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.videos, arguments.epochs = 190, 1
    features = arguments.work / f"features{arguments.videos}"
    # By a process of its own, whose memory does not count.
    simulate = [sys.executable, "-m", "vadistill", "data", "features", str(features)]
    simulate += ["--videos", str(arguments.videos)]
    simulate += ["--longest", "40"] if arguments.smoke else []
    subprocess.run(simulate, check=True)
    splits = open_dataset(features)
    config = replace(dakd.paper(), epochs=arguments.epochs)
    detector = dakd.Dakd(config, device="cpu")
    start = time.monotonic()
    work = Path(tempfile.mkdtemp(dir=arguments.work))  # a new one: a resumed fit takes no time
    detector.fit(splits.train, out=work / "model.vad", work=work)
    total = time.monotonic() - start
    size = f"{len(splits.train)} videos, {arguments.epochs} epochs"
    figures = [("SECONDS", f"fit, all of it ({size})", total)]
    for stage in ("teacher", "student"):
        last = float(losses_of(work / "model.vad")[stage]["seconds"][-1])
        figures.append(("SECONDS", f"the {stage}'s stage of it", last))
    shutil.rmtree(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.append(("PEAK-MB", "the whole process", peak))
    figures.append(
        ("SEGMENTS/S", "student, from features, 256 videos at once", throughput(detector))
    )
    command = (
        f"python benchmarks/dakd_speed.py --videos {arguments.videos} --epochs {arguments.epochs}"
    )
    facts = run_facts(device="cpu", command=command)
    rows = Rows(arguments.out)
    rows.add(
        of_measurement(
            metric.lower(),
            round(value, 3),
            system="dakd",
            variant=variant,
            dataset="simulated_ucf",
            seeds=(config.seed,),
            seconds=round(total, 1),
            note="simulated features",
            facts=facts,
        )
        for metric, variant, value in figures
    )
    print(markdown_table(rows))


def throughput(detector: dakd.Dakd, videos: int = 256, rounds: int = 10) -> float:
    """Segments a second of the detector's network."""
    scorer = ClipScorer(detector.runtime, "segments")
    rng = np.random.default_rng(0)
    width = detector.widths[detector.config.student]
    given = [[rng.normal(size=(32, width)).astype(np.float32)] for _ in range(videos)]
    seconds = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        scorer.segments(given)
        seconds.append(time.perf_counter() - start)
    return 32 * videos / statistics.median(seconds[2:])


if __name__ == "__main__":
    main()
