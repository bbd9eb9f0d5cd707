"""The way from an RTSP address alone to an alert with a picture, on a page of a phone's size."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import film_strip
from support.rtsp_server import missing


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")
def test_every_step_is_reached_by_taps_alone(tmp_path: Path):
    film_strip.main(["--out", str(tmp_path)])
    shown = sorted(path.name.split("-", 1)[1] for path in tmp_path.glob("*-phone.png"))
    assert {"self-test-phone.png", "alert-phone.png", "clip-phone.png"} <= set(shown)
