"""Helpers that every training loop shares: seeds, device, precision, checkpoints, log, progress.

There is no trainer here: each system's loop stays visible in its own module.  All random draws of a
loop are functions of (seed, step), so a run that was killed and resumed repeats what an unbroken
run does.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vadistill.errors import WeightsError
from vadistill.files import read_safetensors, write_safetensors

T = TypeVar("T")
S = TypeVar("S")

AHEAD = 4
"""Batches that are made while a GPU is busy with those before, and threads that make them."""


def seeded_generator(seed: int, *stream: int) -> torch.Generator:
    """A CPU generator that depends on ``seed`` and the numbers of ``stream`` alone."""
    mixed = np.random.SeedSequence([seed, *stream]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]) << 31 ^ int(mixed[1]))


def epoch_batches(count: int, batch: int, *, seed: int, epoch: int) -> list[Tensor]:
    """Index batches of one epoch in the order that (seed, epoch) fixes; the last may be short."""
    order = torch.randperm(count, generator=seeded_generator(seed, epoch))
    return list(order.split(batch))


def prepared(
    make: Callable[[S], T], items: Iterable[S], device: torch.device
) -> Generator[T, None, None]:
    """``make`` of each item, in order; on a GPU threads make some of them ahead of their use.

    ``make`` depends on its item alone, so what it gives is the same on either device.
    """
    if device.type != "cuda":
        yield from map(make, items)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(AHEAD) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class RunLog:
    """A JSONL file with one object a line: every loss by name, with its step and the wall time.

    Lines after ``step`` are dropped on resume, so a log never holds a step twice.
    """

    def __init__(self, path: Path, *, resume_after: int = -1) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept: list[str] = []
        if path.exists():
            for line in path.read_text().splitlines():
                with contextlib.suppress(ValueError, KeyError):
                    if json.loads(line)["step"] <= resume_after:
                        kept.append(line)
        path.write_text("".join(line + "\n" for line in kept))
        self._start = time.monotonic()

    def write(self, step: int, **values: float | int | str) -> None:
        record = {"step": step, "seconds": round(time.monotonic() - self._start, 2), **values}
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


class Checkpoint:
    """Everything that a loop needs to go on, in one safetensors file that is replaced atomically.

    ``modules`` are named networks; the optimiser's tensors lie beside theirs.  ``save`` and
    ``load`` carry a dict of plain JSON values, such as the next epoch.  ``settings`` names the
    run: a checkpoint of another is refused.
    """

    def __init__(
        self,
        path: Path,
        modules: Mapping[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        *,
        settings: str,
    ) -> None:
        self.path, self.modules, self.optimizer = path, dict(modules), optimizer
        self.settings = settings

    def save(self, **position: Any) -> None:
        tensors: dict[str, Tensor] = {}
        for name, module in self.modules.items():
            for key, value in module.state_dict().items():
                tensors[f"{name}/{key}"] = value
        state = self.optimizer.state_dict()
        scalars: dict[str, Any] = {}
        for index, slot in state["state"].items():
            for key, value in slot.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{index}/{key}"] = value
                elif value is not None:
                    scalars[f"{index}/{key}"] = value
        meta = {
            "settings": self.settings,
            "position": position,
            "groups": state["param_groups"],
            "scalars": scalars,
        }
        write_safetensors(self.path, tensors, {"checkpoint": json.dumps(meta)})

    def load(self) -> dict[str, Any] | None:
        """Restore modules and optimiser; None when there is no checkpoint; raises WeightsError."""
        if not self.path.exists():
            return None
        tensors, metadata = read_safetensors(self.path)
        try:
            meta = json.loads(metadata["checkpoint"])
            if meta["settings"] != self.settings:
                raise ValueError("other settings or data")
            for name, module in self.modules.items():
                prefix = f"{name}/"
                module.load_state_dict(
                    {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
                )
            state: dict[int, dict[str, Any]] = {}
            for key, value in tensors.items():
                if key.startswith("optimizer/"):
                    _, index, slot = key.split("/")
                    state.setdefault(int(index), {})[slot] = value
            for key, value in meta["scalars"].items():
                index, slot = key.split("/")
                state.setdefault(int(index), {})[slot] = value
            self.optimizer.load_state_dict({"state": state, "param_groups": meta["groups"]})
        except (KeyError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{self.path} does not fit this run ({str(error).splitlines()[0]})",
                expected="a checkpoint of the same settings",
                fix="delete it to start again, or restore the settings it was made with",
            ) from error
        return meta["position"]
