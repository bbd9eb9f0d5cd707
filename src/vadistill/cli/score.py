"""``vadistill score``: score videos; write tables, a report, annotated video."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.addresses import redacted_words
from vadistill.cli import complain, refuse_addresses, warn
from vadistill.cli.on_ray import check_workers
from vadistill.cli.outputs import check_ending, check_outputs
from vadistill.cli.prompting import ask, named
from vadistill.cli.score_archive import expanded, score_on_ray
from vadistill.cli.scored import show, table_at, write
from vadistill.cli.terminal import Device, Mask, console, parse, plain
from vadistill.errors import ConfigError, VadistillError
from vadistill.files import paths_in
from vadistill.score_tables import TABLE_FORMATS
from vadistill.scores import Scores, Smoothing

if TYPE_CHECKING:
    from vadistill.datasets import Video

EXAMPLES = """
vadistill score entrance.vad today.mp4
vadistill score entrance.vad today.mp4 --report today.html --video today_annotated.mp4
vadistill score entrance.vad monday.mp4 tuesday.mp4 --out week.parquet --smoothing causal10
vadistill score fights.vad today.mp4 --prompts "a fight, a fall, fire"
vadistill score today.mp4 --prompts "a fight, a fall, normal=people at their desks"
vadistill score entrance.vad 's3://bucket/monday/*.mp4' https://host/tuesday.mp4 --out week.csv
vadistill score entrance.vad 'archive/**/*.mp4' --ray --out scores/
"""


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
            videos: Video files, folders of them or of frames, patterns such as
                'archive/**/*.mp4', or addresses of stores and of the web, such as 's3://bucket/*.mp4'.
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
        places, videos = videos, expanded(videos)
        if ray is not None:
            form = smoothing, false_alarms_per_day, mask, device
            others = {"--report": report, "--video": video, "--prompts": prompts, "--clip": clip}
            what = model, videos, places, out, ray, workers
            return score_on_ray(*what, *form, others=others, words=argv)
        check_workers(workers)
        from vadistill.evaluation.facts import fit_facts, localiser_facts
        from vadistill.evaluation.runs import run_facts
        from vadistill.evaluation.scoring import all_at_hand, doubts, score_videos, smoothing_of
        from vadistill.evaluation.selftest import read_self_test
        from vadistill.systems import load
        from vadistill.systems.prompted import Prompted

        folder: Path | None = model
        if prompts is not None and not (model / "config.json").is_file():
            folder, videos = None, (model, *videos)
        sources, films = check(folder, videos, argv, out, report, video, smoothing, clip, mask)
        asked = ask(prompts, clip, device)
        loaded = Prompted(asked) if asked and folder is None else load(model, device=device)
        form = Smoothing.parse(smoothing or smoothing_of(loaded))
        failures: list[VadistillError] = []
        scores: dict[str, Scores] = {}
        again = bool(report or films or asked)

        def begin(source: Video) -> None:
            for line in doubts(source, loaded):
                warn(line)

        def keep(raw: Scores) -> None:
            if asked is not None and folder is not None:
                raw = named(raw, sources, asked, false_alarms_per_day, failures)
            scores[raw.video] = raw.smooth(form)
            if rows is not None:
                rows.add(scores[raw.video])

        with contextlib.ExitStack() as held:
            if again:
                sources = held.enter_context(all_at_hand(sources, failures))
            with table_at(out, failures) as rows:
                scored = score_videos(
                    loaded,
                    sources,
                    "scoring",
                    failures=failures,
                    each=keep,
                    begin=begin,
                    maps=again,
                )
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
                shown = [video for video in sources if video.name in scores]
                write(shown, scores, report, films, facts, failures, false_alarms_per_day)
        for error in failures:
            complain(str(error))
        return 2 if failures else 0

    return parse(score, argv, prog="vadistill score", examples=EXAMPLES)


def check(
    model: Path | None,
    videos: Sequence[Path],
    words: Sequence[str],
    out: Path | None,
    report: Path | None,
    video: Path | None,
    smoothing: str | None,
    clip: Path | None = None,
    mask: Path | None = None,
) -> tuple[list[Video], dict[str, Path]]:
    """Find what is wrong with the request before hours are spent on it.

    ``words`` are the command's, as given.  Returns the videos, and where those that are annotated
    are written, by name.
    """
    from vadistill.datasets import split_of, stores
    from vadistill.datasets.places import check_strokes, is_file
    from vadistill.video import read_masks

    refuse_addresses("score", filter(None, (model, out, report, video, clip, mask)))
    if not videos:
        raise ConfigError("no video", expected="one or more videos", fix="name them after MODEL")
    check_strokes(filter(is_file, words))
    listed = stores.listed(list(dict.fromkeys(videos)), streams=True)
    given = stores.named(listed, streams=True)
    files: list[tuple[str, Path]] = []
    for option, path, allowed in (
        ("--out", out, TABLE_FORMATS),
        ("--report", report, (".html",)),
        ("--video", video if len(given) == 1 else None, (".mp4",)),
    ):
        if path is not None:
            check_ending(option, path, allowed)
            files.append((option, path))
    if video is not None and len(given) > 1 and video.suffix:
        raise ConfigError(
            f"one annotated video '{video.name}' of {len(given)} videos",
            expected="a folder",
            fix=f"pass --video {video.with_suffix('')}",
        )
    if smoothing is not None:
        Smoothing.parse(smoothing)
    found = list(split_of(given, "test").hiding(read_masks(mask)))
    films: dict[str, Path] = {}
    if video is not None and len(found) == 1:
        films = {found[0].name: video}
    elif video is not None:
        films = paths_in(video, [each.name for each in found], ".mp4")
        files += [("--video", path) for path in films.values()]
    here = [each for each in given if isinstance(each, Path)]
    check_outputs([*filter(None, (model, clip, mask)), *here], files=files)
    return found, films
