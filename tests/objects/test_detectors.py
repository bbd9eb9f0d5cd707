"""Detectors by name: fetched, opened at a size that fits the picture, kept in the saved model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import vadistill
from support.file_server import FileServer
from support.tiny_yolox import tiny_yolox
from vadistill import objects
from vadistill.backbones import detectors
from vadistill.backbones.detection import Sizes, fitting, load_onnx
from vadistill.cli import main
from vadistill.datasets import Dataset, Video
from vadistill.errors import ConfigError, WeightsError
from vadistill.evaluation.facts import localiser_facts
from vadistill.fetching import OFFLINE, Published
from vadistill.objects import auto
from vadistill.torchvision_cpu import import_torchvision
from vadistill.video import Frame, VideoInfo
from vadistill.windows import Triplet

WHITE = (54, 72, 72, 90)
"""A cell of 32 pixels at 640x448, where a pixel of 360x240 is 16 / 9 of the network's."""


def picture(*squares: tuple[int, int, int, int]) -> Triplet:
    image = np.zeros((240, 360, 3), np.uint8)
    for x1, y1, x2, y2 in squares:
        image[y1:y2, x1:x2] = 255
    return Triplet(*(Frame(i, i / 25, image) for i in range(3)))


def footage(folder: Path) -> Path:
    """Two short videos of a white square that walks."""
    for name in ("a", "b"):
        (folder / "normal" / name).mkdir(parents=True)
        for t in range(12):
            image = picture((54 + 2 * t, 72, 72 + 2 * t, 90)).current.image
            cv2.imwrite(str(folder / "normal" / name / f"{t:03}.png"), image)
    return folder / "normal"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """``yolox_nano`` at an address of ours, and a machine that may fetch and has nothing yet."""
    graph = tiny_yolox()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(OFFLINE)
    with FileServer({"yolox_nano.onnx": graph}) as server:
        sha, address = hashlib.sha256(graph).hexdigest(), f"{server.address}/yolox_nano.onnx"
        monkeypatch.setitem(detectors.PUBLISHED, "yolox_nano", Published(address, sha, len(graph)))
        yield server


# -- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((360, 240), 640, (640, 448)),
        ((240, 360), 640, (448, 640)),
        ((640, 480), 640, (640, 480)),
        ((1920, 1080), 640, (640, 384)),
        ((856, 480), 1280, (1280, 736)),
        ((5000, 10), 640, (640, 32)),
    ],
)
def test_an_input_has_the_pictures_shape_in_multiples_of_32(
    size: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    assert fitting(*size, longest) == expected


def test_a_yolox_sees_a_picture_in_one_pass_at_a_size_that_fits(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny_yolox())
    small = objects.build(f"detector:{tmp_path}/m.onnx?score=0.15")
    assert len(small.boxes(picture(WHITE))) == 0  # a hundredth of a cell of 180 pixels
    fit = objects.build(f"detector:{tmp_path}/m.onnx?score=0.15&side=640")
    np.testing.assert_allclose(fit.boxes(picture(WHITE)), [WHITE], atol=1e-3)
    # Of a higher picture the same file sees more rows.
    tall = np.zeros((360, 240, 3), np.uint8)
    tall[90:108, 36:54] = 255
    triplet = Triplet(*(Frame(i, i / 25, tall) for i in range(3)))
    np.testing.assert_allclose(fit.boxes(triplet), [[36, 90, 54, 108]], atol=1e-3)


def test_sizes_that_are_open_are_few_and_used_again() -> None:
    sizes = Sizes(tiny_yolox(), "cpu")
    first = sizes.run((64, 32))
    assert sizes.run((64, 32)) is first
    for width in range(96, 96 + 32 * Sizes.KEPT, 32):
        sizes.run((width, 32))
    assert len(sizes._runs) == Sizes.KEPT and (64, 32) not in sizes._runs


def test_a_file_with_its_size_written_into_it_sees_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fixed = load_onnx(tiny_yolox(resizable=False), "m.onnx", longest=640)
    assert "m.onnx has 64x64 pixels written into it" in caplog.text
    small = load_onnx(tiny_yolox(), "m.onnx")
    image = picture((0, 0, 180, 240)).current.image
    for one, other in zip(fixed(image), small(image), strict=True):
        np.testing.assert_array_equal(one, other)
    assert fixed(image)[1].max() == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("yolox_nano?side=100", "side 100: expected a multiple of 32"),
        ("yolox_nano?side=8192", "up to 4096"),
        ("yolox_nano?scale=2", "side 640 and scale 2: expected one of them"),
        ("yolox_nano?weights=w.pth", "leave weights out"),
        ("ssdlite320_mobilenet_v3_large?side=640", "leave side and sha256 out"),
        ("x.pt", "yolox_nano, yolox_tiny, yolox_s, or a torchvision"),
    ],
)
def test_settings_that_cannot_be_are_one_line(spec: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        objects.build(f"detector:{spec}")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_that_is_none_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'yolox_nano'"):
        objects.build("detector:yolox_nan").fit(Dataset("none", "train", ()))


# -- names ---------------------------------------------------------------------------------------


def test_published_addresses_are_the_authors_own_and_hashes_whole() -> None:
    assert set(detectors.PUBLISHED) == {"yolox_nano", "yolox_tiny", "yolox_s"}
    for name, published in detectors.PUBLISHED.items():
        start = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
        assert published.address == f"{start}{name}.onnx"
        assert len(published.sha256) == 64 and int(published.sha256, 16)
        assert 3_000_000 < published.size < 40_000_000


def test_a_name_is_fetched_once_with_settings_that_suit(published: FileServer) -> None:
    found = objects.build("only:detector:yolox_nano")
    again = objects.build("only:detector:yolox_nano?score=0.6&side=0")
    assert published.asked == []  # until it is needed: a saved model brings it along
    assert found.describe()["sha256"] == again.describe()["sha256"]
    assert published.asked == ["yolox_nano.onnx"]
    assert (found.settings.score, found.settings.side) == (0.15, 640)
    assert (again.settings.score, again.settings.side) == (0.6, 0)
    part = (54, 72, 66, 90)
    np.testing.assert_allclose(found.boxes(picture(part)), [WHITE], atol=1e-3)
    assert len(again.boxes(picture(part))) == 0


def test_offline_a_name_is_one_line_that_says_what_to_put_where(
    published: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(OFFLINE, "1")
    argv = ["fit", "motion", str(footage(tmp_path)), "--out", str(tmp_path / "m.vad")]
    assert main([*argv, "--localiser", "detector:yolox_nano"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    cached = tmp_path / "cache/hub/checkpoints/yolox_nano.onnx"
    assert f"/yolox_nano.onnx on another machine and put it at {cached}" in line
    assert published.asked == []
    cached.parent.mkdir(parents=True)
    cached.write_bytes(tiny_yolox())
    assert len(objects.build("only:detector:yolox_nano").boxes(picture(WHITE))) == 1


def test_a_named_detector_is_joined_by_what_moves_and_it_missed(published: FileServer) -> None:
    grey = np.full((240, 360, 3), 40, np.uint8)
    image = grey.copy()
    image[72:90, 54:72] = 255  # of a class, with feet that stick out
    image[90:100, 58:66] = 255
    image[100:140, 210:250] = 110  # of no class: not brighter than the letterbox
    localiser = objects.build("detector:yolox_nano")
    localiser.fit(Dataset("empty", "train", (Video("v", np.stack([grey] * 4)),)))
    localiser.start(VideoInfo("v", 360, 240, 25.0, 3))
    window = Triplet(*(Frame(i, i / 25, image) for i in range(3)))
    found = localiser.boxes(window)
    assert len(found) == 2
    np.testing.assert_allclose(found[0], WHITE, atol=1e-3)
    np.testing.assert_allclose(found[1], [210, 100, 250, 140], atol=3)
    alone = objects.build("only:detector:yolox_nano")
    assert alone.describe()["name"] == "detector"
    np.testing.assert_allclose(alone.boxes(window), [WHITE], atol=1e-3)
    both = objects.build("detector:yolox_nano+motion").describe()
    assert [part["name"] for part in both["parts"]] == ["detector", "motion"]
    whole = objects.build_for_patches("only:detector:yolox_nano").describe()
    assert whole["inner"]["name"] == "detector"


def test_a_file_finds_what_it_found_before(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny_yolox())
    described = objects.build(f"detector:{tmp_path}/m.onnx").describe()
    assert (described["name"], described["score"], described["side"]) == ("detector", 0.5, 0)


def test_torchvisions_are_fetched_where_torchvision_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own address and file, but of weights drawn here."""
    detection = import_torchvision().models.detection
    build = detection.ssdlite320_mobilenet_v3_large
    torch.save(build(weights=None, weights_backbone=None).state_dict(), tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    name = f"ssdlite-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    entry = detection.SSDLite320_MobileNet_V3_Large_Weights.DEFAULT
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    official = entry.url
    localiser = objects.build("only:detector:ssdlite320_mobilenet_v3_large?score=0.01")
    try:
        with FileServer({name: content, f"x-{'0' * 8}.pth": content}) as server:
            object.__setattr__(entry.value, "url", f"{server.address}/{name}")
            with pytest.raises(WeightsError, match=f"{name} on another machine and put it at"):
                localiser.fit(Dataset("none", "train", ()))
            monkeypatch.delenv(OFFLINE)
            for _ in range(2):
                again = objects.build("detector:ssdlite320_mobilenet_v3_large?score=0.01")
                again.fit(
                    Dataset("empty", "train", (Video("v", np.zeros((4, 48, 64, 3), np.uint8)),))
                )
            localiser.boxes(picture(WHITE))
            assert server.asked == [name]
            assert [p.name for p in (tmp_path / "hub/checkpoints").iterdir()] == [name]
            object.__setattr__(entry.value, "url", f"{server.address}/x-{'0' * 8}.pth")
            with pytest.raises(WeightsError, match="its SHA-256 is"):
                objects.build("detector:ssdlite320_mobilenet_v3_large").fit(
                    Dataset("none", "train", ())
                )
    finally:
        object.__setattr__(entry.value, "url", official)
    assert localiser.arrays() == {} and again.describe()["parts"][1]["name"] == "background"


# -- saving --------------------------------------------------------------------------------------


def test_a_saved_model_brings_its_detector_along(
    published: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = footage(tmp_path)
    model = vadistill.fit("motion", videos, out=tmp_path / "m.vad", localiser="detector:yolox_nano")
    before = model.score(videos / "a")
    assert sum(len(frame.boxes) for frame in before) > 0
    (tmp_path / "cache/hub/checkpoints/yolox_nano.onnx").unlink()
    monkeypatch.setenv(OFFLINE, "1")
    after = vadistill.load(tmp_path / "m.vad").score(videos / "a")
    assert after.raw.tolist() == before.raw.tolist()
    assert len(published.asked) == 1
    described = json.loads((tmp_path / "m.vad/config.json").read_text())["localiser"]
    sha = hashlib.sha256(tiny_yolox()).hexdigest()
    assert sha in json.dumps(described) and '"yolox_nano"' in json.dumps(described)


def test_a_description_waits_for_its_file_and_takes_no_other(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_yolox())
    made = objects.build(f"detector:{path}?side=640")
    described = json.loads(json.dumps(made.describe()))
    assert described["sha256"] == hashlib.sha256(tiny_yolox()).hexdigest()
    path.write_bytes(tiny_yolox((96, 96)))
    again = objects.build(described)
    with pytest.raises(WeightsError, match="put that file back, or fit again"):
        again.boxes(picture(WHITE))
    again.restore(made.arrays())
    np.testing.assert_array_equal(again.boxes(picture(WHITE)), made.boxes(picture(WHITE)))
    assert json.loads(json.dumps(again.describe())) == described
    path.unlink()
    with pytest.raises(WeightsError, match="no detector at"):
        objects.build(described).arrays()


def test_descriptions_of_earlier_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny_yolox())
    old = {"name": "detector", "model": f"{tmp_path}/m.onnx", "weights": "", "score": 0.5}
    made = objects.build({**old, "iou": 0.5, "inside": 0.6, "tiles": [1, 1], "overlap": 0.25})
    made.restore({})
    np.testing.assert_allclose(made.boxes(picture((0, 0, 180, 180))), [[0, 0, 180, 180]], atol=1e-3)


# -- auto ----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "_refused", set())


def test_auto_is_the_detector_where_it_can_be_fetched_and_a_model_chooses_once(
    published: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    videos = footage(tmp_path)
    model = vadistill.fit("motion", videos, out=tmp_path / "m.vad", localiser="auto")
    assert published.asked == ["yolox_nano.onnx"]
    before = model.score(videos / "a")
    (tmp_path / "cache/hub/checkpoints/yolox_nano.onnx").unlink()
    again = vadistill.load(tmp_path / "m.vad")
    assert again.score(videos / "a").raw.tolist() == before.raw.tolist()
    assert published.asked == ["yolox_nano.onnx"]
    words = "detector:yolox_nano + background (auto: yolox_nano is on this machine)"
    assert localiser_facts({"motion": again}) == {"localiser": {"motion": words}}
    assert localiser_facts({}) == {}
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["info", str(tmp_path / "m.vad")]) == 0
    assert words in " ".join(capsys.readouterr().out.split())


def test_auto_is_background_offline_and_stays_so(
    published: FileServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(OFFLINE, "1")
    made = objects.build_for_patches("auto")
    described = json.loads(json.dumps(made.describe()))
    assert published.asked == [] and not caplog.records
    assert auto.in_words(described) == (
        "background (auto: yolox_nano is not on this machine, and fetching is switched off by "
        "VADISTILL_OFFLINE)"
    )
    monkeypatch.delenv(OFFLINE)
    assert json.loads(json.dumps(objects.build(described).describe())) == described
    train = Dataset("empty", "train", (Video("v", np.zeros((4, 240, 360, 3), np.uint8)),))
    objects.build_for_patches("background").fit(train)
    assert published.asked == []
    assert objects.build("auto").describe()["inner"]["name"] == "union"  # now it may ask
    assert published.asked == ["yolox_nano.onnx"]


def test_a_network_that_fails_is_asked_once_and_told_of_in_one_line(
    published: FileServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with FileServer({}, stall=30) as server:
        silent = Published(f"{server.address}/yolox_nano.onnx", "00")
        monkeypatch.setitem(detectors.PUBLISHED, "yolox_nano", silent)
        monkeypatch.setattr(auto, "PATIENCE", 0.3)
        for _ in range(3):
            assert objects.build("auto").describe()["inner"]["name"] == "background"
        assert server.asked == ["yolox_nano.onnx"]
    (record,) = caplog.records
    line = record.getMessage()
    assert line.startswith("localiser 'auto' is 'background': detector yolox_nano could not be")
    assert "choose --localiser background" in line and "\n" not in line


def test_settings_of_auto_are_refused() -> None:
    with pytest.raises(ConfigError, match="auto setting 'score'"):
        objects.build("auto?score=0.3")
