"""What ``vadistill score`` makes of scores: the growing table, lists of events, a report, films."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.cli import warn
from vadistill.cli.terminal import console, link, plain, table
from vadistill.errors import VadistillError, WeightsError
from vadistill.progress import clock
from vadistill.score_tables import ScoreTable
from vadistill.scores import Scores

if TYPE_CHECKING:
    from vadistill.datasets import Video

SHOWN_EVENTS = 12
"""Events that are printed for a video; all are in the report's timeline."""


@contextlib.contextmanager
def table_at(path: Path | None, failures: list[VadistillError]) -> Iterator[ScoreTable | None]:
    """The table to add rows to; that it could not be written is one of the failures."""
    if path is None:
        yield None
        return
    table = ScoreTable(path)
    try:
        with table:
            yield table
    except WeightsError as error:
        failures.append(error)
    except KeyboardInterrupt:
        if table.at.exists():
            warn(f"the videos that were scored are in {table.at}")
        raise


def show(scores: Scores, false_alarms_per_day: float) -> None:
    """The events of one video, the highest ones if there are many."""
    events = scores.events(false_alarms_per_day=false_alarms_per_day)
    out = console()
    many = f", the {SHOWN_EVENTS} highest of them" if len(events) > SHOWN_EVENTS else ""
    plural = "" if len(events) == 1 else "s"
    out.print(
        f"[bold]{plain(scores.video)}[/]: {len(scores):,} frames, {clock(scores.end)}, "
        f"{len(events)} event{plural}{many}"
    )
    if len(scores):
        level, most = scores.event_level(false_alarms_per_day), float(scores.raw.max())
        out.print(
            f"[dim]events open at a raw score of {level.on:.3g} ({level.note}); the highest is "
            f"{most:.3g}[/]",
            soft_wrap=True,
        )
    if not events:
        return
    highest = sorted(events, key=lambda e: -e.peak)[:SHOWN_EVENTS]
    numbers = ("start", "end", "frames", "peak")
    words = {"what": [e.name for e in highest], "why": [e.reason for e in highest]}
    told = [column for column, each in words.items() if any(each)]
    shown = table(*numbers, *told, numbers=numbers)
    for index, event in sorted(enumerate(highest), key=lambda each: each[1].start):
        span = f"{event.first} – {event.last}"
        row = clock(event.start), clock(event.end), span, f"{event.peak:.3g}"
        shown.add_row(*row, *(plain(words[column][index]) for column in told))
    out.print(shown)


def write(
    videos: list[Video],
    scores: dict[str, Scores],
    report: Path | None,
    films: dict[str, Path],
    facts: dict[str, Any],
    failures: list[VadistillError],
    false_alarms_per_day: float = 1.0,
) -> None:
    """Write the report and the annotated videos, and say where they are.

    One that fails is among the ``failures``, and costs no other.
    """
    print_to = console()
    if report is not None:
        from vadistill.datasets import Dataset
        from vadistill.evaluation.evaluate import Results
        from vadistill.report.report import write_report

        title = videos[0].name if len(videos) == 1 else f"{len(videos)} videos"
        system = next(iter(scores.values())).system
        dataset = Dataset(title, "test", tuple(videos))
        try:
            results = Results(dataset, {system: scores}, facts=facts)
            write_report(results, report, false_alarms_per_day=false_alarms_per_day)
            print_to.print(f"report  {link(report)}", soft_wrap=True)
        except VadistillError as error:
            failures.append(error)
    if films:
        from vadistill.evaluation.scoring import of_video
        from vadistill.report.annotate import annotate

        for video in videos:
            path = films[video.name]
            try:
                annotate(video, scores[video.name], path)
                print_to.print(f"video   {link(path)}", soft_wrap=True)
            except VadistillError as error:
                failures.append(of_video(video, error))
