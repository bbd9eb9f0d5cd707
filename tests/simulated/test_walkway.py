"""The simulated walkway: exact truth, exact repetition, people whose feet stay where they step."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vadistill.datasets import Splits, open_dataset
from vadistill.datasets.walkway import is_walkway, open_walkway
from vadistill.errors import ConfigError, DataError
from vadistill.simulated.walkway import ANOMALIES, WalkwayConfig, render_walkway
from vadistill.simulated.walkway.actors import Walker
from vadistill.simulated.walkway.events import cast
from vadistill.simulated.walkway.figures import Limb
from vadistill.simulated.walkway.painting import build_scene
from vadistill.simulated.walkway.people import person
from vadistill.simulated.walkway.render import MIN_VISIBLE, Rendered, compose, video_frames

SMALL = WalkwayConfig(
    train_clips=1, test_clips=2, frames=40, width=240, height=160, pedestrians=(2, 4),
    anomalies=("cyclist", "cart", "thrown", "loitering"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("walkway") / "small"
    render_walkway(path, SMALL)
    return path


@pytest.fixture(scope="module")
def splits(folder: Path) -> Splits:
    return open_walkway(folder)


def rendered(config: WalkwayConfig, split: str = "test", number: int = 0) -> list[Rendered]:
    scene = build_scene(config.width, config.height, config.seed)
    return list(video_frames(config, scene, split, number))


def test_is_recognised_as_a_data_set(folder: Path, splits: Splits):
    assert is_walkway(folder) and not is_walkway(folder / "train")
    found = open_dataset(folder)
    assert found.kind == splits.kind == "walkway" and not found.problems
    assert [c.name for c in found.train] == ["train_01"]
    assert [c.name for c in found.test] == ["test_01", "test_02"]
    assert found.train["train_01"].frame_labels is None


def test_videos_decode_to_the_frames_that_were_drawn(splits: Splits):
    video = list(splits.test["test_01"].open())
    drawn = rendered(SMALL)
    assert len(video) == len(drawn) == 40
    assert video[15].time == pytest.approx(1.0, abs=1e-3)
    for a, b in zip(video, drawn, strict=True):
        difference = np.abs(a.image.astype(int) - b.image).mean()
        assert difference < 6  # the codec's loss; people of another frame would be more


def test_labels_masks_and_tracks_tell_the_same(splits: Splits):
    for clip in splits.test:
        assert clip.frame_labels is not None and clip.mask is not None
        assert clip.video_label == 1 and set(clip.frame_labels) == {0, 1}
        tracked = np.zeros(40, bool)
        for track in clip.tracks:
            tracked[track.frames] = True
        assert np.array_equal(tracked, clip.frame_labels.astype(bool))
        for t in range(40):
            mask = clip.mask(t)
            assert mask.shape == (160, 240)
            assert mask.sum() >= MIN_VISIBLE if clip.frame_labels[t] else not mask.any()
            boxes = [tr.boxes[tr.frames == t][0] for tr in clip.tracks if t in tr.frames]
            if boxes:  # tight: together they span exactly the mask
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
                assert (low[0], low[1]) == (columns[0], rows[0])
                assert (high[2], high[3]) == (columns[-1] + 1, rows[-1] + 1)
        with pytest.raises(IndexError):
            clip.mask(40)


def test_boxes_file_lists_everyone_inside_the_picture(folder: Path, splits: Splits):
    with (folder / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["video"] for row in rows} == {"train_01", "test_01", "test_02"}
    boxes = np.array([[int(row[k]) for k in ("x1", "y1", "x2", "y2")] for row in rows])
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (240, 160)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    abnormal = sum(len(track.frames) for clip in splits.test for track in clip.tracks)
    assert len(rows) > abnormal  # normal people are listed too


def test_equal_seeds_give_equal_pixels_and_others_do_not():
    brief = WalkwayConfig(**{**vars(SMALL), "frames": 8})
    first, again = rendered(brief), rendered(brief)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    assert [a.seen for a in first] == [b.seen for b in again]
    other = rendered(WalkwayConfig(**{**vars(brief), "seed": 1}))[0]
    assert np.abs(other.image.astype(int) - first[0].image).mean() > 5


def test_rendering_again_keeps_what_is_there(folder: Path):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    render_walkway(folder, SMALL)
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    with pytest.raises(DataError, match=r"seed 0, asked for 9.*choose another folder"):
        render_walkway(folder, WalkwayConfig(**{**vars(SMALL), "seed": 9}))


def test_an_interrupted_rendering_is_no_walkway_and_is_done_again(tmp_path: Path):
    config = WalkwayConfig(**{**vars(SMALL), "frames": 6, "test_clips": 1})

    def stop(done: int, total: int) -> None:
        assert total == 12
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_walkway(tmp_path / "w", config, on_frame=stop)
    assert not is_walkway(tmp_path / "w")
    counted: list[int] = []
    splits = render_walkway(tmp_path / "w", config, on_frame=lambda done, _: counted.append(done))
    assert counted == list(range(1, 13)) and len(splits.test) == 1 and not splits.problems
    whole = render_walkway(tmp_path / "v", config)
    for clip, same in zip(splits.test, whole.test, strict=True):
        assert Path(str(clip.source)).read_bytes() == Path(str(same.source)).read_bytes()


def test_folders_of_others_are_left_alone(tmp_path: Path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "mine.mp4").write_bytes(b"mine")
    with pytest.raises(DataError, match="not empty"):
        render_walkway(tmp_path, SMALL)
    assert [p.name for p in tmp_path.rglob("*")] == ["train", "mine.mp4"]
    with pytest.raises(DataError, match="is a file"):
        render_walkway(tmp_path / "train" / "mine.mp4", SMALL)


def test_damaged_walkways_say_what_is_wrong(tmp_path: Path):
    config = WalkwayConfig(**{**vars(SMALL), "frames": 4, "test_clips": 1})
    clip = render_walkway(tmp_path, config).test["test_01"]
    assert clip.mask is not None and clip.frame_labels is not None
    frame = int(np.flatnonzero(clip.frame_labels)[0])
    (tmp_path / "test_masks" / "01" / f"{frame:04d}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot read the mask"):
        clip.mask(frame)
    (tmp_path / "test" / "01.mp4").unlink()
    assert "test video test_01: no video" in open_walkway(tmp_path).problems[0]
    index = json.loads((tmp_path / "walkway.json").read_text())
    for text in ("{", "[]", json.dumps({"format": index["format"], "clips": 3})):
        (tmp_path / "walkway.json").write_text(text)
        with pytest.raises(DataError, match=r"walkway\.json cannot be used"):
            open_walkway(tmp_path)
    (tmp_path / "walkway.json").unlink()
    with pytest.raises(DataError, match=r"no walkway\.json"):
        open_walkway(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("frames", 1), ("width", 241), ("height", 60), ("fps", float("nan")), ("seed", -1),
     ("pedestrians", (5, 2)), ("anomalies", ()), ("test_clips", 100)],
)  # fmt: skip
def test_impossible_settings_are_named(field: str, value: object):
    with pytest.raises(ConfigError, match=f"walkway {field}"):
        WalkwayConfig(**{**vars(SMALL), field: value})


@pytest.mark.parametrize("kind", ANOMALIES)
def test_every_anomaly_shows_early_and_late_with_normal_life_between(kind: str):
    config = WalkwayConfig(**{**vars(SMALL), "frames": 24, "fps": 4.0, "anomalies": (kind,)})
    frames = rendered(config)
    assert {s.kind for f in frames for s in f.seen if s.abnormal} == {kind}
    labels = [f.abnormal for f in frames]
    assert any(labels[:8]) and any(labels[18:])
    assert not any(labels[10:14])


def test_normal_clips_hold_no_anomaly_but_people():
    frames = rendered(SMALL, "train")
    assert not any(f.abnormal or f.mask.any() for f in frames)
    assert {s.kind for f in frames for s in f.seen} == {"pedestrian"}


def test_as_many_may_walk_by_as_there_are():
    scene = build_scene(SMALL.width, SMALL.height, SMALL.seed)
    few = cast(SMALL, np.random.default_rng(0), None, None)
    actors = few * (1 + 255 // len(few))
    _, owner, sizes = compose(scene, actors, SMALL.frames // 2)
    assert owner.max() > 255 and owner.max() <= max(sizes) + 1


def test_hidden_and_departed_actors_do_not_count():
    config = WalkwayConfig(**{**vars(SMALL), "frames": 20, "fps": 5.0, "pedestrians": (9, 9)})
    frames = rendered(config)
    for frame in frames:
        for sighting in frame.seen:
            assert 0 < sighting.share <= 1
    shares = [s.share for f in frames for s in f.seen]
    assert min(shares) < 0.5 < max(shares)  # some are half hidden, most are not
    with_mask = [f for f in frames if f.abnormal]
    assert all(f.mask.sum() >= MIN_VISIBLE for f in with_mask)


def test_feet_do_not_slide():
    """Of every walker some foot rests, to within centimetres, between any two frames."""
    config = WalkwayConfig(frames=60, pedestrians=(6, 6))
    rng = np.random.default_rng(4)
    slips: list[float] = []
    for walker in cast(config, rng, None, None):
        assert isinstance(walker, Walker)
        poses = [walker.pose(t) for t in range(60)]
        if min(pose.amount for pose in poses) < 1:
            continue  # stops somewhere: feet gather then
        ankles = np.array([
            [part.shapes[1].end for part in person(walker.look, pose)[:2]
             if isinstance(part.shapes[1], Limb)]
            for pose in poses
        ])  # fmt: skip
        body = np.array([(pose.x, pose.z) for pose in poses])
        for (a, b), (p, q) in zip(pairwise(ankles), pairwise(body), strict=True):
            step = np.hypot(*(q - p))
            slips.append(np.hypot(*(b - a)[:, [0, 2]].T).min() / step)
    assert len(slips) > 200
    assert np.median(slips) < 0.1 and np.quantile(slips, 0.9) < 0.6
