"""Figures of a run by named protocols, with intervals, and the papers' own: ``published.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vadistill.datasets.base import Dataset
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import bootstrap as resampling
from vadistill.evaluation.frame_level import FRAME_MEASURES
from vadistill.evaluation.protocol import REGION, Protocol, parsed
from vadistill.evaluation.region_level import region_curves, region_resamples
from vadistill.evaluation.runs import Run, take
from vadistill.progress import progress


@dataclass(frozen=True)
class Figure:
    """One measured figure with its 95 % bootstrap interval over videos."""

    protocol: str
    """Name of the protocol, such as ``micro/average10``."""
    metric: str
    """``auc``, ``ap``, ``pr_auc``, ``eer``, ``rbdc`` or ``tbdc``."""
    value: float
    """In [0, 1]."""
    low: float | None
    high: float | None
    """None without resamples, or with a single video to draw from."""
    videos_skipped: int = 0
    """Videos of one class that ``macro-skip`` left out."""
    resamples_skipped: int = 0
    """Resamples left out because they held one class only."""
    paper: float | None = None
    """The published figure to stand beside, in [0, 1]."""


@dataclass(frozen=True)
class Evaluation:
    """All figures of one system on one test set."""

    dataset: str
    figures: tuple[Figure, ...]
    videos: int
    frames: int
    abnormal_videos: int
    abnormal_frames: int | None
    """None where labels are of whole videos."""
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()
    """What a reader must know to compare the figures, one line each."""

    def __getitem__(self, protocol: str | Protocol) -> Figure:
        """The figure of a protocol; raises KeyError."""
        name = Protocol.parse(protocol).name
        for figure in self.figures:
            if figure.protocol == name:
                return figure
        raise KeyError(name)

    def full_name(self, figure: Figure) -> str:
        """Data set and protocol, such as ``ucsd_ped2/micro/gaussian3``."""
        return str(Protocol.parse(figure.protocol).on(self.dataset))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with every field."""
        return asdict(self)


def measure_scores(
    dataset: Dataset,
    scores: Mapping[str, Any],
    protocols: Protocol | str | Sequence[Protocol | str] = ("micro/raw",),
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    paper: Mapping[str, float] | None = None,
) -> Evaluation:
    """Measure the raw scores of every video of a labelled test set.

    Args:
        scores: by video name, a Scores or an array with one raw score a frame.
        protocols: what to measure; smoothing is applied here, from raw scores.
        bootstrap: resamples of the videos behind each 95 % interval; 0 for none.
        seed: of the resamples; all protocols see the same ones.
        paper: published figures in [0, 1] by protocol name.

    Raises DataError for absent labels or scores, unequal lengths (naming the video and both),
    scores that are not finite, a set of one class, region measures without boxes or tracks;
    ConfigError for an unknown protocol, or one of another data set.
    """
    named = [protocol.on(dataset.name) for protocol in parsed(protocols)]
    regions = any(p.measure in REGION for p in named)
    run = take(dataset, scores, regions=regions)
    strangers = set(scores) - set(run.frames.names)
    notes = []
    if strangers:
        notes.append(f"scores of {len(strangers)} videos that the test set lacks were not used")
    return measure(run, named, bootstrap=bootstrap, seed=seed, paper=paper, notes=notes)


def measure(
    run: Run,
    protocols: Protocol | str | Sequence[Protocol | str],
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    paper: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> Evaluation:
    """The figures of a run; arguments and errors as for ``measure_scores``."""
    named = list(dict.fromkeys(p.on(run.dataset) for p in parsed(protocols)))
    published = {Protocol.parse(name).name: value for name, value in (paper or {}).items()}
    if bootstrap < 0 or not named:
        raise ConfigError(
            f"{bootstrap} resamples and {len(named)} protocols",
            expected="0 or more resamples and at least one protocol",
            fix="correct them",
        )
    check_measures(named, run.dataset, of_videos=run.frames.of_videos)
    videos, found = len(run.frames), list(notes)
    if run.frames.of_videos:
        found.append("labels are of whole videos: nothing is measured of when something happens")
    drawn = None
    if bootstrap and videos > 1:
        drawn = resampling.draws(videos, bootstrap, seed)
    figures = []
    with progress("figures", len(named)) as advance:
        for protocol in named:
            figures.append(_figure(run, protocol, drawn, published.get(protocol.name)))
            advance(note=protocol.name)
    found += dict.fromkeys(note for protocol in named for note in protocol.caveats)
    for figure in figures:
        if figure.videos_skipped:
            found.append(
                f"{figure.protocol} leaves out {figure.videos_skipped} of {videos} videos, "
                "whose frames are of one class"
            )
        if figure.resamples_skipped:
            found.append(
                f"{figure.protocol}: {figure.resamples_skipped} of {bootstrap} resamples held one "
                "class only and were left out"
            )
    if bootstrap and drawn is None:
        found.append("no intervals: they are drawn over videos, and there is one")
    if any(protocol.measure in REGION for protocol in named):
        found += run.regions.notes if run.regions is not None else ()
    return Evaluation(
        dataset=run.dataset,
        figures=tuple(figures),
        videos=videos,
        frames=len(run.frames.all_labels),
        abnormal_videos=sum(bool(labels.any()) for labels in run.frames.labels),
        abnormal_frames=None if run.frames.of_videos else int(run.frames.all_labels.sum()),
        resamples=bootstrap if drawn is not None else 0,
        seed=seed,
        notes=tuple(found),
    )


def check_measures(protocols: Sequence[Protocol], dataset: str, *, of_videos: bool) -> None:
    """Raise DataError for a measure of frames where labels are of whole videos."""
    wrong = [protocol for protocol in protocols if of_videos and protocol.measure != "video"]
    if wrong:
        raise DataError(
            f"{wrong[0].name} of data set {dataset}, whose labels are of whole videos",
            expected="frame labels of every test video, or the measure video",
            fix=f"measure video/{wrong[0].smoothing.name}, or add frame labels",
        )


def value(run: Run, protocol: Protocol) -> float:
    """The figure of one protocol, in [0, 1]; raises DataError."""
    if protocol.measure in REGION:
        curves = region_curves(run.matches)
        return curves.rbdc if protocol.measure == "rbdc" else curves.tbdc
    return FRAME_MEASURES[protocol.measure].value(run.frames.map(protocol.apply))


def resamples(
    run: Run, protocol: Protocol, drawn: Int[np.ndarray, "r v"]
) -> Float[np.ndarray, " r"]:
    """The figure in each resample of the videos; NaN where the drawn ones have none."""
    if protocol.measure in REGION:
        rbdc, tbdc = region_resamples(run.matches, drawn)
        return rbdc if protocol.measure == "rbdc" else tbdc
    return FRAME_MEASURES[protocol.measure].resamples(run.frames.map(protocol.apply), drawn)


def _figure(
    run: Run, protocol: Protocol, drawn: Int[np.ndarray, "r v"] | None, paper: float | None
) -> Figure:
    found = value(run, protocol)
    skipped = 0
    if protocol.measure == "macro-skip":
        skipped = sum(len(np.unique(labels)) < 2 for labels in run.frames.labels)
    low, high, left_out = None, None, 0
    if drawn is not None:
        low, high, left_out = resampling.interval(resamples(run, protocol, drawn))
    return Figure(protocol.name, protocol.metric, float(found), low, high, skipped, left_out, paper)


def percent(value: float | None) -> str:
    """A figure in [0, 1] in per cent, or a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def interval(figure: Figure | None) -> str:
    """A figure's 95 % interval in per cent, or a dash."""
    if figure is None or figure.low is None or figure.high is None:
        return "–"
    return f"{percent(figure.low)} … {percent(figure.high)}"


@dataclass(frozen=True)
class Published:
    """What a paper reports of one row of its tables on one data set."""

    paper: str
    """The paper whose reproduction has the row: cafe, fast_aed or dakd; else ``others``."""
    dataset: str
    row: str
    """As the reproduction names it."""
    figures: Mapping[str, float]
    """In [0, 1] by measure, such as ``micro``, each under a smoothing of the paper's own."""
    title: str = ""
    """The method, for people, where it stands among those that reports list."""


def published(dataset: str) -> list[Published]:
    """All that is known of a data set."""
    return [figure for figure in _all() if figure.dataset == dataset]


def published_rows(paper: str, dataset: str, smoothing: str) -> dict[str, dict[str, float]]:
    """A paper's frame-level figures by row and protocol, under the smoothing that it used."""
    return {
        one.row: {f"{m}/{smoothing}": v for m, v in one.figures.items() if m not in REGION}
        for one in published(dataset)
        if one.paper == paper
    }


@cache
def _all() -> tuple[Published, ...]:
    text = (files("vadistill.evaluation") / "published.json").read_text(encoding="utf-8")
    return tuple(Published(**values) for values in json.loads(text))
