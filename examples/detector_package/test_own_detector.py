"""What any detector should keep: it fits, finds what is unusual, and scores alike when loaded."""

from pathlib import Path

import numpy as np

import vadistill
from vadistill.datasets import Video

NAME = "brightness"
"""Put your detector's here; and the flash, if it looks for something else."""


def film(name: str, *, flash: int | None = None) -> Video:
    """Forty dark frames of noise, of which one may be bright."""
    pixels = np.random.default_rng(0).integers(80, 100, (40, 48, 64, 3), np.uint8)
    if flash is not None:
        pixels[flash] = 200
    return Video(name, pixels, fps=10.0)


def test_it_finds_a_flash_and_scores_alike_when_loaded(tmp_path: Path) -> None:
    out, shown = tmp_path / "own.vad", film("shown", flash=20)
    fitted = vadistill.fit(NAME, [film("normal")], out=out)
    scores = vadistill.load(out).score(shown)
    assert len(scores.raw) == 40 and scores.raw.argmax() == 20
    np.testing.assert_array_equal(scores.raw, fitted.score(shown).raw)
