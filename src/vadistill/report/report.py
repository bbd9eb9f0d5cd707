"""A report to open: one HTML file with figures, curves, timelines, pictures and facts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from vadistill.datasets.base import Dataset
from vadistill.drawing import HIGH, LOW, MAP_WEIGHT, MIDDLE, TRUTH, scale_of
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation.alignment import Aligned, align_dataset, check_lengths
from vadistill.evaluation.evaluate import Results
from vadistill.evaluation.measuring import Evaluation
from vadistill.evaluation.protocol import REGION, Protocol
from vadistill.files import replacing
from vadistill.report.events import found_and_missed, listed, shut
from vadistill.report.films import STEPS, plan, record
from vadistill.report.moments import Moment, Pictures, frames_of, gallery, pick
from vadistill.report.page import ReportTable, folded, page, section, small, table
from vadistill.report.tables import figures, tables_of
from vadistill.report.timelines import (
    BySystem,
    count,
    drawn_videos,
    key,
    lines,
    roc_and_pr,
    scored,
    scores_of,
    spans,
    timelines,
)
from vadistill.scores import Scores

__all__ = ["ReportTable", "write_report"]


def write_report(
    results: Results,
    path: str | Path,
    *,
    tables: Sequence[ReportTable] | None = None,
    false_alarms_per_day: float = 1.0,
) -> Path:
    """Write a self-contained HTML report, and its numbers as JSON; returns the JSON's path.

    It opens with the events, or with which of the labelled ones were found, and their pictures.
    The page holds small films of its videos: a click on a timeline shows that frame with boxes,
    map and true outline.  Its size hardly grows with the videos: long ones keep every k-th frame.

    Args:
        results: of ``evaluate``, or scores of unlabelled video.  Labels and masks are drawn where
            the data set has them, scores with the smoothing that they carry, facts as they are.
        path: of the page; ``report.html`` has ``report.json`` beside it, another ``NAME.html`` has
            ``NAME.report.json``.
        tables: further ones, each in a section of its own; the default is ``tables_of(results)``.
        false_alarms_per_day: that the level of events is for.

    Raises DataError when a scored video is not in the data set or has another number of labels,
    ConfigError for a table whose rows do not fit its header, WeightsError when a file cannot be
    written.
    """
    path = Path(path)
    dataset, scores_by_system, facts = results.dataset, results.scores, dict(results.facts)
    evaluations = results.figures
    _check(dataset, scores_by_system)
    if tables is None:
        tables = tables_of(results)
    _check_tables(tables)
    systems = list(scores_by_system)
    scales = [scale_of(list(scores.values())) for scores in scores_by_system.values()]
    rate = false_alarms_per_day
    moments = [m for s, v in scores_by_system.items() for m in pick(s, dataset, v, rate=rate)]
    marks = frames_of(moments)
    videos = drawn_videos(dataset, scores_by_system, set(marks))
    pictures = Pictures(moments, scores_by_system, dict(zip(systems, scales, strict=True)))
    stride, plans = plan(videos, scores_by_system, marks)
    films = record(videos, plans, scores_by_system, scales, pictures.see)
    moments = pictures.finished()
    measured, forms = _measured(evaluations, dataset, scores_by_system)
    data = {
        "systems": [
            {
                "name": n,
                "smoothing": _smoothing(scores_by_system[n]),
                "scale": s[:3],
                "words": s.names,
            }
            for n, s in zip(systems, scales, strict=True)
        ],
        "spans": spans(scores_by_system),
        "colours": {"levels": [LOW, MIDDLE, HIGH], "truth": TRUTH, "map": MAP_WEIGHT},
        "curves": roc_and_pr(measured),
        "curve_systems": [systems.index(name) for name in measured],
        "clips": lines(videos, scores_by_system, marks, rate),
        "films": films,
        "steps": STEPS,
        "stride": stride,
    }
    title = f"{', '.join(scores_by_system)} on {dataset.name}"
    total = len(scored(dataset, scores_by_system))
    labelled = any(video.frame_labels is not None for video in dataset)
    body = "\n".join(
        [
            f"<header><p class=soft>vadistill report</p><h1>{escape(title)}</h1>",
            f"<p>{escape(_summary(dataset, scores_by_system))}</p>",
            '<button id="theme" title="light or dark" aria-label="light or dark">◐</button>'
            "</header>",
            "<noscript><p>The charts and films of this page need JavaScript.</p></noscript>",
            section("Found and missed", *found_and_missed(dataset, scores_by_system, rate)),
            section("Events", *([] if labelled else listed(scores_by_system, rate))),
            section("Pictures", *gallery(moments, systems, videos)),
            section("Scores over time", *timelines(videos, scores_by_system, total)),
            section("Figures", *figures(evaluations)),
            *(section(t.title, _table(t), small(t.note)) for t in tables),
            section("Curves", *_curves(systems, forms)),
            section("Run", _facts(facts)),
        ]
    )
    with replacing(path) as temporary:
        temporary.write_text(page(title, body, data), encoding="utf-8")
    beside = path.with_name("report.json" if path.stem == "report" else f"{path.stem}.report.json")
    machine = _machine_readable(results, moments, tables)
    with replacing(beside) as temporary:
        temporary.write_text(json.dumps(machine, indent=1, default=str) + "\n", encoding="utf-8")
    return beside


def _table(given: ReportTable) -> str:
    return shut(table(given.header, given.rows), len(given.rows), "rows")


def _smoothing(scores: Mapping[str, Scores]) -> str:
    return ", ".join(sorted({s.smoothing.name for s in scores.values()}))


def _check_tables(tables: Sequence[ReportTable]) -> None:
    for given in tables:
        for number, row in enumerate(given.rows):
            if len(row) != len(given.header):
                raise ConfigError(
                    f"row {number} of table '{given.title}' has {len(row)} cells",
                    expected=f"{len(given.header)}, as its header has",
                    fix="fill it up with None",
                )


def _check(dataset: Dataset, scores_by_system: BySystem) -> None:
    known = {video.name: video for video in dataset}
    if not any(scores_by_system.values()):
        raise DataError("no scores", expected="scores of at least one video", fix="score a video")
    for scores in scores_by_system.values():
        for video, given in scores.items():
            if video not in known:
                raise DataError(
                    f"scores of a video {video}",
                    expected=f"videos of data set {dataset.name}",
                    fix="pass the data set that was scored",
                )
            labels = known[video].frame_labels
            if labels is not None:
                check_lengths(video, len(given), len(labels))


def _summary(dataset: Dataset, scores_by_system: BySystem) -> str:
    videos = scored(dataset, scores_by_system)
    frames = sum(len(next(scores_of(video, scores_by_system))[1]) for video in videos)
    words = f"{count(len(videos), 'video')}, {count(frames, 'frame')}"
    labels = [v.frame_labels for v in videos if v.frame_labels is not None]
    if not labels:
        return f"{words}, without labels"
    abnormal = sum(int(np.count_nonzero(y)) for y in labels)
    return f"{words}, {abnormal:,} of them abnormal"


# -- curves --------------------------------------------------------------------------------------


def _measured(
    evaluations: Mapping[str, Evaluation], dataset: Dataset, scores_by_system: BySystem
) -> tuple[dict[str, Aligned], dict[str, str]]:
    """Labels and scores of the evaluated systems in the form that was measured, and its name."""
    data: dict[str, Aligned] = {}
    forms: dict[str, str] = {}
    for system, scores in scores_by_system.items():
        if system in evaluations:
            named = [Protocol.parse(f.protocol) for f in evaluations[system].figures]
            pooled = [p for p in named if p.measure not in REGION]
            pooled = [p for p in pooled if not p.measure.startswith("macro")] or pooled
            form = pooled[0] if pooled else Protocol("micro")
            whole = align_dataset(dataset, scores).map(form.apply)
            data[system] = whole.by_video() if form.measure == "video" else whole
            forms[system] = form.name.split("/", 1)[1]
    return data, forms


def _curves(systems: Sequence[str], forms: Mapping[str, str]) -> list[str]:
    if not forms:
        return []
    words = ", ".join(f"{form} ({system})" for system, form in forms.items())
    return [
        key(systems),
        small(f"All frames together; scores: {words}."),
        '<div class="curves"><div class="curve" data-curve="roc"></div>'
        '<div class="curve" data-curve="pr"></div></div>',
    ]


# -- facts and numbers ---------------------------------------------------------------------------


def _facts(facts: Mapping[str, Any]) -> str:
    items, models = [], facts.get("models", {})
    for name, value in facts.items():
        if name != "models":
            items.append((str(name), escape(_words(value))))
    for name, fact in models.items():
        settings = fact.get("settings")
        known = {key: value for key, value in fact.items() if key != "settings"}
        more = folded("settings", f"<p>{escape(_words(settings))}</p>") if settings else ""
        items.append((f"model {name}", escape(_words(known)) + more))
    parts = (f"<dt>{escape(name)}</dt><dd>{content}</dd>" for name, content in items)
    return f"<dl>{''.join(parts)}</dl>" if items else ""


def _words(value: Any) -> str:
    """A fact for people: of a dict each entry, of others but text their JSON."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_words(inner)}" for key, inner in value.items())
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _machine_readable(
    results: Results, moments: Sequence[Moment], tables: Sequence[ReportTable]
) -> dict[str, Any]:
    def of_moment(m: Moment) -> dict[str, Any]:
        return {
            "kind": m.kind,
            "video": m.video,
            "frame": m.frame,
            "time": m.time,
            "score": m.score,
            "calibrated": m.calibrated,
            **({"reason": m.reason} if m.reason else {}),
            **({"name": m.name} if m.name else {}),
            **({"start": m.event.start, "end": m.event.end} if m.event else {}),
        }

    systems = {
        system: {
            "evaluation": results.figures[system].to_json() if system in results.figures else None,
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
        for system, scores in results.scores.items()
    }
    return {
        "dataset": results.dataset.name,
        "split": results.dataset.split,
        "facts": dict(results.facts),
        "tables": [given.to_json() for given in tables],
        "systems": systems,
    }
