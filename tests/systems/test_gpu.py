"""Fitting on a GPU: what it gives works on a CPU, and finds what was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from test_contract import SMALL

import vadistill
from support.scenes import planted, training
from vadistill.systems import DETECTORS, detector_class

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != "motion"])
def test_a_detector_fitted_on_a_gpu_scores_alike_on_a_cpu(name: str, tmp_path: Path) -> None:
    detector = detector_class(name)(SMALL[name], device="cuda")  # pyright: ignore[reportCallIssue]
    detector.fit(training(detector.supervision), out=tmp_path / "model.vad")
    video = planted(10)
    own = detector.score(video.open()).raw
    other = vadistill.load(tmp_path / "model.vad", device="cpu")
    on_cpu = other.score(video.open()).raw
    # A GPU multiplies in TF32, with 10 bits.
    np.testing.assert_allclose(on_cpu, own, rtol=0.02, atol=0.02 * float(np.ptp(own)))
    assert roc_auc_score(video.frame_labels, on_cpu) > 0.8
