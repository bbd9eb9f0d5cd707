"""Documents: the server's settings, runs, records, the walkway's index, and a folder's labels."""

from __future__ import annotations

import json
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from fuzz.features import changed as changed_arrays
from fuzz.features import json_of, mat, npy, problems
from fuzz.judging import Reader
from fuzz.mutations import WORDS, nested, text_of
from fuzz.tables import changed_parquet
from vadistill.datasets.base import Track
from vadistill.datasets.tracks import Tracks
from vadistill.errors import DataError
from vadistill.evaluation.alignment import Aligned
from vadistill.evaluation.region_matching import Detections
from vadistill.evaluation.runs import Regions, Run, load_run, save_run
from vadistill.reproduce.records import load_records, write_records
from vadistill.serving.settings_file import read_settings, write_settings

# -- the server's settings -------------------------------------------------------------------------


def toml_of(random: Random, data: bytes, other: bytes) -> bytes:
    """A settings file with other values, keys and tables."""
    kind = random.random()
    if kind < 0.03:
        return nested(data.decode()).encode()
    if kind < 0.4:
        return text_of(random, data, other)
    lines = data.decode().split("\n")
    entries = [number for number, line in enumerate(lines) if " = " in line]
    for _ in range(random.choice((1, 1, 2))):
        at = random.choice(entries)
        key, _, value = lines[at].partition(" = ")
        new = random.choice(
            (
                *(
                    "-1",
                    "0",
                    "1e999",
                    "nan",
                    "inf",
                    "true",
                    "[]",
                    "{}",
                    "[1]",
                    '["a"]',
                    "2026-01-01",
                ),
                *("9" * 30, "99999", '""', '"x"', "'\\u001b'", '"\\u0000"', '"é/../x"', "0.5"),
                json.dumps(random.choice(WORDS)),
                f"{value}\n{key} = {value}",
                f"{value}\nother = 1",
            )
        )
        lines[at] = f"{key} = {new}" if random.random() < 0.9 else f"{key}s = {value}"
    return "\n".join(lines).encode()


def settings(path: Path) -> None:
    """What is read is what is written and read again, and no block is left out."""
    found = read_settings(path)
    document = tomllib.loads(path.read_text())
    for name, group in (("camera", found.cameras), ("model", found.models), ("sink", found.sinks)):
        given = document.get(name, [])
        assert len(group) == (len(given) if isinstance(given, list) else 1)
    other = path.with_name("again.toml")
    write_settings(found, other)
    assert read_settings(other) == found
    assert 0 <= found.server.port < 2**16, "a port that is none"
    texts = [found.server.host, found.storage.folder, *(model.path for model in found.models)]
    assert not any("\0" in text for text in texts), "a path that cannot be"


# -- runs ------------------------------------------------------------------------------------------


@cache
def run_files() -> dict[str, bytes]:
    labels = np.r_[np.zeros(4), np.ones(4)].astype(np.uint8)
    scores = np.linspace(0, 1, 8)
    frames = Aligned(("a", "b"), (labels, labels[::-1].copy()), (scores, 1 - scores))
    boxes = np.array([[0, 0, 8, 8], [2, 2, 9, 9]], np.float32)
    track = Tracks.of([Track(1, "car", np.array([4, 5]), boxes)])
    none = Tracks.of([])
    found = Detections(np.array([4, 5]), boxes.astype(np.float64), np.array([0.5, 0.75]))
    regions = Regions({"a": track, "b": none}, {"a": found, "b": found}, ("derived",))
    made = Run("m", "set", frames, {"a": 25.0}, regions, ("micro/raw",), {"device": "cpu"})
    with tempfile.TemporaryDirectory() as folder:
        save_run(made, Path(folder))
        files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        return {
            path.relative_to(folder).as_posix().replace("/", "-"): path.read_bytes()
            for path in files
        }


def place_run(folder: Path, name: str, data: bytes) -> Path:
    for each, held in run_files().items():
        path = folder / "run" / each.replace("-", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if each == name else held)
    return folder / "run" / name.replace("-", "/")


def changed_run(random: Random, data: bytes, other: bytes) -> bytes:
    if data[:4] == b"PAR1":
        return changed_parquet(random, data, other)
    return (json_of if data[:1] == b"{" else text_of)(random, data, other)


def run(path: Path) -> None:
    """Labels of 0 and 1, finite scores, boxes in frames that there are; the same when saved."""
    folder = next(parent for parent in path.parents if parent.name == "run")
    found = load_run(folder)
    for labels, scores in found.frames:
        assert len(labels) == len(scores) and np.isin(labels, (0, 1)).all()
        assert np.isfinite(scores).all()
    assert isinstance(found.name, str) and isinstance(found.dataset, str)
    assert all(isinstance(each, str) for each in found.protocols)
    assert all(isinstance(fps, int | float) and fps > 0 for fps in found.fps.values())
    if found.regions is not None:
        assert found.matches is not None
    save_run(found, again := folder.with_name("again"))
    same = load_run(again)
    assert same.frames.names == found.frames.names and same.protocols == found.protocols
    assert np.array_equal(same.frames.all_scores, found.frames.all_scores)


# -- records ---------------------------------------------------------------------------------------


def record_files() -> dict[str, bytes]:
    facts = {"device": "cpu x2", "command": "x", "commit": "abc", "date": "2026-01-01"}
    row = {"run": 0, "system": "cafe", "variant": "", "dataset": "ped2", "metric": "auc"}
    row |= {"protocol": "micro/raw", "value": 0.9, "low": 0.8, "high": 0.95, "paper": None}
    row |= {"seeds": [0], "seconds": 1.5, "note": ""}
    return {
        "a.json": json.dumps({"runs": [facts], "records": [row, {**row, "variant": "b"}]}).encode()
    }


def records(path: Path) -> None:
    found = load_records(path)
    assert len(found) == len(json.loads(path.read_text())["records"])
    assert all(np.isfinite(record.value) for record in found)
    write_records(other := path.with_name("again.json"), found)
    keys = {record.key: record for record in found}
    assert load_records(other) == list(keys.values())


# -- data sets -------------------------------------------------------------------------------------

PICTURE = cv2.imencode(".png", np.full((6, 8, 3), 90, np.uint8))[1].tobytes()


def pictures(folder: Path, count: int = 8) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:03d}.png").write_bytes(PICTURE)


def walkway_files() -> dict[str, bytes]:
    track = {"id": 1, "kind": "car", "frames": [4, 5], "boxes": [[0, 0, 4, 4], [1, 1, 5, 5]]}
    clips = [
        {"name": "train_01", "video": "train/01.mp4", "split": "train", "frames": 8},
        {
            **{"name": "test_01", "video": "test/01.mp4", "split": "test", "frames": 8},
            **{"abnormal": [[4, 5]], "tracks": [track]},
        },
    ]
    facts = {"format": "vadistill walkway", "config": {"height": 6, "width": 8}, "clips": clips}
    return {"walkway.json": json.dumps(facts).encode()}


def place_walkway(folder: Path, name: str, data: bytes) -> Path:
    for split in ("train", "test"):
        (folder / split).mkdir()
        (folder / split / "01.mp4").write_bytes(b"not looked into")
    (folder / name).write_bytes(data)
    return folder / name


def walkway(path: Path) -> None:
    splits = problems(path, path.parent, "walkway", path.name, "no video at")
    facts = json.loads(path.read_text())
    assert len(splits.train) + len(splits.test) == len(facts["clips"]), "a video is passed over"
    clips = [clip for clip in facts["clips"] if clip["split"] == "test"]
    for video, told in zip(splits.test, clips, strict=True):
        labels = video.frame_labels
        assert labels is not None and video.mask is not None and len(labels) == told["frames"]
        wanted = {n for first, last in told["abnormal"] for n in range(first, last + 1)}
        assert set(np.flatnonzero(labels).tolist()) == wanted, "labels beyond the video"
        tracks = Tracks.of(video.tracks)
        assert tracks.fault(len(labels)) is None, tracks.fault(len(labels))


def folder_files() -> dict[str, bytes]:
    return {
        "labels.csv": b"file,start,end\nb,2,5\nb,6,8\nc,,\n",
        "other.csv": b"file,start,end\nb,2,5\n",
    }


def place_folder(folder: Path, name: str, data: bytes) -> Path:
    for inside in ("train/a", "test/b", "test/c"):
        pictures(folder / inside)
    (folder / name).write_bytes(data)
    return folder / name


def own_folder(path: Path) -> None:
    """Every row that names a video makes labels of it; nothing that names one is passed over."""
    splits = problems(path, path.parent, "folder", path.name, "test video ", "training video ")
    assert [video.name for video in splits.train] == ["a"]
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.name in splits.unused:
        rows = [line.split(",")[0].strip() for line in text.split("\n")]
        assert '"' in text or not {"a", "b", "c"} & set(rows), "a table that names a video"
        return
    for video in splits.test:
        assert video.frame_labels is not None and len(video.frame_labels) == 8


def set_files() -> dict[str, bytes]:
    masks = np.zeros((8, 6, 8), np.uint8)
    masks[4:6, 1:3, 1:3] = 1
    cell = np.empty((1, 8), object)
    for index in range(8):
        cell[0, index] = masks[index]
    return {
        "1_label.mat": mat({"volLabel": cell}),
        "frame.npy": npy(masks.max((1, 2))),
        "pixel.npy": npy(masks),
        "UCSDped2.m": b"TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [3:5, 7];\n",
    }


PLACES = {
    "1_label.mat": ("avenue", "ground_truth_demo/testing_label_mask/1_label.mat"),
    "frame.npy": ("shanghaitech", "testing/test_frame_mask/01_0014.npy"),
    "pixel.npy": ("shanghaitech", "testing/test_pixel_mask/01_0014.npy"),
    "UCSDped2.m": ("ucsd", "Test/UCSDped2.m"),
}


def place_set(folder: Path, name: str, data: bytes) -> Path:
    kind, place = PLACES[name]
    if kind == "avenue":
        from fuzz.pictures import films

        (folder / "testing_videos").mkdir()
        (folder / "testing_videos/01.avi").write_bytes(films()["eight.avi"])
    else:
        pictures(folder / {"shanghaitech": "testing/frames/01_0014"}.get(kind, "Test/Test001"))
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def published_set(path: Path) -> None:
    """Labels of every frame, which masks agree with, or a word that there are none."""
    kind = next(kind for kind, place in PLACES.values() if place.endswith(path.name))
    root = path.parents[{"ucsd": 1}.get(kind, 2)]
    splits = problems(path, root, kind, path.name, "test video 01", "Test001")
    (video,) = splits.test
    if video.frame_labels is None:
        shown = [line for line in splits.unused if path.name in line]
        assert shown, "labels passed over"
        raise DataError(f"{path} is not used", expected="labels", fix="look at its name")
    assert len(video.frame_labels) == 8 and np.isin(video.frame_labels, (0, 1)).all()
    if video.mask is not None:
        for index in range(8):
            assert video.mask(index).dtype == bool
        sizes: set[Any] = {video.mask(index).shape for index in range(8)}
        assert len(sizes) == 1 or kind == "avenue"


def changed_set(random: Random, data: bytes, other: bytes) -> bytes:
    return (text_of if data[:4] == b"Test" else changed_arrays)(random, data, other)


READERS = (
    Reader("settings", settings, slots=6, mutate=toml_of),
    Reader(
        "runs",
        run,
        slots=3,
        mutate=changed_run,
        made=run_files,
        place=place_run,
        named=lambda path: ("run",),
    ),
    Reader("records", records, slots=1, mutate=json_of, made=record_files),
    Reader(
        "walkway",
        walkway,
        slots=2,
        mutate=json_of,
        made=walkway_files,
        place=place_walkway,
        named=lambda path: (path.name, "no video at"),
    ),
    Reader(
        "folders",
        own_folder,
        slots=3,
        made=folder_files,
        place=place_folder,
        named=lambda path: (path.name, "test video ", "training video "),
    ),
    Reader(
        "published sets",
        published_set,
        slots=3,
        mutate=changed_set,
        made=set_files,
        place=place_set,
        named=lambda path: (path.name, "test video 01", "Test00"),
    ),
)
