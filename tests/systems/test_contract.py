"""What every detector in DETECTORS promises, checked by fitting each on a small planted video."""

from __future__ import annotations

import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from torch import nn

import vadistill
from support.killing import kill_at
from support.scenes import HEIGHT, WIDTH, planted, training
from vadistill import int8
from vadistill.datasets import Dataset
from vadistill.detector import Detector
from vadistill.errors import ConfigError, DataError, NotFittedError, WeightsError
from vadistill.files import content_hash, read_safetensors, write_safetensors
from vadistill.loss_log import LOG
from vadistill.scores import Scores
from vadistill.serving.live.batching import Batching
from vadistill.systems import (
    DETECTORS,
    aed,
    blend,
    cafe,
    dakd,
    detector_class,
    fast_aed,
    motion,
    ssmtl,
)

SMALL: dict[str, Any] = {
    # The square's stripes repeat: by the fine flow they may as well move the other way, slowly.
    "motion": motion.Config(flow="dis"),
    "cafe": cafe.Config(epochs=4, consistency_after=3, frames=60, batch=32, batch_frames=8),
    "aed": aed.Config(
        epochs=3, classifier_epochs=3, adversarial_after=1, frames=60, batch=16, batch_frames=8
    ),
    "ssmtl": ssmtl.Config(epochs=3, batch=8, frames=24, batch_frames=8),
    "fast_aed": fast_aed.Config(
        teachers=("motion",), autoencoder_epochs=1, epochs=8, batch=8, batch_frames=8
    ),
    "blend": blend.Config(),
    # Of three segments, the mean over five would leave nothing of when; and what is left out of six
    # videos calibrates none of them.
    "dakd": dakd.Config(epochs=30, segments=3, half_width=0, folds=0, committee=1),
}
"""A config of each system that fits in seconds."""

FRAMES = 48


@pytest.fixture(scope="module")
def train() -> Dataset:
    return training("one-class")


TEST = Dataset("planted", "test", (planted(10), planted(11)))


@pytest.fixture(scope="module")
def test() -> Dataset:
    return TEST


@dataclasses.dataclass
class Fitted:
    detector: Detector
    train: Dataset
    path: Path

    @cached_property
    def scores(self) -> list[Scores]:
        """Of the test videos."""
        return [self.detector.score(video.open()) for video in TEST]


@pytest.fixture(scope="module", params=list(DETECTORS))
def fitted(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Fitted:
    path = tmp_path_factory.mktemp(request.param) / "model.vad"
    detector = detector_class(request.param)(SMALL[request.param], device="cpu")  # pyright: ignore
    train = training(detector.supervision)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cafe.RECIPES, "default", lambda: SMALL["cafe"])  # the blend's member
        return Fitted(detector.fit(train, out=path), train, path)


def test_every_detector_is_here() -> None:
    assert set(SMALL) == set(DETECTORS)


def test_score_is_the_collected_stream(fitted: Fitted, test: Dataset) -> None:
    clip = test.videos[0]
    scores = fitted.scores[0]
    streamed = list(fitted.detector.stream(clip.open()))
    assert [f.score for f in streamed] == scores.raw.tolist()
    assert [f.index for f in streamed] == list(range(FRAMES))
    assert scores.video == clip.name and scores.fps == 10


def test_one_finite_score_per_frame_with_times_and_boxes(fitted: Fitted) -> None:
    scores = fitted.scores[0]
    assert len(scores) == FRAMES and np.isfinite(scores.raw).all()
    np.testing.assert_allclose(scores.times, np.arange(FRAMES) / 10)
    assert ((scores.calibrated >= 0) & (scores.calibrated <= 1)).all()
    boxes = np.concatenate([f.boxes for f in scores.frames])
    # A frame-level detector has boxes where its map stands out, others around every object; one
    # that scores clips of a video has none.
    fewest = {"fast_aed": 1, "dakd": 0}.get(fitted.detector.name, FRAMES + 1)
    assert len(boxes) >= fewest
    assert (
        (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= WIDTH).all() and (boxes[:, 3] <= HEIGHT).all()
    )
    for frame in scores:
        assert len(frame.boxes) == len(frame.box_scores)
        if len(frame.boxes):
            highest = frame.score if frame.map is None else frame.map.max()
            assert frame.box_scores.max() == pytest.approx(float(highest))
            assert bool(frame.traits.size) == fitted.detector.tells_traits
        if fitted.detector.tells_traits:
            assert len(frame.traits) == len(frame.boxes)
            # Of a blend's boxes some are of one member alone.
            missing = np.isnan(frame.traits) & (fitted.detector.name == "blend")
            assert (missing | np.isfinite(frame.traits)).all()


def test_cameras_that_share_a_model_get_the_scores_of_a_file(fitted: Fitted, test: Dataset) -> None:
    clips = (*test.videos, test.videos[0])
    wanted = [fitted.scores[number].raw for number in (0, 1, 0)]
    batching = Batching()
    cameras = [fitted.detector.for_camera(batching.merge) for _ in clips]
    with ThreadPoolExecutor(len(clips)) as pool:
        streams = [
            pool.submit(lambda c=camera, v=clip: [f.score for f in c.stream(v.open())])
            for camera, clip in zip(cameras, clips, strict=True)
        ]
        found = [stream.result(60) for stream in streams]
    batching.close()
    for scores, same in zip(found, wanted, strict=True):
        np.testing.assert_allclose(scores, same, rtol=1e-3, atol=1e-4)
    assert batching.calls <= batching.requests


def test_planted_anomalies_score_above_chance(fitted: Fitted, test: Dataset) -> None:
    labels = np.concatenate([c.frame_labels for c in test if c.frame_labels is not None])
    scores = np.concatenate([scores.raw for scores in fitted.scores])
    assert roc_auc_score(labels, scores) > 0.8


def test_normal_frames_calibrate_to_the_middle(fitted: Fitted) -> None:
    calibrated = fitted.detector.score(fitted.train.videos[0].open()).calibrated
    assert 0.2 < calibrated.mean() < 0.8


def test_save_and_load_give_identical_scores(fitted: Fitted, test: Dataset, tmp_path: Path) -> None:
    before = fitted.scores[0]
    for path in (fitted.path, tmp_path / "copy.vad"):
        if path != fitted.path:
            fitted.detector.save(path)
        loaded = vadistill.load(path, device="cpu")
        after = loaded.score(test.videos[0].open())
        np.testing.assert_array_equal(after.raw, before.raw)
        np.testing.assert_array_equal(after.calibrated, before.calibrated)
        assert type(loaded) is type(fitted.detector) and loaded.config == fitted.detector.config
        kept = {p.name for p in path.iterdir()} - {LOG}  # which fit adds, but for motion
        assert kept == {"config.json", "weights.safetensors"}


def test_nan_and_infinity_are_refused_at_load_and_save(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "m.vad"
    shutil.copytree(fitted.path, path)
    weights, config = path / "weights.safetensors", path / "config.json"
    tensors, metadata = read_safetensors(weights)
    facts = json.loads(config.read_text())
    floats = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
    assert "calibration" in floats
    for name in {*floats[:3], *floats[-3:], "calibration"}:
        for value in (np.nan, np.inf):
            broken = {key: tensor.clone() for key, tensor in tensors.items()}
            if broken[name].numel():
                broken[name].view(-1)[-1] = value
                write_safetensors(weights, broken, metadata)
                config.write_text(json.dumps({**facts, "weights": content_hash(weights)}))
                with pytest.raises(WeightsError, match=f"NaN or infinity in {name}"):
                    vadistill.load(path, device="cpu")
    unwell = vadistill.load(fitted.path, device="cpu")
    assert unwell.calibration is not None
    unwell.calibration.quantiles[-1] = np.nan
    with pytest.raises(WeightsError, match="NaN or infinity in calibration"):
        unwell.save(tmp_path / "new.vad")
    assert not (tmp_path / "new.vad").exists()


def test_another_systems_folder_is_refused(fitted: Fitted) -> None:
    for name in DETECTORS:
        if name != fitted.detector.name:
            with pytest.raises(WeightsError, match=f"holds a '{fitted.detector.name}' detector"):
                detector_class(name).load(fitted.path)


def test_files_of_two_saves_are_refused(fitted: Fitted, tmp_path: Path) -> None:
    shutil.copytree(fitted.path, tmp_path / "m.vad")
    weights = tmp_path / "m.vad" / "weights.safetensors"
    tensors, metadata = read_safetensors(weights)
    write_safetensors(
        weights,
        {k: v.clone() for k, v in tensors.items()} | {"more": tensors["calibration"]},
        metadata,
    )
    with pytest.raises(WeightsError, match="do not belong together"):
        vadistill.load(tmp_path / "m.vad")


def test_wrong_supervision_is_a_clear_error(fitted: Fitted, tmp_path: Path) -> None:
    train = fitted.train
    other = "weak" if fitted.detector.supervision == "one-class" else "one-class"
    with pytest.raises(DataError, match=r"expected .*normal"):
        fitted.detector.fit(dataclasses.replace(train, supervision=other), out=tmp_path)
    with pytest.raises(DataError, match="no training video"):
        fitted.detector.fit(dataclasses.replace(train, videos=()), out=tmp_path)


@pytest.mark.parametrize("name", list(DETECTORS))
def test_unfitted_detectors_say_so(name: str, test: Dataset, tmp_path: Path) -> None:
    detector = detector_class(name)()
    with pytest.raises(NotFittedError):
        detector.score(test.videos[0].open())
    with pytest.raises(NotFittedError):
        detector.save(tmp_path / "model.vad")


VARIANT = dataclasses.replace(
    SMALL["cafe"], low_level="both", runtime="torch", epochs=2, consistency_after=1, frames=40
)


@pytest.fixture(scope="module")
def fitted_cafe(train: Dataset, tmp_path_factory: Any) -> Fitted:
    path = tmp_path_factory.mktemp("cafe") / "model.vad"
    return Fitted(cafe.Cafe(VARIANT, device="cpu").fit(train, out=path), train, path)


class TestCafe:
    """Promises of teacher and student."""

    def test_teacher_is_unchanged_and_referred_to_by_hash(self, fitted_cafe: Fitted) -> None:
        from safetensors import safe_open

        from vadistill.backbones.teachers import open_teacher

        detector = fitted_cafe.detector
        assert isinstance(detector, cafe.Cafe)
        shipped, facts = open_teacher("compact")
        network = detector.scorer.teacher.network
        assert isinstance(network, nn.Module)
        state = network.state_dict()
        assert all((v == state[k]).all() for k, v in shipped.state_dict().items())
        assert detector.teacher_facts["sha"] == facts["sha"]
        with safe_open(fitted_cafe.path / "weights.safetensors", "pt") as file:
            assert not [k for k in file.keys() if k.startswith("teacher/")]  # noqa: SIM118

    def test_a_foreign_teacher_is_saved_with_the_model(
        self, train: Dataset, test: Dataset, tmp_path: Path
    ) -> None:
        from vadistill.backbones.teachers import ARCHITECTURES, ResNet, Teacher

        file = tmp_path / "teacher.safetensors"
        Teacher(ResNet(ARCHITECTURES["narrow34"]).eval(), "narrow34", "random", float("nan")).save(
            file
        )
        config = dataclasses.replace(VARIANT, teacher=str(file), epochs=1)
        detector = cafe.Cafe(config, device="cpu").fit(train, out=tmp_path / "m.vad")
        file.unlink()
        loaded = vadistill.load(tmp_path / "m.vad", device="cpu")
        np.testing.assert_array_equal(
            loaded.score(test.videos[0].open()).raw, detector.score(test.videos[0].open()).raw
        )

    def test_kill_in_the_middle_of_training_and_resume_is_no_kill(
        self,
        fitted_cafe: Fitted,
        train: Dataset,
        test: Dataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = tmp_path / "m.vad"
        kill_at(monkeypatch, "student", 6)  # in the second epoch
        with pytest.raises(KeyboardInterrupt):
            cafe.Cafe(VARIANT, device="cpu").fit(train, out=path)
        assert list(path.glob(".fit/student-*/student.safetensors"))
        monkeypatch.undo()
        resumed = cafe.Cafe(VARIANT, device="cpu").fit(train, out=path)
        np.testing.assert_array_equal(
            resumed.score(test.videos[0].open()).raw,
            fitted_cafe.detector.score(test.videos[0].open()).raw,
        )

    @pytest.mark.parametrize("runtime", ["torch", "onnx-int8"])
    def test_variants_fit_save_and_load(
        self,
        runtime: str,
        fitted_cafe: Fitted,
        test: Dataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(int8, "LARGEST", np.inf)  # whatever differs most is tried elsewhere
        detector, path = fitted_cafe.detector, fitted_cafe.path
        if runtime != VARIANT.runtime:
            config, path = dataclasses.replace(VARIANT, runtime=runtime), tmp_path / "m.vad"
            detector = cafe.Cafe(config, device="cpu").fit(fitted_cafe.train, out=path)
        loaded = vadistill.load(path, device="cpu")
        clip = test.videos[0]
        np.testing.assert_array_equal(
            loaded.score(clip.open()).raw, detector.score(clip.open()).raw
        )

    def test_networks_that_do_not_fit_each_other(self, train: Dataset, tmp_path: Path) -> None:
        config = dataclasses.replace(SMALL["cafe"], student="resnet9")
        with pytest.raises(ConfigError, match="width"):
            cafe.Cafe(config, device="cpu").fit(train, out=tmp_path)
        with pytest.raises(ConfigError, match="teacher 'nowhere'"):
            config = dataclasses.replace(SMALL["cafe"], teacher="nowhere")
            cafe.Cafe(config, device="cpu").fit(train, out=tmp_path)
