"""Committed figures: one record each, in JSON files from which every table is generated.

A results file lists each run (device, command, commit and date) once, and on one line each the
records, which name their run by its number.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from vadistill.errors import DataError
from vadistill.evaluation.runs import RunFacts
from vadistill.files import read_json, replacing

if TYPE_CHECKING:
    from vadistill.evaluation.measuring import Figure

SHARES = frozenset(
    (
        *("auc", "ap", "pr_auc", "eer", "rbdc", "tbdc", "found", "false_alarms", "event_recall"),
        "equal_weights",
    )
)
"""Metrics in [0, 1], which tables show in per cent."""

DIFFERENCES = frozenset({"above_motion", "brought"})
"""Of two such metrics, in [-1, 1], which tables show in points of per cent, with a sign."""


@dataclass(frozen=True)
class Record:
    """One figure and everything that is needed to doubt, repeat or compare it."""

    __pydantic_config__: ClassVar = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

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

    @property
    def run(self) -> RunFacts:
        """What the record has in common with the others of its run."""
        return {
            "device": self.device,
            "command": self.command,
            "commit": self.commit,
            "date": self.date,
        }

    @classmethod
    def from_json(cls, values: object, *, where: str = "record") -> Record:
        """The inverse of ``to_json``; raises DataError that names ``where`` and the field."""

        def wrong(got: str, expected: str) -> DataError:
            return DataError(f"{where} {got}", expected=expected, fix="correct it or measure again")

        try:
            made = _RECORD.validate_json(json.dumps(values))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "it"
            got = {
                "missing": f"lacks '{name}'",
                "unexpected_keyword_argument": f"has a field '{name}'",
            }.get(first["type"], f"has {name} = {first['input']!r}")
            words = first["msg"][0].lower() + first["msg"][1:]
            raise wrong(got, words.removeprefix("input should be ")) from None
        if made.metric in SHARES and not 0 <= made.value <= 1:
            raise wrong(f"has {made.metric} = {made.value:g}", "a share between 0 and 1")
        if made.metric in DIFFERENCES and not -1 <= made.value <= 1:
            raise wrong(f"has {made.metric} = {made.value:g}", "a difference between -1 and 1")
        if made.low is not None and made.high is not None and made.low > made.high:
            raise wrong(f"has an interval from {made.low:g} to {made.high:g}", "low ≤ high")
        try:
            datetime.date.fromisoformat(made.date)
        except ValueError as error:
            raise wrong(f"has the date '{made.date}'", "YYYY-MM-DD") from error
        return made


_RECORD = TypeAdapter(Record)

RUN = tuple(RunFacts.__annotations__)
"""Fields of a record that its run has once."""


def load_records(path: Path) -> list[Record]:
    """The records of a results file; raises DataError."""
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as JSON ({error})",
            expected="a results file",
            fix="check the path, or write it with 'vadistill reproduce'",
        ) from error
    try:
        runs = [{name: run[name] for name in RUN} for run in values["runs"]]
        flat = [{**value, **runs[value["run"]]} for value in values["records"]]
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path} is no results file ({type(error).__name__}: {error})",
            expected=f"'runs' with {', '.join(RUN)}, and 'records' that name one by its number",
            fix="correct it or measure again",
        ) from error
    for value in flat:
        del value["run"]
    return [
        Record.from_json(value, where=f"record {i} of {path.name}") for i, value in enumerate(flat)
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
    runs: list[RunFacts] = []
    rows: list[dict[str, Any]] = []
    for record in merged.values():
        if record.run not in runs:
            runs.append(record.run)
        own = {name: value for name, value in record.to_json().items() if name not in RUN}
        rows.append({"run": runs.index(record.run), **own})
    with replacing(path) as temporary:
        text = f'{{"runs": {_lines(runs)}, "records": {_lines(rows)}}}\n'
        temporary.write_text(text, encoding="utf-8")
    return list(merged.values())


def _lines(values: Iterable[Mapping[str, Any]]) -> str:
    """A JSON list with one value a line."""
    return "[\n" + ",\n".join(json.dumps(v, ensure_ascii=False) for v in values) + "\n]"


def over_seeds(records: Sequence[Record]) -> list[Record]:
    """One record for all seeds of a measurement: mean and standard deviation of the values.

    ``low`` and ``high`` are the means of the seeds' bootstrap intervals (the spread over videos),
    ``seconds`` their sum, ``note`` all of theirs.  Records of a single seed stay as they are.
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
                note="; ".join(dict.fromkeys(r.note for r in same if r.note)),
            )
        )
    return made


def _mean(values: Sequence[float | None]) -> Any:
    return None if any(v is None for v in values) else float(np.mean(values))  # pyright: ignore


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
