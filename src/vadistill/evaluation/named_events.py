"""Events that are found and named, against labelled ones of the same kind: mAP at IoU.

The protocol of the weakly supervised literature (Wu et al. 2024, VadCLIP).  A kind's found events
are taken from the highest score down; one is right that overlaps a labelled event of its kind, in
its video, by at least the asked share of their union (IoU), and takes the one that it overlaps
most, which no other finds again.  A kind's average precision is the sum of the precision at each
right event over the number of labelled ones, and mAP the mean over the kinds that are labelled.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vadistill.datasets import Dataset
from vadistill.datasets.intervals import intervals_of
from vadistill.errors import DataError

IOUS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Those that papers report, and the mean over them."""


@dataclass(frozen=True)
class NamedEvent:
    """One stretch of a video, and what happens in it."""

    video: str
    start: float
    """First frame, or second; both of all events are in one unit."""
    end: float
    """Exclusive, above ``start``."""
    name: str
    score: float = 1.0
    """Higher is surer; of a labelled event it says nothing."""

    def __post_init__(self) -> None:
        if not self.start < self.end or not math.isfinite(self.score):
            raise DataError(
                f"event '{self.name}' of {self.video} from {self.start:g} to {self.end:g} with the"
                f" score {self.score:g}",
                expected="an end behind its start, and a finite score",
                fix="correct the event",
            )

    def overlap(self, other: NamedEvent) -> float:
        """Intersection over union in time, 0 of another video."""
        if self.video != other.video:
            return 0.0
        both = min(self.end, other.end) - max(self.start, other.start)
        either = max(self.end, other.end) - min(self.start, other.start)
        return max(0.0, both) / either


def labelled_events(dataset: Dataset) -> list[NamedEvent]:
    """The labelled intervals of videos with one kind of anomaly, in frames.

    Lists do not tell which interval of a video with several kinds is of which: such are left out.
    """
    return [
        NamedEvent(video.name, start, end, video.classes[0])
        for video in dataset
        if len(video.classes) == 1 and video.frame_labels is not None
        for start, end in intervals_of(video.frame_labels)
    ]


def average_precision(
    found: Iterable[NamedEvent], labelled: Iterable[NamedEvent], iou: float
) -> float:
    """Of events of one kind, in [0, 1]; raises DataError without a labelled one."""
    left = list(labelled)
    count, right = len(left), []
    if not count:
        raise DataError(
            "no labelled event of this kind",
            expected="at least one",
            fix="leave the kind out",
        )
    for event in sorted(found, key=lambda each: -each.score):
        overlaps = [event.overlap(other) for other in left]
        best = int(np.argmax(overlaps)) if left else 0
        right.append(bool(left) and overlaps[best] >= iou)
        if right[-1]:
            left.pop(best)
    hits = np.array(right, float)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / count)


def map_at_iou(
    found: Sequence[NamedEvent], labelled: Sequence[NamedEvent], ious: Sequence[float] = IOUS
) -> dict[float, float]:
    """mAP by IoU, in [0, 1]; raises DataError without labelled events, or for an IoU of 0."""
    if not labelled or min(ious) <= 0:
        raise DataError(
            f"{len(labelled)} labelled events and IoUs {', '.join(f'{each:g}' for each in ious)}",
            expected="at least one event, and IoUs above 0",
            fix="give a test set whose kinds of anomaly are labelled",
        )
    kinds: dict[str, list[NamedEvent]] = defaultdict(list)
    for event in labelled:
        kinds[event.name].append(event)
    of_kind = {name: [event for event in found if event.name == name] for name in kinds}
    return {
        iou: float(np.mean([average_precision(of_kind[n], kinds[n], iou) for n in kinds]))
        for iou in ious
    }
