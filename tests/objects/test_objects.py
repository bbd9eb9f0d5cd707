"""Localisers: what they find where the objects are known, and what they say when misused."""

from __future__ import annotations

import csv
import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vadistill import objects
from vadistill.backbones.detection import YOLOX, decode_fastestdet, decode_yolox
from vadistill.datasets import Dataset, Video
from vadistill.datasets.sampling import pieces
from vadistill.errors import ConfigError, DataError, WeightsError
from vadistill.objects import boxes_file
from vadistill.objects.background import Background
from vadistill.objects.base import Localiser, clip_boxes, covered, merge
from vadistill.objects.boxes_file import read_boxes
from vadistill.objects.detector import spans
from vadistill.objects.motion_gradients import MotionGradients, MotionSettings
from vadistill.objects.scene import ObjectSizes, split
from vadistill.video import Frame, VideoInfo, VideoSource, open_video
from vadistill.video.base import Stretch
from vadistill.windows import Triplet, triplets


def boxes_of(localiser: Localiser, frames: np.ndarray, name: str = "v") -> list[np.ndarray]:
    height, width = frames.shape[1:3]
    localiser.start(VideoInfo(name, width, height, 25.0, len(frames)))
    stream = (Frame(i, i / 25, image) for i, image in enumerate(frames))
    return [localiser.boxes(window) for window in triplets(stream)]


def one(*images: np.ndarray) -> Triplet:
    return Triplet(*(Frame(i, i / 25, image) for i, image in enumerate(images)))


def best_iou(truth: Any, found: np.ndarray) -> np.ndarray:
    """For each true box, the largest IoU with a found one."""
    truth = np.asarray(truth, np.float64).reshape(-1, 4)
    if len(found) == 0:
        return np.zeros(len(truth))
    low = np.maximum(truth[:, None, :2], found[None, :, :2])
    high = np.minimum(truth[:, None, 2:], found[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    area, other = (truth[:, 2:] - truth[:, :2]).prod(1), (found[:, 2:] - found[:, :2]).prod(1)
    return (shared / (area[:, None] + other - shared)).max(1)


def empty_scene(seed: int, height: int = 240, width: int = 360) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(60, 190, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def brighter(scene: np.ndarray, levels: float) -> np.ndarray:
    return (scene + levels).clip(0, 255).round().astype(np.uint8)


def walkers(scene: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames with two upright people, one white and one black, and their boxes (t, 2, 4)."""
    rng, frames, truth = np.random.default_rng(seed), [], []
    scale = scene.shape[0] // 240
    for i in range(count):
        image = scene.astype(np.int16) + rng.normal(0, 2, scene.shape).round().astype(np.int16)
        image = image.clip(0, 255).astype(np.uint8)
        x = 20 + 5 * i % 290, 320 - 4 * i % 290
        boxes = [[x[0], 60, x[0] + 14, 92], [x[1], 150, x[1] + 16, 188]]
        for (x1, y1, x2, y2), shade in zip(np.multiply(boxes, scale), (250, 5), strict=True):
            image[y1:y2, x1:x2] = shade
        frames.append(image)
        truth.append(np.multiply(boxes, scale))
    return np.stack(frames), np.stack(truth)


def training(*videos: np.ndarray) -> Dataset:
    return Dataset("made", "train", tuple(Video(f"t{i}", v) for i, v in enumerate(videos)))


# -- building ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "background",
        "background?threshold=18&split=false",
        "motion:avenue",
        "boxes:a.csv,b.csv",
        "background+motion:shanghaitech",
        "boxes:night+day.csv+motion",
    ],
)
def test_a_description_survives_json_and_builds_the_same(spec: str) -> None:
    described = objects.build(spec).describe()
    assert objects.build(json.loads(json.dumps(described))).describe() == described


def test_text_sets_what_it_says() -> None:
    assert objects.build("background?threshold=18&split=false").describe()["threshold"] == 18
    assert objects.build("background?split=false").describe()["split"] is False
    assert objects.build("boxes:a.csv,b.csv").describe()["paths"] == ("a.csv", "b.csv")
    union = objects.build("boxes:night+day.csv+motion:avenue").describe()
    assert [part["name"] for part in union["parts"]] == ["boxes", "motion"]
    assert union["parts"][0]["paths"] == ("night+day.csv",)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("backgruond", "did you mean 'background'"),
        ("", "one of background, motion, detector, boxes"),
        ("background+mtion", "did you mean 'motion'"),
        ("motion:avenu", "did you mean 'avenue'"),
        ("background:x", "without an argument"),
        ("background?treshold=3", "did you mean 'threshold'"),
        ("background?threshold=high", "background.threshold = 'high'"),
        ("background?threshold=40", "threshold 40 above strong 30"),
        ("background?blur", "key=value"),
        ("background?min_area=0", "positive"),
        ("motion?blur=4", "odd number"),
        ("boxes", "one or more CSV files"),
        ("detector", "an .onnx file or a torchvision detector"),
        ("detector:model.pt", "ends in .onnx"),
        ("detector:x.onnx?tiles=3", "a value such as 3x2"),
        ("detector:x.onnx?score=2", "a share in"),
        ({"name": "motion", "presets": "ped2"}, "did you mean 'preset'"),
        ({"threshold": 3}, "one of background"),
    ],
)
def test_wrong_specs_are_one_line_that_helps(spec: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        objects.build(spec)
    assert says in str(caught.value) and "\n" not in str(caught.value)


# -- boxes ---------------------------------------------------------------------------------------


def test_merge_by_hand() -> None:
    large, inner, apart = [0, 0, 20, 20], [5, 5, 15, 15], [30, 0, 40, 10]
    edge = [14, 0, 24, 10]  # 60 of its 100 pixels lie inside ``large``
    boxes = np.array([large, inner, apart, edge], np.float32)
    assert merge(boxes, 0.6).tolist() == [apart, edge, large]
    assert merge(boxes, 0.59).tolist() == [apart, large]
    twice = np.array([large, large], np.float32)
    assert merge(twice).tolist() == [large]
    assert merge(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_boxes_are_cut_to_the_picture() -> None:
    wild = [[-5, -5, 10, 10], [95, 40, 120, 60], [200, 0, 210, 10], [3, 3, 3.5, 9], [9, 9, 4, 4]]
    assert clip_boxes(wild, 100, 50).tolist() == [[0, 0, 10, 10], [95, 40, 100, 50]]


def test_touching_people_are_cut_apart_and_one_person_is_not() -> None:
    pair = np.zeros((40, 30), bool)
    pair[:, 2:12] = pair[:, 18:28] = True
    pair[18:24, 12:18] = True
    cut = split(pair, 100, 50, typical=(12, 40), min_area=30)
    assert len(cut) == 2
    assert best_iou([[102, 50, 112, 90], [118, 50, 128, 90]], np.array(cut)).min() > 0.7
    alone = split(pair[:, 2:12], 100, 50, typical=(12, 40), min_area=30)
    assert alone == [(100, 50, 110, 90)]
    assert split(np.zeros((5, 5), bool), 0, 0, typical=None, min_area=1) == []


def test_sizes_grow_towards_the_camera() -> None:
    bottom = np.linspace(0.2, 0.9, 300)
    measured = np.stack([bottom, 0.1 * bottom, 0.3 * bottom], 1).astype(np.float32)
    sizes = ObjectSizes.learn(measured)
    assert sizes is not None
    assert sizes.at(0.3) == pytest.approx((0.03, 0.09), rel=0.15)
    assert sizes.at(0.8) == pytest.approx((0.08, 0.24), rel=0.15)
    assert ObjectSizes.learn(measured[:10]) is None


# -- background ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 3])
def test_background_finds_walkers_at_any_picture_size(scale: int) -> None:
    scene = empty_scene(0, 240 * scale, 360 * scale)
    localiser = Background()
    localiser.fit(training(walkers(scene, 24, seed=1)[0]))
    frames, truth = walkers(scene, 4, seed=2)
    found = boxes_of(localiser, frames)
    assert all(best_iou(t, b).min() > 0.7 for t, b in zip(truth, found, strict=True))
    assert max(map(len, found)) == 2


def test_background_saves_what_it_learned_and_keeps_cameras_apart() -> None:
    scenes = [empty_scene(1), empty_scene(2), empty_scene(3, 120, 200)]
    clips = [walkers(s, 30)[0] for s in scenes[:2]]
    clips += [np.stack([scenes[2]] * 5), walkers(scenes[0], 30, seed=5)[0]]
    localiser = Background()
    localiser.fit(training(*clips))
    assert len(localiser.scenes) == 3
    again = objects.build(localiser.describe())
    again.restore({key: value.copy() for key, value in localiser.arrays().items()})
    for scene in scenes[:2]:
        frames, truth = walkers(scene, 4, seed=7)
        found = boxes_of(localiser, frames)
        assert all(best_iou(t, b).min() > 0.7 for t, b in zip(truth, found, strict=True))
        for a, b in zip(found, boxes_of(again, frames), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not any(map(len, boxes_of(localiser, np.stack([scenes[2]] * 3))))


def test_another_exposure_and_slow_drift_are_no_foreground() -> None:
    scene = empty_scene(4)
    localiser = Background()
    localiser.fit(training(walkers(scene, 40)[0]))
    darker = (scene * 0.8).astype(np.uint8)
    assert not any(map(len, boxes_of(localiser, np.stack([darker] * 3))))
    # 40 grey levels in 240 frames: more than the threshold, but slowly.
    drift = np.stack([brighter(scene, i / 6) for i in range(240)])
    assert not any(map(len, boxes_of(localiser, drift)))
    # A change that no light makes is seen: what the picture shows is other in one half.
    other = scene.copy()
    other[:, :180] = empty_scene(14)[:, :180]
    assert len(boxes_of(localiser, np.stack([scene, other]))[1])


def test_a_sudden_light_on_a_path_hides_nobody() -> None:
    path = np.full((240, 360, 3), 60, np.uint8)
    path[50:] = 140
    localiser = Background()
    localiser.fit(training(walkers(path, 40)[0]))
    frames, truth = walkers(path, 24, seed=3)
    bright = frames[10:, 50:].astype(np.int16)
    frames[10:, 50:] = np.where(abs(bright - 140) < 20, bright + 32, bright).astype(np.uint8)
    for true, found in zip(truth, boxes_of(localiser, frames), strict=True):
        assert len(found) == 2 and best_iou(true, found).min() > 0.7
    near = np.random.default_rng(1).integers(0, 255, (200, 150, 3), np.uint8)
    near = cv2.resize(near[::25, ::25], (150, 200), interpolation=cv2.INTER_NEAREST)
    frames[20:, 40:, 100:250] = near  # and somebody close by the camera, as large as that light
    seen = boxes_of(localiser, frames)[22]
    covered = np.zeros((240, 360), bool)
    for x1, y1, x2, y2 in seen.astype(int):
        covered[y1:y2, x1:x2] = True
    assert covered[45:, 105:245].mean() > 0.6


def test_without_training_the_scene_is_learned_on_the_way() -> None:
    frames, truth = walkers(empty_scene(5), 90)
    found = boxes_of(Background(), frames)
    assert len(found[0]) == 0
    assert all(best_iou(t, b).min() > 0.7 for t, b in zip(truth[60:], found[60:], strict=True))
    assert max(len(b) for b in found[60:]) == 2


def test_a_turned_camera_is_learned_anew() -> None:
    here, there = empty_scene(6), 255 - empty_scene(8)
    localiser = Background()
    localiser.fit(training(walkers(here, 30)[0], walkers(there, 30)[0]))
    frames, truth = walkers(there, 40)
    found = boxes_of(localiser, np.concatenate([np.stack([here] * 3), frames]))[3:]
    assert best_iou(truth[2], found[2]).min() < 0.5
    assert all(best_iou(t, b).min() > 0.7 for t, b in zip(truth[30:], found[30:], strict=True))


def test_each_video_starts_afresh() -> None:
    localiser = Background()
    scene = empty_scene(9)
    localiser.fit(training(walkers(scene, 30)[0]))
    frames, _ = walkers(scene, 6, seed=3)
    first = boxes_of(localiser, frames)
    boxes_of(localiser, np.stack([255 - scene] * 60))
    for a, b in zip(first, boxes_of(localiser, frames), strict=True):
        np.testing.assert_array_equal(a, b)


# -- motion --------------------------------------------------------------------------------------


def blob(x: int, shade: int, size: tuple[int, int] = (20, 20)) -> np.ndarray:
    image = np.zeros((100, 160, 3), np.uint8)
    image[40 : 40 + size[1], x : x + size[0]] = shade
    return image


def test_motion_does_not_wrap_where_two_differences_sum_to_256() -> None:
    dark = np.zeros((100, 160, 3), np.uint8)
    found = MotionGradients().boxes(one(dark, blob(50, 128), dark))
    assert len(found) == 1
    # The blur reaches a pixel out and the box grows by two.
    np.testing.assert_allclose(found[0], [47, 37, 73, 63], atol=1)


def test_motion_presets_differ_in_the_least_area() -> None:
    dark = np.zeros((100, 160, 3), np.uint8)
    small = one(dark, blob(50, 128), dark)
    assert len(MotionGradients(MotionSettings("avenue")).boxes(small)) == 0
    large = one(dark, blob(50, 128, (50, 50)), dark)
    assert len(MotionGradients(MotionSettings("avenue")).boxes(large)) == 1


def test_motion_drops_slivers_and_still_pictures() -> None:
    dark = np.zeros((100, 160, 3), np.uint8)
    sliver = blob(20, 200, (100, 5))
    assert len(MotionGradients().boxes(one(dark, sliver, dark))) == 0
    still = blob(20, 200)
    assert len(MotionGradients().boxes(one(still, still, still))) == 0


def test_a_union_adds_what_the_first_missed(tmp_path: Path) -> None:
    write_boxes(tmp_path / "b.csv", ["v,1,47,37,73,63"])
    dark = np.zeros((100, 160, 3), np.uint8)
    both = cv2.add(blob(50, 128), blob(110, 200))
    union = objects.build(f"boxes:{tmp_path}/b.csv+motion")
    found = boxes_of(union, np.stack([dark, both, dark]))[1]
    assert len(found) == 2 and [47, 37, 73, 63] in found.tolist()
    assert best_iou([[107, 37, 133, 63]], found) > 0.8


def test_a_union_keeps_what_its_parts_learned() -> None:
    scene = empty_scene(0)
    union = objects.build("background+motion")
    union.fit(training(walkers(scene, 30)[0]))
    again = objects.build(union.describe())
    again.restore(union.arrays())
    frames, truth = walkers(scene, 4, seed=1)
    found = boxes_of(union, frames)
    assert best_iou(truth[0], found[0]).min() > 0.6
    for a, b in zip(found, boxes_of(again, frames), strict=True):
        np.testing.assert_array_equal(a, b)


# -- slivers at the edge -------------------------------------------------------------------------


def test_slivers_at_the_edge_are_no_events(tmp_path: Path) -> None:
    normal = ["v,0,40,20,52,50", "v,0,60,20,76,50", "v,1,10,20,22,50", "v,1,0,20,3,50"]
    slivers = [
        "w,0,0.5,20,6.5,50",  # 6 wide where 12 is typical: about to leave on the left
        "w,0,74,0,80,30",  # leaves on the right, and reaches the top as well
        "w,0,20,0,32,12",  # only the feet show at the top
    ]
    whole = [
        "w,0,0,60,11,90",  # nearly whole
        "w,0,40,40,43,70",  # as thin as a sliver, but not at the edge
        "w,0,0,70,6,85",  # small, but of a person's shape: far away
        "w,0,30,60,70,100",  # a car whose lower part is cut off
    ]
    rows = slivers + whole
    write_boxes(tmp_path / "b.csv", normal + rows)
    localiser = objects.build_for_patches(f"boxes:{tmp_path}/b.csv")
    video = np.zeros((2, 100, 80, 3), np.uint8)
    localiser.fit(Dataset("set", "train", (Video("v", video),)))
    kept = boxes_of(localiser, video[:1], "w")[0]
    assert [f"w,0,{','.join(f'{x:g}' for x in box)}" for box in kept] == whole
    again = objects.build(json.loads(json.dumps(localiser.describe())))
    again.restore(localiser.arrays())
    np.testing.assert_array_equal(boxes_of(again, video[:1], "w")[0], kept)
    everything = objects.build_for_patches(f"all:boxes:{tmp_path}/b.csv")
    everything.fit(Dataset("set", "train", (Video("v", video),)))
    assert len(boxes_of(everything, video[:1], "w")[0]) == len(rows)


def test_without_whole_objects_in_training_nothing_is_dropped(tmp_path: Path) -> None:
    write_boxes(tmp_path / "b.csv", ["v,0,0,20,3,50"])
    localiser = objects.build_for_patches(f"boxes:{tmp_path}/b.csv")
    video = np.zeros((1, 100, 80, 3), np.uint8)
    localiser.fit(Dataset("set", "train", (Video("v", video),)))
    assert len(boxes_of(localiser, video)[0]) == 1


# -- boxes from a file ---------------------------------------------------------------------------


def write_boxes(path: Path, rows: list[str], header: str = "video,frame,x1,y1,x2,y2") -> None:
    path.write_text("\n".join([header, *rows]) + "\n")


def test_boxes_come_from_all_files_and_fit_the_picture(tmp_path: Path) -> None:
    write_boxes(tmp_path / "a.csv", ["v,0,-4.5,2,10,20", "v,2,1,1,5,5", "v,2,39.5,1,45,5"])
    write_boxes(tmp_path / "b.csv", ["w,0,1,2,3,4"])
    localiser = objects.build(f"boxes:{tmp_path}/a.csv,{tmp_path}/b.csv")
    frames = np.zeros((3, 30, 40, 3), np.uint8)
    found = boxes_of(localiser, frames)
    assert [b.tolist() for b in found] == [[[0, 2, 10, 20]], [], [[1, 1, 5, 5]]]
    assert boxes_of(localiser, frames, "w")[0].tolist() == [[1, 2, 3, 4]]
    with pytest.raises(DataError, match=r"no boxes for video 'x' .*one of its videos: v, w"):
        boxes_of(localiser, frames, "x")


def test_a_part_of_a_video_has_the_boxes_of_its_frames(tmp_path: Path) -> None:
    write_boxes(tmp_path / "b.csv", [f"v,{n},{n},0,{n + 4},4" for n in range(300)])
    localiser = objects.build(f"boxes:{tmp_path}/b.csv")
    whole = Video("v", np.zeros((300, 8, 320, 3), np.uint8)).open()
    part = Stretch(whole, 20, 270)
    for source, firsts in [(part, [20]), (whole, [0]), (Stretch(part, 5, 9), [25])]:
        assert _lefts(localiser, source)[: len(firsts)] == firsts
    lefts = [_lefts(localiser, piece) for piece in pieces(part, 250, 200)]
    assert [(own[0], own[-1]) for own in lefts] == [(32, 131), (158, 257)]


def _lefts(localiser: Localiser, source: VideoSource) -> list[float]:
    localiser.start(source.info)
    return [float(localiser.boxes(window)[0, 0]) for window in triplets(iter(source))]


def test_frames_of_a_boxes_file_may_come_in_any_order(tmp_path: Path) -> None:
    rows = [f"{video},{frame},{frame},2,{frame + 9},20" for video in "vw" for frame in range(8)]
    frames = np.zeros((8, 30, 40, 3), np.uint8)
    found = []
    for number in range(3):
        mixed = np.random.default_rng(number).permutation(rows).tolist() if number else rows
        write_boxes(tmp_path / f"{number}.csv", mixed)
        localiser = objects.build(f"boxes:{tmp_path}/{number}.csv")
        found.append([boxes_of(localiser, frames, video) for video in "vw"])
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_boxes_are_read_once_for_all_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_boxes(tmp_path / "a.csv", ["v,0,1,2,3,4", "w,0,1,2,3,4"])
    read: list[Path] = []

    def counted(path: Path) -> dict[str, dict[int, objects.Boxes]]:
        read.append(path)
        return read_boxes(path)

    monkeypatch.setattr(boxes_file, "read_boxes", counted)
    localiser = objects.build_for_patches(f"boxes:{tmp_path}/a.csv")
    for name in ("v", "w"):  # as streams do
        found = boxes_of(localiser.clone(), np.zeros((1, 30, 40, 3), np.uint8), name)
        assert found[0].tolist() == [[1, 2, 3, 4]]
    assert read == [tmp_path / "a.csv"]


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        (["v,0,1,2,3,4", "v,one,1,2,3,4"], "video,frame,x1,y1,x2,y2", "line 3"),
        (["v,0,1,2,3"], "video,frame,x1,y1,x2,y2", "line 2"),
        (["v,0,1,2,nan,4"], "video,frame,x1,y1,x2,y2", "line 2: .*finite"),
        (["v,0,1,2,3,4", "v,1,10,12,8,20"], "file,frame,x1,y1,x2,y2", "line 3: .*width, height"),
        (["v,0,0.1,0.2,0.3,0.4"], "video,frame,x1,y1,x2,y2", "within 0 to 1: expected .*pixels"),
        (["v,0,30,2,70,9"], "video,frame,x1,y1,x2,y2", "is .30, 2, 70, 9.: expected .*40x30"),
        (["v,1,1,2,3,4"], "video,frame,x1,y1,x2,y2", "reach frame 1: expected frames from 0 to 0"),
        (["v,1.5,1,2,3,4"], "video,frame,x1,y1,x2,y2", "'1.5' is no frame number"),
        (["v,0,1,2,3,4"], "video,frame,left,y1,x2,y2", "no column x1"),
    ],
)
def test_a_broken_box_file_names_the_line(
    tmp_path: Path, rows: list[str], header: str, says: str
) -> None:
    write_boxes(tmp_path / "a.csv", rows, header)
    localiser = objects.build(f"boxes:{tmp_path}/a.csv")
    with pytest.raises(DataError, match=says):
        boxes_of(localiser, np.zeros((1, 30, 40, 3), np.uint8))
    with pytest.raises(DataError, match="No such file"):
        boxes_of(objects.build("boxes:none.csv"), np.zeros((1, 30, 40, 3), np.uint8))


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        (["v;0;1;2;3;4"], "\ufeffvideo;frame;x1;y1;x2;y2"),
        (["", "video,frame,x1,y1,x2,y2", "v,0.0,1,2,3,4"], "# boxes"),
    ],
)
def test_box_files_are_read_as_label_files(tmp_path: Path, rows: list[str], header: str) -> None:
    write_boxes(tmp_path / "a.csv", rows, header)
    found = boxes_of(objects.build(f"boxes:{tmp_path}/a.csv"), np.zeros((1, 30, 40, 3), np.uint8))
    assert found[0].tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("name", ["normalised", "right", "right_bom", "right_semicolon", "xywh"])
def test_cases_of_box_files(cases: Path, name: str) -> None:
    info = open_video(cases / "base/normal.mp4").info
    localiser = objects.build(f"boxes:{cases}/boxes/{name}.csv")
    if name.startswith("right"):
        localiser.start(info)
    else:
        with pytest.raises(DataError, match="expected x1,y1,x2,y2 in pixels"):
            localiser.start(info)


def test_a_video_in_two_box_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_boxes(tmp_path / f"{name}.csv", ["v,0,1,2,3,4"])
    with pytest.raises(DataError, match=r"boxes for video .v. are in .*b\.csv"):
        boxes_of(
            objects.build(f"boxes:{tmp_path}/a.csv,{tmp_path}/b.csv"),
            np.zeros((1, 30, 40, 3), np.uint8),
        )


def test_boxes_that_known_ones_cover_by_half_add_nothing() -> None:
    known = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    boxes = np.array([[5, 0, 15, 10], [6, 0, 16, 10], [2, 2, 4, 4], [5, 0, 25, 10]], np.float32)
    np.testing.assert_allclose(covered(boxes, known), [0.5, 0.4, 1, 0.5])
    assert covered(boxes, known[:0]).tolist() == [0, 0, 0, 0]
    assert covered(known[:0], known).shape == (0,)


# -- detectors -----------------------------------------------------------------------------------


def constant_onnx(path: Path, output: np.ndarray, side: tuple[int, int]) -> None:
    """A network that answers every picture of ``side`` (width, height) with ``output``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    # 0 * mean(picture) + output, so that the input is used.
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "answer"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, side[1], side[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output.shape)],
        [
            numpy_helper.from_array(np.zeros((), np.float32), "zero"),
            numpy_helper.from_array(output.astype(np.float32), "answer"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def test_fastestdet_by_hand() -> None:
    output = np.zeros((7, 4, 8), np.float32)
    output[:, 1, 3] = [0.5, 0.0, np.arctanh(0.5), 0.0, np.log(1 / 3), 0.2, 0.8]
    boxes, scores = decode_fastestdet(output)
    assert boxes.shape == (32, 4) and scores.argmax() == 1 * 8 + 3
    # Centre (3 / 8, 1.5 / 4), half of sigmoid(0) = 0.5 and of sigmoid(-log 3) = 0.25.
    assert boxes[11] == pytest.approx([0.125, 0.25, 0.625, 0.5], abs=1e-6)
    assert scores[11] == pytest.approx(0.5**0.6 * 0.8**0.4)


def test_yolox_by_hand() -> None:
    rows = 8 * 4 + 4 * 2 + 2 * 1
    output = np.zeros((rows, 7), np.float32)
    row = 8 * 4 + 1 * 4 + 2  # second grid (stride 16), cell x = 2, y = 1
    output[row] = [0.5, 0.25, np.log(2), 0.0, 0.5, 0.2, 0.8]
    boxes, scores = decode_yolox(output, (64, 32), in_pixels=False)
    # Centre (2.5, 1.25) strides = (40, 20), size (32, 16).
    assert boxes[row] == pytest.approx([24, 12, 56, 28]) and scores[row] == pytest.approx(0.4)
    pixels = np.zeros((1, 7), np.float32)
    pixels[0] = [40, 20, 32, 16, 0.5, 0.2, 0.8]
    assert decode_yolox(pixels, (64, 32), in_pixels=True)[0][0] == pytest.approx([24, 12, 56, 28])


def test_low_scores_are_left_out_and_the_others_are_as_they_were() -> None:
    rng = np.random.default_rng(0)
    output = rng.random((8 * 4 + 4 * 2 + 2, 9)).astype(np.float32)
    for in_pixels in (False, True):
        boxes, scores = decode_yolox(output, (64, 32), in_pixels=in_pixels)
        high, kept = decode_yolox(output, (64, 32), in_pixels=in_pixels, least=0.5)
        assert 0 < len(kept) < len(scores) == len(output)
        np.testing.assert_array_equal(high, boxes[scores >= 0.5])
        np.testing.assert_array_equal(kept, scores[scores >= 0.5])
    assert decode_yolox(output, (64, 32), in_pixels=False, least=1.0)[0].shape == (0, 4)


@pytest.mark.parametrize("size", [(240, 360), (90, 41), (448, 640)])
def test_a_yolox_is_given_the_letterbox_of_its_authors(size: tuple[int, int]) -> None:
    given: list[np.ndarray] = []

    def run(picture: np.ndarray) -> np.ndarray:
        given.append(picture)
        return np.zeros((1, 52 * 80 + 26 * 40 + 13 * 20, 6), np.float32)

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    YOLOX(run, (640, 416), in_pixels=True)(image)
    ratio = min(640 / size[1], 416 / size[0])
    wide, tall = int(size[1] * ratio), int(size[0] * ratio)
    canvas = np.full((416, 640, 3), 114, np.uint8)
    canvas[:tall, :wide] = cv2.resize(image, (wide, tall), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(given[0], cv2.dnn.blobFromImage(canvas, swapRB=True))


@pytest.mark.parametrize("in_pixels", [False, True])
def test_a_yolox_file_is_recognised_and_its_boxes_lie_in_the_video(
    tmp_path: Path, in_pixels: bool
) -> None:
    output = np.zeros((1, 84, 7), np.float32)
    output[0, 27] = [40, 28, 16, 32, 0.9, 0.1, 0.9]  # first grid, x = 3, y = 3
    output[0, 28] = [41, 28, 16, 32, 0.8, 0.9, 0.1]  # the same object, as another class
    output[0, 0] = [10, 10, 8, 8, 0.9, 0.3, 0.0]  # below the score
    if not in_pixels:
        grid = np.array([[3, 3], [4, 3], [0, 0]])
        output[0, [27, 28, 0], :2] = output[0, [27, 28, 0], :2] / 8 - grid
        output[0, [27, 28, 0], 2:4] = np.log(output[0, [27, 28, 0], 2:4] / 8)
    constant_onnx(tmp_path / "m.onnx", output, (64, 64))
    localiser = objects.build(f"detector:{tmp_path}/m.onnx?device=cpu")
    # 128 x 64 is letterboxed to 64 x 32: the box comes back twice as large, cut at the bottom.
    found = localiser.boxes(one(*[np.zeros((64, 128, 3), np.uint8)] * 3))
    np.testing.assert_allclose(found, [[64, 24, 96, 64]], atol=1e-3)


def test_a_fastestdet_file_is_recognised_and_tiles_cover_the_picture(tmp_path: Path) -> None:
    output = np.full((1, 7, 4, 4), -20.0, np.float32)
    output[0, 0], output[0, 5:] = 0.0, 0.5
    output[0, :, 2, 2] = [1, 0, 0, 0, 0, 1, 0]  # the middle, half as wide and high as the picture
    constant_onnx(tmp_path / "m.onnx", output, (64, 64))
    picture = one(*[np.zeros((90, 120, 3), np.uint8)] * 3)
    whole = objects.build(f"detector:{tmp_path}/m.onnx").boxes(picture)
    np.testing.assert_allclose(whole, [[30, 22.5, 90, 67.5]], atol=1e-3)
    tiled = objects.build(f"detector:{tmp_path}/m.onnx?tiles=2x1&overlap=0").boxes(picture)
    np.testing.assert_allclose(
        sorted(tiled.tolist()), [[15, 22.5, 45, 67.5], [75, 22.5, 105, 67.5]], atol=1e-3
    )
    # One network pixel a pixel: two tiles of 64 across 120 with the overlap, two down.
    assert len(objects.build(f"detector:{tmp_path}/m.onnx?scale=1").boxes(picture)) == 6


def test_tiles_cover_all_and_overlap() -> None:
    assert spans(100, 1, 0.25) == [(0, 100)]
    assert spans(100, 2, 0.0) == [(0, 50), (50, 100)]
    tiles = spans(360, 3, 0.25)
    assert tiles[0][0] == 0 and tiles[-1][1] == 360
    for (_, end), (start, stop) in itertools.pairwise(tiles):
        assert (end - start) / (stop - start) == pytest.approx(0.25, abs=0.02)


def test_foreign_and_broken_detector_files_are_one_line(tmp_path: Path) -> None:
    constant_onnx(tmp_path / "foreign.onnx", np.zeros((1, 1000), np.float32), (64, 64))
    (tmp_path / "text.onnx").write_text("not a model")
    cases: list[tuple[str, type[Exception], str]] = [
        ("none.onnx", WeightsError, "no detector at"),
        ("text.onnx", WeightsError, "not a readable ONNX model"),
        ("foreign.onnx", ConfigError, "FastestDet"),
    ]
    for name, error, says in cases:
        with pytest.raises(error, match=says) as caught:
            objects.build(f"detector:{tmp_path}/{name}").describe()
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="ssdlite320_mobilenet_v3_large"):
        objects.build("detector:ssdlite320_mobilenet_v3").fit(training())
    with pytest.raises(WeightsError, match="no weight file"):
        objects.build(f"detector:ssdlite320_mobilenet_v3_large?weights={tmp_path}/none.pth").fit(
            training()
        )


# -- real pictures -------------------------------------------------------------------------------


Reader = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def ped2(shared_data: Path) -> Reader:
    """Every ``step``-th frame from ``first`` to before ``last`` of a clip, as in Train/Train001."""

    def read(clip: str, first: int = 0, last: int | None = None, step: int = 1) -> np.ndarray:
        files = sorted((shared_data / "ucsd/UCSDped2" / clip).glob("*.jpg"))[first:last:step]
        return np.stack([np.asarray(cv2.imread(str(f)))[:, :, ::-1] for f in files])

    return read


def published_boxes(shared_data: Path, split: str) -> dict[tuple[str, int], list[list[float]]]:
    found: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    with (shared_data / f"ucsd/boxes/ped2_{split}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            box = [float(row[c]) for c in ("x1", "y1", "x2", "y2")]
            found[row["video"], int(row["frame"])].append(box)
    return found


def test_background_finds_most_published_boxes_on_ped2(shared_data: Path, ped2: Reader) -> None:
    localiser = Background()
    localiser.fit(training(*(ped2(f"Train/Train{i:03d}", step=5) for i in (1, 4, 7, 10, 13))))
    assert len(localiser.scenes) == 1
    published = published_boxes(shared_data, "train")
    frames = ped2("Train/Train006", last=60)
    hits: list[np.ndarray] = []
    right: list[np.ndarray] = []
    for i, found in enumerate(boxes_of(localiser, frames)):
        hits.append(best_iou(published["Train006", i], found) >= 0.5)
        right.append(best_iou(found, np.array(published["Train006", i])) >= 0.5)
    assert np.concatenate(hits).mean() > 0.6
    assert np.concatenate(right).mean() > 0.65


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        ("fastestdet_coco.onnx?score=0.4", 0.25),
        ("yolox_nano_coco.onnx?score=0.25", 0.55),
        ("yolox_nano_coco.onnx?score=0.25&scale=4", 0.75),
    ],
)
def test_real_detectors_find_people_on_ped2(
    shared_data: Path, detector_files: Path, ped2: Reader, spec: str, least: float
) -> None:
    localiser = objects.build(f"detector:{detector_files}/{spec}")
    published = published_boxes(shared_data, "test")
    hits: list[np.ndarray] = []
    for clip, i in (("Test001", 10), ("Test004", 60), ("Test006", 80), ("Test012", 100)):
        (image,) = ped2(f"Test/{clip}", i, i + 1)
        hits.append(best_iou(published[clip, i], localiser.boxes(one(image, image, image))) >= 0.5)
    assert np.concatenate(hits).mean() >= least
