"""Records of what ``vadistill evaluate`` kept, so that any method's runs stand in the tables."""

from __future__ import annotations

from pathlib import Path

from vadistill.errors import DataError
from vadistill.files import read_json
from vadistill.reproduce.records import RUN, Record, load_records

FILE = "run.json"
"""Of a run, in a folder of its name."""


def records_named(results: Path, name: str) -> list[Record]:
    """Those of ``results``/NAME.json, or the figures of the run ``results``/NAME.

    Raises DataError.
    """
    run = results / name / FILE
    file = results / f"{name}.json"
    return records_of(run) if run.is_file() and not file.exists() else load_records(file)


def records_of(path: Path) -> list[Record]:
    """The figures of a run, whose name is the system's; raises DataError.

    Seeds and seconds are not known of a run.
    """
    try:
        kept = read_json(path)
        facts = {name: kept["facts"][name] for name in RUN}
        rows = [
            {
                **{name: figure[name] for name in ("metric", "protocol", "value", "low", "high")},
                **{"paper": figure["paper"], "system": kept["name"], "variant": ""},
                **{"dataset": kept["dataset"], "seeds": [], "seconds": 0.0, **facts},
            }
            for figure in kept["evaluation"]["figures"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} has no figures ({type(error).__name__}: {error})",
            expected="a run that 'vadistill evaluate --out FOLDER' kept",
            fix="evaluate again",
        ) from error
    return [Record.from_json(row, where=f"figure {i} of {path}") for i, row in enumerate(rows)]
