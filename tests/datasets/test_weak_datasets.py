"""Weakly supervised data sets and published features, against the real lists where at hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.dataset_files import problem, text
from support.feature_files import features, labels, rows, save
from vadistill.datasets import Dataset, open_dataset, recognise
from vadistill.datasets.check import check
from vadistill.datasets.check_report import FEATURE_COLUMNS
from vadistill.datasets.sampling import held_out_groups, identity
from vadistill.datasets.snippets import FeatureSource
from vadistill.errors import DataError, VideoError
from vadistill.evaluation.alignment import Aligned
from vadistill.evaluation.frame_level import class_aucs
from vadistill.systems.motion import Motion
from vadistill.video import VideoWriter


def mp4(path: Path, frames: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 48, 32, 25) as writer:
        for _ in range(frames):
            writer.write(np.full((32, 48, 3), 90, np.uint8))
    return path


# -- one's own features -------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Four videos, of which one is a .mp4 in the lists, from two backbones in three formats."""
    root = tmp_path / "mine"
    text(root / "train.csv", "file,label", "a,0", "b.mp4,abnormal")
    text(root / "test.csv", "file,label", "c,0", "d.1,1")
    text(root / "intervals.csv", "file,start,end", "d.1,8,20", "d.1,30,34", "c,,")
    text(root / "classes.csv", "file,class", "b,Arson", "d.1,Arson", "d.1,Fighting")
    for name, ending in (("a", "npy"), ("b", "txt"), ("c", "mat"), ("d.1", "npy")):
        save(root / f"features/i3d/{name}.{ending}", rows(2))
        save(root / f"features/clip/deeper/{name}.npy", rows(2, 3))
    return root


def test_what_is_not_used_is_listed(own: Path, pets: Path, tmp_path: Path) -> None:
    crime, film = ucf(tmp_path / "ucf"), "v=S-7r__#1_label_B4-G-0"
    for name in ("Abuse001_x264", "Arson002_x264"):
        mp4(crime / f"videos/{name}.mp4", 40)
    text(tmp_path / "xd/annotations.txt", f"{film} 3 7")
    mp4(tmp_path / f"xd/videos/{film}.mp4", 9)
    for root in (own, pets, crime, tmp_path / "xd"):
        assert open_dataset(root, tolerant=True).unused == ()
        mp4(root / "more/unlisted.mp4", 9)
        save(root / "features/i3d/unlisted.npy", rows(2))
        text(root / "notes.md", "nothing")
        more = ("features/i3d/unlisted.npy",) if root == own else ("features/",)
        assert set(check(root).unused) == {"more/", "notes.md", *more}, root


def test_an_interval_in_a_normal_training_video_is_told(own: Path) -> None:
    text(own / "intervals.csv", "file,start,end", "d.1,8,20", "a,3,5")
    assert "training video a has the label 0 and an abnormal interval" in problem(own)


class TestFeatures:
    def test_both_splits(self, own: Path) -> None:
        splits = open_dataset(own)
        assert (splits.kind, splits.problems, splits.train.name) == ("features", (), "mine")
        assert {splits.train.supervision, splits.test.supervision} == {"weak"}
        assert [(c.name, c.video_label, c.classes) for c in splits.train] == [
            ("a", 0, ()),
            ("b", 1, ("Arson",)),
        ]
        assert all(video.frame_labels is None for video in splits.train)
        assert labels(splits.test["c"]) == [0] * 32
        # An end up to 16 frames past the last whole snippet is of the video's own length.
        assert np.flatnonzero(labels(splits.test["d.1"])).tolist() == [*range(8, 20), 30, 31]
        assert splits.test["d.1"].classes == ("Arson", "Fighting")
        assert features(splits.train["b"]) == pytest.approx(rows(2), rel=1e-6)
        assert features(splits.test["c"], "clip").shape == (2, 3)

    def test_clips_are_sources_without_pictures(self, own: Path) -> None:
        video = open_dataset(own).train["a"]
        assert video.open().info.frames == 32 and "a.npy" in identity(video)
        with pytest.raises(VideoError, match="no pictures"):
            next(iter(video.open()))

    def test_report(self, own: Path) -> None:
        report = check(own)
        assert report.sound and report.columns == FEATURE_COLUMNS
        assert report.rows()[3] == (
            *("test", "d.1", "2", "clip 3, i3d 4", "25", "14", "Arson, Fighting"),
        )
        assert "every feature read" in report.lines()[-1]
        assert "4 feature rows, clip 3, i3d 4" in report.lines()[2]

    def test_without_intervals_there_are_no_frame_labels(self, own: Path) -> None:
        (own / "intervals.csv").unlink()
        assert [(c.frame_labels, c.video_label) for c in open_dataset(own).test] == [
            (None, 0),
            (None, 1),
        ]

    def test_wrong_width(self, own: Path) -> None:
        save(own / "features/i3d/d.1.npy", rows(2, 6))
        assert problem(own).endswith("d.1.npy have the width 6, expected 4")

    def test_missing(self, own: Path) -> None:
        (own / "features/i3d/b.txt").unlink()
        assert problem(own) == "train video b is without features of 'i3d', which others have"
        (own / "features/clip/deeper/b.npy").unlink()
        assert "train video b is neither there as a video nor in features/" in problem(own)
        shutil.rmtree(own / "features/i3d")
        shutil.rmtree(own / "features/clip")
        with pytest.raises(DataError, match="none of the videos of features"):
            open_dataset(own)

    def test_backbones_of_other_lengths(self, own: Path) -> None:
        save(own / "features/i3d/a.npy", rows(4))
        video = open_dataset(own).train["a"]
        assert video.open().info.frames == 32
        assert features(video).tolist() == rows(4)[:2].tolist()
        save(own / "features/clip/deeper/a.npy", rows(6, 3))
        video = open_dataset(own).train["a"]
        assert features(video).tolist() == rows(4).tolist()
        assert features(video, "clip").tolist() == rows(6, 3)[:4].tolist()
        save(own / "features/i3d/a.npy", rows(3))
        told = "train video a has 6 snippets of 'clip' (features/clip/deeper/a.npy), expected 3"
        assert told in problem(own)

    def test_the_last_snippet_stands_for_one_that_is_missing(self, own: Path) -> None:
        save(own / "features/i3d/a.npy", rows(40))
        save(own / "features/clip/deeper/a.npy", rows(41, 3))
        save(own / "features/flow/a.npy", rows(41, 5))
        for name in ("b", "c", "d.1"):
            save(own / f"features/flow/{name}.npy", rows(2, 5))
        found = features(open_dataset(own).train["a"])
        assert found.tolist() == [*rows(40).tolist(), rows(40)[-1].tolist()]

    @pytest.mark.parametrize("spelling", ["{0}_{1}.npy", "{1}/{0}.npy", "{1}Train/{0}__0.npy"])
    def test_colour_and_flow_of_one_backbone(self, own: Path, spelling: str) -> None:
        shutil.rmtree(own / "features/i3d")
        for name in ("a", "b", "c", "d.1"):
            save(own / "features/i3d" / spelling.format(name, "RGB"), rows(3))
            save(own / "features/i3d" / spelling.format(name, "Flow"), rows(2, 6))
        splits = open_dataset(own)
        for video in (*splits.train, *splits.test):
            joined = np.hstack([rows(3)[:2], rows(2, 6)])
            assert features(video).tolist() == joined.tolist()
        (own / "features/i3d" / spelling.format("b", "Flow")).unlink()
        assert "have the width 4, expected 10" in problem(own)

    def test_a_damaged_file(self, own: Path) -> None:
        (own / "features/i3d/a.npy").write_bytes(b"\x93NUMPY")
        assert "train video a: cannot read" in problem(own)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_features_that_are_not_finite(self, own: Path, value: float) -> None:
        bad = rows(2)
        bad[1, 2] = value
        save(own / "features/i3d/a.npy", bad)
        (line,) = check(own).problems
        assert "features of 'i3d' for a are not finite in 1 of 2 snippets (first: 1)" in line
        with pytest.raises(DataError, match="not finite"):
            features(open_dataset(own).train["a"])

    def test_crop_files_and_names_of_published_features(self, own: Path) -> None:
        (own / "features/i3d/a.npy").rename(own / "features/i3d/a_i3d.npy")
        (own / "features/i3d/b.txt").unlink()
        for crop in range(3):
            save(own / f"features/i3d/b__{crop}.npy", rows(2, seed=crop))
        (own / "features/i3d/c.mat").rename(own / "features/i3d/c.mp4.mat")
        train = open_dataset(own).train
        assert features(train["b"]) == pytest.approx(
            np.mean([rows(2, seed=i) for i in range(3)], 0)
        )
        save(own / "features/i3d/a__0.npy", rows(2))
        assert "features of 'i3d' for a are both in a_i3d.npy and in a__0.npy" in problem(own)
        (own / "features/i3d/a__0.npy").unlink()
        (own / "features/i3d/a_i3d.npy").unlink()
        for crop in range(2):
            save(own / f"features/i3d/a__{crop}.npy", rows(2, seed=crop))
        assert problem(own) == "video a is without all 3 crops of 'i3d'"

    @pytest.mark.parametrize(
        ("file", "line", "message"),
        [
            ("intervals.csv", "x,1,2", "intervals.csv line 5: no video called x"),
            ("intervals.csv", "c,1,2", "test video c has the label 0 and 1 intervals"),
            ("intervals.csv", "d.1,90,95", "labels reach 95 frames but the video has 32"),
            ("classes.csv", "x,Arson", "classes.csv line 5: no video called x"),
            ("train.csv", "a,1", "train.csv line 4: a a second time"),
            ("train.csv", "c,0", "video c is in both splits (train.csv and test.csv)"),
        ],
    )
    def test_lists_that_do_not_fit(self, own: Path, file: str, line: str, message: str) -> None:
        path = own / file
        path.write_text(path.read_text() + line + "\n")
        assert message in problem(own)

    def test_lists_of_another_kind(self, own: Path) -> None:
        text(own / "intervals.csv", "file,start_time,end_time", "d.1,0:01,0:02")
        with pytest.raises(DataError, match="no list of intervals in frames"):
            open_dataset(own)
        text(own / "train.csv", "video,kind", "a,1")
        with pytest.raises(DataError, match="no list of video labels"):
            open_dataset(own)

    def test_what_weak_systems_need(self, own: Path) -> None:
        class Weak(Motion):
            supervision = "weak"

        detector, train = Weak(), open_dataset(own).train
        detector.check_supervision(train)
        one = replace(train, videos=train.videos[:1])
        with pytest.raises(DataError, match="all 1 training video of mine are normal: expected"):
            detector.check_supervision(one)
        unknown = (*train.videos, replace(train.videos[0], name="e", video_label=None))
        with pytest.raises(
            DataError, match="1 of 3 training videos of mine have no video label, s"
        ):
            detector.check_supervision(replace(train, videos=unknown))
        with pytest.raises(DataError, match="normal videos only, which is what motion"):
            Motion().check_supervision(train)

    def test_classes_are_what_auc_by_class_takes(self, own: Path) -> None:
        test = open_dataset(own).test
        truth = tuple(np.array(labels(video), np.uint8) for video in test)
        names = tuple(video.name for video in test)
        data = Aligned(names, truth, tuple(y.astype(float) for y in truth))
        found = class_aucs(data, {video.name: video.classes for video in test})
        assert [(each.name, each.auc) for each in found] == [("Arson", 1.0), ("Fighting", 1.0)]


# -- PETS 2009 ----------------------------------------------------------------------------------


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    root.mkdir()
    for split in ("train", "test"):
        for view in range(1, 5):
            scenes = [{"name": f"{split}{i}", "label": i, "clips": 2 + i} for i in range(2)]
            arrays: dict[str, np.ndarray] = {}
            for i, scene in enumerate(scenes):
                clips = scene["clips"]
                arrays[f"{i:02d}.features"] = rows(int(clips), seed=view)
                arrays[f"{i:02d}.frame_labels"] = np.repeat([0, i] + [0] * i, 16).astype(np.uint8)
            np.savez(root / f"{split}_view{view}.npz", **arrays)  # pyright: ignore
            (root / f"{split}_view{view}.json").write_text(json.dumps(scenes))
    return root


def change(root: Path, name: str, **values: np.ndarray | None) -> None:
    with np.load(root / f"{name}.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays |= {key.replace("_", ".", 1): value for key, value in values.items()}  # pyright: ignore
    np.savez(root / f"{name}.npz", **{k: v for k, v in arrays.items() if v is not None})


class TestPets:
    def test_views_are_inputs_of_one_scene(self, pets: Path) -> None:
        splits = open_dataset(pets)
        assert (splits.kind, splits.train.name, splits.train.supervision) == (
            *("pets", "pets2009", "weak"),
        )
        video = splits.test["test1"]
        assert features(video, "view3") == pytest.approx(rows(3, seed=3))
        assert labels(video) == [0] * 16 + [1] * 16 + [0] * 16
        assert [(c.video_label, c.frame_labels) for c in splits.train] == [(0, None), (1, None)]
        assert check(pets).sound

    def test_missing_view(self, pets: Path) -> None:
        (pets / "test_view2.npz").unlink()
        assert problem(pets) == "test_view2.npz is missing"

    def test_other_scenes(self, pets: Path) -> None:
        scenes = json.loads((pets / "train_view3.json").read_text())
        (pets / "train_view3.json").write_text(json.dumps(scenes[::-1]))
        assert "train scene 00 is train0 (2 snippets, label 0) in view1 and train1" in problem(pets)
        (pets / "train_view3.json").write_text(json.dumps(scenes[:1]))
        assert "train has 2 scenes in view1 and 1 in view3" in problem(pets)
        (pets / "train_view3.json").write_text("{}x")
        with pytest.raises(DataError, match=r"cannot read .*train_view3\.json"):
            open_dataset(pets)

    def test_arrays_that_do_not_fit(self, pets: Path) -> None:
        change(pets, "train_view2", **{"01_features": rows(5)})
        assert open_dataset(pets, tolerant=True).problems == (
            "train scene train1 has 5 snippets in train_view2.npz, expected 3, as train_view2.json"
            " says",
        )
        change(pets, "train_view2", **{"01_features": rows(3, 9)})
        assert problem(pets).endswith("(01.features) have the width 9, expected 4")

    def test_labels_that_differ(self, pets: Path) -> None:
        change(pets, "test_view4", **{"01_frame_labels": np.ones(48, np.uint8)})
        assert problem(pets) == "test scene test1 has other frame labels than view1 in view4"
        change(pets, "test_view4", **{"01_frame_labels": np.ones(40, np.uint8)})
        assert problem(pets) == "test scene test1 has 40 labels for 48 frames in view4"
        change(pets, "test_view4", **{"01_frame_labels": None})
        with pytest.raises(DataError, match=r"cannot read 01\.frame_labels"):
            open_dataset(pets)

    def test_real(self, shared_data: Path) -> None:
        splits = open_dataset(shared_data / "pets2009_i3d")
        assert (len(splits.train), len(splits.test)) == (13, 14)
        truth = [video.frame_labels for video in splits.test]
        assert sum(int(y.sum()) for y in truth if y is not None) == 676
        assert sum(len(y) for y in truth if y is not None) == 16 * 269
        assert sum(video.video_label or 0 for video in splits.train) == 4
        for video in splits.train:
            assert isinstance(video.source, FeatureSource)
            assert set(video.source.arrays) == {"view1", "view2", "view3", "view4"}
            assert features(video, "view2").shape == (video.source.snippets, 1024)


# -- UCF-Crime, XD-Violence, ShanghaiTech -------------------------------------------------------


def ucf(root: Path) -> Path:
    text(
        root / "Anomaly_Train.txt",
        "Abuse/Abuse001_x264.mp4",
        "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4",
    )
    text(
        root / "Temporal_Anomaly_Annotation.txt",
        "Arson002_x264.mp4  Arson  4  9  20  24",
        "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1",
    )
    return root


class TestUcfCrime:
    def test_features(self, tmp_path: Path) -> None:
        root = ucf(tmp_path)
        save(root / "features/i3d/train/Abuse001_x264_i3d.npy", rows(3))
        save(root / "features/i3d/train/Normal_Videos001_x264.npy", rows(3))
        save(root / "features/i3d/test/Arson002.txt", rows(2))
        for crop in range(5):
            save(root / f"features/i3d/test/Normal_Videos_003_x264__{crop}.npy", rows(2))
        save(root / "features/i3d/other.npy", rows(9, 9))
        splits = open_dataset(root)
        assert (splits.kind, splits.train.name, len(splits.train)) == ("ucf_crime", "ucf_crime", 2)
        assert np.flatnonzero(labels(splits.test["Arson002_x264"])).tolist() == [
            *range(4, 9),
            *range(20, 24),
        ]
        assert labels(splits.test["Normal_Videos_003_x264"]) == [0] * 32
        assert splits.test["Arson002_x264"].classes == ("Arson",)
        assert splits.test["Arson002_x264"].open().info.fps == 30

    def test_videos(self, tmp_path: Path) -> None:
        root = ucf(tmp_path)
        mp4(root / "Anomaly-Videos-Part-1/Abuse/Abuse001_x264.mp4", 3)
        mp4(root / "Normal/Normal_Videos001_x264.mp4", 3)
        mp4(root / "Arson002_x264.mp4", 24)
        splits = open_dataset(root, tolerant=True)
        assert splits.problems == (
            "test video Normal_Videos_003_x264 is neither there as a video nor in features/",
        )
        assert [video.name for video in splits.train] == ["Abuse001_x264", "Normal_Videos001_x264"]
        assert np.flatnonzero(labels(splits.test["Arson002_x264"])).tolist() == [
            *range(4, 9),
            *range(20, 24),
        ]
        assert not check(root).sound

    def test_some_features_and_some_videos(self, tmp_path: Path) -> None:
        root = ucf(tmp_path)
        (root / "Anomaly_Train.txt").unlink()
        save(root / "features/i3d/Arson002_x264.npy", rows(2))
        mp4(root / "Normal_Videos_003_x264.mp4", 3)
        assert problem(root) == (
            "test video Normal_Videos_003_x264 is without features of 'i3d', which others have"
        )

    def test_annotations_of_another_video(self, tmp_path: Path) -> None:
        root = ucf(tmp_path)
        (root / "Anomaly_Train.txt").unlink()
        save(root / "features/i3d/Arson002_x264.npy", rows(1))
        save(root / "features/i3d/Normal_Videos_003_x264.npy", rows(1))
        mp4(root / "Arson002_x264.mp4", 5)
        assert not open_dataset(root).problems  # 24 is 8 beyond 16
        shutil.rmtree(root / "features")
        mp4(root / "Normal_Videos_003_x264.mp4", 5)
        assert "Arson002_x264: labels reach 24 frames but the video has 5" in problem(root)

    def test_nothing_there(self, shared_data: Path) -> None:
        for name in ("ucf_crime", "xd_violence"):
            assert recognise(shared_data / name) == name
            with pytest.raises(DataError, match=f"none of the videos of {name}"):
                open_dataset(shared_data / name)

    def test_real_labels(self, shared_data: Path, tmp_path: Path) -> None:
        lists = shared_data / "ucf_crime"
        shutil.copy(lists / "Anomaly_Train.txt", tmp_path)
        shutil.copy(lists / "Temporal_Anomaly_Annotation.txt", tmp_path)
        known = published(lists / "frame_labels.npz", "__9_gt")
        for name, y in known.items():
            save(tmp_path / f"features/i3d/{name}.npy", np.zeros((len(y) // 16, 2), np.float16))
        splits = open_dataset(tmp_path, tolerant=True)
        assert splits.problems == (
            "1610 of 1610 train videos are neither there as a video nor in features/, such as"
            " Abuse001_x264",
        )
        agrees(splits.test, known)
        assert sum(video.video_label or 0 for video in splits.test) == 140

    def test_segments_tell_no_frames(self, shared_data: Path, tmp_path: Path) -> None:
        lists = shared_data / "ucf_crime"
        shutil.copy(lists / "Temporal_Anomaly_Annotation.txt", tmp_path)
        for name in published(lists / "frame_labels.npz", "__9_gt"):
            save(tmp_path / f"features/c3d/{name}_C.npy", np.zeros((32, 2), np.float16))
        first, *rest = open_dataset(tmp_path, tolerant=True).problems
        assert first.startswith("the features of all 290 test videos have 32 rows")
        assert len(rest) == 4 and "more test videos have such faults" in rest[-1]


def published(file: Path, ending: str) -> dict[str, np.ndarray]:
    with np.load(file) as archive:
        return {name.removesuffix(ending): archive[name] for name in archive.files}


def agrees(test: Dataset, known: dict[str, np.ndarray]) -> None:
    assert {video.name for video in test} == set(known)
    for video in test:
        assert video.frame_labels is not None
        assert np.array_equal(video.frame_labels, known[video.name]), video.name


class TestXdViolence:
    A, B = "A.Film.2001__#00-25-20_00-29-20_label_A", "v=S-7r__#1_label_B4-G-0"
    C, D = "Another.Film__#00-01-00_00-02-00_label_A", "v=xyz__#2_label_B1-0-0"

    def test_both_splits(self, tmp_path: Path) -> None:
        text(tmp_path / "annotations.txt", f"{self.B}.mp4 3 7")
        for name, split in ((self.A, "test"), (self.B, "test"), (self.C, "train")):
            save(tmp_path / f"features/i3d/{split}/{name}.npy", rows(2))
        for crop in range(5):
            save(tmp_path / f"features/i3d/train/{self.D}__{crop}.npy", rows(2))
        splits = open_dataset(tmp_path)
        assert [(c.name, c.video_label) for c in splits.train] == [(self.C, 0), (self.D, 1)]
        assert splits.train[self.D].classes == ("fighting",)
        assert splits.test[self.B].classes == ("riot", "explosion")
        assert np.flatnonzero(labels(splits.test[self.B])).tolist() == [3, 4, 5, 6]
        assert labels(splits.test[self.A]) == [0] * 32
        save(tmp_path / f"features/i3d/train/{self.A}.npy", rows(2))
        assert any(
            "in both splits" in line for line in open_dataset(tmp_path, tolerant=True).problems
        )

    def test_videos(self, tmp_path: Path) -> None:
        text(tmp_path / "annotations.txt", f"{self.B} 3 7")
        mp4(tmp_path / f"videos/{self.A}.mp4", 9)
        mp4(tmp_path / f"videos/{self.B}.mp4", 9)
        mp4(tmp_path / f"1-1004/{self.D}.mp4", 9)
        splits = open_dataset(tmp_path)
        assert [video.name for video in splits.train] == [self.D]
        assert labels(splits.test[self.B]) == [0, 0, 0, 1, 1, 1, 1, 0, 0]
        (tmp_path / f"videos/{self.B}.mp4").rename(tmp_path / f"1-1004/{self.B}.mp4")
        assert problem(tmp_path).endswith(
            "in annotations.txt but in no folder called test… or videos"
        )

    def test_names_without_a_class(self, tmp_path: Path) -> None:
        text(tmp_path / "annotations.txt", f"{self.B} 3 7")
        save(tmp_path / f"features/i3d/test/{self.B}.npy", rows(2))
        save(tmp_path / "features/i3d/train/v=1_label_B9-0-0.npy", rows(2))
        save(tmp_path / "features/i3d/readme.txt", rows(2))
        assert "video name 'v=1_label_B9-0-0'" in problem(tmp_path)

    def test_real_labels(self, shared_data: Path, tmp_path: Path) -> None:
        lists = shared_data / "xd_violence"
        shutil.copy(lists / "annotations.txt", tmp_path)
        known = published(lists / "frame_labels.npz", "__0")
        for name, y in known.items():
            path = tmp_path / f"features/i3d/RGBTest/{name}__0.npy"
            save(path, np.zeros((len(y) // 16, 2), np.float16))
        splits = open_dataset(tmp_path)
        agrees(splits.test, known)
        assert len(splits.train) == 0
        assert sum(video.video_label or 0 for video in splits.test) == 500


class TestShanghaiTech:
    @pytest.fixture
    def campus(self, shared_data: Path, tmp_path: Path) -> Path:
        """The lists, the masks, and features of all 437 videos."""
        lists = shared_data / "shanghaitech"
        for file in lists.glob("*"):
            shutil.copy(file, tmp_path)
        for line in (lists / "weak_SH_Train_new.txt").read_text().split():
            save(tmp_path / f"features/i3d/{line.split(',')[0]}.npy", np.zeros((3, 2), np.float16))
        masks = published(lists / "test_frame_mask.npz", "")
        for line in (lists / "weak_SH_Test_NEW.txt").read_text().split():
            name, _, frames = line.split(",")
            clips = (len(masks[name]) if name in masks else int(frames)) // 16
            save(tmp_path / f"features/i3d/{name}.npy", np.zeros((clips, 2), np.float16))
        # Lengths of abnormal training videos are known, too.
        for name, mask in masks.items():
            save(tmp_path / f"features/i3d/{name}.npy", np.zeros((len(mask) // 16, 2), np.float16))
        return tmp_path

    def test_real_labels(self, campus: Path, shared_data: Path) -> None:
        splits = open_dataset(campus)
        assert (splits.kind, splits.test.name) == ("shanghaitech_weak", "shanghaitech_weak")
        assert (len(splits.train), len(splits.test)) == (238, 199)
        assert sum(video.video_label or 0 for video in splits.train) == 63
        known = published(shared_data / "shanghaitech/test_frame_mask.npz", "")
        for video in splits.test:
            assert video.frame_labels is not None
            frames = video.open().info.frames
            assert len(video.frame_labels) == frames
            assert int(video.frame_labels.any()) == video.video_label == int(video.name in known)
            if video.name in known:
                assert np.array_equal(video.frame_labels, known[video.name])

    def test_problems(self, campus: Path) -> None:
        save(campus / "features/i3d/01_001.npy", rows(9, 2))
        assert problem(campus) == (
            "test video 01_001 has 9 snippets of features, expected 47 of its 764 frames"
        )
        save(campus / "features/i3d/01_001.npy", rows(47, 2))
        (campus / "test_frame_mask.npz").unlink()
        first = open_dataset(campus, tolerant=True).problems[0]
        assert first.startswith("44 of 199 test videos are without a mask in test_frame_mask")

    def test_frames_of_both_halves(self, tmp_path: Path) -> None:
        text(tmp_path / "weak_SH_Train_new.txt", "01_001,0", "01_0014,1")
        text(tmp_path / "weak_SH_Test_NEW.txt", "01_002,0,5", "01_0015,1,-1")
        mp4(tmp_path / "training/videos/01_001.mp4", 4)
        mp4(tmp_path / "training/videos/01_002.mp4", 5)
        import cv2

        for name in ("01_0014", "01_0015"):
            folder = tmp_path / "testing/frames" / name
            folder.mkdir(parents=True)
            for index in range(4):
                cv2.imwrite(str(folder / f"{index:03d}.jpg"), np.zeros((32, 48, 3), np.uint8))
            (tmp_path / "testing/test_frame_mask").mkdir(exist_ok=True)
            np.save(tmp_path / f"testing/test_frame_mask/{name}.npy", np.array([0, 1, 1, 0]))
        splits = open_dataset(tmp_path)
        assert [(c.name, c.video_label) for c in splits.train] == [("01_001", 0), ("01_0014", 1)]
        assert labels(splits.test["01_0015"]) == [0, 1, 1, 0]
        assert labels(splits.test["01_002"]) == [0] * 5
        assert splits.test["01_0015"].open().info.fps == 24
        assert recognise(tmp_path) == "shanghaitech_weak"
        assert open_dataset(tmp_path, "shanghaitech").train.supervision == "one-class"


# -- a folder of one's own with sources ---------------------------------------------------------


class TestSources:
    def test_no_source_in_both_splits(self, tmp_path: Path) -> None:
        lines = ["file,fight,source"]
        for index in range(12):
            mp4(tmp_path / f"{index}.mp4", 2)
            lines.append(f"{index}.mp4,{index % 2},s{index // 3}" if index else "0.mp4,0,")
        text(tmp_path / "labels.csv", *lines)
        splits = open_dataset(tmp_path)
        source = {line.split(",")[0]: line.split(",")[2] or "alone" for line in lines[1:]}
        train, test = (
            {source[f"{c.name}.mp4"] for c in part} for part in (splits.train, splits.test)
        )
        assert not train & test and len(splits.train) + len(splits.test) == 12
        assert splits.test.supervision == splits.train.supervision == "weak"
        for part in (splits.train, splits.test):
            assert {video.video_label for video in part} == {0, 1}
        names = [video.name for video in open_dataset(tmp_path).test]
        assert names == [video.name for video in splits.test]
        (drawn,) = splits.notes
        assert "were drawn for testing" in drawn and drawn in check(tmp_path).lines()

    def test_a_test_folder_comes_first(self, tmp_path: Path) -> None:
        for name in ("train/a", "train/b", "test/c"):
            mp4(tmp_path / f"{name}.mp4", 2)
        text(tmp_path / "labels.csv", "file,label,source", "a,0,x", "b,1,y", "c,1,z")
        splits = open_dataset(tmp_path)
        assert [video.name for video in splits.train] == ["a", "b"]
        assert [video.video_label for video in splits.test] == [1] and not splits.notes

    def test_check_tells_what_weak_systems_would_refuse(self, tmp_path: Path) -> None:
        for name, frames in (("train/a", 15), ("train/b", 16), ("test/c", 16)):
            mp4(tmp_path / f"{name}.mp4", frames)
        text(tmp_path / "labels.csv", "file,label", "a,0", "b,1", "c,1")
        short = "train video a: 15 frames, fewer than the 16 that one feature is made of"
        assert check(tmp_path).problems == (short,)
        text(tmp_path / "labels.csv", "file,label", "a,1", "b,1", "c,1")
        one = f"all 2 training videos of {tmp_path.name} are abnormal"
        assert check(tmp_path, full=True).problems == (one, short)

    def test_one_source_cannot_be_split(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            mp4(tmp_path / f"{name}.mp4", 2)
        text(tmp_path / "labels.csv", "file,label,source", "a,0,x", "b,1,x")
        assert "the 1 sources of 2 labelled clips cannot be split" in problem(tmp_path)

    @pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
    def test_share(self, share: float) -> None:
        groups = [f"g{i // 4}" for i in range(200)]
        values = [int(i % 4 == 0) for i in range(200)]
        chosen = held_out_groups(groups, values, share=share)
        assert len(chosen) == 50 * share
        assert chosen == held_out_groups(groups, values, share=share)
        assert chosen != held_out_groups(groups, values, share=share, seed=1)

    def test_surveillance_fights(self, shared_data: Path) -> None:
        folder = shared_data / "surveillance_fights"
        splits = open_dataset(folder)
        lines = (folder / "labels.csv").read_text().splitlines()[1:]
        source = {line.split(",")[0].removesuffix(".mp4"): line.split(",")[2] for line in lines}
        train, test = ({source[c.name] for c in part} for part in (splits.train, splits.test))
        assert not train & test and len(test) == round(0.3 * len(train | test))
        assert len(splits.train) + len(splits.test) == 109
        assert 0.25 < len(splits.test) / 109 < 0.35
        normal = [sum(c.video_label == 0 for c in part) for part in (splits.train, splits.test)]
        assert sum(normal) == 46 and 0.25 < normal[1] / 46 < 0.35


@pytest.mark.parametrize("kind", ["features", "pets", "ucf_crime", "simulated_features"])
def test_wrong_kind(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        open_dataset(tmp_path, kind)


def test_features_are_fitted_and_evaluated_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vadistill.cli import main
    from vadistill.simulated.features import SimulatedConfig, simulate_features

    data, model, report = tmp_path / "features", tmp_path / "m.vad", tmp_path / "r.html"
    simulate_features(data, SimulatedConfig(videos=40, longest=40))
    arguments = ["--teacher", "i3d", "clip", "--student", "clip", "--epochs", "2"]
    assert main(["fit", "dakd", str(data), "--out", str(model), *arguments]) == 0
    assert "next: vadistill evaluate" in capsys.readouterr().out
    assert main(["evaluate", str(model), "--data", str(data), "--report", str(report)]) == 0
    assert "simulated_ucf/micro/raw" in capsys.readouterr().out
    assert "Moments" in report.read_text()
    # Videos with labels of their own but none of their frames.
    (data / "intervals.csv").unlink()
    assert main(["evaluate", str(model), "--data", str(data), "--report", str(report)]) == 0
    out = capsys.readouterr().out
    assert "video/raw" in out and "micro" not in out and "videos abnormal" in out
    assert "Moments" in report.read_text()
    asked = ["--protocol", "micro/raw"]
    assert main(["evaluate", str(model), "--data", str(data), *asked]) == 2
    assert "whose labels are of whole videos" in capsys.readouterr().err


def test_labels_that_contradict_each_other(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        mp4(tmp_path / name, 20)
    text(tmp_path / "labels.csv", "file,label", "one.mp4,1", "two.mp4,0", "one.mp4,0")
    with pytest.raises(DataError, match=r"labels.csv line 4: one.mp4 has the other label above"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("snippets", [range(20, 24), [20] * 4, range(5, 9)])
def test_features_with_crops_first(tmp_path: Path, snippets: Sequence[int]) -> None:
    text(tmp_path / "train.csv", "file,label", "v0,0", "v1,1")
    text(tmp_path / "test.csv", "file,label", "v2,0", "v3,1")
    paths = [tmp_path / f"features/i3d/v{index}.npy" for index in range(4)]

    def read() -> list[list[object]]:
        splits = open_dataset(tmp_path)
        videos = (*splits.train, *splits.test)
        for video, count in zip(videos, snippets, strict=True):
            assert isinstance(video.source, FeatureSource) and video.source.snippets == count
        return [features(video).tolist() for video in videos]

    for path, count in zip(paths, snippets, strict=True):
        save(path, rows(count * 10, 8).reshape(count, 10, 8).astype(np.float16))
    expected = read()
    for path in paths:
        save(path, np.load(path).swapaxes(0, 1))
    assert read() == expected


def test_features_whose_order_of_axes_nothing_tells(tmp_path: Path) -> None:
    text(tmp_path / "train.csv", "file,label", "v0,0", "v1,1")
    for name in ("v0", "v1"):
        save(tmp_path / f"features/i3d/{name}.npy", np.ones((10, 5, 8)))
    assert "for v0 may be 10 snippets of 5 crops, or 5 of 10" in problem(tmp_path)
    for name in ("v0", "v1"):  # what another backbone has tells
        save(tmp_path / f"features/clip/{name}.npy", rows(5))
    assert features(open_dataset(tmp_path).train["v0"]).shape == (5, 8)


def test_case_of_crops_first(cases: Path) -> None:
    for video in open_dataset(cases / "crops_first").train:
        assert isinstance(video.source, FeatureSource)
        rows = video.source.arrays["i3d"].read()
        assert rows.shape[1] == 10 and 20 <= video.source.snippets <= 24
