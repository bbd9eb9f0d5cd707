"""PETS 2009 as Inception-I3D features of four synchronised cameras, weakly labelled.

train_view1.json    [{"name": "City-Center--Time-14-55", "label": 0, "clips": 53}, …]: the scenes,
                    in the same order in every view
train_view1.npz     00.features (53, 1024), 00.frame_labels (848,) … by place in that list, with 16
                    labels a snippet
train_view2.json …  test_view4.npz

A video is a scene, and its sources are the arrays ``view1`` … ``view4`` of one FeatureSource: four
aligned inputs, as four backbones of one video would be.  The published frame labels are the same in
all views, so every view and every fusion of them is measured with these; views that differ are a
problem.  Training scenes carry video labels only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from vadistill.datasets.agreement import wrong_widths
from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.published import FeatureFile
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.datasets.sources import listed, unused
from vadistill.errors import DataError
from vadistill.files import read_json

VIEWS = ("view1", "view2", "view3", "view4")

SCENE = ("name", "label", "clips")
"""What its list tells of a scene."""

FPS = 7.0
"""The cameras' rate; the features do not tell it."""


def is_pets(path: Path) -> bool:
    """Whether ``path`` has train_view1.npz or test_view1.npz, or that of another view."""
    return any(_file(path, split, view).is_file() for split in ("train", "test") for view in VIEWS)


def open_pets(path: Path) -> Splits:
    """Both splits; missing views, and views that are not of the same scenes, are problems.

    Raises DataError for a list or archive that cannot be read, or where there is none.
    """
    if not is_pets(path):
        raise DataError(
            f"no features of PETS 2009 in {path}",
            expected="train_view1.npz to test_view4.npz, each with its .json",
            fix="check the path",
        )
    problems: list[str] = []
    train, test = _split(path, "train", problems), _split(path, "test", problems)
    used = [
        _file(path, split, view, ending)
        for split in ("train", "test")
        for view in VIEWS
        for ending in (".npz", ".json")
    ]
    left = listed(path, unused(path, used))
    return Splits(train, test, "pets", tuple(dict.fromkeys(problems)), left)


def _file(root: Path, split: str, view: str, ending: str = ".npz") -> Path:
    return root / f"{split}_{view}{ending}"


def _split(root: Path, split: Literal["train", "test"], problems: list[str]) -> Dataset:
    there = [view for view in VIEWS if _file(root, split, view).is_file()]
    problems += [
        f"{_file(root, split, view).name} is missing" for view in VIEWS if view not in there
    ]
    if not there:
        return Dataset("pets2009", split, (), "weak", root)
    scenes = {view: _scenes(_file(root, split, view, ".json")) for view in there}
    first = there[0]
    for view in there[1:]:
        for number, (one, other) in enumerate(zip(scenes[first], scenes[view], strict=False)):
            if one != other:
                problems.append(
                    f"{split} scene {number:02d} is {_told(one)} in {first} and {_told(other)} in"
                    f" {view}, expected the same scenes in the same order in every view"
                )
                break
        if len(scenes[view]) != len(scenes[first]):
            problems.append(
                f"{split} has {len(scenes[first])} scenes in {first} and {len(scenes[view])} in"
                f" {view}"
            )
    videos, widths = [], []
    for number, scene in enumerate(scenes[first]):
        files = {
            view: FeatureFile(_file(root, split, view), f"{number:02d}.features") for view in there
        }
        for view, file in files.items():
            shape = file.shape()
            widths.append((f"{file.path.name} ({file.member})", shape.width))
            if shape.snippets != scene["clips"]:
                problems.append(
                    f"{split} scene {scene['name']} has {shape.snippets} snippets in"
                    f" {file.path.name}, expected {scene['clips']}, as"
                    f" {_file(root, split, view, '.json').name} says"
                )
        source = FeatureSource(scene["name"], files, snippets=scene["clips"], fps=FPS)
        labels = None
        if split == "test":
            labels = _labels(root, there, number, scene, problems)
        videos.append(Video(scene["name"], source, labels, video_label=scene["label"]))
    problems += wrong_widths(widths, backbone="view1 to view4")
    names = [video.name for video in videos]
    problems += [
        f"{split} scene {name} is there twice" for name in {*names} if names.count(name) > 1
    ]
    return Dataset("pets2009", split, tuple(videos), "weak", root)


def _told(scene: dict[str, Any]) -> str:
    return f"{scene['name']} ({scene['clips']} snippets, label {scene['label']})"


def _scenes(path: Path) -> list[dict[str, Any]]:
    try:
        scenes = [{name: each[name] for name in SCENE} for each in read_json(path)]
        for scene in scenes:
            # A scene is a video of its name; true and 1.0 are no counts.
            if [type(value) for value in scene.values()] != [str, int, int]:
                raise ValueError(scene)
            if scene["label"] not in (0, 1) or scene["clips"] < 1 or not scene["name"]:
                raise ValueError(scene)
        return scenes
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot read {path} ({getattr(error, 'strerror', None) or type(error).__name__})",
            expected="a list of scenes with name, label and clips",
            fix="copy it again from the data set",
        ) from error


def _labels(
    root: Path, views: list[str], number: int, scene: dict[str, Any], problems: list[str]
) -> UInt8[np.ndarray, " t"] | None:
    """The frame labels of one scene, if every view has the same; else None, and a problem."""
    frames = SNIPPET * scene["clips"]
    found = [_read_labels(_file(root, "test", view), number) for view in views]
    for view, labels in zip(views, found, strict=True):
        if len(labels) != frames:
            wrong = f"{len(labels)} labels for {frames} frames"
        elif not np.array_equal(labels, found[0]):
            wrong = f"other frame labels than {views[0]}"
        elif int(labels.any()) != scene["label"]:
            wrong = f"the label {scene['label']} and {int(labels.sum())} abnormal frames"
        else:
            continue
        problems.append(f"test scene {scene['name']} has {wrong} in {view}")
        return None
    return found[0]


def _read_labels(path: Path, number: int) -> UInt8[np.ndarray, " t"]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return (archive[f"{number:02d}.frame_labels"].ravel() > 0).astype(np.uint8)
    except Exception as error:
        raise DataError(
            f"cannot read {number:02d}.frame_labels of {path} ({type(error).__name__})",
            expected="16 labels a snippet",
            fix="copy it again from the data set",
        ) from error
