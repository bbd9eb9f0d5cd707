"""A small labelled data set: bars that cross a floor, in the tests' second halves too fast."""

from __future__ import annotations

from pathlib import Path

from evaluation.test_selftest import crossing
from vadistill.video import VideoWriter


def write_bars(folder: Path) -> Path:
    """Eight normal films, so that two are put aside for a self-test, and two labelled ones."""
    for seed in range(8):
        with VideoWriter(folder / "train" / f"{seed}.mp4", 160, 80, 5) as writer:
            for frame in crossing(seed, frames=62, speed=2.0).open():
                writer.write(frame.image)
    lines = ["file,start,end"]
    for seed in (10, 11):
        with VideoWriter(folder / "test" / f"{seed}.mp4", 160, 80, 5) as writer:
            for speed in (2.0, 6.0):
                for frame in crossing(seed, frames=25, speed=speed).open():
                    writer.write(frame.image)
        lines.append(f"{seed}.mp4,25,50")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
