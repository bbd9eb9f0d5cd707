"""What a new snippet costs a live DAKD: as it scores, and with its whole window projected anew.

    python benchmarks/dakd_live.py [--repeat 5] [--out results.json]

A student of one backbone 512 wide, of the default recipe and of the paper's, with random weights,
which take the time of trained ones; PyTorch on one thread, fp32.  Milliseconds a snippet over 200
snippets, the median of ``--repeat`` passes of either way in turn after one of warm-up.  What the
backbone takes is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rows import Rows

from vadistill.datasets.snippets import SEGMENTS
from vadistill.devices import threads
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.runtime import Runtime, open_runtime
from vadistill.systems import dakd
from vadistill.systems.dakd.model import student_network
from vadistill.systems.dakd.ring import Ring
from vadistill.systems.dakd.ring import Rows as Clip
from vadistill.systems.dakd.scoring import ClipScorer, as_program

WIDTH, SNIPPETS = 512, 200
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--smoke", action="store_true", help="eight snippets, one pass")
    asked = parser.parse_args()
    if asked.smoke:
        asked.repeat = 1
    facts = run_facts(
        device="cpu", command=f"python benchmarks/dakd_live.py --repeat {asked.repeat}"
    )
    rng = np.random.default_rng(0)
    count = 8 if asked.smoke else SNIPPETS
    clips: list[Clip] = [[rng.normal(size=WIDTH).astype(np.float32)] for _ in range(count)]
    rows = Rows(asked.out)
    for recipe in ("default", "paper"):
        torch.manual_seed(0)
        network = student_network(dakd.RECIPES[recipe](), WIDTH).eval()
        whole = open_runtime(as_program(network, [WIDTH]), "torch", CPU)
        ring = ClipScorer(whole, "live", ring=Ring(network, [WIDTH], "torch", CPU))
        took: dict[str, list[float]] = {"remembered": [], "anew": []}
        with threads(1):
            for number in range(asked.repeat + 1):
                for name, scores in (("remembered", ring(clips)), ("anew", anew(whole, clips))):
                    start = time.perf_counter()
                    made = np.array(list(scores))
                    spent = (time.perf_counter() - start) / count * 1000
                    took[name] += [spent] if number else []
                    if name == "remembered":
                        known = made
            np.testing.assert_allclose(made, known, atol=1e-5)
        middle = {name: statistics.median(each) for name, each in took.items()}
        figures = {
            "ms a snippet, projected once": ("MS", middle["remembered"]),
            "ms a snippet, its window anew": ("MS", middle["anew"]),
            "times as fast": ("RATIO", middle["anew"] / middle["remembered"]),
        }
        rows.add(
            of_measurement(
                metric.lower(),
                value,
                system="dakd",
                variant=f"{recipe}, {what}",
                dataset="random",
                seconds=0.0,
                note="live scoring without its backbone",
                facts=facts,
            )
            for what, (metric, value) in figures.items()
        )
    print(markdown_table(rows))


def anew(runtime: Runtime, clips: list[Clip]) -> Iterator[float]:
    """Each clip as the last of the window that goes through the whole network."""
    held: deque[Clip] = deque(maxlen=SEGMENTS)
    for clip in clips:
        held.append(clip)
        window = [np.stack(each)[None] for each in zip(*held, strict=True)]
        yield float(runtime(*window)[0][0, -1])


if __name__ == "__main__":
    main()
