"""Workers of a Ray cluster, one task at a time each; a dead worker's task is done again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from vadistill.errors import ConfigError, in_a_line

ATTEMPTS = 4
"""Workers that a task may cost before it is given up: a kill is chance, four are its fault."""

PATIENCE = 60.0
"""Seconds after which it is said that no worker has begun."""

T = TypeVar("T")


class Lost(Generic[T]):
    """A task that was given up: each worker that had it died, the last one of ``reason``."""

    def __init__(self, task: T, reason: str) -> None:
        self.task, self.reason = task, reason


class Crew(Generic[T]):
    """Up to ``count`` actors that ``make`` makes, which have ``ready()`` and ``work(task)``.

    ``ready`` gives what keeps one from working, in words, or ''.  As a worker has one task, what
    runs and what waits for the driver never grows with the archive.
    """

    def __init__(self, make: Callable[[], Any], count: int) -> None:
        self._make, self._count = make, count
        self._running: dict[Any, tuple[Any, T | None]] = {}
        """By what will be there: the actor and its task, None while it begins."""
        self._idle: list[Any] = []
        self._attempts: dict[int, int] = {}
        self._failed = 0
        """Workers in a row that could not begin."""
        self.deaths = 0
        """Workers that died."""

    def results(self, tasks: deque[T]) -> Iterator[tuple[T, Any] | Lost[T]]:
        """Tasks as they end, in any order; ``tasks`` may be added to on the way.

        Raises ConfigError where no worker can begin.
        """
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import (  # pyright: ignore[reportMissingImports]
            RayError,
            RayTaskError,
        )

        try:
            while tasks or any(task is not None for _, task in self._running.values()):
                wanted = min(self._count, len(tasks) + self._busy)
                while len(self._running) + len(self._idle) < wanted:
                    self._begin()
                while tasks and self._idle:
                    actor, task = self._idle.pop(), tasks.popleft()
                    self._running[actor.work.remote(task)] = actor, task
                ended, _ = ray.wait(list(self._running), num_returns=1, timeout=PATIENCE)
                if not ended:
                    self._tell_waiting()
                    continue
                actor, task = self._running.pop(ended[0])
                try:
                    result = ray.get(ended[0])
                except RayTaskError:
                    raise  # a fault of ours: a worker gives what can go wrong as a result
                except RayError as error:
                    self.deaths += 1
                    if task is None:
                        self._count_failure(in_a_line(error))
                    elif self._again(task):
                        tasks.appendleft(task)
                    else:
                        yield Lost(task, in_a_line(error))
                    continue
                if task is None:
                    if result:
                        self._count_failure(result)
                        ray.kill(actor)
                        continue
                    self._failed = 0
                    self._idle.append(actor)
                    continue
                self._idle.append(actor)
                yield task, result
        finally:
            for actor in [*self._idle, *(actor for actor, _ in self._running.values())]:
                ray.kill(actor)

    @property
    def _busy(self) -> int:
        return sum(task is not None for _, task in self._running.values())

    def _begin(self) -> None:
        actor = self._make()
        self._running[actor.ready.remote()] = actor, None

    def _again(self, task: T) -> bool:
        """Whether a task whose worker died is worth another one."""
        self._attempts[id(task)] = self._attempts.get(id(task), 0) + 1
        return self._attempts[id(task)] < ATTEMPTS

    def _count_failure(self, reason: str) -> None:
        """Of a worker that could not begin: the others go on; raises ConfigError without any."""
        self._failed += 1
        if self._failed < ATTEMPTS:
            return
        if not (self._busy or self._idle):
            raise ConfigError(
                f"no worker could begin ({reason})",
                expected="the model and the videos at the same paths on every node, and vadistill"
                " of this version",
                fix="mount them there, or run without --ray",
            )
        self._count, self._failed = self._busy + len(self._idle), 0

    def _tell_waiting(self) -> None:
        if not self._busy and not self._idle:
            logging.getLogger(__name__).warning(
                "no worker has begun in %d seconds: the cluster's cores are taken", PATIENCE
            )
