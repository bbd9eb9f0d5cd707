"""A day at one camera in fast-forward: what changes of its scene raise, and what is told of them.

    python benchmarks/soak.py [--hours 24] [--work FOLDER] [--out soak.json]

An hour of the simulated walkway's normal videos, which training has not seen, is looped before a
camera as ``serve`` has one: scored by ``motion``, fitted to another hour and with its level, with
the check of its view, events, clips and a store.  Its clock runs as fast as it scores.  The light
sinks and comes back, the camera turns to infrared light, and is moved.  For each part of the day:
events, all of which are false alarms, a day; and in which share of it drift, night or another view
was told.  Of the whole: memory after a twelfth of it and at the end, and threads and open files
from then on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from live_load import memory
from rows import Rows

from vadistill.addresses import Address
from vadistill.evaluation.runs import run_facts
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.serving.config import CameraSettings, ModelSettings
from vadistill.serving.live.batching import Loaded
from vadistill.serving.live.camera import Camera
from vadistill.serving.live.reader import Reader
from vadistill.serving.live.session import Session
from vadistill.serving.storage.clips import ClipWriter
from vadistill.serving.storage.store import Store
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems.motion import Motion
from vadistill.video import Frame, VideoInfo

FPS = 5
"""Frames a second."""
CLIPS, FRAMES = 6, 3000
"""Videos that are learned from, as many that are looped, and the frames of each."""

Picture = np.ndarray
Change = Callable[[Picture, float], Picture]
"""A picture as it is after a part of the change, in [0, 1]."""


def darker(image: Picture, part: float) -> Picture:
    """By gamma, up to 3."""
    table = (255 * (np.arange(256) / 255) ** (1 + 2 * part)).astype(np.uint8)
    return table[image]


def infrared(image: Picture, part: float) -> Picture:
    """Without colours, lit in the middle."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    lamp = 1.3 - 0.9 * np.hypot(x / width - 0.5, y / height - 0.5)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * lamp
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def moved(image: Picture, part: float) -> Picture:
    """Turned to the side by a third of the picture."""
    return np.roll(image, image.shape[1] // 3, 1)


DAY: tuple[tuple[str, float, Change], ...] = (
    ("morning", 5, lambda image, part: image),
    ("dusk", 2, darker),
    ("dark", 4, lambda image, part: darker(image, 1.0)),
    ("dawn", 1, lambda image, part: darker(image, 1 - part)),
    ("noon", 3, lambda image, part: image),
    ("infrared", 3, infrared),
    ("evening", 2, lambda image, part: image),
    ("moved", 1, moved),
    ("late", 3, lambda image, part: image),
)
"""Parts of a day, and their hours of 24."""


class Forward(Reader):
    """A reader whose pictures come as fast as they are scored, with the times of ``FPS`` a second.

    ``seen`` hears the number of each before it comes.
    """

    def __init__(
        self, pictures: Iterator[Picture], info: VideoInfo, seen: Callable[[int], None]
    ) -> None:
        super().__init__("forward", name="gate")
        self._session = Session(info, queue=8, blocking=True, stop=self._stop)
        self._pictures, self._seen_by = pictures, seen

    def start(self) -> None:
        threading.Thread(target=self._feed, name="forward", daemon=True).start()

    def sessions(self) -> Iterator[Session]:
        yield self._session

    def _feed(self) -> None:
        began = time.monotonic()
        for number, image in enumerate(self._pictures):
            self._seen_by(number)
            self._session.put(Frame(number, number / FPS, image), began + number / FPS)
        self._session.end("the day is over")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--smoke", action="store_true", help="a day of two minutes")
    parser.add_argument("--work", type=Path, help="where films are rendered, and kept")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    hours, clips, frames = arguments.hours, CLIPS, FRAMES
    if arguments.smoke:
        hours, clips, frames = 1 / 30, 1, 40
    facts = run_facts(device="cpu", command=f"python benchmarks/soak.py --hours {hours:g}")
    rows = Rows(arguments.out)
    with tempfile.TemporaryDirectory() as name:
        films = (arguments.work or Path(name)) / "walkway"
        watched = Soak(Path(name), films, hours, clips, frames)
        seconds = watched.run()
        for variant, found in watched.found().items():
            rows.add(
                of_measurement(
                    metric,
                    round(value, 3),
                    system="motion",
                    variant=variant,
                    dataset="walkway",
                    facts=facts,
                    seconds=round(seconds, 1),
                )
                for metric, value in found.items()
            )
    print(markdown_table(rows))


class Soak:
    """A day of so many ``hours``, with all that is kept of it in ``folder``."""

    def __init__(self, folder: Path, films: Path, hours: float, clips: int, frames: int) -> None:
        small = WalkwayConfig(8, test_clips=0, width=176, height=120, fps=FPS)
        config = replace(small, train_clips=2 * clips, frames=frames)
        train = render_walkway(films, config).train
        Motion().fit(replace(train, videos=train.videos[:clips]), out=folder / "motion.vad")
        self._loop = [frame.image for video in train.videos[clips:] for frame in video.open()]
        self.frames = round(hours * 3600 * FPS)
        shares = np.cumsum([0, *(part for _, part, _ in DAY)]) / 24
        self._starts = np.round(shares * self.frames).astype(int)
        self._told: Counter[tuple[str, str]] = Counter()
        """By part of the day and what was told there, at how many frames."""
        self._taken: list[tuple[float, int, int]] = []
        self.store = Store(folder / "data")
        self._clips = ClipWriter(self.store.media)
        self._model = Loaded(ModelSettings("walkway", "motion.vad"), folder / "motion.vad")
        settings = CameraSettings("gate", Address("forward"), "walkway", check_view=True)
        height, width = self._loop[0].shape[:2]
        info = VideoInfo("forward", width, height, FPS, None)
        self.camera = Camera(
            settings,
            reader=Forward(self._pictures(), info, self._look),
            recorder=None,
            model=self._model,
            store=self.store,
            clips=self._clips,
            publish=lambda *_: None,
        )

    def run(self) -> float:
        """The whole day; the seconds that it took."""
        began = time.monotonic()
        self.camera.start()
        self.camera.ended.wait()
        self.camera.stop()
        self._clips.stop()
        self._model.batching.close()
        return time.monotonic() - began

    def _pictures(self) -> Iterator[Picture]:
        for number in range(self.frames):
            place, part = self._place(number)
            yield DAY[place][2](self._loop[number % len(self._loop)], part)

    def _place(self, number: int) -> tuple[int, float]:
        """Which part of the day a frame is of, and how much of that is over."""
        place = int(np.searchsorted(self._starts, number, "right")) - 1
        start, end = self._starts[place : place + 2]
        return place, (number - start) / max(1, end - start)

    def _look(self, number: int) -> None:
        place, _ = self._place(number)
        name = DAY[place][0]
        scene = self.camera.scene
        told = ("drift" if self.camera.standards.drift.told else "", scene.sight, scene.light)
        self._told.update((name, what) for what in told if what)
        if number % max(1, self.frames // 12) == 0:
            files = len(os.listdir("/proc/self/fd"))
            self._taken.append((memory(os.getpid()), threading.active_count(), files))

    def found(self) -> dict[str, dict[str, float]]:
        """Figures by part of the day, and of all of it."""
        made: dict[str, dict[str, float]] = {}
        events = [event.begins or 0.0 for event in self.store.events(limit=10**6)]
        for place, (name, _, _) in enumerate(DAY):
            start, end = self._starts[place : place + 2] / FPS
            inside = sum(start <= begins < end for begins in events)
            row = {"false_alarms_per_day": inside * 86400 / max(1.0, end - start)}
            frames = max(1, self._starts[place + 1] - self._starts[place])
            for word in ("drift", "moved", "night"):
                row[f"{word}_told_share"] = self._told[name, word] / frames
            made[name] = row
        megabytes, threads, files = zip(*self._taken[1:], strict=True)
        made["all of it"] = {
            "frames": self.camera.scored,
            "mb_after_a_twelfth": megabytes[0],
            "mb_at_the_end": megabytes[-1],
            "threads_fewest": min(threads),
            "threads_most": max(threads),
            "files_fewest": min(files),
            "files_most": max(files),
        }
        return made


if __name__ == "__main__":
    main()
