"""Cameras over RTSP for minutes on one machine: drops, memory, and how late alerts come.

    python benchmarks/live_load.py [--model MODEL --video VIDEO] [--cameras 8] [--fps 6]
        [--seconds 600] [--out live.json]

Without a model, ``vadistill serve --demo``'s walkway and its ``motion`` model are made first.  The
video is encoded at ``--fps`` frames a second, played round and round by a GStreamer RTSP server on
loopback, and watched by ``vadistill watch`` in a process of its own, which posts its events to a
webhook here.  An alert's latency is from the decoding of its event's first frame to the webhook's
receipt, so it holds the frames that open an event, too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement, write_records
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
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if missing():
        raise SystemExit(missing())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, video = arguments.model, arguments.video
        if model is None or video is None:
            demo = prepare(folder / "demo")
            model = demo.located(demo.models[0].path)
            video = demo.located(demo.cameras[0].source)
        film = rounds(video, arguments.fps, arguments.seconds + 120, folder / "film.mp4")
        names = [f"camera{i}" for i in range(arguments.cameras)]
        receiver = Receiver()
        with RtspServer(film=film) as server:
            settings = Settings(
                storage=StorageSettings(str(folder / "data")),
                models=(ModelSettings("model", str(model.resolve())),),
                cameras=tuple(
                    CameraSettings(n, server.address("film"), "model", fps=arguments.fps)
                    for n in names
                ),
                sinks=(SinkSettings("hook", "webhook", receiver.url),),
            )
            write_settings(settings, folder / "v.toml")
            figures = run(folder, arguments.seconds, receiver)
        system = json.loads((model / "config.json").read_text())["system"]
    command = (
        f"python benchmarks/live_load.py --cameras {arguments.cameras} --fps {arguments.fps:g} "
        f"--seconds {arguments.seconds:g}"
    )
    if arguments.model:
        command += f" --model {arguments.model.name} --video {arguments.video.name}"
    facts = run_facts(device="cpu", command=command)
    records = [
        of_measurement(
            metric,
            round(value, 4),
            system=system,
            variant=f"{arguments.cameras} cameras at {arguments.fps:g} frames/s",
            dataset="walkway",
            facts=facts,
            seconds=arguments.seconds,
            note="360x240 over RTSP, the stream server on the same machine",
        )
        for metric, value in figures.items()
    ]
    print(markdown_table(records))
    if arguments.out:
        write_records(arguments.out, records)


def run(folder: Path, seconds: float, receiver: Receiver) -> dict[str, float]:
    """Watch for ``seconds`` and measure."""
    log = (folder / "log").open("w+")
    command = [sys.executable, "-m", "vadistill", "watch", "--settings", str(folder / "v.toml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    began, resident = time.monotonic(), []
    spent = os.times()
    while time.monotonic() - began < seconds and process.poll() is None:
        time.sleep(min(5.0, seconds / 10))
        resident.append((time.monotonic() - began, memory(process.pid)))
    process.terminate()
    process.wait(30)
    used = os.times()
    processor = used.children_user + used.children_system - spent.children_user
    processor -= spent.children_system
    log.seek(0)
    lines = log.read().splitlines()
    summary = [re.findall(r"\d+", line.split(":", 2)[2]) for line in lines if "scored" in line]
    scored, frames, dropped, damaged, again = np.array(summary, float).sum(0)
    delays = [
        at - message["event"]["start"]
        for at, message in receiver.messages
        if message["kind"] == "opened"
    ]
    warm = [mb for at, mb in resident if at > min(60.0, seconds / 4)]
    print("\n".join(line for line in lines if "WARNING" in line or "ERROR" in line))
    return {
        "scored_fps": scored / len(summary) / seconds,
        "frames": frames,
        "dropped_share": dropped / frames,
        "damaged": damaged,
        "reconnects": again,
        "alerts": len(delays),
        "alert_latency_s_median": float(np.median(delays)),
        "alert_latency_s_p95": float(np.quantile(delays, 0.95)),
        "peak_mb": max(mb for _, mb in resident),
        "mb_after_a_minute": warm[0],
        "mb_at_the_end": float(np.mean(warm[-5:])),
        "cores_used": processor / seconds,
    }


if __name__ == "__main__":
    main()
