"""Committed figures: one record each, in JSON lists from which every table is generated."""

from __future__ import annotations

import datetime
import json
import math
import os
import re
import shlex
import subprocess
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from vadistill import __version__
from vadistill.errors import DataError
from vadistill.files import write_json

if TYPE_CHECKING:
    from vadistill.evaluation.measuring import Figure

SHARES = frozenset({"auc", "ap", "pr_auc", "eer", "rbdc", "tbdc"})
"""Metrics in [0, 1], which tables show in per cent."""


@dataclass(frozen=True)
class Record:
    """One figure and everything that is needed to doubt, repeat or compare it."""

    system: str
    variant: str
    dataset: str
    metric: str
    """``auc``, ``ap``, ``eer``, … in [0, 1], or a speed: ``fps``, ``latency_ms``, …"""
    protocol: str
    """Such as ``micro/gaussian3``; empty for a speed."""
    value: float
    low: float | None
    high: float | None
    """95 % interval, or None."""
    paper: float | None
    """The published figure, in the same unit, or None."""
    seeds: tuple[int, ...]
    device: str
    """Such as ``cpu x2``."""
    seconds: float
    """Wall time of what made the figure."""
    command: str
    commit: str
    date: str
    """YYYY-MM-DD."""
    note: str = ""
    ratio_to: str | None = None
    """For a speed: what ran beside it, with the ratio."""
    std: float | None = None
    """Standard deviation over seeds, when there are several."""

    @property
    def key(self) -> tuple[object, ...]:
        """Records with equal keys are the same measurement; the newer replaces the older."""
        return (
            self.system,
            self.variant,
            self.dataset,
            self.metric,
            self.protocol,
            self.seeds,
            self.device,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; ``ratio_to`` and ``std`` only where they are known."""
        values = {**asdict(self), "seeds": list(self.seeds)}
        return {k: v for k, v in values.items() if v is not None or k not in ("ratio_to", "std")}

    @classmethod
    def from_json(cls, values: object, *, where: str = "record") -> Record:
        """The inverse of ``to_json``; raises DataError that names ``where`` and the field."""

        def wrong(got: str, expected: str) -> DataError:
            return DataError(f"{where} {got}", expected=expected, fix="correct it or measure again")

        if not isinstance(values, dict):
            raise wrong(f"is a {type(values).__name__}", "an object with the fields of a figure")
        known = {f.name: f for f in fields(cls)}
        required = [n for n, f in known.items() if f.default is MISSING]
        for name in values:
            if name not in known:
                raise wrong(f"has a field '{name}'", f"some of {', '.join(known)}")
        for name in required:
            if name not in values:
                raise wrong(f"lacks '{name}'", f"the fields {', '.join(required)}")
        for name, kind in typing.get_type_hints(cls).items():
            if name in values and not _fits(values[name], kind):
                raise wrong(f"has {name} = {values[name]!r}", _described(kind))
        made = cls(**{**values, "seeds": tuple(values["seeds"])})
        if made.metric in SHARES and not 0 <= made.value <= 1:
            raise wrong(f"has {made.metric} = {made.value:g}", "a share between 0 and 1")
        if made.low is not None and made.high is not None and made.low > made.high:
            raise wrong(f"has an interval from {made.low:g} to {made.high:g}", "low ≤ high")
        try:
            datetime.date.fromisoformat(made.date)
        except ValueError as error:
            raise wrong(f"has the date '{made.date}'", "YYYY-MM-DD") from error
        return made


def _fits(value: object, kind: Any) -> bool:
    if isinstance(kind, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(kind))
    if kind is types.NoneType:
        return value is None
    if isinstance(value, bool):
        return False
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, list | tuple) and all(type(seed) is int for seed in value)


def _described(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join(_described(option) for option in typing.get_args(kind))
    return {float: "a finite number", str: "text", types.NoneType: "null"}.get(
        kind, "a list of whole numbers"
    )


def load_records(path: Path) -> list[Record]:
    """The records of a results file; raises DataError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as JSON ({error})",
            expected="a results file",
            fix="check the path, or write it with 'vadistill reproduce'",
        ) from error
    if not isinstance(values, list):
        raise DataError(f"{path} is no list", expected="a list of records", fix="correct it")
    return [
        Record.from_json(value, where=f"record {i} of {path.name}")
        for i, value in enumerate(values)
    ]


def write_records(path: Path, records: Iterable[Record]) -> list[Record]:
    """Add records to a results file, replacing equal measurements in place; returns all of them.

    The file is replaced atomically.  Raises DataError for a damaged file or record, WeightsError
    when it cannot be written.
    """
    merged = {record.key: record for record in (load_records(path) if path.exists() else ())}
    for record in records:
        checked = Record.from_json(record.to_json(), where=f"the record of {record.system}")
        merged[checked.key] = checked
    write_json(path, [record.to_json() for record in merged.values()])
    return list(merged.values())


def over_seeds(records: Sequence[Record]) -> list[Record]:
    """One record for all seeds of a measurement: mean and standard deviation of the values.

    ``low`` and ``high`` are the means of the seeds' bootstrap intervals (the spread over videos),
    ``seconds`` their sum.  Records of a single seed are returned as they are.
    """
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(replace(record, seeds=()).key, []).append(record)
    made = []
    for same in groups.values():
        if len(same) == 1:
            made.append(same[0])
            continue
        made.append(
            replace(
                same[-1],
                value=_mean([r.value for r in same]),
                low=_mean([r.low for r in same]),
                high=_mean([r.high for r in same]),
                std=float(np.std([r.value for r in same], ddof=1)),
                seeds=tuple(seed for r in same for seed in r.seeds),
                seconds=sum(r.seconds for r in same),
            )
        )
    return made


def _mean(values: Sequence[float | None]) -> Any:
    return None if any(v is None for v in values) else float(np.mean(values))  # pyright: ignore


class RunFacts(TypedDict):
    """The fields of a Record that a run knows of itself."""

    device: str
    command: str
    commit: str
    date: str


def run_facts(*, device: str, command: str) -> RunFacts:
    """``device``, ``command``, ``commit`` and ``date`` of a run that goes on now.

    ``device`` is auto, cpu or cuda, and becomes ``cpu x2`` or the GPU's name.  Absolute paths in
    ``command`` become their last part, since they mean nothing elsewhere.
    """
    return {
        "device": device_name(device),
        "command": portable_command(command),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }


def of_figure(
    figure: Figure,
    *,
    system: str,
    variant: str,
    dataset: str,
    seed: int,
    seconds: float | int,
    facts: RunFacts,
    note: str = "",
) -> Record:
    """The record of a figure that was measured on labels."""
    return Record(
        system=system,
        variant=variant,
        dataset=dataset,
        metric=figure.metric,
        protocol=figure.protocol,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        paper=figure.paper,
        seeds=(seed,),
        seconds=seconds,
        note=note,
        **facts,
    )


def of_measurement(
    metric: str,
    value: float | int,
    *,
    system: str,
    variant: str,
    dataset: str,
    facts: RunFacts,
    seeds: tuple[int, ...] = (),
    seconds: float | int = 0.0,
    note: str = "",
    paper: float | int | None = None,
    ratio_to: str | None = None,
) -> Record:
    """The record of a speed, a size, a count: what no protocol and no interval belong to."""
    return Record(
        system=system,
        variant=variant,
        dataset=dataset,
        metric=metric,
        protocol="",
        value=value,
        low=None,
        high=None,
        paper=paper,
        seeds=seeds,
        seconds=seconds,
        note=note,
        ratio_to=ratio_to,
        **facts,
    )


def device_name(device: str) -> str:
    """``cpu x2`` (the cores that this process may use) or the GPU's name."""
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return f"cpu x{len(os.sched_getaffinity(0))}"


def portable_command(command: str) -> str:
    """``command`` with every absolute path cut to its last part."""
    folder = r"(^|[:=,])(?:~/|/(?!/))[^:=,]*?([^/:=,]+)/?(?=,|$)"
    return shlex.join(re.sub(folder, r"\1\2", word) for word in shlex.split(command))


def commit() -> str:
    """Short hash of the checkout this package runs from, ``-dirty`` when its code was changed.

    ``v`` and the version where it is installed without a checkout.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return f"v{__version__}"

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "src")
        return git("rev-parse", "--short", "HEAD") + "-dirty" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return f"v{__version__}"
