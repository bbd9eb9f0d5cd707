"""CAFE beside ``motion`` on simulated walkways: another place, people and training for each seed.

    python benchmarks/walkway.py --seeds 0 1 2 [--work FOLDER] [--out results.json]

Renders each walkway, fits both systems on its normal clips with the settings of ``vadistill demo``,
scores the others and records micro and macro AUC.  What is finished in ``--work`` is kept.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from rows import Rows

from vadistill.detector import Detector
from vadistill.evaluation.measuring import measure_scores
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_figure, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems import cafe, motion


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("runs/walkway"))
    parser.add_argument("--smoke", action="store_true", help="two short videos, one epoch")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    scene, recipe = WalkwayConfig(), cafe.demo()
    if arguments.smoke:
        arguments.seeds = [0]
        scene = replace(scene, train_clips=1, test_clips=1, frames=60, width=160, height=120)
        recipe = replace(recipe, epochs=1, consistency_after=1, frames=20)
    seeds = " ".join(map(str, arguments.seeds))
    facts = run_facts(device="cpu", command=f"python benchmarks/walkway.py --seeds {seeds}")
    rows = Rows(arguments.out)
    for seed in arguments.seeds:
        folder = arguments.work / f"seed{seed}"
        splits = render_walkway(folder / "walkway", replace(scene, seed=seed))
        systems: dict[str, Detector] = {
            "motion": motion.Motion(),
            "cafe": cafe.Cafe(replace(recipe, seed=seed), device="cpu"),
        }
        for name, detector in systems.items():
            start = time.monotonic()
            detector.fit(splits.train, out=folder / f"{name}.vad", work=folder / "work")
            seconds = time.monotonic() - start
            scores = {clip.name: detector.score(clip.open()) for clip in splits.test}
            smoothing = detector.config.smoothing
            protocols = [f"micro/{smoothing}", "micro/raw", f"macro-skip/{smoothing}"]
            for figure in measure_scores(splits.test, scores, protocols).figures:
                rows.add(
                    of_figure(
                        figure,
                        system=name,
                        variant="demo recipe" if name == "cafe" else "default",
                        dataset="walkway",
                        seed=seed,
                        seconds=round(seconds, 1),
                        facts=facts,
                    )
                )
    print(markdown_table(over_seeds(rows)))


if __name__ == "__main__":
    main()
