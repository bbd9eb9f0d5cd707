"""Jobs of the console: real fits and scorings as processes that may be cancelled, die and stop."""

from __future__ import annotations

import calendar
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from support.waiting import until
from vadistill import limits
from vadistill.addresses import Address
from vadistill.errors import ConfigError, DataError, StorageError, VideoError
from vadistill.levels import training_level
from vadistill.progress import VARIABLE, progress
from vadistill.serving.config import CameraSettings, FootageSettings, ModelSettings, Settings
from vadistill.serving.jobs import child
from vadistill.serving.jobs.job import ScoreFile
from vadistill.serving.jobs.probe import probe
from vadistill.serving.jobs.queue import KEPT, WAITING, Job, Jobs
from vadistill.serving.storage.footage import cameras, collected, folders, recorded, videos_for
from vadistill.serving.storage.store import Store
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems import load
from vadistill.video import VideoWriter, open_video

WALKWAY = WalkwayConfig(
    train_clips=2, test_clips=1, frames=40, width=240, height=160, pedestrians=(2, 4)
)


@pytest.fixture(scope="module")
def walkway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walkway") / "small"
    render_walkway(folder, WALKWAY)
    return folder


@pytest.fixture(scope="module")
def fitted(walkway: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job, list[Job]]:
    """A model that a job fitted to two files, the job at its end, and all that was told of it."""
    folder = tmp_path_factory.mktemp("fitted")
    told: list[Job] = []
    jobs = Jobs(folder, changed=told.append)
    videos = [upload(video, folder) for video in sorted((walkway / "train").iterdir())]
    job = jobs.fit(name="gate", system="motion", videos=videos, out=folder / "models" / "gate")
    for video in videos:  # recordings may grow too old meanwhile
        video.unlink()
    done = ended(jobs, job.id)
    jobs.close()
    return folder / "models" / "gate", done, told


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(tmp_path / "data")
    yield made
    made.close()


def ended(jobs: Jobs, id: str) -> Job:
    until(lambda: at(jobs, id).finished)
    return at(jobs, id)


def at(jobs: Jobs, id: str) -> Job:
    job = jobs.get(id)
    assert job is not None
    return job


def upload(video: Path, folder: Path) -> Path:
    """A copy of a video, as one that a browser sent."""
    folder.mkdir(exist_ok=True)
    copy = folder / f"upload-{len(list(folder.iterdir()))}{video.suffix}"
    copy.write_bytes(video.read_bytes())
    return copy


def process_of(jobs: Jobs, id: str) -> int:
    """The number of a running job's process."""
    until(lambda: at(jobs, id).state == "running")
    return json.loads((jobs.folder / id / "job.json").read_text())["pid"]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_fit_is_that_of_the_command_line(
    fitted: tuple[Path, Job, list[Job]], walkway: Path, tmp_path: Path
):
    model, job, told = fitted
    assert (job.state, job.error, job.progress) == ("done", None, 1.0)
    assert job.result == {"model": "gate", "system": "motion"}
    assert job.started is not None and job.ended is not None
    assert job.created <= job.started <= job.ended
    (clip,) = (walkway / "test").glob("*.mp4")
    direct = type(load(model))()
    from vadistill.datasets import open_dataset

    direct.fit(open_dataset(walkway / "train").train, out=tmp_path / "direct")
    assert np.array_equal(
        load(model).score(open_video(clip)).raw, direct.score(open_video(clip)).raw
    )
    # What it was at: states in order, and the bars of the fit.
    states = [each.state for each in told]
    assert states[:2] == ["queued", "running"] and states[-1] == "done"
    assert {"empty scene", "calibration"} <= {each.step for each in told}
    shares = [each.progress for each in told if each.step == "calibration"]
    assert all(share is not None and 0 <= share <= 1 for share in shares)
    assert not list((model.parent.parent / "jobs" / job.id).glob("*/"))


def test_one_at_a_time_at_low_priority_and_cancelled(jobs: Jobs, walkway: Path, tmp_path: Path):
    videos = sorted((walkway / "train").iterdir())
    ids = [
        jobs.fit(name=name, system="motion", videos=videos, out=tmp_path / name).id
        for name in ("a", "b", "c")
    ]
    pid = process_of(jobs, ids[0])
    assert os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0) == 10
    assert [at(jobs, id).state for id in ids[1:]] == ["queued", "queued"]
    assert [job.id for job in jobs.all()] == ids[::-1]
    with pytest.raises(ConfigError, match="free place"):
        jobs.fit(name="b", system="motion", videos=videos, out=tmp_path / "b")
    assert not jobs.remove(ids[0]) and not jobs.remove(ids[1])
    assert jobs.cancel(ids[1]) and at(jobs, ids[1]).state == "cancelled"
    assert jobs.cancel(ids[0]) and at(jobs, ids[0]).state == "cancelled"
    assert not is_alive(pid)
    assert not (tmp_path / "a").exists() and not list((jobs.folder / ids[0]).glob("*/"))
    assert not jobs.cancel(ids[0]) and not jobs.cancel("unknown")
    # The third one's process dies.
    os.kill(process_of(jobs, ids[2]), signal.SIGKILL)
    job = ended(jobs, ids[2])
    assert job.state == "failed" and "SIGKILL" in str(job.error)
    assert not (tmp_path / "c").exists()
    assert jobs.remove(ids[2]) and jobs.get(ids[2]) is None and not jobs.remove(ids[2])
    assert not (jobs.folder / ids[2]).exists()


def test_an_upload_is_scored_while_it_is_watched(
    jobs: Jobs, fitted: tuple[Path, Job, list[Job]], walkway: Path, tmp_path: Path
):
    model = fitted[0]
    (clip,) = (walkway / "test").glob("*.mp4")
    copy = upload(clip, tmp_path / "uploads")
    job = jobs.score(video=copy, title="Tuesday, the gate", model=model)
    assert not copy.exists()
    first = jobs.scores(job.id)
    assert first == {"times": [], "scores": [], "next": 0}
    done = ended(jobs, job.id)
    assert (done.state, done.kind, done.title) == ("done", "score", "Tuesday, the gate")
    direct = load(model)
    wanted = direct.score(open_video(clip))
    page = jobs.scores(job.id, 0)
    assert page is not None and page["next"] == 40
    assert page["scores"] == list(wanted.raw) and np.allclose(
        page["times"], wanted.times, atol=1e-4
    )
    rest = jobs.scores(job.id, 38)
    assert rest == {"times": page["times"][38:], "scores": page["scores"][38:], "next": 40}
    assert jobs.scores(job.id, 40) == {"times": [], "scores": [], "next": 40}
    assert jobs.scores("unknown") is None and jobs.picture("unknown") is None
    picture = jobs.picture(job.id)
    assert picture is not None and Image.open(io.BytesIO(picture)).size == (480, 320)
    result = done.result
    assert result is not None and (result["frames"], result["fps"]) == (40, 15.0)
    level = training_level(direct.require_fitted(), 1.0)
    assert (result["level"], result["note"]) == (level.on, level.note)
    for event in result["events"]:
        assert 0 <= event["start"] < event["end"] <= 40 / 15 + 1e-6
        assert event["peak"] >= level.on
    assert json.loads(json.dumps(done.as_json()))["result"] == result
    # All of it is known after a restart, too, until it is removed.
    jobs.close()
    again = Jobs(jobs.folder.parent)
    try:
        assert at(again, job.id) == done and again.scores(job.id, 0) == page
        assert again.remove(job.id) and not list(again.folder.iterdir())
    finally:
        again.close()


def test_videos_that_cannot_be_scored_fail_in_one_line(
    jobs: Jobs, fitted: tuple[Path, Job, list[Job]], walkway: Path, tmp_path: Path
):
    (clip,) = (walkway / "test").glob("*.mp4")
    (tmp_path / "text").write_text("no video")
    text = upload(tmp_path / "text", tmp_path / "uploads")
    cut = tmp_path / "cut.mkv"
    remux(clip, cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    ids = [jobs.score(video=v, title=v.name, model=fitted[0]).id for v in (text, cut)]
    broken = ended(jobs, ids[0])
    assert broken.state == "failed" and "\n" not in str(broken.error)
    assert str(broken.error).startswith("cannot open upload-0 as a video")
    assert str(jobs.folder) not in str(broken.error)
    short = ended(jobs, ids[1])
    assert short.state == "failed" and "cut short" in str(short.error)
    page = jobs.scores(ids[1])
    assert short.result is not None and page is not None
    assert 0 < short.result["frames"] == page["next"] < 40


def remux(video: Path, out: Path) -> None:
    import av

    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


def test_scores_come_in_pages(tmp_path: Path):
    file = ScoreFile(tmp_path / "scores.jsonl")
    assert file.read(7) == {"times": [], "scores": [], "next": 0}
    lines = [json.dumps({"t": n / 10, "s": float(n)}) for n in range(25_000)]
    file.path.write_text("\n".join(lines) + '\n{"t": 2500.0, "s"')
    first = file.read(0)
    assert first["scores"] == list(range(20_000)) and first["next"] == 20_000
    rest = file.read(20_000)
    assert rest["scores"] == list(range(20_000, 25_000)) and rest["next"] == 25_000
    assert file.read(24_998)["times"] == [2499.8, 2499.9]
    assert file.read(10**15) == {"times": [], "scores": [], "next": 25_000}
    assert file.read(-3)["scores"][0] == 0


def test_a_folder_alone_may_be_any_data_set(jobs: Jobs, walkway: Path, tmp_path: Path):
    job = jobs.fit(name="a", system="dakd", videos=[walkway], out=tmp_path / "a")
    failed = ended(jobs, job.id)
    assert failed.state == "failed"
    assert "has normal videos only: expected" in str(failed.error)


def test_what_cannot_be_asked_for(jobs: Jobs, walkway: Path, tmp_path: Path):
    out = tmp_path / "a"
    with pytest.raises(ConfigError, match="system 'cofe'"):
        jobs.fit(name="a", system="cofe", videos=[walkway], out=out)
    with pytest.raises(DataError, match="no video called"):
        jobs.fit(name="a", system="motion", videos=[tmp_path / "none.mp4"], out=out)
    with pytest.raises(DataError, match="no video to fit"):
        jobs.fit(name="a", system="motion", videos=[], out=out)
    with pytest.raises(ConfigError, match="free place"):
        jobs.fit(name="a", system="motion", videos=[walkway], out=tmp_path)
    with pytest.raises(StorageError, match="No such file"):
        jobs.score(video=tmp_path / "none.mp4", title="none", model=out)
    assert not jobs.all() and not list(jobs.folder.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot use"):
        Jobs(tmp_path / "file")


def test_waiting_and_kept_jobs_are_bounded(jobs: Jobs, walkway: Path, tmp_path: Path):
    def ask(number: int) -> str:
        out = tmp_path / str(number)
        return jobs.fit(name=f"m{number}", system="motion", videos=[walkway], out=out).id

    first = ask(0)
    until(lambda: at(jobs, first).state == "running")
    ids = [ask(1 + n) for n in range(WAITING)]
    with pytest.raises(ConfigError, match="wait already"):
        ask(99)
    (tmp_path / "upload").write_text("")
    with pytest.raises(ConfigError, match="wait already"):
        jobs.score(video=tmp_path / "upload", title="upload", model=tmp_path)
    assert (tmp_path / "upload").exists()
    for id in ids:
        assert jobs.cancel(id)
    for number in range(KEPT):
        assert jobs.cancel(ask(100 + number))
    assert sum(job.finished for job in jobs.all()) <= KEPT + 1
    assert jobs.get(ids[0]) is None and jobs.get(first) is not None


SERVER = """
import sys, time
from pathlib import Path
from vadistill.serving.jobs.queue import Jobs
jobs = Jobs(Path(sys.argv[1]))
videos = [Path(sys.argv[2])]
ids = [jobs.fit(name=n, system="motion", videos=videos, out=Path(sys.argv[1]) / n).id for n in "ab"]
while jobs.get(ids[0]).state == "queued":
    time.sleep(0.01)
print(*ids, flush=True)
time.sleep(60)
"""


def test_jobs_of_a_server_that_was_killed(walkway: Path, tmp_path: Path):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), str(walkway)], stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    ids = server.stdout.readline().decode().split()
    facts = json.loads((tmp_path / "jobs" / ids[0] / "job.json").read_text())
    server.kill()
    server.wait()
    server.stdout.close()
    (tmp_path / "jobs" / "half").mkdir()
    jobs = Jobs(tmp_path)
    try:
        assert [(at(jobs, id).state, at(jobs, id).error) for id in ids] == [
            ("failed", "the server stopped before the job was finished")
        ] * 2
        until(lambda: not is_alive(facts["pid"]))
        assert {path.name for path in tmp_path.iterdir()} == {"jobs"}
        assert {path.name for path in jobs.folder.iterdir()} == set(ids)
    finally:
        jobs.close()


def test_closing_kills_what_runs(walkway: Path, tmp_path: Path):
    jobs = Jobs(tmp_path)
    ids = [
        jobs.fit(name=n, system="motion", videos=[walkway], out=tmp_path / n).id for n in ("a", "b")
    ]
    pid = process_of(jobs, ids[0])
    jobs.close()
    assert not is_alive(pid)
    assert [at(jobs, id).state for id in ids] == ["failed", "failed"]
    with pytest.raises(ConfigError, match="stopping"):
        jobs.fit(name="c", system="motion", videos=[walkway], out=tmp_path / "c")


def test_progress_as_json_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(VARIABLE, "json")
    with progress("many", 1000) as step:
        for _ in range(1000):
            step()
    with progress("unknown", None) as step:
        step(3, note="not told")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == {"label": "many", "done": 0.0, "total": 1000}
    assert lines[-2] == {"label": "many", "done": 1000.0, "total": 1000}
    assert lines[-1] == {"label": "unknown", "done": 0.0, "total": None}
    assert len(lines) < 10


def record(folder: Path, start: float, minutes: int) -> None:
    """Finished recordings of a minute each, and one that is being written."""
    folder.mkdir()
    for minute in range(minutes + 1):
        begin = start + 60 * minute
        name = time.strftime("%Y%m%dT%H%M%SZ.mkv", time.gmtime(begin))
        path = folder / (name if minute < minutes else f"{name}.part")
        path.write_bytes(b"x")
        os.utime(path, (begin + 60, begin + 60))


def minutes_of(paths: Sequence[Path], start: float) -> list[int]:
    begins = [calendar.timegm(time.strptime(p.name, "%Y%m%dT%H%M%SZ.mkv")) for p in paths]
    return [round(begin - start) // 60 for begin in begins]


def test_recorded_footage_leaves_out_events(tmp_path: Path):
    begin = 1_767_225_600.0
    record(tmp_path / "gate", begin, 60)
    end = begin + 3600
    assert minutes_of(recorded(tmp_path, "gate", 1, end), begin) == list(range(60))
    assert recorded(tmp_path, "other", 1, end) == []
    event = (begin + 40 * 60 + 10, begin + 41 * 60 + 57)
    kept = minutes_of(recorded(tmp_path, "gate", 0.5, end, without=[event]), begin)
    # The event lies in minutes 40 and 41; its margin reaches into 42.
    assert kept in ([*range(30, 40), *range(43, 60)], [*range(29, 40), *range(43, 60)])


def test_what_was_collected_is_told_by_the_hour(tmp_path: Path):
    assert collected(tmp_path, "gate", 0.0) == {"seconds": 0, "by_hour": [0.0] * 24}
    start = time.mktime((2026, 11, 2, 6, 57, 0, 0, 0, -1))
    record(tmp_path / "gate", start, 6)
    part = tmp_path / "gate" / "20261101T000000Z.part"
    part.write_bytes(b"what a dead process left")
    began = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    os.utime(part, (began + 30, began + 30))
    found = collected(tmp_path, "gate", start + 3600)
    assert found["seconds"] == pytest.approx(390) and sum(found["by_hour"]) == pytest.approx(390)
    assert found["by_hour"][6:8] == pytest.approx([180, 180])


def test_what_is_left_of_a_step_goes_by_its_pace(monkeypatch: pytest.MonkeyPatch):
    pace, now = child.Pace(), iter([0.0, 1.0, 10.0, 20.0, 21.0])
    monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=lambda: next(now)))
    steps = [("flow", 0.0), ("flow", 0.1), ("flow", 0.5), ("flow", None), ("student", 0.0)]
    left = [pace.left(child.Step(*step)) for step in steps]
    assert left == [None, None, 10.0, None, None]


def test_footage_that_a_request_may_choose(tmp_path: Path):
    begin = float(int(time.time()) - 700)
    record(tmp_path / "gate", begin, 10)
    settings = Settings(
        models=(ModelSettings("m", "m"),),
        cameras=(
            CameraSettings("gate", Address("0"), "m"),
            CameraSettings("yard", Address("1"), "m"),
        ),
        footage=(FootageSettings("quiet", "videos"),),
        base=tmp_path,
    )
    store = Store(tmp_path / "data")
    try:
        real = store.open_event("gate", begin + 70, peak=1.0, level=0.5)
        false = store.open_event("gate", begin + 310, peak=1.0, level=0.5)
        for event in (real, false):
            store.close_event(event.id, end=event.start + 20, peak=1.0, frames=9)
        store.set_verdict(false.id, "false")
        found = videos_for(settings, store, tmp_path, {"camera": "gate", "hours": 1})
        assert minutes_of(found, begin) == [0, *range(2, 10)]
        assert videos_for(settings, store, tmp_path, {"folder": "quiet"}) == [tmp_path / "videos"]
        with pytest.raises(DataError, match="no normal footage of camera 'yard'"):
            videos_for(settings, store, tmp_path, {"camera": "yard", "hours": 1})
        for source in ({"folder": "../quiet"}, {"camera": "hall", "hours": 1}):
            with pytest.raises(ConfigError, match="expected one of"):
                videos_for(settings, store, tmp_path, source)
        (gate,) = cameras(settings, tmp_path)
        assert (gate["name"], gate["segments"]) == ("gate", 10)
        assert gate["hours"] == pytest.approx(1 / 6)
    finally:
        store.close()


def test_named_folders_of_footage(walkway: Path, tmp_path: Path):
    (tmp_path / "frames" / "monday").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "frames" / "monday" / "1.png")
    settings = Settings(
        footage=(
            FootageSettings("walkway", str(walkway)),
            FootageSettings("frames", "frames"),
            FootageSettings("gone", "gone"),
        ),
        base=tmp_path,
    )
    assert folders(settings) == [
        {"name": "walkway", "videos": 2},
        {"name": "frames", "videos": 1},
        {"name": "gone", "videos": 0},
    ]


def test_an_upload_is_decoded_by_a_process_with_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise AssertionError("the server decodes")

    small, large = tmp_path / "small.mp4", tmp_path / "large.avi"
    with VideoWriter(small, 64, 48, 25) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    with av.open(str(large), "w") as made:
        stream: Any = made.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        picture = io.BytesIO()
        Image.new("RGB", (16_000, 16_000)).save(picture, "JPEG", subsampling="4:2:0")
        packet = av.Packet(picture.getvalue())
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        made.mux(packet)
    monkeypatch.setattr(av, "open", fails)
    probe(small)
    with monkeypatch.context() as context:
        context.setattr(limits, "PROBE_BYTES", 300 << 20)
        probe(small)
        with pytest.raises(VideoError) as error:
            probe(large)
        assert str(large) in error.value.got
    with pytest.raises(VideoError, match=r"nothing\.mp4"):
        probe(tmp_path / "nothing.mp4")
    monkeypatch.setattr(limits, "PROBE_SECONDS", 0.01)
    with pytest.raises(VideoError, match=r"no picture within 0\.01 s"):
        probe(small)
