"""A training run that is killed in the middle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from torch import Tensor

from vadistill.training import Run


def kill_at(patch: pytest.MonkeyPatch, stage: str, step: int) -> None:
    """Have a stage's training raise KeyboardInterrupt right after this step, until undone."""
    minimise = Run.minimise

    def killed(run: Run[Any], losses: Mapping[str, Tensor], **figures: float) -> None:
        minimise(run, losses, **figures)
        if run.stage == stage and run.now.number == step:
            raise KeyboardInterrupt

    patch.setattr(Run, "minimise", killed)
