"""``vadistill evaluate``: measure models, or any scores, on a labelled test set."""

from __future__ import annotations

import json as json_format
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.addresses import redacted_words
from vadistill.cli.outputs import check_ending, check_outputs
from vadistill.cli.prompting import ask
from vadistill.cli.terminal import Device, Mask, console, link, parse, plain, table
from vadistill.files import paths_in

if TYPE_CHECKING:
    from vadistill.evaluation.evaluate import Results

EXAMPLES = """
vadistill evaluate entrance.vad --data labelled/
vadistill evaluate cafe.vad motion.vad --data UCSDped2/ --report ped2.html
vadistill evaluate cafe.vad --data UCSDped2/ --protocol micro/average10 macro-pad/raw --json
vadistill evaluate cafe.vad motion.vad --data UCSDped2/ --out runs/
vadistill evaluate cafe.vad --data UCSDped2/ --scores theirs=scores.npy --level snippets:16
vadistill evaluate ucf.vad --data UCF_Crimes/ --prompts ucf_crime
"""


def run(argv: list[str]) -> None:
    def evaluate(
        models: Annotated[Positional[tuple[Path, ...]], arg(metavar="MODEL...")] = (),
        *,
        data: Annotated[Path, arg(metavar="PATH")],
        protocol: Annotated[tuple[str, ...], arg(metavar="NAMES")] = (),
        report: Annotated[Path | None, arg(metavar="FILE.html")] = None,
        out: Annotated[Path | None, arg(metavar="FOLDER")] = None,
        tracks: Annotated[Path | None, arg(metavar="FOLDER")] = None,
        scores: Annotated[tuple[str, ...], arg(metavar="NAME=PATH...")] = (),
        level: Annotated[tuple[str, ...], arg(metavar="LEVEL...")] = (),
        boxes: Annotated[tuple[str, ...], arg(metavar="NAME=FOLDER...")] = (),
        prompts: Annotated[str | None, arg(metavar="WORDS")] = None,
        clip: Annotated[Path | None, arg(metavar="PATH")] = None,
        mask: Mask = None,
        overwrite: bool = False,
        json: bool = False,
        device: Device = "auto",
    ) -> None:
        """Score the test videos of a data set and compare the scores with its labels.

        Args:
            models: Folders that 'vadistill fit' wrote.
            data: A data set with labelled test videos.
            protocol: Figures to compute, such as micro/average10; default: micro, macro, ap and
                eer, smoothed as the model's settings say and raw, and where boxes and masks or
                tracks are known, rbdc and tbdc. With labels of whole videos only: video.
            report: Write a self-contained page with curves, timelines and pictures.
            out: Keep each model's scores, boxes and figures in a sub-folder of its name, for
                'vadistill compare'; a run of another model or other videos is not replaced.
            tracks: Published tracks for rbdc and tbdc, one file a video of track,frame,x1,y1,x2,y2
                (inclusive pixels); default: the data set's own, or derived from its masks.
            scores: Scores of other methods, beside or instead of models: a .csv or .parquet of
                video,frame,score, a .npz by video, a folder with one .npy, .txt, .csv or .mat a
                video, or a .npy or .mat of all videos in order.
            level: What one of these scores is of: frame (the default), snippets:N (of N frames),
                segments:N (equal parts of a video) or windows:N (every N frames in a row, given to
                the last); one for all --scores, or one for each.
            boxes: Scored boxes of --scores, for rbdc and tbdc: folders with one file a video of
                frame,x1,y1,x2,y2,score (inclusive pixels).
            prompts: Name the models' events by CLIP, as for 'vadistill score', and measure their
                mAP at IoU where labels name kinds; without MODEL, measure the prompts alone.
            clip: Weights of CLIP for --prompts: a file, or a folder of Hugging Face's hub.
            overwrite: Replace such runs, too.
            json: Print the figures as JSON, not as a table.
            device: auto takes the GPU where there is one.
        """
        from vadistill.datasets import split_of
        from vadistill.evaluation.evaluate import evaluate, named_models
        from vadistill.evaluation.given import given_scores
        from vadistill.report.report import write_report
        from vadistill.systems.prompted import Prompted
        from vadistill.video import read_masks

        given = given_scores(scores, level, boxes)
        alone = prompts is not None and not models
        own = ["prompts"] if alone else [] if given and not models else list(named_models(models))
        names = [*own, *given]
        runs_of = {} if out is None else paths_in(out, names)
        if report is not None:
            check_ending("--report", report, (".html",))
        parts = ("", "tracks", "detections")
        folders = [] if out is None else [out]
        folders += [folder / part for folder in runs_of.values() for part in parts]
        others = [path for each in given.values() for path in each.paths]
        check_outputs(
            [*models, data, *filter(None, (tracks, clip, mask, *others))],
            files=[] if report is None else [("--report", report)],
            folders=[("--out", folder) for folder in folders],
        )
        command = shlex.join(["vadistill", "evaluate", *redacted_words(argv)])
        asked = ask(prompts, clip, device)
        results = evaluate(
            {"prompts": Prompted(asked)} if alone and asked else models,
            data if mask is None else split_of(data, "test").hiding(read_masks(mask)),
            protocol,
            tracks=tracks,
            device=device,
            command=command,
            out=out,
            given=given,
            prompts=asked,
            overwrite=overwrite,
        )
        runs = [] if out is None else results.save(out)
        if report is not None:
            write_report(results, report)
        if json:
            print(json_format.dumps(results.to_json(), indent=2))
            return
        show(results)
        if report is not None:
            console().print(f"report  {link(report)}", soft_wrap=True)
        if runs:
            console().print(f"runs    {' '.join(map(plain, runs))}", soft_wrap=True)

    parse(evaluate, argv, prog="vadistill evaluate", examples=EXAMPLES)


def show(results: Results) -> None:
    """One row a protocol, and for every model its figure and interval, in per cent."""
    out = console()
    name, rest = results.summary.split(":", 1)
    out.print(f"[bold]{plain(name)}[/]:{plain(rest)}")
    shown = table(*map(plain, results.header), numbers=[plain(c) for c in results.header[1:]])
    for row in results.rows:
        shown.add_row(*map(plain, row))
    out.print(shown)
    for note in results.notes:
        out.print(f"[dim]{plain(note)}[/]")
