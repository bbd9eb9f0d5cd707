"""Settings that only scoring needs never train again; unknown ones of a model are an error."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook

import vadistill
from systems.test_contract import training
from vadistill.errors import ConfigError, WeightsError
from vadistill.systems import DETECTORS, aed, cafe, dakd, detector_class, fast_aed, motion, ssmtl

TINY: dict[str, Any] = {
    "motion": motion.Config(frames=20),
    "cafe": cafe.Config(epochs=1, batch=32, frames=20),
    "aed": aed.Config(epochs=1, classifier_epochs=1, adversarial_after=0, frames=20, batch=16),
    "ssmtl": ssmtl.Config(epochs=1, batch=8, frames=10),
    "fast_aed": fast_aed.Config(teachers=("motion",), autoencoder_epochs=1, epochs=1, frames=20),
    "dakd": dakd.Config(epochs=2, segments=3),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_another_smoothing_or_runtime_trains_nothing(name: str, tmp_path: Path) -> None:
    kind, config = detector_class(name), TINY[name]
    data, work = training(kind.supervision), tmp_path / "work"
    steps: list[object] = []
    hook = register_optimizer_step_post_hook(lambda *step: steps.append(step[0]))
    try:
        first = kind(config, device="cpu").fit(data, out=tmp_path / "a.vad", work=work)
        assert bool(steps) == (name != "motion")
        steps.clear()
        changes: dict[str, Any] = {"smoothing": "average7"}
        if hasattr(config, "runtime"):
            changes["runtime"] = "onnx" if config.runtime == "torch" else "torch"
        if hasattr(config, "batch_frames"):
            changes["batch_frames"] = 3
        other = dataclasses.replace(config, **changes)
        again = kind(other, device="cpu").fit(data, out=tmp_path / "b.vad", work=work)
        assert steps == []
    finally:
        hook.remove()
    video = data.videos[0]
    np.testing.assert_allclose(again.score(video).raw, first.score(video).raw, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", DETECTORS)
def test_settings_that_every_system_refuses(name: str) -> None:
    with pytest.raises(ConfigError, match="smoothing 'average'"):
        dataclasses.replace(TINY[name], smoothing="average")
    assert {recipe.partition("-")[0] for recipe in detector_class(name).RECIPES} <= {
        *("default", "demo", "ped2", "avenue", "shanghaitech", "paper", "pets")
    }


def test_a_setting_of_another_version_is_one_line(tmp_path: Path) -> None:
    motion.Motion(TINY["motion"]).fit(training("one-class"), out=tmp_path)
    file = tmp_path / "config.json"
    facts = json.loads(file.read_text())
    facts["config"]["sharpness"] = 2
    file.write_text(json.dumps(facts))
    with pytest.raises(WeightsError, match="setting sharpness: expected settings that this"):
        vadistill.load(tmp_path)
