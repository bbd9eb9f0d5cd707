"""What the training loops of all systems repeat: order, learning rate, checkpoint, log, progress.

    run = Run("student", folder, network, optimiser, epochs=12, order=shuffled(count, 256, seed=0))
    for step in run:
        losses = {"kd": …, "ca": …}
        run.minimise(losses)

There is no trainer here: each system's loop stays visible in its own module.  All random draws of a
loop are functions of (seed, step), so a run that was killed and resumed repeats what an unbroken
run does.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vadistill.batches import prepared
from vadistill.errors import DataError, WeightsError
from vadistill.files import read_safetensors, write_safetensors
from vadistill.loss_log import LossLog
from vadistill.progress import progress

T = TypeVar("T")
B = TypeVar("B")


@dataclass(frozen=True)
class Step(Generic[B]):
    """One step of a run; all numbers count from 0."""

    rows: B
    """What the run's order gives for this batch."""
    number: int
    """Among all steps of the run."""
    epoch: int
    epochs: int
    index: int
    """Among the ``count`` steps of its epoch."""
    count: int

    @property
    def first(self) -> bool:
        """Whether it begins its epoch."""
        return self.index == 0

    @property
    def last(self) -> bool:
        """Whether it ends its epoch."""
        return self.index + 1 == self.count

    @property
    def passed(self) -> float:
        """The part of the run that is over, from 0 to below 1."""
        return self.number / (self.epochs * self.count)


# -- learning rates --------------------------------------------------------------------------------

Schedule = Callable[[float, Step[Any]], float]
"""The learning rate of a step, from the one that the optimiser was made with."""


def constant(rate: float, step: Step[Any]) -> float:
    """The same rate throughout."""
    return rate


def cosine(rate: float, step: Step[Any]) -> float:
    """Down to zero along half a cosine."""
    return rate * (1 + math.cos(math.pi * step.passed)) / 2


def halving(every: int) -> Schedule:
    """Half the rate after so many epochs, again and again."""
    return lambda rate, step: rate * 0.5 ** (step.epoch // every)


def milestones(at: Sequence[float], *, decay: float, warm_up: float) -> Schedule:
    """Up from zero over ``warm_up`` epochs, then times ``decay`` at each part of the run."""

    def schedule(rate: float, step: Step[Any]) -> float:
        epoch = step.number / step.count
        if epoch < warm_up:
            return rate * (step.number + 1) / (warm_up * step.count)
        return rate * decay ** sum(epoch >= part * step.epochs for part in at)

    return schedule


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine}
"""Those that a config names."""


# -- the run ---------------------------------------------------------------------------------------


class Run(Generic[B]):
    """The steps of one training stage that are left to do, and all that is kept of them.

    ``order(epoch)`` gives an epoch's batches; a step's learning rates are ``schedule`` of those
    that the optimisers have now.  Of several optimisers, ``minimise`` steps the first.  After an
    epoch, but for those less than ``save_every`` seconds after the last one, network and optimisers
    are saved in ``folder``/``stage``.safetensors, from where a run that was killed goes on.
    Losses of every tenth step are logged (``log_every``; 0: the mean over each epoch).  ``cost`` of
    an epoch is what the time left counts it as.

    Raises WeightsError for a checkpoint of other ``settings`` (by default the folder's name).
    """

    def __init__(
        self,
        stage: str,
        folder: Path,
        network: nn.Module,
        *optimisers: torch.optim.Optimizer,
        epochs: int,
        order: Callable[[int], Sequence[B]],
        schedule: Schedule = constant,
        log_every: int = 10,
        save_every: float = 0.0,
        cost: Callable[[int], float] = lambda epoch: 1,
        settings: str = "",
    ) -> None:
        self.stage, self.network, self.optimisers = stage, network, optimisers
        self.epochs, self.order, self.schedule = epochs, order, schedule
        self.log_every, self.save_every, self.cost = log_every, save_every, cost
        self.settings = settings or folder.name
        self.epoch = self.step = 0
        self.facts: dict[str, Any] = {}
        """Plain JSON values that are saved with the checkpoint."""
        rates = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
        self.checkpoint = folder / f"{stage}.safetensors"
        if self.checkpoint.exists():
            self._load()
        groups = [group for optimiser in optimisers for group in optimiser.param_groups]
        self._rates = list(zip(groups, rates, strict=True))
        logged = self.step if log_every else self.epoch
        self.log = LossLog(folder, stage, resume_after=logged - 1)
        self._means: dict[str, float] = {}
        self._figures: dict[str, float] = {}
        self._note = ""

    def __iter__(self) -> Iterator[Step[B]]:
        for step, _ in self.batches(lambda step: None, torch.device("cpu")):
            yield step

    def batches(
        self, make: Callable[[Step[B]], T], device: torch.device
    ) -> Iterator[tuple[Step[B], T]]:
        """The steps with ``make`` of each, which on a GPU is made ahead (``prepared``)."""
        costs, saved = [self.cost(epoch) for epoch in range(self.epochs)], time.monotonic()
        with progress(self.stage, sum(costs)) as advance:
            advance(sum(costs[: self.epoch]))
            for epoch in range(self.epoch, self.epochs):
                self.network.train()
                batches = self.order(epoch)
                steps = [
                    Step(rows, self.step + index, epoch, self.epochs, index, len(batches))
                    for index, rows in enumerate(batches)
                ]
                for step, made in zip(steps, prepared(make, steps, device), strict=True):
                    for group, rate in self._rates:
                        group["lr"] = self.schedule(rate, step)
                    self.now = step
                    yield step, made
                    note = f"epoch {epoch + 1}/{self.epochs}{self._note}"
                    advance(costs[epoch] / len(steps), note=note)
                self.epoch, self.step = epoch + 1, self.step + len(steps)
                overdue = time.monotonic() - saved >= self.save_every
                if overdue or self.epoch == self.epochs:
                    self._save()
                    saved = time.monotonic()

    def minimise(self, losses: Mapping[str, Float[Tensor, ""]], **figures: float) -> None:
        """Step down the ``total`` of ``losses``, or their sum; log them, and figures beside them.

        Raises DataError when one is no number any more.
        """
        if "total" not in losses:
            losses = {"total": torch.stack(list(losses.values())).sum(), **losses}
        self.optimisers[0].zero_grad(set_to_none=True)
        losses["total"].backward()
        self.optimisers[0].step()
        step, self._figures = self.now, self._figures | figures
        due = self.log_every > 0 and step.number % self.log_every == 0
        if self.log_every == 0:
            for name, value in losses.items():
                self._means[name] = self._means.get(name, 0.0) + value.item() / step.count
            if step.last:
                self._write(step.epoch, self._means)
                self._means = {}
        elif due or step.last:
            values = {name: value.item() for name, value in losses.items()}
            self._check(values)
            if due:
                self._write(step.number, values)

    def note(self, **figures: float) -> None:
        """Log figures by themselves, such as an accuracy after an epoch."""
        self.log.write(self.now.number, figures)

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        self._check(values)
        self.log.write(step, {**values, **self._figures})
        self._figures, self._note = {}, f", loss {values['total']:.3g}"

    def _check(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                raise DataError(
                    f"stage '{self.stage}': the {name} loss is {value} "
                    f"in epoch {self.now.epoch + 1}",
                    expected="a finite loss",
                    fix="lower the learning rate, or scale the data",
                )

    # -- the checkpoint: all that the run needs to go on, replaced atomically ----------------------

    def _save(self) -> None:
        # Losses are of the weights before a step: what the last one made of them is seen here.
        for name, value in self.network.state_dict().items():
            if value.is_floating_point() and not value.isfinite().all():
                raise DataError(
                    f"stage '{self.stage}': weights of {name} are no numbers after epoch"
                    f" {self.epoch}",
                    expected="finite weights",
                    fix="lower the learning rate, or scale the data",
                )
        tensors = {f"network/{key}": value for key, value in self.network.state_dict().items()}
        groups, scalars = [], {}
        for number, optimiser in enumerate(self.optimisers):
            state = optimiser.state_dict()
            groups.append(state["param_groups"])
            for index, slots in state["state"].items():
                for key, value in slots.items():
                    name = f"{number}/{index}/{key}"
                    if isinstance(value, Tensor):
                        tensors[f"optimiser/{name}"] = value
                    elif value is not None:
                        scalars[name] = value
        meta = {
            "settings": self.settings,
            "position": [self.epoch, self.step],
            "facts": self.facts,
            "groups": groups,
            "scalars": scalars,
        }
        write_safetensors(self.checkpoint, tensors, {"checkpoint": json.dumps(meta)})

    def _load(self) -> None:
        tensors, metadata = read_safetensors(self.checkpoint)
        try:
            meta = json.loads(metadata["checkpoint"])
            if meta["settings"] != self.settings:
                raise ValueError("other settings or data")
            network, states = {}, [{} for _ in self.optimisers]
            for key, value in (tensors | meta["scalars"]).items():
                kind, _, name = key.partition("/")
                if kind == "network":
                    network[name] = value
                    continue
                number, index, slot = key.removeprefix("optimiser/").split("/")
                states[int(number)].setdefault(int(index), {})[slot] = value
            self.network.load_state_dict(network)
            for optimiser, state, groups in zip(
                self.optimisers, states, meta["groups"], strict=True
            ):
                optimiser.load_state_dict({"state": state, "param_groups": groups})
            (self.epoch, self.step), self.facts = meta["position"], meta["facts"]
        except (KeyError, IndexError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{self.checkpoint} does not fit this run ({str(error).splitlines()[0]})",
                expected="a checkpoint of the same settings",
                fix="delete it to start again, or restore the settings it was made with",
            ) from error
