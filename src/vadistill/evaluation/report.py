"""A report to open: one HTML file with figures, curves, timelines, pictures and facts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from vadistill.datasets.base import Dataset
from vadistill.errors import DataError
from vadistill.evaluation.alignment import Aligned, align_dataset, check_lengths
from vadistill.evaluation.charts import roc_and_pr
from vadistill.evaluation.frame_level import Evaluation, Figure
from vadistill.evaluation.moments import KINDS, Moment, choose, with_pictures
from vadistill.evaluation.page import page, section, table
from vadistill.evaluation.protocol import Protocol
from vadistill.evaluation.timelines import (
    BySystem,
    clock,
    count,
    key,
    scored,
    scores_of,
    timelines,
)
from vadistill.files import replacing

MOMENTS = 3
"""Pictures of each kind and system."""


def write_report(
    path: Path,
    evaluation: Evaluation | Mapping[str, Evaluation] | None,
    dataset: Dataset,
    scores_by_system: BySystem,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write a self-contained HTML report, and its numbers as JSON; returns the JSON's path.

    Args:
        path: of the page; ``report.html`` has ``report.json`` beside it, another ``NAME.html`` has
            ``NAME.report.json``.
        evaluation: of the first system, of every system by name, or None for unlabelled video.
        dataset: clips whose frames are shown; labels and masks are drawn where they exist.
        scores_by_system: scores by clip name, by system; shown with the smoothing that they carry.
        facts: of the run (commit, seeds, device, wall time, …), shown as they are.

    Raises DataError when a scored video is not in the data set or has another number of labels,
    WeightsError when a file cannot be written.
    """
    path, facts = Path(path), dict(facts or {})
    _check(dataset, scores_by_system)
    evaluations = _named(evaluation, scores_by_system)
    moments = [m for s, v in scores_by_system.items() for m in choose(s, dataset, v, MOMENTS)]
    moments = with_pictures(moments, dataset, scores_by_system)
    title = f"{', '.join(scores_by_system)} on {dataset.name}"
    body = "\n".join(
        [
            f"<header><p class=soft>vadistill report</p><h1>{escape(title)}</h1>",
            f"<p>{escape(_summary(dataset, scores_by_system))}</p></header>",
            section("Figures", *_figures(evaluations)),
            section("Curves", *_curves(evaluations, dataset, scores_by_system)),
            section("Scores over time", *timelines(dataset, scores_by_system, moments)),
            section("Moments", *_pictures(moments, scores_by_system)),
            section("Run", _facts(facts)),
        ]
    )
    with replacing(path) as temporary:
        temporary.write_text(page(title, body), encoding="utf-8")
    beside = path.with_name("report.json" if path.stem == "report" else f"{path.stem}.report.json")
    machine = _machine_readable(evaluations, dataset, scores_by_system, moments, facts)
    with replacing(beside) as temporary:
        temporary.write_text(json.dumps(machine, indent=1, default=str) + "\n", encoding="utf-8")
    return beside


def _check(dataset: Dataset, scores_by_system: BySystem) -> None:
    clips = {clip.name: clip for clip in dataset}
    if not any(scores_by_system.values()):
        raise DataError("no scores", expected="scores of at least one video", fix="score a video")
    for scores in scores_by_system.values():
        for video, given in scores.items():
            if video not in clips:
                raise DataError(
                    f"scores of a video {video}",
                    expected=f"videos of data set {dataset.name}",
                    fix="pass the data set that was scored",
                )
            labels = clips[video].frame_labels
            if labels is not None:
                check_lengths(video, len(given), len(labels))


def _named(
    evaluation: Evaluation | Mapping[str, Evaluation] | None, scores_by_system: BySystem
) -> Mapping[str, Evaluation]:
    if isinstance(evaluation, Evaluation):
        return {next(iter(scores_by_system)): evaluation}
    return evaluation or {}


def _summary(dataset: Dataset, scores_by_system: BySystem) -> str:
    clips = scored(dataset, scores_by_system)
    frames = sum(len(next(scores_of(clip, scores_by_system))[1]) for clip in clips)
    words = f"{count(len(clips), 'video')}, {count(frames, 'frame')}"
    labels = [c.frame_labels for c in clips if c.frame_labels is not None]
    if not labels:
        return f"{words}, without labels"
    abnormal = sum(int(np.count_nonzero(y)) for y in labels)
    return f"{words}, {abnormal:,} of them abnormal"


# -- figures and curves --------------------------------------------------------------------------


def _figures(evaluations: Mapping[str, Evaluation]) -> list[str]:
    if not evaluations:
        return []
    with_paper = any(f.paper is not None for e in evaluations.values() for f in e.figures)
    header = ["system", "protocol", "%", "95 % interval", *["paper"] * with_paper, "measure"]
    rows = []
    for system, evaluation in evaluations.items():
        for figure in evaluation.figures:
            title = Protocol.parse(figure.protocol).title
            row = [system, figure.protocol, _percent(figure.value), _interval(figure)]
            rows.append([*row, *[_percent(figure.paper)] * with_paper, title])
    first = next(iter(evaluations.values()))
    notes = list(dict.fromkeys(note for e in evaluations.values() for note in e.notes))
    if first.resamples:
        notes.insert(0, f"intervals: {first.resamples} bootstrap resamples of the videos")
    lines = "".join(f"<p><small>{escape(note)}</small></p>" for note in notes)
    numeric = [name in ("%", "95 % interval", "paper") for name in header]
    return [table(header, rows, numeric), lines]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _interval(figure: Figure) -> str:
    if figure.low is None:
        return "–"
    return f"{_percent(figure.low)} – {_percent(figure.high)}"


def _curves(
    evaluations: Mapping[str, Evaluation], dataset: Dataset, scores_by_system: BySystem
) -> list[str]:
    """ROC and PR curves of the evaluated systems, on the form of the scores that was measured."""
    if not evaluations:
        return []
    data: dict[str, Aligned] = {}
    forms: dict[str, str] = {}
    for system, scores in scores_by_system.items():
        if system in evaluations:
            named = [Protocol.parse(f.protocol) for f in evaluations[system].figures]
            pooled = [p for p in named if not p.measure.startswith("macro")] or named
            data[system] = align_dataset(dataset, scores).map(pooled[0].apply)
            forms[system] = pooled[0].name.split("/", 1)[1]
    words = ", ".join(f"{form} ({system})" for system, form in forms.items())
    return [
        key(list(data)),
        f"<p><small>All frames together; scores: {escape(words)}.</small></p>",
        f'<div class="curves">{roc_and_pr(data)}</div>',
    ]


# -- pictures and facts --------------------------------------------------------------------------


def _pictures(moments: Sequence[Moment], scores_by_system: BySystem) -> list[str]:
    parts = [
        "<p><small>Boxes run from blue (calm) over yellow to red; the highest carries its score. "
        "Ground truth, where it has pixels, is outlined in pink.</small></p>"
    ]
    for system in scores_by_system:
        for kind, title in KINDS.items():
            chosen = [m for m in moments if (m.system, m.kind) == (system, kind)]
            if chosen:
                heading = f"{system}: {title[0].lower()}{title[1:]}"
                figures = "\n".join(map(_picture, chosen))
                parts.append(f'<h3>{escape(heading)}</h3><div class="moments">{figures}</div>')
    return parts if len(parts) > 1 else []


def _picture(moment: Moment) -> str:
    words = f"{moment.video}, {clock(moment.time)} (frame {moment.frame}), score {moment.score:.3g}"
    if moment.calibrated is not None:
        percent = math.floor(1000 * moment.calibrated) / 10  # 99.97 % is not all
        words += f", above {percent:g} % of normal training frames"
    alt = escape(f"{moment.kind} in {moment.video} at frame {moment.frame}")
    shown = '<div class="lost">the video could not be read again</div>'
    if moment.picture:
        shown = f'<img alt="{alt}" src="{escape(moment.picture)}">'
    return f"<figure>{shown}<figcaption>{escape(words)}</figcaption></figure>"


def _facts(facts: Mapping[str, Any]) -> str:
    items = []
    for name, value in facts.items():
        words = value if isinstance(value, str) else json.dumps(value, default=str)
        items.append(f"<dt>{escape(str(name))}</dt><dd>{escape(words)}</dd>")
    return f"<dl>{''.join(items)}</dl>" if items else ""


def _machine_readable(
    evaluations: Mapping[str, Evaluation],
    dataset: Dataset,
    scores_by_system: BySystem,
    moments: Sequence[Moment],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    def of_moment(m: Moment) -> dict[str, Any]:
        return {
            "kind": m.kind,
            "video": m.video,
            "frame": m.frame,
            "time": m.time,
            "score": m.score,
            "calibrated": m.calibrated,
        }

    systems = {
        system: {
            "evaluation": evaluations[system].to_json() if system in evaluations else None,
            "moments": [of_moment(m) for m in moments if m.system == system],
            "videos": {
                video: {
                    "frames": len(given),
                    "fps": given.fps,
                    "smoothing": given.smoothing.name,
                    "peak": float(given.values.max()) if len(given) else None,
                    "mean": float(given.values.mean()) if len(given) else None,
                }
                for video, given in scores.items()
            },
        }
        for system, scores in scores_by_system.items()
    }
    return {"dataset": dataset.name, "split": dataset.split, "facts": facts, "systems": systems}
