"""Readers of the weakly supervised sets' lists, against the frame labels that the field uses."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadistill.datasets import shanghaitech, ucf_crime, xd_violence
from vadistill.datasets.intervals import Annotation, frame_labels, intervals_of
from vadistill.datasets.snippets import SNIPPET
from vadistill.errors import DataError

UCF_CUT = {
    "Arson011_x264": 3,
    "Arson016_x264": 4,
    "Assault006_x264": 16,
    "Explosion033_x264": 4,
    "Fighting003_x264": 15,
    "Shooting015_x264": 3,
    "Shooting046_x264": 16,
}
"""Annotated frames beyond the last whole clip of 16, which the published labels end with."""

XD_MP4 = {
    "v=U6MC8JJJZSY__#1_label_G-0-0",
    "v=FW_qbiPH7UA__#1_label_B1-0-0",
    "The.Fast.and.the.Furious.2001__#00-29-00_00-29-52_label_B2-G-0",
    "The.Fast.and.the.Furious.2001__#01-24-18_01-25-05_label_B6-0-0",
    "The.Fast.and.the.Furious.2001__#01-37-40_01-38-30_label_B6-0-0",
    "v=aWPWHU8x6kE__#1_label_B4-0-0",
    "v=LJ0Pu5_Mefs__#1_label_G-0-0",
    "v=BpargJW29Wo__#00-00-50_00-01-30_label_B1-0-0",
    "v=Y1hxr1MWLjM__#1_label_B1-0-0",
    "v=UYFR-XbyZQc__#00-01-19_00-02-42_label_G-0-0",
    "v=Q9Re4CnFJRg__#00-01-21_00-01-47_label_G-0-0",
    "v=PRH5rYUHoVU__#00-00-25_00-02-50_label_B6-0-0",
    "v=qmsQ-obL1Z4__#00-03-26_00-04-04_label_B6-0-0",
    "v=f6j3YWgVBto__#00-06-16_00-06-51_label_B6-0-0",
}
"""Videos whose line ends in .mp4: a reader that keeps it leaves them without any label."""


def published(file: Path, ending: str) -> dict[str, np.ndarray]:
    with np.load(file) as archive:
        return {name.removesuffix(ending): archive[name] for name in archive.files}


def by_name(records: tuple[Annotation, ...]) -> dict[str, Annotation]:
    return {record.name: record for record in records}


def known(record: Annotation) -> tuple[tuple[int, int], ...]:
    assert record.intervals is not None
    return record.intervals


def beyond(record: Annotation, frames: int) -> int:
    """Annotated frames past the end of the labels."""
    return sum(max(0, end - max(start, frames)) for start, end in known(record))


def test_ucf_crime_agrees_on_every_frame(shared_data: Path) -> None:
    folder = shared_data / "ucf_crime"
    labels = published(folder / "frame_labels.npz", "__9_gt")
    test = by_name(ucf_crime.read_annotations(folder / "Temporal_Anomaly_Annotation.txt"))
    assert set(test) == set(labels) and len(test) == 290
    differ = [n for n, y in labels.items() if (frame_labels(known(test[n]), len(y)) != y).any()]
    assert differ == []
    cut = {name: beyond(test[name], len(y)) for name, y in labels.items()}
    assert {name: frames for name, frames in cut.items() if frames} == UCF_CUT
    assert sum(record.label for record in test.values()) == 140
    assert sum(len(known(record)) for record in test.values()) == 156


def test_ucf_crime_matlab_reading_is_one_frame_more_per_event(shared_data: Path) -> None:
    folder = shared_data / "ucf_crime"
    labels = published(folder / "frame_labels.npz", "__9_gt")
    for record in ucf_crime.read_annotations(folder / "Temporal_Anomaly_Annotation.txt"):
        inclusive = [(start - 1, end) for start, end in known(record)]
        y = labels[record.name]
        extra = np.flatnonzero(frame_labels(inclusive, len(y)) != y).tolist()
        assert extra == [start for start, _ in inclusive]


def test_ucf_crime_training_list(shared_data: Path) -> None:
    folder = shared_data / "ucf_crime"
    train = ucf_crime.read_train_list(folder / "Anomaly_Train.txt")
    test = ucf_crime.read_annotations(folder / "Temporal_Anomaly_Annotation.txt")
    assert Counter(record.label for record in train) == {1: 810, 0: 800}
    assert all((record.intervals is None) == bool(record.label) for record in train)
    assert {c for record in train for c in record.classes} == set(ucf_crime.CLASSES)
    assert not {r.name for r in train} & {r.name for r in test}
    assert train[0] == Annotation("Abuse001_x264", ("Abuse",), None)


def test_xd_violence_agrees_on_every_frame(shared_data: Path) -> None:
    folder = shared_data / "xd_violence"
    labels = published(folder / "frame_labels.npz", "__0")
    listed = by_name(xd_violence.read_annotations(folder / "annotations.txt"))
    rest = by_name(tuple(xd_violence.normal_video(name) for name in set(labels) - set(listed)))
    assert (len(listed), len(rest)) == (500, 300) and listed.keys() <= labels.keys()
    test = listed | rest
    differ = [n for n, y in labels.items() if (frame_labels(known(test[n]), len(y)) != y).any()]
    assert differ == []
    # The authors cut each video's last frame and then what is beyond the last whole clip.
    cut = [frames for name, y in labels.items() if (frames := beyond(test[name], len(y)))]
    assert (len(cut), sum(cut), max(cut)) == (71, 519, 15)


def test_xd_violence_lines_that_carry_an_ending(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "xd_violence" / "annotations.txt").read_text()
    lines = [line.split()[0] for line in text.splitlines()]
    assert {name.removesuffix(".mp4") for name in lines if name.endswith(".mp4")} == XD_MP4
    bare = tmp_path / "annotations.txt"
    bare.write_text(text.replace(".mp4 ", " "))
    given = shared_data / "xd_violence" / "annotations.txt"
    assert xd_violence.read_annotations(bare) == xd_violence.read_annotations(given)


def test_shanghaitech_split_agrees_with_the_masks(shared_data: Path) -> None:
    folder = shared_data / "shanghaitech"
    masks = shanghaitech.read_frame_masks(folder / "test_frame_mask.npz")
    train, test = (
        shanghaitech.read_weak_split(folder / file, masks)
        for file in ("weak_SH_Train_new.txt", "weak_SH_Test_NEW.txt")
    )
    assert Counter(r.label for r in train) == {1: 63, 0: 175}
    assert Counter(r.label for r in test) == {1: 44, 0: 155}
    abnormal = [record for record in (*train, *test) if record.label]
    assert len({r.name for r in (*train, *test)}) == 437
    assert {record.name for record in abnormal} == set(masks) and len(masks) == 107
    for record in abnormal:
        mask = masks[record.name]
        assert record.frames == len(mask)
        assert (frame_labels(known(record), len(mask), spare=0) == mask).all()
    assert all(record.frames for record in test)
    # One event is often two in the masks, which let go of it for a single frame.
    stretches = [known(record) for record in abnormal]
    single = sum(b[0] - a[1] == 1 for s in stretches for a, b in pairwise(s))
    assert (sum(map(len, stretches)), single) == (194, 41)


def test_masks_from_a_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "01_0014.npy", np.array([0, 1, 1, 0], np.int64))
    masks = shanghaitech.read_frame_masks(tmp_path)
    (tmp_path / "list.txt").write_text("01_0014,1,-1\n01_001,0,764\n\n")
    abnormal, normal = shanghaitech.read_weak_split(tmp_path / "list.txt", masks)
    assert abnormal == Annotation("01_0014", ("anomaly",), ((1, 3),), 4)
    assert normal == Annotation("01_001", (), (), 764)
    assert shanghaitech.read_weak_split(tmp_path / "list.txt")[0].intervals is None


@given(st.lists(st.integers(0, 1), max_size=40))
def test_labels_and_intervals_are_inverse(labels: list[int]) -> None:
    given_labels = np.array(labels, np.uint8)
    again = frame_labels(intervals_of(given_labels), len(labels))
    assert (again == given_labels).all()


def test_an_interval_past_the_end_is_cut_within_a_clip_only() -> None:
    assert frame_labels([(2, 5 + SNIPPET)], 5).tolist() == [0, 0, 1, 1, 1]
    assert frame_labels([(9, 12)], 5).tolist() == [0] * 5
    with pytest.raises(DataError, match="reach 22 frames but the video has 5"):
        frame_labels([(2, 6 + SNIPPET)], 5)
    with pytest.raises(DataError, match="reach 6 frames"):
        frame_labels([(2, 6)], 5, spare=0)


UCF, TRAIN = ucf_crime.read_annotations, ucf_crime.read_train_list
XD, SH = xd_violence.read_annotations, shanghaitech.read_weak_split

MALFORMED = [
    (UCF, "a.mp4 Abuse 1 9 -1\n", "line 1: 5 columns"),
    (UCF, "a.mp4 Abuse 1 9 -1 -1\n\nb.mp4 Abuse 1 x -1 -1\n", "line 3: 'x' is no frame number"),
    (UCF, "a.mp4 Abuse 9 1 -1 -1\n", "line 1: interval 9 to 1: expected"),
    (UCF, "a.mp4 Abuse 1 -1 -1 -1\n", "line 1: interval 1 to -1"),
    (UCF, "a.mp4 Abuse 5 9 7 12\n", "interval 7 to 12 after one that ends at 9"),
    (UCF, "a.mp4 Abuze 5 9 -1 -1\n", "line 1: class 'Abuze'"),
    (UCF, "a.mp4 Normal 5 9 -1 -1\n", "1 intervals of class Normal"),
    (UCF, "a.mp4 Arson -1 -1 -1 -1\n", "0 intervals of class Arson"),
    (UCF, "a.mp4 Arson 1 9 -1 -1\n" * 2, "line 2: a a second time"),
    (UCF, "\n", "is empty"),
    (TRAIN, "Abuse001_x264.mp4\n", "line 1: 'Abuse001_x264.mp4' is in no known folder"),
    (XD, "v_label_B1-0-0 0 10 20\n", "line 1: 3 frame numbers"),
    (XD, "v_label_B3-0-0 0 10\n", "line 1: video name 'v_label_B3-0-0'"),
    (XD, "v 0 10\n", "line 1: video name 'v'"),
    (XD, "v_label_A 0 10\n", "line 1: 1 intervals in a video labelled A"),
    (XD, "v_label_G-0-0\n", "line 1: 0 intervals in a video labelled abnormal"),
    (SH, "01_001,0,764\n01_002,2\n", "line 2: '01_002,2'"),
    (SH, "01_001\n", "line 1: '01_001'"),
    (SH, "01_001,0,many\n", "line 1: '01_001,0,many'"),
    (SH, "01_001,0,7,7\n", "line 1: '01_001,0,7,7'"),
]


@pytest.mark.parametrize(("read", "text", "message"), MALFORMED)
def test_malformed_lists_name_file_and_line(read, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read(path)
    assert message in str(caught.value) and "list.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [UCF, TRAIN, XD, SH, shanghaitech.read_frame_masks])
def test_files_that_cannot_be_read(read, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*absent\.txt"):
        read(tmp_path / "absent.txt")
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match=r"cannot read .*binary\.txt"):
        read(binary)


def test_masks_and_lists_that_disagree(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(4, np.uint8))
    masks = shanghaitech.read_frame_masks(tmp_path)
    (tmp_path / "list.txt").write_text("a,1\n")
    with pytest.raises(DataError, match="line 1: a has the label 1 and 0 abnormal frames"):
        shanghaitech.read_weak_split(tmp_path / "list.txt", masks)
    (tmp_path / "list.txt").write_text("a,0,5\n")
    with pytest.raises(DataError, match="line 1: 5 frames of a: expected 4"):
        shanghaitech.read_weak_split(tmp_path / "list.txt", masks)
    np.save(tmp_path / "b.npy", np.array([0, 2]))
    with pytest.raises(DataError, match="the mask b"):
        shanghaitech.read_frame_masks(tmp_path)
    with pytest.raises(DataError, match="cannot read"):
        shanghaitech.read_frame_masks(tmp_path / "a.npy")


def test_normal_videos_by_name() -> None:
    assert xd_violence.normal_video("a_label_A") == Annotation("a_label_A", (), ())
    assert xd_violence.classes_of("a_label_G-B2-B6") == ("explosion", "shooting", "car accident")
    with pytest.raises(DataError, match="is of riot, and has no annotation"):
        xd_violence.normal_video("a_label_B4-0-0")
