"""What is kept and what goes: recordings, uploads, clips, and how they share ``keep_gb``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.mjpeg_server import MjpegServer, part
from support.scenes import film, pixels
from support.serving_scene import camera, scene_settings, served
from support.waiting import until
from vadistill.serving.config import Settings
from vadistill.serving.hub import Hub
from vadistill.serving.jobs.job import Job, write_job
from vadistill.serving.storage.recordings import trim_recordings
from vadistill.serving.storage.room import for_clips, for_recordings, for_uploads, used
from vadistill.serving.storage.store import Store

NAME = "%Y%m%dT%H%M%SZ"
MB = 1_000_000


@contextmanager
def running(settings: Settings, *, visiting: bool = False) -> Iterator[Hub]:
    hub = Hub(settings, visiting=visiting)
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def keeping(home: Path, *cameras, **storage: float) -> Settings:
    settings = scene_settings(home, *cameras)
    return replace(settings, storage=replace(settings.storage, **storage))


def recorded(home: Path, name: str, count: int, size: int) -> list[Path]:
    """Recordings of the last minutes, the oldest first."""
    place = home / "data" / "recordings" / name
    place.mkdir(parents=True)
    begins = (time.gmtime(time.time() - 60 * (count - number)) for number in range(count))
    made = [place / f"{time.strftime(NAME, begun)}.mkv" for begun in begins]
    for path in made:
        path.write_bytes(bytes(size))
    return made


class TestWhatNobodyWantsAnyMore:
    @pytest.mark.parametrize("how", ["removed", "without hours"])
    def test_recordings_go_with_their_camera(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        monkeypatch.setattr("vadistill.serving.hub.PRUNE_EVERY", 0.2)
        pictures = [part(picture) for picture in pixels(5, 200, None)]
        place = home / "data" / "recordings" / "door"
        with MjpegServer(lambda: pictures, pause=0.05) as stream:
            recording = camera(stream.address(), record_hours=1.0)
            with running(scene_settings(home, recording)) as hub:
                until(lambda: list(place.glob("*.part")))
                time.sleep(1)
                assert list(place.iterdir()), "what is recorded now stays"
                if how == "removed":
                    hub.remove_camera("door")
                else:
                    hub.change_camera("door", record_hours=0.0)
                until(lambda: not place.exists())

    def test_uploads_go_with_their_jobs(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vadistill.serving.hub.PRUNE_EVERY", 0.2)
        with running(scene_settings(home)) as hub:
            film(home / "sent.mp4", 3, frames=20)
            job = hub.score_upload(home / "sent.mp4", "sent.mp4", "scene")
            place = hub.jobs.folder / job.id
            assert list(place.glob("upload*"))
            until(lambda: (hub.jobs.get(job.id) or job).finished)
            assert not list(place.glob("upload*")) and (place / "scores.jsonl").exists()
            # One that could not be deleted then.
            (place / "upload.mp4").touch()
            until(lambda: not (place / "upload.mp4").exists())


class TestKeepGb:
    def test_all_that_is_kept_is_within_it(self, home: Path) -> None:
        kept = 2 * MB
        tapes = recorded(home, "door", 30, 100_000)
        # So does this one, by its time: the oldest are of both cameras.
        tapes += recorded(home, "yard", 10, 100_000)
        store = Store(home / "data")
        for number in range(30):
            event = store.open_event("door", time.time() - 3600 + number, peak=1.0, level=0.5)
            (store.media / f"{event.id}.mp4").write_bytes(bytes(100_000))
            end = event.start + 0.5
            store.close_event(event.id, end=end, peak=1.0, frames=9)
            store.add_clip(event.id, f"{event.id}.mp4")
        store.set_verdict(1, "real")
        store.close()
        job = home / "data" / "jobs" / "abcdefghijkl"
        job.mkdir(parents=True)
        write_job(job, Job(job.name, "score", "x.mp4", state="done", created=time.time()))
        (job / "scores.jsonl").write_bytes(bytes(200_000))
        recorders = (camera("calm.mp4", name, record_hours=1.0) for name in ("door", "yard"))
        with running(keeping(home, *recorders, keep_gb=kept / 1e9)) as hub:
            folders = [hub.recordings, hub.store.media, hub.jobs.folder, hub.uploads]
            assert used(*folders) <= kept
            assert all(used(folder) > 0.35 * kept for folder in folders[:2]), "each has its part"
            left = sorted(path.name for path in tapes if path.exists())
            assert left == sorted(path.name for path in tapes)[-len(left) :], "the oldest went"
            clips = sorted(int(path.stem) for path in hub.store.media.glob("*.mp4"))
            assert clips == [1, *range(32 - len(clips), 31)]

    def test_uploads_have_half_of_it(self, home: Path) -> None:
        content = b"\0\0\0\x18ftypisom" + bytes(600_000)
        headers = {"X-Requested-With": "vadistill"}
        with running(keeping(home, keep_gb=0.001)) as hub, served(hub) as server:

            def sent(body) -> httpx.Response:
                url = f"{server.url}api/uploads?model=scene"
                return httpx.put(url, headers=headers, content=body)

            for body in (content, (content[:20], content[20:])):
                answer = sent(body)
                assert answer.status_code == 413 and "0.5 MB" in answer.text
            assert not list(hub.uploads.iterdir())
            (hub.jobs.folder / "waiting").write_bytes(bytes(500_001))
            answer = sent(content[:1000])
            assert answer.status_code == 429 and "keep_gb" in answer.text
            (hub.jobs.folder / "waiting").unlink()
            assert "video" in sent(content[:1000]).text, "there is room, and this is none"

    @given(*[st.integers(0, 1000)] * 4)
    def test_nothing_goes_that_has_room(self, keep: int, jobs: int, tapes: int, clips: int) -> None:
        jobs = min(jobs, for_uploads(keep))
        left = min(tapes, for_recordings(keep, jobs, clips))
        shown = min(clips, for_clips(keep, jobs, left))
        assert jobs + left + shown <= keep
        if jobs + tapes + clips <= keep:
            assert (left, shown) == (tapes, clips)
        half = (keep - jobs) // 2
        assert left >= min(tapes, half) and shown >= min(clips, half)

    def test_files_with_two_names_count_once(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "one").write_bytes(bytes(1000))
        (tmp_path / "a" / "b" / "two").hardlink_to(tmp_path / "a" / "one")
        (tmp_path / "a" / "b" / "out").symlink_to(tmp_path)
        assert 1000 <= used(tmp_path / "a", tmp_path / "a" / "b", tmp_path / "none") < 1200

    def test_a_file_that_cannot_be_removed_keeps_no_other(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, *others = recorded(home, "door", 4, 1000)
        unlink = Path.unlink

        def stuck(path: Path, missing_ok: bool = False) -> None:
            if path.name == first.name:
                raise PermissionError(1, "it is stuck")
            unlink(path, missing_ok)

        monkeypatch.setattr(Path, "unlink", stuck)
        with pytest.raises(PermissionError):
            trim_recordings(home / "data" / "recordings", 2500)
        assert [path.exists() for path in (first, *others)] == [True, False, False, True]


class TestVisitors:
    def test_what_the_folders_own_server_keeps_outlives_a_visit(self, home: Path) -> None:
        tapes = recorded(home, "yard", 3, MB)
        store = Store(home / "data")
        old = store.open_event("yard", time.time() - 40 * 86400, peak=1.0, level=0.5)
        (store.media / f"{old.id}.mp4").write_bytes(bytes(MB))
        store.close_event(old.id, end=old.start + 1, peak=1.0, frames=9)
        store.add_clip(old.id, f"{old.id}.mp4")
        store.add_scores("yard", time.time() - np.ones(1), np.ones(1, np.float32))
        store.close()
        yard = camera("calm.mp4", "yard", record_hours=24.0)
        small = {"keep_days": 1.0, "keep_gb": 0.001}
        with running(keeping(home, yard, keep_days=365.0, keep_gb=1.0)):
            pass
        with running(keeping(home, camera("calm.mp4"), **small), visiting=True) as hub:
            (event,) = hub.store.events()
            assert event.clip and (hub.store.media / event.clip).exists()
            assert all(path.exists() for path in tapes)
        with running(keeping(home, yard, **small)) as hub:
            assert not hub.store.events() and used(hub.recordings) <= MB
