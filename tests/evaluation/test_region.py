"""RBDC and TBDC by hand and against a plain loop; tracks, their files and boxes from maps."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vadistill.datasets import open_dataset
from vadistill.datasets.base import Dataset, Track, Video
from vadistill.datasets.tracks import SPECK, Tracks, derive_tracks, tracks_of
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import bootstrap, micro_auc
from vadistill.evaluation.alignment import align
from vadistill.evaluation.region_files import (
    read_detection_folder,
    read_detections,
    read_track_folder,
    read_tracks,
    write_detection_folder,
    write_detections,
    write_track_folder,
    write_tracks,
)
from vadistill.evaluation.region_level import (
    match_videos,
    rbdc,
    region_curves,
    region_resamples,
    tbdc,
)
from vadistill.evaluation.region_matching import Detections, detections_of, iou, match
from vadistill.objects.maps import MapBoxes
from vadistill.scores import FrameScore, Scores

HAND_TRACKS = {
    "1": "".join(f"0,{f},10,10,29,29\n" for f in range(10)),
    "2": "".join(f"0,{f},0,0,19,19\n" for f in range(5))
    + "".join(f"1,{f},40,40,59,59\n" for f in range(5, 10)),
}
HAND_DETECTIONS = {
    "1": "".join(f"{f},10,10,29,29,{90 - f}e-2\n" for f in (0, 2, 4, 6, 8))
    + "".join(f"{f},60,60,79,79,{95 - f}e-2\n" for f in (1, 3, 5, 7, 9)),
    "2": "0,0,0,39,39,0.50\n1,0,0,79,79,0.45\n5,40,40,59,59,0.40\n5,40,40,59,59,0.39\n"
    + "".join(f"{f},90,90,99,99,{30 - f}e-2\n" for f in (6, 7, 8, 9)),
}
HAND_FRAMES = {"1": 10, "2": 10}


def written(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture
def hand(tmp_path: Path) -> tuple[dict[str, Tracks], dict[str, Detections], dict[str, int]]:
    """The worked case of the protocol, as its files."""
    tracks = read_track_folder(written(tmp_path / "tracks", HAND_TRACKS), HAND_FRAMES)
    found = read_detection_folder(written(tmp_path / "found", HAND_DETECTIONS), HAND_FRAMES)
    return tracks, found, HAND_FRAMES


def taken(found: Detections, rows: np.ndarray) -> Detections:
    return Detections(found.frame[rows], found.boxes[rows], found.scores[rows])


def planted(seed: int, videos: int = 3, frames: int = 12) -> tuple[dict, dict, dict]:
    """Random tracks and detections on a coarse grid, so that boxes and scores often coincide."""
    rng = np.random.default_rng(seed)

    def boxes(count: int) -> np.ndarray:
        corner = rng.integers(0, 4, (count, 2)) * 10.0
        return np.hstack([corner, corner + rng.integers(1, 4, (count, 2)) * 10])

    tracks, found, lengths = {}, {}, {}
    for video in range(videos):
        cells = np.argwhere(rng.random((2, frames)) < 0.4)
        tracks[f"v{video}"] = Tracks(cells[:, 0], cells[:, 1], boxes(len(cells)))
        count = int(rng.integers(0, 30))
        found[f"v{video}"] = Detections(
            rng.integers(0, frames, count), boxes(count), rng.integers(0, 8, count) / 4
        )
        lengths[f"v{video}"] = frames
    tracks["v0"] = Tracks(np.array([7]), np.array([0]), boxes(1))
    return tracks, found, lengths


def by_loop(tracks: dict, found: dict, frames: dict) -> tuple[float, float]:
    """RBDC and TBDC one detection after the other, with a set of what was matched."""
    events = []
    for name, table in found.items():
        truth = tracks[name]
        for frame, box, score in zip(table.frame, table.boxes, table.scores, strict=True):
            hits = set()
            for row in np.flatnonzero(truth.frame == frame):
                x1, y1, x2, y2 = truth.boxes[row]
                # The protocol's own words: inclusive pixels, hence the + 1.
                last = box[2:] - 1
                width = min(last[0], x2 - 1) - max(box[0], x1) + 1
                height = min(last[1], y2 - 1) - max(box[1], y1) + 1
                shared = max(width, 0) * max(height, 0)
                area = (last[0] - box[0] + 1) * (last[1] - box[1] + 1)
                union = area + (x2 - x1) * (y2 - y1) - shared
                if Fraction(shared) / Fraction(union) >= Fraction(1, 10):
                    hits.add((name, int(truth.track[row]), int(frame)))
            events.append((-score, not hits, hits))
    sizes: dict[tuple, int] = {}
    for name, truth in tracks.items():
        for track in truth.track.tolist():
            sizes[name, track] = sizes.get((name, track), 0) + 1
    matched: set[tuple] = set()
    false, curve = 0, [(0.0, 0.0, 0.0)]
    for _, wrong, hits in sorted(events, key=lambda event: event[:2]):
        false += wrong
        matched |= hits
        done = [t for t, n in sizes.items() if 10 * sum(m[:2] == t for m in matched) >= n]
        curve.append(
            (
                false / sum(frames.values()),
                len(matched) / sum(sizes.values()),
                len(done) / len(sizes),
            )
        )
    curve = [point for point in curve if point[0] <= 1]
    fpr, region, track = np.array([*curve, (1.0, *curve[-1][1:])]).T
    return float(np.trapezoid(region, fpr)), float(np.trapezoid(track, fpr))


SEEDS = st.integers(0, 10_000)
QUICK = settings(max_examples=25, deadline=None)


class TestWorkedCase:
    def test_figures(self, hand: tuple):
        assert rbdc(*hand) == pytest.approx(0.275, abs=1e-12)
        assert tbdc(*hand) == pytest.approx(0.783333, abs=1e-6)
        assert by_loop(*hand) == pytest.approx((0.275, 0.783333), abs=1e-6)

    def test_scores_computed_in_binary_give_the_same(self, hand: tuple):
        # 0.95 - 0.05 is below 0.90 in binary, and in float32 it is not.
        tracks, found, frames = hand
        f = found["1"].frame
        computed = np.where(f % 2 == 0, 0.90 - 0.01 * f, 0.95 - 0.01 * f)
        for scores in (computed, computed.astype(np.float32)):
            again = {**found, "1": replace(found["1"], scores=scores)}
            assert rbdc(tracks, again, frames) == pytest.approx(0.275, abs=1e-12)

    def test_false_positives_first_among_equals_is_the_floor(self, hand: tuple):
        curves = region_curves(match_videos(*hand))
        assert curves.rbdc_floor == pytest.approx(0.2675)
        assert (curves.videos, curves.frames, curves.boxes, curves.tracks) == (2, 20, 20, 3)

    def test_duplicates_count_if_false_only(self, hand: tuple):
        tracks, found, frames = hand
        twice = {n: Detections.join([d, d]) for n, d in found.items()}
        right = {
            "1": Detections.join([found["1"], taken(found["1"], np.arange(5))]),
            "2": Detections.join([found["2"], taken(found["2"], np.array([0, 2, 3]))]),
        }
        assert rbdc(tracks, right, frames) == pytest.approx(0.275)
        assert tbdc(tracks, right, frames) == pytest.approx(0.783333, abs=1e-6)
        assert rbdc(tracks, twice, frames) < 0.275

    def test_split_files(self, hand: tuple, tmp_path: Path):
        tracks, found, frames = hand
        for part, rows in (("a", slice(0, None, 2)), ("b", slice(1, None, 2))):
            half = {n: taken(d, np.arange(len(d))[rows]) for n, d in found.items()}
            write_detection_folder(tmp_path / part, half)
        parts = [read_detection_folder(tmp_path / p, frames) for p in ("b", "a")]
        joined = {n: Detections.join(p[n] for p in parts) for n in frames}
        assert rbdc(tracks, joined, frames) == pytest.approx(0.275)
        assert tbdc(tracks, joined, frames) == pytest.approx(0.783333, abs=1e-6)


class TestProperties:
    @given(SEEDS)
    @QUICK
    def test_a_plain_loop_agrees(self, seed: int):
        case = planted(seed)
        assert (rbdc(*case), tbdc(*case)) == pytest.approx(by_loop(*case), abs=1e-12)

    @given(SEEDS)
    @QUICK
    def test_order_does_not_matter(self, seed: int):
        tracks, found, frames = planted(seed)
        rng = np.random.default_rng(seed + 1)
        names = rng.permutation(list(frames)).tolist()
        mixed = {n: taken(found[n], rng.permutation(len(found[n]))) for n in names}
        other = {}
        for name in names:
            rows, t = rng.permutation(len(tracks[name])), tracks[name]
            other[name] = Tracks(-t.track[rows], t.frame[rows], t.boxes[rows])
        again = region_curves(match_videos(other, mixed, {n: frames[n] for n in names}))
        curves = region_curves(match_videos(tracks, found, frames))
        assert (again.rbdc, again.tbdc) == (curves.rbdc, curves.tbdc)
        assert (again.rbdc_floor, again.tbdc_floor) == pytest.approx(
            (curves.rbdc_floor, curves.tbdc_floor)
        )

    @given(SEEDS, st.integers(1, 11))
    @QUICK
    def test_cutting_a_video_in_two_keeps_rbdc(self, seed: int, cut: int):
        tracks, found, _ = planted(seed)
        t, d = tracks.pop("v1"), found.pop("v1")
        lengths = {"v0": 12, "v1a": cut, "v1b": 12 - cut, "v2": 12}
        for name, start, rows, drows in (
            ("v1a", 0, t.frame < cut, d.frame < cut),
            ("v1b", cut, t.frame >= cut, d.frame >= cut),
        ):
            tracks[name] = Tracks(t.track[rows], t.frame[rows] - start, t.boxes[rows])
            found[name] = Detections(d.frame[drows] - start, d.boxes[drows], d.scores[drows])
        whole = rbdc(*planted(seed))
        assert rbdc(tracks, found, lengths) == pytest.approx(whole, abs=1e-12)

    @given(SEEDS, st.integers(0, 11), st.floats(-1, 3))
    @QUICK
    def test_a_false_positive_never_raises_a_figure(self, seed: int, frame: int, score: float):
        tracks, found, frames = planted(seed)
        wrong = Detections(
            np.array([frame]), np.array([[900.0, 900, 950, 950]]), np.array([float(score)])
        )
        more = {**found, "v2": Detections.join([found["v2"], wrong])}
        before, after = (region_curves(match_videos(tracks, d, frames)) for d in (found, more))
        for name in ("rbdc", "tbdc", "rbdc_floor", "tbdc_floor"):
            assert getattr(after, name) <= getattr(before, name) + 1e-12
        assert sum(len(m.false) for m in match_videos(tracks, more, frames).values()) == 1 + sum(
            len(m.false) for m in match_videos(tracks, found, frames).values()
        )

    @given(SEEDS)
    @QUICK
    def test_curves_rise_between_0_and_1_and_floors_lie_below(self, seed: int):
        curves = region_curves(match_videos(*planted(seed)))
        for values in (curves.fpr, curves.region_rate, curves.track_rate):
            assert (np.diff(values) >= 0).all() and values[0] == 0 and values[-1] <= 1
        assert curves.fpr[-1] == 1
        assert curves.rbdc_floor <= curves.rbdc + 1e-12
        assert curves.tbdc_floor <= curves.tbdc + 1e-12

    @given(SEEDS)
    @QUICK
    def test_a_resample_is_the_figure_of_the_repeated_videos(self, seed: int):
        tracks, found, frames = planted(seed)
        matches = match_videos(tracks, found, frames)
        drawn = bootstrap.draws(len(matches), 6, seed)
        resamples = region_resamples(matches, drawn)
        for row, *got in zip(drawn, resamples.rbdc, resamples.tbdc, strict=True):
            copies = [(n, c) for n, k in zip(matches, row, strict=True) for c in range(k)]
            several = {f"{n}.{c}": matches[n] for n, c in copies}
            if sum(len(m.boxes) for m in several.values()):
                curves = region_curves(several)
                assert got == pytest.approx([curves.rbdc, curves.tbdc], abs=1e-12)
            else:
                assert np.isnan(got).all()

    def test_resamples_in_small_chunks_are_the_same(self, monkeypatch: pytest.MonkeyPatch):
        matches = match_videos(*planted(3))
        drawn = bootstrap.draws(3, 40, 0)
        whole = region_resamples(matches, drawn)
        monkeypatch.setattr("vadistill.evaluation.region_level.CELLS", 50)
        assert region_resamples(matches, drawn).rbdc == pytest.approx(whole.rbdc, nan_ok=True)

    def test_comparing_in_small_chunks_is_the_same(self, monkeypatch: pytest.MonkeyPatch):
        case = planted(5, frames=4)
        whole = rbdc(*case)
        for pairs in (1, 3, 10):
            monkeypatch.setattr("vadistill.evaluation.region_matching.PAIRS", pairs)
            assert rbdc(*case) == whole

    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 1), st.integers(-40, 40)), max_size=12),
            min_size=1,
            max_size=5,
        ).filter(lambda vs: len({y for v in vs for y, _ in v}) == 2),
        st.sampled_from(
            [np.exp, np.arctan, lambda x: x**3 + x, lambda x: 1e-3 * x - 7, lambda x: 2.0**x]
        ),
    )
    @QUICK
    def test_frame_auc_is_invariant_under_monotone_maps(self, videos: list, change):
        labels = [[y for y, _ in v] for v in videos]
        scores = [np.array([s for _, s in v], np.float64) for v in videos]
        mapped = [change(s / 8) for s in scores]
        assert micro_auc(labels, mapped) == pytest.approx(micro_auc(labels, scores), abs=1e-12)

    @given(SEEDS)
    @QUICK
    def test_region_figures_are_invariant_under_monotone_maps(self, seed: int):
        tracks, found, frames = planted(seed)
        mapped = {n: replace(d, scores=np.exp(d.scores) - 9) for n, d in found.items()}
        assert rbdc(tracks, mapped, frames) == rbdc(tracks, found, frames)
        assert tbdc(tracks, mapped, frames) == tbdc(tracks, found, frames)

    @given(
        st.dictionaries(
            st.text("abc", min_size=1, max_size=3),
            st.lists(st.tuples(st.integers(0, 1), st.floats(-9, 9)), max_size=8),
            min_size=1,
        ).filter(lambda vs: len({y for v in vs.values() for y, _ in v}) == 2),
        st.randoms(),
    )
    @QUICK
    def test_alignment_round_trips(self, videos: dict, random):
        labels = {n: [y for y, _ in v] for n, v in videos.items()}
        mixed = list(videos)
        random.shuffle(mixed)
        data = align(labels, {n: [s for _, s in videos[n]] for n in mixed})
        assert data.names == tuple(videos)
        for number, (name, rows) in enumerate(videos.items()):
            mine = data.video_of == number
            assert data.all_labels[mine].tolist() == [y for y, _ in rows] == labels[name]
            assert data.all_scores[mine].tolist() == [s for _, s in rows]
        again = align(
            dict(zip(data.names, data.labels, strict=True)),
            dict(zip(data.names, data.scores, strict=True)),
        )
        assert again.names == data.names
        assert (again.all_labels == data.all_labels).all()
        assert (again.all_scores == data.all_scores).all()


class TestMatching:
    def test_iou_counts_inclusive_pixels(self):
        ten = np.array([[0.0, 0, 10, 10]])
        assert iou(ten, ten)[0] == 1
        assert iou(ten, np.array([[5.0, 0, 15, 10]]))[0] == pytest.approx(1 / 3)
        assert iou(ten, np.array([[10.0, 0, 20, 10]]))[0] == 0

    def test_a_tenth_matches_exactly(self):
        truth = Tracks(np.array([0]), np.array([0]), np.array([[0.0, 0, 20, 20]]))
        for width, matched in ((200, True), (201, False)):
            found = Detections(np.array([0]), np.array([[0.0, 0, width, 20]]), np.array([1.0]))
            assert len(match(truth, found, 1).false) == (not matched)

    def test_a_track_needs_its_share_of_boxes(self):
        box = np.array([[0.0, 0, 20, 20]])
        truth = Tracks(np.zeros(30, np.int64), np.arange(30), box.repeat(30, 0))
        found = Detections(np.array([4, 9, 2]), box.repeat(3, 0), np.array([0.3, 0.1, 0.2]))
        assert match(truth, found, 30).tracks.tolist() == [0.1]
        two = match(truth, taken(found, np.array([0, 2])), 30)
        assert two.tracks.tolist() == [-np.inf]
        hundred = Tracks(np.zeros(100, np.int64), np.arange(100), box.repeat(100, 0))
        seven = Detections(np.arange(7), box.repeat(7, 0), np.ones(7))
        assert match(hundred, seven, 100, alpha=0.07).tracks.tolist() == [1]  # 0.07 * 100 > 7

    def test_one_box_finds_several(self):
        truth = Tracks(
            np.array([0, 1]), np.array([0, 0]), np.array([[0.0, 0, 9, 9], [9, 0, 18, 9]])
        )
        found = Detections(np.array([0]), np.array([[0.0, 0, 18, 9]]), np.array([2.0]))
        matches = match(truth, found, 1)
        assert matches.boxes.tolist() == [2.0, 2.0] and len(matches.false) == 0

    def test_a_frame_without_truth_has_false_positives_only(self):
        _, found, frames = planted(1)
        matches = match(Tracks.of(()), found["v1"], frames["v1"])
        assert len(matches.false) == len(found["v1"])

    def test_figures_stop_at_one_false_positive_a_frame(self, hand: tuple):
        tracks, found, frames = hand
        count = 25  # above all others, over 20 frames
        noise = Detections(
            np.zeros(count, np.int64), np.array([[200.0, 0, 9e3, 99]] * count), np.full(count, 9.0)
        )
        assert rbdc(tracks, {**found, "1": Detections.join([found["1"], noise])}, frames) == 0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t, d: (t, {"1": d["1"]}), r"no detections of video 2"),
            (lambda t, d: (t, {**d, "3": d["1"]}), r"detections of a video 3 that the test set"),
            (lambda t, d: ({**t, "x": t["1"]}, d), r"tracks of a video x that the test set lacks"),
            (lambda t, d: ({}, d), r"2 videos without a single track"),
            (
                lambda t, d: ({**t, "1": replace(t["1"], frame=t["1"].frame // 2)}, d),
                r"video 1, track box 2 of 10: track 0 has a second box in frame 0",
            ),
            (
                lambda t, d: (t, {**d, "2": replace(d["2"], scores=d["2"].scores * np.nan)}),
                r"video 2, detection 1 of 8: a box with the score nan in frame 0",
            ),
            (
                lambda t, d: (t, {**d, "2": replace(d["2"], frame=d["2"].frame + 1)}),
                r"video 2, detection 8 of 8: frame 10 is not in the video.*frames from 0 to 9",
            ),
            (
                lambda t, d: ({**t, "2": replace(t["2"], boxes=t["2"].boxes * 0)}, d),
                r"video 2, track box 1 of 10: a box without width or height in frame 0",
            ),
        ],
    )
    def test_what_is_wrong_is_one_line(self, hand: tuple, change, message: str):
        tracks, found, frames = hand
        tracks, found = change(tracks, found)
        with pytest.raises(DataError, match=message) as caught:
            rbdc(tracks, found, frames)
        assert "\n" not in str(caught.value)

    def test_shares_are_checked(self, hand: tuple):
        tracks, found, frames = hand
        with pytest.raises(ConfigError, match=r"beta 0 and alpha 0\.1"):
            match_videos(tracks, found, frames, beta=0)


def scored(name: str, frames: int, boxes: dict[int, list]) -> Scores:
    made = []
    for index in range(frames):
        rows = np.array(boxes.get(index, np.zeros((0, 5))), np.float32).reshape(-1, 5)
        made.append(FrameScore(index, index / 10, 0.0, rows[:, :4], rows[:, 4]))
    return Scores(name, made, fps=10.0)


class TestDatasets:
    def clips(self) -> Dataset:
        pixels = np.zeros((4, 20, 20, 3), np.uint8)

        def mask(index: int) -> np.ndarray:
            picture = np.zeros((20, 20), bool)
            picture[2:8, 3:9] = index in (1, 2)
            return picture

        tracks = (Track(5, "x", np.array([0, 3]), np.array([[0, 0, 9, 9]] * 2, np.float32)),)
        normal, some = np.zeros(4, np.uint8), np.array([0, 1, 1, 0], np.uint8)
        return Dataset(
            "planted",
            "test",
            (
                Video("masked", pixels, some, mask),
                Video("published", pixels, some[::-1] ^ 1, None, tracks=tracks),
                Video("normal", pixels, normal),
            ),
        )

    def test_tracks_come_from_annotations_or_masks(self):
        masked, published, normal = map(tracks_of, self.clips())
        assert masked.derived and masked.frame.tolist() == [1, 2]
        assert masked.boxes.tolist() == [[3, 2, 9, 8]] * 2
        assert not published.derived and published.track.tolist() == [5, 5]
        assert len(normal) == 0 and not normal.derived

    def test_boxes_of_scores_are_measured(self):
        scores = {
            "masked": scored("masked", 4, {1: [[3, 2, 9, 8, 0.9]], 2: [[3, 2, 9, 8, 0.8]]}),
            "published": scored("published", 4, {0: [[0, 0, 9, 9, 0.7]]}),
            "normal": scored("normal", 4, {2: [[0, 0, 9, 9, 0.75], [3, 3, 9, 9, 0.1]]}),
        }
        data = self.clips()
        matches = match_videos(
            {clip.name: tracks_of(clip) for clip in data},
            {name: detections_of(s) for name, s in scores.items()},
            {name: len(s) for name, s in scores.items()},
        )
        curves = region_curves(matches)
        # Two of four boxes, then one false positive in 12 frames, then the third box.
        assert curves.rbdc == pytest.approx(0.5 / 12 + 0.75 * 11 / 12)
        assert curves.tbdc == pytest.approx(0.5 / 12 + 11 / 12)

    def test_smoothing_leaves_box_scores_alone(self):
        scores = scored("v", 3, {1: [[0, 0, 5, 5, 0.25], [5, 5, 9, 9, 2]]})
        raw, smooth = detections_of(scores), detections_of(scores.smooth("average3"))
        assert raw.scores.tolist() == smooth.scores.tolist() == [0.25, 2]
        assert raw.frame.tolist() == [1, 1] and raw.boxes[1].tolist() == [5, 5, 9, 9]

    def test_a_clip_that_tells_no_place(self):
        bare = replace(self.clips()["masked"], mask=None)
        with pytest.raises(DataError, match="video masked has neither tracks nor pixel masks"):
            tracks_of(bare)


class TestDerivedTracks:
    def drawn(self, *frames: list[tuple[int, int, int, int]]) -> Tracks:
        pictures = np.zeros((len(frames), 100, 120), bool)
        for picture, boxes in zip(pictures, frames, strict=True):
            for x1, y1, x2, y2 in boxes:
                picture[y1:y2, x1:x2] = True
        return derive_tracks(lambda index: pictures[index], len(frames))

    def test_objects_keep_their_numbers_as_they_move(self):
        tracks = self.drawn(
            [(0, 0, 10, 10), (50, 50, 60, 70)],
            [(52, 50, 62, 70), (4, 0, 14, 10)],
            [(54, 50, 64, 70), (8, 0, 18, 10), (80, 0, 90, 9)],
            [(58, 50, 68, 70)],
        )
        assert tracks.derived
        keys = zip(tracks.track.tolist(), tracks.frame.tolist(), strict=True)
        found = dict(zip(keys, tracks.boxes.tolist(), strict=True))
        assert found[0, 2] == [8, 0, 18, 10] and found[1, 3] == [58, 50, 68, 70]
        assert found[2, 2] == [80, 0, 90, 9]
        assert len(tracks) == 8 and tracks.fault(4) is None

    def test_the_best_overlap_wins_and_is_the_only_one(self):
        tracks = self.drawn([(0, 0, 20, 20)], [(0, 0, 8, 20), (9, 0, 20, 20)])
        assert tracks.track.tolist() == [0, 1, 0]  # the right part overlaps more

    def test_a_gap_begins_a_new_track(self):
        assert self.drawn([(0, 0, 9, 9)], [], [(0, 0, 9, 9)]).track.tolist() == [0, 1]

    def test_specks_are_no_objects(self):
        assert 1 < SPECK * 100 * 120 < 2  # so one pixel is a speck and two are none
        tracks = self.drawn([(0, 0, 1, 1), (5, 5, 7, 6)])
        assert tracks.boxes.tolist() == [[5, 5, 7, 6]]

    def test_ped2(self, shared_data: Path):
        clips = open_dataset(shared_data / "ucsd" / "UCSDped2").test
        for name, spans in {
            "Test004": {0: (30, 179), 1: (120, 179)},
            "Test011": {0: (0, 128), 1: (0, 179), 2: (113, 179)},
        }.items():
            tracks = tracks_of(clips[name])
            assert tracks.derived and tracks.fault(180) is None
            for track, span in spans.items():
                frames = tracks.frame[tracks.track == track]
                assert (frames.min(), frames.max()) == span
                assert len(frames) == 1 + span[1] - span[0]
            assert set(tracks.track) == set(spans)

    def test_avenue(self, shared_data: Path):
        clip = open_dataset(shared_data / "avenue_sample").test["21"]
        tracks = tracks_of(clip)
        assert set(tracks.track) == {0} and clip.frame_labels is not None
        assert tracks.frame.tolist() == np.flatnonzero(clip.frame_labels).tolist()


class TestFiles:
    def test_round_trip(self, tmp_path: Path):
        tracks, found, frames = planted(2)
        found["v1"] = replace(
            found["v1"],
            boxes=found["v1"].boxes + np.random.default_rng(0).random(4).repeat(1),
            scores=found["v1"].scores / 3 + 1e6,
        )
        write_track_folder(tmp_path / "t", tracks)
        write_detection_folder(tmp_path / "d", found)
        again = read_track_folder(tmp_path / "t", frames)
        detections = read_detection_folder(tmp_path / "d", frames)
        for name in frames:
            assert again[name].track.tolist() == tracks[name].track.tolist()
            assert again[name].frame.tolist() == tracks[name].frame.tolist()
            assert again[name].boxes.tolist() == tracks[name].boxes.tolist()
            assert detections[name].boxes == pytest.approx(found[name].boxes)
            assert detections[name].scores.tolist() == found[name].scores.tolist()

    @pytest.mark.parametrize("seed", range(3))
    def test_rows_have_the_same_figures_in_any_order(self, seed: int, hand, tmp_path: Path):
        rng = np.random.default_rng(seed)
        mixed = []
        for texts in (HAND_TRACKS, HAND_DETECTIONS):
            shuffled = {n: rng.permutation(text.splitlines(True)) for n, text in texts.items()}
            files = {n: "".join(lines.tolist()) for n, lines in shuffled.items()}
            mixed.append(written(tmp_path / str(len(mixed)), files))
        tracks = read_track_folder(mixed[0], HAND_FRAMES)
        found = read_detection_folder(mixed[1], HAND_FRAMES)
        again = region_curves(match_videos(tracks, found, HAND_FRAMES))
        curves = region_curves(match_videos(*hand))
        assert (again.rbdc, again.tbdc) == (curves.rbdc, curves.tbdc)

    def test_boxes_are_inclusive_in_files_and_only_there(self, tmp_path: Path):
        tracks = Tracks(np.array([1234567]), np.array([3]), np.array([[10.0, 10, 30, 30.5]]))
        write_tracks(tmp_path / "v.txt", tracks)
        text = (tmp_path / "v.txt").read_text()
        assert text == "track,frame,x1,y1,x2,y2\n1234567,3,10,10,29,29.5\n"
        assert read_tracks(tmp_path / "v.txt", 4).boxes.tolist() == [[10, 10, 30, 30.5]]

    @pytest.mark.parametrize(
        "text",
        [
            "frame,x1,y1,x2,y2,score\n3,1,2,5,6,0.5\n",
            "3,1,2,5,6,0.5",
            "\ufeffFrame, X1, Y1, X2, Y2, Score\r\n\r\n3.0, 1, 2, 5, 6, 5e-1\r\n\r\n",
        ],
    )
    def test_with_or_without_a_header(self, tmp_path: Path, text: str):
        (tmp_path / "v.csv").write_text(text, encoding="utf-8", newline="")
        found = read_detection_folder(tmp_path, {"v": 4})["v"]
        assert found.frame.tolist() == [3] and found.scores.tolist() == [0.5]
        assert found.boxes.tolist() == [[1, 2, 6, 7]]

    @pytest.mark.parametrize(
        "text",
        [
            "\ufefftrack,frame,x1,y1,x2,y2\n3,1,10,20,29,39\n",
            "sep=;\n# by hand\n\ntrack;frame;x1;y1;x2;y2\n3;1;10;20;29;39\n",
            "x1\ty1\tx2\ty2\tframe\ttrack\tnote\n10\t20\t29\t39\t1\t3\tbike\n",
            "3;1;10;20;29;39\n",
        ],
        ids=["mark", "declared", "other order", "no header"],
    )
    def test_files_are_read_as_other_tables(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "1.csv").write_text(text)
        tracks = read_tracks(tmp_path / "1.csv", 2)
        assert (tracks.track.tolist(), tracks.frame.tolist()) == ([3], [1])
        assert tracks.boxes.tolist() == [[10, 20, 30, 40]]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("0,1,0.1,0.2,0.3,0.4", "line 1: all boxes lie within 0 to 1"),
            ("0,1,10,20,200,39", "line 1: a box from (10, 20) to (200, 39)"),
        ],
    )
    def test_tracks_that_are_not_in_pixels_of_their_video(
        self, tmp_path: Path, row: str, said: str
    ) -> None:
        (tmp_path / "1.txt").write_text(f"{row}\n")
        assert len(read_track_folder(tmp_path, {"1": 2})["1"]) == 1
        with pytest.raises(DataError, match=re.escape(said)) as caught:
            read_track_folder(tmp_path, {"1": 2}, {"1": (96, 64)})
        assert "x1,y1,x2,y2 in a picture of 96x64 pixels" in str(caught.value)

    def test_an_empty_file_is_a_video_without_any(self, tmp_path: Path):
        for text in ("", "\n", "frame,x1,y1,x2,y2,score\n"):
            (tmp_path / "v.txt").write_text(text)
            assert len(read_detections(tmp_path / "v.txt")) == 0
        write_detections(tmp_path / "v.txt", Detections.join(()))
        assert len(read_detections(tmp_path / "v.txt")) == 0

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("0,7,1,1,5,5", r"line 4: track 0 has a second box in frame 7"),
            ("0,8,9,1,5,5", r"line 4: a box from \(9, 1\) to \(5, 5\).*x1 ≤ x2"),
            ("0,8,nan,1,5,5", r"line 4: a box with the coordinates nan, 1, 6, 6"),
            ("0,8,1,1,inf,5", r"line 4: a box with the coordinates 1, 1, inf, 6"),
            ("0,10,1,1,5,5", r"line 4: frame 10 is not in the video: expected frames from 0 to 9"),
            ("0,-1,1,1,5,5", r"line 4: frame -1 is not in the video"),
            ("0,8.5,1,1,5,5", r"line 4: frame 8.5: expected a whole number"),
            ("0,nan,1,1,5,5", r"line 4: frame nan: expected a whole number"),
            ("0,8,1,1,5", r"line 4 is '0,8,1,1,5': expected 6 numbers track,frame,x1,y1,x2,y2"),
            ("0 8 1 1 5 5", r"line 4 is '0 8 1 1 5 5': expected 6 numbers"),
            ("0,8,1,one,5,5", r"line 4 is '0,8,1,one,5,5': expected 6 numbers"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path: Path, row: str, message: str):
        path = tmp_path / "v.txt"
        path.write_text(f"track,frame,x1,y1,x2,y2\n0,7,1,1,5,5\n\n{row}\n0,9,1,1,5,5\n")
        with pytest.raises(DataError, match=re.escape(str(path)) + " " + message) as caught:
            read_tracks(path, 10)
        assert "\n" not in str(caught.value)

    def test_rows_of_another_video_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "1.csv").write_text("file,frame,x1,y1,x2,y2,score\nx/1.avi,0,1,1,5,5,1\n")
        assert len(read_detections(tmp_path / "1.csv")) == 1
        (tmp_path / "2.csv").write_text(
            "video,track,frame,x1,y1,x2,y2\n2,0,1,1,1,5,5\n1,0,2,1,1,5,5"
        )
        with pytest.raises(DataError, match=r"2\.csv line 3 is of the video '1'"):
            read_tracks(tmp_path / "2.csv")

    def test_too_few_columns_everywhere(self, tmp_path: Path):
        (tmp_path / "v.txt").write_text("1,2,3,4,5\n1,2,3,4,5\n")
        with pytest.raises(DataError, match=r"line 1 is '1,2,3,4,5': expected 6 numbers frame,x1"):
            read_detections(tmp_path / "v.txt")

    def test_a_score_that_is_not_finite(self, tmp_path: Path):
        (tmp_path / "v.txt").write_text("0,1,1,5,5,1\n2,1,1,5,5,nan\n")
        with pytest.raises(DataError, match="line 2: a box with the score nan in frame 2"):
            read_detections(tmp_path / "v.txt")

    def test_folders(self, tmp_path: Path):
        folder = written(tmp_path / "t", HAND_TRACKS)
        (folder / "README.md").write_text("no tracks")
        assert set(read_track_folder(folder, {**HAND_FRAMES, "normal": 5})) == {"1", "2"}
        with pytest.raises(DataError, match=r"2\.txt is of a video '2', which the test set lacks"):
            read_track_folder(folder, {"1": 10})
        (folder / "1.csv").write_text("")
        with pytest.raises(DataError, match=r"of a video '1' that has another file"):
            read_track_folder(folder, HAND_FRAMES)
        with pytest.raises(DataError, match="no folder"):
            read_track_folder(tmp_path / "absent", HAND_FRAMES)
        with pytest.raises(DataError, match="cannot read"):
            read_tracks(tmp_path / "absent.txt")

    def test_what_cannot_be_read_again_is_not_written(self, tmp_path: Path):
        bad = Detections(np.array([0]), np.array([[0.0, 0, 5, 5]]), np.array([np.inf]))
        with pytest.raises(
            DataError, match=r"row 1 of what .*v\.txt is to hold: a box with the sc"
        ):
            write_detections(tmp_path / "v.txt", bad)
        assert not list(tmp_path.iterdir())


class TestMapBoxes:
    def test_components_become_scored_boxes_of_the_video(self):
        values = np.zeros((6, 8), np.float32)
        values[1:3, 2:4] = [[0.6, 0.9], [0.5, 0.55]]
        values[4, 7] = 2.0
        values[0, 0] = 0.49
        boxes, scores = MapBoxes(0.5)(values, width=80, height=30)
        assert boxes.tolist() == [[20, 5, 40, 15], [70, 20, 80, 25]]
        assert scores == pytest.approx([0.9, 2.0])

    def test_diagonal_neighbours_are_one_and_small_ones_can_go(self):
        values = np.eye(3)
        values[0, 2] = 0
        boxes, _ = MapBoxes(1)(values, width=3, height=3)
        assert boxes.tolist() == [[0, 0, 3, 3]]
        few = np.zeros((4, 9))
        few[0, 0] = few[3, 4:8] = 1
        boxes, scores = MapBoxes(0.5, smallest=2)(few, width=9, height=4)
        assert boxes.tolist() == [[4, 3, 8, 4]] and scores.tolist() == [1]

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(1, 90), SEEDS)
    @QUICK
    def test_boxes_lie_in_the_video_and_cover_it_for_a_full_map(
        self, rows: int, columns: int, width: int, height: int, seed: int
    ):
        values = np.random.default_rng(seed).random((rows, columns))
        boxes, scores = MapBoxes(0.6)(values, width=width, height=height)
        assert (boxes >= 0).all() and (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 1).all()
        assert len(scores) == len(boxes) and (scores >= np.float32(0.6)).all()
        if len(scores):
            assert scores.max() == np.float32(values.max())
        full, _ = MapBoxes(0)(values, width=width, height=height)
        assert full.tolist() == [[0, 0, width, height]]

    def test_nothing_above_the_level_is_no_box(self):
        boxes, scores = MapBoxes(1.5)(np.ones((4, 4)), width=8, height=8)
        assert boxes.shape == (0, 4) and scores.shape == (0,)

    def test_names_and_wrong_input(self):
        assert MapBoxes(0.5).name == "components0.5"
        assert MapBoxes(2, smallest=4).name == "components2/4"
        with pytest.raises(ConfigError, match="map boxes at level nan"):
            MapBoxes(float("nan"))
        with pytest.raises(DataError, match="not finite"):
            MapBoxes(0.5)(np.full((2, 2), np.nan), width=4, height=4)
