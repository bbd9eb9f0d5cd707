"""The row ``auto``: that of its candidates which the self-test prefers, without another fit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vadistill.datasets import Splits
from vadistill.datasets.holdout import hold_out
from vadistill.evaluation.auto import Said, chosen, trial_of
from vadistill.evaluation.selftest import Trial
from vadistill.files import content_hash, read_json, write_json
from vadistill.reproduce.options import Options
from vadistill.reproduce.records import Record
from vadistill.reproduce.rows import Row
from vadistill.systems import load
from vadistill.systems.blend import Blend

Candidates = Mapping[str, Row]
"""Fitted and scored rows by the names that ``auto`` has for them."""

SELF_TEST = "self-test"
"""Protocol of the figures that planted anomalies give."""


def auto_records(
    groups: Sequence[Candidates], records: Sequence[Record], splits: Splits, options: Options
) -> list[Record]:
    """What the self-test says of the rows, and for each group the figures of the one it prefers.

    ``records`` are those of the rows.  A finished choice is kept in the folder ``choices``.  Boxes
    of a file know nothing of plants: there is no choice on them.
    """
    by_row: dict[tuple[str, tuple[int, ...]], list[Record]] = {}
    for record in records:
        by_row.setdefault((record.variant, record.seeds), []).append(record)
    planted: list[Trial | str] = []
    said: dict[str, Said] = {}
    tested: dict[tuple[object, ...], Record] = {}
    made: list[Record] = []
    for rows in groups:
        boxes, seed = rows["motion"].config.localiser, rows["cafe"].seed
        if "boxes:" in boxes:
            continue
        key = content_hash(*(row.key(options.data) for row in rows.values()))
        path = options.out / "choices" / f"{key}.json"
        if not path.exists():
            planted = planted or [trial_of(*hold_out(splits.train))]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, _choice(rows, planted[0], said, options))
        told = read_json(path)
        own = {name: by_row[row.label, (row.seed,)] for name, row in rows.items()}
        for each in told["candidates"]:
            figures = _planted(each, own[each["name"]][0])
            tested |= {record.key: record for record in figures}
            own[each["name"]] = [*own[each["name"]], *figures]
        fitted = next(r.value for r in own["blend (mean)"] if r.metric == "fit_minutes")
        kept = own[told["kept"]]
        if told["kept"] == "motion":  # no less and no more than itself
            gaps = [record for record in own["cafe"] if record.metric == "above_motion"]
            kept = kept + [replace(gap, value=0.0, low=0.0, high=0.0) for gap in gaps]
        label = f"auto, {rows['motion'].label.partition(', ')[2]}"
        for record in kept:
            value = (
                fitted + told["seconds"] / 60 if record.metric == "fit_minutes" else record.value
            )
            note = f"kept {told['kept']}: {told['reason']}; {record.note}"
            made.append(
                replace(record, system="auto", variant=label, seeds=(seed,), value=value, note=note)
            )
    return [*tested.values(), *made]


def _choice(
    rows: Candidates, trial: Trial | str, said: dict[str, Said], options: Options
) -> dict[str, Any]:
    """What ``auto`` says of fitted rows, as plain JSON, with the seconds that it took.

    ``said`` has what ``motion`` says of the trial, by localiser: it is the same for all seeds.
    """
    started = time.monotonic()
    found = {
        name: load(row.folder(options.data, options.out), device=options.device)
        for name, row in rows.items()
    }
    blends = {name: model for name, model in found.items() if isinstance(model, Blend)}
    models = {name: model for name, model in found.items() if name not in blends}
    boxes = rows["motion"].config.localiser
    if not isinstance(trial, str) and boxes not in said:
        said[boxes] = Said.of(models["motion"], trial)
    known = {"motion": said[boxes]} if boxes in said else {}
    choice = chosen(models, blends, trial, known)
    return {"seconds": time.monotonic() - started, **choice.to_json()}


def _planted(candidate: Mapping[str, Any], record: Record) -> list[Record]:
    """The self-test's figures of a candidate; ``record`` is one of the same row."""
    plain = replace(record, low=None, high=None, paper=None, protocol=SELF_TEST)
    low, high = candidate["auc_low"], candidate["auc_high"]
    return [
        replace(plain, metric="auc", value=candidate["auc"], low=low, high=high),
        replace(plain, metric="found", value=candidate["found"]),
    ]
