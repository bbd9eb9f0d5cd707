"""Polygons in pictures, and video with some of them in grey."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vadistill.errors import ConfigError
from vadistill.video import ArraySource, count_frames, covered, inside, open_video, painted
from vadistill.video.polygons import GREY, flaw, read_masks

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
NOTCHED = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.4), (0.0, 1.0))


def test_a_point_is_inside_or_not() -> None:
    assert inside(0.2, 0.9, LEFT) and not inside(0.6, 0.5, LEFT)
    assert inside(0.5, 0.2, NOTCHED) and not inside(0.5, 0.8, NOTCHED)
    assert not inside(1.2, 0.5, LEFT)


@settings(deadline=None)  # a busy machine is no flaw
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8))
def test_what_is_painted_is_what_is_inside(corners: list[tuple[float, float]]) -> None:
    if flaw(corners):
        return
    polygon = tuple(corners)
    image = np.zeros((40, 60, 3), np.uint8)
    shown = painted(image, [polygon])
    assert not image.any() and set(np.unique(shown)) <= {0, GREY}
    grey = shown[..., 0] > 0
    within = np.array(
        [[inside((x + 0.5) / 60, (y + 0.5) / 40, polygon) for x in range(60)] for y in range(40)]
    )
    # A pixel at an edge may count either way.
    import cv2

    edge = np.zeros((40, 60), np.uint8)
    line = np.round(np.array(polygon) * (60, 40) - 0.5).astype(np.int32)
    cv2.polylines(edge, [line], True, 1, thickness=3)
    assert (grey == within)[edge == 0].all()


def test_covered_video_keeps_index_time_and_the_rest() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 20, 30, 3), np.uint8)
    source = ArraySource(pixels, fps=5)
    assert covered(source, ()) is source
    shown = covered(source, [LEFT])
    assert shown.info == source.info and count_frames(shown) == 5
    for before, after in zip(source, shown, strict=True):
        assert (before.index, before.time) == (after.index, after.time)
        assert (after.image[:, :14] == GREY).all()
        np.testing.assert_array_equal(after.image[:, 16:], before.image[:, 16:])
        np.testing.assert_array_equal(before.image, pixels[before.index])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", "a JSON file"),
        ("[]", "a list of 1 to 32 polygons"),
        ('{"masks": []}', "a list of 1 to 32 polygons"),
        ("[[[0, 0], [1, 1]]]", "3 to 64 corners"),
        ("[[[0, 0], [1, 1], [0, 2]]]", "in \\[0, 1\\]"),
        ('[[[0, 0], [1, 1], ["0", 1]]]', "in \\[0, 1\\]"),
        ("[[[0, 0], [1, true], [0, 1]]]", "in \\[0, 1\\]"),
        ("[[[0, 0], [0.5, 0.5], [1, 1]]]", "not on one line"),
        ("[[[0.1, 0.1], [0.1, 0.1], [0.7, 0.3]]]", "not on one line"),
        ("[[[0.1, 0.1], [0.1, 0.1], [0.1, 0.1]]]", "not on one line"),
        ("[" * 100_000, "a JSON file"),
    ],
)
def test_a_file_that_is_no_mask_is_refused_in_a_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "mask.json").write_text(text)
    with pytest.raises(ConfigError, match=expected) as error:
        read_masks(tmp_path / "mask.json")
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(ConfigError, match="cannot read"):
        read_masks(tmp_path / "other.json")


def test_a_mask_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "mask.json").write_text(json.dumps([LEFT, NOTCHED]))
    assert read_masks(tmp_path / "mask.json") == (LEFT, NOTCHED)
    assert read_masks(None) == ()


def test_a_corner_that_is_there_twice_is_no_flaw() -> None:
    a, b, c = [0.1, 0.1], [0.4, 0.1], [0.4, 0.4]
    for corners in ([a, a, b, c], [a, b, b, c], [a, b, c, c], [a, b, c, a]):
        assert flaw(corners) == ""


def test_a_mask_of_a_file_is_seen_by_whoever_opens_it(tmp_path: Path) -> None:
    from support.scenes import film
    from vadistill.backbones.store import content_key
    from vadistill.datasets import Dataset, Video
    from vadistill.datasets.footage import footage_hash
    from vadistill.datasets.sampling import data_key

    video = Video("a", film(tmp_path / "a.mp4", 0, frames=6))
    plain = Dataset("d", "train", (video,))
    masked = plain.hiding((LEFT,))
    (shown,) = masked
    assert all((frame.image[:, :70] == GREY).all() for frame in shown.open())
    assert count_frames(shown.open()) == count_frames(open_video(tmp_path / "a.mp4")) == 6
    for key in (footage_hash, data_key, lambda data: content_key(next(iter(data)))):
        assert key(plain) == key(plain.hiding(())) != key(masked)
