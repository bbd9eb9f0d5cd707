"""Rows of a benchmark, shown and written as they are made: a run that ends early keeps its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vadistill.reproduce.records import Record, write_records


class Rows(list[Record]):
    """All rows so far; those of ``out`` that are measured anew are replaced there."""

    def __init__(self, out: Path | None) -> None:
        super().__init__()
        self._out = out

    def add(self, records: Record | Iterable[Record]) -> None:
        """Keep one row, or several."""
        made = [records] if isinstance(records, Record) else list(records)
        self += made
        for row in made:
            note = "  ".join(filter(None, (row.note, row.ratio_to)))
            name = row.protocol or row.metric
            print(f"{name:>20} {row.value:12.4g}  {row.system} {row.variant}  {note}", flush=True)
        if self._out and made:
            write_records(self._out, made)
