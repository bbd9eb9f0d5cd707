"""Cameras over RTSP for minutes on one machine: drops, memory, and how late alerts come.

    python benchmarks/live_load.py [--model MODEL --video VIDEO] [--cameras 8] [--fps 6]
        [--seconds 600] [--against CHECKOUT [--rounds 1]] [--out live.json]

Without a model, ``vadistill serve --demo``'s walkway and its ``motion`` model are made first.  The
video is encoded at ``--fps`` frames a second, played round and round by a GStreamer RTSP server on
loopback, and watched by ``vadistill watch`` in a process of its own, which posts its events to a
webhook here.  An alert's latency is from the decoding of its event's first frame to the webhook's
receipt, so it holds the frames that open an event, too.

With ``--against`` the cameras run under ``vadistill serve``, of this checkout and of another one
in turn, on the same streams, settings and model (without ``--model`` one that the other fits); in
every second round the other one is first.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
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
from vadistill.video import VideoWriter, open_video

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.rtsp_server import RtspServer, missing

ROOT = Path(__file__).resolve().parents[1]


class Receiver(ThreadingHTTPServer):
    """A webhook that notes when each message came."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.messages: list[tuple[float, dict[str, Any]]] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                messages.append((time.time(), json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/alerts"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


def rounds(video: Path, fps: float, seconds: float, path: Path) -> Path:
    """The video at ``fps``, from its start again and again for ``seconds``, as one MP4."""
    import av

    source = open_video(video)
    once = path.with_name("once.mp4")
    with VideoWriter(once, source.info.width, source.info.height, fps) as writer:
        for frame in source:
            if int(frame.time * fps) >= writer.frames:  # or people would walk in slow motion
                writer.write(frame.image)
    with av.open(str(once)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        packets = [p for p in given.demux(video=0) if p.dts is not None]
        unit = packets[0].time_base
        length = round(writer.frames / fps / unit)
        stamps = [(p.pts, p.dts) for p in packets]
        for number in range(int(seconds * fps / writer.frames) + 1):
            for packet, (pts, dts) in zip(packets, stamps, strict=True):
                packet.pts, packet.dts = (pts or 0) + number * length, (dts or 0) + number * length
                packet.stream = stream
                made.mux(packet)
    return path


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # pyright: ignore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=float, default=6.0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="two cameras, 20 seconds")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.cameras, arguments.seconds = 2, 20.0
    other = arguments.against
    if other is not None and not (other / "src" / "vadistill").is_dir():
        raise SystemExit(f"no checkout of vadistill at {other}")
    if missing():
        raise SystemExit(missing())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, video = arguments.model, arguments.video
        if model is None or video is None:
            if other is not None:  # the newer one reads what the older one has fitted
                making = "import sys, pathlib; from vadistill.serving.demo import prepare; "
                making += "prepare(pathlib.Path(sys.argv[1]))"
                subprocess.run(
                    [sys.executable, "-c", making, str(folder / "demo")],
                    env={**os.environ, "PYTHONPATH": str(other.resolve() / "src")},
                    check=True,
                )
            demo = prepare(folder / "demo")
            model = demo.located(demo.models[0].path)
            video = demo.located(demo.cameras[0].source.reveal())
        film = rounds(video, arguments.fps, arguments.seconds + 120, folder / "film.mp4")
        names = [f"camera{i}" for i in range(arguments.cameras)]
        receiver = Receiver()
        with RtspServer(film=film) as server:
            settings = Settings(
                storage=StorageSettings(str(folder / "data")),
                models=(ModelSettings("model", str(model.resolve())),),
                cameras=tuple(
                    CameraSettings(n, Address(server.address("film")), "model", fps=arguments.fps)
                    for n in names
                ),
                sinks=(SinkSettings("hook", "webhook", Address(receiver.url)),),
            )
            runs: dict[Path, list[dict[str, float]]] = {ROOT: []}
            if other is None:
                write_settings(settings, folder / "v.toml")
                runs[ROOT] = [run(folder, arguments.seconds, receiver)]
            else:
                runs[other.resolve()] = []
                for number in range(arguments.rounds):
                    for checkout in list(runs)[:: -1 if number % 2 else 1]:
                        receiver.messages.clear()
                        storage = StorageSettings(str(folder / f"data{len(runs[checkout])}"))
                        write_settings(replace(settings, storage=storage), folder / "v.toml")
                        found = serve(folder, arguments.seconds, receiver, checkout)
                        runs[checkout].append(found)
                        shutil.rmtree(storage.folder)
        system = json.loads((model / "config.json").read_text())["system"]
    command = (
        f"python benchmarks/live_load.py --cameras {arguments.cameras} --fps {arguments.fps:g} "
        f"--seconds {arguments.seconds:g}"
    )
    if arguments.model:
        command += f" --model {arguments.model.name} --video {arguments.video.name}"
    if other is not None:
        command += f" --against {other.name} --rounds {arguments.rounds}"
    facts = run_facts(device="cpu", command=command)
    load = f"{arguments.cameras} cameras at {arguments.fps:g} frames/s"
    rows = Rows(arguments.out)
    rows.add(
        of_measurement(
            metric,
            round(float(np.mean([figures[metric] for figures in found])), 4),
            system=system,
            variant=load if other is None else f"{load}, served by {commit_of(checkout)}",
            dataset="walkway",
            facts={**facts, "commit": commit_of(checkout)},
            seconds=arguments.seconds * len(found),
            note="360x240 over RTSP, the stream server on the same machine",
        )
        for checkout, found in runs.items()
        for metric in found[0]
        if all(metric in figures for figures in found)
    )
    print(markdown_table(rows))


def commit_of(checkout: Path) -> str:
    """Short hash of what a checkout has, ``-dirty`` where its code was changed."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + "-dirty" * bool(git("status", "--short", "src"))


def run(folder: Path, seconds: float, receiver: Receiver) -> dict[str, float]:
    """Watch for ``seconds`` and measure."""
    measured = Measured(folder, ["watch"], seconds)
    measured.end()
    summary = [re.findall(r"\d+", line.split(":", 2)[2]) for line in measured.lines("scored")]
    return measured.figures(np.array(summary, float), receiver)


def serve(folder: Path, seconds: float, receiver: Receiver, checkout: Path) -> dict[str, float]:
    """Serve the console of a checkout for ``seconds`` and measure."""
    measured = Measured(folder, ["serve", "--port", "0"], seconds, checkout / "src")
    line = measured.lines("the console is at ")[0]
    url = line.partition("the console is at ")[2].split()[0] + "api/cameras"
    with urllib.request.urlopen(url, timeout=20) as answer:
        found = [camera["status"] for camera in json.load(answer)["cameras"]]
    measured.end()
    if not all(status["scored"] for status in found):
        raise SystemExit(f"{checkout.name}: a camera was not scored")
    names = ("scored", "frames", "dropped", "corrupt", "reconnects")
    return measured.figures(np.array([[s[name] for name in names] for s in found], float), receiver)


class Measured:
    """A process of the command line that has run for ``seconds``: its log, memory, processor."""

    def __init__(
        self, folder: Path, verb: list[str], seconds: float, source: Path | None = None
    ) -> None:
        self._log = (folder / "log").open("w+")
        self._seconds, self._spent = seconds, os.times()
        paths = {} if source is None else {"PYTHONPATH": str(source)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vadistill", *verb, "--settings", str(folder / "v.toml")],
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            env={**os.environ, **paths},
        )
        began = time.monotonic()
        self._resident: list[tuple[float, float]] = []
        while time.monotonic() - began < seconds and self._process.poll() is None:
            time.sleep(min(5.0, seconds / 10))
            self._resident.append((time.monotonic() - began, memory(self._process.pid)))

    def lines(self, having: str) -> list[str]:
        """Lines of its log; without any, all of it is the error."""
        self._log.seek(0)
        text = self._log.read()
        found = [line for line in text.splitlines() if having in line]
        if not found:
            self._process.kill()
            raise SystemExit(text)
        return found

    def end(self) -> None:
        """Stop it, and show what it complained of."""
        self._process.terminate()
        self._process.wait(30)
        self._used = os.times()
        self._log.seek(0)
        told = [line for line in self._log if "WARNING" in line or "ERROR" in line]
        print("".join(told), end="")

    def figures(self, cameras: np.ndarray, receiver: Receiver) -> dict[str, float]:
        """Of ``cameras``, rows of frames scored, decoded and dropped, damages and reconnects."""
        scored, frames, dropped, damaged, again = cameras.sum(0)
        used, spent, seconds = self._used, self._spent, self._seconds
        processor = used.children_user + used.children_system - spent.children_user
        processor -= spent.children_system
        delays = [
            at - message["event"]["start"]
            for at, message in receiver.messages
            if message["kind"] == "opened"
        ]
        late: dict[str, float] = {}
        if delays:
            late["alert_latency_s_median"] = float(np.median(delays))
            late["alert_latency_s_p95"] = float(np.quantile(delays, 0.95))
        warm = [mb for at, mb in self._resident if at > min(60.0, seconds / 4)]
        return {
            "scored_fps": scored / len(cameras) / seconds,
            "frames": frames,
            "dropped_share": dropped / max(1.0, frames),
            "damaged": damaged,
            "reconnects": again,
            "alerts": len(delays),
            **late,
            "peak_mb": max(mb for _, mb in self._resident),
            "mb_after_a_minute": warm[0],
            "mb_at_the_end": float(np.mean(warm[-5:])),
            "cores_used": processor / seconds,
        }


if __name__ == "__main__":
    main()
