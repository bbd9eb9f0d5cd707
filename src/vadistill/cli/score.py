"""``vadistill score``: score videos; write tables, a report, annotated video."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.cli import complain
from vadistill.cli.outputs import check_ending, check_outputs
from vadistill.cli.terminal import Device, console, link, parse, plain, table
from vadistill.errors import ConfigError, VadistillError
from vadistill.files import paths_in
from vadistill.progress import clock
from vadistill.score_tables import TABLE_FORMATS, write_scores
from vadistill.scores import Scores, Smoothing

if TYPE_CHECKING:
    from vadistill.datasets import Video

EXAMPLES = """
vadistill score entrance.vad today.mp4
vadistill score entrance.vad today.mp4 --report today.html --video today_annotated.mp4
vadistill score entrance.vad monday.mp4 tuesday.mp4 --out week.parquet --smoothing causal10
"""

SHOWN_EVENTS = 12
"""Events that are printed for a video; all are in the report's timeline."""


def run(argv: list[str]) -> int:
    def score(
        model: Annotated[Positional[Path], arg(metavar="MODEL")],
        videos: Annotated[Positional[tuple[Path, ...]], arg(metavar="VIDEO...")],
        *,
        out: Annotated[Path | None, arg(metavar="FILE")] = None,
        report: Annotated[Path | None, arg(metavar="FILE.html")] = None,
        video: Annotated[Path | None, arg(metavar="FILE.mp4")] = None,
        smoothing: Annotated[str | None, arg(metavar="NAME")] = None,
        false_alarms_per_day: float = 1.0,
        device: Device = "auto",
    ) -> int:
        """Score every frame of some videos and list the events in them.

        Args:
            model: A folder that 'vadistill fit' wrote.
            videos: Video files or folders of frames.
            out: Table with one row a frame: .csv, .parquet or .json.
            report: Write a self-contained page with timelines and pictures.
            video: Write the video with scored boxes and its score curve; a folder for several.
            smoothing: raw, averageN, gaussianS or causalN; default as the model's settings say.
            false_alarms_per_day: Level of events: how many frames of normal footage may pass it.
            device: auto takes the GPU where there is one.
        """
        from vadistill.detector import unlike
        from vadistill.evaluation.evaluate import score_videos, smoothing_of
        from vadistill.systems import load

        sources, films = check(model, videos, out, report, video, smoothing)
        loaded = load(model, device=device)
        for source in sources:
            warning = unlike(loaded.footage, source.open().info)
            if warning:
                print(f"vadistill: warning: {warning}", file=sys.stderr)
        form = Smoothing.parse(smoothing or smoothing_of(loaded))
        # What was scored of other videos is written before a broken one is complained about.
        failures: list[VadistillError] = []
        scored = score_videos(loaded, sources, "scoring", failures=failures)
        if not scored.scores:
            raise failures[0]
        scores = {name: raw.smooth(form) for name, raw in scored.scores.items()}
        for name in scores:
            show(scores[name], false_alarms_per_day)
        console().print(f"[dim]{scored.frames:,} frames at {scored.speed:.1f} frames/s[/]")
        facts = {"device": device, "command": shlex.join(["vadistill", "score", *argv])}
        write(sources, scores, out, report, films, facts)
        for error in failures:
            complain(str(error))
        return 2 if failures else 0

    return parse(score, argv, prog="vadistill score", examples=EXAMPLES)


def check(
    model: Path,
    videos: tuple[Path, ...],
    out: Path | None,
    report: Path | None,
    video: Path | None,
    smoothing: str | None,
) -> tuple[list[Video], dict[str, Path]]:
    """Find what is wrong with the request before hours are spent on it.

    Returns the videos, and where those that are annotated are written, by name.
    """
    from vadistill.datasets import split_of

    if not videos:
        raise ConfigError("no video", expected="one or more videos", fix="name them after MODEL")
    files: list[tuple[str, Path]] = []
    for option, path, allowed in (
        ("--out", out, TABLE_FORMATS),
        ("--report", report, (".html",)),
        ("--video", video if len(videos) == 1 else None, (".mp4",)),
    ):
        if path is not None:
            check_ending(option, path, allowed)
            files.append((option, path))
    if video is not None and len(videos) > 1 and video.suffix:
        raise ConfigError(
            f"one annotated video '{video.name}' of {len(videos)} videos",
            expected="a folder",
            fix=f"pass --video {video.with_suffix('')}",
        )
    if smoothing is not None:
        Smoothing.parse(smoothing)
    found = list(split_of(videos, "test"))
    films: dict[str, Path] = {}
    if video is not None and len(found) == 1:
        films = {found[0].name: video}
    elif video is not None:
        films = paths_in(video, [each.name for each in found], ".mp4")
        files += [("--video", path) for path in films.values()]
    check_outputs([model, *videos], files=files)
    for each in found:
        each.open()
    return found, films


def show(scores: Scores, false_alarms_per_day: float) -> None:
    """The events of one video, the highest ones if there are many."""
    events = scores.events(false_alarms_per_day=false_alarms_per_day)
    out = console()
    many = f", the {SHOWN_EVENTS} highest of them" if len(events) > SHOWN_EVENTS else ""
    length = scores.times[-1] + 1 / scores.fps if len(scores) and scores.fps else 0.0
    plural = "" if len(events) == 1 else "s"
    out.print(
        f"[bold]{plain(scores.video)}[/]: {len(scores):,} frames, {clock(length)}, "
        f"{len(events)} event{plural} ({scores.smoothing.name}){many}"
    )
    if not events:
        return
    highest = sorted(events, key=lambda e: -e.peak)[:SHOWN_EVENTS]
    shown = table("start", "end", "frames", "peak", numbers=("start", "end", "frames", "peak"))
    for event in sorted(highest, key=lambda e: e.start):
        span = f"{event.first} – {event.last}"
        shown.add_row(clock(event.start), clock(event.end), span, f"{event.peak:.3g}")
    out.print(shown)


def write(
    videos: list[Video],
    scores: dict[str, Scores],
    out: Path | None,
    report: Path | None,
    films: dict[str, Path],
    facts: dict[str, str],
) -> None:
    """Write what was asked for, and say where it is."""
    print_to = console()
    scored = [video for video in videos if video.name in scores]
    if out is not None:
        write_scores(out, list(scores.values()))
        print_to.print(f"table   {plain(out)}", soft_wrap=True)
    if report is not None:
        from vadistill.datasets import Dataset
        from vadistill.evaluation.evaluate import Results
        from vadistill.evaluation.runs import run_facts
        from vadistill.report.report import write_report

        title = scored[0].name if len(scored) == 1 else f"{len(scored)} videos"
        system = next(iter(scores.values())).system
        dataset = Dataset(title, "test", tuple(scored))
        write_report(Results(dataset, {system: scores}, facts=run_facts(**facts)), report)
        print_to.print(f"report  {link(report)}", soft_wrap=True)
    if films:
        from vadistill.report.annotate import annotate

        for video in scored:
            path = films[video.name]
            annotate(video, scores[video.name], path)
            print_to.print(f"video   {link(path)}", soft_wrap=True)
