"""Readers of data sets: layouts built on the fly, and the real ones where they are at hand."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.dataset_files import problem, text
from vadistill.cli import main
from vadistill.datasets import DATASETS, Dataset, open_dataset, open_source, recognise
from vadistill.datasets.check import check
from vadistill.datasets.check_report import COLUMNS
from vadistill.datasets.sources import frame_times
from vadistill.errors import ConfigError, DataError, VideoError
from vadistill.video import VideoWriter, count_frames, open_video

WIDTH, HEIGHT = 48, 32


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    image = np.full((height, width, 3), 90, np.uint8)
    image[8:16, index % (width - 8) : index % (width - 8) + 8] = 220
    return image


def mask(abnormal: bool) -> np.ndarray:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[4:9, 6:12] = 255 * abnormal
    return image


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def frames(folder: Path, count: int, suffix: str = ".png") -> Path:
    for index in range(count):
        write(folder / f"{index + 1:03d}{suffix}", picture(index))
    return folder


def masks(folder: Path, labels: list[int], name: str = "{:03d}.png") -> None:
    for index, label in enumerate(labels):
        write(folder / name.format(index + 1), mask(bool(label)))


def mp4(path: Path, count: int, fps: float = 25) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, WIDTH, HEIGHT, fps) as writer:
        for index in range(count):
            writer.write(picture(index))
    return path


def avi(path: Path, count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (WIDTH, HEIGHT))
    for index in range(count):
        writer.write(picture(index))
    writer.release()
    return path


# -- the layouts -------------------------------------------------------------------------------


@pytest.fixture
def ped1(tmp_path: Path) -> Path:
    """Ped1 in small: tif frames, masks for two of three videos, both namings, two intervals."""
    root = tmp_path / "UCSDped1"
    frames(root / "Train/Train001", 3, ".tif")
    frames(root / "Train/Train002", 2, ".tif")
    for number, count in ((1, 8), (2, 5), (3, 4)):
        frames(root / f"Test/Test{number:03d}", count, ".tif")
    (root / "Test/Test001/.DS_Store").write_bytes(b"junk")
    masks(root / "Test/Test001_gt", [0, 1, 1, 0, 0, 1, 0, 0], "frame{:03d}.bmp")
    masks(root / "Test/Test003_gt", [1, 1, 1, 1], "{:03d}.bmp")
    text(
        root / "Test/UCSDped1.m",
        "TestVideoFile = {};  % gt_frame = [1:99] in a comment counts for nothing",
        "TestVideoFile{end+1}.gt_frame = [2:3, 6];",
        "TestVideoFile{end+1}.gt_frame = [];",
        "TestVideoFile{end+1}.gt_frame = [1:4];",
    )
    return root


@pytest.fixture
def avenue(tmp_path: Path) -> Path:
    from scipy.io import savemat

    root = tmp_path / "Avenue"
    avi(root / "training_videos/01.avi", 4)
    avi(root / "testing_videos/01.avi", 5)
    avi(root / "testing_videos/10.avi", 3)
    for number, labels in ((1, [0, 1, 1, 0, 0]), (10, [0, 0, 1])):
        cell = np.empty((1, len(labels)), object)
        for index, label in enumerate(labels):
            cell[0, index] = mask(bool(label)) // 255
        file = root / f"ground_truth_demo/testing_label_mask/{number}_label.mat"
        file.parent.mkdir(parents=True, exist_ok=True)
        savemat(file, {"volLabel": cell})
    # The features that are published beside the videos are no labels.
    (root / "testing_vol").mkdir()
    savemat(root / "testing_vol/vol01.mat", {"vol": np.zeros((4, 4, 3), np.uint8)})
    return root


@pytest.fixture
def campus(tmp_path: Path) -> Path:
    root = tmp_path / "shanghaitech"
    avi(root / "training/videos/01_001.avi", 3)
    for name, labels in (("01_0014", [0, 1, 1, 0]), ("01_0015", [0, 0, 0])):
        frames(root / "testing/frames" / name, len(labels), ".jpg")
        for kind in ("frame", "pixel"):
            (root / f"testing/test_{kind}_mask").mkdir(exist_ok=True)
        np.save(root / f"testing/test_frame_mask/{name}.npy", np.array(labels, np.int8))
        volume = np.stack([mask(bool(label)) > 0 for label in labels])
        np.save(root / f"testing/test_pixel_mask/{name}.npy", volume)
    return root


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = tmp_path / "entrance"
    mp4(root / "train/monday.mp4", 4)
    mp4(root / "test/tuesday.mp4", 10)
    frames(root / "test/wednesday", 6)
    return root


class TestLayouts:
    """What every reader has in common."""

    LAYOUTS = (
        ("ped1", "ucsd"),
        ("avenue", "avenue"),
        ("campus", "shanghaitech"),
        ("own", "folder"),
    )

    @pytest.fixture(params=LAYOUTS, ids=[kind for _, kind in LAYOUTS])
    def layout(self, request: pytest.FixtureRequest) -> tuple[Path, str]:
        fixture, kind = request.param
        return request.getfixturevalue(fixture), kind

    def test_recognised_and_sound(self, layout: tuple[Path, str]) -> None:
        path, kind = layout
        assert recognise(path) == kind
        splits = open_dataset(str(path))
        assert splits.kind == kind and not splits.problems
        assert (splits.train.split, splits.test.split) == ("train", "test")
        assert splits.train.root == path and len(splits.train) and len(splits.test)
        report = check(path, full=True)
        assert report.sound, report.problems
        assert all(len(row) == len(COLUMNS) for row in report.rows())

    def test_labels_and_masks_fit_the_video(self, layout: tuple[Path, str]) -> None:
        for video in open_dataset(layout[0]).test:
            shown = list(video.open())
            assert video.open().info.name == video.name
            if video.frame_labels is not None:
                assert len(video.frame_labels) == len(shown)
                assert video.video_label == video.frame_labels.max()
            if video.mask is not None:
                assert video.mask(0).shape == shown[0].image.shape[:2]
                assert video.mask_disagreements() == []

    def test_training_clips_are_unlabelled(self, layout: tuple[Path, str]) -> None:
        for video in open_dataset(layout[0]).train:
            assert video.frame_labels is None and video.mask is None

    def test_clips_travel_to_other_processes(self, layout: tuple[Path, str]) -> None:
        video = open_dataset(layout[0]).test.videos[0]
        copy = pickle.loads(pickle.dumps(video))
        assert copy.name == video.name
        if video.mask is not None:
            assert (copy.mask(1) == video.mask(1)).all()

    def test_what_is_not_used_is_listed(
        self, layout: tuple[Path, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        path, kind = layout
        known = ("testing_vol/",) if kind == "avenue" else ()
        assert open_dataset(path).unused == known
        odd = {"ucsd": "Train/Train03", "avenue": "testing_videos/extra"}.get(kind, "extra")
        text(path / odd / "late.dav", "nothing")
        text(path / "notes.txt", "nothing")
        found = {*known, f"{odd}/", "notes.txt"}
        assert set(check(path).unused) == found
        caplog.clear()
        open_dataset(path)
        (record,) = caplog.records
        assert all(name in record.getMessage() for name in found)

    def test_damaged_clip_is_reported(self, layout: tuple[Path, str]) -> None:
        video = open_dataset(layout[0]).train.videos[0]
        assert isinstance(video.source, Path)
        files = sorted(video.source.iterdir()) if video.source.is_dir() else [video.source]
        files[0].write_text("not a video\n")
        assert any(video.name in line for line in check(layout[0]).problems)


# -- one by one --------------------------------------------------------------------------------


class TestUcsd:
    def test_ground_truth_is_one_based_and_inclusive(self, ped1: Path) -> None:
        splits = open_dataset(ped1)
        labels = [video.frame_labels for video in splits.test]
        assert [x.tolist() for x in labels if x is not None] == [
            [0, 1, 1, 0, 0, 1, 0, 0],
            [0] * 5,
            [1] * 4,
        ]
        assert [video.mask is not None for video in splits.test] == [True, False, True]
        assert splits.test.name == "ucsd_ped1"
        assert {video.open().info.fps for video in splits.train} == {10}

    def test_parent_of_one(self, ped1: Path) -> None:
        assert open_dataset(ped1.parent).train.name == "ucsd_ped1"

    def test_parent_of_two(self, ped1: Path) -> None:
        frames(ped1.parent / "UCSDped2/Train/Train001", 1)
        with pytest.raises(DataError, match=r"2 UCSD data sets.*UCSDped1, UCSDped2"):
            open_dataset(ped1.parent)

    def test_missing_test_clip_shifts_nothing(self, ped1: Path) -> None:
        (ped1 / "Test/Test002").rename(ped1.parent / "elsewhere")
        assert problem(ped1) == "Test002 missing: 2 videos of 3 are there"
        last = open_dataset(ped1, tolerant=True).test["Test003"]
        assert last.frame_labels is not None and last.frame_labels.tolist() == [1] * 4

    def test_missing_training_clip(self, ped1: Path) -> None:
        (ped1 / "Train/Train001").rename(ped1.parent / "elsewhere")
        assert "Train001 missing" in problem(ped1)

    def test_too_few_entries(self, ped1: Path) -> None:
        frames(ped1 / "Test/Test004", 2)
        assert "UCSDped1.m has 3 entries for test videos up to Test004" in problem(ped1)

    def test_labels_longer_than_the_clip(self, ped1: Path) -> None:
        (ped1 / "Test/Test003/004.tif").unlink()
        (ped1 / "Test/Test003_gt/004.bmp").unlink()
        assert problem(ped1) == "Test003: labels reach 4 frames but the video has 3"

    def test_mask_count(self, ped1: Path) -> None:
        (ped1 / "Test/Test003_gt/004.bmp").unlink()
        assert problem(ped1) == "Test003: 3 masks for 4 frames"

    def test_masks_without_clip(self, ped1: Path) -> None:
        masks(ped1 / "Test/Test009_gt", [1])
        assert problem(ped1) == "Test009_gt has no video Test009"

    def test_masks_alone_label_frames(self, ped1: Path) -> None:
        (ped1 / "Test/UCSDped1.m").unlink()
        labels = open_dataset(ped1).test["Test001"].frame_labels
        assert labels is not None and labels.tolist() == [0, 1, 1, 0, 0, 1, 0, 0]

    def test_check_finds_disagreement_and_sizes(self, ped1: Path) -> None:
        write(ped1 / "Test/Test001_gt/frame004.bmp", mask(True))
        write(ped1 / "Train/Train002/002.tif", picture(1, WIDTH + 2))
        lines = check(ped1, full=True).problems
        assert any("disagree on 1 frames, first on 3" in line for line in lines)
        assert any("Train002: pictures of 2 sizes: 48x32" in line for line in check(ped1).problems)

    def test_real_ped2(self, shared_data: Path) -> None:
        report = check(shared_data / "ucsd")
        assert report.sound, report.problems
        count = {s: [c.frames for c in report.videos if c.split == s] for s in ("train", "test")}
        assert [(len(x), sum(filter(None, x))) for x in count.values()] == [(16, 2550), (12, 2010)]
        assert {video.size for video in report.videos} == {"360x240"}
        test = open_dataset(shared_data / "ucsd/UCSDped2").test
        assert test.name == "ucsd_ped2"
        assert [video.mask_disagreements() for video in test] == [[]] * 12


class TestAvenue:
    def test_labels_from_masks(self, avenue: Path) -> None:
        test = open_dataset(avenue).test
        assert [video.name for video in test] == ["01", "10"]
        labels = [video.frame_labels for video in test]
        assert [x.tolist() for x in labels if x is not None] == [[0, 1, 1, 0, 0], [0, 0, 1]]
        first = test["01"].mask
        assert first is not None and (first(1) == (mask(True) > 0)).all()

    def test_masks_of_another_length(self, avenue: Path) -> None:
        avi(avenue / "testing_videos/10.avi", 4)
        assert problem(avenue) == "test video 10: 3 masks for 4 frames"

    def test_missing_video(self, avenue: Path) -> None:
        (avenue / "testing_videos/10.avi").unlink()
        assert problem(avenue) == "labels 10_label.mat have no video in testing_videos"

    def test_missing_labels(self, avenue: Path) -> None:
        (avenue / "ground_truth_demo/testing_label_mask/10_label.mat").unlink()
        assert "no 10_label.mat" in problem(avenue)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600), "v7.3"),
            (b"hello", "cannot read"),
            (b"", "cannot read"),
        ],
    )
    def test_unreadable_labels(self, avenue: Path, content: bytes, reason: str) -> None:
        file = avenue / "ground_truth_demo/testing_label_mask/10_label.mat"
        file.write_bytes(content)
        assert reason in problem(avenue)

    def test_real_sample(self, shared_data: Path) -> None:
        splits = open_dataset(shared_data / "avenue_sample")
        assert [(c.name, count_frames(c.open())) for c in splits.train] == [("12", 145)]
        lengths = {}
        for video in splits.test:
            assert video.frame_labels is not None and video.mask is not None
            lengths[video.name] = (len(video.frame_labels), sum(1 for _ in video.open()))
            assert video.mask(len(video.frame_labels) - 1).shape == (360, 640)
            assert video.mask_disagreements() == []
        assert lengths == {"08": (36, 36), "21": (76, 76)}


class TestShanghaiTech:
    def test_labels_and_extracted_training_frames(self, campus: Path) -> None:
        (campus / "training/videos/01_001.avi").unlink()
        frames(campus / "training/frames/01_002", 2, ".jpg")
        splits = open_dataset(campus)
        assert [video.name for video in splits.train] == ["01_002"]
        labels = splits.test["01_0014"].frame_labels
        assert labels is not None and labels.tolist() == [0, 1, 1, 0]
        assert splits.test["01_0014"].open().info.fps == 24

    def test_pixel_masks_alone(self, campus: Path) -> None:
        (campus / "testing/test_frame_mask").rename(campus / "unused")
        labels = open_dataset(campus).test["01_0014"].frame_labels
        assert labels is not None and labels.tolist() == [0, 1, 1, 0]

    def test_missing_clip(self, campus: Path) -> None:
        (campus / "testing/frames/01_0015").rename(campus / "unused")
        (campus / "testing/test_pixel_mask/01_0015.npy").unlink()
        assert problem(campus) == "test_frame_mask/01_0015.npy has no video testing/frames/01_0015"

    def test_labels_longer_than_the_clip(self, campus: Path) -> None:
        np.save(campus / "testing/test_frame_mask/01_0015.npy", np.zeros(7))
        assert problem(campus) == "test video 01_0015: 7 labels for 3 frames"

    def test_damaged_array(self, campus: Path) -> None:
        (campus / "testing/test_frame_mask/01_0015.npy").write_bytes(b"\x93NUMPY")
        assert "cannot read" in problem(campus)


class TestFolder:
    def test_videos_alone_are_normal_training(self, tmp_path: Path) -> None:
        mp4(tmp_path / "cam10.MP4".lower(), 3)
        mp4(tmp_path / "cam9.mp4", 3)
        mp4(tmp_path / "gate/monday.mp4", 3)
        frames(tmp_path / "still", 2)
        splits = open_dataset(tmp_path)
        assert [video.name for video in splits.train] == ["cam9", "cam10", "gate_monday", "still"]
        assert not len(splits.test) and splits.train.supervision == "one-class"
        assert splits.train.name == tmp_path.name

    def test_one_video_or_one_frame_folder(self, tmp_path: Path) -> None:
        for path in (mp4(tmp_path / "a.mp4", 2), frames(tmp_path / "b", 2)):
            (video,) = open_dataset(path).train
            assert (video.name, video.source) == (path.stem, path)

    def test_same_stem_twice(self, tmp_path: Path) -> None:
        mp4(tmp_path / "a.mp4", 2)
        avi(tmp_path / "a.avi", 2)
        assert {video.name for video in open_dataset(tmp_path).train} == {"a.avi", "a.mp4"}

    def test_no_labels(self, own: Path) -> None:
        assert all(video.frame_labels is None for video in open_dataset(own).test)

    @pytest.mark.parametrize(
        "called", ["tuesday.mp4", "tuesday", "./test/tuesday.mp4", r"test\tuesday"]
    )
    @pytest.mark.parametrize("separator", [",", ";"])
    def test_intervals_in_frames(self, own: Path, called: str, separator: str) -> None:
        rows = ("\ufefffile,start,end,kind", f"{called},2,4,runner", "", f"{called},8,10,cyclist")
        text(own / "labels.csv", *(row.replace(",", separator) for row in rows))
        test = open_dataset(own).test
        labels = {video.name: video.frame_labels for video in test}
        assert labels["tuesday"] is not None and labels["wednesday"] is not None
        assert labels["tuesday"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 1]
        # No row: all normal.
        assert labels["wednesday"].tolist() == [0] * 6
        assert (test["tuesday"].video_label, test["wednesday"].video_label) == (1, 0)

    @pytest.mark.parametrize(
        ("start", "end"), [("0.08", "0.2"), ("00:00.08", "0:0.2"), ("0:00:00.08", "00:00:00.20")]
    )
    def test_intervals_in_time(self, own: Path, start: str, end: str) -> None:
        text(own / "test/times.csv", "file,start_time,end_time", f"tuesday.mp4,{start},{end}")
        labels = open_dataset(own).test["tuesday"].frame_labels
        assert labels is not None and np.flatnonzero(labels).tolist() == [2, 3, 4]

    def test_times_follow_a_variable_rate(self, own: Path) -> None:
        import av

        ticks = [0, 1, 2, 10, 20, 21]
        with av.open(str(own / "test/odd.mkv"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 10)
            for index, tick in enumerate(ticks):
                frame = av.VideoFrame.from_ndarray(picture(index), "rgb24")
                frame.pts, frame.time_base = tick, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        text(own / "labels.csv", "file,start_time,end_time", "odd.mkv,0.9,2.05")
        video = open_dataset(own).test["odd"]
        shown = [frame.time for frame in video.open()]
        assert frame_times(own / "test/odd.mkv") == pytest.approx(shown, abs=2e-3)
        assert video.frame_labels is not None
        assert video.frame_labels.tolist() == [0, 0, 0, 1, 1, 0]

    def test_labelled_clips_of_a_flat_folder_are_the_test_split(self, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            mp4(tmp_path / f"{name}.mp4", 4)
        text(tmp_path / "incidents.csv", "file,start,end", "b.mp4,1,2", "c.mp4,,")
        splits = open_dataset(tmp_path)
        assert [video.name for video in splits.train] == ["a"]
        assert [video.video_label for video in splits.test] == [1, 0]

    def test_mask_folders(self, own: Path) -> None:
        masks(own / "test_masks/wednesday", [0, 0, 1, 1, 0, 0])
        test = open_dataset(own).test
        labels = test["wednesday"].frame_labels
        assert labels is not None and labels.tolist() == [0, 0, 1, 1, 0, 0]
        assert test["tuesday"].mask is None

    def test_masks_and_intervals_that_disagree(self, own: Path) -> None:
        masks(own / "test_masks/wednesday", [0, 0, 1, 1, 0, 0])
        text(own / "labels.csv", "file,start,end", "wednesday,3,5")
        (line,) = check(own, full=True).problems
        assert line.endswith("disagree on 2 frames, first on 2")

    def test_video_labels_are_weak_supervision(self, tmp_path: Path) -> None:
        mp4(tmp_path / "a.mp4", 2)
        mp4(tmp_path / "b.mp4", 2)
        text(tmp_path / "labels.csv", "file,label", "a.mp4,1", "b.mp4,normal")
        train = open_dataset(tmp_path).train
        assert train.supervision == "weak"
        assert [video.video_label for video in train] == [1, 0]

    def test_other_tables_are_passed_over(self, own: Path) -> None:
        text(own / "scores.csv", "frame,score", "0,0.5")
        assert open_dataset(own).test["tuesday"].frame_labels is None

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [
            (("clip,fight", "tuesday.mp4,1"), "begins with 'clip,fight'"),
            (("file,fight", "tuesday.mp4,2"), "begins with 'file,fight'"),
            (("file,start,end", "tuesday.mp4,3,12"), "reach 12 frames but the video has 10"),
            (("file,start,end", "tuesday.mp4,4,4"), "line 2: interval 4 to 4"),
            (("file,start,end", "tuesday.mp4,00:01,00:02"), "'00:01' is no frame number"),
            (("file,start,end", "tuesday.mp4,1"), "line 2 has 2 columns"),
            (("file,start,end", "sunday.mp4,1,2"), "labels.csv line 2: no video called sunday.mp4"),
            (("file,start,end", "monday.mp4,1,2"), "training video monday has abnormal intervals"),
            (("file,start_time,end_time", "tuesday.mp4,1,1:00"), "reach 60 s but the video is 0.4"),
            (("file,start_time,end_time", "wednesday,0,1"), "a frame folder has no times"),
            (("file,start_time,end_time", "tuesday,-1,1"), "'-1' is no time"),
            (("file,label", "tuesday.mp4,perhaps"), "label 'perhaps'"),
        ],
    )
    def test_labels_that_do_not_fit(self, own: Path, rows: tuple[str], expected: str) -> None:
        text(own / "labels.csv", *rows)
        assert expected in problem(own)

    @pytest.mark.parametrize(
        "rows",
        [
            ("sep=;", "file;start;end", "b.mp4;1;3"),
            ("# by hand", "", "File,Start,End", "b.mp4,1,3"),
            (",,", "video,start,end", "b.mp4,1.0,3.0"),
            ("\ufefffile\tstart\tend", "b\t1\t3"),
        ],
    )
    def test_interval_files_as_spreadsheets_write_them(
        self, tmp_path: Path, rows: tuple[str]
    ) -> None:
        for name in ("a", "b"):
            mp4(tmp_path / f"{name}.mp4", 4)
        text(tmp_path / "intervals.csv", *rows)
        splits = open_dataset(tmp_path)
        (video,) = splits.test
        assert [each.name for each in splits.train] == ["a"]
        assert video.frame_labels is not None and video.frame_labels.tolist() == [0, 1, 1, 0]

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [
            (("clip,begin,stop", "b.mp4,1,3"), "x.csv line 2 names the video b.mp4"),
            (("b.mp4,1,3",), "x.csv line 1 names the video b.mp4"),
            (("a comment", "file,start,end", "b,1,3"), "x.csv line 3 names the video b,"),
            (("file,start,end", "", "b.mp4,1.5,3"), "line 3: '1.5' is no frame number"),
            (("file,start,end", "b.mp4,1," + "9" * 5000), "9' is no frame number"),
            (("file,start,end,kind", 'b.mp4,1,2,"a', "c.mp4,1,2"), "line 3: unexpected end"),
        ],
    )
    def test_labels_that_cannot_be_read_keep_a_video_out_of_training(
        self, tmp_path: Path, rows: tuple[str], expected: str
    ) -> None:
        for name in ("a", "b"):
            mp4(tmp_path / f"{name}.mp4", 4)
        text(tmp_path / "x.csv", *rows)
        assert expected in problem(tmp_path)

    def test_case_of_a_declared_separator(self, cases: Path) -> None:
        splits = open_dataset(cases / "csv_unread")
        labels = splits.test["odd"].frame_labels
        assert [video.name for video in splits.train] == ["normal"]
        assert labels is not None and np.flatnonzero(labels).tolist() == list(range(60, 80))

    def test_tables_of_frames_are_no_labels(self, own: Path) -> None:
        text(own / "boxes.csv", "video,frame,x1,y1,x2,y2", "monday,0,1,1,9,9")
        assert not open_dataset(own).problems

    def test_weak_label_missing(self, tmp_path: Path) -> None:
        mp4(tmp_path / "a.mp4", 2)
        mp4(tmp_path / "b.mp4", 2)
        text(tmp_path / "labels.csv", "file,label", "a.mp4,1")
        assert "training video b has no label" in problem(tmp_path)

    def test_two_interval_files(self, own: Path) -> None:
        for name in ("one.csv", "two.csv"):
            text(own / name, "file,start,end", "tuesday,1,2")
        assert "keep one" in problem(own)

    def test_ambiguous_name(self, own: Path) -> None:
        avi(own / "test/tuesday.avi", 10)
        text(own / "labels.csv", "file,start,end", "tuesday,1,2")
        assert "may be any of tuesday.avi, tuesday.mp4" in problem(own)

    def test_same_name_in_both_splits(self, own: Path) -> None:
        mp4(own / "train/tuesday.mp4", 3)
        text(own / "labels.csv", "file,start,end", "tuesday.mp4,5,9")
        labels = open_dataset(own).test["tuesday"].frame_labels
        assert labels is not None and labels.sum() == 4
        text(own / "labels.csv", "file,start,end", "train/tuesday.mp4,1,2")
        assert "training video tuesday has abnormal intervals" in problem(own)

    def test_masks_that_do_not_fit(self, own: Path) -> None:
        masks(own / "test_masks/wednesday", [0, 1])
        assert problem(own) == "test video wednesday: 2 masks for 6 frames"
        (own / "test_masks/wednesday").rename(own / "test_masks/sunday")
        assert problem(own) == "test_masks/sunday: no video called sunday"

    @pytest.mark.parametrize("kind", ["16 bit", "alpha", "black and alpha", "grey and alpha", "01"])
    @pytest.mark.parametrize("folder", ["wednesday", b"w\xe9dnesday"])
    def test_masks_of_other_kinds(self, own: Path, kind: str, folder: str | bytes) -> None:
        name = os.fsdecode(folder)
        (own / "test/wednesday").rename(own / "test" / name)
        full, white = np.full((HEIGHT, WIDTH), 255, np.uint8), np.full((HEIGHT, WIDTH), 9, np.uint8)
        for index, label in enumerate([0, 0, 1, 1, 0, 0]):
            grey = mask(bool(label))
            layers = {
                "16 bit": [grey.astype(np.uint16)],
                "01": [grey // 255],
                "alpha": [white, white, white, grey],
                "black and alpha": [full * 0, full * 0, full * 0, grey],
                "grey and alpha": [grey, grey, grey, full],
            }[kind]
            _, data = cv2.imencode(".png", np.stack(layers, 2))
            path = own / "test_masks" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.tobytes())
        video = open_dataset(own).test[name]
        assert video.frame_labels is not None and video.mask is not None
        assert video.frame_labels.tolist() == [0, 0, 1, 1, 0, 0]
        assert video.mask(2).sum() == 30

    def test_masks_that_cannot_be_told(self, own: Path) -> None:
        masks(own / "test_masks/wednesday", [0, 0, 1, 1, 0, 0], "{:03d}.jpg")
        labels = open_dataset(own).test["wednesday"].frame_labels
        assert labels is not None and labels.tolist() == [0, 0, 1, 1, 0, 0]
        write(own / "test_masks/wednesday/003.jpg", mask(True) // 255)
        assert "is a JPEG with values up to 1" in problem(own)
        (own / "test_masks/wednesday/003.jpg").unlink()
        grey = mask(True)
        write(own / "test_masks/wednesday/003.png", np.stack([grey, grey, grey, grey * 0], 2))
        assert "003.png is transparent all over" in problem(own)

    def test_case_of_16_bit_masks(self, cases: Path) -> None:
        (video,) = open_dataset(cases / "masks_16bit").test
        assert video.frame_labels is not None
        assert np.flatnonzero(video.frame_labels).tolist() == [12, 13, 14, 15]

    def test_a_picture_beside_frame_folders_is_no_video(self, tmp_path: Path) -> None:
        for folder in ("day1", "day2"):
            frames(tmp_path / folder, 4)
        write(tmp_path / "thumbnail.jpg", picture(0))
        assert [video.name for video in open_dataset(tmp_path).train] == ["day1", "day2"]
        with open_source(tmp_path) as found:
            assert isinstance(found, Dataset) and len(found) == 2

    def test_a_frame_folder_may_hold_folders(self, tmp_path: Path) -> None:
        frames(tmp_path / "a", 4)
        frames(tmp_path / "a/masks", 4)
        (video,) = open_dataset(tmp_path).train
        assert video.source == tmp_path / "a"

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (("1.5", "1.10", "2.0"), "decimal numbers of frames, such as 1.5.png"),
            (("001", "002", "002 (1)", "003"), "1 frames not named as the others, such as 002 (1)"),
            (("001", "002", "0002", "003"), "2 frames that share their number, such as 0002.png"),
            (("f1", "f2", "f3", "f7", "f8"), "missing frames after number 3, expected"),
        ],
    )
    def test_frame_numbers_that_are_no_positions(
        self, own: Path, names: tuple[str], expected: str
    ) -> None:
        for name in names:
            write(own / f"test/late/{name}.png", picture(0))
        text(own / "x.csv", "file,start,end", "late,1,2")
        assert problem(own).startswith(f"test video late: {expected}")

    @pytest.mark.parametrize("names", [("f0", "f5", "f10", "f15"), ("1_7", "2_9"), ("a", "b")])
    def test_frame_numbers_that_are_even_or_none(self, own: Path, names: tuple[str]) -> None:
        for name in names:
            write(own / f"test/late/{name}.png", picture(0))
        text(own / "x.csv", "file,start,end", "late,1,2")
        labels = open_dataset(own).test["late"].frame_labels
        assert labels is not None and labels[1] == 1

    def test_cases_of_frame_folders(self, cases: Path) -> None:
        assert len(open_dataset(cases / "stray_picture").train) == 2
        assert "missing frames after number 4" in problem(cases / "gap")

    def test_what_is_not_used_is_told_once(
        self, own: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        open_dataset(own)
        open_dataset(own / "test/wednesday")
        assert not caplog.records and not check(own).unused
        for name in ("train/cam.dav", "clip.gif", "test/wednesday/Thumbs.db", "train/a/b/c/d.txt"):
            text(own / name, "nothing")
        (own / "test/link.mp4").symlink_to(own / "gone.mp4")
        text(own / "x.csv", "file,start,end", "tuesday,1,2")
        for _ in range(2):
            open_dataset(own)
        (record,) = caplog.records
        assert "clip.gif" in record.getMessage() and "data check" in record.getMessage()
        unused = ("clip.gif", "test/link.mp4", "test/wednesday/Thumbs.db", "train/a/")
        assert check(own).unused == (*unused, "train/cam.dav")
        assert f"not used: {', '.join(unused)}, train/cam.dav" in check(own).lines()

    @pytest.mark.parametrize(
        ("file", "rows", "said"),
        [
            ("labels.txt", ["monday.mp4 60 80"], "labels.txt line 1 labels the video monday.mp4"),
            ("notes.txt", ["all:", "monday,abnormal"], "notes.txt line 2 labels the video monday"),
            ("l.json", ['{"file": "monday.mp4",', '"start": 3}'], "l.json line 1 labels the video"),
            ("l.json", ['{"monday": [[3, 7]]}'], "l.json line 1 labels the video monday"),
            ("gate/labels.csv", ["file,start,end", "friday,3,7"], "line 2 labels the video friday"),
            ("gate/l.csv", ["file,frame,label", "friday,3,1"], "line 2 labels the video friday"),
            ("monday.csv", ["start,end", "3,7"], "monday.csv line 1 labels the video monday"),
        ],
    )
    def test_labels_that_are_not_read_keep_a_video_out_of_training(
        self, tmp_path: Path, file: str, rows: list[str], said: str
    ) -> None:
        mp4(tmp_path / "monday.mp4", 4)
        mp4(tmp_path / "gate/friday.mp4", 4)
        text(tmp_path / file, *rows)
        assert said in problem(tmp_path)

    @pytest.mark.parametrize(
        ("file", "rows"),
        [
            ("README.txt", ["monday.mp4 is of 25 frames/s", "2 of 3 are good", "a 1 2"]),
            ("camera.json", ['{"file": "monday.mp4", "camera": "Axis", "bytes": 1024}']),
            ("scores.csv", ["video,frame,score", "monday,0,0.5"]),
            ("sums.txt", ["d41d8cd98f00b204e9800998ecf8427e monday.mp4"]),
        ],
    )
    def test_texts_that_label_nothing_are_only_told(
        self, tmp_path: Path, file: str, rows: list[str]
    ) -> None:
        mp4(tmp_path / "monday.mp4", 4)
        text(tmp_path / file, *rows)
        splits = open_dataset(tmp_path)
        assert len(splits.train) == 1 and splits.unused == (file,)

    @pytest.mark.parametrize(("bits", "told"), [(10, True), (12, True), (16, False), (8, False)])
    @pytest.mark.parametrize("ending", [".png", ".tif"])
    def test_ten_bits_in_sixteen_are_told(
        self, own: Path, bits: int, told: bool, ending: str
    ) -> None:
        kind = np.uint8 if bits == 8 else np.uint16
        for index in range(3):
            grey = np.random.default_rng(index).integers(0, 2**bits, (32, 48), kind)
            grey[0, 0] = 2**bits - 1
            write(own / f"train/night/{index}{ending}", grey)
        if told:
            assert f"frames of 16 bits with values up to {2**bits - 1}" in problem(own)[:70]
        else:
            assert open_dataset(own).train["night"].open().info.frames == 3

    @pytest.mark.parametrize("ending", [".jpg", ".png", ".tif"])
    def test_sizes_are_those_that_exif_turns_to(self, own: Path, ending: str) -> None:
        from PIL import Image

        for index in range(3):
            exif = Image.Exif()
            exif[0x0112] = 6 if index == 2 else 1
            path = own / f"train/phone/{index}{ending}"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture(index)).save(path, exif=exif)
        shown = []
        with contextlib.suppress(VideoError):
            shown += [frame.image.shape for frame in open_video(own / "train/phone")]
        assert any("pictures of 2 sizes" in line for line in check(own).problems) == (
            len(shown) < 3
        )

    def test_masks_keep_a_video_out_of_training(self, own: Path) -> None:
        masks(own / "test_masks/monday", [0, 1, 1, 0], "{}.png")
        assert "training video monday has masks: move it to test/" in problem(own)

    @pytest.mark.parametrize("folder", ["monday_gt", "masks/monday", "ground truth/monday"])
    def test_folders_of_masks_are_no_training_videos(self, tmp_path: Path, folder: str) -> None:
        mp4(tmp_path / "monday.mp4", 4)
        masks(tmp_path / folder, [0, 1, 1, 0], "{}.png")
        assert "is called as masks are, expected masks in test_masks/VIDEO/" in problem(tmp_path)

    def test_many_files_of_a_kind_are_counted(self, own: Path) -> None:
        for number in range(30):
            text(own / f"train/{number}.srt", "nothing")
        assert open_dataset(own).unused == ("train/*.srt (30 files)",)

    def test_masks_of_another_size(self, own: Path) -> None:
        for index in range(6):
            write(own / f"test_masks/wednesday/{index}.png", np.zeros((8, 8), np.uint8))
        assert any("masks are 8x8, frames 48x32" in line for line in check(own).problems)

    def test_empty_split(self, own: Path) -> None:
        (own / "train/monday.mp4").unlink()
        assert problem(own) == "train/ holds neither videos nor frame folders"


# -- what is not there -------------------------------------------------------------------------


@pytest.mark.parametrize("opened", [open_dataset, check, recognise])
def test_missing_path(opened: Callable[[Path], object], own: Path) -> None:
    with pytest.raises(DataError, match=r"no data set at .*entranse.* did you mean .*entrance\?"):
        opened(own.with_name("entranse"))


@pytest.mark.parametrize("opened", [open_dataset, check, recognise])
def test_nothing_recognised(opened: Callable[[Path], object], tmp_path: Path) -> None:
    text(tmp_path / "notes.txt", "hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"found 1 \.txt file and the folders empty.*Train/"):
        opened(tmp_path)
    with pytest.raises(DataError, match=r"it is a \.txt file"):
        opened(tmp_path / "notes.txt")


@pytest.mark.parametrize("kind", [kind for kind in DATASETS if kind != "walkway"])
def test_wrong_kind(kind: str, tmp_path: Path) -> None:
    text(tmp_path / "notes.txt", "hello")
    with pytest.raises(DataError, match="expected"):
        open_dataset(tmp_path, kind)


def test_unknown_kind(own: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'avenue'"):
        open_dataset(own, "avenu")


@pytest.mark.parametrize("full", [False, True], ids=["first frames", "full"])
def test_check_notices_a_file_that_was_cut(full: bool, tmp_path: Path) -> None:
    whole = mp4(tmp_path / "normal" / "whole.mp4", 60)
    cut = mp4(tmp_path / "normal" / "cut.mp4", 60)
    assert check(tmp_path / "normal", full=full).sound
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) * 3 // 4])
    report = check(whole.parent, full=full)
    (found,) = report.problems
    assert "train video cut: " in found and "cut short: it ends after" in found
    assert main(["data", "check", str(whole.parent)]) == 2


def test_check_says_when_footage_is_short(tmp_path: Path) -> None:
    def notes(*lengths: int, fps: float = 25) -> str:
        folder = tmp_path / str(lengths)
        for number, length in enumerate(lengths):
            mp4(folder / f"{number}.mp4", length, fps)
        report = check(folder)
        assert report.sound and set(report.notes) <= set(report.lines())
        return " ".join(report.notes)

    assert notes(10) == (
        "short: 0:00.4 of normal video, where an hour of usual traffic is advised; too short for a"
        " self-test on a fifth of it (from 2 minutes on)"
    )
    assert notes(65, 65, fps=1) == (
        "short: 2:10.0 of normal video, where an hour of usual traffic is advised"
    )
    assert notes(60 * 61, fps=1) == ""


def test_check_tells_what_it_assumes(tmp_path: Path) -> None:
    mp4(tmp_path / "set" / "a.mp4", 4)
    assert all("assumed" not in note for note in check(tmp_path / "set").notes)
    frames(tmp_path / "set" / "b", 4)
    (tmp_path / "set" / "self").symlink_to(tmp_path / "set")
    first, second, third, _ = check(tmp_path / "set").notes
    assert (first, second) == (
        "train video self_a is train video a once more, by a link",
        "train video self_b is train video b once more, by a link",
    )
    assert third.startswith("2 folders of pictures, which tell no rate: 25 frames/s assumed")


def test_check_tells_of_training_footage_in_the_test_split(tmp_path: Path) -> None:
    frames(tmp_path / "set" / "train" / "01", 4)
    (tmp_path / "set" / "test").mkdir()
    (tmp_path / "set" / "test" / "01").symlink_to(tmp_path / "set" / "train" / "01")
    told = "test video 01 is train video 01 once more, by a link"
    assert told in check(tmp_path / "set").notes


def test_labelled_sets_are_not_told_to_be_short(own: Path) -> None:
    text(own / "labels.csv", "file,start,end", "tuesday,1,3")
    assert not any("short" in note for note in check(own).notes)


def test_report_reads_well(own: Path) -> None:
    text(own / "labels.csv", "file,start,end", "tuesday,1,3")
    report = check(own)
    assert report.lines()[1:] == [
        "train: 1 video, 4 frames, 0:00.2, 48x32, 25 fps",
        "test: 2 videos, 16 frames, 0:00.6, 48x32, 25 fps, 2 abnormal frames in 2 labelled videos",
        "1 folder of pictures, which tell no rate: 25 frames/s assumed (in a video file it stands)",
        "not looked at: other frames than the first (--full does)",
        "nothing wrong (the first frame of each video decoded)",
    ]
    assert not any("not looked at" in line for line in check(own, full=True).lines())
    assert report.rows()[1] == ("test", "tuesday", "10", "48x32", "25", "2", "-")
    own.joinpath("test/tuesday.mp4").write_bytes(b"")
    assert "1 problem (every frame decoded):" not in check(own).lines()
    assert any("tuesday.mp4 is empty" in line for line in check(own).lines())
