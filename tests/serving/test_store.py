"""The store: what it returned from is there after a kill, a full disk, a newer or damaged file."""

from __future__ import annotations

import re
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vadistill.errors import StorageError
from vadistill.serving.storage.database import STEPS, migrate
from vadistill.serving.storage.store import Event, Pruned, Store

DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data", sinks=["a", "b"])
    yield store
    store.close()


def closed(
    store: Store, start: float, *, camera: str = "door", length: float = 2.0, size: int = 0
) -> Event:
    """A closed event, with a clip of ``size`` bytes and a thumbnail of 10 where size is given."""
    event = store.open_event(camera, start, peak=1.0, level=0.5)
    clip = f"{event.id}.mp4" if size else None
    if clip:
        (store.media / clip).write_bytes(b"c" * size)
        (store.media / f"{event.id}.jpg").write_bytes(b"t" * 10)
        store.update_event(event.id, last=start, peak=1.0, frames=1, thumbnail=f"{event.id}.jpg")
    event = store.close_event(event.id, end=start + length, peak=2.0, frames=9)
    return (store.add_clip(event.id, clip) if clip else None) or event


def media(store: Store) -> list[str]:
    return sorted(path.name for path in store.media.iterdir())


def child(script: str, folder: Path) -> subprocess.Popen[str]:
    """A process that runs ``script`` with ``store`` in ``folder``."""
    start = "import sys, time\nfrom pathlib import Path\n"
    start += "from vadistill.serving.storage.store import Store\n"
    start += "store = Store(Path(sys.argv[1]), sinks=['a'])\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + textwrap.dedent(script), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_event_from_its_opening_to_a_verdict(store: Store) -> None:
    event = store.open_event("door", 100.0, peak=np.float64(1.5), level=0.5, frames=3, begins=4.0)
    assert event == Event(
        1, "door", 100.0, None, 100.0, 1.5, 0.5, 3, None, False, None, None, begins=4.0
    )
    assert event.as_json()["state"] == "open"
    store.update_event(1, last=104.0, peak=2.5, frames=7, thumbnail="1.jpg")
    store.update_event(1, last=105.0, peak=2.5, frames=8, ends=9.0)
    assert store.event(1) == Event(
        1, "door", 100.0, None, 105.0, 2.5, 0.5, 8, None, False, None, "1.jpg", begins=4.0, ends=9.0
    )
    assert store.close_event(1, end=106.0, peak=3.5, frames=9, ends=10.0).clip is None
    event = store.add_clip(1, "1.mp4")
    store.update_event(1, last=200.0, peak=9.0, frames=99)
    assert store.event(1) == event == store.close_event(1, end=0.0, peak=0.0, frames=0)
    assert store.set_verdict(1, "false") == store.event(1) != event
    assert store.event(1).as_json() == {  # pyright: ignore[reportOptionalMemberAccess]
        "id": 1,
        "camera": "door",
        "start": 100.0,
        "end": 106.0,
        "duration": 6.0,
        "begins": 4.0,
        "ends": 10.0,
        "peak": 3.5,
        "level": 0.5,
        "frames": 9,
        "state": "closed",
        "verdict": "false",
        "interrupted": False,
        "cause": None,
        "box": None,
        "zone": None,
        "reason": None,
        "clip": True,
        "thumbnail": True,
    }
    assert store.set_verdict(1, None) == event
    assert store.set_verdict(2, "real") is None and store.event(2) is None
    assert store.add_clip(2, "2.mp4") is None
    with pytest.raises(StorageError, match="no event 2"):
        store.close_event(2, end=1.0, peak=1.0, frames=1)


def test_events_are_listed_newest_first_by_what_is_asked(store: Store) -> None:
    for n in range(10):
        closed(store, 100.0 * n, camera="door" if n % 2 else "yard")
    for id in (3, 5):
        store.set_verdict(id, "real")
    store.set_verdict(4, "false")
    cases: list[tuple[dict, list[int]]] = [
        ({}, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"camera": "door"}, [10, 8, 6, 4, 2]),
        ({"camera": "nowhere"}, []),
        ({"since": 702.0}, [10, 9, 8]),
        ({"since": 702.5}, [10, 9]),
        ({"until": 200.0}, [3, 2, 1]),
        ({"since": 101.0, "until": 300.0, "camera": "yard"}, [3]),
        ({"verdict": "real"}, [5, 3]),
        ({"verdict": "false"}, [4]),
        ({"verdict": "none", "before": 7}, [6, 2, 1]),
    ]
    for filters, ids in cases:
        assert [event.id for event in store.events(**filters)] == ids, filters
        assert store.count_events(**filters) == len(ids), filters
    assert [event.id for event in store.events(before=9, limit=3)] == [8, 7, 6]
    assert store.events(limit=-1) == [] and len(store.events(limit=2**70)) == 10


def test_values_that_no_row_can_hold_find_nothing(store: Store) -> None:
    closed(store, 1.0)
    assert store.event(2**70) is None and store.set_verdict(-(2**70), "real") is None
    assert store.events(before=2**70) == [] and store.count_events(before=2**70) == 0
    assert store.events(camera="\ud800") == [] and store.events(since=float("nan")) != [1]


def test_every_opening_and_closing_is_queued_for_every_sink(store: Store, tmp_path: Path) -> None:
    told: list[int] = []
    store.queued = lambda: told.append(1)
    assert store.pending() == {"a": 0, "b": 0}
    first, second = closed(store, 100.0), closed(store, 200.0)
    assert len(told) == 4 and store.pending() == {"a": 4, "b": 4}
    messages = store.due("a", time.time())
    kinds = [(m.kind, m.body["event"]["id"]) for m in messages]
    assert kinds == [("opened", 1), ("closed", 1), ("opened", 2), ("closed", 2)]
    assert messages[3].body == {
        "key": messages[3].key,
        "kind": "closed",
        "camera": "door",
        "event": second.as_json(),
    }
    assert re.fullmatch(r"[0-9a-f]{16}-2-closed", messages[3].key)
    assert [m.key for m in store.due("b", time.time())] == [m.key for m in messages]
    assert messages[0].attempts == 0 and abs(messages[0].created - time.time()) < 60
    store.delivered(messages[0])
    assert [m.key for m in store.due("a", time.time(), 1)] == [messages[1].key]
    store.forget_sink("b")
    assert store.pending() == {"a": 3, "b": 0} and first.id == 1
    other = Store(tmp_path / "other", sinks=["a"])
    closed(other, 100.0)
    assert other.due("a", time.time())[0].key != messages[0].key
    other.close()


def test_a_message_that_failed_waits_and_its_successor_with_it(store: Store) -> None:
    closed(store, 100.0)
    closed(store, 200.0)
    opened, _, *others = store.due("a", 1000.0)
    store.failed(opened, "no answer", 1030.0)
    assert store.due("a", 1029.0) == others
    again = store.due("a", 1030.0)
    assert [m.id for m in again] == [1, 3, 5, 7] and again[0].attempts == 1
    # The clock was set back by a day: nothing waits that long.
    assert store.due("a", 1030.0 - DAY)[0].id == opened.id
    store.failed(opened, "no answer", 1090.0)
    store.hasten("a")
    assert store.due("a", 1031.0)[0].attempts == 2


def test_scores_come_back_in_order(store: Store) -> None:
    times = 1.7e9 + np.arange(1000) / 6
    scores = np.random.default_rng(0).random(1000, np.float32)
    for first in (0, 300, 700):
        last = {0: 300, 300: 700, 700: 1000}[first]
        store.add_scores("door", times[first:last], scores[first:last])
    store.add_scores("yard", times[:5], scores[:5] + 1)
    store.add_scores("door", times[:0], scores[:0])
    got = store.scores("door", times[250], times[800])
    assert np.array_equal(got[0], times[250:801]) and np.array_equal(got[1], scores[250:801])
    # A clock that was set back by a second.
    store.add_scores("door", times[994:] + 0.01, scores[994:])
    got = store.scores("door", times[990], times[999])
    assert len(got[0]) == 15 and (np.diff(got[0]) > 0).all()
    assert [len(part) for part in store.scores("door", 0, 1)] == [0, 0]


def test_values_are_kept(store: Store, tmp_path: Path) -> None:
    assert store.value("level") is None and store.value("level", 3) == 3
    store.save_value("level", {"on": 1.5})
    store.save_value("level", {"on": 2.5, "note": "größer"})
    store.close()
    again = Store(tmp_path / "data")
    assert again.value("level") == {"on": 2.5, "note": "größer"}
    again.close()


def test_open_events_of_a_dead_process_are_closed(store: Store, tmp_path: Path) -> None:
    for n in range(4):
        store.open_event("door", 100.0 * n, peak=1.0, level=0.5)
        store.update_event(n + 1, last=100.0 * n + 7, peak=2.0, frames=9)
    done = closed(store, 500.0, size=100)
    gone = closed(store, 600.0, size=100)
    (store.media / f"{gone.id}.mp4").unlink()
    (store.media / "1.part.mp4").write_bytes(b"clip")
    (store.media / "1.jpg").write_bytes(b"picture")
    (store.media / "2.part.mp4").write_bytes(b"")
    # A process that was killed between the renaming and the commit, in an earlier recovery.
    (store.media / "3.mp4").write_bytes(b"clip")
    for orphan in ("77.mp4", ".77.x1.jpg", f"{done.id}.part.mp4"):
        (store.media / orphan).write_bytes(b"left over")
    late = closed(store, 700.0)
    (store.media / f"{late.id}.part.mp4").write_bytes(b"clip of an event that had ended")
    (store.media / "notes.txt").write_text("somebody's")
    store.close()
    again = Store(tmp_path / "data", sinks=["a"])
    events = again.recover()
    assert [(e.id, e.start, e.end) for e in events] == [
        (n, 100 * n - 100, 100 * n - 93) for n in range(1, 5)
    ]
    assert all(e.interrupted and e.peak == 2.0 for e in events)
    assert [e.clip for e in events] == ["1.mp4", None, "3.mp4", None]
    assert events[0].thumbnail == "1.jpg" and events[1].thumbnail is None
    assert media(again) == sorted(
        ["1.jpg", "1.mp4", "3.mp4", "5.jpg", "5.mp4", "6.jpg", "7.mp4", "notes.txt"]
    )
    assert again.event(5) == done and again.event(6).clip is None  # pyright: ignore[reportOptionalMemberAccess]
    kinds = [(m.kind, m.body["event"]["id"]) for m in again.due("a", time.time())]
    assert kinds[-5:] == [*(("closed", n) for n in range(1, 5)), ("clip", 7)]
    assert again.event(7).clip == "7.mp4"  # pyright: ignore[reportOptionalMemberAccess]
    assert again.recover() == []
    again.close()


def test_old_events_go_and_then_the_oldest_files(store: Store) -> None:
    now = 100 * DAY
    for age in (40, 31, 29, 20, 10):
        closed(store, now - age * DAY, size=1000)
    still = store.open_event("door", now - 50 * DAY, peak=1.0, level=0.5)
    (store.media / f"{still.id}.part.mp4").write_bytes(b"p" * 500)
    for age in (8, 6):
        store.add_scores("door", now - age * DAY + np.arange(3.0), np.ones(3, np.float32))
    assert store.prune(now, keep_days=30, keep_bytes=10**9) == Pruned(2, 4, 2020)
    assert [e.id for e in store.events()] == [6, 5, 4, 3]
    assert len(store.scores("door", 0, now)[0]) == 3
    assert store.prune(now, keep_days=30, keep_bytes=2600) == Pruned(0, 2, 1010)
    assert [(e.id, e.clip) for e in store.events()] == [
        (6, None),
        (5, "5.mp4"),
        (4, "4.mp4"),
        (3, None),
    ]
    assert media(store) == ["4.jpg", "4.mp4", "5.jpg", "5.mp4", "6.part.mp4"]
    assert store.prune(now, keep_days=30, keep_bytes=2600) == Pruned(0, 0, 0)
    assert store.prune(now, keep_days=30, keep_bytes=0) == Pruned(0, 4, 2020)
    assert media(store) == ["6.part.mp4"] and store.count_events() == 4
    # What waits for a sink stays, also of events that went.
    assert store.pending() == {"a": 16, "b": 16}


def test_nobody_is_told_of_events_that_begin_while_a_camera_is_muted(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", sinks=["a"])
    before = store.open_event("door", 99.0, peak=1.0, level=0.5)
    store.mute("door", 100.0, 200.0)
    store.close_event(before.id, end=150.0, peak=1.0, frames=3)
    closed(store, 120.0)
    other = closed(store, 120.0, camera="yard")
    store.close()
    store = Store(tmp_path / "data", sinks=["a"])  # it outlives a restart
    assert store.muted_until("door", 199.0) == 200.0 and store.muted_until("yard", 199.0) is None
    closed(store, 199.0, size=10)
    late = closed(store, 200.0)
    told = [(m.kind, m.body["event"]["id"]) for m in store.due("a", time.time())]
    assert told == [
        *(("opened", before.id), ("closed", before.id)),
        *(("opened", other.id), ("closed", other.id)),
        *(("opened", late.id), ("closed", late.id)),
    ]
    assert store.count_events() == 5 and store.muted_until("door", 200.0) is None
    store.mute("door", 150.0, 150.0)
    assert store.muted_until("door", 150.0) is None
    store.close()


def test_cameras_that_are_muted_at_the_same_time_all_are(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saves, disk = store.save_value, threading.Event(), threading.Event()

    def slowly(key: str, value: Any) -> None:
        if list(value) == ["door"]:
            saves.set()
            disk.wait(10)
        save(key, value)

    monkeypatch.setattr(store, "save_value", slowly)
    door, yard = (
        threading.Thread(target=store.mute, args=(name, 100.0, 200.0)) for name in ("door", "yard")
    )
    door.start()
    assert saves.wait(10)
    yard.start()
    yard.join(0.3)  # as far as it comes
    disk.set()
    for thread in (door, yard):
        thread.join(10)
    store.close()
    again = Store(tmp_path / "data")
    assert again.muted == store.muted == {name: (100.0, 200.0) for name in ("door", "yard")}
    again.close()


def test_events_marked_real_outlive_the_others(store: Store) -> None:
    for start in (10.0, 20.0, 30.0):
        event = closed(store, start)
        (store.media / f"{event.id}.jpg").write_bytes(b"j" * 10)
    store.set_verdict(1, "real")
    store.set_verdict(2, "false")
    store.prune(100 * DAY, keep_days=30, keep_bytes=10**9)
    assert [event.id for event in store.events()] == [1]


def test_a_file_that_cannot_be_removed_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = store.open_event("door", 1.0, peak=1.0, level=0.5)
    (store.media / "1.mp4").write_bytes(b"c")
    store.close_event(event.id, end=2.0, peak=1.0, frames=3)
    store.add_clip(event.id, "1.mp4")

    def fail(path: Path, missing_ok: bool = False) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(StorageError, match=r"cannot remove 1.mp4 \(Input/output error\)"):
        store.prune(100 * DAY, keep_days=30, keep_bytes=10**9)


def test_space_of_pruned_scores_goes_back_to_the_disk(store: Store) -> None:
    noise = np.random.default_rng(0).random(100_000)
    for day in range(20):
        store.add_scores("door", day * DAY + noise, noise.astype(np.float32))
    store.prune(30 * DAY, keep_days=30, keep_bytes=0, score_days=1)
    store.close()
    assert (store.folder / "events.db").stat().st_size < 5_000_000


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    process = child(
        """
        n = 0
        while True:
            event = store.open_event("door", float(n), peak=1.0, level=0.5)
            print("opened", event.id, flush=True)
            store.update_event(event.id, last=n + 0.5, peak=2.0, frames=2)
            print("updated", event.id, flush=True)
            if n % 3:
                store.close_event(event.id, end=n + 1.0, peak=3.0, frames=3)
                print("closed", event.id, flush=True)
            n += 1
        """,
        tmp_path,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines()
    process.wait()
    done = {(kind, int(id)) for kind, id in (line.split() for line in lines if line.count(" "))}
    store = Store(tmp_path, sinks=["a"])
    events = {event.id: event for event in store.events(limit=10**6)}
    for kind, id in done:
        assert events[id].last >= id - 1 + {"opened": 0.0, "updated": 0.5, "closed": 1.0}[kind]
    recovered = {event.id for event in store.recover()}
    assert recovered and not recovered & {id for kind, id in done if kind == "closed"}
    keys = [m.key.partition("-")[2] for m in store.due("a", time.time(), 10**6)]
    assert sorted(keys) == sorted(f"{id}-{kind}" for id in events for kind in ("opened", "closed"))
    store.close()


def test_a_full_disk_is_one_line_and_goes_on_once_there_is_space(tmp_path: Path) -> None:
    process = child(
        """
        import resource
        from vadistill.errors import StorageError
        store.open_event("door", 1.0, peak=1.0, level=0.5)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        failed = 0
        for n in range(3000):
            try:
                store.save_value(f"key {n}", "x" * 1000)
                assert not failed
            except StorageError as error:
                failed, line = failed + 1, str(error)
                if failed > 3:
                    break
        print(line, flush=True)
        kept = n - failed + 1
        assert store.value(f"key {kept - 1}") and store.value(f"key {kept}") is None
        assert store.event(1) and store.pending() == {"a": 1}
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.close_event(1, end=2.0, peak=1.0, frames=1)
        for n in range(200):
            store.save_value(f"later {n}", "x" * 1000)
        store.close()
        store = Store(Path(sys.argv[1]), sinks=["a"])
        assert store.pending() == {"a": 2} and store.value(f"key {kept - 1}")
        """,
        tmp_path,
    )
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert re.match(r"cannot write .*events\.db \(.*\): expected free space .*; free some", out)
    assert out.count("\n") == 1


def test_retention_makes_room_on_a_full_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    closed(store, 100.0, size=1000)
    store.close()
    with sqlite3.connect(tmp_path / "events.db") as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE DELETE ON events BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
    connection.close()
    store = Store(tmp_path)
    with pytest.raises(StorageError):
        store.prune(100 * DAY, keep_days=30, keep_bytes=0)
    assert media(store) == [] and store.count_events() == 1
    store.recover()
    assert store.events()[0].as_json()["clip"] is False
    store.close()


def test_threads_share_a_store(store: Store) -> None:
    failures: list[BaseException] = []

    def camera(name: str) -> None:
        try:
            for n in range(25):
                event = store.open_event(name, float(n), peak=1.0, level=0.5)
                store.update_event(event.id, last=n + 0.1, peak=1.0, frames=2)
                store.add_scores(name, n + np.arange(10) / 10, np.ones(10, np.float32))
                assert store.events(camera=name)[0].id == event.id
                store.close_event(event.id, end=n + 0.5, peak=1.0, frames=3)
                for message in store.due(name, time.time()):
                    store.delivered(message)
        except BaseException as error:
            failures.append(error)

    store.sinks = tuple(f"cam-{n}" for n in range(6))
    threads = [threading.Thread(target=camera, args=(name,)) for name in store.sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures and store.count_events() == 150
    assert len(store.scores("cam-0", 0, 1e9)[0]) == 250
    assert all(store.count_events(camera=name) == 25 for name in store.sinks)


def test_a_folder_has_one_process_at_a_time(store: Store, tmp_path: Path) -> None:
    process = child("", tmp_path / "data")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"StorageError: .*in use by another vadistill \(process \d+\)", errors)
    assert closed(store, 1.0).id == 1


def test_a_version_is_added_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    assert migrate(connection) == len(STEPS) and migrate(connection) == 0
    connection.execute("INSERT INTO state VALUES ('level', '1')")
    half = (*STEPS, ("ALTER TABLE events ADD COLUMN place TEXT", "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, half)
    columns = [row["name"] for row in connection.execute("PRAGMA table_info(events)")]
    assert "place" not in columns
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(STEPS)
    whole = (*STEPS, ("ALTER TABLE events ADD COLUMN place TEXT", "UPDATE state SET value = '2'"))
    assert migrate(connection, whole) == 1
    columns = [row["name"] for row in connection.execute("PRAGMA table_info(events)")]
    assert columns[-1] == "place"
    assert connection.execute("SELECT value FROM state WHERE key = 'level'").fetchone()[0] == "2"
    connection.close()
    with pytest.raises(StorageError, match=f"has version {len(STEPS) + 1}: .*newer vadistill"):
        Store(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "scrambled", "text", "foreign", "folder is a file"])
def test_a_file_that_cannot_be_used_is_one_line_and_stays(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "data"
    path = folder / "events.db"
    store = Store(folder)
    closed(store, 1.0)
    for n in range(50):
        store.add_scores("door", n + np.arange(999.0), np.ones(999, np.float32))
    store.close()
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif harm == "scrambled":
        path.write_bytes(whole[:4096] + b"\x5a" * (len(whole) - 4096))
    elif harm == "text":
        path.write_text("not a database, by far" * 99)
    elif harm == "foreign":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    else:
        folder = path
    before = path.read_bytes()
    expected = {
        "foreign": "made by another program",
        "folder is a file": "cannot use .*File exists",
    }
    pattern = expected.get(harm, r"events\.db is damaged .* move it away")
    for _ in range(2):
        with pytest.raises(StorageError, match=pattern) as raised:
            Store(folder)
        assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StorageError, match="start the server again"):
        store.events()


def test_nobody_else_reads_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "events.db").touch(0o644)
    store = Store(folder)
    store.save_value("a", 1)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("events.db*")}
    assert {"events.db", "events.db-wal"} <= set(found) and set(found.values()) == {0o600}
    assert stat.S_IMODE(store.media.stat().st_mode) == 0o700
    store.close()
