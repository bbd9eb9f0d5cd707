"""UCSD Ped2's test clips as cameras: every verb's events of the same video, and against the truth.

    python benchmarks/live_ped2.py --data UCSDped2 --model ped2.vad [--out live.json]

Every test clip is encoded once (H.264, 10 frames a second).  ``vadistill score`` lists the events
of the files, and ``evaluate`` those that its figures come from; a GStreamer RTSP server on loopback
plays each file once to ``vadistill watch``, and once more to ``vadistill serve``, some at a time,
each verb a process of its own with its defaults, but for the level's false alarms a day (evaluate
has one a day).  Prints which events each lists, and records how many, how many of them are
``score``'s to the frame, and what was lost on the way.  Of ``watch``, too: the largest difference
to the scores of the files, events found of those in the truth, the delay from an event's first
abnormal frame to the line that tells it, and alarms that overlap no abnormal frame.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rows import Rows

import vadistill
from vadistill.addresses import Address
from vadistill.datasets import Dataset, Video, open_dataset
from vadistill.datasets.intervals import stretches
from vadistill.evaluation.evaluate import evaluate
from vadistill.evaluation.runs import run_facts
from vadistill.report.tables import CALIBRATED, operate
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.serving.config import CameraSettings, ModelSettings, Settings, StorageSettings
from vadistill.serving.settings_file import write_settings
from vadistill.serving.storage.store import Store
from vadistill.video import VideoWriter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.rtsp_server import RtspServer, missing
from support.served_process import served_process
from support.waiting import until

FPS = 10

LOST = ("scored", "frames", "dropped", "damaged")
"""What a live verb says of a stream's frames."""

Spans = list[tuple[int, int]]
"""First and last frame of each event of a video."""


@dataclass
class Seen:
    """What a live verb made of one stream."""

    spans: Spans
    scores: dict[int, float] = field(default_factory=dict)
    """By frame."""
    opened: dict[int, float] = field(default_factory=dict)
    """By an event's first frame: seconds of the stream at which it was told."""
    lost: dict[str, int] = field(default_factory=dict)
    """Frames, by LOST."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--together", type=int, default=4, help="cameras at a time")
    parser.add_argument("--smoke", action="store_true", help="one test video")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if missing():
        raise SystemExit(missing())
    test = open_dataset(arguments.data).test
    clips = [(f"clip{i:02}", clip) for i, clip in enumerate(test, 1)]
    clips = clips[:1] if arguments.smoke else clips
    model = vadistill.load(arguments.model)
    facts = run_facts(device="cpu", command=" ".join(["python benchmarks/live_ped2.py", *told()]))
    rows, started = Rows(arguments.out), time.monotonic()

    def record(variant: str, figures: dict[str, float], note: str = "") -> None:
        rows.add(
            of_measurement(
                metric,
                round(float(value), 6),
                system=model.name,
                variant=variant,
                dataset=test.name,
                seeds=(int(getattr(model.config, "seed", 0)),),
                seconds=round(time.monotonic() - started, 1),
                note=note,
                facts=facts,
            )
            for metric, value in figures.items()
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {n: encoded(clip, folder / f"{n}.mp4") for n, clip in clips}
        data = Dataset(
            test.name, "test", tuple(Video(n, files[n], c.frame_labels) for n, c in clips)
        )
        results = evaluate({model.name: model}, data)
        scores = results.scores[model.name]
        listed = {"evaluate": {n: spans_of(each.events()) for n, each in scores.items()}}
        operated = operate(results.runs[model.name], data, scores)
        if operated is not None:
            (point,) = (p for p in operated.points if p.name == CALIBRATED)
            assert point.alarms == sum(map(len, listed["evaluate"].values()))
        listed["score"] = printed(arguments.model, files)
        live: dict[str, dict[str, Seen]] = {"watch": {}, "serve": {}}
        names = list(files)
        for first in range(0, len(names), arguments.together):
            some = {n: files[n] for n in names[first : first + arguments.together]}
            for verb, by in (("watch", watched), ("serve", served)):
                own = folder / f"{verb}{first}"
                own.mkdir()
                with RtspServer(once=True, **some) as server:
                    settings = settings_for(arguments.model, server, some, own)
                    live[verb] |= by(settings, own, list(some))
        for verb, seen in live.items():
            listed[verb] = {n: seen[n].spans for n in names}
        table(listed, names)
        for verb in ("score", "evaluate", "watch", "serve"):
            record(f"events of {verb}", agreement(listed, verb) | losses(live.get(verb), scores))
        live_figures = against_truth(data, scores, live["watch"])
    record(f"watched, {arguments.together} cameras", live_figures)
    print(markdown_table(rows))


def told() -> list[str]:
    """The command's arguments without folders, up to --out."""
    given = sys.argv[1:]
    kept = given[: given.index("--out")] if "--out" in given else given
    return [Path(a).name if "/" in a else a for a in kept]


def encoded(clip: Video, path: Path) -> Path:
    """The clip as an MP4, all its frames."""
    source = clip.open()
    with VideoWriter(path, source.info.width, source.info.height, FPS) as writer:
        for frame in source:
            writer.write(frame.image)
    return path


def spans_of(events: Any) -> Spans:
    return [(event.first, event.last) for event in events]


def printed(model: Path, files: dict[str, Path]) -> dict[str, Spans]:
    """The events that ``vadistill score`` lists."""
    command = [sys.executable, "-m", "vadistill", "score", str(model), *map(str, files.values())]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Spans] = {}
    own: Spans = []
    for line in done.stdout.splitlines():
        if title := re.match(r"(\w+): [\d,]+ frames", line):
            own = found.setdefault(title[1], [])
        elif span := re.search(r"(\d+) – (\d+) ", line):
            own.append((int(span[1]), int(span[2])))
    return found


def settings_for(model: Path, server: RtspServer, names: Any, folder: Path) -> Path:
    """A settings file of the streams as cameras, all else by default."""
    settings = Settings(
        storage=StorageSettings(str(folder / "data")),
        models=(ModelSettings("model", str(model.resolve())),),
        cameras=tuple(CameraSettings(n, Address(server.address(n)), "model") for n in names),
    )
    write_settings(settings, folder / "v.toml")
    return folder / "v.toml"


def watched(settings: Path, folder: Path, names: list[str]) -> dict[str, Seen]:
    """What ``vadistill watch`` says of streams, each of which it sees once."""
    command = [sys.executable, "-m", "vadistill", "watch", "--settings", str(settings)]
    events: dict[tuple[str, int], dict[str, Any]] = {}
    came: dict[tuple[str, int], float] = {}
    over: set[str] = set()
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            message = json.loads(line)
            if message["kind"] == "lost" and message["camera"]:
                over.add(message["camera"])
                if over == set(names):
                    process.send_signal(signal.SIGINT)
            elif message["kind"] in ("opened", "closed"):
                key = message["camera"], message["event"]["id"]
                came.setdefault(key, time.time())
                events[key] = message["event"]
        process.wait(60)
        log.seek(0)
        text = log.read()
    found = {name: Seen([]) for name in names}
    for (name, number), event in events.items():
        span, began = in_frames(event), event["start"] - event["begins"]
        found[name].spans.append(span)
        found[name].opened[span[0]] = came[name, number] - began
    store = Store(folder / "data")
    for name, seen in found.items():
        words = r"(\d+) of (\d+) frames scored, (\d+) dropped, (\d+) damaged"
        told = map(int, re.findall(f"{name}: {words}", text)[-1])
        seen.lost = dict(zip(LOST, told, strict=True))
        seen.scores = dict(enumerate(store.scores(name, 0, time.time())[1].tolist()))
        seen.spans.sort()
    store.close()
    return found


def served(settings: Path, folder: Path, names: list[str]) -> dict[str, Seen]:
    """What the console's API says of streams, each of which the server sees once."""
    with served_process(settings) as server:

        def asked(path: str) -> Any:
            with urllib.request.urlopen(f"{server.url}api/{path}", timeout=10) as answer:
                return json.load(answer)

        def over() -> list[dict[str, Any]]:
            time.sleep(0.5)
            found = asked("cameras")["cameras"]
            done = [camera["event"] is None and scored(camera["status"]) for camera in found]
            return found if all(done) else []

        cameras, events = until(over, 300), asked("events?limit=500")["events"]
    assert all(event["end"] for event in events)
    return {
        camera["name"]: Seen(
            sorted(in_frames(event) for event in events if event["camera"] == camera["name"]),
            lost={key: camera["status"]["corrupt" if key == "damaged" else key] for key in LOST},
        )
        for camera in cameras
    }


def scored(status: dict[str, Any]) -> bool:
    """Whether a stream has ended and what came of it is scored."""
    left = status["frames"] - status["dropped"] - status["scored"]
    return status["state"] == "retrying" and left == 0


def in_frames(event: dict[str, Any]) -> tuple[int, int]:
    """Of what cameras say of an event."""
    return round(event["begins"] * FPS), round(event["ends"] * FPS)


def table(listed: dict[str, dict[str, Spans]], names: list[str]) -> None:
    """Every clip's events by verb, those that are not ``score``'s marked."""
    for name in names:
        for verb, spans in listed.items():
            alike = "" if spans[name] == listed["score"][name] else "   <- not score's"
            text = ", ".join(f"{first}–{last}" for first, last in spans[name])
            print(f"{name} {verb:>9}  {text or '–'}{alike}")


def agreement(listed: dict[str, dict[str, Spans]], verb: str) -> dict[str, float]:
    own, those = listed[verb], listed["score"]
    same = sum(len(set(own[name]) & set(those[name])) for name in own)
    return {"events": sum(map(len, own.values())), "same_as_score": same}


def losses(seen: dict[str, Seen] | None, scores: Any) -> dict[str, float]:
    if seen is None:
        return {}
    found = {key: sum(each.lost[key] for each in seen.values()) for key in LOST}
    return {"frames_of": sum(map(len, scores.values())), **found}


def against_truth(data: Dataset, scores: Any, watch: dict[str, Seen]) -> dict[str, float]:
    """Of ``watch``: events found, delays, false alarms, and how its scores differ."""
    true = found = false = 0
    differences, delays, normal = [0.0], [], 0.0
    for video in data:
        labels, seen = video.frame_labels, watch[video.name]
        assert labels is not None
        raw = scores[video.name].raw.astype(np.float32)
        differences += [abs(float(raw[i]) - s) for i, s in seen.scores.items() if i < len(raw)]
        for begin, end in stretches(labels > 0):
            true += 1
            inside = [span for span in seen.spans if span[0] < end and span[1] >= begin]
            if inside:
                found += 1
                delays.append(max(0.0, seen.opened[inside[0][0]] - begin / FPS))
        false += sum(not labels[first : last + 1].any() for first, last in seen.spans)
        normal += float((labels == 0).sum()) / FPS
    print(f"false alarms in {normal:.0f} seconds of normal test footage: {false}")
    late = {"delay_s_median": statistics.median(delays), "delay_s_most": max(delays)}
    return {
        "largest_difference": max(differences),
        "events_found": found,
        "events_of": true,
        **(late if delays else {}),
        "false_alarms": false,
    }


if __name__ == "__main__":
    main()
