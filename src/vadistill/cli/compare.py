"""``vadistill compare``: runs side by side, with the paired bootstrap of their differences."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.cli.terminal import console, parse, plain, table

if TYPE_CHECKING:
    from vadistill.evaluation.comparison import Comparison, VideoShare

EXAMPLES = """
vadistill evaluate cafe.vad motion.vad --data UCSDped2/ --out runs/
vadistill compare runs/motion runs/cafe
vadistill compare runs/motion runs/cafe --protocol micro/raw rbdc
vadistill compare runs/motion runs/cafe --protocol micro/gaussian3 --videos
"""


def run(argv: list[str]) -> None:
    def compare(
        runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")],
        *,
        protocol: Annotated[tuple[str, ...], arg(metavar="NAMES")] = (),
        bootstrap: int = 1000,
        seed: int = 0,
        videos: bool = False,
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
            videos: Also how each video's frames stand among all others, by run: which videos make a
                difference of the first micro AUC.
            json: Print figures and differences as JSON, not as tables.
        """
        from vadistill.evaluation.comparison import compare, unique_names, video_shares
        from vadistill.evaluation.runs import load_run

        loaded = unique_names([load_run(path) for path in runs], runs)
        found = compare(loaded, protocol, bootstrap=bootstrap, seed=seed)
        shares: list[VideoShare] = []
        by = ""
        if videos:
            figures = next(iter(found.evaluations.values())).figures
            micro = (f.protocol for f in figures if f.protocol.startswith("micro/"))
            by = next(micro, figures[0].protocol)
            shares = video_shares(loaded, by)
        if json:
            by_video = {"videos": [asdict(share) for share in shares]} if videos else {}
            print(json_format.dumps({**found.to_json(), **by_video}, indent=2))
        else:
            show(found)
            show_videos(shares, by)

    parse(compare, argv, prog="vadistill compare", examples=EXAMPLES)


def show(found: Comparison) -> None:
    """Figures by protocol and run, each with its difference from the first run."""
    from vadistill.evaluation.measuring import interval, percent
    from vadistill.evaluation.protocol import Protocol, smoothed

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
    protocols = [Protocol.parse(figure.protocol) for figure in first.figures]
    lower = any(protocol.metric == "eer" for protocol in protocols)
    better = "higher is better" + ", of eer alone lower" * lower
    words = {protocol.measure: protocol.title for protocol in protocols}
    words |= {p.smoothing.name: smoothed(p.smoothing) for p in protocols}
    notes = [
        f"differences are from {names[0]}, above 0 where the run has more: {better}",
        f"their intervals pair {first.resamples} bootstrap resamples of the videos; 'higher in' is "
        "the share of resamples with the higher figure",
        "; ".join(f"{name}: {said}" for name, said in words.items()),
    ]
    notes += dict.fromkeys(note for e in found.evaluations.values() for note in e.notes)
    for note in notes:
        out.print(f"[dim]{plain(note)}[/]")


def show_videos(shares: list[VideoShare], by: str) -> None:
    """Of each video what the runs have; where a run falls most behind the first comes first."""
    from vadistill.evaluation.measuring import percent

    if not shares:
        return
    names = list(shares[0].abnormal)
    columns = [f"{name}: {of}" for name in names for of in ("abnormal", "normal")]
    shown = table("video", *columns, numbers=tuple(columns))

    def lost(share: VideoShare) -> float:
        sides = [
            [v for v in side.values() if v is not None] for side in (share.abnormal, share.normal)
        ]
        return max(side[0] - min(side) for side in sides if side)

    for share in sorted(shares, key=lost, reverse=True):
        values = [side[name] for name in names for side in (share.abnormal, share.normal)]
        shown.add_row(plain(share.video), *("–" if v is None else percent(v) for v in values))
    out = console()
    out.print(shown)
    out.print(
        f"[dim]by {plain(by)} alone (the first micro AUC): % of pairs with any video's normal "
        "frames (abnormal) or abnormal frames (normal) that are the right way round[/]"
    )
