"""``vadistill compare``: runs side by side, with the paired bootstrap of their differences."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.cli.terminal import console, parse, plain, table

if TYPE_CHECKING:
    from vadistill.evaluation.comparison import Comparison

EXAMPLES = """
vadistill evaluate cafe.vad motion.vad --data UCSDped2/ --out runs/
vadistill compare runs/motion runs/cafe
vadistill compare runs/motion runs/cafe --protocol micro/raw rbdc
"""


def run(argv: list[str]) -> None:
    def compare(
        runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")],
        *,
        protocol: Annotated[tuple[str, ...], arg(metavar="NAMES")] = (),
        bootstrap: int = 1000,
        seed: int = 0,
        json: bool = False,
    ) -> None:
        """Compare runs that were measured by the same protocols on the same test set.

        The first run is the one that the others are compared with.  The interval of a difference
        comes from the same resamples of the videos for both runs.  Runs of different protocols are
        refused; naming --protocol measures all of them by it, from their raw scores.

        Args:
            runs: Folders that 'vadistill evaluate --out' wrote.
            protocol: Figures to compare, such as micro/average10; default those of the runs.
            bootstrap: Resamples of the videos.
            seed: Of the resamples.
            json: Print figures and differences as JSON, not as tables.
        """
        from vadistill.evaluation.comparison import compare, unique_names
        from vadistill.evaluation.runs import load_run

        loaded = unique_names([load_run(path) for path in runs], runs)
        found = compare(loaded, protocol, bootstrap=bootstrap, seed=seed)
        if json:
            print(json_format.dumps(found.to_json(), indent=2))
        else:
            show(found)

    parse(compare, argv, prog="vadistill compare", examples=EXAMPLES)


def show(found: Comparison) -> None:
    """Figures by protocol and run, each with its difference from the first run."""
    from vadistill.evaluation.measuring import interval, percent

    out = console()
    names = list(found.evaluations)
    first = found.evaluations[names[0]]
    gaps = {(d.protocol, d.run): d for d in found.differences}
    numbers = ("%", "95 % interval", "difference", "95 % interval ", "higher in")
    shown = table("protocol", "run", *numbers, numbers=numbers)
    for figure in first.figures:
        label = plain(first.full_name(figure))
        for name in names:
            own = found.evaluations[name][figure.protocol]
            gap = gaps.get((figure.protocol, name))
            words = ("–", "–", "–") if gap is None else gap.words
            shown.add_row(label, plain(name), percent(own.value), interval(own), *words)
            label = ""
    out.print(shown)
    notes = [
        f"differences are from {names[0]}; their intervals pair {first.resamples} bootstrap "
        "resamples of the videos; 'higher in' is the share of resamples with the higher figure"
    ]
    notes += dict.fromkeys(note for e in found.evaluations.values() for note in e.notes)
    for note in notes:
        out.print(f"[dim]{plain(note)}[/]")
