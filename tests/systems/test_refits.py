"""Fits that are done again: only what is missing, or what other settings ask for, is done anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook

from support.scenes import planted, training
from vadistill.datasets import Dataset, Video
from vadistill.detector import Detector
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

TINY: dict[str, Any] = {
    "motion": motion.Config(frames=20),
    "cafe": cafe.Config(epochs=1, batch=32, frames=20, runtime="torch"),
    "aed": aed.Config(epochs=1, classifier_epochs=1, adversarial_after=0, frames=20, batch=16),
    "ssmtl": ssmtl.Config(epochs=1, batch=8, frames=10),
    "fast_aed": fast_aed.Config(
        teachers=("motion",), autoencoder_epochs=1, epochs=1, frames=20, runtime="torch"
    ),
    "blend": blend.Config(frames=20),
    "dakd": dakd.Config(epochs=2, segments=3, half_width=0, folds=0),
}

READS_BEFORE_THE_KILL = {
    **{"motion": 8, "cafe": 11, "aed": 11, "ssmtl": 11, "fast_aed": 18},
    **{"blend": 17, "dakd": 2},
}
"""How often clips are opened before a kill in the middle of the second pass over three clips."""


SHORT = Video("short", planted(10).source[8:28], fps=10)  # pyright: ignore[reportIndexIssue]
"""20 frames, of which 12 are abnormal."""


@dataclasses.dataclass
class Fitted:
    detector: Detector
    config: Any
    train: Dataset
    work: Path


@pytest.fixture
def steps() -> Iterator[list[object]]:
    """The optimisers of all steps that are taken."""
    taken: list[object] = []
    hook = register_optimizer_step_post_hook(lambda *step: taken.append(step[0]))
    yield taken
    hook.remove()


@pytest.fixture(scope="module", params=list(DETECTORS))
def fitted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fitted]:
    root, kind, config = (
        tmp_path_factory.mktemp("m"),
        detector_class(request.param),
        TINY[request.param],
    )
    train = training(kind.supervision)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cafe.RECIPES, "default", lambda: TINY["cafe"])  # the blend's member
        detector = kind(config, device="cpu").fit(train, out=root / "m.vad", work=root / "work")
        yield Fitted(detector, config, train, root / "work")


def test_another_smoothing_or_runtime_trains_nothing(
    fitted: Fitted, steps: list[object], tmp_path: Path
) -> None:
    config = fitted.config
    changes: dict[str, Any] = {"smoothing": "average7"}
    if hasattr(config, "runtime"):
        changes["runtime"] = "onnx" if config.runtime == "torch" else "torch"
    if hasattr(config, "batch_frames"):
        changes["batch_frames"] = 3
    other = type(fitted.detector)(dataclasses.replace(config, **changes), device="cpu")
    other.fit(fitted.train, out=tmp_path / "m.vad", work=fitted.work)
    assert steps == []
    scores, same = (each.score(SHORT).raw for each in (fitted.detector, other))
    np.testing.assert_allclose(same, scores, rtol=1e-3, atol=1e-4)


def test_kill_while_reading_and_resume_is_no_kill(
    fitted: Fitted, steps: list[object], tmp_path: Path
) -> None:
    name, train, opened = fitted.detector.name, fitted.train, 0

    class KilledClip(Video):
        def open(self):
            nonlocal opened
            opened += 1
            if opened == READS_BEFORE_THE_KILL[name]:
                raise KeyboardInterrupt
            return super().open()

    clips = tuple(KilledClip(c.name, c.source, video_label=c.video_label, fps=c.fps) for c in train)
    path, kind = tmp_path / "m.vad", type(fitted.detector)
    with pytest.raises(KeyboardInterrupt):
        kind(fitted.config, device="cpu").fit(dataclasses.replace(train, videos=clips), out=path)
    assert not (path / "config.json").exists()
    assert bool([*path.glob(".fit/*/*.npy")]) == (name != "motion"), "the first clip is done"
    resumed = kind(fitted.config, device="cpu").fit(train, out=path)
    assert bool(steps) == (name != "motion")
    scores, same = (each.score(SHORT).raw for each in (fitted.detector, resumed))
    np.testing.assert_array_equal(same, scores)
