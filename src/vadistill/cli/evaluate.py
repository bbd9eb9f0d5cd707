"""``vadistill evaluate``: measure fitted models on a labelled test set."""

from __future__ import annotations

import json as json_format
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.cli.scoring import score_dataset
from vadistill.cli.terminal import Device, clock, console, interval, link, parse, share, table
from vadistill.errors import ConfigError

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.datasets.tracks import Tracks
    from vadistill.detector import Detector
    from vadistill.evaluation import Evaluation, Protocol, Run
    from vadistill.report.page import ReportTable
    from vadistill.scores import Scores

EXAMPLES = """
vadistill evaluate entrance.vad --data labelled/
vadistill evaluate cafe.vad motion.vad --data UCSDped2/ --report ped2.html
vadistill evaluate cafe.vad --data UCSDped2/ --protocol micro/average10 macro-pad/raw --json
vadistill evaluate cafe.vad motion.vad --data UCSDped2/ --out runs/
"""


def run(argv: list[str]) -> None:
    def evaluate(
        models: Annotated[Positional[tuple[Path, ...]], arg(metavar="MODEL...")],
        *,
        data: Annotated[Path, arg(metavar="PATH")],
        protocol: Annotated[tuple[str, ...], arg(metavar="NAMES")] = (),
        report: Annotated[Path | None, arg(metavar="FILE.html")] = None,
        out: Annotated[Path | None, arg(metavar="FOLDER")] = None,
        tracks: Annotated[Path | None, arg(metavar="FOLDER")] = None,
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
                'vadistill compare'.
            tracks: Published tracks for rbdc and tbdc, one file a video of track,frame,x1,y1,x2,y2
                (inclusive pixels); default: the data set's own, or derived from its masks.
            json: Print the figures as JSON, not as a table.
            device: auto takes the GPU where there is one.
        """
        from vadistill.datasets import open_dataset
        from vadistill.evaluation import measure, save_run
        from vadistill.evaluation.alignment import has_video_labels_only
        from vadistill.evaluation.facts import run_facts
        from vadistill.evaluation.measuring import check_measures
        from vadistill.report.report import write_report
        from vadistill.systems import load

        started = time.monotonic()
        paths = model_names(models)
        test = open_dataset(data).test
        loaded = {name: load(path, device=device) for name, path in paths.items()}
        # A typo, or missing labels, should not cost the scoring of a whole test set.
        of_videos = has_video_labels_only(test)
        true = read_tracks(tracks, test)
        wanted = chosen(protocol, test) or default_protocols(
            test, loaded.values(), regions=True if true is not None else None
        )
        check_measures(wanted, test.name, of_videos=of_videos)
        runs: dict[str, Run] = {}
        results: dict[str, Evaluation] = {}
        scores: dict[str, Mapping[str, Scores]] = {}
        speeds: dict[str, float] = {}
        for name, model in loaded.items():
            scored = score_dataset(model, test, name)
            scores[name], speeds[name] = smoothed(model, scored.scores), scored.speed
            runs[name] = taken(name, test, scored.scores, wanted, asked=bool(protocol), tracks=true)
            results[name] = measure(runs[name], runs[name].protocols)
        facts = {
            **run_facts(device=device, command=shlex.join(["vadistill", "evaluate", *argv])),
            "wall time": clock(time.monotonic() - started),
            "frames per second": {n: round(v, 1) for n, v in speeds.items()},
        }
        if out is not None:
            for name, kept in runs.items():
                save_run(replace(kept, facts=facts), out / Path(name).stem, results[name])
        if report is not None:
            tables = report_tables(runs, test, scores, wanted)
            write_report(report, results, test, scores, facts, tables=tables)
        if json:
            rows = [{"model": n, **asdict(f)} for n, e in results.items() for f in e.figures]
            print(json_format.dumps(rows, indent=2))
        else:
            show(results, speeds)
            if report is not None:
                console().print(f"report  {link(report)}", soft_wrap=True)
            if out is not None:
                told = " ".join(str(out / Path(name).stem) for name in runs)
                console().print(f"runs    {told}", soft_wrap=True)

    parse(evaluate, argv, prog="vadistill evaluate", examples=EXAMPLES)


def model_names(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Short names of models: the folder's stem where that is unique, else the whole path."""
    if not paths:
        raise ConfigError(
            "no model", expected="one or more model folders", fix="name them before --data"
        )
    stems = [p.stem for p in paths]
    return {p.stem if stems.count(p.stem) == 1 else str(p): p for p in paths}


def smoothing_of(model: Detector) -> str:
    """The smoothing that the model's settings name, ``raw`` where they name none."""
    return getattr(model.config, "smoothing", "raw")


def smoothed(model: Detector, scores: Mapping[str, Scores]) -> dict[str, Scores]:
    """The scores as the model's own protocol smooths them."""
    return {name: s.smooth(smoothing_of(model)) for name, s in scores.items()}


def chosen(names: tuple[str, ...], test: Dataset) -> tuple[Protocol, ...]:
    """The protocols of these names; raises ConfigError for a typo or another data set's."""
    from vadistill.evaluation import Protocol

    return tuple(Protocol.parse(name).on(test.name) for name in names)


def read_tracks(folder: Path | None, test: Dataset) -> dict[str, Tracks] | None:
    """Published tracks of the test set, where a folder of them is given; raises DataError."""
    from vadistill.evaluation.region_files import read_track_folder

    if folder is None:
        return None
    labels = {c.name: c.frame_labels for c in test if c.frame_labels is not None}
    return read_track_folder(folder, {name: len(y) for name, y in labels.items()})


def default_protocols(
    test: Dataset, models: Iterable[Detector], *, regions: bool | None = None
) -> tuple[Protocol, ...]:
    """All measures, with every model's own smoothing and raw, so that all can be compared.

    Region measures are among them where all abnormal clips have tracks or masks, or as
    ``regions`` says.
    """
    from vadistill.evaluation.runs import is_located

    labels = [clip.frame_labels for clip in test if clip.frame_labels is not None]
    # Macro AUC needs a video that has both classes; a user's own test set may have none.
    macro = ("macro",) if any(0 < y.mean() < 1 for y in labels if len(y)) else ()
    kinds = ("micro", *macro, "ap", "eer") if labels else ("video",)
    forms = dict.fromkeys((*map(smoothing_of, models), "raw"))
    located = bool(labels) and (all(map(is_located, test)) if regions is None else regions)
    named = [f"{kind}/{form}" for form in forms for kind in kinds]
    return chosen((*named, *(("rbdc", "tbdc") if located else ())), test)


def taken(
    name: str,
    test: Dataset,
    scores: Mapping[str, Scores],
    protocols: Sequence[Protocol],
    *,
    asked: bool = False,
    tracks: Mapping[str, Tracks] | None = None,
) -> Run:
    """A model's run with its protocols, less those that it has no boxes for unless asked for.

    Raises DataError.
    """
    from vadistill.evaluation import take
    from vadistill.evaluation.protocol import REGION

    needs = asked and any(p.measure in REGION for p in protocols)
    run = take(test, scores, name=name, regions=True if needs else None, tracks=tracks)
    kept = [p for p in protocols if run.regions is not None or p.measure not in REGION]
    return replace(run, protocols=tuple(p.name for p in kept))


def report_tables(
    runs: Mapping[str, Run],
    test: Dataset,
    scores: Mapping[str, Mapping[str, Scores]],
    protocols: Sequence[Protocol],
) -> list[ReportTable]:
    """Operating points, AUC by kind of anomaly and, of several runs, their paired differences."""
    from vadistill.evaluation.comparison import paired_differences
    from vadistill.report import tables as made
    from vadistill.report.marks import marks_table

    found = {name: made.operate(run, test, scores[name]) for name, run in runs.items()}
    operating = {name: points for name, points in found.items() if points is not None}
    tables = [made.operating_table(operating), made.class_table(operating)] if operating else []
    if len(runs) > 1:
        shared = [p for p in protocols if all(p.name in run.protocols for run in runs.values())]
        tables.append(made.difference_table(paired_differences(list(runs.values()), shared)))
    tables.append(marks_table(test.name))
    return [table for table in tables if table is not None]


def show(results: Mapping[str, Evaluation], speeds: Mapping[str, float]) -> None:
    """One row a protocol, and for every model its figure and interval, in per cent."""
    first = next(iter(results.values()))
    out = console()
    abnormal = first.abnormal_frames
    told = f"{abnormal:,}" if abnormal is not None else f"{first.abnormal_videos} videos"
    out.print(
        f"[bold]{first.dataset}[/]: {first.videos} test videos, {first.frames:,} frames, "
        f"{told} abnormal"
    )
    figures = {name: {f.protocol: f for f in e.figures} for name, e in results.items()}
    columns = [label for name in results for label in (f"{name} %", f"95 % of {name}")]
    shown = table("protocol", *columns, numbers=columns)
    for protocol in dict.fromkeys(p for own in figures.values() for p in own):
        cells = []
        for own in figures.values():
            figure = own.get(protocol)
            cells.append(share(figure.value if figure else None))
            cells.append(interval(figure.low, figure.high) if figure else "–")
        shown.add_row(f"{first.dataset}/{protocol}", *cells)
    out.print(shown)
    pace = ", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items())
    notes = [f"frames/s from decoding to score: {pace}"]
    if first.resamples:
        notes.append(f"intervals: 95 %, {first.resamples} bootstrap resamples of the videos")
    for note in dict.fromkeys([*notes, *(note for e in results.values() for note in e.notes)]):
        out.print(f"[dim]{note}[/]")
