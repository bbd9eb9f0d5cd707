"""Names for the events that a model found, and how well they fit labelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from vadistill.datasets import Dataset, Video
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.errors import VideoError
from vadistill.evaluation.named_events import NamedEvent, labelled_events, map_at_iou
from vadistill.events import Event
from vadistill.progress import progress
from vadistill.scores import Scores

if TYPE_CHECKING:
    from vadistill.backbones.prompts import Prompts


def name_events(
    scores: Scores, video: Video, prompts: Prompts, *, false_alarms_per_day: float | int = 1.0
) -> Scores:
    """The same scores, whose events have the names of the prompts that they are most like.

    CLIP sees four frames of each event, spread evenly over it, or its features are at hand.
    Raises VideoError, DataError for features without CLIP's.
    """
    events = scores.events(false_alarms_per_day=false_alarms_per_day)
    if not events:
        return scores
    shares = prompts.shares(_rows(video, events, prompts))
    frames = list(scores.frames)
    for event, row in zip(events, shares, strict=True):
        name = prompts.kinds[1 + int(row[1:].argmax())]
        for index in range(event.first, event.last + 1):
            frames[index] = replace(frames[index], name=name)
    return replace(scores, frames=frames)


def name_all(scores: Mapping[str, Scores], dataset: Dataset, prompts: Prompts) -> dict[str, Scores]:
    """``name_events`` for all videos of a set, but those whose events have names."""
    with progress("names", len(scores)) as advance:
        named = {}
        for name, given in scores.items():
            known = any(frame.name for frame in given)
            named[name] = given if known else name_events(given, dataset[name], prompts)
            advance(note=name)
    return named


def _rows(video: Video, events: list[Event], prompts: Prompts) -> Float32[np.ndarray, "e d"]:
    """CLIP's features of each event."""
    source, backbone = video.open(), prompts.backbone
    if isinstance(source, FeatureSource):
        rows = source.features(backbone.name)
        last = len(rows) - 1
        spans = [(min(e.first // SNIPPET, last), e.last // SNIPPET + 1) for e in events]
        return np.stack([rows[first:end].mean(0) for first, end in spans])
    places = [np.linspace(e.first, e.last, SNIPPET).round().astype(int).tolist() for e in events]
    snippets: list[np.ndarray] = []
    held: dict[int, np.ndarray] = {}
    for place, frame in enumerate(source):
        if place in places[len(snippets)]:
            held[place] = frame.image
        if place == events[len(snippets)].last:
            each = [held[index] for index in places[len(snippets)]]
            snippets.append(backbone.prepare(np.stack(each)))
            held.clear()
            if len(snippets) == len(events):
                return np.concatenate([backbone(snippet[None]) for snippet in snippets])
    raise VideoError(
        f"{video.name} has fewer frames than when it was scored",
        expected=f"{events[-1].last + 1} or more",
        fix="score it again while nothing writes to it",
    )


def found_events(scores: Mapping[str, Scores]) -> list[NamedEvent]:
    """The named events of some videos, in frames, as ``vadistill score`` lists them."""
    return [
        NamedEvent(video, event.first, event.last + 1, event.name, event.peak)
        for video, given in scores.items()
        for event in given.events()
        if event.name
    ]


def named_precision(scores: Mapping[str, Scores], dataset: Dataset) -> dict[float, float]:
    """mAP by IoU of the named events of a labelled set; empty where no labels have kinds."""
    labelled = labelled_events(dataset)
    return map_at_iou(found_events(scores), labelled) if labelled else {}
