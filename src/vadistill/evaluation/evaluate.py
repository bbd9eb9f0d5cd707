"""Models measured on a labelled test set: every video scored, every figure taken."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.datasets import Dataset, Videos, split_of
from vadistill.datasets.footage import unlike
from vadistill.datasets.tracks import Tracks
from vadistill.detector import Detector
from vadistill.errors import ConfigError
from vadistill.evaluation.alignment import has_video_labels_only
from vadistill.evaluation.earlier import check_earlier, origin_of
from vadistill.evaluation.facts import fit_facts, localiser_facts, self_tests
from vadistill.evaluation.given import Files, as_given
from vadistill.evaluation.lost_frames import leave_out_lost
from vadistill.evaluation.measuring import Evaluation, check_measures, interval, measure, percent
from vadistill.evaluation.naming import name_all, named_precision
from vadistill.evaluation.protocol import REGION, Protocol, parsed
from vadistill.evaluation.region_files import read_track_folder
from vadistill.evaluation.runs import Run, is_located, run_facts, save_run, take
from vadistill.evaluation.scoring import Model, named_models, score_videos, smoothing_of
from vadistill.files import paths_in
from vadistill.progress import clock
from vadistill.scores import Scores
from vadistill.systems import load

if TYPE_CHECKING:
    from vadistill.backbones.prompts import Prompts


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """What models said of some videos and, where these have labels, the figures of it.

    Without labels there are neither runs nor figures: ``Results(dataset, {"cafe": scores})``.
    """

    dataset: Dataset
    scores: Mapping[str, Mapping[str, Scores]]
    """By model and video, smoothed as the model's settings say."""
    runs: Mapping[str, Run] = field(default_factory=dict)
    """Labels, raw scores and boxes, by model."""
    figures: Mapping[str, Evaluation] = field(default_factory=dict)
    """By model."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Device, command, commit, date, wall time, frames per second by model."""
    named: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    """mAP by IoU, by model whose events were named where labels name kinds (``named_events``)."""

    def save(self, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Keep each model's run in a sub-folder of its name, for ``compare``; returns these.

        Raises WeightsError when a file cannot be written, ConfigError for two of one name, and for
        a run of something else that is there, unless it is to ``overwrite`` that.
        """
        folders = paths_in(Path(folder), self.runs)
        if not overwrite:
            check_earlier({folders[name]: run.origin for name, run in self.runs.items()})
        for name, run in self.runs.items():
            save_run(replace(run, facts=self.facts), folders[name], self.figures.get(name))
        return list(folders.values())

    def to_json(self) -> list[dict[str, Any]]:
        """Every figure as plain JSON, with its model and data set."""
        of, by = {"dataset": self.dataset.name}, self.figures.items()
        return [{"model": n, **of, **asdict(f)} for n, e in by for f in e.figures] + [
            {"model": name, **of, "protocol": f"map@{iou:g}", "metric": "map", "value": value}
            for name, own in self.named.items()
            for iou, value in own.items()
        ]

    @property
    def summary(self) -> str:
        """The test set in a line."""
        if not self.figures:
            return f"{self.dataset.name}: {len(self.dataset)} videos, not measured"
        first = next(iter(self.figures.values()))
        abnormal = f"{first.abnormal_videos} videos"
        if first.abnormal_frames is not None:
            abnormal = f"{first.abnormal_frames:,}"
        return (
            f"{first.dataset}: {first.videos} test videos, {first.frames:,} frames, "
            f"{abnormal} abnormal"
        )

    @property
    def header(self) -> list[str]:
        """Columns of ``rows``."""
        return ["protocol", *(c for name in self.figures for c in (f"{name} %", f"95 % of {name}"))]

    @property
    def rows(self) -> list[list[str]]:
        """One row a protocol, with each model's figure and interval in per cent."""
        found = {name: {f.protocol: f for f in e.figures} for name, e in self.figures.items()}
        rows = []
        for protocol in dict.fromkeys(p for own in found.values() for p in own):
            row = [f"{self.dataset.name}/{protocol}"]
            for figure in (own.get(protocol) for own in found.values()):
                row += [percent(figure and figure.value), interval(figure)]
            rows.append(row)
        for iou in next(iter(self.named.values()), {}):
            each = (self.named.get(name, {}).get(iou) for name in self.figures)
            cells = (cell for value in each for cell in (percent(value), interval(None)))
            rows.append([f"{self.dataset.name}/map@{iou:g}", *cells])
        return rows

    @property
    def notes(self) -> list[str]:
        """What a reader must know to compare the figures, one line each."""
        notes = []
        if self.named:
            notes.append("map@IoU: of events as 'vadistill score' lists them, named by the prompts")
        if pace := self.facts.get("frames per second"):
            words = ", ".join(f"{name} {speed:.0f}" for name, speed in pace.items())
            notes.append(f"frames/s from decoding to score: {words}")
        for first in list(self.figures.values())[:1]:
            if first.resamples:
                notes.append(
                    f"intervals: 95 %, {first.resamples} bootstrap resamples of the videos"
                )
        return list(dict.fromkeys([*notes, *(n for e in self.figures.values() for n in e.notes)]))

    def __repr__(self) -> str:
        table = [self.header, *self.rows] if self.figures else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(f"{c:<{w}}" if not i else f"{c:>{w}}" for i, (c, w) in enumerate(cells))
            for cells in (list(zip(row, widths, strict=True)) for row in table)
        ]
        return "\n".join([self.summary, *lines])


def evaluate(
    models: Model | Sequence[Model] | Mapping[str, Model],
    dataset: Videos,
    protocols: Protocol | str | Sequence[Protocol | str] = (),
    *,
    tracks: str | Path | Mapping[str, Tracks] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    device: str = "auto",
    command: str = "vadistill.evaluate",
    out: str | Path | None = None,
    given: Files | Mapping[str, Files] | None = None,
    prompts: Prompts | None = None,
    overwrite: bool = False,
) -> Results:
    """Score the test videos of a data set and compare the scores with its labels.

    Args:
        models: fitted detectors or their folders, one or several, by name or with names made of
            their folders.
        dataset: a labelled test set, or the path of its data set.
        protocols: what to measure; the default is ``default_protocols``.
        tracks: by video, or a folder of published ones; they stand for the data set's own.
        bootstrap: resamples of the videos behind each 95 % interval; 0 for none.
        seed: of the resamples.
        device: on which folders are loaded: auto, cpu or cuda.
        command: what the facts say made the results.
        out: a folder that keeps each model's run as it ends, as ``Results.save`` does.
        given: scores of other methods, from their files, by name.
        prompts: what CLIP names the models' events by.
        overwrite: replace runs of other models, scores or videos that ``out`` holds.

    Raises DataError for absent labels, ConfigError for an unknown protocol and a run in the way,
    WeightsError for a folder that holds no model, VideoError.
    """
    started = time.monotonic()
    others = as_given(given)
    named = {} if others and not models else named_models(models)
    if both := sorted(set(named) & set(others)):
        raise ConfigError(
            f"a model and scores named {both[0]}",
            expected="different names",
            fix="name the scores, as --scores NAME=PATH",
        )
    folders = {} if out is None else paths_in(Path(out), [*named, *others])
    test = split_of(dataset, "test")
    loaded = {n: m if isinstance(m, Detector) else load(m, device=device) for n, m in named.items()}
    # A typo, or missing labels, should not cost the scoring of a whole test set.
    of_videos = has_video_labels_only(test)
    from_files = {name: each.on(test) for name, each in others.items()}
    if isinstance(tracks, str | Path):
        labels = {v.name: v.frame_labels for v in test if v.frame_labels is not None}
        infos = {v.name: v.open().info for v in test if v.name in labels}
        sizes = {name: (info.width, info.height) for name, info in infos.items() if info.width}
        frames = {name: len(y) for name, y in labels.items()}
        tracks = read_track_folder(Path(tracks), frames, sizes)
    wanted = tuple(protocol.on(test.name) for protocol in parsed(protocols))
    needs_boxes = any(protocol.measure in REGION for protocol in wanted)
    wanted = wanted or default_protocols(
        test, loaded.values(), located=True if tracks is not None else None
    )
    check_measures(wanted, test.name, of_videos=of_videos)
    _warn_of_others(loaded, test)
    origins = {name: origin_of(s, test, tracks) for name, s in {**loaded, **others}.items()}
    if folders and not overwrite:
        check_earlier({folders[name]: origin for name, origin in origins.items()})
    runs: dict[str, Run] = {}
    figures: dict[str, Evaluation] = {}
    scores: dict[str, Mapping[str, Scores]] = {}
    speeds: dict[str, float] = {}
    notes: list[str] = []
    facts: dict[str, Any] = {}
    named_maps: dict[str, Mapping[float, float]] = {}
    for name in [*loaded, *others]:
        if name in loaded:
            model = loaded[name]
            scored = score_videos(model, list(test), name)
            speeds[name] = round(scored.speed, 1)
            test, tracks, lost = leave_out_lost(test, scored.scores, tracks)
            raw, smoothing = scored.scores, smoothing_of(model)
            if prompts is not None:
                raw = name_all(raw, test, prompts)
                named_maps[name] = named_precision(raw, test)
        else:
            (raw, lost), smoothing = from_files[name], "raw"
        notes += lost
        scores[name] = {video: s.smooth(smoothing) for video, s in raw.items()}
        regions = True if needs_boxes else None
        run = take(test, raw, name=name, regions=regions, tracks=tracks)
        # A model without boxes has no region figures, unless they were asked for.
        kept = run.measurable(wanted)
        runs[name] = replace(run, protocols=tuple(kept), origin=origins.get(name, ""))
        figures[name] = measure(runs[name], kept, bootstrap=bootstrap, seed=seed, notes=notes)
        facts = {
            **run_facts(device=device, command=command),
            "wall time": clock(time.monotonic() - started),
            **({"frames per second": dict(speeds)} if speeds else {}),
            **{f"scores of {name}": str(each) for name, each in others.items()},
            **localiser_facts(loaded),
            **fit_facts(loaded, named),
            **self_tests(named),
        }
        if folders:  # what comes after may fail
            save_run(replace(runs[name], facts=facts), folders[name], figures[name])
    found = {name: own for name, own in named_maps.items() if own}
    return Results(test, scores, runs, figures, facts, found)


def _warn_of_others(models: Mapping[str, Detector], test: Dataset) -> None:
    """Log a line for each model that learned from footage of other sizes, rates or masks."""
    shown = [(video.open().info, video.hidden) for video in test]
    for name, model in models.items():
        found = (unlike(model.footage, info, hidden=hidden) for info, hidden in shown)
        lines = [line for line in found if line]
        if lines:
            many = f"{len(lines)} of {len(shown)} videos, " if len(shown) > 1 else ""
            logging.getLogger(__name__).warning("%s: %s%s", name, many, lines[0])


def default_protocols(
    test: Dataset, models: Iterable[Detector], *, located: bool | None = None
) -> tuple[Protocol, ...]:
    """All measures, with every model's own smoothing and raw, so that all can be compared.

    Region measures are among them where all abnormal videos have tracks or masks, or as
    ``located`` says.
    """
    labels = [video.frame_labels for video in test if video.frame_labels is not None]
    # Macro AUC needs a video that has both classes; a user's own test set may have none.
    macro = ("macro",) if any(0 < y.mean() < 1 for y in labels if len(y)) else ()
    kinds = ("micro", *macro, "ap", "eer") if labels else ("video",)
    forms = dict.fromkeys((*map(smoothing_of, models), "raw"))
    names = [f"{kind}/{form}" for form in forms for kind in kinds]
    if labels and (all(map(is_located, test)) if located is None else located):
        names += REGION
    return tuple(Protocol.parse(name).on(test.name) for name in names)
