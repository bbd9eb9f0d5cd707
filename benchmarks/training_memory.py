"""What keeping freed memory (``vadistill.devices``) brings to a training step on a CPU.

    python benchmarks/training_memory.py [--steps 5] [--out results.json]

Steps of random batches at the recipes' sizes: the auto-encoders of ``aed``, ``lite`` without and
with adversary at 360x240, and the teacher and the student of ``dakd``.  Each is timed in a process
of its own with the C library's defaults and in one that keeps freed memory, after two steps of
warm-up: seconds a step, and how many pages a step asks the system for.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from rows import Rows
from torch import nn

from vadistill.devices import autocast, keep_freed_memory
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import aed, dakd, fast_aed
from vadistill.systems.aed import training as aed_training
from vadistill.systems.aed.model import SIDE, VIEWS
from vadistill.systems.dakd.losses import ranking_loss
from vadistill.systems.dakd.model import Network
from vadistill.systems.dakd.training import optimiser
from vadistill.systems.fast_aed import training as student_training
from vadistill.systems.fast_aed.discriminator import Discriminator
from vadistill.systems.fast_aed.model import Student
from vadistill.systems.fast_aed.recipes import ALPHA

CPU = torch.device("cpu")

Step = Callable[[], object]


C = TypeVar("C", aed.Config, dakd.Config, fast_aed.Config)


def sized(config: C, batch: int | None) -> C:
    """Settings with so many items a batch, or their own."""
    return replace(config, batch=batch) if batch else config


def autoencoders(batch: int | None) -> Step:
    """T1's first phase: 64 normal and 64 pseudo-abnormal objects."""
    config = sized(aed.Config(), batch)
    networks, adversaries = aed_training.untrained(config)
    trained = nn.ModuleList([networks, adversaries])
    optimizer = torch.optim.Adam(trained.parameters(), config.learning_rate)

    def objects() -> dict[str, torch.Tensor]:
        views = {v: torch.rand(config.batch, c, SIDE, SIDE) * 2 - 1 for v, c in VIEWS.items()}
        return {v: x.contiguous(memory_format=torch.channels_last) for v, x in views.items()}

    normal, pseudo = objects(), objects()
    strength = dict.fromkeys(VIEWS, config.adversarial)

    def step() -> None:
        with autocast(CPU, config.precision):
            losses = aed_training.autoencoder_losses(
                networks, adversaries, normal, pseudo, strength
            )
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        optimizer.step()

    return step


def lite(alpha: float, batch: int | None) -> Step:
    """Distillation from two teachers: 16 windows of three frames, Ped2's size and resolutions."""
    config = replace(fast_aed.default(), resolutions=(1, 30, 60), alpha=alpha)
    config = sized(config, batch)
    student = Student(config.network, (240, 360))
    judges = nn.ModuleList(Discriminator.of(student.architecture) for _ in range(2 if alpha else 0))
    student_training.channels_last(nn.ModuleDict({"s": student, "d": judges})).train()
    optimizer = student_training.adam(student, config.learning_rate, config)
    judging = student_training.adam(judges, config.discriminator_rate, config) if alpha else None
    pixels = torch.randint(0, 256, (config.batch, 9, 240, 360), dtype=torch.uint8)
    windows = student_training.channels_last(pixels)
    sizes = student.architecture.sizes
    targets = [[torch.rand(config.batch, *size) for size in sizes] for _ in range(2)]

    def step() -> None:
        losses = student_training.distillation_losses(
            student, judges, judging, windows, targets, config, CPU
        )
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        optimizer.step()

    return step


def bags(*widths: int, batch: int | None) -> Step:
    """DAKD's network on 30 abnormal and 30 normal videos, with the ranking loss."""
    config = sized(dakd.paper(), batch)
    scorer = Network(widths)
    optimizer = optimiser(scorer, config)
    features = [torch.randn(config.batch, 32, width) for width in widths]

    def step() -> None:
        with autocast(CPU, config.precision):
            scores = scorer(features).scores
        parts = ranking_loss(scores[: config.batch // 2], scores[config.batch // 2 :])
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()

    return step


STEPS: dict[str, tuple[str, Callable[[int | None], Step]]] = {
    "aed": ("aed", autoencoders),
    "lite": ("fast_aed", lambda batch: lite(0.0, batch)),
    "lite, adversarial": ("fast_aed", lambda batch: lite(ALPHA, batch)),
    "teacher of three": ("dakd", lambda batch: bags(1024, 1024, 512, batch=batch)),
    "student": ("dakd", lambda batch: bags(512, batch=batch)),
}


def timed(name: str, steps: int, *, kept: bool, batch: int | None) -> tuple[float, float]:
    """Seconds and new pages a step, in this process."""
    if kept:
        keep_freed_memory()
    torch.manual_seed(0)
    step = STEPS[name][1](batch)
    for _ in range(2):
        step()
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = time.perf_counter()
    for _ in range(steps):
        step()
    seconds = (time.perf_counter() - start) / steps
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - pages) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="a step of two items")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    batch = 2 if arguments.smoke else None
    if arguments.smoke:
        arguments.steps = 1
    if arguments.one:
        found = timed(arguments.one, arguments.steps, kept=arguments.kept, batch=batch)
        print(json.dumps(found))
        return
    command = f"python benchmarks/training_memory.py --steps {arguments.steps}"
    facts = run_facts(device="cpu", command=command)
    rows = Rows(arguments.out)
    for name, (system, _) in STEPS.items():
        own = [sys.executable, __file__, "--steps", str(arguments.steps), "--one", name]
        own += ["--smoke"] if arguments.smoke else []
        default, kept = (
            json.loads(subprocess.run([*own, *more], check=True, stdout=subprocess.PIPE).stdout)
            for more in ([], ["--kept"])
        )
        for how, (seconds, pages) in (("defaults", default), ("kept", kept)):
            rows.add(
                of_measurement(
                    "ms",
                    round(1000 * seconds, 1),
                    system=system,
                    variant=f"{name}, {how}",
                    dataset="random",
                    note=f"a training step; {pages:.0f} new pages",
                    ratio_to=f"{seconds / default[0]:.2f} x defaults",
                    facts=facts,
                )
            )
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
