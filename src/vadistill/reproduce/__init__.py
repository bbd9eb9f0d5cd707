"""The papers' tables and our own re-run, and every committed figure as a record.

Imports ``report``, ``evaluation``, the systems and what lies below them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from vadistill.errors import ConfigError, one_of
from vadistill.reproduce.options import OWN, SEEDS, Networks, Options

if TYPE_CHECKING:
    from vadistill.datasets import Splits
    from vadistill.reproduce.records import Record

__all__ = ["Networks", "Options", "reproduce"]


def papers() -> dict[str, Callable[[Splits, Options, str], list[Record]]]:
    """What runs the tables of each paper, and ``own``, that of the defaults."""
    from vadistill.reproduce import cafe, dakd, fast_aed, own

    return {
        "cafe": cafe.reproduce,
        "fast_aed": fast_aed.reproduce,
        "dakd": dakd.reproduce,
        "own": own.reproduce,
    }


def reproduce(paper: str, options: Options, *, command: str = "") -> list[Record]:
    """Fit and score the rows of a paper (or those named in ``only``), write records and a table.

    How rows are kept: see ``rows.run_rows``.  ``command`` is what the records say made them.
    Raises ConfigError for an unknown paper or row, or an option that the paper lacks, DataError.
    """
    from vadistill.reproduce.rows import labelled

    known = papers()
    run = known[one_of("paper", paper, known)]
    for field in fields(Options):
        having = OWN.get(field.name, (paper,))
        if paper not in having and getattr(options, field.name) != field.default:
            raise ConfigError(
                f"--{field.name} for {paper}",
                expected=f"it with {' or '.join(having)}",
                fix="leave it out",
            )
    options = replace(options, seeds=options.seeds or SEEDS.get(paper, (0,)))
    return run(labelled(options.data), options, command)
