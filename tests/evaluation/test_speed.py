"""How fast models are: what is timed is all of it, and every row is of the model that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.scenes import film, training
from vadistill.cli import main
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import speed
from vadistill.evaluation.speed import measure_speed, taken
from vadistill.objects.background import Background
from vadistill.objects.base import Boxes
from vadistill.systems import cafe, motion
from vadistill.windows import Triplet


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed")
    film(folder / "today.mp4", 3, frames=40)
    normal = training("one-class")
    motion.Motion(motion.Config(localiser="background")).fit(normal, out=folder / "motion.vad")
    small = cafe.Config(epochs=1, consistency_after=1, frames=20, localiser="background")
    cafe.Cafe(small, device="cpu").fit(normal, out=folder / "cafe.vad")
    return folder


def test_a_row_has_every_part_of_its_model(home: Path) -> None:
    (row,) = measure_speed(home / "motion.vad", home / "today.mp4", cores=2)
    assert (row.system, row.runtime, row.frames, row.cores) == ("motion", "", 40, 2)
    assert row.localise and min(row.decode, row.localise, row.rest, row.whole) > 0
    assert row.latency_ms is not None and 0 < row.latency_ms <= (row.latency_95_ms or 0)
    assert row.cameras == pytest.approx(2 / (row.cpu_ms / 1000 * speed.CAMERA_FPS))
    assert row.memory_mb > 50


def test_runtimes_stand_side_by_side(home: Path) -> None:
    rows = list(
        measure_speed(
            home / "cafe.vad", home / "today.mp4", runtimes=("torch", "onnx"), frames=12, cores=1
        )
    )
    assert [(row.model, row.runtime, row.frames) for row in rows] == [
        ("cafe.vad", "torch", 12),
        ("cafe.vad", "onnx", 12),
    ]
    with pytest.raises(ConfigError, match="runtime"):
        list(measure_speed(home / "motion.vad", home / "today.mp4", runtimes=("onnx",), cores=1))


def test_the_rest_knows_the_boxes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    boxes = Background.boxes

    def slow(self: Background, window: Triplet) -> Boxes:
        time.sleep(0.2)
        return boxes(self, window)

    monkeypatch.setattr(Background, "boxes", slow)
    (row,) = measure_speed(home / "motion.vad", home / "today.mp4", frames=12, cores=1)
    assert row.localise and row.localise < 5 < row.rest and row.whole < 5.5


def test_work_that_takes_longer_is_slower(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    stream = motion.Motion.stream

    def slow(self: motion.Motion, source: object) -> Iterator[object]:
        for score in stream(self, source):  # pyright: ignore[reportArgumentType]
            time.sleep(0.02)
            yield score

    monkeypatch.setattr(motion.Motion, "stream", slow)
    (row,) = measure_speed(home / "motion.vad", home / "today.mp4", cores=1)
    assert row.whole < 50 and (row.latency_ms or 0) > 20


def test_energy_is_told_where_the_machine_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert speed._energy() is None or taken(range(3)).joules is not None
    meter = tmp_path / "energy_uj"
    meter.write_text("5000000\n")
    monkeypatch.setattr(speed, "ENERGY", meter)

    def work() -> Iterator[int]:
        yield 1
        meter.write_text("7500000\n")

    assert taken(work()).joules == pytest.approx(2.5)
    meter.write_text("nothing")
    assert taken(range(3)).joules is None


def test_the_verb_writes_each_row_as_it_is_made(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, video = [str(home / "motion.vad"), str(home / "cafe.vad")], str(home / "today.mp4")
    out = tmp_path / "speed.json"
    assert main(["bench", *models, "--video", video, "--frames", "12", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "file to scores beside motion.vad: cafe.vad (onnx)" in shown and "12 frames" in shown
    kept = json.loads(out.read_text())
    assert [row["model"] for row in kept["rows"]] == ["motion.vad", "cafe.vad"]
    assert kept["run"]["command"].startswith("vadistill bench motion.vad cafe.vad")
    out.unlink()
    gone = [*models[:1], str(home / "none.vad")]
    assert main(["bench", *gone, "--video", video, "--frames", "6", "--out", str(out)]) == 2
    assert len(json.loads(out.read_text())["rows"]) == 1


def test_too_short_a_video_is_an_error(home: Path, tmp_path: Path) -> None:
    film(tmp_path / "short.mp4", 0, frames=2)
    with pytest.raises(DataError, match="short has 2 frames"):
        list(measure_speed(home / "motion.vad", tmp_path / "short.mp4", cores=1))
