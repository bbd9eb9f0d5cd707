"""What several detectors say of one frame, as one FrameScore; and their streams in lock-step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from vadistill.detector import Detector
from vadistill.errors import ConfigError
from vadistill.objects.likeness import iou
from vadistill.scores import FrameScore
from vadistill.systems.blend.recipes import Combine
from vadistill.video import Frame, VideoInfo, VideoSource

QUANTILES = (0.5, 0.99)
"""Of a member's scores of normal frames: what becomes 0, and what becomes 1."""


def lock_step(members: Sequence[Detector], source: VideoSource) -> Iterator[tuple[FrameScore, ...]]:
    """All members' scores of each frame of a video that is decoded once.

    A frame waits for the member of the largest latency, so at most so many frames are held.
    """
    rest = iter(source)
    waiting: list[deque[Frame]] = [deque() for _ in members]

    def read(own: deque[Frame]) -> Iterator[Frame]:
        while True:
            if not own:
                frame = next(rest, None)
                if frame is None:
                    return
                for each in waiting:  # itertools.tee would hold 57 of them
                    each.append(frame)
                del frame
            yield own.popleft()

    streams = (
        member.stream(_Reader(source.info, read(own), member.name))
        for member, own in zip(members, waiting, strict=True)
    )
    return zip(*streams, strict=True)


class _Reader(VideoSource):
    """A member's own reading of a pass over a video that all members share."""

    def __init__(self, info: VideoInfo, frames: Iterator[Frame], member: str) -> None:
        self.info, self._member = info, member
        self._frames: Iterator[Frame] | None = frames

    def __iter__(self) -> Iterator[Frame]:
        frames, self._frames = self._frames, None
        if frames is None:
            raise ConfigError(
                f"{self._member} reads its video twice",
                expected="members that score frames as they come",
                fix="leave it out of the blend",
            )
        return frames


@dataclass(frozen=True, eq=False)
class Merging:
    """How frame scores of members become one."""

    names: tuple[str, ...]
    """Of the members."""
    combine: Combine
    overlap: float
    """IoU from which boxes of two members are of one object."""
    low: Float[np.ndarray, " m"]
    """Of each member, the score that becomes 0."""
    width: Float[np.ndarray, " m"]
    """How far above lies the score that becomes 1."""

    @classmethod
    def fit(
        cls,
        normal: Float[np.ndarray, "n m"],
        names: Sequence[str],
        *,
        combine: Combine,
        overlap: float,
    ) -> Merging:
        """Take each member's scale from its scores of the same normal frames."""
        low, high = np.quantile(normal, QUANTILES, axis=0)
        # Nearly all frames may score alike, as in an empty scene: the rest tells the scale then.
        width = np.maximum(high - low, 0.1 * (normal.max(0) - low))
        return cls(tuple(names), combine, overlap, low, np.where(width > 0, width, 1.0))

    def scores(self, rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
        """Frame scores of the blend from those of its members."""
        scaled = self.scaled(rows)
        return scaled.mean(1) if self.combine == "mean" else scaled.max(1)

    def scaled(self, rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        """Members' scores on one scale."""
        return (rows - self.low) / self.width

    def __call__(self, frames: Sequence[FrameScore]) -> FrameScore:
        """One frame's scores by the members, in their order, as the blend's.

        Boxes that overlap by ``overlap`` are one, that of the member named first, with the mean or
        the maximum of its scaled scores; to the mean a member that has no box there gives 0.  With
        the mean the highest box gets the frame's score, and the others keep their distance to it:
        members may be highest at different boxes.  The map is of the members that have one, the
        reason that of the highest member that tells one; parts are the members' scaled scores, and
        their own parts as ``MEMBER/PART``.
        """
        first, whole = frames[0], np.array([[frame.score for frame in frames]])
        score, scaled = float(self.scores(whole)[0]), self.scaled(whole)[0]
        boxes, rows = joined([frame.boxes for frame in frames], self.overlap)
        found = _gathered([values[:, None] for values in self._boxes(frames)], rows)
        if self.combine == "mean":
            values = np.nan_to_num(found, nan=0.0).mean(1)
            values += score - values.max(initial=-np.inf)
        else:
            values = np.nanmax(found, axis=1) if len(found) else np.zeros(0)
        parts = dict(zip(self.names, scaled.tolist(), strict=True))
        for name, frame in zip(self.names, frames, strict=True):
            parts |= {f"{name}/{part}": value for part, value in frame.parts.items()}
        reasons = [frames[member].reason for member in np.argsort(-scaled, kind="stable")]
        return FrameScore(
            first.index,
            first.time,
            score,
            boxes,
            values.astype(np.float32),
            self._map(frames),
            parts,
            next(filter(None, reasons), ""),
            traits=_gathered([frame.traits for frame in frames], rows).astype(np.float32),
        )

    def _boxes(self, frames: Sequence[FrameScore]) -> list[Float[np.ndarray, " _"]]:
        scales = zip(frames, self.low, self.width, strict=True)
        return [(frame.box_scores - low) / width for frame, low, width in scales]

    def _map(self, frames: Sequence[FrameScore]) -> Float32[np.ndarray, "h w"] | None:
        scales = zip(frames, self.low, self.width, strict=True)
        maps = [(f.map - low) / width for f, low, width in scales if f.map is not None]
        if not maps:
            return None
        import cv2

        rows, columns = max((m.shape for m in maps), key=lambda shape: shape[0] * shape[1])
        alike = np.stack([cv2.resize(m, (columns, rows)) for m in maps])
        return np.asarray(alike.mean(0) if self.combine == "mean" else alike.max(0), np.float32)


def joined(
    boxes: Sequence[Float32[np.ndarray, "_ 4"]], overlap: float
) -> tuple[Float32[np.ndarray, "n 4"], Int[np.ndarray, "n m"]]:
    """The objects that m members' boxes are of, and the row of each member's box of each.

    An object has at most one box of a member, pairs being chosen for the most overlap in all; -1
    stands for a member without one.
    """
    from scipy.optimize import linear_sum_assignment

    objects = np.zeros((0, 4), np.float32)
    found = np.full((0, len(boxes)), -1)
    for member, own in enumerate(boxes):
        overlaps = iou(objects, own)
        pairs = np.array(linear_sum_assignment(overlaps, maximize=True), np.int64)
        theirs, ours = pairs[:, overlaps[pairs[0], pairs[1]] >= overlap]
        found[theirs, member] = ours
        new = np.setdiff1d(np.arange(len(own)), ours)
        objects = np.concatenate([objects, own[new]])
        rows = np.full((len(new), len(boxes)), -1)
        rows[:, member] = new
        found = np.concatenate([found, rows])
    return objects, found


def _gathered(
    own: Sequence[Float[np.ndarray, "_ _"]], rows: Int[np.ndarray, "n m"]
) -> Float[np.ndarray, "n _"]:
    """The columns of each member that has any, side by side; NaN where it has no box."""
    found = [np.zeros((len(rows), 0))]
    for column, values in zip(rows.T, own, strict=True):
        if values.shape[1]:  # the last row, which -1 takes, is of NaN
            found.append(np.pad(values, ((0, 1), (0, 0)), constant_values=np.nan)[column])
    return np.hstack(found)
