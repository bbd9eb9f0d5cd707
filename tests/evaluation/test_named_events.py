"""mAP at IoU against values that are computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vadistill.datasets import Dataset, Video
from vadistill.errors import DataError
from vadistill.evaluation.named_events import NamedEvent, labelled_events, map_at_iou

LABELLED = [
    NamedEvent("a", 0, 10, "fight"),
    NamedEvent("a", 20, 30, "fight"),
    NamedEvent("b", 0, 10, "fire"),
]

FOUND = [
    NamedEvent("a", 0, 8, "fight", 0.9),  # IoU 8 / 10
    NamedEvent("b", 0, 10, "fight", 0.8),  # of another kind: wrong
    NamedEvent("a", 24, 36, "fight", 0.7),  # 6 / 16
    NamedEvent("a", 1, 10, "fight", 0.6),  # found already: wrong
    NamedEvent("b", 5, 25, "fire", 0.5),  # 5 / 25
    NamedEvent("b", 40, 50, "theft", 0.4),  # a kind that is not labelled counts nowhere
]


def test_overlap_is_intersection_over_union() -> None:
    assert LABELLED[0].overlap(FOUND[0]) == pytest.approx(0.8)
    assert LABELLED[1].overlap(FOUND[2]) == pytest.approx(6 / 16)
    assert LABELLED[2].overlap(FOUND[4]) == pytest.approx(5 / 25)
    assert LABELLED[0].overlap(FOUND[1]) == 0, "another video"
    assert LABELLED[0].overlap(LABELLED[1]) == 0


@pytest.mark.parametrize(
    ("iou", "fight", "fire"),
    [
        (0.1, (1 / 1 + 2 / 3) / 2, 1.0),  # first and third of a fight's are right
        (0.3, (1 / 1 + 2 / 3) / 2, 0.0),
        (0.5, 1 / 2, 0.0),
        (0.9, 1 / 4 / 2, 0.0),  # the first fails, so that the last one, 9 / 10, is right
    ],
)
def test_by_hand(iou: float, fight: float, fire: float) -> None:
    assert map_at_iou(FOUND, LABELLED, [iou])[iou] == pytest.approx((fight + fire) / 2)


def test_what_is_found_wholly_and_what_is_not() -> None:
    assert set(map_at_iou(LABELLED, LABELLED).values()) == {1.0}
    assert set(map_at_iou([], LABELLED).values()) == {0.0}
    more = [*LABELLED, *(NamedEvent("c", i, i + 1, "fire", 2.0) for i in range(3))]
    assert map_at_iou(more, LABELLED)[0.5] == pytest.approx((1 + 1 / 4) / 2), "behind three wrong"


def test_labelled_events_of_a_data_set() -> None:
    labels = np.zeros(30, np.uint8)
    labels[3:7] = labels[20:30] = 1
    videos = (
        Video("one", np.zeros((30, 4, 4, 3), np.uint8), labels, classes=("fire",)),
        Video("two", np.zeros((30, 4, 4, 3), np.uint8), labels, classes=("fire", "fight")),
        Video("none", np.zeros((30, 4, 4, 3), np.uint8), 0 * labels),
    )
    events = labelled_events(Dataset("made_up", "test", videos, "weak"))
    told = [(event.video, event.start, event.end, event.name) for event in events]
    assert told == [("one", 3, 7, "fire"), ("one", 20, 30, "fire")]


def test_what_cannot_be_measured() -> None:
    with pytest.raises(DataError, match="0 labelled events"):
        map_at_iou(FOUND, [])
    with pytest.raises(DataError, match="IoUs above 0"):
        map_at_iou(FOUND, LABELLED, [0.0])
    with pytest.raises(DataError, match="'fight' of a from 5 to 5"):
        NamedEvent("a", 5, 5, "fight")
    with pytest.raises(DataError, match="a finite score"):
        NamedEvent("a", 5, 6, "fight", float("nan"))
