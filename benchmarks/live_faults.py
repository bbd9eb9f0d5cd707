"""What live scoring survives: each fault for real, on a process that watches cameras over RTSP.

    python benchmarks/live_faults.py [--sink-down 120] [--out live.json]

1. The RTSP server is killed and comes back.   2. The process is killed (-9) during an event.
3. No file may grow, as on a full disk, and then again.   4. The webhook is down for two minutes.
For each: whether anything that was committed is gone, how many messages came twice or never, and
the seconds to recover.  The log's lines of recovery are printed.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from live_load import Receiver, rounds
from rows import Rows

from vadistill.addresses import Address
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.serving.config import (
    CameraSettings,
    ModelSettings,
    Settings,
    SinkSettings,
    StorageSettings,
)
from vadistill.serving.demo import prepare
from vadistill.serving.settings_file import write_settings
from vadistill.serving.storage.store import Store

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.mqtt_broker import free_port
from support.rtsp_server import RtspServer, missing


class Watch:
    """``vadistill watch`` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = (folder / "log").open("a+")
        self._at = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "vadistill", "watch", "--settings"]
        self.process = subprocess.Popen(
            [*command, str(self.folder / "v.toml")], stdout=subprocess.DEVNULL, stderr=self.log
        )

    def events(self, where: str = "1") -> list[tuple]:
        """id, end and interrupted of the events in the store, read beside the process."""
        path = self.folder / "data" / "events.db"
        found = f'SELECT id, "end", interrupted FROM events WHERE {where} ORDER BY id'
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                return connection.execute(found).fetchall()
        except sqlite3.OperationalError:  # not made yet
            return []

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(30)

    def recoveries(self) -> list[str]:
        """Lines of the log since the last call that tell of faults and recoveries."""
        text = (self.folder / "log").read_text()
        lines, self._at = text[self._at :].splitlines(), len(text)
        return [line for line in lines if " WARNING " in line or " INFO " in line]


def until(true: Callable[[], object], seconds: float = 90.0) -> float:
    """Wait for something; the seconds that it took."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            raise SystemExit("what should have come did not: see the log above")
        time.sleep(0.1)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sink-down", type=float, default=120.0)
    parser.add_argument("--smoke", action="store_true", help="faults of two seconds")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    away, full = 10.0, 40.0
    if arguments.smoke:
        away, full, arguments.sink_down = 2.0, 2.0, 2.0
    if missing():
        raise SystemExit(missing())
    started = time.monotonic()
    rows = Rows(arguments.out)
    facts = run_facts(device="cpu", command="python benchmarks/live_faults.py")

    def record(fault: str, found: dict[str, float]) -> None:
        rows.add(
            of_measurement(
                metric,
                round(value, 2),
                system="motion",
                variant=fault,
                dataset="walkway",
                facts=facts,
                seconds=round(time.monotonic() - started, 1),
            )
            for metric, value in found.items()
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = prepare(folder / "demo")
        film = rounds(demo.located(demo.cameras[0].source.reveal()), 15, 1200, folder / "film.mp4")
        port = free_port()
        with RtspServer(film=film) as server:
            settings = Settings(
                storage=StorageSettings(str(folder / "data")),
                models=(ModelSettings("model", str(demo.located(demo.models[0].path))),),
                cameras=(CameraSettings("gate", Address(server.address("film")), "model"),),
                sinks=(
                    SinkSettings("hook", "webhook", Address(f"http://127.0.0.1:{port}/alerts")),
                ),
            )
            write_settings(settings, folder / "v.toml")
            receiver = Receiver(port)
            watch = Watch(folder)
            try:
                record("server killed", lost_server(server, watch, away))
                record("process killed", killed(watch, folder))
                record("disk full", full_disk(watch, full))
                receiver, found = sink_down(watch, receiver, port, arguments.sink_down)
                record("sink down", found)
                watch.end(signal.SIGTERM)
                print("\n".join(watch.recoveries()))
            finally:
                watch.process.kill()
        record("all of it", accounts(folder, receiver))
    print(markdown_table(rows))


def lost_server(server: RtspServer, watch: Watch, seconds_away: float) -> dict[str, float]:
    """Away for some seconds; the next event comes from the new connection."""
    until(lambda: watch.events('"end" IS NOT NULL'))
    server.kill()
    time.sleep(seconds_away)
    before = len(watch.events())
    server.start()
    seconds = until(lambda: len(watch.events()) > before)
    print("\n".join(watch.recoveries()))
    return {"next_event_s": seconds}


def killed(watch: Watch, folder: Path) -> dict[str, float]:
    """During an event; what was committed is there, and the event is closed by the next start."""
    until(lambda: watch.events('"end" IS NULL'))
    time.sleep(1.0)
    before = watch.events()
    watch.end(signal.SIGKILL)
    watch.start()
    (open_,) = [row[0] for row in before if row[1] is None]
    seconds = until(lambda: watch.events(f"id = {open_} AND interrupted"))
    gone = {row[0] for row in before} - {row[0] for row in watch.events()}
    clip = folder / "data" / "media" / f"{open_}.mp4"
    print("\n".join(watch.recoveries()))
    return {"closed_after_s": seconds, "events_lost": len(gone), "clip_kept": clip.exists()}


def full_disk(watch: Watch, seconds_full: float) -> dict[str, float]:
    """No file of the process may grow for some seconds; cameras go on, and events come after it."""
    until(lambda: watch.events('"end" IS NOT NULL'))
    before = len(watch.events())
    resource.prlimit(watch.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    time.sleep(seconds_full)
    alive = watch.process.poll() is None
    during = len(watch.events())
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(watch.process.pid, resource.RLIMIT_FSIZE, unlimited)
    seconds = until(lambda: len(watch.events()) > during)
    print("\n".join(watch.recoveries()))
    return {"alive": alive, "events_refused_to": during - before, "next_event_s": seconds}


def sink_down(
    watch: Watch, receiver: Receiver, port: int, seconds_down: float
) -> tuple[Receiver, dict[str, float]]:
    """The receiver is gone for some minutes, then all that waited comes."""
    receiver.close()
    time.sleep(seconds_down)
    waiting = len(watch.events())
    again = Receiver(port)
    again.messages[:0] = receiver.messages
    told = {m["key"] for _, m in receiver.messages}
    seconds = until(lambda: len({m["key"] for _, m in again.messages}) >= 2 * (waiting - 1), 400)
    late = len({m["key"] for _, m in again.messages} - told)
    print("\n".join(watch.recoveries()))
    return again, {"caught_up_after_s": seconds, "messages_late": late}


def accounts(folder: Path, receiver: Receiver) -> dict[str, float]:
    """Every event's messages: never, once or more often."""
    store = Store(folder / "data")
    events, waiting = store.events(limit=10_000), sum(store.pending().values())
    store.close()
    # Clips that were whole before the process ended have a message of their own.
    due = sum(3 if event.clip and not event.interrupted else 2 for event in events)
    told = [message for _, message in receiver.messages if message["event"]]
    keys = [message["key"] for message in told]
    order = [(m["event"]["id"], m["kind"]) for m in told]
    first = {item: order.index(item) for item in order}
    swapped = sum(
        first.get((e.id, "opened"), -1) > first.get((e.id, "closed"), 10**9) for e in events
    )
    return {
        "events": len(events),
        "messages_missing": due - len(set(keys)) - waiting,
        "messages_waiting": waiting,
        "messages_twice": len(keys) - len(set(keys)),
        "closed_before_opened": swapped,
    }


if __name__ == "__main__":
    main()
