"""The free baseline: its three statistics together and alone, and its form of earlier versions.

    python benchmarks/motion.py --seeds 10 11 12 [--data UCSDped2 …] [--localiser background]
        [--work FOLDER] [--out results.json]

Fits each on the normal videos of every walkway and data set and scores the others.  Nothing is
random but the walkways.  What is finished in ``--work`` is kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rows import Rows

from vadistill.datasets import Splits, open_dataset
from vadistill.evaluation.measuring import measure
from vadistill.evaluation.runs import load_run, run_facts, save_run, take
from vadistill.objects.speeds import STATISTICS
from vadistill.reproduce.records import of_figure, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems.motion import Config, Motion

LOCALISER = "background"

VARIANTS = {
    "default": Config(),
    **{f"{name} alone": Config(statistics=(name,)) for name in STATISTICS},
    "earlier form": Config(
        flow="dis", statistics=("percentile",), unit="pixels", flow_side=None, frames=300
    ),
}
PROTOCOLS = ("micro/gaussian3", "macro-skip/gaussian3", "micro/raw")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[10, 11, 12])
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--localiser", default=LOCALISER)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--work", type=Path, default=Path("runs/motion"))
    parser.add_argument("--smoke", action="store_true", help="the default form, no walkway")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.seeds, arguments.variants = [], ["default"]
    rows = Rows(arguments.out)
    for name, seed, splits, command in data_sets(arguments):
        if arguments.localiser != LOCALISER:
            command += f" --localiser {arguments.localiser}"
        facts = run_facts(device="cpu", command=command)
        for variant in arguments.variants:
            config = replace(VARIANTS[variant], localiser=arguments.localiser)
            place = f"{name}{'' if seed is None else seed} {config.localiser} {variant}"
            folder = arguments.work / "".join(c if c.isalnum() else "_" for c in place)
            start = time.monotonic()
            if not (folder / "run").exists():
                model = Motion(config).fit(splits.train, out=folder / "model.vad")
                scores = {video.name: model.score(video.open()) for video in splits.test}
                save_run(take(splits.test, scores, name="motion"), folder / "run")
            for figure in measure(load_run(folder / "run"), PROTOCOLS).figures:
                rows.add(
                    of_figure(
                        figure,
                        system="motion",
                        variant=f"{variant}, {config.localiser.partition(':')[0]}",
                        dataset=name,
                        seed=0 if seed is None else seed,
                        seconds=round(time.monotonic() - start, 1),
                        facts=facts,
                    )
                )
    print(markdown_table(over_seeds(rows)))


def data_sets(arguments: argparse.Namespace) -> Iterator[tuple[str, int | None, Splits, str]]:
    """Name, the walkway's seed, videos, and the command that measures on them."""
    command = "python benchmarks/motion.py --seeds"
    for path in arguments.data:
        splits = open_dataset(path)
        yield splits.test.name, None, splits, f"{command} --data {path.name}"
    for seed in arguments.seeds:
        place = arguments.work / f"walkway{seed}"
        splits = render_walkway(place, WalkwayConfig(seed=seed))
        yield "walkway", seed, splits, f"{command} {' '.join(map(str, arguments.seeds))}"


if __name__ == "__main__":
    main()
