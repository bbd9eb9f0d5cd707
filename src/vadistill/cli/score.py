"""``vadistill score``: score videos; write tables, a report, annotated video."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from vadistill.addresses import redacted_words
from vadistill.cli import complain, refuse_addresses, warn
from vadistill.cli.on_ray import check_workers
from vadistill.cli.outputs import check_ending, check_outputs
from vadistill.cli.prompting import ask, named
from vadistill.cli.score_archive import expanded, score_on_ray
from vadistill.cli.terminal import Device, Mask, console, link, parse, plain, table
from vadistill.errors import ConfigError, VadistillError, VideoError, WeightsError
from vadistill.files import paths_in
from vadistill.progress import clock
from vadistill.score_tables import TABLE_FORMATS, ScoreTable
from vadistill.scores import Scores, Smoothing

if TYPE_CHECKING:
    from vadistill.datasets import Video
    from vadistill.detector import Detector

EXAMPLES = """
vadistill score entrance.vad today.mp4
vadistill score entrance.vad today.mp4 --report today.html --video today_annotated.mp4
vadistill score entrance.vad monday.mp4 tuesday.mp4 --out week.parquet --smoothing causal10
vadistill score fights.vad today.mp4 --prompts "a fight, a fall, fire"
vadistill score today.mp4 --prompts "a fight, a fall, normal=people at their desks"
vadistill score entrance.vad 'archive/**/*.mp4' --ray --out scores/
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
        mask: Mask = None,
        prompts: Annotated[str | None, arg(metavar="WORDS")] = None,
        clip: Annotated[Path | None, arg(metavar="PATH")] = None,
        device: Device = "auto",
        ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]")] = None,
        workers: int | None = None,
    ) -> int:
        """Score every frame of some videos and list the events in them.

        Rows are written as each video ends.  What is wrong with one costs that one, and is told
        at the end, with exit status 2.

        Args:
            model: A folder that 'vadistill fit' wrote; may be left out with --prompts.
            videos: Video files or folders of frames, or patterns such as 'archive/**/*.mp4'; with
                --ray also addresses of stores, such as 's3://bucket/*.mp4'.
            out: Table with one row a frame: .csv, .parquet or .json; with --ray the folder of a
                table a video.
            report: Write a self-contained page with timelines and pictures.
            video: Write the video with scored boxes and its score curve; a folder for several.
            smoothing: Of what the report, the table's column 'smoothed' and the annotated video
                show: raw, averageN, gaussianS or causalN; default as the model's settings say.
                Events go by raw scores.
            false_alarms_per_day: What the level of events is made for.
            prompts: Name each event by CLIP: words such as "a fight, fire=smoke", or the list
                ucf_crime or xd_violence; without MODEL, score by them alone, as a baseline.
            clip: Weights of CLIP for --prompts: a file, or a folder of Hugging Face's hub; default:
                OpenAI's ViT-B/16, downloaded.
            device: auto takes the GPU where there is one.
            ray: Score an archive on a Ray cluster: HOST:PORT, auto for the one that runs on this
                machine, or nothing for one of its own. A run again skips what is done.
            workers: With --ray, how many score at a time, of one core each; default: one a core.
        """
        videos = expanded(videos)
        if ray is not None:
            form = smoothing, false_alarms_per_day, mask, device
            others = {"--report": report, "--video": video, "--prompts": prompts, "--clip": clip}
            return score_on_ray(model, videos, out, ray, workers, *form, others=others, words=argv)
        check_workers(workers)
        from vadistill.evaluation.facts import fit_facts, localiser_facts
        from vadistill.evaluation.runs import run_facts
        from vadistill.evaluation.scoring import score_videos, smoothing_of
        from vadistill.evaluation.selftest import read_self_test
        from vadistill.systems import load
        from vadistill.systems.prompted import Prompted

        folder: Path | None = model
        if prompts is not None and not (model / "config.json").is_file():
            folder, videos = None, (model, *videos)
        sources, films = check(folder, videos, out, report, video, smoothing, clip, mask)
        asked = ask(prompts, clip, device)
        loaded = Prompted(asked) if asked and folder is None else load(model, device=device)
        form = Smoothing.parse(smoothing or smoothing_of(loaded))
        failures: list[VadistillError] = []
        sound = openable(sources, loaded, failures)
        scores: dict[str, Scores] = {}
        with table_at(out, failures) as rows:

            def keep(raw: Scores) -> None:
                if asked is not None and folder is not None:
                    raw = named(raw, sound, asked, false_alarms_per_day, failures)
                scores[raw.video] = raw.smooth(form)
                if rows is not None:
                    rows.add(scores[raw.video])

            maps = bool(report or films or asked)
            scored = score_videos(loaded, sound, "scoring", failures=failures, each=keep, maps=maps)
        for each in scores.values():
            show(each, false_alarms_per_day)
        if scores:
            console().print(f"[dim]{scored.frames:,} frames at {scored.speed:.1f} frames/s[/]")
            if out is not None and rows is not None and rows.whole:
                console().print(f"table   {plain(out)}", soft_wrap=True)
            command = shlex.join(["vadistill", "score", *redacted_words(argv)])
            facts = {
                **run_facts(device=device, command=command),
                **localiser_facts({loaded.name: loaded}),
                **(fit_facts({loaded.name: loaded}, {loaded.name: folder}) if folder else {}),
            }
            if folder is not None and (tested := read_self_test(folder)) is not None:
                facts["self-test"] = tested.words
            shown = [video for video in sound if video.name in scores]
            write(shown, scores, report, films, facts, failures, false_alarms_per_day)
        for error in failures:
            complain(str(error))
        return 2 if failures else 0

    return parse(score, argv, prog="vadistill score", examples=EXAMPLES)


def check(
    model: Path | None,
    videos: tuple[Path, ...],
    out: Path | None,
    report: Path | None,
    video: Path | None,
    smoothing: str | None,
    clip: Path | None = None,
    mask: Path | None = None,
) -> tuple[list[Video], dict[str, Path]]:
    """Find what is wrong with the request before hours are spent on it.

    Returns the videos, and where those that are annotated are written, by name.
    """
    from vadistill.datasets import split_of
    from vadistill.video import read_masks

    refuse_addresses("score", filter(None, (model, out, report, video, clip, mask)))
    if not videos:
        raise ConfigError("no video", expected="one or more videos", fix="name them after MODEL")
    videos = tuple(dict.fromkeys(videos))
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
    found = list(split_of(videos, "test").hiding(read_masks(mask)))
    films: dict[str, Path] = {}
    if video is not None and len(found) == 1:
        films = {found[0].name: video}
    elif video is not None:
        films = paths_in(video, [each.name for each in found], ".mp4")
        files += [("--video", path) for path in films.values()]
    check_outputs([*filter(None, (model, clip, mask)), *videos], files=files)
    return found, films


def openable(
    videos: Sequence[Video], model: Detector, failures: list[VadistillError]
) -> list[Video]:
    """The videos that can be opened, with a warning of each that is unlike the model's footage."""
    from vadistill.evaluation.scoring import doubts, of_video

    found = []
    for video in videos:
        try:
            lines = doubts(video, model)
        except VideoError as error:
            failures.append(of_video(video, error))
            continue
        found.append(video)
        for line in lines:
            warn(line)
    return found


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
