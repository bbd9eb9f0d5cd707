"""What remembering false alarms brings: each of the first half is marked as it comes.

    python benchmarks/remembered.py --data UCSDped2 --models ped2.vad [--out remembered.json]

The test videos are watched one after the other as a camera would watch them: a model's scores go
through what counts for a camera, with its memory of false alarms, into the tracker of events, and
events and marks into a store, without a server around it.  An event that shares no frame with an
abnormal one is a false alarm; those of the first half of the videos are marked as they end.  Then,
of the second half: false alarms an hour of normal footage, and labelled events found, with the
marks and without; and of the first half the false alarms, of which marks may hold back some too.

Levels are those of the model's training footage for stated false alarms a day: test sets of minutes
have none at one a day.  Models are of one system, fitted with several seeds: figures are their
means.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rows import Rows

import vadistill
from vadistill.addresses import Address
from vadistill.datasets import Video, open_dataset
from vadistill.datasets.intervals import stretches
from vadistill.detector import Detector
from vadistill.evaluation.runs import run_facts
from vadistill.events import Change, Tracker
from vadistill.levels import Level, training_level
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.scores import Scores
from vadistill.serving.config import CameraSettings
from vadistill.serving.live.memory import Memory, Way
from vadistill.serving.live.places import Counting
from vadistill.serving.storage.records import Place
from vadistill.serving.storage.store import Store

RATES = (24.0, 1440.0, 17280.0)
"""False alarms a day that levels are made for: one an hour, a minute, five seconds."""

CAMERA = "camera"


@dataclass
class Half:
    """What was seen in one half of the videos."""

    false: int = 0
    found: int = 0
    events: int = 0
    normal_seconds: float = 0.0


@dataclass
class Watch:
    """One camera's events and memory."""

    store: Store
    level: Level
    quiet: float
    radius: float | None
    marking: bool
    clock: float = 1e9
    halves: tuple[Half, Half] = field(default_factory=lambda: (Half(), Half()))

    def __post_init__(self) -> None:
        self.memory = Memory(self.store.note_held, self.radius)
        settings = CameraSettings(CAMERA, Address("webcam:0"))
        self.counting = Counting(settings, self.quiet, self.memory)

    def see(self, video: Video, scores: Scores, half: int) -> None:
        """Watch a video to its end."""
        info, labels, seen = video.open().info, video.frame_labels, self.halves[half]
        assert labels is not None
        tracker, way, frames = Tracker(self.level), Way(CAMERA), 0
        run: list[tuple[Place | None, float]] = []
        spans: list[tuple[int, int]] = []

        def follow(change: Change | None) -> None:
            if change is None or change.kind != "closed":
                return
            first, last = change.event.first, change.event.final
            spans.append((first, last))
            if not labels[first : last + 1].any():
                seen.false += 1
                if half == 0 and self.marking:
                    self.mark(change, way)

        for index, score in enumerate(scores.frames):
            wall = self.clock + score.time
            counted, place = self.counting(score, (info.width, info.height), self.level, wall)
            value = float(counted.score)
            change = tracker.push(score.time, value, index=index, came=wall)
            run = [*run, (place, value)] if value >= self.level.on else []
            if change is not None and change.kind == "opened":
                way, frames = Way(CAMERA), 0
                for first in run[:-1]:
                    way.add(*first)
            if change is not None and change.event.frames > frames:
                way.add(place, value)
                frames = change.event.frames
            follow(change)
        follow(tracker.close())
        self.clock += scores.end + 60.0
        for begin, end in stretches(labels > 0):
            seen.events += 1
            seen.found += any(first < end and last >= begin for first, last in spans)
        seen.normal_seconds += float(np.count_nonzero(labels == 0)) / scores.fps

    def mark(self, change: Change, way: Way) -> None:
        """Call an event a false alarm, as the console does."""
        event, told = change.event, {"peak": change.event.peak, "frames": change.event.frames}
        opened = self.store.open_event(CAMERA, event.since, level=self.level.on, **told)
        self.store.update_event(opened.id, last=event.until, trail=way.trail, **told)
        self.store.close_event(opened.id, end=event.until, **told)
        marked = self.store.set_verdict(opened.id, "false")
        assert marked is not None
        self.store.remember(marked)
        self.memory.learn(self.store.remembered(CAMERA, CAMERA))


def watched(
    model: Detector, videos: Sequence[Video], scores: dict[str, Scores], rate: float, marking: bool
) -> Watch:
    """All videos by one camera."""
    calibration = model.require_fitted()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        quiet = float(calibration.quantiles[0])
        level = training_level(calibration, rate)
        watch = Watch(store, level, quiet, model.radius, marking)
        for place, video in enumerate(videos):
            watch.see(video, scores[video.name], int(2 * place >= len(videos)))
        store.close()
    return watch


def figures(watch: Watch) -> dict[str, float]:
    """What is recorded of one model's watch."""
    before, after = watch.halves
    hours = after.normal_seconds / 3600
    return {
        "false_alarms_first_half": before.false,
        "remembered": len(watch.memory),
        "false_alarms_second_half": after.false,
        "false_alarms_per_hour": after.false / hours if hours else 0.0,
        "events_found": after.found,
        "events_of": after.events,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--smoke", action="store_true", help="one level")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    started = time.monotonic()
    test = open_dataset(arguments.data).test
    models = [vadistill.load(path) for path in arguments.models]
    if len({model.name for model in models}) > 1:
        raise SystemExit("models of one system alone have one mean")
    videos = [video for video in test if video.frame_labels is not None]
    scores = [{video.name: model.score(video) for video in videos} for model in models]
    given = sys.argv[1:]
    kept = given[: given.index("--out")] if "--out" in given else given
    told = [Path(a).name if "/" in a else a for a in kept]
    facts = run_facts(device="cpu", command=" ".join(["python benchmarks/remembered.py", *told]))
    rows = Rows(arguments.out)
    for rate in RATES[:1] if arguments.smoke else RATES:
        for marking in (False, True):
            seen = [
                watched(model, videos, own, rate, marking)
                for model, own in zip(models, scores, strict=True)
            ]
            normal = seen[0].halves[1].normal_seconds
            found = [figures(watch) for watch in seen]
            for metric in found[0]:
                values = [each[metric] for each in found]
                single = f"; {', '.join(f'{value:g}' for value in values)}" * (len(values) > 1)
                rows.add(
                    of_measurement(
                        metric,
                        round(float(np.mean(values)), 6),
                        system=models[0].name,
                        variant=f"{'marked' if marking else 'unmarked'}, {rate:g} a day",
                        dataset=test.name,
                        seeds=tuple(getattr(model.config, "seed", 0) for model in models),
                        seconds=round(time.monotonic() - started, 1),
                        note=f"second half, {normal:.0f} s of it normal{single}",
                        facts=facts,
                    )
                )
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
