"""Tables out of records, with the paper's figures beside ours; never typed by hand.

    python -m vadistill.reproduce.tables README.md docs/*.md [--check]

renews every block between ``<!-- results:NAME -->`` and ``<!-- /results -->`` from
``benchmarks/results/NAME.json``, or of several, NAME+OTHER; or, where --results has such a folder,
from the run NAME of ``evaluate``.  The opening mark takes a layout and filters behind the name,
such as ``<!-- results:cafe layout=wide dataset=ucsd_ped2 metric=auc -->``, on one line;
``a|b`` means either.  ``layout=ranked`` is for one metric of one protocol.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from vadistill.errors import DataError, VadistillError
from vadistill.files import replacing
from vadistill.reproduce.of_runs import records_named
from vadistill.reproduce.records import DIFFERENCES, SHARES, Record, over_seeds

if TYPE_CHECKING:
    from rich.table import Table

Layout = Literal["long", "wide", "ranked"]

RESULTS = Path("benchmarks/results")
UNITS = {
    "fps": "frames/s",
    "latency_ms": "ms",
    "events_per_s": "events/s",
    "clips_per_s": "clips/s",
    "ms_per_clip": "ms/clip",
    "gmacs_per_clip": "GMAC/clip",
    "false_alarms": "false alarms",
    "fit_minutes": "minutes of fit",
    "event_recall": "event recall",
    "above_motion": "points above motion",
    "brought": "points brought",
    "largest_weight": "largest weight, x 1/n",
    "logit_deviation": "deviation of logits",
    "equal_weights": "weights equal to 1/n",
    "p95_motion": "95 % of normal objects' P(abnormal motion)",
    "slowest_pseudo": "slowest pseudo-motion, x normal's 99 %",
    "adversarial_ratio": "adversarial losses, one way by the other",
    "irregularity_speed": "correlation of P(irregular) with speed",
    "target_normal": "median target of normal objects",
    "target_contrast": "that of abnormal ones by it",
    "largest_share": "largest difference, of the scores' range",
    "rank_correlation": "rank correlation",
    "megabytes": "MB",
    "auc_lost": "AUC points lost by the targets' scale",
}
LOWER = frozenset({"eer", "false_alarms", "equal_weights"})
"""Shares of which less is better, or neither."""
BLOCK = re.compile(
    r"(?P<open><!-- results:(?P<name>[\w.+-]+)(?P<options>[^>]*?) -->\n)(?P<body>.*?)"
    r"(?P<close><!-- /results -->)",
    re.DOTALL,
)


class Cells(NamedTuple):
    """A table as text."""

    header: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    """Whether a column is aligned to the right."""


def number(record: Record, value: float | None) -> str:
    """``value`` in the record's unit: per cent, or three digits; a dash for None."""
    if value is None:
        return "–"
    if record.metric in SHARES:
        return f"{100 * value:.1f}"
    if record.metric in DIFFERENCES:
        return f"{100 * value:+.1f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def measured(record: Record) -> str:
    """The value, with its deviation over seeds."""
    deviation = f" ± {number(record, record.std).lstrip('+')}" if record.std is not None else ""
    return number(record, record.value) + deviation


def spread(record: Record) -> str:
    """The 95 % interval, or a dash."""
    if record.low is None or record.high is None:
        return "–"
    return f"{number(record, record.low)} – {number(record, record.high)}"


def label(record: Record) -> str:
    """What the figure is: metric and protocol, with the unit of a speed."""
    name = UNITS.get(record.metric, record.metric.upper().replace("_", "-"))
    return f"{name} {record.protocol}".strip()


def cells(records: Sequence[Record], layout: Layout = "long") -> Cells:
    """The table's text: one figure a row (``long``), one system (``wide``), or the highest first
    (``ranked``)."""
    return {"wide": _wide, "long": _long, "ranked": _ranked}[layout](records)


def _ranked(records: Sequence[Record]) -> Cells:
    """Raises DataError for figures that have no order among each other."""
    kinds = sorted({f"{r.dataset} {label(r)}" for r in records})
    if len(kinds) > 1 or {r.metric for r in records} & LOWER or records[0].metric not in SHARES:
        raise DataError(
            f"a ranking of {', '.join(kinds)}",
            expected="one metric of one protocol on one data set, of which more is better",
            fix="name them in the mark: dataset=… metric=auc protocol=…",
        )
    header = ["", "system", "variant", kinds[0], "95 %", "seeds", "device"]
    ordered = sorted(records, key=lambda r: r.value, reverse=True)
    rows = [
        [
            str(1 + sum(other.value > r.value for other in ordered)),
            r.system,
            r.variant,
            measured(r),
            spread(r),
            ", ".join(map(str, r.seeds)) or "–",
            r.device,
        ]
        for r in ordered
    ]
    return Cells(header, rows, [name in ("", kinds[0], "95 %") for name in header])


def _long(records: Sequence[Record]) -> Cells:
    header = ["system", "variant", "data set", "figure", "ours", "95 %", "paper", "seeds"]
    header += ["device", "minutes"]
    rows = [
        [
            r.system,
            r.variant,
            r.dataset,
            label(r),
            measured(r) + (f" ({r.ratio_to})" if r.ratio_to else ""),
            spread(r),
            number(r, r.paper),
            ", ".join(map(str, r.seeds)) or "–",
            r.device,
            f"{r.seconds / 60:.1f}",
        ]
        for r in records
    ]
    return Cells(header, rows, [name in ("ours", "95 %", "paper", "minutes") for name in header])


def _wide(records: Sequence[Record]) -> Cells:
    columns = list(dict.fromkeys((r.dataset, label(r)) for r in records))
    systems = list(dict.fromkeys((r.system, r.variant) for r in records))
    found = {(r.system, r.variant, r.dataset, label(r)): r for r in records}
    header, with_paper = ["system", "variant"], set()
    for column in columns:
        header.append(" ".join(column))
        if any(r.paper is not None for r in records if (r.dataset, label(r)) == column):
            with_paper.add(column)
            header.append("paper")
    rows = []
    for system in systems:
        row = list(system)
        for column in columns:
            record = found.get((*system, *column))
            if record is None:
                row.append("–")
            else:
                known = record.low is not None
                row.append(measured(record) + (f" ({spread(record)})" if known else ""))
            if column in with_paper:
                row.append(number(record, record.paper) if record else "–")
        rows.append(row)
    return Cells(header, rows, [False, False] + [True] * (len(header) - 2))


def markdown_table(records: Sequence[Record], layout: Layout = "long") -> str:
    """A GitHub table of the records, ending in a newline."""
    table = cells(records, layout)

    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(t.replace("|", "\\|").replace("\n", " ") for t in texts) + " |\n"

    rule = ["--:" if numeric else "---" for numeric in table.numeric]
    return line(table.header) + line(rule) + "".join(map(line, table.rows))


def rich_table(records: Sequence[Record], layout: Layout = "long", title: str = "") -> Table:
    """The same table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = cells(records, layout)
    made = Table(title=title or None, title_justify="left")
    for name, numeric in zip(table.header, table.numeric, strict=True):
        made.add_column(name, justify="right" if numeric else "left")
    for row in table.rows:
        made.add_row(*map(Text, row))
    return made


def renew(text: str, results: Path, *, where: str = "the text") -> str:
    """``text`` with the body of every results block made again; raises DataError."""
    opened, whole = text.count("<!-- results:"), len(BLOCK.findall(text))
    if opened != whole or text.count("<!-- /results -->") != whole:
        raise DataError(
            f"{where} has {opened} opening and {text.count('<!-- /results -->')} closing marks",
            expected="<!-- results:NAME --> on a line of its own, closed by <!-- /results -->",
            fix="correct the marks",
        )

    def body(match: re.Match[str]) -> str:
        layout, filters = _options(match["options"], where)
        names = match["name"].split("+")
        found = [r for name in names for r in records_named(results, name)]
        latest = {r.key: r.date for r in sorted(found, key=lambda r: r.date)}
        records = [r for r in found if r.date == latest[r.key]]  # of what several files have
        kept = [
            r
            for r in records
            if all(str(getattr(r, k)) in v.split("|") for k, v in filters.items())
        ]
        if not kept:
            raise DataError(
                f"no record of {match['name']}.json is{match['options']}",
                expected="filters that some record meets",
                fix=f"correct the mark in {where}",
            )
        return f"{match['open']}\n{markdown_table(over_seeds(kept), layout)}\n{match['close']}"

    return BLOCK.sub(body, text)


def _options(text: str, where: str) -> tuple[Layout, dict[str, str]]:
    filters: dict[str, str] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        filters[name] = value
    layout = filters.pop("layout", "long")
    known = {field.name for field in fields(Record)} - {"value", "low", "high", "paper", "seeds"}
    wrong = [name for name in filters if name not in known]
    if layout not in get_args(Layout) or wrong:
        raise DataError(
            f"a results mark in {where} says '{text.strip()}'",
            expected="layout=long, wide or ranked, and filters such as dataset=NAME",
            fix="correct the mark",
        )
    return layout, filters  # pyright: ignore[reportReturnType]


def main(argv: Sequence[str] | None = None) -> int:
    """Renew or check the blocks of some documents; status 1 when one is stale, 2 for errors."""
    parser = argparse.ArgumentParser(
        prog="python -m vadistill.reproduce.tables",
        description="Renew the tables between results marks from benchmarks/results.",
    )
    parser.add_argument("documents", nargs="+", type=Path, metavar="DOCUMENT")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when stale")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results files")
    options = parser.parse_args(argv)
    stale = False
    try:
        for document in options.documents:
            try:
                before = document.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(
                    f"cannot read {document}", expected="a Markdown file", fix="check the path"
                ) from error
            after = renew(before, options.results, where=str(document))
            if before == after:
                continue
            stale = True
            if options.check:
                print(f"{document}: tables are stale; renew them without --check", file=sys.stderr)
            else:
                with replacing(document) as temporary:
                    temporary.write_text(after, encoding="utf-8")
                print(f"renewed {document}")
    except VadistillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
