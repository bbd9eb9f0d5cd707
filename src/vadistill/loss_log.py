"""The loss log: what training descended, by name, kept beside the model as ``training.jsonl``.

    {"stage": "student", "step": 10, "seconds": 1.52, "total": 0.41, "kd": 0.4, "ca": 0.1, "lo": 0}

One line each time that a stage logs, all stages of a fit in one file; TensorBoard gets the same.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from vadistill.errors import DataError, lacking
from vadistill.files import replacing

LOG = "training.jsonl"
"""The log's name, in a model's folder and in those of its training stages."""

_opened: ContextVar[list[Path] | None] = ContextVar("_opened", default=None)
_inside: ContextVar[tuple[str, ...]] = ContextVar("_inside", default=())
_board: ContextVar[Path | None] = ContextVar("_board", default=None)


class LossLog:
    """The lines of one stage in ``folder``'s log; those after ``resume_after`` are dropped.

    So a log never holds a step twice, however often its run was killed.
    """

    def __init__(self, folder: Path, stage: str, *, resume_after: int = -1) -> None:
        stage = "/".join((*_inside.get(), stage))
        self.path, self.stage = folder / LOG, stage
        folder.mkdir(parents=True, exist_ok=True)
        kept = [
            line
            for line in (_lines(self.path) if self.path.exists() else ())
            if line["stage"] != stage or line["step"] <= resume_after
        ]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        if (opened := _opened.get()) is not None:
            opened.append(self.path)
        self._writer = _summary_writer(stage, resume_after + 1)
        self._start = time.monotonic()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append a line."""
        seconds = round(time.monotonic() - self._start, 2)
        line = {"stage": self.stage, "step": step, "seconds": seconds, **values}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()


def losses_of(path: Path | str) -> dict[str, dict[str, Float64[np.ndarray, " n"]]]:
    """Logged values by stage and name, from a fitted model's folder or a log.

    ``losses_of("entrance.vad")["student"]["total"]`` goes with ``[…]["step"]``; NaN where a line
    lacks a name.  Raises DataError.
    """
    file = Path(path) / LOG if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise DataError(
            f"no loss log at {file}",
            expected="the folder of a model that was trained, or its training.jsonl",
            fix="check the path, or fit the model again",
        )
    stages: dict[str, list[dict[str, Any]]] = {}
    for line in _lines(file):
        stages.setdefault(line.pop("stage"), []).append(line)
    return {
        stage: {
            name: np.array([line.get(name, np.nan) for line in lines], np.float64)
            for name in dict.fromkeys(name for line in lines for name in line)
        }
        for stage, lines in stages.items()
    }


@contextlib.contextmanager
def inside(*names: str) -> Iterator[None]:
    """Stages that log inside are ``NAME/STAGE``, where a fit has several of one kind."""
    token = _inside.set((*_inside.get(), *names))
    try:
        yield
    finally:
        _inside.reset(token)


@contextlib.contextmanager
def opened_logs() -> Iterator[list[Path]]:
    """Yield a list that gets the path of each log opened inside, but for those of an inner call."""
    opened: list[Path] = []
    token = _opened.set(opened)
    try:
        yield opened
    finally:
        _opened.reset(token)


def join_logs(logs: Iterable[Path], folder: Path) -> None:
    """Put the logs of a fit's stages, one after the other, into a model's folder.

    Without any, as of a system that trains no network, a former fit's log is removed.
    """
    texts = [log.read_text() for log in dict.fromkeys(logs)]
    if not texts:
        (folder / LOG).unlink(missing_ok=True)
        return
    with replacing(folder / LOG) as temporary:
        temporary.write_text("".join(texts))


def adopt_log(model: Path, folder: Path, name: str) -> None:
    """Take over the log of a model that a fit is made of: its stages become ``NAME/STAGE``."""
    if not (model / LOG).exists():
        return
    lines = [{**line, "stage": f"{name}/{line['stage']}"} for line in _lines(model / LOG)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    if (opened := _opened.get()) is not None:
        opened.append(folder / LOG)


@contextlib.contextmanager
def tensorboard(folder: Path | None) -> Iterator[None]:
    """Write what is logged inside to TensorBoard, too, a run for each stage; None does nothing.

    Raises ConfigError without the package tensorboard.
    """
    if folder is not None:
        try:
            import tensorboard as _  # noqa: F401
        except ImportError as error:
            raise lacking("TensorBoard is not installed", "tensorboard") from error
    token = _board.set(folder)
    try:
        yield
    finally:
        _board.reset(token)


def _summary_writer(stage: str, first: int) -> Any:
    folder = _board.get()
    if folder is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder / stage, purge_step=first)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log: a kill may have cut the last one."""
    for text in path.read_text().splitlines():
        with contextlib.suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict) and {"stage", "step"} <= line.keys():
                yield line
