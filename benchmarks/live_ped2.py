"""UCSD Ped2's test clips as cameras: served over RTSP, scored live, events against the truth.

    python benchmarks/live_ped2.py --data UCSDped2 --model ped2.vad [--out live.json]

Every test clip is encoded once (H.264, 10 frames a second) and served by a GStreamer RTSP server on
loopback; some at a time are watched as ``vadistill watch`` does, with the level of the model's
training frames.  Prints and records: frames scored and dropped, the largest difference to the
scores of the same files offline, events found of those in the truth, the delay from an event's
first abnormal frame to its opening, and openings that overlap no abnormal frame.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rows import Rows

import vadistill
from vadistill.addresses import Address
from vadistill.datasets import Video, open_dataset
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.scores import FrameScore
from vadistill.serving import hub as serving
from vadistill.serving.config import CameraSettings, ModelSettings, Settings, StorageSettings
from vadistill.serving.live.camera import Camera
from vadistill.video import VideoWriter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.rtsp_server import RtspServer, missing

FPS = 10


@dataclass
class Watched:
    """What a camera was seen to do: stream time, score and arrival of each frame, openings."""

    frames: list[tuple[float, float, float]] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    dropped: int = 0


class Noted(Camera):
    """A camera whose scores are kept with the stream's own times."""

    seen: dict[str, Watched]

    def _scored(self, wall: float, image: np.ndarray, score: FrameScore) -> None:
        self.seen[self.name].frames.append((score.time, float(score.score), wall))
        super()._scored(wall, image, score)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--together", type=int, default=4, help="cameras at a time")
    parser.add_argument("--false-alarms-per-day", type=float, default=24.0)
    parser.add_argument("--smoke", action="store_true", help="one test video")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if missing():
        raise SystemExit(missing())
    splits = open_dataset(arguments.data)
    clips = {f"clip{i:02}": clip for i, clip in enumerate(splits.test, 1)}
    if arguments.smoke:
        clips = dict(list(clips.items())[:1])
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = {name: encoded(clip, Path(folder) / f"{name}.mp4") for name, clip in clips.items()}
        model = vadistill.load(arguments.model)
        offline = {n: model.score(vadistill.open_video(f)).raw for n, f in files.items()}
        watched = {}
        with RtspServer(**files) as server:
            names = list(files)
            for first in range(0, len(names), arguments.together):
                some = names[first : first + arguments.together]
                addresses = {name: server.address(name) for name in some}
                lengths = {name: len(offline[name]) for name in some}
                watched |= watch(addresses, lengths, arguments, Path(folder) / f"data{first}")
    figures = compare(clips, offline, watched)
    system = model.name
    facts = run_facts(device="cpu", command=" ".join(["python benchmarks/live_ped2.py", *told()]))
    rows = Rows(arguments.out)
    rows.add(
        of_measurement(
            metric,
            round(float(value), 6),
            system=system,
            variant=f"live, {arguments.together} cameras",
            dataset=splits.test.name,
            seeds=(0,),
            seconds=round(time.monotonic() - started, 1),
            note=f"level for {arguments.false_alarms_per_day:g} false alarms a day, from training",
            facts=facts,
        )
        for metric, value in figures.items()
    )
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


def watch(
    addresses: dict[str, str], lengths: dict[str, int], arguments: argparse.Namespace, folder: Path
) -> dict[str, Watched]:
    """Watch some streams until each has been seen whole once."""
    seen = {name: Watched() for name in addresses}
    serving.Camera = type("Noted", (Noted,), {"seen": seen})  # pyright: ignore
    hub = serving.Hub(
        Settings(
            storage=StorageSettings(str(folder)),
            models=(ModelSettings("model", str(arguments.model.resolve())),),
            cameras=tuple(
                CameraSettings(
                    name,
                    Address(address),
                    "model",
                    false_alarms_per_day=arguments.false_alarms_per_day,
                    pre_roll=2.0,
                )
                for name, address in addresses.items()
            ),
        )
    )
    news, over = hub.subscribe(), threading.Event()

    def listen() -> None:
        known: set[int] = set()
        while not over.is_set():
            message = news.get(0.2)
            if message and message[0] == "event" and message[1]["id"] not in known:
                known.add(message[1]["id"])
                seen[message[1]["camera"]].opened.append(time.time())

    listener = threading.Thread(target=listen)
    listener.start()
    hub.start()
    end = time.monotonic() + max(lengths.values()) / FPS + 60
    try:
        while time.monotonic() < end and not all(
            camera.reader.status.reconnects for camera in hub.running()
        ):
            time.sleep(0.1)
    finally:
        for camera in hub.running():
            seen[camera.name].dropped = camera.reader.status.dropped
        hub.stop()
        over.set()
        listener.join()
    return seen


def compare(
    clips: dict[str, Video], offline: dict[str, np.ndarray], watched: dict[str, Watched]
) -> dict[str, float]:
    """The figures; frames are told by their time in the stream, of its first showing only."""
    scored = dropped = true = found = false = 0
    differences, delays, normal_seconds = [], [], 0.0
    for name, clip in clips.items():
        labels, seen = clip.frame_labels, watched[name]
        assert labels is not None
        first: dict[int, tuple[float, float]] = {}
        for seconds, score, wall in seen.frames:
            first.setdefault(round(seconds * FPS), (score, wall))
        scored, dropped = scored + len(first), dropped + seen.dropped
        # A frame beside a gap is scored with other neighbours than offline.
        whole = [i for i in first if {i - 1, i, i + 1} <= first.keys() | {-1, len(offline[name])}]
        differences += [abs(offline[name][i] - first[i][0]) for i in whole]
        walls = np.array([first[i][1] for i in sorted(first)])
        index = np.array(sorted(first))
        edges = np.flatnonzero(np.diff(np.concatenate([[0], labels, [0]]).astype(int)))
        matched: set[int] = set()
        for begin, end in edges.reshape(-1, 2):
            true += 1
            span = walls[(index >= begin) & (index < end)]
            inside = [t for t in seen.opened if len(span) and span[0] <= t <= span[-1] + 1.0]
            matched |= {seen.opened.index(t) for t in inside}
            if inside:
                found += 1
                delays.append(inside[0] - span[0])
        false += sum(i not in matched and t <= walls[-1] + 1 for i, t in enumerate(seen.opened))
        normal_seconds += float((labels == 0).sum()) / FPS
    print(f"false alarms in {normal_seconds:.0f} seconds of normal test footage: {false}")
    return {
        "frames": scored,
        "frames_of": sum(map(len, offline.values())),
        "dropped": dropped,
        "largest_difference": max(differences),
        "events_found": found,
        "events_of": true,
        **(
            {"delay_s_median": statistics.median(delays), "delay_s_most": max(delays)}
            if delays
            else {}
        ),
        "false_alarms": false,
    }


if __name__ == "__main__":
    main()
