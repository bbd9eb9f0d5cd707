"""What the features of one backbone have in common: their width, their crops, the order of axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from vadistill.datasets.published import FeatureShape
from vadistill.datasets.snippets import APART

USUAL = (1, 3, 5, 10)
"""Crops that features are published with."""


def wrong_widths(
    files: Iterable[tuple[str, int]], *, backbone: str, width: int | None = None
) -> list[str]:
    """A line for each file, given with its width, that has another than ``width``.

    Without ``width`` the commonest is expected.  Beyond three files one line counts the rest.
    """
    found = list(files)
    if not found:
        return []
    expected = width or Counter(each for _, each in found).most_common(1)[0][0]
    wrong = [(name, each) for name, each in found if each != expected]
    lines = [
        f"features of '{backbone}' in {name} have the width {each}, expected {expected}"
        for name, each in wrong[:3]
    ]
    if len(wrong) > 3:
        lines.append(f"{len(wrong) - 3} more files of '{backbone}' have another width")
    return lines


def wrong_crops(files: Iterable[tuple[str, FeatureShape]], *, backbone: str) -> list[str]:
    """A line where files, given with their shapes, have other numbers of crops."""
    found = [(name, shape) for name, shape in files if shape.crops > 1]
    crops = {shape.crops for _, shape in found}
    if len(crops) < 2:
        return []
    name, shape = found[0]
    return [
        f"features of '{backbone}' have {min(crops)} to {max(crops)} crops a snippet, as {name}"
        f" of {shape.crops}, expected [snippets, crops, width] and as many crops in all"
    ]


def crops_first(
    axes: Mapping[str, tuple[int, int]], lengths: Mapping[str, int]
) -> tuple[bool, str | None]:
    """Whether one backbone's arrays are [crops, snippets, width], and a video that does not tell.

    ``axes`` are the first two of each array, by video, and ``lengths`` the snippets of videos where
    something else tells them: other features, or frames.  What tells, in this order: lengths that
    one axis has and the other has not; an axis that is the same in all videos, and the other is
    not; a usual number of crops on one axis alone.  Where neither axis has one, crops are behind.
    """
    fits = [
        (abs(one - lengths[video]) <= APART, abs(other - lengths[video]) <= APART)
        for video, (one, other) in axes.items()
        if video in lengths
    ]
    told = Counter(other for one, other in fits if one != other)
    if told:
        return told.most_common(1)[0][0], None
    ones, others = ({each[axis] for each in axes.values()} for axis in (0, 1))
    if len(ones) > 1 or len(others) > 1:
        return len(ones) == 1, None
    (one,), (other,) = ones, others
    if one in USUAL and other in USUAL and one != other:
        return False, next(iter(axes))
    return one in USUAL and other not in USUAL, None
