"""Events that are named by prompts: which names they get, where these show, and their mAP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.tiny_clip import coloured, tiny_clip
from vadistill.backbones.prompts import Prompts
from vadistill.cli import main
from vadistill.datasets import Dataset, Video
from vadistill.errors import VideoError
from vadistill.evaluation.evaluate import evaluate
from vadistill.evaluation.naming import name_events, named_precision
from vadistill.scores import FrameScore, Scores
from vadistill.systems import fit
from vadistill.systems.prompted import Prompted
from vadistill.video import VideoWriter

WORDS = "a fire, water=the sea, normal=a lawn"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def prompts(folder: Path) -> Prompts:
    return Prompts(WORDS, str(folder), device="cpu")


def scored(high: list[tuple[int, int]], frames: int) -> Scores:
    """Events from and to (exclusive) such frames."""
    values = np.zeros(frames)
    for number, (first, end) in enumerate(high):
        values[first:end] = 2 - 0.1 * number
    given = [FrameScore(i, i / 25, float(v)) for i, v in enumerate(values)]
    return Scores("v", given, 25, level=1.0)


def test_each_event_gets_the_name_of_what_is_seen_in_it(prompts: Prompts) -> None:
    """Also one of fewer frames than a snippet."""
    frames = coloured(("the sea", 90), ("a fire", 5), ("a lawn", 55), ("the sea", 3))
    scores = scored([(3, 40), (91, 94), (150, 153)], 153)
    named = name_events(scores, Video("v", frames, fps=25), prompts)
    assert [event.name for event in named.events()] == ["water", "a fire", "water"]
    assert named.frames[2].name == "" and named.frames[3].name == "water"
    assert np.array_equal(named.raw, scores.raw) and scores.frames[3].name == ""
    with pytest.raises(VideoError, match="fewer frames"):
        name_events(scores, Video("v", frames[:100], fps=25), prompts)
    calm = scored([], 153)
    assert name_events(calm, Video("v", frames, fps=25), prompts) is calm


def labelled(name: str, kind: str, high: slice, frames: np.ndarray) -> Video:
    labels = np.zeros(len(frames), np.uint8)
    labels[high] = 1
    return Video(name, frames, labels, fps=25, classes=(kind,))


@pytest.fixture
def test_set() -> Dataset:
    """A fire that is called one, and water that labels call a flood."""
    one = coloured(("a lawn", 32), ("a fire", 32), ("a lawn", 16))
    two = coloured(("a lawn", 16), ("the sea", 48))
    videos = (
        labelled("one", "a fire", slice(32, 64), one),
        labelled("two", "flood", slice(16, 64), two),
    )
    return Dataset("own", "test", videos)


def test_precision_of_the_baseline(test_set: Dataset, prompts: Prompts) -> None:
    results = evaluate({"prompts": Prompted(prompts)}, test_set, prompts=prompts, bootstrap=0)
    assert results.figures["prompts"]["micro/raw"].value > 0.99
    # One kind of two is named as the labels do.
    assert results.named == {"prompts": dict.fromkeys((0.1, 0.2, 0.3, 0.4, 0.5), 0.5)}
    assert ["own/map@0.5", "50.0", "–"] in results.rows
    assert results.to_json()[-1] == {
        **{"model": "prompts", "dataset": "own", "protocol": "map@0.5", "metric": "map"},
        "value": 0.5,
    }


def test_no_precision_where_labels_name_no_kinds(test_set: Dataset, prompts: Prompts) -> None:
    bare = tuple(Video(v.name, v.source, v.frame_labels, fps=25) for v in test_set)
    assert named_precision({}, Dataset("own", "test", bare)) == {}
    assert named_precision({}, test_set)[0.5] == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``film.mp4``, in which a lawn burns, and ``m.vad``, a model of calm lawns."""
    root = tmp_path_factory.mktemp("place")
    (root / "calm").mkdir()
    calm, fire = coloured(("a lawn", 40)), coloured(("a lawn", 32), ("a fire", 32))
    for name, frames in (("calm/calm.mp4", calm), ("film.mp4", fire)):
        with VideoWriter(root / name, 64, 48, 25) as writer:
            for frame in frames:
                writer.write(frame)
    fit("motion", root / "calm", out=root / "m.vad", localiser="background")
    return root


@pytest.mark.parametrize("model", [(), ("m.vad",)], ids=["alone", "with a model"])
def test_score(
    model: tuple[str, ...],
    place: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    words = ["--prompts", WORDS, "--clip", str(folder), "--report", "page.html"]
    assert main(["score", *model, "film.mp4", *words, "--smoothing", "raw"]) == 0
    said = capsys.readouterr().out
    assert "what" in said and "a fire" in said
    assert "a fire" in (place / "page.html").read_text()
    system = "motion" if model else "prompts"
    moments = json.loads((place / "page.report.json").read_text())["systems"][system]["moments"]
    assert moments[0]["name"] == "a fire"


def test_clip_without_prompts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(place / "m.vad"), str(place / "film.mp4"), "--clip", "x.pt"]) == 2
    assert "--clip without prompts" in capsys.readouterr().err


def test_evaluate_by_words(
    folder: Path, prompts: Prompts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of features at hand, whose labels name a kind."""
    data = tmp_path / "data"
    (data / "features" / "clip").mkdir(parents=True)
    for name, parts in (("a", (("a lawn", 32),)), ("b", (("a lawn", 16), ("a fire", 32)))):
        frames = coloured(*parts)
        snippets = [prompts.backbone.prepare(frames[i : i + 16]) for i in range(0, len(frames), 16)]
        np.save(data / "features" / "clip" / f"{name}.npy", prompts.backbone(np.stack(snippets)))
    (data / "test.csv").write_text("file,label\na,0\nb,1\n")
    (data / "intervals.csv").write_text("file,start,end\nb,16,48\n")
    (data / "classes.csv").write_text("file,class\nb,a fire\n")
    argv = ["evaluate", "--data", str(data), "--prompts", WORDS, "--clip", str(folder)]
    assert main([*argv, "--json"]) in (0, None)
    found = {f["protocol"]: f["value"] for f in json.loads(capsys.readouterr().out)}
    assert found["micro/raw"] == found["map@0.5"] == 1
    assert main(argv) in (0, None)
    assert "map@0.5" in capsys.readouterr().out
