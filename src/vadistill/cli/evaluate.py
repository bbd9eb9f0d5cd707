"""``vadistill evaluate``: measure fitted models on a labelled test set."""

from __future__ import annotations

import json as json_format
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.cli.scoring import score_dataset
from vadistill.cli.terminal import Device, clock, console, interval, link, parse, share, table
from vadistill.errors import ConfigError

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.detector import Detector
    from vadistill.evaluation import Evaluation
    from vadistill.scores import Scores

EXAMPLES = """
vadistill evaluate entrance.vad --data labelled/
vadistill evaluate cafe.vad motion.vad --data UCSDped2/ --report ped2.html
vadistill evaluate cafe.vad --data UCSDped2/ --protocol micro/average10 macro-pad/raw --json
"""


def run(argv: list[str]) -> None:
    def evaluate(
        models: Annotated[Positional[tuple[Path, ...]], arg(metavar="MODEL...")],
        *,
        data: Annotated[Path, arg(metavar="PATH")],
        protocol: Annotated[tuple[str, ...], arg(metavar="NAMES")] = (),
        report: Annotated[Path | None, arg(metavar="FILE.html")] = None,
        json: bool = False,
        device: Device = "auto",
    ) -> None:
        """Score the test videos of a data set and compare the scores with its frame labels.

        Args:
            models: Folders that 'vadistill fit' wrote.
            data: A data set with labelled test videos.
            protocol: Figures to compute, such as micro/average10; default: micro, macro, ap and
                eer, smoothed as the model's settings say and raw.
            report: Write a self-contained page with curves, timelines and pictures.
            json: Print the figures as JSON, not as a table.
            device: auto takes the GPU where there is one.
        """
        from vadistill.datasets import open_dataset
        from vadistill.detector import load
        from vadistill.evaluation import Protocol, run_facts
        from vadistill.evaluation.report import write_report

        started = time.monotonic()
        for name in protocol:
            Protocol.parse(name)  # a typo should not cost the scoring of a whole test set
        paths = model_names(models)
        test = open_dataset(data).test
        loaded = {name: load(path, device=device) for name, path in paths.items()}
        results: dict[str, Evaluation] = {}
        scores: dict[str, Mapping[str, Scores]] = {}
        speeds: dict[str, float] = {}
        for name, model in loaded.items():
            scored = score_dataset(model, test, name)
            scores[name], speeds[name] = smoothed(model, scored.scores), scored.speed
            results[name] = measure(model, test, scored.scores, protocol)
        if report is not None:
            facts = {
                **run_facts(device=device, command=shlex.join(["vadistill", "evaluate", *argv])),
                "wall time": clock(time.monotonic() - started),
                "frames per second": {n: round(v, 1) for n, v in speeds.items()},
            }
            write_report(report, results, test, scores, facts)
        if json:
            rows = [{"model": n, **asdict(f)} for n, e in results.items() for f in e.figures]
            print(json_format.dumps(rows, indent=2))
        else:
            show(results, speeds)
            if report is not None:
                console().print(f"report  {link(report)}", soft_wrap=True)

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


def measure(
    model: Detector, test: Dataset, scores: Mapping[str, Scores], protocols: tuple[str, ...] = ()
) -> Evaluation:
    """Figures of one model; by default all measures, with the model's smoothing and raw."""
    from vadistill.evaluation import evaluate

    if not protocols:
        labels = [clip.frame_labels for clip in test if clip.frame_labels is not None]
        # Macro AUC needs a video that has both classes; a user's own test set may have none.
        macro = ("macro",) if any(0 < y.mean() < 1 for y in labels if len(y)) else ()
        kinds = ("micro", *macro, "ap", "eer")
        protocols = tuple(f"{k}/{s}" for s in (smoothing_of(model), "raw") for k in kinds)
    return evaluate(test, scores, protocols)


def show(results: Mapping[str, Evaluation], speeds: Mapping[str, float]) -> None:
    """One row a model and form of its scores, one column a measure, in per cent."""
    first = next(iter(results.values()))
    out = console()
    out.print(
        f"[bold]{first.dataset}[/]: {first.videos} test videos, {first.frames:,} frames, "
        f"{first.abnormal_frames:,} abnormal"
    )
    names = dict.fromkeys(f.protocol.split("/")[0] for e in results.values() for f in e.figures)
    columns = [f"{name} %" for name in names]
    shown = table("model", "scores", *columns, "frames/s", numbers=[*columns, "frames/s"])
    for model, result in results.items():
        speed = f"{speeds[model]:.0f}"
        forms = dict.fromkeys(f.protocol.split("/", 1)[1] for f in result.figures)
        for form in forms:
            figures = {f.protocol: f for f in result.figures}
            cells = []
            for name in names:
                figure = figures.get(f"{name}/{form}")
                cells.append(
                    f"{share(figure.value)} ({interval(figure.low, figure.high)})"
                    if figure
                    else "–"
                )
            shown.add_row(model, form, *cells, speed)
            model = speed = ""
    out.print(shown)
    notes = dict.fromkeys(note for e in results.values() for note in e.notes)
    intervals = f"in brackets: 95 % interval, {first.resamples} bootstrap resamples of the videos"
    for note in ([intervals] if first.resamples else []) + list(notes):
        out.print(f"[dim]{note}[/]")
