"""Simulated features at UCF-Crime's scale: their plan, their signal and their folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.dataset_files import text
from support.feature_files import features, labels
from vadistill.datasets import open_dataset
from vadistill.datasets.check import check
from vadistill.datasets.features import open_simulated_features
from vadistill.errors import ConfigError, DataError
from vadistill.simulated.features import SimulatedConfig, simulate_features

SMALL = SimulatedConfig(videos=40, longest=64)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "ucf"
    simulate_features(path, SMALL)
    return path


class TestSimulated:
    def test_is_called_simulated(self, simulated: Path) -> None:
        splits = open_dataset(simulated)
        assert (splits.kind, splits.train.name) == ("simulated_features", "simulated_ucf")
        assert splits.train.name == splits.test.name and splits.test.supervision == "weak"
        assert all(c.name.startswith("Simulated_") for c in (*splits.train, *splits.test))
        assert check(simulated).sound

    def test_both_labels_classes_and_share(self, simulated: Path) -> None:
        splits = open_simulated_features(simulated)
        for part in (splits.train, splits.test):
            assert {clip.video_label for clip in part} == {0, 1}
            assert all(bool(clip.classes) == bool(clip.video_label) for clip in part)
        truth = np.concatenate([labels(clip) for clip in splits.test])
        assert truth.mean() == pytest.approx(0.073, abs=0.005)
        for clip in splits.train:
            assert features(clip).shape == (32, 1024) and features(clip, "clip").shape == (32, 512)

    def test_ucf_crimes_size(self) -> None:
        from vadistill.simulated.signals import plan_videos

        videos = plan_videos(SimulatedConfig())
        count = [(v.split, v.kind is not None) for v in videos]
        assert [count.count(each) for each in (
            ("train", False), ("train", True), ("test", False), ("test", True),
        )] == [800, 810, 150, 140]  # fmt: skip
        test = [video for video in videos if video.split == "test"]
        abnormal = sum(end - start for v in test for start, end in v.intervals)
        assert abnormal / sum(16 * v.snippets for v in test) == pytest.approx(0.073, abs=0.001)
        assert 100 <= np.median([video.snippets for video in videos]) <= 150
        for video in videos:
            assert bool(video.intervals) == (video.kind is not None)
            assert all(0 <= a < b <= 16 * video.snippets for a, b in video.intervals)

    def test_backbones_see_events_and_complement_each_other(self, tmp_path: Path) -> None:
        from vadistill.simulated.signals import BACKBONES, CLASSES, World, plan_videos

        config = SimulatedConfig(videos=190, distractors=0)
        world = World.of(config)
        shown: dict[str, dict[str, float]] = {backbone: {} for backbone in BACKBONES}
        for video in plan_videos(config):
            inside = np.zeros(16 * video.snippets, bool)
            for start, end in video.intervals:
                inside[start:end] = True
            clips = inside.reshape(-1, 16).mean(1)
            if video.kind is None or not (clips == 1).any() or not (clips == 0).any():
                continue
            for backbone, found in world.features(video, config):
                along = found @ world.signatures[backbone][list(CLASSES).index(video.kind)]
                shown[backbone][video.kind] = along[clips == 1].mean() - along[clips == 0].mean()
        strengths = np.array([[shown[b][kind] for kind in shown["i3d"]] for b in BACKBONES])
        # Of each class one backbone sees much and one hardly anything, another each time.
        assert (strengths.max(0) > 2 * np.maximum(strengths.min(0), 0)).mean() > 0.8
        assert set(strengths.argmax(0)) == {0, 1, 2}

    def test_equal_settings_give_equal_features(self, simulated: Path, tmp_path: Path) -> None:
        again = simulate_features(tmp_path / "again", SMALL)
        before = open_simulated_features(simulated)
        for name in (before.train.videos[3].name, before.test.videos[-1].name):
            both = [next(c for c in (*s.train, *s.test) if c.name == name) for s in (again, before)]
            assert np.array_equal(features(both[0]), features(both[1]))
        assert (again.train.videos[0].name, len(again.train)) == (
            *(before.train.videos[0].name, len(before.train)),
        )

    def test_what_is_there_is_kept(self, simulated: Path, tmp_path: Path) -> None:
        stamp = (simulated / "simulated.json").stat().st_mtime_ns
        simulate_features(simulated, SMALL)
        assert (simulated / "simulated.json").stat().st_mtime_ns == stamp
        with pytest.raises(DataError, match="holds other simulated features"):
            simulate_features(simulated, replace(SMALL, seed=2))
        text(tmp_path / "x/mine.txt", "1")
        with pytest.raises(DataError, match="holds other files"):
            simulate_features(tmp_path / "x", SMALL)
        assert not list(tmp_path.glob(".*"))

    def test_an_interrupted_run_starts_again(self, tmp_path: Path) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        few = replace(SMALL, videos=12)
        with pytest.raises(KeyboardInterrupt):
            simulate_features(tmp_path / "a", few, on_video=stop)
        assert not (tmp_path / "a").exists()
        assert not simulate_features(tmp_path / "a", few).problems
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_settings(self) -> None:
        with pytest.raises(ConfigError, match=r"share 0\.9: expected from 0\.001 to 0\.4"):
            SimulatedConfig(share=0.9)

    def test_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from vadistill.cli import main

        assert main(["data", "features", str(tmp_path / "s"), "--videos", "12"]) == 0
        assert "simulated" in capsys.readouterr().out
        assert main(["data", "check", str(tmp_path / "s")]) == 0
        assert "simulated_ucf" in capsys.readouterr().out
        assert main(["data", "features", str(tmp_path / "t"), "--share", "2"]) == 2
