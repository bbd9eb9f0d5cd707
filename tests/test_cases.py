"""Small inputs that are easily read wrong: for each folder of them, what is right.

They lie in ``cases`` (VADISTILL_CASES, or beside the checkout); without them these tests skip.
Most of their kinds have tests on inputs of their own, too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vadistill
from vadistill.cli import main
from vadistill.datasets import Video, open_dataset
from vadistill.datasets.check import check
from vadistill.datasets.snippets import FeatureSource
from vadistill.errors import DataError, VideoError
from vadistill.events import Event
from vadistill.progress import clock as printed
from vadistill.report.annotate import annotate
from vadistill.score_tables import read_scores
from vadistill.scores import Scores
from vadistill.video import open_video

Folder = Path
"""Of the cases."""


@pytest.fixture(scope="module")
def model(cases: Path) -> vadistill.Detector:
    return vadistill.load(cases / "base" / "m.vad")


def events_of(model: vadistill.Detector, path: Path) -> list[Event]:
    """What stands out; at the level itself, which one normal frame passes a day, noise does."""
    found: Scores = model.score(path)
    return found.events(threshold=4.0, seconds=0.2)


def only_event(model: vadistill.Detector, path: Path) -> Event:
    (event,) = events_of(model, path)
    return event


def base(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    assert events_of(model, cases / "base/normal.mp4") == []
    event = only_event(model, cases / "base/odd.mp4")
    assert event.start == pytest.approx(2.4, abs=0.1) and event.end == pytest.approx(3.2, abs=0.1)


def concat_ts(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    for ending in ("ts", "mpg"):
        found = model.score(cases / f"concat_ts/joined.{ending}")
        assert found.times[-1] == pytest.approx(7.96, abs=0.05) and (np.diff(found.times) > 0).all()
        first, second = found.events(threshold=4.0, seconds=0.2)
        assert (first.start, first.end) == pytest.approx((2.4, 3.2), abs=0.1)
        assert (second.start, second.end) == pytest.approx((6.4, 7.2), abs=0.1)
    for folder in ("set", "setmpg"):
        (video,) = open_dataset(cases / "concat_ts" / folder).test
        assert video.frame_labels is not None
        assert np.flatnonzero(video.frame_labels).tolist() == [*range(60, 80)]


def quiet(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    empty = vadistill.fit("motion", cases / "quiet/normal", out=tmp_path / "empty.vad")
    assert empty.score(cases / "quiet/empty_corridor.mp4").events() == []


def masks_16bit(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    (video,) = open_dataset(cases / "masks_16bit").test
    assert video.frame_labels is not None
    assert np.flatnonzero(video.frame_labels).tolist() == [12, 13, 14, 15]


def stray_picture(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    splits = open_dataset(cases / "stray_picture")
    assert [video.open().info.frames for video in splits.train] == [20, 20]
    assert splits.unused == ("thumbnail.jpg",)


def gap(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing frames after number 4"):
        open_dataset(cases / "gap")


def csv_unread(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    splits = open_dataset(cases / "csv_unread")
    assert [video.name for video in splits.train] == ["normal"]
    labels = splits.test["odd"].frame_labels
    assert labels is not None and np.flatnonzero(labels).tolist() == [*range(60, 80)]


def boxes(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(cases / "base/normal.mp4", videos)
    for file in ("right", "right_bom", "right_semicolon", "xywh", "normalised"):
        localiser = f"boxes:{cases}/boxes/{file}.csv"
        fit = ["fit", "motion", str(videos), "--localiser", localiser, "--frames", "20"]
        fit += ["--selftest", "no", "--out", str(tmp_path / f"{file}.vad")]
        assert main(fit) == (0 if "right" in file else 2)


def crops_first(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    for video in open_dataset(cases / "crops_first").train:
        assert isinstance(video.source, FeatureSource)
        snippets, crops, width = video.source.crops("i3d").shape
        assert 20 <= snippets <= 24 and (crops, width) == (10, 8)


def start_offset(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    for ending, start in (("mp4", 5.4), ("mkv", 5.53)):  # as each file's own stamps are
        event = only_event(model, cases / f"start_offset/late_video.{ending}")
        assert event.start == pytest.approx(start, abs=0.05)
    (video,) = open_dataset(cases / "start_offset/set").test
    assert video.frame_labels is not None
    (line,) = (cases / "start_offset/set/test/labels.csv").read_text().splitlines()[1:]
    begin, end = (float(cell) for cell in line.split(",")[1:])
    times = model.score(cases / "start_offset/late_video.mp4").times
    assert video.frame_labels.tolist() == [int(begin <= time < end) for time in times]


def truncated_mkv(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    assert len(model.score(cases / "truncated_mkv/whole.mkv")) == 60
    with pytest.raises(VideoError, match="cut short"):
        model.score(cases / "truncated_mkv/cut.mkv")


def clock(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    event = only_event(model, cases / "clock/minute.mp4")
    assert event.start == pytest.approx(59.96, abs=0.01) and printed(event.start) == "1:00.0"


def vfr(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    path = cases / "vfr/motion_gap.mp4"
    scores = model.score(path)
    assert any(event.start == pytest.approx(22.4, abs=0.1) for event in scores.events())
    annotate(Video("gap", path), scores, tmp_path / "film.mp4")
    film = [frame.time for frame in open_video(tmp_path / "film.mp4")]
    assert film == pytest.approx(scores.times - scores.times[0], abs=0.03)


def brackets(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    paths = sorted((cases / "brackets").iterdir())
    argv = ["score", str(cases / "base/m.vad"), *map(str, paths)]
    assert main([*argv, "--out", str(tmp_path / "s.csv"), "--video", str(tmp_path / "films")]) == 0
    assert sorted(read_scores(tmp_path / "s.csv")) == ["cam [back]", "cam [front]"]
    films = sorted(path.name for path in (tmp_path / "films").iterdir())
    assert films == ["cam [back].mp4", "cam [front].mp4"]


def tiny(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    paths = [*sorted((cases / "tiny").iterdir()), cases / "base/odd.mp4"]
    argv = ["score", str(cases / "base/m.vad"), *map(str, paths)]
    assert main([*argv, "--out", str(tmp_path / "s.csv")]) in (0, 2)
    assert len(read_scores(tmp_path / "s.csv")["odd"]) == 100


def damaged(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    path = cases / "damaged/dmg.mp4"
    for split, source in (("train", cases / "base/normal.mp4"), ("test", path)):
        (tmp_path / "set" / split).mkdir(parents=True)
        shutil.copy(source, tmp_path / "set" / split)
    (tmp_path / "set/labels.csv").write_text("file,start,end\ndmg.mp4,60,80\n")
    scores = model.score(path)
    lost = 100 - len(scores)
    assert 0 < lost < 20 and scores.times[-1] == pytest.approx(3.96, abs=0.01)
    assert f"{lost} damaged frames" in " ".join(check(tmp_path / "set", full=True).problems)
    results = vadistill.evaluate(model, tmp_path / "set", bootstrap=0)
    labels = results.dataset["dmg"].frame_labels
    assert labels is not None and len(labels) == len(scores)
    assert np.round(scores.times[labels > 0] * 25).min() == 60
    assert np.round(scores.times[labels > 0] * 25).max() == 79


def fps(cases: Folder, model: vadistill.Detector, tmp_path: Path) -> None:
    path = tmp_path / "m.vad"
    fit = ["fit", "motion", str(cases / "fps"), "--selftest", "no", "--out", str(path)]
    assert main(fit) == 0
    assert main(["score", str(path), str(cases / "fps/test/slow.mp4")]) == 0


SAID = {
    "boxes": "expected x1,y1,x2,y2 in",
    "brackets": "cam [back]: ",
    "damaged": "left out that cannot be decoded",
    "fps": "slow has 320x240 pixels at 5 frames/s",
}
"""What stands in the output."""

RIGHT: dict[str, Callable[[Folder, vadistill.Detector, Path], None]] = {
    each.__name__: each
    for each in (
        *(base, concat_ts, quiet, masks_16bit, stray_picture, gap, csv_unread, boxes, crops_first),
        *(start_offset, truncated_mkv, clock, vfr, brackets, tiny, damaged, fps),
    )
}


def test_every_folder_has_one(cases: Path) -> None:
    assert {path.name for path in cases.iterdir() if path.is_dir()} == set(RIGHT)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right(
    name: str,
    cases: Path,
    model: vadistill.Detector,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    RIGHT[name](cases, model, tmp_path)
    said = "".join([*capsys.readouterr(), caplog.text])
    assert SAID.get(name, "") in said
