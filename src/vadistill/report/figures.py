"""The part of a report that holds its figures, with intervals and the papers' marks."""

from __future__ import annotations

from collections.abc import Mapping

from vadistill.evaluation.measuring import Evaluation, Figure
from vadistill.evaluation.protocol import Protocol
from vadistill.report.page import small, table


def figures(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """One row a protocol; several systems stand side by side."""
    if not evaluations:
        return []
    found = {s: {f.protocol: f for f in e.figures} for s, e in evaluations.items()}
    names = list(dict.fromkeys(protocol for by_name in found.values() for protocol in by_name))
    header = ["protocol"]
    columns: list[list[str]] = []
    for system, by_name in found.items():
        shown = [by_name.get(name) for name in names]
        header.append(system)
        columns.append([_words(f) for f in shown])
        if any(f is not None and f.paper is not None for f in shown):
            header.append(f"{system}, paper" if len(found) > 1 else "paper")
            columns.append([_percent(f.paper if f else None) for f in shown])
    first = next(iter(evaluations.values()))
    protocols = [Protocol.parse(name).on(first.dataset) for name in names]
    rows = [
        [str(protocol), *(column[i] for column in columns), protocol.title]
        for i, protocol in enumerate(protocols)
    ]
    notes = list(dict.fromkeys(note for e in evaluations.values() for note in e.notes))
    interval = f" (95 % interval: {first.resamples} bootstrap resamples of the videos)"
    notes.insert(0, "in per cent" + interval * bool(first.resamples))
    return [table([*header, "measure"], rows), *map(small, notes)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _words(figure: Figure | None) -> str:
    """Such as ``91.7 (81.9 – 97.2)``."""
    value = _percent(None if figure is None else figure.value)
    if figure is None or figure.low is None:
        return value
    return f"{value} ({_percent(figure.low)} – {_percent(figure.high)})"
