"""Ground truth in space and time: where each abnormal object is, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vadistill.datasets.base import Track, Video
from vadistill.errors import DataError

SPECK = 1e-4
"""Connected pixels that are less than this share of a mask are no object: 9 pixels on Ped2."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The abnormal objects of one video: one row for each object and frame, in any order."""

    track: Int[np.ndarray, " n"]
    """Which object; any number, the same in all its frames."""
    frame: Int[np.ndarray, " n"]
    """0-based."""
    boxes: Float[np.ndarray, "n 4"]
    """x1, y1, x2, y2 in pixels of the video; x2 and y2 are exclusive."""
    derived: bool = False
    """Whether they were made from pixel masks and not annotated."""

    def __len__(self) -> int:
        return len(self.track)

    @classmethod
    def of(cls, tracks: Iterable[Track]) -> Tracks:
        """From one object each."""
        found = list(tracks)
        return cls(
            np.repeat(np.array([t.id for t in found], np.int64), [len(t.frames) for t in found]),
            np.concatenate([np.zeros(0, np.int64), *(t.frames for t in found)]),
            np.concatenate([np.zeros((0, 4)), *(t.boxes for t in found)]),
        )

    def fault(self, frames: int | None) -> Fault | None:
        """What is wrong first, in a video of ``frames`` frames, or None."""
        return first_fault([*box_checks(self.frame, self.boxes, frames), self.twice()])

    def twice(self) -> Check:
        """No object is in two places at once."""
        order = np.lexsort((self.frame, self.track))  # stable: the later row is the one to blame
        same = (np.diff(self.track[order]) == 0) & (np.diff(self.frame[order]) == 0)
        bad = np.zeros(len(self), bool)
        bad[order[1:][same]] = True
        return Check(
            bad,
            lambda row: f"track {self.track[row]} has a second box in frame {self.frame[row]}",
            "one box a frame for every track",
            "give each object its own track number",
        )


class Check(NamedTuple):
    """One thing that may be wrong with the rows of a table of boxes."""

    bad: Bool[np.ndarray, " n"]
    got: Callable[[int], str]
    """What to say of a bad row."""
    expected: str
    fix: str


class Fault(NamedTuple):
    """The first bad row of a table, and what a DataError says of it."""

    row: int
    got: str
    expected: str
    fix: str

    def error(self, where: str) -> DataError:
        """The error to raise; ``where`` names the video, or the file and the line."""
        return DataError(f"{where}: {self.got}", expected=self.expected, fix=self.fix)


def first_fault(checks: Sequence[Check]) -> Fault | None:
    """The earliest bad row; of several faults there, the one checked first."""
    found = [(int(check.bad.argmax()), check) for check in checks if check.bad.any()]
    if not found:
        return None
    row, check = min(found, key=lambda pair: pair[0])
    return Fault(row, check.got(row), check.expected, check.fix)


LARGEST = 2.0**24
"""What no coordinate reaches: beyond, fp32 does not tell pixels apart."""


def box_checks(
    frame: Int[np.ndarray, " n"], boxes: Float[np.ndarray, "n 4"], frames: int | None
) -> list[Check]:
    """Finite boxes (x2, y2 exclusive) that are not empty, in frames that the video has."""
    finite = np.asarray((np.abs(boxes) < LARGEST).all(1))
    start, end = np.where(finite, boxes[:, :2].T, 0), np.where(finite, boxes[:, 2:].T, 1)
    last = "" if frames is None else f" to {frames - 1}"
    outside = (frame < 0) | (frame >= (np.inf if frames is None else frames))
    return [
        Check(
            ~finite,
            lambda row: f"a box with the coordinates {', '.join(f'{c:g}' for c in boxes[row])}",
            "finite pixels",
            "correct or leave out that box",
        ),
        Check(
            np.asarray((end <= start).any(0)),
            lambda row: f"a box without width or height in frame {frame[row]}",
            "x2 right of x1 and y2 below y1",
            "correct or leave out that box",
        ),
        Check(
            outside,
            lambda row: f"frame {frame[row]} is not in the video",
            f"frames from 0{last}",
            "count frames from 0, or check that it is this video's",
        ),
    ]


BEYOND = 0.25
"""Part of a picture's side by which a box may reach beyond it."""


def far_outside(boxes: Float[np.ndarray, "n 4"], size: tuple[int, int]) -> Bool[np.ndarray, " n"]:
    """Which boxes lie further outside a picture (width, height) than ``BEYOND`` allows."""
    sides = np.array(size * 2, np.float64)
    return np.asarray((np.maximum(boxes / sides - 1, -boxes / sides) > BEYOND).any(1))


def normalised(boxes: Float[np.ndarray, "n 4"]) -> bool:
    """Whether boxes must be parts of a picture's sides: all lie within 0 to 1."""
    return len(boxes) > 0 and bool(np.abs(boxes).max() <= 1)


def tracks_of(video: Video) -> Tracks:
    """Published tracks of a test video, or else tracks derived from its masks.

    A video whose frames are all normal has none.  Raises DataError where abnormal frames have
    neither tracks nor masks.
    """
    labels = video.frame_labels
    if video.tracks or (labels is not None and not labels.any()):
        return Tracks.of(video.tracks)
    if video.mask is None or labels is None:
        raise DataError(
            f"video {video.name} has neither tracks nor pixel masks",
            expected="where its abnormal objects are",
            fix="pass track files, or measure whole frames only",
        )
    return derive_tracks(video.mask, len(labels))


def components(
    mask: Bool[np.ndarray, "h w"], smallest: int = 1
) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, "n 4"]]:
    """8-connected components of at least ``smallest`` pixels, numbered from 1 (0 elsewhere).

    With them their boxes x1, y1, x2, y2 in pixels, x2 and y2 exclusive; row i is component i + 1.
    """
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= smallest
    kept[0] = False  # the background
    numbers = np.where(kept, np.cumsum(kept), 0)
    left, top, width, height = stats[kept, :4].T
    return numbers[labels.astype(np.intp)], np.stack(
        [left, top, left + width, top + height], axis=1
    )


def derive_tracks(mask: Callable[[int], Bool[np.ndarray, "h w"]], frames: int) -> Tracks:
    """Tracks from the pixel masks of a video: connected components, linked by overlap.

    A frame's 8-connected components are its objects, but for specks (``SPECK``).  A component goes
    on with the track of the component of the frame before whose pixels overlap it most, by
    intersection over union, each with one at most and the best pair first; it begins a new track
    where none is left.  So an object that is hidden for a frame, or that another one touches,
    comes back as a new track: these are not the published ones, and ``derived`` says so.
    """
    ids, known = np.zeros(0, np.int64), 0
    before: np.ndarray | None = None
    track, frame, boxes = [ids], [ids], [np.zeros((0, 4))]
    for index in range(frames):
        picture = mask(index)
        labels, found = components(picture, int(np.ceil(SPECK * picture.size)))
        now = np.full(len(found), -1, np.int64)
        for old, new in _linked(before, labels, len(ids), len(found)):
            now[new] = ids[old]
        fresh = now < 0
        now[fresh] = known + np.arange(fresh.sum())
        known += int(fresh.sum())
        before, ids = labels, now
        track.append(now)
        frame.append(np.full(len(found), index, np.int64))
        boxes.append(found.astype(np.float64))
    return Tracks(*map(np.concatenate, (track, frame, boxes)), derived=True)


def _linked(
    before: np.ndarray | None, labels: np.ndarray, olds: int, news: int
) -> list[tuple[int, int]]:
    """Pairs of components of two frames (counted from 0) that are one object."""
    if before is None or olds == 0 or news == 0:
        return []
    both = np.bincount(
        (before * (news + 1) + labels).ravel(), minlength=(olds + 1) * (news + 1)
    ).reshape(olds + 1, news + 1)
    shared = both[1:, 1:]
    union = both[1:].sum(1)[:, None] + both[:, 1:].sum(0) - shared
    overlap = shared / union
    pairs, taken_old, taken_new = [], set(), set()
    for at in np.argsort(-overlap, axis=None, kind="stable").tolist():
        old, new = divmod(at, news)
        if shared[old, new] and old not in taken_old and new not in taken_new:
            pairs.append((old, new))
            taken_old.add(old)
            taken_new.add(new)
    return pairs
