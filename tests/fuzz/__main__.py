"""Run the readers on many mutated inputs, in processes of their own, and keep the figures.

PYTHONPATH=src:tests python -m fuzz --inputs 10000 --seed 0 --out benchmarks/results/fuzz.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.inputs import READERS, SCHEDULE, fresh, try_input
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import Record, write_records

PART = 500
"""Inputs of one process: what it leaks is gone with it, and a crash of it costs no other."""
MEMORY = 12 << 30
"""Bytes of address space that a process may take."""


@dataclass
class Found:
    """What became of inputs."""

    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    """By reader."""
    faults: list[str] = field(default_factory=list)
    """A line each: the number, the reader and what went wrong."""
    seconds: float = 0.0


def run(seed: int, numbers: Sequence[int]) -> Found:
    """Judge inputs in processes, one after the other; one that ends in a signal is told."""
    found = Found({name: Counter() for name in READERS})
    began, left = time.monotonic(), list(numbers)
    while left:
        part, done = left[:PART], 0
        words = [sys.executable, "-m", "fuzz", "--seed", str(seed), "--judge"]
        with subprocess.Popen(
            [*words, *map(str, part)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what decoders complain of
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process:
            for line in process.stdout or ():
                number, reader, kind, text = json.loads(line)
                done += 1
                found.kinds[reader][kind] += 1
                if kind not in ("read", "refused"):
                    found.faults.append(f"{number} {reader} {kind}: {text}")
                    print(found.faults[-1], file=sys.stderr, flush=True)
        if done < len(part):
            reader = SCHEDULE[part[done] % len(SCHEDULE)].name
            found.kinds[reader]["crash"] += 1
            found.faults.append(f"{part[done]} {reader}: its process ended, {process.returncode}")
            done += 1
        left = left[done:]
    found.seconds = time.monotonic() - began
    return found


def judge_here(seed: int, numbers: Sequence[int]) -> None:
    """Print what became of each input as JSON, as soon as it is known."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in numbers:
        with fresh() as folder:
            reader, _, verdict = try_input(seed, number, folder)
            print(json.dumps([number, reader.name, *verdict]), flush=True)


def keep(found: Found, path: Path, command: str) -> None:
    """Add a record for each reader and outcome, and one for the seconds."""
    facts = run_facts(device="cpu", command=command)
    common = {"dataset": "", "protocol": "", "low": None, "high": None, "paper": None}
    rows = [
        (reader, metric, sum(kinds[kind] for kind in names))
        for reader, kinds in found.kinds.items()
        for metric, names in (
            ("inputs", tuple(kinds)),
            ("read", ("read",)),
            ("refused", ("refused",)),
            ("crashes", ("crash", "slow", "large")),
            ("silent", ("silent", "untold")),
        )
    ]
    rows.append(("all", "seconds", round(found.seconds)))
    records = [
        Record(
            system="readers",
            variant=reader,
            metric=metric,
            value=float(value),
            seeds=(0,),
            seconds=round(found.seconds, 1),
            **common,
            **facts,
        )
        for reader, metric, value in rows
    ]
    write_records(path, records)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--judge", type=int, nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge is not None:
        judge_here(given.seed, given.judge)
        return 0
    found = run(given.seed, range(given.first, given.first + given.inputs))
    for reader, kinds in found.kinds.items():
        print(f"{reader:<14}", *(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    print(f"{given.inputs} inputs in {found.seconds:.0f} s, {len(found.faults)} faults")
    if given.out is not None:
        keep(found, given.out, shlex.join(["python", "-m", "fuzz", *sys.argv[1:]]))
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
