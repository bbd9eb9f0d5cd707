"""Smoothing, calibration, events and score tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from vadistill.errors import ConfigError, DataError
from vadistill.evaluation.protocol import smoothed
from vadistill.levels import Calibration
from vadistill.score_tables import read_scores, write_scores
from vadistill.scores import FrameScore, Scores, Smoothing


def scores_of(*values: float, video: str = "a", fps: float = 2.0) -> Scores:
    frames = [FrameScore(i, i / fps, float(v)) for i, v in enumerate(values)]
    return Scores(
        video, frames, fps, "motion", calibration=Calibration.fit([0.0, 1.0, 2.0, 3.0, 4.0])
    )


class TestSmoothing:
    def test_moving_average_is_centred_and_replicates_edges(self) -> None:
        smoothed = Smoothing.parse("average3").apply(np.array([0.0, 3.0, 0.0, 0.0, 6.0]))
        np.testing.assert_allclose(smoothed, [1, 1, 1, 2, 4])

    def test_even_width_looks_half_of_it_ahead(self) -> None:
        impulse = np.zeros(30)
        impulse[15] = 10
        smoothed = Smoothing.parse("average10").apply(impulse)
        assert np.flatnonzero(smoothed).tolist() == list(range(10, 20))
        assert smoothed.max() == pytest.approx(1)

    def test_causal_never_looks_ahead(self) -> None:
        impulse = np.zeros(12)
        impulse[5] = 4
        smoothed = Smoothing.parse("causal4").apply(impulse)
        assert np.flatnonzero(smoothed).tolist() == [5, 6, 7, 8]

    def test_every_kind_has_words_for_comparisons(self) -> None:
        kinds = get_args(get_type_hints(Smoothing)["kind"])
        assert len({smoothed(Smoothing(kind, 3)) for kind in kinds}) == len(kinds) == 5

    def test_zero_padded_falls_at_the_ends_alone(self) -> None:
        smoothed = Smoothing.parse("zeropadded2").apply(np.ones(40))
        assert smoothed[8:-8] == pytest.approx(1)
        assert smoothed[0] == pytest.approx(smoothed[-1]) and 0.5 < smoothed[0] < 0.65
        values = np.random.default_rng(0).random(60)
        inner = slice(8, -8)
        plain = Smoothing.parse("gaussian2").apply(values)
        assert Smoothing.parse("zeropadded2").apply(values)[inner] == pytest.approx(plain[inner])

    def test_gaussian_keeps_constants_and_is_symmetric(self) -> None:
        smoothing = Smoothing.parse("gaussian3")
        np.testing.assert_allclose(smoothing.apply(np.full(7, 2.5)), 2.5)
        impulse = np.zeros(41)
        impulse[20] = 1
        smoothed = smoothing.apply(impulse)
        np.testing.assert_allclose(smoothed, smoothed[::-1])
        assert smoothed[23] / smoothed[20] == pytest.approx(np.exp(-0.5))

    @pytest.mark.parametrize("name", ["raw", "average10", "gaussian2.5", "zeropadded21", "causal4"])
    def test_names_go_round(self, name: str) -> None:
        assert Smoothing.parse(name).name == name

    @pytest.mark.parametrize("name", ["mean3", "average", "average0", "average2.5", "gaussian-1"])
    def test_wrong_names_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match="average10"):
            Smoothing.parse(name)


class TestCalibration:
    def test_share_of_normal_frames_below(self) -> None:
        calibrated = Calibration.fit(np.arange(101.0))(np.array([-5.0, 0.0, 25.0, 100.0, 1e9]))
        np.testing.assert_allclose(calibrated, [0, 0, 0.25, 1, 1])

    def test_needs_frames(self) -> None:
        with pytest.raises(DataError, match="no frames"):
            Calibration.fit([])


class TestEvents:
    def test_stretches_at_or_above_a_threshold(self) -> None:
        scores = scores_of(0, 5, 7, 0, 5, 0, 0, 0, 0, 5)  # at 2 frames/s
        first, last = scores.events(threshold=5.0, frames=1, seconds=1.0)
        assert (first.first, first.last, first.start, first.end, first.peak) == (1, 4, 0.5, 2.5, 7)
        assert (first.top, last.first, last.last, last.end) == (2, 9, 9, 5.0)
        apart = scores.events(threshold=5.0, frames=1, seconds=0.5)
        assert [(e.first, e.last) for e in apart] == [(1, 2), (4, 4), (9, 9)]
        assert [(e.first, e.last) for e in scores.events(threshold=5.0, frames=2)] == [(1, 4)]
        assert scores.events(threshold=5.0) == [] and scores.smooth("average2").events(
            threshold=5.0, frames=2
        ) == scores.events(threshold=5.0, frames=2)

    def test_default_threshold_is_learned_from_normal_frames(self) -> None:
        assert [e.first for e in scores_of(0, 3.9, 4.1, 0).events(frames=1)] == [2]
        half = 0.5 * 86400 * 25  # every other frame, of footage of a rate that is not known
        many = scores_of(0, 3.9, 4.1, 0).events(frames=1, false_alarms_per_day=half)
        assert [(e.first, e.last) for e in many] == [(1, 2)]

    def test_the_level_of_an_empty_scene_is_not_passed_by_another(self) -> None:
        frames = [FrameScore(i, i / 2, value) for i, value in enumerate((0.0, 0.0, 1e-9, 0.0))]
        empty = Scores("a", frames, 2.0, calibration=Calibration.fit([0.0, 0.0]))
        assert 0 < empty.event_level().on < 1e-300
        assert [(e.first, e.last) for e in empty.events(frames=1)] == [(2, 2)]
        assert not Scores("a", frames[:2], 2.0, calibration=empty.calibration).events()


class TestTables:
    @pytest.mark.parametrize("ending", [".csv", ".parquet"])
    def test_written_scores_are_read_back(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"scores{ending}"
        write_scores(path, [scores_of(0.1, 0.25).smooth("average2"), scores_of(3, video="b")])
        found = read_scores(path)
        assert list(found) == ["a", "b"]
        np.testing.assert_array_equal(found["a"], [0.1, 0.25])
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_json_states_the_smoothing(self, tmp_path: Path) -> None:
        write_scores(tmp_path / "s.json", [scores_of(0, 4).smooth("average2")])
        (video,) = json.loads((tmp_path / "s.json").read_text())["videos"]
        assert video["smoothing"] == {"kind": "average", "width": 2.0}
        assert (video["score"], video["smoothed"]) == ([0.0, 4.0], [2.0, 4.0])

    def test_unknown_endings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"\.parquet"):
            write_scores(tmp_path / "scores.xlsx", [scores_of(1)])

    @pytest.mark.parametrize(
        "text",
        [
            "video,frame,score\na,0,1\na,2,1\n",  # a gap
            "video,frame,score\na,0,1\na,0,1\n",  # twice
            "video,frame,score\na,0,nan\n",
            "video,score\na,1\n",
        ],
    )
    def test_damaged_tables_are_one_line(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "s.csv").write_text(text)
        with pytest.raises(DataError) as error:
            read_scores(tmp_path / "s.csv")
        assert "\n" not in str(error.value)

    def test_frames_that_count_from_1_are_told(self, tmp_path: Path):
        rows = [f"{video},{frame},0.5" for video in "ab" for frame in range(1, 6)]
        (tmp_path / "s.csv").write_text("\n".join(["video,frame,score", *rows]))
        with pytest.raises(DataError, match=r"lacks frame 0 of a.* 1 to 5.*count frames from 0"):
            read_scores(tmp_path / "s.csv")

    def test_windows_that_count_from_their_last_frames_are_told(self, tmp_path: Path):
        rows = [f"a,{frame},0.5" for frame in range(4, 9)]
        (tmp_path / "s.csv").write_text("\n".join(["video,frame,score", *rows]))
        with pytest.raises(DataError, match=r"5 others, 4 to 8.*--level windows:5"):
            read_scores(tmp_path / "s.csv")
        (tmp_path / "s.csv").write_text("\n".join(["video,frame,score", *rows, "a,10,0.5"]))
        with pytest.raises(DataError, match=r"6 others: .*score every frame"):
            read_scores(tmp_path / "s.csv")

    def test_a_header_is_told_by_both_names_of_videos(self, tmp_path: Path):
        (tmp_path / "s.csv").write_text("name,frame,score\na,0,0.5\n")
        with pytest.raises(DataError, match=r"video,frame,score \(video may be called file\)"):
            read_scores(tmp_path / "s.csv")

    def test_columns_that_spaces_separate_are_told(self, tmp_path: Path):
        (tmp_path / "s.csv").write_text("video frame score\na 0 0.5\n")
        with pytest.raises(DataError, match="separate its columns by commas"):
            read_scores(tmp_path / "s.csv")

    def test_a_table_without_a_header_is_told(self, tmp_path: Path):
        (tmp_path / "s.csv").write_text("a,0,0.5\na,1,0.5\n")
        with pytest.raises(DataError, match=r"video,frame,score .*; write it above the first row"):
            read_scores(tmp_path / "s.csv")

    def test_snippets_that_are_called_by_their_first_frames_are_told(self, tmp_path: Path):
        (tmp_path / "s.csv").write_text("video,frame,score\na,0,1\na,16,2\na,32,3\n")
        with pytest.raises(DataError, match=r"lacks frame 1 of a.*snippets:16"):
            read_scores(tmp_path / "s.csv")

    def test_boxes_as_a_table(self) -> None:
        boxes = np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.float32)
        frames = [
            FrameScore(0, 0.0, 1.0),
            FrameScore(1, 0.5, 2.0, boxes, np.array([1.0, 2.0], np.float32)),
        ]
        table = Scores("a", frames, 2.0).box_columns()
        assert table["frame"].tolist() == [1, 1]
        assert (table["x1"].tolist(), table["score"].tolist()) == ([0, 4], [1, 2])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused_where_they_are_made(bad: float):
    with pytest.raises(DataError, match="frame 3 has a score that is no finite number"):
        FrameScore(3, 0.1, bad)
    with pytest.raises(DataError, match="frame 3"):
        FrameScore(3, 0.1, 0.0, np.zeros((1, 4), np.float32), np.array([bad], np.float32))


def test_traits_of_some_boxes_alone_are_refused():
    boxes, scores = np.zeros((2, 4), np.float32), np.zeros(2, np.float32)
    for rows in (0, 2):
        FrameScore(3, 0.1, 0.0, boxes, scores, traits=np.ones((rows, 3), np.float32))
    for rows in (1, 3):
        with pytest.raises(DataError, match="frame 3 has 2 boxes and traits of"):
            FrameScore(3, 0.1, 0.0, boxes, scores, traits=np.ones((rows, 3), np.float32))
